// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Stakes by the dozen, without any token.
/// @notice For measuring: it fills a chain with as many events as a benchmark asks for.
contract ManyStakes {
    event Staked(address indexed user, uint256 amount);

    /// @notice Says that the stakes `first` to `first + count - 1` happened. Stake n is of user n modulo
    /// `users`, and of 0.001 to 1 token of 18 decimals.
    function stake(uint256 first, uint256 count, uint256 users) external {
        for (uint256 n = first; n < first + count; n++) {
            // Addresses as scattered as real ones are.
            address user = address(uint160(uint256(keccak256(abi.encode(n % users)))));
            emit Staked(user, (n % 1000 + 1) * 1e15);
        }
    }
}
