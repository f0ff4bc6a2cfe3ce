//! Secrets that a test gives to the product, and what must not show them.
//!
//! What a test writes into a file for nobody else, and what its callers show as who they are, is looked for in all that
//! processes and commands of the same test program say, and in the arguments and environments of those processes: as it is, and
//! in the forms that bytes usually take in a text.

use std::collections::HashSet;
use std::sync::{LazyLock, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What is looked for has so many bytes: too many to be anywhere by chance, and few enough that half a token is found.
const PIECE: usize = 16;
/// Shorter words of a file are names.
const SHORTEST: usize = 32;

/// What stands before the private half of a key: in PKCS #8, a version and the length of an octet string; in OpenSSH's format,
/// the length of both halves. *Source:* RFC 5915, section 3, and OpenSSH's `PROTOCOL.key`.
const KEY_BEGINS: [&[u8]; 2] = [&[2, 1, 1, 4, 32], &[0, 0, 0, 64]];

type Pieces = HashSet<[u8; PIECE]>;

static PIECES: LazyLock<RwLock<Pieces>> = LazyLock::new(RwLock::default);

/// From now on these bytes are a secret.
pub fn plant(secret: impl AsRef<[u8]>) {
    let pieces = secret.as_ref().chunks_exact(PIECE).flat_map(forms);
    let pieces = pieces.filter_map(|form| form.first_chunk().copied());
    let mut planted = PIECES.write().unwrap_or_else(PoisonError::into_inner);
    planted.extend(pieces);
}

/// The same of what a file says: every word that is as long as a token or a line of a key, and the private half of a key as
/// bytes. Paths and methods are none.
pub fn plant_file(text: impl AsRef<[u8]>) {
    plant_words(&text);
    for part in String::from_utf8_lossy(text.as_ref()).split("-----") {
        let base64: String = part.split_ascii_whitespace().collect();
        // What stands around it is none.
        let bytes = STANDARD.decode(base64).unwrap_or_default();
        if let Some(half) = private_half(&bytes) {
            plant(half);
        }
    }
}

/// The 32 bytes of a P-256 or an Ed25519 key. The other half is no secret: certificates are in the log of TLS.
fn private_half(key: &[u8]) -> Option<&[u8; 32]> {
    KEY_BEGINS.iter().find_map(|begins| {
        let at = key.windows(begins.len()).position(|part| part == *begins)?;
        key[at + begins.len()..].first_chunk()
    })
}

/// The same of every word of a text that is long enough.
pub fn plant_words(text: impl AsRef<[u8]>) {
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=._~-".contains(&byte);
    for word in text.as_ref().split(|byte| !is_of_word(*byte)) {
        let is_path = word.contains(&b'/') && (word[0] == b'/' || word.contains(&b'.'));
        if word.len() >= SHORTEST && !is_path {
            plant(word);
        }
    }
}

/// Where some of a secret is in `said`, with what stands around it.
#[must_use]
pub fn found_in(said: impl AsRef<[u8]>) -> Option<String> {
    let said = said.as_ref();
    let planted = PIECES.read().unwrap_or_else(PoisonError::into_inner);
    if planted.is_empty() {
        return None;
    }
    let is_secret = |piece: &[u8]| planted.contains(piece);
    let at = said.windows(PIECE).position(is_secret)?;
    let around = &said[at.saturating_sub(100)..said.len().min(at + 3 * PIECE)];
    Some(around.escape_ascii().to_string())
}

/// Sees that `said` shows nothing of a secret; `what` says that.
///
/// # Panics
///
/// When it does.
pub fn are_not_in(what: &str, said: impl AsRef<[u8]>) {
    if let Some(around) = found_in(said) {
        panic!("{what} shows a secret: {around}");
    }
}

/// How a text may show some bytes.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let each = |form: fn(&u8) -> String| bytes.iter().map(form).collect::<Vec<_>>();
    let percent = |byte: &u8| match byte {
        b'.' | b'_' | b'~' | b'-' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let mut forms = vec![
        bytes.to_vec(),
        each(|byte| format!("{byte:02x}")).concat().into(),
        each(|byte| format!("{byte:02X}")).concat().into(),
        each(percent).concat().into(),
        each(u8::to_string).join(", ").into(),
        bytes.escape_ascii().to_string().into(),
    ];
    for before in 0..3 {
        forms.extend(base64(bytes, before));
    }
    forms
}

/// What base64 makes of `bytes` behind so many others, whatever those are and whatever follows.
fn base64(bytes: &[u8], before: usize) -> [Vec<u8>; 2] {
    let whole = [&[0; 2][..before], bytes].concat();
    let bits = 8 * whole.len();
    let sure = (8 * before).div_ceil(6)..bits / 6;
    [
        STANDARD_NO_PAD.encode(&whole),
        URL_SAFE_NO_PAD.encode(&whole),
    ]
    .map(|text| text.as_bytes()[sure.clone()].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_nothing_else_is() {
        let secret = "it is the 1 thing/that~nobody?may+know";
        let bytes = [0x9e, 0xe8, 0x9d, 0xd1, 0xff, 0, 7, b'"'].repeat(4);
        plant(secret);
        plant(&bytes);
        for shown in [
            format!("{:?} {:#?}", secret, "x"),
            format!("{:?}", secret.as_bytes()),
            format!("{bytes:?}"),
            format!("{:?}", bytes::Bytes::from(bytes.clone())),
            format!("token={}", &secret[3..]),
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
            secret
                .replace(' ', "%20")
                .replace('/', "%2F")
                .replace('+', "%2B")
                .replace('?', "%3F"),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode([b"x", &bytes[..]].concat()),
            STANDARD_NO_PAD.encode(format!("Bearer: {secret}, and more")),
        ] {
            let said = format!("a line that says {shown} and so on");
            assert!(found_in(&said).is_some(), "{said}");
        }
        let other = "it is one thing that everybody may know";
        for said in [
            other,
            "",
            &secret[..PIECE - 1],
            &STANDARD_NO_PAD.encode(other),
        ] {
            assert_eq!(found_in(said), None);
        }
    }

    #[test]
    fn words_of_a_file_are_secrets_where_they_are_as_long_as_one() {
        let [token, line, method] = ["kq", "+/Az", "Zx"].map(|word| word.repeat(20));
        let path = format!("/{method}.Service/{method}");
        plant_file(format!(
            "# a file\n{token} rainbow\n[{path}]\n-----BEGIN\n{line}=\n"
        ));
        assert!(found_in(format!("{{{token}}}")).is_some());
        assert!(found_in(&line).is_some());
        assert_eq!(found_in(path), None);
        assert_eq!(found_in("# a file, rainbow, -----BEGIN"), None);
    }

    #[test]
    fn the_private_half_of_a_key_is_a_secret_and_the_other_is_none() {
        let halves = [[0xfa; 32], [0xfb; 32]];
        for begins in KEY_BEGINS {
            let key = [b"a key of a kind: ", begins, &halves.concat()].concat();
            let pem = STANDARD.encode(key);
            let (one, two) = pem.split_at(20);
            plant_file(format!("-----BEGIN A KEY-----\n{one}\n{two}\n-----END"));
            assert!(found_in(format!("{:?}", halves[0])).is_some());
            assert_eq!(found_in(format!("{:?}", halves[1])), None);
        }
    }
}
