//! A network of its own for the edge that faults happen to: a namespace, a pair of virtual interfaces between it and
//! ours, and rules of the packet filter on our end.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::{Process, isolated};

/// Our end of the link, and theirs.
pub(crate) const OURS: &str = "10.7.0.1";
const THEIRS: &str = "10.7.0.2";
/// The name of our interface. There is one at a time: all of this runs in a network namespace of its own.
const INTERFACE: &str = "faults";

/// Where a process runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// With all others.
    Here,
    /// Behind a link of its own.
    Apart(Box<Namespace>),
}

/// A network namespace. Gone when dropped, with its link and the link's rules.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// What keeps it.
    keeper: Process,
}

/// Which way packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the edge.
    In,
    /// To the edge.
    Out,
}

impl Place {
    /// A program that runs there, without a developer's own configuration.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        match self {
            Self::Here => isolated(program.as_ref()),
            Self::Apart(namespace) => {
                let mut command = isolated("nsenter");
                command.arg(format!("--net=/proc/{}/ns/net", namespace.keeper.pid()));
                command.arg(program.as_ref());
                command
            }
        }
    }
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// Where the kernel does not let this process, or a tool is missing.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let own = |process| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        ensure!(
            own("self") != own("1"),
            "this is the machine's own network: use tests/faults/run"
        );
        let _ = run("ip", ["link", "delete", INTERFACE]);
        let mut command = isolated("unshare");
        command.args(["--net", "sh", "-c", "echo made >&2; exec sleep infinity"]);
        let keeper = Process::of(command);
        keeper.says("made").await;
        let namespace = Self { keeper };
        let pid = namespace.keeper.pid().to_string();
        let peer = ["peer", "name", "edge", "netns", &pid];
        run(
            "ip",
            [&["link", "add", INTERFACE, "type", "veth"], &peer[..]].concat(),
        )?;
        run(
            "ip",
            ["addr", "add", &format!("{OURS}/24"), "dev", INTERFACE],
        )?;
        run("ip", ["link", "set", INTERFACE, "up"])?;
        for inside in [
            "link set lo up",
            &format!("addr add {THEIRS}/24 dev edge"),
            "link set edge up",
        ] {
            let net = format!("--net=/proc/{pid}/ns/net");
            run(
                "nsenter",
                [net.as_str(), "ip"].into_iter().chain(inside.split(' ')),
            )?;
        }
        Ok(namespace)
    }

    /// Packets that go `way` are dropped from now on, each with `probability`.
    pub(crate) fn lose(&self, way: Way, probability: f64) -> anyhow::Result<()> {
        let (chain, side) = match way {
            Way::In => ("INPUT", "-i"),
            Way::Out => ("OUTPUT", "-o"),
        };
        let probability = probability.to_string();
        let random = ["-m", "statistic", "--mode", "random", "--probability"];
        let mut rule = vec!["-w", "-I", chain, side, INTERFACE];
        if probability != "1" {
            rule.extend(random);
            rule.push(&probability);
        }
        rule.extend(["-j", "DROP"]);
        run("iptables", rule)
    }

    /// Whatever comes of the edge's connections is answered with a reset.
    pub(crate) fn reset(&self) -> anyhow::Result<()> {
        let from = ["-w", "-I", "INPUT", "-i", INTERFACE, "-p", "tcp"];
        let answer = ["-j", "REJECT", "--reject-with", "tcp-reset"];
        run("iptables", [&from[..], &answer[..]].concat())
    }

    /// All packets pass again.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        run("iptables", ["-w", "-F"])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Gone with the namespace in a moment anyway.
        let _ = run("iptables", ["-w", "-F"]);
        let _ = run("ip", ["link", "delete", INTERFACE]);
    }
}

fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(args);
    let output = command
        .output()
        .with_context(|| format!("{program} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        said.trim()
    );
    Ok(())
}
