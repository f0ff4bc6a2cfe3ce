//! `bench relay TARGET RTT_MS MB_A_SECOND`: a line of that length and width, in a process of its own. All connections share it.
//!
//! Made of threads that block: sleeping in the system is exact to 0.1 ms, where timers of a runtime go by milliseconds. It ends
//! TCP on both sides, and so nothing of what TCP does over a distance is in it: no slow start, no loss.

mod line;
mod queue;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use grpc_multiplexer_tests::{Process, isolated};
use socket2::SockRef;
use tokio::time::Instant;

use self::line::Line;
use self::queue::Queue;
use crate::metronome::{sleep_until, wakes_at_once};
use crate::programs;

/// What the socket before the line takes ahead: what the line carries while the relay waits for a processor. More would be a
/// queue that no line has.
const BUFFER: usize = 128 * 1024;
/// What is read at a time.
const PIECE: usize = 64 * 1024;

/// One direction.
type Way = Arc<Mutex<Line>>;

/// A line that runs.
#[derive(Debug)]
pub(crate) struct Relay {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// One to `target`, with so many bytes a second.
    pub(crate) async fn to(target: SocketAddr, rtt: Duration, rate: f64) -> anyhow::Result<Self> {
        let mut command = isolated(programs::own()?);
        command.args(["relay", &target.to_string()]);
        command.args([rtt.as_millis().to_string(), (rate / 1e6).to_string()]);
        let process = Process::of(command);
        let address = programs::listening(&process).await?;
        Ok(Self {
            _process: process,
            address,
        })
    }
}

/// Relays until the process is killed.
pub(crate) fn run(target: &str, rtt: &str, rate: &str) -> anyhow::Result<()> {
    let target: SocketAddr = target.parse()?;
    let delay = Duration::from_millis(rtt.parse()?) / 2;
    let rate = rate.parse::<f64>()? * 1e6;
    let way = || Arc::new(Mutex::new(Line::new(rate, delay, Instant::now())));
    let ways = [way(), way()];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Inherited by what it accepts.
    SockRef::from(&listener).set_recv_buffer_size(BUFFER)?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (one, _) = listener.accept()?;
        let ways = ways.clone();
        thread::spawn(move || {
            if let Err(error) = connect(&one, target, ways) {
                eprintln!("bench relay: {error:#}");
            }
        });
    }
}

fn connect(one: &TcpStream, target: SocketAddr, [forth, back]: [Way; 2]) -> anyhow::Result<()> {
    let other = TcpStream::connect(target).with_context(|| format!("nobody at {target}"))?;
    SockRef::from(&other).set_recv_buffer_size(BUFFER)?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    pass(one.try_clone()?, other.try_clone()?, forth);
    pass(other, one.try_clone()?, back);
    Ok(())
}

/// Passes one direction on, in two threads: one before the line and one behind it.
fn pass(from: TcpStream, to: TcpStream, way: Way) {
    let queue = Arc::new(Queue::default());
    let behind = Arc::clone(&queue);
    thread::spawn(move || {
        wakes_at_once();
        take(from, &way, &queue);
    });
    thread::spawn(move || {
        wakes_at_once();
        give(to, &behind);
    });
}

/// Puts what comes onto the line, as fast as that takes it.
fn take(mut from: TcpStream, way: &Mutex<Line>, queue: &Queue) {
    let lock = || way.lock().expect("a line does not panic");
    let mut buffer = vec![0; PIECE];
    loop {
        sleep_until(lock().takes_more_at());
        // A reset is an end as well: what was sent before it is on its way.
        let read = from.read(&mut buffer).unwrap_or(0);
        let due = lock().takes(Instant::now(), read);
        if !queue.push(due, buffer[..read].to_vec()) || read == 0 {
            break;
        }
    }
}

/// Gives what left the line to its end.
fn give(mut to: TcpStream, queue: &Queue) {
    loop {
        let (due, bytes) = queue.pop();
        sleep_until(due);
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            // Nobody hears of it then.
            let _ = to.shutdown(Shutdown::Write);
            queue.close();
            break;
        }
    }
}
