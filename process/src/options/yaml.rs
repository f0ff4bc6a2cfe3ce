//! A configuration file's text as leaves.
//!
//! Events of a YAML parser, not its values: YAML would make a number of `0123`, a float of `1e3` and a boolean of `no`,
//! and none of them could be told apart from what was typed. So every scalar is taken as it is written, quoted or not,
//! and what YAML offers beyond keys, scalars and lists is refused by name.
//!
//! Nothing here recurses deeper than the option table, and each text is read once from front to back.

mod event;
mod events;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use saphyr_parser::{Event, Marker};

use super::leaves::Layer;
use super::mistakes::{Mistake, printable};
use super::suggest::did_you_mean;
use super::{Leaf, OptionSpec};
use event::{is_nothing, refusal, scalar, unsupported};
use events::{Events, Read};
pub use tree::{NoYaml, Place, Yaml, YamlKey};

/// After as many mistakes the file is not meant for us.
const MOST_MISTAKES: usize = 50;

/// What the text of `file` says of `options`.
pub(super) fn layer(options: &'static [OptionSpec], file: &Path, text: &str) -> Layer {
    let mut document = Document {
        events: Events::of(file, text),
        options,
        seen: BTreeMap::new(),
        layer: Layer::default(),
    };
    if let Err(mistake) = document.read() {
        document.layer.mistakes.push(mistake);
    }
    document.layer
}

struct Document<'t> {
    events: Events<'t>,
    options: &'static [OptionSpec],
    /// Every path that came, with its line.
    seen: BTreeMap<String, usize>,
    layer: Layer,
}

impl<'t> Document<'t> {
    /// The stream of events: a start, and, unless the text is empty, the start of a document, its root, the end of the
    /// document; then the end, or another document.
    fn read(&mut self) -> Read<()> {
        self.events.next()?;
        if let (Event::StreamEnd, _) = self.events.next()? {
            return Ok(());
        }
        self.root()?;
        self.events.next()?;
        match self.events.next()? {
            (Event::StreamEnd, _) => Ok(()),
            (_, at) => self.note(at, "a second document begins here; only one can be read"),
        }
    }

    fn root(&mut self) -> Read<()> {
        match self.events.next()? {
            (Event::MappingStart(0, None), _) => self.mapping(""),
            (event, _) if is_nothing(&event) => Ok(()),
            (event, at) => {
                let expected = "expected keys with values, as in `log-level: info`";
                self.note(at, unsupported(&event).unwrap_or(expected))?;
                self.events.skip(&event)
            }
        }
    }

    /// The keys and values of a mapping that has begun; `prefix` is the path to it.
    fn mapping(&mut self, prefix: &str) -> Read<()> {
        loop {
            match self.events.next()? {
                (Event::MappingEnd, _) => return Ok(()),
                // A dot would be a second way to write a key below another.
                (Event::Scalar(key, _, 0, None), at) if !key.contains('.') => {
                    self.entry(prefix, &key, at)?;
                }
                (event, at) => {
                    let expected = "a key must be a plain name without dots";
                    self.note(at, unsupported(&event).unwrap_or(expected))?;
                    self.events.skip(&event)?;
                    self.events.skip_next()?;
                }
            }
        }
    }

    /// A key, and its value, which follows.
    fn entry(&mut self, prefix: &str, key: &str, at: Marker) -> Read<()> {
        let path = match prefix {
            "" => key.to_owned(),
            _ => format!("{prefix}.{key}"),
        };
        let mut options = self.options.iter();
        let option = options.find(|option| is_at_or_below(option.path, &path));
        let mistake = match (option, self.seen.insert(path.clone(), at.line())) {
            (_, Some(line)) => format!("given twice; first in line {line}"),
            (Some(option), None) if option.path == path => return self.value(option),
            (Some(_), None) => return self.group(&path),
            (None, None) => {
                let known = self.options.iter().map(|option| option.path);
                format!("unknown key{}", did_you_mean(&path, known, as_keys))
            }
        };
        self.note_of(at, &path, mistake)?;
        self.events.skip_next()
    }

    /// The value of a key that has keys below it.
    fn group(&mut self, path: &str) -> Read<()> {
        match self.events.next()? {
            (Event::MappingStart(0, None), _) => self.mapping(path),
            (event, at) => {
                let reason = unsupported(&event).unwrap_or("expected keys below this one");
                self.note_of(at, path, reason)?;
                self.events.skip(&event)
            }
        }
    }

    /// The value of an option's key.
    fn value(&mut self, option: &'static OptionSpec) -> Read<()> {
        let leaves = match self.events.next()? {
            (Event::MappingStart(0, None), at) if option.has_pairs() => self.pairs(option, at)?,
            (event, at) if option.has_pairs() => {
                let expected = "expected keys with values below this one, as in `team: red`";
                self.note_of(at, option.path, unsupported(&event).unwrap_or(expected))?;
                self.events.skip(&event)?;
                Vec::new()
            }
            (Event::SequenceStart(0, None), at) if option.many => self.list(option, at)?,
            (event, at) => Vec::from_iter(self.leaf(option, event, at)?),
        };
        if !leaves.is_empty() {
            self.layer.values.insert(option.path, leaves);
        }
        Ok(())
    }

    /// The values of a list that has begun at `start`.
    fn list(&mut self, option: &OptionSpec, start: Marker) -> Read<Vec<Leaf>> {
        let mut leaves = Vec::new();
        let mut is_empty = true;
        loop {
            match self.events.next()? {
                (Event::SequenceEnd, _) => break,
                (event, at) => leaves.extend(self.leaf(option, event, at)?),
            }
            is_empty = false;
        }
        if is_empty {
            let reason = "expected at least one value in the list";
            self.note_of(start, option.path, reason)?;
        }
        Ok(leaves)
    }

    /// The keys with values of a mapping that has begun at `start`, as a flag would have them.
    fn pairs(&mut self, option: &OptionSpec, start: Marker) -> Read<Vec<Leaf>> {
        let mut leaves = Vec::new();
        let mut is_empty = true;
        loop {
            match self.events.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(key, _, 0, None), _) if !key.contains('=') => {
                    let (event, at) = self.events.next()?;
                    let leaf = self.leaf(option, event, at)?;
                    leaves.extend(leaf.map(|leaf| Leaf {
                        value: format!("{key}={}", leaf.value),
                        ..leaf
                    }));
                }
                (event, at) => {
                    let expected = "a key must be a plain name without =";
                    self.note_of(at, option.path, unsupported(&event).unwrap_or(expected))?;
                    self.events.skip(&event)?;
                    self.events.skip_next()?;
                }
            }
            is_empty = false;
        }
        if is_empty {
            self.note_of(start, option.path, "expected at least one key")?;
        }
        Ok(leaves)
    }

    /// The leaf that `event` is, if it is one.
    fn leaf(&mut self, option: &OptionSpec, event: Event<'t>, at: Marker) -> Read<Option<Leaf>> {
        if let Some(reason) = refusal(&event) {
            self.note_of(at, option.path, reason)?;
            self.events.skip(&event)?;
            return Ok(None);
        }
        Ok(scalar(event).map(|value| Leaf {
            value: value.into_owned(),
            origin: self.events.origin(at),
        }))
    }

    fn note(&mut self, at: Marker, reason: &str) -> Read<()> {
        self.keep(Mistake::at(self.events.place(at), reason))
    }

    fn note_of(&mut self, at: Marker, path: &str, reason: impl Into<String>) -> Read<()> {
        let place = format!("{}: {}", self.events.place(at), printable(&as_keys(path)));
        self.keep(Mistake::at(place, reason))
    }

    fn keep(&mut self, mistake: Mistake) -> Read<()> {
        self.layer.mistakes.push(mistake);
        if self.layer.mistakes.len() < MOST_MISTAKES {
            return Ok(());
        }
        let reason = "too many mistakes; the rest of the file was not read";
        Err(Mistake::at(self.events.file(), reason))
    }
}

/// A path as it looks in a file.
fn as_keys(path: &str) -> String {
    path.replace('.', ": ")
}

/// Whether an option at `path` is what `key` names, or is below it.
fn is_at_or_below(path: &str, key: &str) -> bool {
    let rest = path.strip_prefix(key);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests;
