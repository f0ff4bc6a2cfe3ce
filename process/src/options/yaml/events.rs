//! The events of a text, each with its place.

use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, StrInput};

use super::super::Origin;
use super::super::mistakes::{Mistake, printable};

/// `Err` is the mistake after which there is nothing more to read.
pub(super) type Read<T> = Result<T, Mistake>;

pub(super) struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
    file: Arc<Path>,
}

impl<'t> Events<'t> {
    pub(super) fn of(file: &Path, text: &'t str) -> Self {
        Self {
            parser: Parser::new_from_str(text),
            file: file.into(),
        }
    }

    /// The next one; after the last, the last again.
    pub(super) fn next(&mut self) -> Read<(Event<'t>, Marker)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => {
                let reason = format!("not YAML: {}", printable(error.info()));
                Err(Mistake::at(self.place(*error.marker()), reason))
            }
            None => Ok((Event::StreamEnd, Marker::default())),
        }
    }

    /// Reads on to the end of what `first` begins.
    pub(super) fn skip(&mut self, first: &Event<'_>) -> Read<()> {
        let mut depth = depth_after(0, first);
        while depth > 0 {
            depth = depth_after(depth, &self.next()?.0);
        }
        Ok(())
    }

    pub(super) fn skip_next(&mut self) -> Read<()> {
        let (event, _) = self.next()?;
        self.skip(&event)
    }

    pub(super) fn origin(&self, at: Marker) -> Origin {
        Origin::File {
            path: Arc::clone(&self.file),
            line: at.line(),
            column: at.col() + 1,
        }
    }

    pub(super) fn place(&self, at: Marker) -> String {
        self.origin(at).to_string()
    }

    pub(super) fn file(&self) -> String {
        printable(&self.file.to_string_lossy())
    }
}

fn depth_after(depth: usize, event: &Event<'_>) -> usize {
    match event {
        Event::MappingStart(..) | Event::SequenceStart(..) => depth + 1,
        Event::MappingEnd | Event::SequenceEnd => depth - 1,
        _ => depth,
    }
}
