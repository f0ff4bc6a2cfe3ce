//! A name server that knows one name, and says of it what a case wants.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use grpc_multiplexer_tests::{Folder, isolated};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The server's.
pub(crate) const NAME: &str = "multiplexer.test";
/// How a program comes to ask this server: the first argument is its configuration.
const SCRIPT: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
/// Asked once, and not waited for long.
const CONFIGURATION: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// What is said of [`NAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Nothing at all.
    Nothing,
    /// That there is no such name.
    NoSuchName,
    /// Its address.
    At(Ipv4Addr),
}

/// The name server. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Names {
    says: watch::Sender<Says>,
    configuration: String,
    _task: JoinSet<()>,
}

impl Names {
    /// Starts it where all resolvers ask: the network is the harness's own.
    pub(crate) async fn start(folder: &Folder, says: Says) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:53").await;
        let socket = socket.context("a name server needs port 53")?;
        let (says, said) = watch::channel(says);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(socket, said));
        Ok(Self {
            says,
            configuration: folder.put("resolv.conf", CONFIGURATION),
            _task: tasks,
        })
    }

    /// From now on.
    pub(crate) fn say(&self, says: Says) {
        self.says.send_replace(says);
    }

    /// A program that asks this name server.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = isolated("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT, &self.configuration]);
        command.arg(program);
        command
    }
}

async fn serve(socket: UdpSocket, says: watch::Receiver<Says>) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        let says = *says.borrow();
        if let Some(answer) = answer(&query[..length], says) {
            // Who does not get it asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// *Source:* RFC 1035, section 4.
fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let name = query.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = query.get(12..12 + name + 4)?;
    let is_for_v4 = question[name..name + 2] == [0, 1];
    let (code, address) = match says {
        Says::Nothing => return None,
        Says::NoSuchName => (3, None),
        Says::At(address) => (0, is_for_v4.then_some(address)),
    };
    let mut answer = query[..2].to_vec();
    let answers = u8::from(address.is_some());
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(address) = address {
        // The question's name, an address of the internet, good for no time at all, of four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
