// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The same two types as StakingRewards.Staked, so the same first topic, but nothing is indexed.
interface NothingIndexed {
    event Staked(address user, uint256 amount);
}

/// @dev As above, with both indexed.
interface BothIndexed {
    event Staked(address indexed user, uint256 indexed amount);
}

/// @dev Withdraw(address,uint256,uint256) of pools that number their stakes: pid, then amount.
interface NumberedPools {
    event Withdraw(address indexed user, uint256 indexed pid, uint256 amount);
}

/// @dev Withdraw(address,uint256,uint256) of vote escrows: amount, then time.
interface VoteEscrow {
    event Withdraw(address indexed provider, uint256 value, uint256 ts);
}

/// @title Logs that look like staking and are not, or only just.
/// @notice For tests: anybody may make it say anything.
contract OddEvents {
    event Staked(address indexed user, uint256 amount);

    /// @notice The genuine shape, once per amount, all in one transaction. Zero is an amount too.
    function staked(address user, uint256[] calldata amounts) external {
        for (uint256 i = 0; i < amounts.length; i++) {
            emit Staked(user, amounts[i]);
        }
    }

    function stakedNothingIndexed(address user, uint256 amount) external {
        emit NothingIndexed.Staked(user, amount);
    }

    function stakedBothIndexed(address user, uint256 amount) external {
        emit BothIndexed.Staked(user, amount);
    }

    /// @notice The genuine topics, with `data` of any length and content.
    function stakedWithData(address user, bytes calldata data) external {
        bytes32 topic0 = Staked.selector;
        bytes memory copy = data;
        assembly ("memory-safe") {
            log2(add(copy, 0x20), mload(copy), topic0, user)
        }
    }

    /// @notice The genuine first topic and data, with any word where the user's address belongs.
    function stakedByWord(bytes32 user, uint256 amount) external {
        bytes32 topic0 = Staked.selector;
        assembly ("memory-safe") {
            mstore(0, amount)
            log2(0, 0x20, topic0, user)
        }
    }

    function withdrawFromNumberedPool(address user, uint256 pid, uint256 amount) external {
        emit NumberedPools.Withdraw(user, pid, amount);
    }

    function withdrawFromVoteEscrow(address provider, uint256 value, uint256 time) external {
        emit VoteEscrow.Withdraw(provider, value, time);
    }

    /// @notice A log without any topic.
    function loggedWithoutTopics(bytes calldata data) external {
        bytes memory copy = data;
        assembly ("memory-safe") {
            log0(add(copy, 0x20), mload(copy))
        }
    }
}
