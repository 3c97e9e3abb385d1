// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Stake one token, earn another, in proportion to stake and time.
/// @notice The interface and the events are those of the widespread StakingRewards shape. The owner
/// brings a reward, which flows evenly over `rewardsDuration` seconds to whoever is staked meanwhile.
/// @dev Rewards are pulled in when they are announced, so what stakers were promised is always here,
/// also where both tokens are the same. What flows while nobody is staked stays in the contract.
contract StakingRewards is Ownable, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    event Staked(address indexed user, uint256 amount);
    event Withdrawn(address indexed user, uint256 amount);
    event RewardPaid(address indexed user, uint256 reward);
    event RewardAdded(uint256 reward);

    /// @notice Nothing would move.
    error ZeroAmount();
    /// @notice The caller asked for more than it has staked.
    error MoreThanStaked(uint256 staked, uint256 asked);
    /// @notice The reward is above `REWARD_MAX`.
    error RewardTooLarge(uint256 reward);
    /// @notice A reward must flow for at least a second.
    error ZeroDuration();

    /// @notice The largest reward. Times `SCALE` it is far below 2^256, so no sum below can overflow
    /// and a withdrawal can never be blocked by the arithmetic of rewards.
    uint256 public constant REWARD_MAX = type(uint128).max;
    uint256 private constant SCALE = 1e18;

    IERC20 public immutable stakingToken;
    IERC20 public immutable rewardsToken;
    uint256 public immutable rewardsDuration;

    uint256 public totalStaked;
    mapping(address user => uint256) public balanceOf;

    /// @notice Reward units per second, floored: fewer than `rewardsDuration` units stay behind.
    uint256 public rewardRate;
    uint256 public periodFinish;
    uint256 public lastUpdateTime;
    uint256 public rewardPerTokenStored;
    mapping(address user => uint256) public userRewardPerTokenPaid;
    mapping(address user => uint256) public rewards;

    constructor(IERC20 stakingToken_, IERC20 rewardsToken_, uint256 rewardsDuration_) Ownable(msg.sender) {
        require(rewardsDuration_ > 0, ZeroDuration());
        stakingToken = stakingToken_;
        rewardsToken = rewardsToken_;
        rewardsDuration = rewardsDuration_;
    }

    /// @notice Stakes `amount` of the caller's tokens, which it has approved before.
    /// @dev What arrives counts: a token that keeps a fee on transfer stakes less than was sent.
    function stake(uint256 amount) external nonReentrant {
        _updateReward(msg.sender);
        uint256 held = stakingToken.balanceOf(address(this));
        stakingToken.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = stakingToken.balanceOf(address(this)) - held;
        require(received > 0, ZeroAmount());
        totalStaked += received;
        balanceOf[msg.sender] += received;
        emit Staked(msg.sender, received);
    }

    /// @notice Gives `amount` of the caller's stake back.
    function withdraw(uint256 amount) external nonReentrant {
        _updateReward(msg.sender);
        _withdraw(amount);
    }

    /// @notice Pays the caller what it has earned so far, if anything.
    function getReward() external nonReentrant {
        _updateReward(msg.sender);
        _payReward();
    }

    /// @notice Gives the caller's whole stake back and pays what it has earned.
    function exit() external nonReentrant {
        _updateReward(msg.sender);
        uint256 staked = balanceOf[msg.sender];
        if (staked > 0) _withdraw(staked);
        _payReward();
    }

    /// @notice Takes `reward` from the owner, who has approved it, and lets it flow from now on,
    /// together with what is left of a reward that still flows.
    function notifyRewardAmount(uint256 reward) external onlyOwner nonReentrant {
        _updateReward(address(0));
        uint256 held = rewardsToken.balanceOf(address(this));
        rewardsToken.safeTransferFrom(msg.sender, address(this), reward);
        uint256 received = rewardsToken.balanceOf(address(this)) - held;
        uint256 left = block.timestamp < periodFinish ? (periodFinish - block.timestamp) * rewardRate : 0;
        require(received + left <= REWARD_MAX, RewardTooLarge(received));
        rewardRate = (received + left) / rewardsDuration;
        lastUpdateTime = block.timestamp;
        periodFinish = block.timestamp + rewardsDuration;
        emit RewardAdded(received);
    }

    /// @notice What `user` would be paid now.
    function earned(address user) public view returns (uint256) {
        return rewards[user] + (balanceOf[user] * (rewardPerToken() - userRewardPerTokenPaid[user])) / SCALE;
    }

    /// @notice What one staked unit has earned since the beginning, times 10^18.
    function rewardPerToken() public view returns (uint256) {
        if (totalStaked == 0) return rewardPerTokenStored;
        uint256 elapsed = lastTimeRewardApplicable() - lastUpdateTime;
        return rewardPerTokenStored + (elapsed * rewardRate * SCALE) / totalStaked;
    }

    /// @notice Now, or when the reward ran out.
    function lastTimeRewardApplicable() public view returns (uint256) {
        return block.timestamp < periodFinish ? block.timestamp : periodFinish;
    }

    function _updateReward(address user) private {
        rewardPerTokenStored = rewardPerToken();
        lastUpdateTime = lastTimeRewardApplicable();
        if (user == address(0)) return;
        rewards[user] = earned(user);
        userRewardPerTokenPaid[user] = rewardPerTokenStored;
    }

    function _withdraw(uint256 amount) private {
        uint256 staked = balanceOf[msg.sender];
        require(amount > 0, ZeroAmount());
        require(amount <= staked, MoreThanStaked(staked, amount));
        totalStaked -= amount;
        balanceOf[msg.sender] = staked - amount;
        stakingToken.safeTransfer(msg.sender, amount);
        emit Withdrawn(msg.sender, amount);
    }

    function _payReward() private {
        uint256 reward = rewards[msg.sender];
        if (reward == 0) return;
        rewards[msg.sender] = 0;
        rewardsToken.safeTransfer(msg.sender, reward);
        emit RewardPaid(msg.sender, reward);
    }
}
