//! Keys of edges, as `ssh-keygen -t ed25519 -N ''` of OpenSSH 9 made them.

/// What is in the two files of a key.
#[derive(Debug)]
pub struct KeyFiles {
    /// The file for the edge.
    pub private: &'static str,
    /// Its `.pub` file.
    pub public: &'static str,
    /// What `ssh-keygen -l` says of it.
    pub fingerprint: &'static str,
}

/// Three of them. They are good for nothing but tests.
pub const KEYS: [KeyFiles; 3] = [
    KeyFiles {
        private: include_str!("../../process/src/openssh/keys/first"),
        public: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQAP4F+ecyaQ/8wO54/+HqSz1Mk42Xesq7zTyaXAJN5 first@test",
        fingerprint: "SHA256:W4oz2jOmfOIezHU/tKZgyKpO5VuYMnwGyRalR8AlaOU",
    },
    KeyFiles {
        private: include_str!("../../process/src/openssh/keys/second"),
        public: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBXhJ1hrH/VH1/EjfXsag9TNO7HNRv+WhKeWPxbLKvdJ second@test",
        fingerprint: "SHA256:f2yqhwQ8A20E8bhWbYBipcIHCKIuIZ/v5X949aHSECY",
    },
    KeyFiles {
        private: include_str!("../../process/src/openssh/keys/kitchens"),
        public: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIotf0zTX7ovpX+DMMs6kSDIjDvWbuLRaOqybW12bPix kitchens@test",
        fingerprint: "SHA256:LLew/StHW7kX71JYvsN919eHPMwodqDk5k7XhY/KWTE",
    },
];
