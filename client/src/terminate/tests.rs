//! A server and a backend by frames, and what each gets to see of the other.

mod frames;
mod model;
mod windows;

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
fn taken(bytes: &mut BytesMut) -> Vec<Frame> {
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
        taken(&mut self.at_backend)
    }

    fn server_got(&mut self) -> Vec<Frame> {
        taken(&mut self.at_server)
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
