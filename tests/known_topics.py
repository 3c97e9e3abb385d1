"""The first topics of the catalogue's events, as others have published them."""

KNOWN_TOPICS = {
    "masterchef.Withdraw": "f279e6a1f5e320cca91135676d9cb6e44ca8a08c0b88342bcdb1144f6511b568",
    "masterchef.EmergencyWithdraw": (
        "bb757047c2b5f3974fe26b7c10f732e7bce710b0952a71082702781e62ae0595"
    ),
    "masterchef-v2.Withdraw": "8166bf25f8a2b7ed3c85049207da4358d16edbed977d23fa2ee6f0dde3ec2132",
    "masterchef-v2.EmergencyWithdraw": (
        "2cac5e20e1541d836381527a43f651851e302817b71dc8e810284e69210c1c6b"
    ),
    # The same words of other meaning: why a log must match in the count of its topics too.
    "ve-lock.Withdraw": "f279e6a1f5e320cca91135676d9cb6e44ca8a08c0b88342bcdb1144f6511b568",
    "erc20.Transfer.to": "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "lido.TransferShares": "9d9c909296d9c674451c0c24f02cb64981eb3b727f99865939192f880a755dcb",
    "lido.TransferShares.to": "9d9c909296d9c674451c0c24f02cb64981eb3b727f99865939192f880a755dcb",
    "lido.SharesBurnt": "8b2a1e1ad5e0578c3dd82494156e985dade827a87c573b5c1c7716a32162ad64",
    "staking-rewards.Staked": "9e71bc8eea02a63969f509818f2dafb9254532904319f9dbda79b67bd34a5f3d",
    "staking-rewards.Withdrawn": "7084f5476618d8e60b11ef0d7d3f06914655adb8793e28ff7f018d4c76d505d5",
    "staking-rewards.RewardPaid": (
        "e2403640ba68fed3a2f88b7557551d1993f84b99bb10ff833f0cf8db0c5e0486"
    ),
    "eip918.Mint": "cf6fbb9dcea7d07263ab4f5c3a92f53af33dffc421d9d121e1c74b307e68189d",
    "erc900.Staked": "c65e53b88159e7d2c0fc12a0600072e28ae53ff73b4c1715369c30f160935142",
    "aave-stake-v1.Staked": "5dac0c1b1112564a045ba943c9d50270893e8e826c49be8e7073adc713ab7bd7",
    "aave-stake.Staked": "6c86f3fd5118b3aa8bb4f389a617046de0a3d3d477de1a1673d227f802f616dc",
    "masterchef.Deposit": "90890809c654f11d6e72a28fa60149770a0d11ec6c92319d6ceb2bb0a4ea1a15",
    "masterchef-v2.Deposit": "02d7e648dd130fc184d383e55bb126ac4c9c60e8f94bf05acdf557ba2d540b47",
    "masterchef-v2.Harvest": "71bab65ced2e5750775a0613be067df48ef06cf92a496ebf7663ae0660924954",
    "erc4626.Deposit": "dcbc1c05240f31ff3ad067ef1ee35ce4997762752e3a095284754544f4c709d7",
    "erc20.Transfer": "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "ve-lock.Deposit": "4566dfc29f6f11d13a418c26a02bef7c28bae749d4de47e4e6a7cddea6730d59",
    "lido.Submitted": "96a25c8ce0baabc1fdefd93e9ed25d8e092a3332f3aa9a41722b5697231d1d1a",
    "merkle-claim.Claimed": "4ec90e965519d92681267467f775ada5bd214aa92c0dc93d90a5e880ce9ed026",
    "merkle-claim-token.Claimed": (
        "f7a40077ff7a04c7e61f6f26fb13774259ddf1b6bce9ecf26a8276cdd3992683"
    ),
    "merkle-claim-plain.Claimed": (
        "d8138f8a3f377c5259ca548e70e4c2de94f129f5a11036a15b69513cba2b426a"
    ),
}
