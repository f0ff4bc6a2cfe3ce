//! What goes to stdout, and texts of others in it.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use serde_json::Value;

/// Why a subcommand ends before its end.
#[derive(Debug)]
pub(super) enum End {
    /// Whoever read the output is gone, as `head` is after ten lines. Nobody is left to be told anything.
    Unread,
    /// What to say on stderr.
    Failed(String),
}

/// Stdout: lines for people, or objects for scripts.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line for people.
    pub(super) fn tell(&self, text: &str) -> Result<(), End> {
        if self.json { Ok(()) } else { line(text) }
    }

    /// An object for scripts.
    pub(super) fn object(&self, object: impl FnOnce() -> Value) -> Result<(), End> {
        if self.json {
            line(&harmless_json(&object().to_string()))
        } else {
            Ok(())
        }
    }
}

fn line(text: &str) -> Result<(), End> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => End::Unread,
        _ => End::Failed(format!("cannot write to stdout: {error}")),
    })
}

/// A line on stderr, for people beside either. One that is gone is no reason to end: `eprintln!` would panic.
pub(super) fn aside(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Texts of others, so that they cannot move the cursor, colour what follows, or turn it around.
pub(super) fn harmless(text: &str) -> String {
    escaped(text, |shown, c| write!(shown, "{}", c.escape_unicode()))
}

/// The same for JSON, where such a character can only be part of a string.
fn harmless_json(text: &str) -> String {
    escaped(text, |shown, c| write!(shown, "\\u{:04x}", u32::from(c)))
}

fn escaped(text: &str, escape: impl Fn(&mut String, char) -> fmt::Result) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            // Writing to a string never fails.
            let _ = escape(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Rows with their columns below each other, two spaces apart.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let line: String = cells
                .map(|(cell, width)| format!("{cell:width$}  "))
                .collect();
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_cannot_drive_a_terminal() {
        assert_eq!(
            harmless("a\u{1b}[31mb\nc\u{9b}"),
            "a\\u{1b}[31mb\\u{a}c\\u{9b}"
        );
        assert_eq!(harmless("\u{202e}txt"), "\\u{202e}txt");
        let object = serde_json::json!({ "a": "\n\u{9b}\u{202e}\u{7f}" });
        let shown = harmless_json(&object.to_string());
        assert_eq!(shown, r#"{"a":"\n\u009b\u202e\u007f"}"#);
        assert_eq!(serde_json::from_str::<Value>(&shown).ok(), Some(object));
        assert_eq!(harmless("Grüße 'x' \\ \""), "Grüße 'x' \\ \"");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["a", "bb", ""], ["äöü", "b", "c"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), ["a    bb", "äöü  b   c"]);
    }
}
