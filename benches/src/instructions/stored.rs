//! Counts of before: a page with a table, which people read as well.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::table::table;

/// What is before the line that says what it was stored with.
const WITH: &str = "Stored with ";
/// What comes of a new count until somebody measures how far it spreads, in percent.
const BOUND: f64 = 5.0;

/// What was counted now, for one of what it is counted for.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) instructions: u64,
}

/// What a table has of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    name: String,
    pub(super) instructions: u64,
    /// By how many percent it may grow.
    pub(super) bound: f64,
}

impl Row {
    /// How many percent more it is now.
    pub(super) fn difference(&self, now: u64) -> f64 {
        let stored = self.instructions as f64;
        100.0 * (now as f64 - stored) / stored
    }
}

/// The page.
#[derive(Debug)]
pub(super) struct Stored {
    /// What is said before it.
    text: String,
    pub(super) made_with: String,
    rows: Vec<Row>,
}

/// What is to be said of counts.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) wrong: Vec<String>,
    pub(super) less: Vec<String>,
}

impl Stored {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let page = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
        Self::parse(&page).with_context(|| format!("{} is not as it should be", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, self.page()).with_context(|| format!("cannot write {}", file.display()))
    }

    fn parse(page: &str) -> anyhow::Result<Self> {
        let parts = page.split_once(WITH).context("it does not say with what")?;
        let (with, counts) = parts.1.split_once(".\n\n").context("no table")?;
        let rows = counts.lines().skip(2).map(row);
        Ok(Self {
            text: parts.0.to_owned(),
            made_with: with.to_owned(),
            rows: rows.collect::<anyhow::Result<_>>()?,
        })
    }

    fn page(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let numbers = [row.instructions.to_string(), row.bound.to_string()];
            [vec![row.name.clone()], numbers.to_vec()].concat()
        });
        let rows: Vec<_> = rows.collect();
        let table = table(&["count", "instructions", "bound, %"], &rows);
        format!("{}{WITH}{}.\n\n{table}", self.text, self.made_with)
    }

    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The same page with other counts. Each keeps its bound.
    pub(super) fn with(&self, made_with: &str, counted: &[Counted]) -> Self {
        let rows = counted.iter().map(|counted| Row {
            name: counted.name.clone(),
            instructions: counted.instructions,
            bound: self.row(&counted.name).map_or(BOUND, |row| row.bound),
        });
        Self {
            text: self.text.clone(),
            made_with: made_with.to_owned(),
            rows: rows.collect(),
        }
    }

    /// What is more than it may be, and what is less than it was. A count without a row is as wrong as a row without a count:
    /// it would never be looked at.
    pub(super) fn judged(&self, counted: &[Counted]) -> Judged {
        let mut judged = Judged::default();
        for Counted { name, instructions } in counted {
            let Some(row) = self.row(name) else {
                judged.wrong.push(format!("NOT STORED: {name}"));
                continue;
            };
            let (stored, bound) = (row.instructions, row.bound);
            let difference = row.difference(*instructions);
            let moved = format!("{name}: {instructions} instructions, {stored} are stored");
            if difference > bound {
                let more = format!("{difference:.1} % more where {bound} % may be");
                judged.wrong.push(format!("MORE: {moved}, {more}"));
            } else if -difference > bound {
                let less = format!("{:.1} % less", -difference);
                let lower = "`benches/instructions --store` holds on to that";
                judged.less.push(format!("less: {moved}, {less}; {lower}"));
            }
        }
        let is_counted = |row: &&Row| counted.iter().any(|counted| counted.name == row.name);
        let gone = self.rows.iter().filter(|row| !is_counted(row));
        let gone = gone.map(|row| format!("NOT COUNTED: {}", row.name));
        judged.wrong.extend(gone);
        judged
    }
}

fn row(line: &str) -> anyhow::Result<Row> {
    let cells = line
        .strip_prefix("| ")
        .and_then(|line| line.strip_suffix(" |"));
    let cells: Vec<&str> = cells.unwrap_or_default().split(" | ").collect();
    let [name, instructions, bound] = cells[..] else {
        anyhow::bail!("not a row: {line:?}");
    };
    let instructions = instructions.parse().with_context(|| line.to_owned())?;
    ensure!(instructions > 0, "nothing takes none: {line:?}");
    Ok(Row {
        name: name.to_owned(),
        instructions,
        bound: bound.parse().with_context(|| line.to_owned())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Instructions\n\nStored with rustc 1.\n\n\
        | count | instructions | bound, % |\n| --- | ---: | ---: |\n| call | 1000 | 2.5 |\n| edge | 10 | 5 |\n";

    fn counted(counts: &[(&str, u64)]) -> Vec<Counted> {
        let counted = |(name, instructions): &(&str, u64)| Counted {
            name: (*name).to_owned(),
            instructions: *instructions,
        };
        counts.iter().map(counted).collect()
    }

    fn judged(counts: &[(&str, u64)]) -> [Vec<String>; 2] {
        let judged = Stored::parse(PAGE).unwrap().judged(&counted(counts));
        [judged.wrong, judged.less]
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let stored = Stored::parse(PAGE).unwrap();
        assert_eq!(stored.page(), PAGE);
        assert_eq!(stored.made_with, "rustc 1");
        let now = stored.with("rustc 2", &counted(&[("call", 900), ("stream", 7)]));
        assert_eq!(
            now.page(),
            "# Instructions\n\nStored with rustc 2.\n\n\
             | count | instructions | bound, % |\n| --- | ---: | ---: |\n| call | 900 | 2.5 |\n| stream | 7 | 5 |\n"
        );
        for broken in [
            PAGE.replace("1000", "many"),
            PAGE.replace("1000", "0"),
            PAGE.replace("| 2.5 ", ""),
            PAGE.replace("Stored", "Made"),
        ] {
            assert!(Stored::parse(&broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn only_what_is_more_than_its_bound_is_wrong() {
        let none: [Vec<String>; 2] = Default::default();
        assert_eq!(judged(&[("call", 1025), ("edge", 10)]), none);
        assert_eq!(judged(&[("call", 975), ("edge", 10)]), none);
        let [wrong, less] = judged(&[("call", 1026), ("edge", 9)]);
        assert_eq!(
            wrong,
            ["MORE: call: 1026 instructions, 1000 are stored, 2.6 % more where 2.5 % may be"]
        );
        assert_eq!(
            less,
            [
                "less: edge: 9 instructions, 10 are stored, 10.0 % less; `benches/instructions --store` holds on to that"
            ]
        );
    }

    #[test]
    fn nothing_is_left_out_unseen() {
        let [wrong, _] = judged(&[("call", 1000), ("stream", 7)]);
        assert_eq!(wrong, ["NOT STORED: stream", "NOT COUNTED: edge"]);
    }
}
