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
        private: "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAkAD+BfnnMmkP/MDueP/h6ks9TJONl3rKu808mlwCTeQAAAJCaPN0Pmjzd
DwAAAAtzc2gtZWQyNTUxOQAAACAkAD+BfnnMmkP/MDueP/h6ks9TJONl3rKu808mlwCTeQ
AAAECe6J3R04MQAkhSRQHNiS4sfkwP7BinVghyZ2KH7JbRdCQAP4F+ecyaQ/8wO54/+HqS
z1Mk42Xesq7zTyaXAJN5AAAACmZpcnN0QHRlc3QBAgM=
-----END OPENSSH PRIVATE KEY-----
",
        public: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQAP4F+ecyaQ/8wO54/+HqSz1Mk42Xesq7zTyaXAJN5 first@test",
        fingerprint: "SHA256:W4oz2jOmfOIezHU/tKZgyKpO5VuYMnwGyRalR8AlaOU",
    },
    KeyFiles {
        private: "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAV4SdYax/1R9fxI317GoPUzTuxzUb/loSnlj8Wyyr3SQAAAJBKPSk/Sj0p
PwAAAAtzc2gtZWQyNTUxOQAAACAV4SdYax/1R9fxI317GoPUzTuxzUb/loSnlj8Wyyr3SQ
AAAECmBaaXF36ry3KJKQiv52skSZVquHeKtA5o7SLx5bSCXRXhJ1hrH/VH1/EjfXsag9TN
O7HNRv+WhKeWPxbLKvdJAAAAC3NlY29uZEB0ZXN0AQI=
-----END OPENSSH PRIVATE KEY-----
",
        public: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBXhJ1hrH/VH1/EjfXsag9TNO7HNRv+WhKeWPxbLKvdJ second@test",
        fingerprint: "SHA256:f2yqhwQ8A20E8bhWbYBipcIHCKIuIZ/v5X949aHSECY",
    },
    KeyFiles {
        private: "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACCKLX9M01+6L6V/gzDLOpEgyIw71m7i0Wjqsm1tdmz4sQAAAJBV4jFeVeIx
XgAAAAtzc2gtZWQyNTUxOQAAACCKLX9M01+6L6V/gzDLOpEgyIw71m7i0Wjqsm1tdmz4sQ
AAAEAPO7vGqB7c35inD2gmKCuCZwSTjKLh/j3omYMkjxJnMYotf0zTX7ovpX+DMMs6kSDI
jDvWbuLRaOqybW12bPixAAAADWtpdGNoZW5zQHRlc3Q=
-----END OPENSSH PRIVATE KEY-----
",
        public: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIotf0zTX7ovpX+DMMs6kSDIjDvWbuLRaOqybW12bPix kitchens@test",
        fingerprint: "SHA256:LLew/StHW7kX71JYvsN919eHPMwodqDk5k7XhY/KWTE",
    },
];
