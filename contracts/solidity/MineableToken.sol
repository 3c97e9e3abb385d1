// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title A token that is mined by proof of work, with the interface of EIP-918.
/// @notice A nonce is worth a reward if keccak256(challenge, miner, nonce) is no larger than the target.
/// @dev The miner's address is part of the work, so a nonce seen in the mempool is of no use to others.
/// Every mint makes a challenge that never was before, so work counts once. There is no supply cap.
contract MineableToken is ERC20 {
    event Mint(address indexed from, uint256 rewardAmount, uint256 epochCount, bytes32 newChallengeNumber);

    /// @notice The nonce is not a solution for this caller and the current challenge.
    error WorkTooSmall(uint256 digest, uint256 target);
    /// @notice The starting target lies outside `MIN_TARGET`..`MAX_TARGET`.
    error TargetOutOfRange(uint256 target);
    /// @notice An epoch must be meant to take at least a second.
    error ZeroEpoch();

    /// @notice The easiest target: about every 16th nonce is a solution. Leaves room to multiply.
    uint256 public constant MAX_TARGET = 2 ** 252;
    /// @notice The hardest target: below it, work is out of anybody's reach.
    uint256 public constant MIN_TARGET = 2 ** 16;
    /// @notice How many mints lie between two adjustments.
    uint256 public constant EPOCHS_PER_ADJUSTMENT = 16;
    /// @notice One adjustment makes mining at most this many times easier or harder.
    uint256 public constant ADJUSTMENT_MAX = 4;

    uint256 private immutable _reward;
    uint256 private immutable _secondsPerEpoch;

    /// @notice How many times the token was mined.
    uint256 public epochCount;
    uint256 private _target;
    bytes32 private _challenge;
    uint256 private _adjustedAt;

    /// @param reward_ what one mint gives, in the token's smallest unit
    /// @param startingTarget the first target; the larger, the easier
    /// @param secondsPerEpoch the time between two mints that adjustments aim at
    constructor(
        string memory name_,
        string memory symbol_,
        uint256 reward_,
        uint256 startingTarget,
        uint64 secondsPerEpoch
    ) ERC20(name_, symbol_) {
        require(startingTarget >= MIN_TARGET && startingTarget <= MAX_TARGET, TargetOutOfRange(startingTarget));
        require(secondsPerEpoch > 0, ZeroEpoch());
        _reward = reward_;
        _secondsPerEpoch = secondsPerEpoch;
        _target = startingTarget;
        _adjustedAt = block.timestamp;
        _challenge = _nextChallenge();
    }

    /// @notice Gives the caller the reward for a nonce that solves the current challenge.
    function mint(uint256 nonce) external returns (bool success) {
        uint256 digest = uint256(keccak256(abi.encodePacked(_challenge, msg.sender, nonce)));
        require(digest <= _target, WorkTooSmall(digest, _target));
        epochCount += 1;
        if (epochCount % EPOCHS_PER_ADJUSTMENT == 0) _adjustTarget();
        _challenge = _nextChallenge();
        _mint(msg.sender, _reward);
        emit Mint(msg.sender, _reward, epochCount, _challenge);
        return true;
    }

    function getChallengeNumber() external view returns (bytes32) {
        return _challenge;
    }

    function getMiningTarget() external view returns (uint256) {
        return _target;
    }

    /// @notice How many times harder mining is than at the easiest target.
    function getMiningDifficulty() external view returns (uint256) {
        return MAX_TARGET / _target;
    }

    function getMiningReward() external view returns (uint256) {
        return _reward;
    }

    /// @notice The seconds that should lie between two adjustments.
    function getAdjustmentInterval() public view returns (uint256) {
        return EPOCHS_PER_ADJUSTMENT * _secondsPerEpoch;
    }

    /// @dev Scales the target by the time the last epochs took, over the time they should have taken.
    function _adjustTarget() private {
        uint256 aim = getAdjustmentInterval();
        uint256 took = Math.min(block.timestamp - _adjustedAt, aim * ADJUSTMENT_MAX);
        uint256 scaled = Math.mulDiv(_target, took, aim);
        uint256 hardest = Math.max(_target / ADJUSTMENT_MAX, MIN_TARGET);
        _target = Math.min(Math.max(scaled, hardest), MAX_TARGET);
        _adjustedAt = block.timestamp;
    }

    /// @dev The block hash keeps work from being done ahead; the previous challenge and the count make
    /// every challenge new, also for several mints in one block.
    function _nextChallenge() private view returns (bytes32) {
        return keccak256(abi.encode(blockhash(block.number - 1), _challenge, epochCount, address(this)));
    }
}
