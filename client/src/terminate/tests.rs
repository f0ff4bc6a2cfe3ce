//! Frames of a server and of a backend, what each gets to see of the other's, and what neither may do.

mod model;

use bytes::{Buf as _, BufMut as _};
use loona_hpack::{Decoder, Encoder};

use super::*;
use crate::http2::PREFACE;
use crate::http2::frame::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEAD, HEADERS, Head, PADDED, RST_STREAM, SETTINGS,
    WINDOW_UPDATE,
};

const PING: u8 = 6;
const RTT: Duration = Duration::from_millis(50);

/// A frame with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
    let payload = payload.to_vec();
    Frame {
        kind,
        flags,
        stream,
        payload,
    }
}

impl Frame {
    fn bytes(&self) -> BytesMut {
        let mut bytes = BytesMut::new();
        let head = Head {
            length: self.payload.len(),
            kind: self.kind,
            flags: self.flags,
            stream: self.stream,
        };
        head.write(&mut bytes);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    fn number(&self) -> u32 {
        (&self.payload[..]).get_u32()
    }
}

/// Takes whole frames off the front.
fn frames(bytes: &mut BytesMut) -> Vec<Frame> {
    let mut all = Vec::new();
    while let Some(head) = Head::first(bytes).filter(|head| bytes.len() >= head.frame()) {
        let payload = bytes.split_to(head.frame()).split_off(HEAD);
        all.push(frame(head.kind, head.flags, head.stream, &payload));
    }
    all
}

fn settings(initial: Option<u32>) -> Frame {
    let mut payload = BytesMut::new();
    if let Some(initial) = initial {
        payload.put_u16(4);
        payload.put_u32(initial);
    }
    frame(SETTINGS, 0, 0, &payload)
}

fn acknowledged() -> Frame {
    frame(SETTINGS, ACK, 0, b"")
}

fn credit(stream: u32, bytes: u32) -> Frame {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

fn data(stream: u32, payload: &[u8]) -> Frame {
    frame(DATA, 0, stream, payload)
}

fn last(stream: u32, payload: &[u8]) -> Frame {
    frame(DATA, END_STREAM, stream, payload)
}

fn reset(stream: u32) -> Frame {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// One whose encoder remembers what it said.
struct Bench {
    middle: Terminate,
    encoder: Encoder<'static>,
    decoder: Decoder<'static>,
    from_server: BytesMut,
    from_backend: BytesMut,
    at_backend: BytesMut,
    at_server: BytesMut,
    now: Instant,
    budget: Budget,
}

impl Bench {
    /// One on which nothing was said.
    fn silent() -> Self {
        let (now, budget) = (Instant::now(), Budget::default());
        Self {
            middle: Terminate::new(budget.clone(), now),
            encoder: Encoder::new(),
            decoder: Decoder::new(),
            from_server: BytesMut::new(),
            from_backend: BytesMut::new(),
            at_backend: BytesMut::new(),
            at_server: BytesMut::new(),
            now,
            budget,
        }
    }

    /// One after the greetings, with what streams begin with at the backend, where it says so.
    fn greeted(initial: Option<u32>) -> Self {
        let mut bench = Self::silent();
        bench.says(PREFACE).unwrap();
        bench.server(&[settings(None)]);
        assert_eq!(bench.at_backend.split_to(PREFACE.len())[..], PREFACE[..]);
        assert_eq!(bench.backend_got(), [settings(None)]);
        bench.backend(&[settings(initial), acknowledged()]);
        bench.server(&[acknowledged()]);
        // What stalled calls keep is to come out of nobody's window.
        let whole = credit(0, (32 << 20) - 65_535);
        assert_eq!(
            bench.server_got(),
            [settings(initial), whole, acknowledged()]
        );
        assert_eq!(bench.backend_got(), [acknowledged()]);
        bench
    }

    fn says(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.from_server.extend_from_slice(bytes);
        self.middle.hear_server(&mut self.from_server)?;
        self.settle();
        Ok(())
    }

    fn answers(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.from_backend.extend_from_slice(bytes);
        self.middle.hear_backend(&mut self.from_backend)?;
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        let mut output = BytesMut::new();
        loop {
            self.middle.tell_backend(self.now, RTT, &mut output);
            if output.is_empty() {
                break;
            }
            self.at_backend.unsplit(output.split());
        }
        self.middle.tell_server(&mut output);
        self.at_server.unsplit(output);
    }

    fn server(&mut self, frames: &[Frame]) {
        for frame in frames {
            self.says(&frame.bytes()).unwrap();
        }
    }

    fn backend(&mut self, frames: &[Frame]) {
        for frame in frames {
            self.answers(&frame.bytes()).unwrap();
        }
    }

    fn backend_got(&mut self) -> Vec<Frame> {
        frames(&mut self.at_backend)
    }

    fn server_got(&mut self) -> Vec<Frame> {
        frames(&mut self.at_server)
    }

    /// A header block of the server's.
    fn block(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> Frame {
        let fields = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let block = self.encoder.encode(fields);
        frame(HEADERS, flags | END_HEADERS, stream, &block)
    }

    fn begins(&mut self, stream: u32) {
        let block = self.block(stream, 0, &[(":method", "POST"), ("n", "1")]);
        self.server(&[block]);
        let begun = self.backend_got();
        assert_eq!((begun[0].kind, begun[0].stream), (HEADERS, stream));
    }

    /// The fields of a header block that came to the backend.
    fn fields(&mut self, frame: &Frame) -> Vec<(String, String)> {
        assert_eq!(frame.kind, HEADERS);
        let fields = self.decoder.decode(&frame.payload).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let fields = fields.into_iter().map(|(n, v)| (text(n), text(v)));
        fields.collect()
    }
}

#[test]
fn what_a_server_may_not_send_is_an_error() {
    let padding = frame(DATA, PADDED, 1, &[9, 0]);
    let trailers = frame(HEADERS, END_HEADERS, 1, &[]);
    let too_much = vec![data(1, &[0; 16_384]); 5];
    let twice = vec![last(1, b"bytes"), last(1, b"")];
    for (frames, why) in [
        (vec![data(3, b"")], "never began"),
        (vec![padding], "padding"),
        (vec![trailers], "do not end"),
        (twice.clone(), "after the end"),
        (too_much, "window of its stream"),
    ] {
        let mut bench = Bench::greeted(Some(0));
        bench.begins(1);
        let said = frames.iter().map(Frame::bytes).collect::<Vec<_>>().concat();
        let error = bench.says(&said).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = Bench::silent().says(b"GET / HTTP/1.1\r\n").unwrap_err();
    assert!(error.to_string().contains("preface"), "{error}");
    let mut bench = Bench::greeted(Some(i32::MAX as u32));
    bench.begins(1);
    let frames = data(1, &vec![0; 8 << 20]).bytes().repeat(5);
    let error = bench.says(&frames).unwrap_err();
    assert!(error.to_string().contains("the connection"), "{error}");
}

#[test]
fn credit_that_nobody_can_have_is_an_error() {
    let window = |value: u32| settings(Some(value));
    for wrong in [
        credit(0, 0),
        credit(1, 0),
        credit(0, i32::MAX as u32),
        credit(1, i32::MAX as u32),
        frame(WINDOW_UPDATE, 0, 1, &[1; 5]),
        frame(SETTINGS, 0, 0, &[0; 7]),
        frame(GOAWAY, 0, 0, &[0; 7]),
        window(1 << 31),
    ] {
        let mut bench = Bench::greeted(None);
        bench.begins(1);
        let error = bench.answers(&wrong.bytes()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{wrong:?}");
    }
    let mut bench = Bench::greeted(None);
    let flood = settings(None).bytes().repeat(2_000);
    let error = bench.answers(&flood).unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
}

#[test]
fn what_is_no_http2_passes_untouched() {
    let acknowledges_first = acknowledged().bytes();
    for said in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n\0\0\x04\x08\0\0\0\0\0\0\0\0\x09"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
        &acknowledges_first,
    ] {
        for piece in [1, said.len()] {
            let mut bench = Bench::silent();
            bench.says(PREFACE).unwrap();
            for bytes in said.chunks(piece) {
                bench.answers(bytes).unwrap();
            }
            assert_eq!(bench.at_server[..], said[..]);
        }
    }
}

#[test]
fn bytes_before_a_backends_end_reach_the_server() {
    let mut bench = Bench::silent();
    bench.answers(b"hi\n").unwrap();
    assert!(bench.at_server.is_empty());
    bench.middle.backend_ended(&mut bench.from_backend);
    bench.settle();
    assert_eq!(bench.at_server[..], b"hi\n"[..]);
}

#[test]
fn what_is_not_for_us_passes_as_it_is() {
    let mut bench = Bench::greeted(None);
    bench.begins(1);
    let both = [
        frame(PING, 0, 0, &[1; 8]),
        frame(0xfa, 3, 7, &[2; 40_000]),
        settings(None),
        reset(1),
    ];
    bench.server(&both);
    assert_eq!(bench.backend_got(), both);
    let answer = [
        frame(HEADERS, 0, 1, b"no block"),
        frame(DATA, PADDED, 1, &[3; 20_000]),
        frame(GOAWAY, 0, 0, &[0; 30]),
    ];
    let said = [&both[..], &answer].concat();
    bench.backend(&said);
    assert_eq!(bench.server_got(), said);
}

#[test]
fn data_goes_on_as_the_backend_takes_it_in_turns() {
    let mut bench = Bench::greeted(Some(20_000));
    for stream in [1, 3] {
        bench.begins(stream);
    }
    // The connection takes 65,535 in all.
    for stream in [1, 3] {
        let bytes = vec![stream as u8; 40_000];
        bench.server(&[
            data(stream, &bytes[..16_000]),
            data(stream, &bytes[16_000..]),
        ]);
    }
    let sizes = |frames: &[Frame]| -> Vec<_> {
        let of = |frame: &Frame| (frame.stream, frame.payload.len(), frame.flags);
        frames.iter().map(of).collect()
    };
    let got = bench.backend_got();
    assert_eq!(
        sizes(&got),
        [(1, 16_000, 0), (1, 4_000, 0), (3, 16_000, 0), (3, 4_000, 0)]
    );
    bench.backend(&[credit(3, 50_000), credit(1, 50_000)]);
    let rest = [(3, 16_384, 0), (3, 3_616, 0), (1, 5_535, 0)];
    assert_eq!(sizes(&bench.backend_got()), rest);
    bench.server(&[last(1, &[1; 10]), last(3, b"")]);
    assert_eq!(sizes(&bench.backend_got()), [(3, 0, END_STREAM)]);
    bench.backend(&[credit(0, 100_000)]);
    assert_eq!(sizes(&bench.backend_got()), [(1, 14_475, END_STREAM)]);
    assert!(bench.middle.is_drained());
}

#[test]
fn trailers_wait_for_what_is_before_them_and_calls_that_come_later_do_not() {
    let mut bench = Bench::greeted(Some(10));
    bench.begins(1);
    bench.server(&[data(1, &[1; 30])]);
    let trailers = bench.block(1, END_STREAM, &[("checksum", "5"), ("n", "1")]);
    let further = bench.block(3, END_STREAM, &[("checksum", "5"), (":path", "/s/m")]);
    bench.server(&[trailers, further]);
    let got = bench.backend_got();
    assert_eq!(got[0], data(1, &[1; 10]));
    let owned = |fields: &[(&str, &str)]| -> Vec<_> {
        let owned = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        owned.collect()
    };
    assert_eq!(got[1].stream, 3);
    let fields = bench.fields(&got[1]);
    assert_eq!(fields, owned(&[("checksum", "5"), (":path", "/s/m")]));
    bench.backend(&[credit(1, 100)]);
    let got = bench.backend_got();
    assert_eq!(got[0], data(1, &[1; 20]));
    assert_eq!((got[1].stream, got[1].flags), (1, END_STREAM | END_HEADERS));
    let fields = bench.fields(&got[1]);
    assert_eq!(fields, owned(&[("checksum", "5"), ("n", "1")]));
}

#[test]
fn padding_goes_no_further_and_is_given_back() {
    let mut bench = Bench::greeted(None);
    bench.begins(1);
    let padded = [&[200][..], b"bytes", &[0; 200]].concat();
    for _ in 0..100 {
        bench.server(&[frame(DATA, PADDED, 1, &padded)]);
        assert_eq!(bench.backend_got(), [data(1, b"bytes")]);
        bench.backend(&[credit(1, 5)]);
    }
    let back: u32 = bench.server_got().iter().map(Frame::number).sum();
    assert!(back > 65_535 / 4, "{back}");
}

#[test]
fn a_reset_of_either_side_drops_what_waits_and_leaks_no_window() {
    let mut bench = Bench::greeted(Some(65_535));
    let mut back = 0;
    let mut stream = 1;
    for number in 0..2_000 {
        bench.begins(stream);
        let bytes = vec![0; 65_535];
        bench.server(&[data(stream, &bytes)]);
        if number % 2 == 0 {
            bench.server(&[reset(stream)]);
            assert_eq!(bench.backend_got().last(), Some(&reset(stream)));
        } else {
            bench.backend(&[reset(stream)]);
            // It was under way.
            bench.server(&[data(stream, b"late"), last(stream, b"")]);
            bench.backend_got();
        }
        // Nobody may have it twice: the first call used all that the connection takes.
        let resets = bench.server_got().into_iter();
        let credits = resets.filter(|frame| frame.kind == WINDOW_UPDATE);
        back += credits.map(|frame| u64::from(frame.number())).sum::<u64>();
        stream += 2;
    }
    assert!(bench.middle.is_drained());
    assert!(back > 2_000 * 65_535 - (8 << 20), "{back}");
}

#[test]
fn what_a_backend_will_not_do_any_more_waits_no_more() {
    let mut bench = Bench::greeted(Some(0));
    for stream in [1, 3] {
        bench.begins(stream);
        bench.server(&[data(stream, b"waits")]);
    }
    let last_stream = [&[0, 0, 0, 1][..], &[0; 4]].concat();
    bench.backend(&[frame(GOAWAY, 0, 0, &last_stream)]);
    bench.backend(&[credit(1, 5), credit(3, 5)]);
    assert_eq!(bench.backend_got(), [data(1, b"waits")]);
    assert!(bench.middle.is_drained());
}

/// What the backend sets holds from the server's acknowledgement on, for streams that are open too, and may leave them owing.
#[test]
fn a_window_that_shrinks_may_be_less_than_nothing() {
    let mut bench = Bench::greeted(Some(100));
    bench.begins(1);
    bench.server(&[data(1, &[1; 60])]);
    bench.backend(&[settings(Some(10))]);
    bench.server(&[data(1, &[2; 40])]);
    let sent: usize = bench.backend_got().iter().map(|f| f.payload.len()).sum();
    assert_eq!(sent, 100);
    bench.server(&[acknowledged(), data(1, &[3; 30])]);
    bench.backend(&[credit(1, 90)]);
    assert_eq!(bench.backend_got(), [acknowledged()]);
    bench.backend(&[credit(1, 20)]);
    assert_eq!(bench.backend_got(), [data(1, &[3; 20])]);
    bench.backend(&[settings(Some(1_000))]);
    bench.server(&[acknowledged()]);
    assert_eq!(bench.backend_got(), [acknowledged(), data(1, &[3; 10])]);
}

/// A round trip of an upload: what the server has credit for comes at once, and the backend takes it at once or not.
fn trips(bench: &mut Bench, takes: u32, trips: u32) -> u64 {
    let (mut window, mut came) = (65_535, 0);
    for _ in 0..trips {
        bench.now += RTT;
        while window > 0 {
            let bytes = vec![0; window.min(16_384) as usize];
            window -= bytes.len() as u32;
            came += bytes.len() as u64;
            bench.server(&[data(1, &bytes)]);
            bench.backend(&[credit(0, takes), credit(1, takes)]);
        }
        let credits = bench.server_got().into_iter();
        let credits = credits.filter(|f| f.kind == WINDOW_UPDATE && f.stream == 1);
        window = credits.map(|frame| frame.number()).sum();
        bench.backend_got();
    }
    came
}

#[test]
fn the_window_grows_where_the_link_limits_and_is_given_back() {
    let mut bench = Bench::greeted(None);
    let all = bench.budget.left();
    bench.begins(1);
    let came = trips(&mut bench, 16_384, 20);
    assert!(came > 5 * (8 << 20), "{came}");
    let grown = all - bench.budget.left();
    assert!((8 << 20..16 << 20).contains(&grown), "{grown}");
    bench.server(&[last(1, b"")]);
    assert_eq!(bench.budget.left(), all);
}

#[test]
fn the_window_does_not_grow_where_the_backend_is_slow_or_little_comes() {
    let mut slow = Bench::greeted(None);
    slow.begins(1);
    let all = slow.budget.left();
    trips(&mut slow, 1_000, 50);
    // It took the first window at once, and all that it gives after is less.
    assert_eq!(slow.budget.left(), all - 65_535);
    let mut little = Bench::greeted(None);
    little.begins(1);
    for _ in 0..1_000 {
        little.now += RTT;
        little.server(&[data(1, &[0; 10_000])]);
        little.backend(&[credit(0, 10_000), credit(1, 10_000)]);
    }
    assert_eq!(little.budget.left(), all);
}

#[test]
fn windows_grow_no_further_than_all_of_them_may() {
    let mut bench = Bench::greeted(None);
    bench.middle = {
        let scarce = Budget::of(200_000);
        bench.budget = scarce.clone();
        let mut greeted = Bench::greeted(None);
        greeted.middle.state = State::new(scarce, bench.now);
        greeted.middle
    };
    bench.begins(1);
    trips(&mut bench, 16_384, 20);
    assert_eq!(bench.budget.left(), 200_000 - 3 * 65_535);
}
