//! What a hook wants to be known of an edge or a caller.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::failure::line;

/// What the metadata of backends begins with that tells what is known of an edge.
pub(super) const OF_EDGES: &str = "x-mux-ctx-";
/// The same of a caller.
pub(super) const OF_CALLERS: &str = "x-mux-caller-ctx-";

/// Entries of one.
const ENTRIES: usize = 16;
/// Characters of a key, and of a value.
const KEY: usize = 64;
const VALUE: usize = 256;

/// It, as metadata. Clones share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Context(Option<Arc<Entries>>);

#[derive(Debug, PartialEq, Eq)]
struct Entries {
    prefix: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why what a hook wants to be known is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongContext {
    #[error("its context has {0} entries; it may have up to {ENTRIES}")]
    Many(usize),
    #[error(
        "its context has the key {0:?}; one has 1 to {KEY} characters of a-z, 0-9, `-`, `_` and `.`, and does not end with \
         `-bin`"
    )]
    Key(String),
    #[error(
        "its context has a value of {0:?} that cannot be; one has up to {VALUE} printable characters of ASCII, and no space at \
         either end"
    )]
    Value(String),
}

impl Context {
    pub(super) fn read(
        prefix: &'static str,
        said: HashMap<String, String>,
    ) -> Result<Self, WrongContext> {
        if said.is_empty() {
            return Ok(Self::default());
        }
        if said.len() > ENTRIES {
            return Err(WrongContext::Many(said.len()));
        }
        let mut said: Vec<_> = said.into_iter().collect();
        said.sort();
        let headers = said
            .into_iter()
            .map(|(key, value)| entry(prefix, key, &value));
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Self(Some(Arc::new(Entries { prefix, headers }))))
    }

    /// Tells a backend.
    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        for (name, value) in self.0.iter().flat_map(|entries| &entries.headers) {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// As the hook said it.
    pub(crate) fn shown(&self) -> HashMap<String, String> {
        let entries = self.0.iter();
        let shown = entries.flat_map(|entries| {
            entries.headers.iter().map(|(name, value)| {
                let key = name.as_str().strip_prefix(entries.prefix);
                let key = key.expect("all begin with it");
                let value = value.to_str().expect("it is printable");
                (key.to_owned(), value.to_owned())
            })
        });
        shown.collect()
    }
}

fn entry(
    prefix: &str,
    key: String,
    value: &str,
) -> Result<(HeaderName, HeaderValue), WrongContext> {
    let is_of_key =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.');
    let is_key =
        (1..=KEY).contains(&key.len()) && key.bytes().all(is_of_key) && !key.ends_with("-bin");
    let name = HeaderName::try_from(format!("{prefix}{key}")).ok();
    let Some(name) = name.filter(|_| is_key) else {
        return Err(WrongContext::Key(line(&key)));
    };
    // Space around it would be lost on the way.
    let is_value = value.len() <= VALUE
        && value.bytes().all(|c| (b' '..=b'~').contains(&c))
        && value.trim() == value;
    let value = HeaderValue::try_from(value).ok();
    let value = value.filter(|_| is_value).ok_or(WrongContext::Value(key))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &[(&str, &str)]) -> Result<Context, WrongContext> {
        let said = said.iter();
        let said = said.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Context::read(OF_EDGES, said.collect())
    }

    #[test]
    fn what_cannot_be_metadata_is_named() {
        let long = "k".repeat(KEY + 1);
        for key in ["", "A", "a b", "ä", "a:b", "a-bin", "a\n", &long] {
            let wrong = WrongContext::Key(line(key));
            assert_eq!(read(&[(key, "v")]).unwrap_err(), wrong);
        }
        let long = "v".repeat(VALUE + 1);
        for value in ["ä", "a\nb", "\u{7f}", " a", "a ", &long] {
            let wrong = WrongContext::Value("k".to_owned());
            assert_eq!(read(&[("k", value)]).unwrap_err(), wrong, "{value:?}");
        }
        let keys: Vec<_> = (0..=ENTRIES).map(|n| format!("k{n}")).collect();
        let mut said: Vec<_> = keys.iter().map(|key| (&**key, "")).collect();
        assert_eq!(read(&said).unwrap_err(), WrongContext::Many(17));
        said.pop();
        assert!(read(&said).is_ok());
    }

    #[test]
    fn what_is_known_is_shown_as_it_was_said_and_told_with_a_prefix() {
        let (key, value) = ("k".repeat(KEY), "v".repeat(VALUE));
        let context = read(&[("tenant", "a b"), ("x-mux-ctx-", ""), (&key, &value)]).unwrap();
        let shown = context.shown();
        assert_eq!(shown["tenant"], "a b");
        assert_eq!(shown[&key], value);
        let mut headers = HeaderMap::new();
        context.put(&mut headers);
        assert_eq!(headers["x-mux-ctx-tenant"], "a b");
        assert_eq!(headers.len(), 3);
        assert!(shown.contains_key("x-mux-ctx-"), "{shown:?}");
    }
}
