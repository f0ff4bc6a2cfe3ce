//! YAML of another form than that of the option table: a file that an option names, as a tree.
//!
//! As in the configuration file every scalar is text, as it is written, and what YAML offers beyond keys, scalars and lists is
//! refused by name. What a place of the tree should be is for its reader to ask; everything has its line.

use std::fmt;

use saphyr_parser::{Event, Marker, Parser, StrInput};

use super::event::{is_nothing, unsupported};
use crate::options::mistakes::printable;

/// Deeper ones are no configuration. The tree is built by recursion.
const DEEPEST: usize = 16;

/// What stands at one place of a YAML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yaml {
    at: Place,
    value: Value,
}

/// A place in a text, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    line: usize,
    column: usize,
}

/// A key and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlKey {
    /// Where it is.
    pub at: Place,
    /// As it is written.
    pub key: String,
    /// What follows it.
    pub value: Yaml,
}

/// Why a text is no YAML that can be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct NoYaml {
    at: Place,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    List(Vec<Yaml>),
    Keys(Vec<YamlKey>),
    /// What YAML calls null.
    Nothing,
    /// Something that is not read, and why.
    Unread(&'static str),
}

impl Yaml {
    /// Reads a text. One without anything has no keys.
    ///
    /// ```
    /// use grpc_multiplexer_process::Yaml;
    ///
    /// let file = Yaml::parse("log: [a, 01]").unwrap();
    /// let [log] = file.keys().unwrap() else { panic!() };
    /// assert_eq!(log.key, "log");
    /// assert_eq!(log.value.list().unwrap()[1].text(), Ok("01"));
    /// assert_eq!(log.value.at().to_string(), "line 1, column 6");
    /// ```
    ///
    /// # Errors
    ///
    /// Where the text is no YAML, has several documents, or is nested deeper than any configuration.
    pub fn parse(text: &str) -> Result<Self, NoYaml> {
        let mut events = Events(Parser::new_from_str(text));
        events.next()?;
        let root = match events.next()? {
            (Event::StreamEnd, at) => return Ok(Self::of(at, Value::Keys(Vec::new()))),
            (_, _) => events.node(0)?,
        };
        events.next()?;
        match events.next()? {
            (Event::StreamEnd, _) => Ok(match root.value {
                Value::Nothing => Self::of(root.at, Value::Keys(Vec::new())),
                _ => root,
            }),
            (_, at) => Err(at.is("a second document begins here; only one can be read")),
        }
    }

    fn of(at: Place, value: Value) -> Self {
        Self { at, value }
    }

    /// Where it begins.
    #[must_use]
    pub fn at(&self) -> Place {
        self.at
    }

    /// The text of a single value.
    ///
    /// # Errors
    ///
    /// What it should be.
    pub fn text(&self) -> Result<&str, &'static str> {
        match &self.value {
            Value::Text(text) => Ok(text),
            other => Err(other.is_not("expected a single value, not a list or keys")),
        }
    }

    /// The entries of a list.
    ///
    /// # Errors
    ///
    /// What it should be.
    pub fn list(&self) -> Result<&[Self], &'static str> {
        match &self.value {
            Value::List(entries) => Ok(entries),
            other => Err(other.is_not("expected a list, as in `[a, b]`")),
        }
    }

    /// Keys with what they have, in their order. A key may come twice.
    ///
    /// # Errors
    ///
    /// What it should be.
    pub fn keys(&self) -> Result<&[YamlKey], &'static str> {
        match &self.value {
            Value::Keys(keys) => Ok(keys),
            other => Err(other.is_not("expected keys with values, as in `key: value`")),
        }
    }
}

impl Value {
    fn is_not(&self, expected: &'static str) -> &'static str {
        match self {
            Self::Unread(reason) => reason,
            Self::Nothing => {
                "YAML reads this as no value; remove the key, or quote it if text is meant"
            }
            _ => expected,
        }
    }
}

impl Place {
    fn of(marker: &Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn is(self, reason: impl Into<String>) -> NoYaml {
        NoYaml {
            at: self,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

struct Events<'t>(Parser<'t, StrInput<'t>>);

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Place), NoYaml> {
        match self.0.next_event() {
            Some(Ok((event, span))) => Ok((event, Place::of(&span.start))),
            Some(Err(error)) => {
                let reason = format!("not YAML: {}", printable(error.info()));
                Err(Place::of(error.marker()).is(reason))
            }
            None => Ok((Event::StreamEnd, Place::of(&Marker::default()))),
        }
    }

    /// The next node, so deep.
    fn node(&mut self, depth: usize) -> Result<Yaml, NoYaml> {
        let (event, at) = self.next()?;
        self.rest(event, at, depth)
    }

    /// The node that `event` begins.
    fn rest(&mut self, event: Event<'t>, at: Place, depth: usize) -> Result<Yaml, NoYaml> {
        if depth > DEEPEST {
            return Err(at.is("nested too deep"));
        }
        let unread = unsupported(&event);
        let nothing = is_nothing(&event);
        let value = match event {
            Event::SequenceStart(..) => Value::List(self.entries(depth + 1)?),
            Event::MappingStart(..) => Value::Keys(self.pairs(depth + 1)?),
            Event::Scalar(..) if nothing => Value::Nothing,
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::StreamEnd => return Err(at.is("not YAML: it ends in the middle")),
            _ => Value::Nothing,
        };
        Ok(Yaml::of(at, unread.map_or(value, Value::Unread)))
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Yaml>, NoYaml> {
        let mut entries = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(entries),
                (event, at) => entries.push(self.rest(event, at, depth)?),
            }
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<YamlKey>, NoYaml> {
        let mut pairs = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(pairs),
                (Event::Scalar(key, _, 0, None), at) => pairs.push(YamlKey {
                    at,
                    key: key.into_owned(),
                    value: self.node(depth)?,
                }),
                (_, at) => return Err(at.is("a key must be a plain name")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<YamlKey> {
        Yaml::parse(text).unwrap().keys().unwrap().to_vec()
    }

    #[test]
    fn every_node_has_its_place_and_scalars_are_text() {
        let read = keys("a: 0x1F\nb:\n  - no\n  - c: '*'\n");
        assert_eq!(read[0].value.text(), Ok("0x1F"));
        let list = read[1].value.list().unwrap();
        assert_eq!(list[0].text(), Ok("no"));
        assert_eq!(list[1].at().to_string(), "line 4, column 5");
        let inner = list[1].keys().unwrap();
        assert_eq!((&*inner[0].key, inner[0].value.text()), ("c", Ok("*")));
    }

    #[test]
    fn a_text_without_anything_has_no_keys() {
        for text in ["", "# nothing\n", "---\n", "~", "{}"] {
            assert_eq!(keys(text), [], "{text:?}");
        }
    }

    #[test]
    fn what_is_something_else_says_what_it_should_be() {
        let read = keys("text: a\nlist: [a]\nnull: ~\nnone:\nanchor: &a b\nalias: *a\ntag: !x y\n");
        let [text, list, null, none, anchor, alias, tag] = &read[..] else {
            panic!("{read:?}")
        };
        assert!(text.value.list().unwrap_err().contains("a list"));
        assert!(text.value.keys().unwrap_err().contains("keys"));
        assert!(list.value.text().unwrap_err().contains("a single value"));
        for none in [null, none] {
            assert!(none.value.text().unwrap_err().contains("no value"));
        }
        for anchor in [anchor, alias] {
            assert!(anchor.value.text().unwrap_err().contains("anchors"));
        }
        assert!(tag.value.text().unwrap_err().contains("tags"));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let deep = "[".repeat(DEEPEST + 3);
        for (text, said) in [
            ("a: [", "line 2, column 1: not YAML"),
            ("a: b\n---\nc: d", "line 2, column 1: a second document"),
            ("a:\n  ? [b]\n  : c", "line 2, column 5: a key must be"),
            (&deep, "nested too deep"),
            ("ids: [*]", "not YAML"),
        ] {
            let error = Yaml::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
