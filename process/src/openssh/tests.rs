//! Files as `ssh-keygen` of OpenSSH 9 wrote them, and what else may be in their place.

use super::*;

/// By `ssh-keygen -t ed25519 -N ''`.
const PRIVATE: &str = include_str!("keys/first");
const PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQAP4F+ecyaQ/8wO54/+HqSz1Mk42Xesq7zTyaXAJN5 first@test";
const FINGERPRINT: &str = "SHA256:W4oz2jOmfOIezHU/tKZgyKpO5VuYMnwGyRalR8AlaOU";
/// By `ssh-keygen -t ed25519 -N secret`.
const ENCRYPTED: &str = include_str!("keys/encrypted");
/// By `ssh-keygen -t ecdsa -N ''`.
const ECDSA: [&str; 2] = [
    "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQRVaXw7bg/evKvzPyNWYqQU+CdKX9vy
/VGZJDURsfIh8xDSrTRdALx4FOzATjnCbLu4scjx+uEYuT8fE04+FWU7AAAAoLvYUSC72F
EgAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFVpfDtuD968q/M/
I1ZipBT4J0pf2/L9UZkkNRGx8iHzENKtNF0AvHgU7MBOOcJsu7ixyPH64Ri5Px8TTj4VZT
sAAAAgF4/BRWK6BEcwjVoLO7R2ZvbZP7LQ9Ku22TUzSK2U05gAAAAHZWNAdGVzdAE=
-----END OPENSSH PRIVATE KEY-----
",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFVpfDtuD968q/M/I1ZipBT4J0pf2/L9UZkkNRGx8iHzENKtNF0AvHgU7MBOOcJsu7ixyPH64Ri5Px8TTj4VZTs= ec@test",
];

fn public(line: &str) -> Result<SshPublicKey, SshPublicKeyError> {
    SshPublicKey::of_words(&mut line.split_ascii_whitespace())
}

/// `text` with other bytes in what its base64 says.
fn changed(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    let (begin, end) = (lines.remove(0), lines.pop().unwrap());
    let mut bytes = STANDARD.decode(lines.concat()).unwrap();
    change(&mut bytes);
    format!("{begin}\n{}\n{end}\n", STANDARD.encode(bytes))
}

#[test]
fn a_key_is_read_from_both_of_its_files() {
    let private: SshPrivateKey = PRIVATE.parse().unwrap();
    assert_eq!(private.public().to_string(), FINGERPRINT);
    let key = public(PUBLIC).unwrap();
    assert_eq!(private.public(), &key);
    assert_eq!(SshPublicKey::from(*key.bytes()), key);
    let windows = PRIVATE.replace('\n', "\r\n");
    assert_eq!(windows.parse(), Ok(private));
}

#[test]
fn a_signature_is_good_for_its_message_and_key_alone() {
    let private: SshPrivateKey = PRIVATE.parse().unwrap();
    let (key, signature) = (private.public(), private.sign(b"message"));
    assert_eq!(signature.len(), 64);
    assert!(key.verifies(b"message", &signature));
    assert!(!key.verifies(b"messagf", &signature));
    for at in 0..signature.len() {
        let mut wrong = signature.clone();
        wrong[at] ^= 1;
        assert!(!key.verifies(b"message", &wrong), "{at}");
    }
    assert!(!key.verifies(b"message", &signature[..63]));
    assert!(!key.verifies(b"message", b""));
    assert!(!SshPublicKey([7; 32]).verifies(b"message", &signature));
}

/// *Source:* RFC 8032, section 7.1, test 2.
#[test]
fn a_signature_is_that_of_the_standard() {
    let bytes = |hex: &str| -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    };
    let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    let key = SshPublicKey(key.try_into().unwrap());
    assert!(key.verifies(&[0x72], &signature));
}

#[test]
fn what_is_no_public_key_is_told_by_what_it_is() {
    let (kind, base64) = PUBLIC.split_once(' ').unwrap();
    let base64 = base64.split(' ').next().unwrap();
    let blob = STANDARD.decode(base64).unwrap();
    let with = |blob: &[u8]| format!("{kind} {}", STANDARD.encode(blob));
    use SshPublicKeyError::{Broken, OtherKind};
    for (line, wanted) in [
        (String::new(), OtherKind),
        (ECDSA[1].to_owned(), OtherKind),
        (base64.to_owned(), OtherKind),
        // Of another kind than it says.
        (
            format!("{kind} {}", ECDSA[1].split(' ').nth(1).unwrap()),
            OtherKind,
        ),
        (kind.to_owned(), Broken),
        (format!("{kind} {}", &base64[..67]), Broken),
        (format!("{kind} {}!", &base64[..67]), Broken),
        (with(&blob[..50]), Broken),
        (with(&[&blob[..], b"x"].concat()), Broken),
        (with(b""), Broken),
    ] {
        assert_eq!(public(&line), Err(wanted), "{line}");
    }
}

#[test]
fn what_is_no_private_key_is_told_by_what_it_is() {
    let cut = |at: usize| PRIVATE[..at].to_owned();
    let other = |at: usize| changed(PRIVATE, |bytes| bytes[at] ^= 1);
    use SshPrivateKeyError::{Broken, Encrypted, Missing, OtherKind, Public};
    for (text, wanted) in [
        (String::new(), Missing),
        ("first-token-of-rainbow".to_owned(), Missing),
        (PRIVATE.replace("OPENSSH ", ""), Missing),
        (PUBLIC.to_owned(), Public),
        (ENCRYPTED.to_owned(), Encrypted),
        (ECDSA[0].to_owned(), OtherKind),
        (cut(100), Broken),
        (cut(PRIVATE.len() - 10), Broken),
        (PRIVATE.replace("AAAA", "!!!!"), Broken),
        (changed(PRIVATE, Vec::clear), Broken),
        (changed(PRIVATE, |bytes| bytes.push(1)), Broken),
    ] {
        assert_eq!(text.parse::<SshPrivateKey>(), Err(wanted), "{text}");
    }
    // The magic, how many keys, a check, the kind, the public key, the seed, the public key again, the filling.
    let length = STANDARD
        .decode(
            PRIVATE
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .unwrap()
        .len();
    for at in [0, 38, 98, 110, 130, 165, 200, length - 1] {
        assert_eq!(other(at).parse::<SshPrivateKey>(), Err(Broken), "{at}");
    }
}

/// Whatever byte of a file is another, it is no key, or still the same: the comment counts for nothing.
#[test]
fn a_file_with_a_wrong_byte_is_never_another_key() {
    let key: SshPrivateKey = PRIVATE.parse().unwrap();
    for at in 0..PRIVATE.len() {
        let mut bytes = PRIVATE.as_bytes().to_vec();
        bytes[at] ^= 1;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Ok(read) = text.parse::<SshPrivateKey>() {
            assert_eq!(read, key, "{at}");
            let signature = read.sign(b"message");
            assert!(key.public().verifies(b"message", &signature), "{at}");
        }
    }
}

#[test]
fn a_private_key_is_not_shown() {
    let key: SshPrivateKey = PRIVATE.parse().unwrap();
    assert_eq!(format!("{key:?}"), format!("SshPrivateKey({FINGERPRINT})"));
}

/// What `ssh-keygen` wrote, from what it chose at random.
#[test]
fn a_key_is_written_as_ssh_keygen_writes_it() {
    let base64: String = PRIVATE
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let bytes = STANDARD.decode(base64).unwrap();
    // Behind the magic, the words on the cipher, the number of keys, and the public key, each with its length.
    let secret = &bytes[15 + 4 + 4 + 4 + 4 + 4 + 4 + 4 + 51 + 4..];
    let check = secret[..4].try_into().unwrap();
    let seed = &secret[4 + 4 + 4 + 11 + 4 + 32 + 4..][..32];
    assert_eq!(
        made::text(seed.try_into().unwrap(), check, "first@test"),
        PRIVATE
    );
    for comment in ["", "1", "12345678", "a longer one, with blanks"] {
        let text = made::text(&[7; 32], [1; 4], comment);
        assert!(text.parse::<SshPrivateKey>().is_ok(), "{text}");
    }
}

#[test]
fn the_words_of_a_key_are_those_of_its_file() {
    let key = public(PUBLIC).unwrap();
    assert_eq!(format!("{} first@test", key.words()), PUBLIC);
}
