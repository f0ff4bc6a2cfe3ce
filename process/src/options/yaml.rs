//! A configuration file's text as leaves.
//!
//! Events of a YAML parser, not its values: YAML would make a number of `0123`, a float of `1e3` and a boolean of `no`,
//! and none of them could be told apart from what was typed. So every scalar is taken as it is written, quoted or not,
//! and what YAML offers beyond keys, scalars and lists is refused by name.
//!
//! Nothing here recurses deeper than the option table, and each text is read once from front to back.

mod event;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, StrInput};

use super::leaves::Layer;
use super::mistakes::{Mistake, printable};
use super::suggest::did_you_mean;
use super::{Leaf, OptionSpec, Origin};
use event::{depth_after, is_nothing, refusal, scalar, unsupported};

/// After as many mistakes the file is not meant for us.
const MOST_MISTAKES: usize = 50;

/// What the text of `file` says of `options`.
pub(super) fn layer(options: &'static [OptionSpec], file: &Path, text: &str) -> Layer {
    let mut document = Document {
        events: Parser::new_from_str(text),
        options,
        file: file.into(),
        seen: BTreeMap::new(),
        layer: Layer::default(),
    };
    if let Err(mistake) = document.read() {
        document.layer.mistakes.push(mistake);
    }
    document.layer
}

struct Document<'t> {
    events: Parser<'t, StrInput<'t>>,
    options: &'static [OptionSpec],
    file: Arc<Path>,
    /// Every path that came, with its line.
    seen: BTreeMap<String, usize>,
    layer: Layer,
}

/// The mistake after which there is nothing more to read.
type Read<T> = Result<T, Mistake>;

impl<'t> Document<'t> {
    fn read(&mut self) -> Read<()> {
        self.next()?;
        if let (Event::StreamEnd, _) = self.next()? {
            return Ok(());
        }
        match self.next()? {
            (Event::MappingStart(0, None), _) => self.mapping("")?,
            (event, _) if is_nothing(&event) => {}
            (event, at) => {
                let expected = "expected keys with values, as in `log-level: info`";
                self.note(at, unsupported(&event).unwrap_or(expected))?;
                self.skip(&event)?;
            }
        }
        self.next()?;
        match self.next()? {
            (Event::StreamEnd, _) => Ok(()),
            (_, at) => self.note(at, "a second document begins here; only one can be read"),
        }
    }

    /// The keys and values of a mapping that has begun; `prefix` is the path to it.
    fn mapping(&mut self, prefix: &str) -> Read<()> {
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(()),
                (Event::Scalar(key, _, 0, None), at) => self.entry(prefix, &key, at)?,
                (event, at) => {
                    let reason = unsupported(&event).unwrap_or("a key must be a plain name");
                    self.note(at, reason)?;
                    self.skip(&event)?;
                    self.skip_next()?;
                }
            }
        }
    }

    fn entry(&mut self, prefix: &str, key: &str, at: Marker) -> Read<()> {
        if key.contains('.') {
            let reason = "unknown key; a key below another stands on a line of its own";
            self.note_of(at, key, reason)?;
            return self.skip_next();
        }
        let path = match prefix {
            "" => key.to_owned(),
            _ => format!("{prefix}.{key}"),
        };
        if let Some(line) = self.seen.insert(path.clone(), at.line()) {
            self.note_of(
                at,
                &as_keys(&path),
                format!("given twice; first in line {line}"),
            )?;
            return self.skip_next();
        }
        let mut options = self.options.iter();
        match options.find(|option| is_at_or_below(option.path, &path)) {
            Some(option) if option.path == path => self.value(option),
            Some(_) => self.group(&path),
            None => {
                let known = self.options.iter().map(|option| option.path);
                let meant = did_you_mean(&path, known, as_keys);
                self.note_of(at, &as_keys(&path), format!("unknown key{meant}"))?;
                self.skip_next()
            }
        }
    }

    /// The value of a key that has keys below it.
    fn group(&mut self, path: &str) -> Read<()> {
        match self.next()? {
            (Event::MappingStart(0, None), _) => self.mapping(path),
            (event, at) => {
                let reason = unsupported(&event).unwrap_or("expected keys below this one");
                self.note_of(at, &as_keys(path), reason)?;
                self.skip(&event)
            }
        }
    }

    /// The value of an option's key.
    fn value(&mut self, option: &'static OptionSpec) -> Read<()> {
        let leaves = match self.next()? {
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
            match self.next()? {
                (Event::SequenceEnd, _) => break,
                (event, at) => leaves.extend(self.leaf(option, event, at)?),
            }
            is_empty = false;
        }
        if is_empty {
            let reason = "expected at least one value in the list";
            self.note_of(start, &as_keys(option.path), reason)?;
        }
        Ok(leaves)
    }

    /// The leaf that `event` is, if it is one.
    fn leaf(&mut self, option: &OptionSpec, event: Event<'t>, at: Marker) -> Read<Option<Leaf>> {
        if let Some(reason) = refusal(&event) {
            self.note_of(at, &as_keys(option.path), reason)?;
            self.skip(&event)?;
            return Ok(None);
        }
        Ok(scalar(event).map(|value| Leaf {
            value: value.into_owned(),
            origin: Origin::File {
                path: Arc::clone(&self.file),
                line: at.line(),
                column: at.col() + 1,
            },
        }))
    }

    fn next(&mut self) -> Read<(Event<'t>, Marker)> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => {
                let reason = format!("not YAML: {}", printable(error.info()));
                Err(Mistake::at(self.place(*error.marker()), reason))
            }
            None => Ok((Event::StreamEnd, Marker::default())),
        }
    }

    fn skip_next(&mut self) -> Read<()> {
        let (event, _) = self.next()?;
        self.skip(&event)
    }

    /// Reads on to the end of what `first` begins.
    fn skip(&mut self, first: &Event<'_>) -> Read<()> {
        let mut depth = depth_after(0, first);
        while depth > 0 {
            depth = depth_after(depth, &self.next()?.0);
        }
        Ok(())
    }

    fn note(&mut self, at: Marker, reason: &str) -> Read<()> {
        self.keep(Mistake::at(self.place(at), reason))
    }

    fn note_of(&mut self, at: Marker, key: &str, reason: impl Into<String>) -> Read<()> {
        let place = format!("{}: {}", self.place(at), printable(key));
        self.keep(Mistake::at(place, reason))
    }

    fn keep(&mut self, mistake: Mistake) -> Read<()> {
        self.layer.mistakes.push(mistake);
        if self.layer.mistakes.len() < MOST_MISTAKES {
            return Ok(());
        }
        let file = printable(&self.file.to_string_lossy());
        Err(Mistake::at(
            file,
            "too many mistakes; the rest of the file was not read",
        ))
    }

    fn place(&self, at: Marker) -> String {
        let origin = Origin::File {
            path: Arc::clone(&self.file),
            line: at.line(),
            column: at.col() + 1,
        };
        origin.to_string()
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
