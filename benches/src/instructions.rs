//! `bench instructions FILE [--store] [--programs FOLDER]`: how many instructions server and edge take for what they do most, and
//! whether that is more than what is stored. Time on a shared machine says nothing about a few percent; what callgrind counts
//! is the same on all, as far as the program itself is.

mod bed;
mod callgrind;
mod stored;
mod works;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use self::bed::{Bed, Whose};
use self::callgrind::Callgrind;
use self::stored::{Counted, Stored};
use self::works::WORKS;
use crate::paths::Backend;
use crate::programs::PROGRAMS;
use crate::table::table;

/// Counts, and holds that against the file, or puts it there.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) async fn run(file: &str, args: &[&str]) -> anyhow::Result<ExitCode> {
    let store = options(args)?;
    let file = Path::new(file);
    let stored = Stored::read(file)?;
    let with = made_with()?;
    let counted = count().await?;
    println!("{}", compared(&stored, &counted));
    if store {
        stored.with(&with, &counted).write(file)?;
        println!("{} has {} counts now", file.display(), counted.len());
        return Ok(ExitCode::SUCCESS);
    }
    if stored.made_with != with {
        println!(
            "Stored with {}, and counted with {with}: some of any difference is theirs.",
            stored.made_with
        );
    }
    let judged = stored.judged(&counted);
    judged.less.iter().for_each(|line| println!("{line}"));
    judged.wrong.iter().for_each(|line| println!("{line}"));
    if judged.wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "If that is wanted: `benches/instructions --store`, and the commit says what it is wanted for."
    );
    Ok(ExitCode::FAILURE)
}

/// Whether to store.
fn options(args: &[&str]) -> anyhow::Result<bool> {
    let (mut store, mut args) = (false, args.iter());
    while let Some(option) = args.next() {
        match *option {
            "--store" => store = true,
            "--programs" => {
                let folder = args.next().context("--programs needs a value")?;
                PROGRAMS.get_or_init(|| folder.into());
            }
            _ => bail!("unknown option {option}: benches/instructions says which there are"),
        }
    }
    Ok(store)
}

async fn count() -> anyhow::Result<Vec<Counted>> {
    let callgrind = Callgrind::found()?;
    let backend = Backend::start().await?;
    let mut counted = Vec::new();
    for whose in [Whose::Server, Whose::Edge] {
        let mut bed = Bed::start(&callgrind, &backend, whose).await?;
        for work in WORKS.iter().filter(|work| work.counts.contains(&whose)) {
            counted.push(bed.count(work).await?);
        }
    }
    Ok(counted)
}

/// What the counts depend on, and the source does not say.
fn made_with() -> anyhow::Result<String> {
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let output = output.with_context(|| format!("no {program}"))?;
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    Ok(format!(
        "{} and {}",
        version("rustc")?,
        version("valgrind")?
    ))
}

fn compared(stored: &Stored, counted: &[Counted]) -> String {
    let rows = counted.iter().map(|counted| {
        let before = stored.row(&counted.name);
        vec![
            counted.name.clone(),
            before.map_or("-".to_owned(), |row| row.instructions.to_string()),
            counted.instructions.to_string(),
            before.map_or("-".to_owned(), |row| {
                format!("{:+.2}", row.difference(counted.instructions))
            }),
            before.map_or("-".to_owned(), |row| row.bound.to_string()),
        ]
    });
    let heading = ["count", "stored", "counted", "%", "bound, %"];
    table(&heading, &rows.collect::<Vec<_>>())
}
