use std::sync::mpsc;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

/// What becomes of one write: bytes that it takes at most, or an error.
type Fate = Result<usize, ErrorKind>;

/// A stderr that a test moves write by write, and takes everything once the test lets go.
struct Scripted {
    fates: mpsc::Receiver<Fate>,
    written: mpsc::Sender<Vec<u8>>,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.fates.recv().unwrap_or(Ok(bytes.len()))?;
        let taken = &bytes[..room.min(bytes.len())];
        if !taken.is_empty() {
            // Who tests the end does not look any more.
            let _ = self.written.send(taken.to_owned());
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Bench {
    queue: Arc<Queue>,
    fates: mpsc::Sender<Fate>,
    written: mpsc::Receiver<Vec<u8>>,
    guard: Written,
}

impl Bench {
    fn new() -> Self {
        let (fates, theirs) = mpsc::channel();
        let (out, written) = mpsc::channel();
        let stderr = Scripted {
            fates: theirs,
            written: out,
        };
        let queue = Arc::<Queue>::default();
        let gap = |lines| format!("{lines} missing\n").into_bytes();
        let guard = queue.written_to(stderr, gap).unwrap();
        Self {
            queue,
            fates,
            written,
            guard,
        }
    }

    fn say(&self, line: &str) {
        (&*self.queue).write_all(line.as_bytes()).unwrap();
    }

    /// Waits for the next write that took something.
    fn writes(&self) -> String {
        String::from_utf8(self.written.recv_timeout(DEADLINE).unwrap()).unwrap()
    }

    /// Everything that was written once all may be.
    fn end(self) -> String {
        drop(self.fates);
        drop(self.guard);
        String::from_utf8(self.written.iter().flatten().collect()).unwrap()
    }
}

#[test]
fn all_that_was_said_is_written_before_the_end() {
    let bench = Bench::new();
    let lines: String = (0..1000).map(|line| format!("line {line}\n")).collect();
    lines.split_inclusive('\n').for_each(|line| bench.say(line));
    assert_eq!(bench.queue.dropped().get(), 0);
    assert_eq!(bench.end(), lines);
}

#[test]
fn what_finds_no_room_is_counted_and_named_where_it_is_missing() {
    let bench = Bench::new();
    bench.say("first\n");
    bench.fates.send(Ok(2)).unwrap();
    assert_eq!(bench.writes(), "fi");
    // The thread is within the first line. From here on nothing is taken.
    let large = "x".repeat(ROOM / 2 - 1) + "\n";
    for line in [&large, "second\n", &large, "would fit\n", &large] {
        bench.say(line);
    }
    assert_eq!(bench.queue.dropped().get(), 3);
    for length in [3, 1, large.len(), 7, 4] {
        bench.fates.send(Ok(length)).unwrap();
    }
    let written: String = (0..5).map(|_| bench.writes()).collect();
    assert_eq!(written, format!("rst\n{large}second\n3 mi"));
    bench.say("last\n");
    assert_eq!(bench.end(), "ssing\nlast\n");
}

#[test]
fn a_line_longer_than_all_room_is_dropped_and_keeps_nobody() {
    let bench = Bench::new();
    for (line, written) in [
        ("first\n", "first\n"),
        (&"x".repeat(ROOM + 1), "1 missing\n"),
    ] {
        bench.fates.send(Ok(100)).unwrap();
        bench.say(line);
        assert_eq!(bench.writes(), written);
    }
    bench.say("on\n");
    assert_eq!(bench.end(), "on\n");
}

#[test]
fn after_an_error_a_line_goes_on_where_it_stopped() {
    let bench = Bench::new();
    let fates = [
        Ok(3),
        Err(ErrorKind::StorageFull),
        Err(ErrorKind::Interrupted),
        Err(ErrorKind::BrokenPipe),
        Ok(0),
        Ok(2),
        Err(ErrorKind::WouldBlock),
        Ok(100),
    ];
    for fate in fates {
        bench.fates.send(fate).unwrap();
    }
    bench.say("a line\n");
    assert_eq!(bench.writes(), "a l");
    assert_eq!(bench.writes(), "in");
    assert_eq!(bench.writes(), "e\n");
    assert_eq!(bench.end(), "");
}

#[test]
fn an_end_does_not_wait_for_a_reader_that_stopped() {
    let bench = Bench::new();
    bench.say("nobody reads\n");
    // The fates are kept, so the thread waits for one for as long as the test lives.
    drop(bench.guard);
    assert!(bench.written.try_recv().is_err());
}

#[test]
fn an_end_waits_for_a_reader_that_is_slow_and_not_for_a_disk_that_is_full() {
    let bench = Bench::new();
    for _ in 0..20 {
        bench.fates.send(Err(ErrorKind::WouldBlock)).unwrap();
    }
    bench.say("slow\n");
    assert_eq!(bench.end(), "slow\n");

    let bench = Bench::new();
    for _ in 0..1000 {
        bench.fates.send(Err(ErrorKind::StorageFull)).unwrap();
    }
    bench.say("full\n");
    assert_eq!(bench.end(), "");
}
