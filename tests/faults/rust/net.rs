//! A network of its own for the edge that faults happen to: a namespace, a pair of virtual interfaces between it and
//! ours, and rules of the packet filter on our end.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::{Process, isolated};

/// Our end of the link, and theirs.
pub(crate) const OURS: &str = "10.7.0.1";
pub(crate) const THEIRS: &str = "10.7.0.2";
/// The name of our interface. There is one at a time: all of this runs in a network namespace of its own.
const INTERFACE: &str = "faults";
/// That of theirs.
const THEIR_INTERFACE: &str = "edge";

/// What a rule does with a packet of TCP.
const RESET: [&str; 4] = ["-j", "REJECT", "--reject-with", "tcp-reset"];

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
        let pid = namespace.keeper.pid();
        for (inside, words) in [
            (
                false,
                format!(
                    "ip link add {INTERFACE} type veth peer name {THEIR_INTERFACE} netns {pid}"
                ),
            ),
            (false, format!("ip addr add {OURS}/24 dev {INTERFACE}")),
            (false, format!("ip link set {INTERFACE} up")),
            (true, "ip link set lo up".to_owned()),
            (
                true,
                format!("ip addr add {THEIRS}/24 dev {THEIR_INTERFACE}"),
            ),
            (true, format!("ip link set {THEIR_INTERFACE} up")),
        ] {
            namespace.at(inside, &words)?;
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
        run("iptables", [&from[..], &RESET].concat())
    }

    /// One packet of ten, both ways, is kept on a slow line while others pass it.
    pub(crate) fn reorder(&self) -> anyhow::Result<()> {
        for (inside, device) in [(false, INTERFACE), (true, THEIR_INTERFACE)] {
            for words in [
                format!("tc qdisc add dev {device} root handle 1: htb default 1"),
                format!(
                    "tc class add dev {device} parent 1: classid 1:1 htb rate 10gbit quantum 60000"
                ),
                format!(
                    "tc class add dev {device} parent 1: classid 1:2 htb rate 20mbit quantum 60000"
                ),
                format!(
                    "iptables -w -t mangle -I POSTROUTING -o {device} -m statistic --mode random --probability 0.1 -j CLASSIFY --set-class 1:2"
                ),
            ] {
                self.at(inside, &words)?;
            }
        }
        Ok(())
    }

    /// All packets pass again.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        for (inside, device) in [(false, INTERFACE), (true, THEIR_INTERFACE)] {
            self.at(inside, "iptables -w -t mangle -F")?;
            // There is none, most of the time.
            let _ = self.at(inside, &format!("tc qdisc del dev {device} root"));
        }
        run("iptables", ["-w", "-F"])
    }

    /// Runs a command at our end of the link, or inside.
    fn at(&self, inside: bool, words: &str) -> anyhow::Result<()> {
        let words = words.split(' ');
        if !inside {
            let mut words = words;
            return run(words.next().context("a program")?, words);
        }
        let net = format!("--net=/proc/{}/ns/net", self.keeper.pid());
        run("nsenter", [net.as_str()].into_iter().chain(words))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Gone with the namespace in a moment anyway.
        let _ = run("iptables", ["-w", "-F"]);
        let _ = run("ip", ["link", "delete", INTERFACE]);
    }
}

/// An address where nobody is any more: whoever comes or came is reset. Until dropped.
#[derive(Debug)]
pub(crate) struct Refused(());

impl Refused {
    pub(crate) fn at(address: Ipv4Addr, port: u16) -> anyhow::Result<Self> {
        let (address, port) = (address.to_string(), port.to_string());
        let to = [
            "-w", "-I", "INPUT", "-d", &address, "-p", "tcp", "--dport", &port,
        ];
        run("iptables", [&to[..], &RESET].concat())?;
        Ok(Self(()))
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        let _ = run("iptables", ["-w", "-F"]);
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
