//! A server and a backend that do what they may, in any order: nobody's window is overrun, and what comes is what was sent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One side's books of a request.
#[derive(Debug, Default)]
struct Book {
    window: i64,
    bytes: Vec<u8>,
    ended: bool,
    gone: bool,
}

#[derive(Debug, Clone)]
enum Act {
    Begin,
    Send {
        stream: usize,
        bytes: usize,
    },
    End {
        stream: usize,
        trailers: bool,
    },
    Cancel {
        stream: usize,
    },
    Acknowledge,
    Take {
        stream: usize,
        bytes: u32,
    },
    TakeAny {
        bytes: u32,
    },
    Set {
        initial: u32,
    },
    Refuse {
        stream: usize,
    },
    /// The task is polled.
    Settle,
}

fn act() -> impl Strategy<Value = Act> {
    let stream = || 0..6_usize;
    prop_oneof![
        2 => Just(Act::Begin),
        8 => (stream(), 0..30_000_usize).prop_map(|(stream, bytes)| Act::Send { stream, bytes }),
        1 => (stream(), any::<bool>()).prop_map(|(stream, trailers)| Act::End { stream, trailers }),
        1 => stream().prop_map(|stream| Act::Cancel { stream }),
        2 => Just(Act::Acknowledge),
        8 => (stream(), 1..40_000_u32).prop_map(|(stream, bytes)| Act::Take { stream, bytes }),
        4 => (1..60_000_u32).prop_map(|bytes| Act::TakeAny { bytes }),
        1 => (0..200_000_u32).prop_map(|initial| Act::Set { initial }),
        1 => stream().prop_map(|stream| Act::Refuse { stream }),
        4 => Just(Act::Settle),
    ]
}

struct World {
    bench: Bench,
    next: u32,
    /// By stream: what the server sent, and what the backend got.
    server: BTreeMap<u32, Book>,
    backend: BTreeMap<u32, Book>,
    /// What each connection still may.
    server_window: i64,
    backend_window: i64,
    /// Of streams, as the server and the backend see it, and what is not acknowledged.
    server_initial: i64,
    backend_initial: i64,
    set: Vec<u32>,
    /// What the server did not acknowledge of what it got.
    got: Vec<u32>,
    piece: usize,
}

impl World {
    fn new(piece: usize) -> Self {
        let mut bench = Bench::silent();
        let hello = [&PREFACE[..], &settings(None).bytes()].concat();
        bench.says(&hello).unwrap();
        bench.at_backend.advance(PREFACE.len());
        bench.backend(&[settings(None)]);
        bench.server(&[acknowledged()]);
        bench.backend_got();
        let server_window = bench
            .server_got()
            .iter()
            .skip(1)
            .map(Frame::number)
            .sum::<u32>();
        Self {
            bench,
            next: 1,
            server: BTreeMap::new(),
            backend: BTreeMap::new(),
            server_window: 65_535 + i64::from(server_window),
            backend_window: 65_535,
            server_initial: 65_535,
            backend_initial: 65_535,
            set: Vec::new(),
            got: Vec::new(),
            piece,
        }
    }

    /// In pieces, without a look at what comes of it.
    fn says(&mut self, frame: &Frame) {
        for piece in frame.bytes().chunks(self.piece) {
            self.bench.from_server.extend_from_slice(piece);
            let input = &mut self.bench.from_server;
            self.bench.middle.hear_server(input).unwrap();
        }
    }

    fn answers(&mut self, frame: &Frame) {
        for piece in frame.bytes().chunks(self.piece) {
            self.bench.from_backend.extend_from_slice(piece);
            let input = &mut self.bench.from_backend;
            self.bench.middle.hear_backend(input).unwrap();
        }
    }

    fn nth(books: &BTreeMap<u32, Book>, n: usize) -> Option<u32> {
        let open = books.iter().filter(|(_, book)| !book.ended && !book.gone);
        open.map(|(stream, _)| *stream).nth(n)
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Begin => {
                let stream = self.next;
                self.next += 2;
                let begun = self
                    .bench
                    .block(stream, 0, &[(":path", "/s/m"), ("n", "1")]);
                let window = self.server_initial;
                self.server.insert(
                    stream,
                    Book {
                        window,
                        ..Book::default()
                    },
                );
                self.says(&begun);
            }
            Act::Send { stream, bytes } => self.send(stream, bytes),
            Act::End { stream, trailers } => {
                let Some(stream) = Self::nth(&self.server, stream) else {
                    return;
                };
                self.server.get_mut(&stream).unwrap().ended = true;
                let end = if trailers {
                    self.bench
                        .block(stream, END_STREAM, &[("n", "1"), ("checksum", "7")])
                } else {
                    last(stream, b"")
                };
                self.says(&end);
            }
            Act::Cancel { stream } => {
                if let Some(stream) = Self::nth(&self.server, stream) {
                    self.server.get_mut(&stream).unwrap().gone = true;
                    self.says(&reset(stream));
                }
            }
            Act::Acknowledge => {
                if !self.got.is_empty() {
                    let initial = i64::from(self.got.remove(0));
                    let by = initial - self.server_initial;
                    self.server_initial = initial;
                    self.server.values_mut().for_each(|book| book.window += by);
                    self.says(&acknowledged());
                }
            }
            Act::Take { stream, bytes } => {
                let open = Self::nth(&self.backend, stream);
                if let Some(stream) = open {
                    let book = self.backend.get_mut(&stream).unwrap();
                    // No backend lets more than some of it wait.
                    if book.window < 1 << 20 {
                        book.window += i64::from(bytes);
                        self.answers(&credit(stream, bytes));
                    }
                }
            }
            Act::TakeAny { bytes } => {
                if self.backend_window < 1 << 20 {
                    self.backend_window += i64::from(bytes);
                    self.answers(&credit(0, bytes));
                }
            }
            Act::Set { initial } => {
                self.set.push(initial);
                self.answers(&settings(Some(initial)));
            }
            Act::Refuse { stream } => {
                if let Some(stream) = Self::nth(&self.backend, stream) {
                    self.backend.get_mut(&stream).unwrap().gone = true;
                    self.answers(&reset(stream));
                }
            }
            Act::Settle => self.settle(),
        }
    }

    fn send(&mut self, stream: usize, bytes: usize) {
        let Some(stream) = Self::nth(&self.server, stream) else {
            return;
        };
        let book = self.server.get_mut(&stream).unwrap();
        let room = book.window.min(self.server_window).max(0);
        let bytes = bytes.min(usize::try_from(room).unwrap());
        book.window -= bytes as i64;
        self.server_window -= bytes as i64;
        let from = book.bytes.len();
        book.bytes
            .extend((from..from + bytes).map(|n| (n / 7) as u8));
        let sent = data(stream, &book.bytes[from..]);
        self.says(&sent);
    }

    /// Both ends read what came.
    fn settle(&mut self) {
        self.bench.settle();
        for frame in self.bench.backend_got() {
            self.backend_reads(&frame);
        }
        for frame in self.bench.server_got() {
            match frame.kind {
                SETTINGS => self.got.push((&frame.payload[2..]).get_u32()),
                RST_STREAM => self.server.get_mut(&frame.stream).unwrap().gone = true,
                WINDOW_UPDATE => {
                    let bytes = i64::from(frame.number());
                    assert!(bytes > 0);
                    if frame.stream == 0 {
                        self.server_window += bytes;
                    } else {
                        self.server.get_mut(&frame.stream).unwrap().window += bytes;
                    }
                }
                other => panic!("a frame of kind {other} for the server"),
            }
        }
    }

    fn backend_reads(&mut self, frame: &Frame) {
        let stream = frame.stream;
        let window = self.backend_initial;
        match frame.kind {
            SETTINGS => {
                let initial = i64::from(self.set.remove(0));
                let by = initial - self.backend_initial;
                self.backend_initial = initial;
                self.backend.values_mut().for_each(|book| book.window += by);
            }
            HEADERS if frame.flags & END_STREAM == 0 => {
                self.bench.fields(frame);
                self.backend.insert(
                    stream,
                    Book {
                        window,
                        ..Book::default()
                    },
                );
            }
            HEADERS => {
                let fields = self.bench.fields(frame);
                assert_eq!(fields[1].1, "7");
                self.backend.get_mut(&stream).unwrap().ended = true;
            }
            RST_STREAM => self.backend.get_mut(&stream).unwrap().gone = true,
            DATA => {
                let book = self.backend.get_mut(&stream).unwrap();
                let (length, ends) = (frame.payload.len(), frame.flags & END_STREAM != 0);
                assert!(length > 0 || ends, "an empty frame");
                assert!(!book.ended, "bytes after the end");
                book.window -= length as i64;
                self.backend_window -= length as i64;
                assert!(
                    length == 0 || book.window >= 0,
                    "the stream's window is overrun"
                );
                assert!(
                    self.backend_window >= 0,
                    "the connection's window is overrun"
                );
                book.bytes.extend_from_slice(&frame.payload);
                book.ended = ends;
            }
            other => panic!("a frame of kind {other} for the backend"),
        }
    }

    /// The backend takes all, and so all must come.
    fn finish(&mut self) {
        self.settle();
        while !self.got.is_empty() {
            self.act(&Act::Acknowledge);
        }
        self.settle();
        for stream in self.backend.keys().copied().collect::<Vec<_>>() {
            self.answers(&credit(stream, 1 << 28));
            self.backend.get_mut(&stream).unwrap().window += 1 << 28;
        }
        self.backend_window += 1 << 30;
        self.answers(&credit(0, 1 << 30));
        self.settle();
        assert!(self.bench.middle.is_drained());
        for (stream, sent) in &self.server {
            let got = &self.backend[stream];
            if sent.gone || got.gone {
                assert!(sent.bytes.starts_with(&got.bytes));
            } else {
                assert!(sent.bytes == got.bytes, "other bytes on {stream}");
                assert_eq!(sent.ended, got.ended);
                if !sent.ended {
                    assert!(sent.window >= 3 * 65_535 / 4, "{} on {stream}", sent.window);
                }
            }
        }
        assert!(self.server_window >= 28 << 20, "{}", self.server_window);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_both_do_the_books_agree(
        acts in proptest::collection::vec(act(), 0..300),
        piece in prop_oneof![1..50_usize, Just(usize::MAX)],
    ) {
        let mut world = World::new(piece);
        for act in &acts {
            world.act(act);
        }
        world.finish();
    }

    #[test]
    fn no_bytes_make_it_panic(
        said in proptest::collection::vec(any::<u8>(), 0..400),
        answered in proptest::collection::vec(any::<u8>(), 0..400),
        kind in 0..10_u8,
    ) {
        let mut bench = Bench::greeted(None);
        bench.begins(1);
        let cut = said.len().min(4);
        let _ = bench.says(&[&frame(kind, said.len() as u8, 1, &said[cut..]).bytes()[..], &said].concat());
        let _ = bench.answers(&[&frame(kind, 0, 1, &answered).bytes()[..], &answered].concat());
    }
}
