//! Tokens of edges and of callers.

/// A token, and its SHA-256 as `sha256sum` has it.
pub type Token = [&'static str; 2];

/// Three of them. They are good for nothing but tests.
pub const TOKENS: [Token; 3] = [
    [
        "first-token-of-rainbow-0123456789abcdef",
        "4d1145def5d743a39576d432973127d793cbc906e34d14f73434f03f922f4b71",
    ],
    [
        "second-token-of-rainbow-0123456789abcdef",
        "1407d6f141a376501ae0429b82977278b531d18108dbabf93d19152514d0222c",
    ],
    [
        "token-of-kitchens-0123456789abcdef-0123456789",
        "a9264987d3a22de3ff807d3febb00a1ec19ca03631f9f7e0c75a190a175ddc03",
    ],
];
