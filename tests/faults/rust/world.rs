//! What a fault happens to: a server, twenty edges before their backends, and forty callers that call all of them. The
//! first edge and its backend are those that faults of an edge happen to.
//!
//! Or the same callers and backends, and nothing in between: the first backend is the one behind a link then.

use std::fs;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::{Folder, Link as Relayed, Mux, Process, Relay, metric};
use tokio::time::{Instant, interval, sleep, timeout};
use tonic::transport::Channel;

use crate::backend::Backend;
use crate::calls::Kind;
use crate::clock::Clock;
use crate::load::{Load, Made, Way, lazily};
use crate::names::{NAME, Names, Says};
use crate::net::{Namespace, OURS, Place, THEIRS};
use crate::score::Score;
use crate::suite;
pub(crate) use crate::verdict::{Excuse, Fault};
use crate::verdict::{RECOVER, weigh};

/// Edges, of which the first is the victim.
pub(crate) const EDGES: usize = 20;
const CALLERS: usize = 40;
/// The edge that faults of an edge happen to.
pub(crate) const VICTIM: usize = 0;
/// Where the server's name leads at first.
pub(crate) const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The edge behind a relay where the victim is apart.
pub(crate) const RELAYED: usize = 1;
/// What a fault that nobody announces may take until the server knows of it, 20 s, and until that is seen here.
const DETECT: Duration = Duration::from_secs(22);
/// What descriptors may take to be given back.
const SETTLE: Duration = Duration::from_secs(60);
/// What anything else may take.
const LIMIT: Duration = Duration::from_secs(90);

/// How the victim dials the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// As all others.
    Plain,
    /// Through a relay that does this.
    Relayed(Relayed),
    /// By a name, of which the case says where it leads.
    Named,
    /// From a network of its own, together with its backend.
    Apart,
    /// The same, and the edge after it through a relay.
    Both,
}

/// What differs from case to case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) link: Link,
    /// Further options of the server; `FOLDER` in them is the case's own.
    pub(crate) server: &'static [&'static str],
    /// Further options of the victim.
    pub(crate) victim: &'static [&'static str],
    /// Whether server and victim run by a wall clock of the case's own.
    pub(crate) clock: bool,
    /// The mistake that the server was built with: a patch of that name in `hooks`.
    pub(crate) hook: Option<&'static str>,
    /// Whether calls are made all the time.
    pub(crate) load: bool,
    /// By so many.
    pub(crate) callers: usize,
    /// Further edges, all in one process. The last one's backend is its own.
    pub(crate) others: usize,
}

impl Setup {
    /// As it comes.
    pub(crate) const PLAIN: Self = Self {
        link: Link::Plain,
        server: &[],
        victim: &[],
        clock: false,
        hook: None,
        load: true,
        callers: CALLERS,
        others: 0,
    };

    /// Which edges are called, in turn: those that are processes as often as all others.
    fn round(&self) -> Vec<usize> {
        match self.others.checked_sub(1) {
            None => (0..EDGES).collect(),
            Some(called) => (EDGES..EDGES + called)
                .flat_map(|other| [other, other % EDGES])
                .collect(),
        }
    }
}

/// All that runs.
pub(crate) struct World {
    setup: Setup,
    folder: Folder,
    pub(crate) mux: Mux,
    pub(crate) edges: Vec<Process>,
    /// The process of further edges.
    pub(crate) others: Option<Process>,
    pub(crate) backend: Backend,
    /// The victim's.
    pub(crate) own: Backend,
    relay: Option<Relay>,
    names: Option<Names>,
    clock: Option<Clock>,
    pub(crate) place: Place,
    load: Option<Load>,
    way: Way,
    /// When nobody had called yet.
    descriptors: Vec<usize>,
    struck: Instant,
    healed: Option<Instant>,
    /// Those that others came in place of.
    gone: (Vec<Mux>, Vec<Process>),
    /// How often the server is to panic.
    pub(crate) panics: usize,
    pub(crate) score: Score,
}

impl World {
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let folder = Folder::new("faults");
        let clock = setup.clock.then(|| Clock::new(&folder)).transpose()?;
        let server = Server {
            setup,
            folder: &folder,
            clock: clock.as_ref(),
        };
        let mux = server.start("127.0.0.1:0", "0.0.0.0:0").await?;
        let place = match setup.link {
            Link::Apart | Link::Both => Place::Apart(Box::new(Namespace::new().await?)),
            Link::Plain | Link::Relayed(_) | Link::Named => Place::Here,
        };
        let notes = |name: &str| folder.0.join(name);
        let backend = Backend::start(&Place::Here, "127.0.0.1:0", &notes("shared")).await?;
        let at = match place {
            Place::Apart(_) if is_direct() => format!("{THEIRS}:0"),
            _ => "127.0.0.1:0".to_owned(),
        };
        let own = Backend::start(&place, &at, &notes("own")).await?;
        let end = if is_direct() {
            own.address
        } else {
            loopback(&mux)
        };
        let relay = relay_to(end, setup.link).await;
        let names = match setup.link {
            Link::Named => Some(Names::start(&folder, Says::At(FIRST_ADDRESS)).await?),
            _ => None,
        };
        let mut world = Self {
            descriptors: Vec::new(),
            struck: Instant::now(),
            healed: None,
            gone: Default::default(),
            panics: 0,
            score: Score::default(),
            edges: Vec::new(),
            others: None,
            load: None,
            way: Arc::new(|_| unreachable!("it is not known yet")),
            setup,
            folder,
            mux,
            backend,
            own,
            relay,
            names,
            clock,
            place,
        };
        if is_direct() {
            world.nothing_between();
        } else {
            world.start_edges().await?;
        }
        world.descriptors = world.open()?;
        world.start_load().await;
        world.strike();
        Ok(world)
    }

    async fn start_edges(&mut self) -> anyhow::Result<()> {
        let proxy = self.mux.proxy.to_string();
        self.way = Arc::new(move |_| proxy.clone());
        for n in 0..EDGES {
            let edge = self.edge(n)?;
            self.edges.push(edge);
        }
        if self.setup.others > 0 {
            let addresses = [loopback(&self.mux), self.backend.address];
            let mut command = Place::Here.command(std::env::current_exe()?);
            command.arg("edges");
            command.args(addresses.map(|address| address.to_string()));
            command.args([EDGES, self.all()].map(|number| number.to_string()));
            self.others = Some(Process::of(command));
        }
        self.all_up().await
    }

    async fn start_load(&mut self) {
        let Setup { load, callers, .. } = self.setup;
        let callers = if load { callers } else { 0 };
        self.load = Some(Load::start(callers, &self.setup.round(), &self.way));
        if load {
            // Lanes are open and windows have grown.
            self.pass(2).await;
        }
    }

    /// Every caller calls backends. The server is there, so that cases need not know, and has nothing to do.
    fn nothing_between(&mut self) {
        let victim = self
            .relay
            .as_ref()
            .map_or(self.own.address, |relay| relay.address);
        self.mux.proxy = victim;
        let (victim, shared) = (victim.to_string(), self.backend.address.to_string());
        self.way = Arc::new(move |edge| match edge {
            VICTIM => victim.clone(),
            _ => shared.clone(),
        });
    }

    /// Edges that are there when nothing is wrong.
    pub(crate) fn all(&self) -> usize {
        if is_direct() {
            0
        } else {
            EDGES + self.setup.others
        }
    }

    /// Starts edge `n`.
    pub(crate) fn edge(&self, n: usize) -> anyhow::Result<Process> {
        let victim = n == VICTIM;
        let here = Place::Here;
        let (place, backend) = if victim {
            (&self.place, &self.own)
        } else {
            (&here, &self.backend)
        };
        let program = program("grpc-multiplexer-client")?;
        let mut command = match &self.names {
            Some(names) if victim => names.command(&program),
            _ => place.command(program),
        };
        command.args(["--client-id", &format!("edge-{n}")]);
        command.args(["--multiplexer-address", &self.server_of(n)]);
        command.args(["--grpc-server-address", &backend.address.to_string()]);
        if victim {
            command.args(self.options(self.setup.victim));
            self.clock
                .iter()
                .for_each(|clock| clock.rules(&mut command));
        }
        Ok(Process::of(command))
    }

    /// Where edge `n` dials.
    fn server_of(&self, n: usize) -> String {
        let port = self.mux.multiplexer.port();
        match (self.setup.link, &self.relay) {
            (Link::Named, _) if n == VICTIM => format!("{NAME}:{port}"),
            (Link::Apart | Link::Both, _) if n == VICTIM => format!("{OURS}:{port}"),
            (_, Some(relay)) if n == self.relayed() => relay.address.to_string(),
            _ => loopback(&self.mux).to_string(),
        }
    }

    /// Starts edge `n` once more in place of the one before, which is given back.
    pub(crate) fn edge_again(&mut self, n: usize) -> anyhow::Result<&mut Process> {
        let new = self.edge(n)?;
        let old = mem::replace(&mut self.edges[n], new);
        self.gone.1.push(old);
        self.gone.1.last_mut().context("one was pushed")
    }

    /// Starts a server where the one before is or was, which is given back.
    pub(crate) async fn server_again(&mut self) -> anyhow::Result<&mut Process> {
        let server = Server {
            setup: self.setup,
            folder: &self.folder,
            clock: self.clock.as_ref(),
        };
        let proxy = self.mux.proxy.to_string();
        let multiplexer = self.mux.multiplexer.to_string();
        let new = server.start(&proxy, &multiplexer).await?;
        let old = mem::replace(&mut self.mux, new);
        self.gone.0.push(old);
        let old = self.gone.0.last_mut().context("one was pushed")?;
        Ok(old)
    }

    fn options(&self, options: &[&str]) -> Vec<String> {
        in_folder(options, &self.folder)
    }

    /// Which edge is behind the relay.
    pub(crate) fn relayed(&self) -> usize {
        match self.setup.link {
            Link::Both => RELAYED,
            Link::Plain | Link::Named | Link::Apart | Link::Relayed(_) => VICTIM,
        }
    }

    /// The namespace of the victim.
    pub(crate) fn net(&self) -> &Namespace {
        match &self.place {
            Place::Apart(namespace) => namespace,
            Place::Here => unreachable!("the case asked for one"),
        }
    }

    /// The relay before the victim, or the edge after it.
    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("the case asked for one")
    }

    /// Who tells the victim where the server is.
    pub(crate) fn names(&self) -> &Names {
        self.names.as_ref().expect("the case asked for one")
    }

    /// What server and victim take for the time of day.
    pub(crate) fn clock(&self) -> &Clock {
        self.clock.as_ref().expect("the case asked for one")
    }

    pub(crate) fn victim(&mut self) -> &mut Process {
        &mut self.edges[VICTIM]
    }

    /// Makes a call beside the load; whether it went well. It counts as the others do.
    pub(crate) async fn one(&self, edge: usize, kind: Kind) -> bool {
        self.over(self.channel(edge), edge, kind).await
    }

    /// The same over a connection that is there.
    pub(crate) async fn over(&self, channel: Channel, edge: usize, kind: Kind) -> bool {
        self.load().one(channel, edge, kind).await
    }

    /// An edge can be called again, soon.
    pub(crate) async fn answers(&mut self, edge: usize) {
        let mut ticks = interval(Duration::from_millis(100));
        let again = async {
            while !self.one(edge, Kind::Unary).await {
                ticks.tick().await;
            }
        };
        let answers = timeout(RECOVER, again).await.is_ok();
        self.score
            .require(answers, || format!("edge-{edge} cannot be called"));
    }

    /// Begins so many calls at once beside the load; gives their tokens.
    pub(crate) fn many(&mut self, edge: usize, kind: Kind, count: usize) -> Vec<u64> {
        let way = Arc::clone(&self.way);
        let load = self.load.as_mut().expect("the case is under way");
        load.many(&way, edge, kind, count)
    }

    /// The same with the victim, whose backend then has all of them.
    pub(crate) async fn under_way(&mut self, kind: Kind, count: usize) -> anyhow::Result<()> {
        let tokens = self.many(VICTIM, kind, count);
        let mut ticks = interval(Duration::from_millis(50));
        let start = Instant::now();
        loop {
            ticks.tick().await;
            let executed = self.own.executions()?;
            if tokens.iter().all(|token| executed.contains_key(token)) {
                return Ok(());
            }
            ensure!(start.elapsed() < LIMIT, "no {count} calls arrive");
        }
    }

    /// A connection, which is made when it is first used.
    pub(crate) fn channel(&self, edge: usize) -> Channel {
        lazily(&(self.way)(edge))
    }

    /// Waits until no call is under way, and says how many went well.
    pub(crate) async fn well(&mut self) -> usize {
        self.load
            .as_mut()
            .expect("the case is under way")
            .well()
            .await
    }

    fn load(&self) -> &Load {
        self.load.as_ref().expect("the case is under way")
    }

    /// How often an edge said something.
    pub(crate) fn said(&self, edge: usize, part: &str) -> usize {
        let lines = self.edges.get(edge).map_or_else(Vec::new, Process::log);
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// Lets so many seconds pass, with the load that is on.
    pub(crate) async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// The fault happens now.
    pub(crate) fn strike(&mut self) {
        self.struck = Instant::now();
        self.healed = None;
    }

    /// From when on, and until when, the fault happened.
    pub(crate) fn fault(&self, victim: usize, excuse: Excuse) -> Fault {
        Fault {
            victim,
            struck: self.struck,
            healed: self.healed.unwrap_or_else(Instant::now),
            excuse,
        }
    }

    /// It is over.
    pub(crate) fn heal(&mut self) {
        self.healed = Some(Instant::now());
    }

    /// Waits until the server has so many tunnels.
    pub(crate) async fn tunnels(&self, wanted: impl Fn(usize) -> bool) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_millis(100));
        let start = Instant::now();
        loop {
            ticks.tick().await;
            let up = metric(self.mux.admin, "tunnels").await as usize;
            if wanted(up) {
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                anyhow::bail!("{up} tunnels are up after {LIMIT:?}");
            }
        }
    }

    /// Waits until every edge is there, which is part of recovering.
    pub(crate) async fn all_up(&mut self) -> anyhow::Result<()> {
        let all = self.all();
        self.tunnels(|up| up >= all).await?;
        let took = self.healed.map(|healed| healed.elapsed());
        self.score.recover = self.score.recover.max(took);
        Ok(())
    }

    /// Waits until the server knows that it lost the victim: its tunnel is gone, or it is back with another. Where nothing
    /// is in between, nobody knows, and it takes as long as that may.
    pub(crate) async fn detected(&mut self) -> anyhow::Result<()> {
        if is_direct() {
            sleep(DETECT).await;
            return Ok(());
        }
        let connected = |world: &Self| world.said(VICTIM, " connected client_id=");
        let (before, world) = (connected(self), &*self);
        let known = |up| up < world.all() || connected(world) > before;
        world.tunnels(known).await?;
        self.score.detect = Some(self.struck.elapsed());
        Ok(())
    }

    /// Ends the load, and looks at how each call went and at what is left behind.
    pub(crate) async fn judge(mut self, excuse: Excuse) -> anyhow::Result<Score> {
        let fault = self.fault(VICTIM, excuse);
        let made = self.finish().await;
        let mut score = mem::take(&mut self.score);
        if is_direct() {
            // What cases ask for besides is asked of edges and servers.
            score.problems.clear();
        }
        weigh(&made, &mut score, |call, failure| {
            fault.judge(call, failure)
        });
        self.close(&mut score).await?;
        Ok(score)
    }

    /// The calls that ended since the last time.
    pub(crate) fn so_far(&self) -> Vec<Made> {
        self.load().so_far()
    }

    /// Ends the load; gives its calls.
    pub(crate) async fn finish(&mut self) -> Vec<Made> {
        match self.load.take() {
            Some(load) => load.finish().await,
            None => Vec::new(),
        }
    }

    /// Looks at what is left behind when no call is made any more.
    pub(crate) async fn close(&mut self, score: &mut Score) -> anyhow::Result<()> {
        for executions in [self.backend.executions()?, self.own.executions()?] {
            score.doubled += executions.values().filter(|times| **times > 1).count();
        }
        let late = score.detect.filter(|detect| *detect > DETECT);
        score.require(late.is_none(), || format!("detected after {late:?}"));
        let late = score.recover.filter(|recover| *recover > RECOVER);
        score.require(late.is_none(), || format!("recovered after {late:?}"));
        self.leaks(score).await?;
        let gone = self.gone.0.iter().map(|server| &**server);
        let others = gone.chain(&self.gone.1).chain(&self.edges);
        let others = others.chain(&self.others).map(|process| (process, 0));
        for (process, expected) in others.chain([(&*self.mux, self.panics)]) {
            let log = process.log();
            let panicked = log.iter().filter(|line| line.contains("panicked"));
            let panicked: Vec<_> = panicked.collect();
            score.require(panicked.len() == expected, || format!("{panicked:?}"));
        }
        Ok(())
    }

    /// Descriptors of each process that is to give them back.
    fn open(&self) -> anyhow::Result<Vec<usize>> {
        // Where there are few edges, they keep their lanes a while.
        let edges = self
            .others
            .iter()
            .flat_map(|others| self.edges.iter().chain([others]));
        edges.chain([&*self.mux]).map(descriptors).collect()
    }

    /// Waits until nothing of the calls is left.
    async fn leaks(&self, score: &mut Score) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut ticks = interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            let open = self.open()?.into_iter().zip(&self.descriptors);
            let open = open.map(|(now, before)| now.saturating_sub(*before)).sum();
            let calls = metric(self.mux.admin, "calls_in_flight").await;
            if open == 0 && calls == 0.0 {
                return Ok(());
            }
            if start.elapsed() > SETTLE {
                score.leaks = open;
                score.require(calls == 0.0, || {
                    format!("{calls} calls are in flight for ever")
                });
                return Ok(());
            }
        }
    }
}

async fn relay_to(end: SocketAddr, link: Link) -> Option<Relay> {
    let does = match link {
        Link::Relayed(does) => does,
        Link::Both => Relayed::Open,
        Link::Plain | Link::Named | Link::Apart => return None,
    };
    let relay = Relay::to(end).await;
    relay.set(does);
    Some(relay)
}

/// How a case's server is started.
struct Server<'a> {
    setup: Setup,
    folder: &'a Folder,
    clock: Option<&'a Clock>,
}

impl Server<'_> {
    async fn start(&self, proxy: &str, multiplexer: &str) -> anyhow::Result<Mux> {
        const NAME: &str = "grpc-multiplexer-server";
        let program = match self.setup.hook {
            Some(hook) => suite::hooked(hook).await?.join(NAME),
            None => program(NAME)?,
        };
        let mut command = Place::Here.command(program);
        command.args(["--proxy-listener", proxy]);
        command.args(["--multiplexer-listener", multiplexer]);
        command.args(["--admin-listener", "127.0.0.1:0"]);
        command.args(in_folder(self.setup.server, self.folder));
        self.clock
            .iter()
            .for_each(|clock| clock.rules(&mut command));
        Ok(Mux::of(Process::of(command)).await)
    }
}

fn in_folder(options: &[&str], folder: &Folder) -> Vec<String> {
    let folder = folder.0.display().to_string();
    let options = options.iter();
    options
        .map(|option| option.replace("FOLDER", &folder))
        .collect()
}

fn loopback(mux: &Mux) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], mux.multiplexer.port()))
}

/// Open files and sockets of a process.
pub(crate) fn descriptors(process: &Process) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", process.pid()))?.count())
}

/// Whether there is nothing between callers and backends.
pub(crate) static DIRECT: OnceLock<()> = OnceLock::new();

pub(crate) fn is_direct() -> bool {
    DIRECT.get().is_some()
}

/// Where the binaries under test are, when not beside this one.
pub(crate) static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = match PROGRAMS.get() {
        Some(folder) => folder.as_path(),
        None => own.parent().context("a folder")?,
    };
    Ok(Path::new(folder).join(name))
}
