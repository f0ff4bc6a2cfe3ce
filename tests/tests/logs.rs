//! Whatever becomes of their stderr, both processes work on, and end when they are asked to.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use grpc_multiplexer_tests::{
    Backend, Caller, Edge, Mux, Path, Process, binary, free, is_ready, isolated, metric, page,
    until,
};
use tokio::net::TcpListener;

const SERVER: &str = "grpc-multiplexer-server";
const DROPPED: &str = "log_lines_dropped_total";
const NOTICE: &str = " WARN stderr took no more, log lines are missing here lines=";

async fn answered(caller: &Caller, method: &str) {
    let answer = caller.call(method, &[("client-id", "rainbow")], b"ping");
    assert_eq!(answer.await.body, b"pong");
}

/// Makes calls until a process had to drop lines, and gives their number.
async fn overflow(caller: &Caller, method: &str, admin: SocketAddr) -> usize {
    let mut calls = 0;
    while metric(admin, DROPPED).await == 0.0 {
        for _ in 0..50 {
            answered(caller, method).await;
        }
        calls += 50;
        assert!(calls < 100_000, "nothing was dropped");
    }
    assert_eq!(page(admin, "/livez").await.0, 200);
    calls
}

/// What the notices in a log say was dropped, one after the other.
fn gaps(process: &Process) -> Vec<usize> {
    let log = process.log();
    let gap = |line: &String| Some(line.split_once(NOTICE)?.1.parse().unwrap());
    log.iter().filter_map(gap).collect()
}

/// Every line is one event from its time on.
fn are_whole(lines: &[String]) {
    for line in lines {
        let mut words = line.split_whitespace();
        let time = words.next().unwrap_or_default();
        assert!(time.len() == 27 && time.ends_with('Z'), "{line:?}");
        let level = words.next().unwrap_or_default();
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
        assert!(levels.contains(&level), "{line:?}");
    }
}

#[tokio::test]
async fn a_server_whose_log_is_not_read_works_on_and_says_later_what_is_missing() {
    let backend = Backend::pong().await;
    let path = Path::to(&backend).await;
    // Long lines, so that not so many are needed.
    let method = format!("/s/{}", "m".repeat(4000));
    path.mux.read(false);
    let calls = overflow(&path.caller, &method, path.mux.admin).await;
    let dropped = metric(path.mux.admin, DROPPED).await;

    path.mux.read(true);
    path.mux.says(NOTICE).await;
    answered(&path.caller, "/s/last").await;
    path.mux.says("rpc.method=/s/last ").await;
    let log = path.mux.log();
    are_whole(&log);
    // Nothing is missing that is not counted, and it is said once, where it is missing.
    let complete = |line: &&String| line.contains(&format!(" rpc.method={method} client_id="));
    let seen = log.iter().filter(complete).count();
    assert_eq!(gaps(&path.mux), [calls - seen]);
    assert_eq!(dropped, (calls - seen) as f64);
    let said = log.iter().position(|line| line.contains(NOTICE)).unwrap();
    assert!(!log[said..].iter().any(|line| line.contains(&method)));
}

/// An edge has nothing to say of calls but their frames.
fn talkative(admin: &str) -> [&str; 4] {
    ["--log-level", "trace", "--admin-listener", admin]
}

#[tokio::test]
async fn an_edge_whose_log_is_not_read_works_on_and_says_later_what_is_missing() {
    let backend = Backend::pong().await;
    let [admin] = free();
    let admins = admin.to_string();
    let options = talkative(&admins);
    let address = backend.address.to_string();
    let mux = Mux::start().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &options);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    edge.read(false);
    overflow(&caller, "/s/m", admin).await;

    edge.read(true);
    edge.says(NOTICE).await;
    // Frames go on, so lines may be dropped until the last that waited is read.
    until("as many lines are named as were dropped", async || {
        let named: usize = gaps(&edge).iter().sum();
        (metric(admin, DROPPED).await == named as f64).then_some(())
    })
    .await;
    are_whole(&edge.log());
    answered(&caller, "/s/m").await;
}

#[tokio::test]
async fn who_is_asked_to_stop_does_so_also_when_nobody_reads_its_log() {
    let backend = Backend::pong().await;
    let [admin] = free();
    let admins = admin.to_string();
    let options = talkative(&admins);
    let address = backend.address.to_string();
    let mut path = Path::with(&["--log-level", "trace"], &address, &options).await;
    path.mux.read(false);
    path.edge.read(false);
    overflow(&path.caller, "/s/m", path.mux.admin).await;
    overflow(&path.caller, "/s/m", admin).await;
    drop(path.caller);
    for process in [&mut *path.edge, &mut *path.mux] {
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn the_last_line_is_there_however_a_process_ends() {
    let mut mux = Mux::start().await;
    mux.signal("TERM");
    assert_eq!(mux.ended().await.code(), Some(0));
    mux.says(" stopped ").await;

    let backend = Backend::h2(async |mut call| call.wait_reset().await).await;
    let mut path = Path::to(&backend).await;
    let _call = path.start(&[]).await;
    backend.calls(1).await;
    path.mux.signal("INT");
    path.mux.says("signal received, finishing").await;
    path.mux.signal("TERM");
    assert_eq!(path.mux.ended().await.code(), Some(1));
    path.mux
        .says("second signal received, stopping at once")
        .await;

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut second = Process::start(SERVER, &["--proxy-listener", &address]);
    assert_eq!(second.ended().await.code(), Some(1));
    second.says("the address is in use").await;
}

/// Calls pass, both processes answer their operators, and end when they are asked to.
async fn serve_and_end(mut mux: Mux, mut edge: Edge, edges_admin: SocketAddr) {
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..100 {
        answered(&caller, "/s/m").await;
    }
    for admin in [mux.admin, edges_admin] {
        assert_eq!(page(admin, "/livez").await.0, 200);
        assert_eq!(page(admin, "/readyz").await.0, 200);
    }
    drop(caller);
    for process in [&mut *edge, &mut *mux] {
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_stderr_that_is_full_closed_or_no_file_to_write_to_ends_nothing() {
    let backend = Backend::pong().await;
    for stderr in ["2>/dev/full", "2>&-", "2</dev/null"] {
        let mux = Mux::unheard(stderr).await;
        let (edge, admin) = Edge::unheard(&mux, "rainbow", backend.address, stderr).await;
        serve_and_end(mux, edge, admin).await;
    }
}

#[tokio::test]
async fn a_reader_that_went_away_ends_nothing() {
    let backend = Backend::pong().await;
    let [admin] = free();
    let mut mux = Mux::start().await;
    let mut edge = Edge::dialling(
        mux.multiplexer,
        "rainbow",
        &backend.address.to_string(),
        &[
            "--log-level",
            "trace",
            "--admin-listener",
            &admin.to_string(),
        ],
    );
    edge.says(" connected ").await;
    mux.hang_up().await;
    edge.hang_up().await;
    serve_and_end(mux, edge, admin).await;
}

/// A server that logs to a disk of its own, of a megabyte, in a namespace such as any user may make.
struct OnDisk {
    mux: Mux,
    /// The disk, which only the server's namespace sees.
    disk: PathBuf,
}

impl OnDisk {
    async fn start() -> Self {
        let [proxy, multiplexer, admin] = free();
        let script = r#"mount -t tmpfs -o size=1m none /mnt && exec "$0" "$@" 2>/mnt/log"#;
        let mut own = isolated("unshare");
        own.args(["--map-root-user", "--mount", "sh", "-c", script]);
        own.arg(binary(SERVER))
            .args(["--log-level=debug", "--warm-up=0"]);
        own.arg(format!("--proxy-listener={proxy}"));
        own.arg(format!("--multiplexer-listener={multiplexer}"));
        own.arg(format!("--admin-listener={admin}"));
        let process = Process::of(own);
        is_ready(admin).await;
        let disk = PathBuf::from(format!("/proc/{}/root/mnt", process.pid()));
        let mux = Mux::known(process, proxy, multiplexer, admin);
        Self { mux, disk }
    }

    fn fill(&self) {
        let mut rest = fs::File::create(self.disk.join("rest")).unwrap();
        let error = loop {
            if let Err(error) = rest.write_all(&[0; 512]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.disk.join("rest")).unwrap();
    }

    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.disk.join("log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn what_a_full_disk_did_not_take_is_written_when_it_has_room() {
    let backend = Backend::pong().await;
    let server = OnDisk::start().await;
    let _edge = Edge::start(&server.mux, "rainbow", backend.address).await;
    let caller = Caller::connect(server.mux.proxy).await;
    server.fill();
    // More than fits into the last page of the log.
    let methods = (0..100).map(|call| format!("/s/{call}-{}", "m".repeat(100)));
    let methods: Vec<_> = methods.collect();
    for method in &methods {
        answered(&caller, method).await;
    }
    let has = |part: &str| server.log().iter().any(|line| line.contains(part));
    let named = |method: &str| format!(" rpc.method={method} client_id=");
    assert!(!has(&named(&methods[99])));

    server.make_room();
    until("the last line of a call", async || {
        has(&named(&methods[99])).then_some(())
    })
    .await;
    let log = server.log();
    are_whole(&log);
    let calls: Vec<_> = log
        .iter()
        .filter(|line| line.contains(" rpc.method="))
        .collect();
    assert_eq!(calls.len(), methods.len());
    for (line, method) in calls.iter().zip(&methods) {
        assert!(line.contains(&named(method)), "{line}");
    }
}
