//! What an edge says of itself beside its name: labels, by the rules of Kubernetes, so that what is a label there is one here.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Labels that an edge may have.
const MOST: usize = 32;
/// Bytes that they may have in all: a server remembers those of edges that left, and shows a thousand edges in one message.
const LONGEST: usize = 2048;

/// A key and its value, as in `team=red`.
///
/// A key is up to 63 letters, digits, `.`, `_` and `-`, of which the first and the last are letters or digits; in front of it there
/// may be a DNS name in lower case and `/`. A value is the same without such a name, or empty. *Source:*
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    key: String,
    value: String,
}

/// The labels of an edge, sorted by their keys, of which there is each one once. Cheap to clone.
///
/// ```
/// use grpc_multiplexer_tunnel::{Label, Labels};
///
/// let team: Label = "team=red".parse().unwrap();
/// let zone = Label::new("topology.kubernetes.io/zone", "antarctica-east1-a").unwrap();
/// let labels = Labels::new([zone, team]).unwrap();
/// assert_eq!(labels.to_string(), "team=red,topology.kubernetes.io/zone=antarctica-east1-a");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(Arc<BTreeMap<String, String>>);

/// The text is no label. It is not part of the message, because it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// It has no `=`.
    #[error("must be KEY=VALUE, as in team=red")]
    NoValue,
    /// What is in front of it is no key.
    #[error(
        "a label's key must be up to 63 letters, digits, '.', '_' or '-', the first and the last a letter or digit; in front of \
         it there may be a DNS name in lower case and '/', as in example.org/team"
    )]
    Key,
    /// What is behind it is no value.
    #[error(
        "a label's value must be up to 63 letters, digits, '.', '_' or '-', the first and the last a letter or digit; or empty"
    )]
    Value,
}

/// Labels that no edge can have, though each alone could be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabels {
    /// One of them is none: that of this place, from 1 on, in the order of their keys.
    #[error("label {0}, in the order of their keys: {1}")]
    Label(usize, InvalidLabel),
    /// A key has two values.
    #[error("the label {0} is given twice")]
    Twice(String),
    /// There are too many.
    #[error("there are {0} labels; an edge has at most {MOST}")]
    TooMany(usize),
    /// They are too long.
    #[error("the labels have {0} characters in all; they may have {LONGEST}")]
    TooLong(usize),
}

impl Label {
    /// The label of that key and that value.
    ///
    /// # Errors
    ///
    /// What is wrong with either.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Result<Self, InvalidLabel> {
        let (key, value) = (key.into(), value.into());
        if !is_key(&key) {
            return Err(InvalidLabel::Key);
        }
        if !value.is_empty() && !is_name(&value) {
            return Err(InvalidLabel::Value);
        }
        Ok(Self { key, value })
    }

    /// What comes before the `=`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What comes behind it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let (key, value) = text.split_once('=').ok_or(InvalidLabel::NoValue)?;
        Self::new(key, value)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl Labels {
    /// These labels.
    ///
    /// # Errors
    ///
    /// When a key comes twice, when there are more than 32, or when they have more than 2048 characters in all.
    pub fn new(labels: impl IntoIterator<Item = Label>) -> Result<Self, InvalidLabels> {
        let mut all = BTreeMap::new();
        for Label { key, value } in labels {
            if all.contains_key(&key) {
                return Err(InvalidLabels::Twice(key));
            }
            all.insert(key, value);
        }
        if all.len() > MOST {
            return Err(InvalidLabels::TooMany(all.len()));
        }
        let labels = Self(Arc::new(all));
        match labels.length() {
            length if length > LONGEST => Err(InvalidLabels::TooLong(length)),
            _ => Ok(labels),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The characters of all keys and values.
    fn length(&self) -> usize {
        self.iter()
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }

    /// Keys with their values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether `key` is there, with that value.
    #[must_use]
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|found| found == value)
    }

    /// Those that `others` have, too.
    #[must_use]
    pub fn in_common(&self, others: &Self) -> Self {
        if self == others {
            return self.clone();
        }
        let mut common = BTreeMap::clone(&self.0);
        common.retain(|key, value| others.has(key, value));
        Self(Arc::new(common))
    }

    /// As messages have them.
    #[must_use]
    pub fn to_map(&self) -> HashMap<String, String> {
        let owned = |(key, value): (&String, &String)| (key.clone(), value.clone());
        self.0.iter().map(owned).collect()
    }
}

/// Those of a message.
impl TryFrom<&HashMap<String, String>> for Labels {
    type Error = InvalidLabels;

    fn try_from(map: &HashMap<String, String>) -> Result<Self, InvalidLabels> {
        if map.len() > MOST {
            return Err(InvalidLabels::TooMany(map.len()));
        }
        // A map has another order each time.
        let sorted: BTreeMap<_, _> = map.iter().collect();
        let mut labels = Vec::new();
        for (place, (key, value)) in sorted.into_iter().enumerate() {
            let label = Label::new(key, value);
            labels.push(label.map_err(|wrong| InvalidLabels::Label(place + 1, wrong))?);
        }
        Self::new(labels)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            write!(f, "{separator}{key}={value}")?;
        }
        Ok(())
    }
}

fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_domain(domain) && is_name(name),
        None => is_name(text),
    }
}

fn is_name(text: &str) -> bool {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    text.len() <= 63
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text
            .bytes()
            .last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.as_bytes().iter().all(is_inside)
}

fn is_domain(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(is_inside)
    };
    text.len() <= 253 && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(texts: &[&str]) -> Result<Labels, InvalidLabels> {
        Labels::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let long = "a".repeat(64);
        let long_domain = format!("{}a/b", "a.".repeat(127));
        for key in [
            "",
            "-a",
            "a-",
            ".a",
            "a b",
            "a,b",
            "ä",
            "/a",
            "a/",
            "a/b/c",
            "A.org/a",
            "a..b/c",
            "-a/b",
            "a-/b",
            "a_b/c",
            "a\n",
            "*",
            &long,
            &long_domain,
        ] {
            let wrong = format!("{key}=x").parse::<Label>();
            assert_eq!(wrong, Err(InvalidLabel::Key), "{key:?}");
        }
        for value in [
            "-", "a-", "a b", " ", "a/b", "a=b", "a,b", "*", "ä", "a\n", &long,
        ] {
            let wrong = format!("a={value}").parse::<Label>();
            assert_eq!(wrong, Err(InvalidLabel::Value), "{value:?}");
        }
        assert_eq!("team".parse::<Label>(), Err(InvalidLabel::NoValue));
    }

    #[test]
    fn an_edge_has_each_key_once_and_no_more_than_a_server_keeps() {
        let wrong = labels(&["a=1", "b=1", "a=1"]).unwrap_err();
        assert_eq!(wrong.to_string(), "the label a is given twice");
        let numbered =
            |count: u32| Labels::new((0..count).map(|n| Label::new(format!("k{n}"), "").unwrap()));
        assert!(numbered(32).is_ok());
        assert_eq!(numbered(33), Err(InvalidLabels::TooMany(33)));
        let filled = |count: u32, last: &str| {
            let value = "v".repeat(61);
            let full = (10..count).map(|n| Label::new(format!("k{n}"), value.clone()).unwrap());
            Labels::new(full.chain([Label::new("last", last).unwrap()]))
        };
        assert_eq!(filled(41, &"v".repeat(60)).unwrap().length(), 2048);
        assert_eq!(
            filled(41, &"v".repeat(61)),
            Err(InvalidLabels::TooLong(2049))
        );
    }

    #[test]
    fn a_message_of_a_peer_is_held_to_the_same() {
        let map = |pairs: &[(&str, &str)]| {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect::<HashMap<_, _>>()
        };
        let right = Labels::try_from(&map(&[("team", "red"), ("a", "")])).unwrap();
        assert_eq!(right.to_string(), "a=,team=red");
        assert_eq!(right.to_map(), map(&[("a", ""), ("team", "red")]));
        for (wrong, mistake) in [
            (
                &[("team", "r d")][..],
                InvalidLabels::Label(1, InvalidLabel::Value),
            ),
            (
                &[("te=am", "red")],
                InvalidLabels::Label(1, InvalidLabel::Key),
            ),
            (&[("", "")], InvalidLabels::Label(1, InvalidLabel::Key)),
            // The first of all that are wrong, whatever order the map has.
            (
                &[("d", "-"), ("e.", ""), ("b", "-"), ("c.", ""), ("a", "1")],
                InvalidLabels::Label(2, InvalidLabel::Value),
            ),
        ] {
            assert_eq!(Labels::try_from(&map(wrong)), Err(mistake), "{wrong:?}");
        }
    }

    #[test]
    fn what_all_have_in_common_is_what_each_has() {
        let (red, blue) = (
            labels(&["a=1", "team=red"]),
            labels(&["a=1", "b=2", "team=blue"]),
        );
        let (red, blue) = (red.unwrap(), blue.unwrap());
        assert_eq!(red.in_common(&blue), labels(&["a=1"]).unwrap());
        assert_eq!(red.in_common(&red), red);
        assert!(red.in_common(&Labels::default()).is_empty());
    }

    proptest! {
        #[test]
        fn what_matches_the_pattern_is_kept(
            key in "([a-z0-9]{1,9}(\\.[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?){0,3}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
            value in "([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?",
        ) {
            let text = format!("{key}={value}");
            let label: Label = text.parse().unwrap();
            prop_assert_eq!((label.key(), label.value()), (&*key, &*value));
            prop_assert_eq!(label.to_string(), text);
        }
    }
}
