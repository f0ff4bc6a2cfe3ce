//! What to run.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

/// Rounds that count, unless told otherwise.
const ROUNDS: usize = 5;

/// Rounds of what takes seconds, at most.
const FEW: usize = 3;

/// Arguments of `bench`.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) full: bool,
    only: Vec<String>,
    pub(crate) rounds: usize,
    /// Where the backend listens while all paths are up.
    pub(crate) backend: String,
    /// Further ways to it.
    pub(crate) peers: Vec<(String, SocketAddr)>,
    pub(crate) programs: Option<PathBuf>,
    /// A target that is missed is a failure.
    pub(crate) must: bool,
    pub(crate) list: bool,
}

impl Options {
    pub(crate) fn read(args: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self {
            full: false,
            only: Vec::new(),
            rounds: ROUNDS,
            backend: "127.0.0.1:0".to_owned(),
            peers: Vec::new(),
            programs: None,
            must: false,
            list: false,
        };
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let mut value = || {
                args.next()
                    .with_context(|| format!("{option} needs a value"))
            };
            match *option {
                "--full" => options.full = true,
                "--must" => options.must = true,
                "--list" => options.list = true,
                "--only" => options.only.push((*value()?).to_owned()),
                "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
                "--programs" => options.programs = Some(value()?.into()),
                "--backend" => options.backend = (*value()?).to_owned(),
                "--peer" => options.peers.push(peer(value()?)?),
                _ => bail!("unknown option {option}: benches/run says which there are"),
            }
        }
        ensure!(options.rounds > 0, "--rounds must be 1 or more");
        Ok(options)
    }

    /// The same for what only `--full` runs, unless it is named.
    pub(crate) fn wants_long(&self, name: &str) -> bool {
        (self.full || !self.only.is_empty()) && self.wants(name)
    }

    /// Rounds of what takes seconds, and of which none is thrown away.
    pub(crate) fn few(&self) -> usize {
        self.rounds.min(FEW)
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        let is_named = |only: &String| {
            let rest = name.strip_prefix(only.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.only.is_empty() || self.only.iter().any(is_named)
    }
}

fn peer(value: &str) -> anyhow::Result<(String, SocketAddr)> {
    let parts = value.split_once('=');
    let (name, address) = parts.with_context(|| format!("{value:?} is not NAME=HOST:PORT"))?;
    let address = address
        .parse()
        .with_context(|| format!("{address:?} is not IP:PORT"))?;
    Ok((name.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_wanted_by_what_is_before_a_dash() {
        let options = Options::read(&["--only", "unary", "--only", "up-64k"]).expect("right");
        let wanted = ["unary-8x8", "up-64k", "up-64k2", "down-64k"];
        let wanted = wanted.map(|name| options.wants(name));
        assert_eq!(wanted, [true, true, false, false]);
        let all = Options::read(&[]).expect("right");
        assert!(all.wants("down-64k") && !all.wants_long("idle-1000"));
        assert!(
            Options::read(&["--full"])
                .expect("right")
                .wants_long("idle-1000")
        );
    }

    #[test]
    fn mistakes_are_told() {
        for args in [
            &["--only"][..],
            &["--rounds", "0"],
            &["--peer", "x"],
            &["--what"],
        ] {
            assert!(Options::read(args).is_err(), "{args:?}");
        }
        let peer = Options::read(&["--peer", "frp=127.0.0.1:7"]).expect("right");
        assert_eq!(peer.peers[0].0, "frp");
    }
}
