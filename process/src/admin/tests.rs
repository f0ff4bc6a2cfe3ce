use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::mpsc;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::*;

/// Asks from outside of any runtime.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = StdStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(socket, "{request} HTTP/1.1\r\nhost: admin\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks whether it lives until the answer begins like that.
fn ask_until(address: SocketAddr, status: &str) -> String {
    let begin = Instant::now();
    loop {
        let answer = ask(address, "GET /livez");
        if answer.starts_with(status) {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{answer}");
    }
}

struct Bench {
    address: SocketAddr,
    /// A copy of its socket.
    listener: StdListener,
    readiness: Readiness,
    work: Runtime,
    threads: Threads,
    _admin: Admin,
}

fn serve(metrics: Registry) -> Bench {
    serve_of(1, metrics)
}

/// Of a process with so many threads.
fn serve_of(threads: usize, metrics: Registry) -> Bench {
    let work = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let threads = Threads::start(threads - 1).unwrap();
    let readiness = Readiness::default();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let ours = listener.try_clone().unwrap();
    ours.set_nonblocking(true).unwrap();
    let admin = work.block_on(async {
        let listener = TcpListener::from_std(ours).unwrap();
        Admin::serve(vec![listener], &threads, readiness.clone(), metrics, || {
            None
        })
        .unwrap()
    });
    Bench {
        address: listener.local_addr().unwrap(),
        listener,
        readiness,
        work,
        threads,
        _admin: admin,
    }
}

#[test]
fn readiness_is_a_status_and_its_reasons() {
    let bench = serve(Registry::default());
    assert!(ask(bench.address, "GET /readyz").starts_with("HTTP/1.1 200 "));
    bench.readiness.set("draining", true);
    bench.readiness.set("a second reason", true);
    let answer = ask(bench.address, "GET /readyz");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nnot ready: a second reason\nnot ready: draining\n"),
        "{answer}"
    );
    bench.readiness.set("draining", false);
    bench.readiness.set("a second reason", false);
    assert!(ask(bench.address, "GET /readyz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_process_that_works_lives_and_one_that_is_stuck_does_not() {
    let bench = serve(Registry::default());
    assert!(ask(bench.address, "GET /livez").starts_with("HTTP/1.1 200 "));
    let (release, stuck) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let stuck = bench.work.spawn(async move {
        begun.send(()).unwrap();
        stuck.recv()
    });
    begins.recv().unwrap();
    let answer = ask(bench.address, "GET /livez");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    // The other pages need no runtime of the process.
    assert!(ask(bench.address, "GET /readyz").starts_with("HTTP/1.1 200 "));
    drop(release);
    assert!(bench.work.block_on(stuck).unwrap().is_err());
    // Whoever awaits a task may know that it is over before its thread has left it.
    ask_until(bench.address, "HTTP/1.1 200 ");
}

#[test]
fn one_thread_that_is_stuck_is_enough() {
    let bench = serve_of(3, Registry::default());
    let (release, stuck) = mpsc::channel::<()>();
    let stuck = bench
        .threads
        .least_busy()
        .spawn(async move { stuck.recv() });
    // Also beside others that have something to do all the time.
    let busy = bench.threads.least_busy();
    let busy = busy.spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let answer = ask(bench.address, "GET /livez");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("a thread ran no task for 5s"), "{answer}");
    drop(release);
    assert!(bench.work.block_on(stuck).unwrap().is_err());
    ask_until(bench.address, "HTTP/1.1 200 ");
    busy.abort();
}

#[test]
fn metrics_are_what_was_counted() {
    let mut registry = Registry::with_prefix("grpc_multiplexer");
    let things: Counter = Counter::default();
    registry.register("things", "Things", things.clone());
    let bench = serve(registry);
    things.inc_by(7);
    let answer = ask(bench.address, "GET /metrics");
    assert!(answer.contains("application/openmetrics-text"), "{answer}");
    assert!(
        answer.contains("\ngrpc_multiplexer_things_total 7\n"),
        "{answer}"
    );
}

#[test]
fn what_is_not_there_is_said_so() {
    let bench = serve(Registry::default());
    assert!(ask(bench.address, "GET /nothing").starts_with("HTTP/1.1 404 "));
    assert!(ask(bench.address, "POST /livez").starts_with("HTTP/1.1 405 "));
    assert!(ask(bench.address, "GET /").contains("/metrics"));
}

#[test]
fn who_keeps_silent_keeps_nobody_out() {
    let bench = serve(Registry::default());
    let silent: Vec<_> = (1..EXCHANGES)
        .map(|_| StdStream::connect(bench.address).unwrap())
        .collect();
    assert!(ask(bench.address, "GET /livez").starts_with("HTTP/1.1 200 "));
    drop(silent);
}

#[test]
fn what_is_left_to_another_process_answers_no_more() {
    let bench = serve(Registry::default());
    let successor = bench.listener.try_clone().unwrap();
    bench.readiness.leave_to_another();
    // Who comes now waits for the successor; nobody is answered here.
    bench.work.spawn(async move {
        let successor = TcpListener::from_std(successor).unwrap();
        let (mut socket, _) = successor.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(b"of the successor").await.unwrap();
    });
    assert_eq!(ask(bench.address, "GET /readyz"), "of the successor");
}
