//! What one event of the YAML parser means for a configuration.

use std::borrow::Cow;

use saphyr_parser::{Event, ScalarStyle};

/// Why `event` cannot be part of a configuration, whatever is expected at its place.
pub(super) fn unsupported(event: &Event<'_>) -> Option<&'static str> {
    let (anchor, tag) = match event {
        Event::Alias(anchor) => (*anchor, None),
        Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(anchor, tag)
        | Event::MappingStart(anchor, tag) => (*anchor, tag.as_ref()),
        _ => (0, None),
    };
    if anchor != 0 {
        Some("anchors and aliases are not read; write the value out")
    } else {
        tag.map(|_| "tags are not read; values are taken as they are written")
    }
}

/// Why `event` cannot be a single value.
pub(super) fn refusal(event: &Event<'_>) -> Option<&'static str> {
    unsupported(event).or(match event {
        Event::SequenceStart(..) => Some("expected a single value, not a list"),
        Event::MappingStart(..) => Some("expected a single value, not keys"),
        event if is_nothing(event) => {
            Some("YAML reads this as no value; remove the key, or quote it if text is meant")
        }
        _ => None,
    })
}

/// Whether `event` is what YAML calls null.
pub(super) fn is_nothing(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, 0, None) => {
            matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
        }
        _ => false,
    }
}

pub(super) fn scalar(event: Event<'_>) -> Option<Cow<'_, str>> {
    match event {
        Event::Scalar(text, ..) => Some(text),
        _ => None,
    }
}
