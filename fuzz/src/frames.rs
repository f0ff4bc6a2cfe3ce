//! HTTP/2 frames: some as they should be, some by hand, and the reading of them.
//!
//! *Source:* RFC 9113, sections 4.1 and 6; RFC 7541, section 6.

use arbitrary::Arbitrary;

/// What a connection begins with in the direction of the server.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
pub const HEAD: usize = 9;
/// Types of frames.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}
/// On DATA and HEADERS; on SETTINGS and PING it is ACK.
pub const END_STREAM: u8 = 0x1;
/// On HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;

/// Something to send.
#[derive(Debug, Arbitrary)]
pub enum Piece<'a> {
    /// A gRPC request's headers.
    Request(Block<'a>),
    /// A gRPC response's headers.
    Response(Block<'a>),
    /// Trailers with a status.
    Trailers(Block<'a>),
    /// A header block of nothing but what is said.
    Headers(Block<'a>),
    /// DATA of so many bytes.
    Data {
        stream: Stream,
        length: u16,
        end: bool,
    },
    Reset {
        stream: Stream,
        code: u8,
    },
    Settings {
        id: u8,
        value: u32,
    },
    Ack,
    Ping,
    Credit {
        stream: Option<Stream>,
        amount: u32,
    },
    GoAway {
        last: Stream,
        code: u8,
    },
    /// Any frame at all.
    Frame {
        kind: u8,
        flags: u8,
        stream: Stream,
        payload: &'a [u8],
    },
    Bytes(&'a [u8]),
    /// A frame many times.
    Many {
        kind: u8,
        flags: u8,
        stream: Stream,
        payload: [u8; 4],
        times: u16,
    },
}

/// A stream of a caller's or of ours, of which scripts need a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub struct Stream(u8);

impl Stream {
    /// Its id.
    pub fn id(self) -> u32 {
        match self.0 {
            // Zero, and a push.
            0xff => 0,
            0xfe => 2,
            few => u32::from(few % 8) * 2 + 1,
        }
    }
}

/// A header block.
#[derive(Debug, Arbitrary)]
pub struct Block<'a> {
    stream: Stream,
    end: bool,
    /// Bytes of the block before the first CONTINUATION, where there is one.
    cut: Option<u8>,
    fields: Vec<Field<'a>>,
}

#[derive(Debug, Arbitrary)]
struct Field<'a> {
    name: Name<'a>,
    value: &'a [u8],
    how: Literal,
}

#[derive(Debug, Arbitrary)]
enum Name<'a> {
    Method,
    Path,
    Scheme,
    Authority,
    HttpStatus,
    ContentType,
    ContentLength,
    Te,
    ClientId,
    Timeout,
    Status,
    Message,
    Ours,
    Other(&'a [u8]),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Literal {
    Plain,
    NeverIndexed,
    Indexed,
}

impl Name<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Method => b":method",
            Self::Path => b":path",
            Self::Scheme => b":scheme",
            Self::Authority => b":authority",
            Self::HttpStatus => b":status",
            Self::ContentType => b"content-type",
            Self::ContentLength => b"content-length",
            Self::Te => b"te",
            Self::ClientId => b"client-id",
            Self::Timeout => b"grpc-timeout",
            Self::Status => b"grpc-status",
            Self::Message => b"grpc-message",
            Self::Ours => b"x-mux-error",
            Self::Other(name) => name,
        }
    }
}

/// Fewer times than this one frame is repeated: more than any flood takes.
const MANY: u16 = 2_000;
/// The client id that requests name.
pub const CLIENT_ID: &str = "fuzzed";

const REQUEST: &[(&[u8], &[u8])] = &[
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/s/m"),
    (b":authority", b"h"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
    (b"client-id", CLIENT_ID.as_bytes()),
];
const RESPONSE: &[(&[u8], &[u8])] = &[(b":status", b"200"), (b"content-type", b"application/grpc")];
const TRAILERS: &[(&[u8], &[u8])] = &[(b"grpc-status", b"0")];

impl Piece<'_> {
    /// Appends it to what is sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(block) => block.write(REQUEST, block.end, out),
            Self::Response(block) => block.write(RESPONSE, block.end, out),
            Self::Trailers(block) => block.write(TRAILERS, true, out),
            Self::Headers(block) => block.write(&[], block.end, out),
            Self::Data {
                stream,
                length,
                end,
            } => {
                let payload = vec![0xda; usize::from(*length)];
                let flags = if *end { END_STREAM } else { 0 };
                frame(out, kind::DATA, flags, stream.id(), &payload);
            }
            Self::Reset { stream, code } => {
                let code = u32::from(*code).to_be_bytes();
                frame(out, kind::RST_STREAM, 0, stream.id(), &code);
            }
            Self::Settings { id, value } => {
                let mut setting = vec![0, *id];
                setting.extend(value.to_be_bytes());
                frame(out, kind::SETTINGS, 0, 0, &setting);
            }
            Self::Ack => frame(out, kind::SETTINGS, END_STREAM, 0, &[]),
            Self::Ping => frame(out, kind::PING, 0, 0, b"fuzzfuzz"),
            Self::Credit { stream, amount } => {
                let stream = stream.map_or(0, Stream::id);
                frame(out, kind::WINDOW_UPDATE, 0, stream, &amount.to_be_bytes());
            }
            Self::GoAway { last, code } => {
                let payload = [last.id(), u32::from(*code)].map(u32::to_be_bytes);
                frame(out, kind::GOAWAY, 0, 0, payload.as_flattened());
            }
            Self::Frame {
                kind,
                flags,
                stream,
                payload,
            } => {
                frame(out, *kind, *flags, stream.id(), payload);
            }
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Many {
                kind,
                flags,
                stream,
                payload,
                times,
            } => {
                for _ in 0..times % MANY {
                    frame(out, *kind, *flags, stream.id(), payload);
                }
            }
        }
    }
}

impl Block<'_> {
    fn write(&self, usual: &[(&[u8], &[u8])], end: bool, out: &mut Vec<u8>) {
        let mut block = Vec::new();
        for (name, value) in usual {
            literal(&mut block, Literal::NeverIndexed, name, value);
        }
        for Field { name, value, how } in &self.fields {
            literal(&mut block, *how, name.bytes(), value);
        }
        let flags = if end { END_STREAM } else { 0 };
        let Some(cut) = self.cut else {
            return frame(
                out,
                kind::HEADERS,
                flags | END_HEADERS,
                self.stream.id(),
                &block,
            );
        };
        let (first, rest) = block.split_at(block.len().min(cut.into()));
        frame(out, kind::HEADERS, flags, self.stream.id(), first);
        frame(out, kind::CONTINUATION, END_HEADERS, self.stream.id(), rest);
    }
}

fn literal(block: &mut Vec<u8>, how: Literal, name: &[u8], value: &[u8]) {
    block.push(match how {
        Literal::Plain => 0x00,
        Literal::NeverIndexed => 0x10,
        Literal::Indexed => 0x40,
    });
    for string in [name, value] {
        // A length that one byte holds.
        let string = &string[..string.len().min(0x7e)];
        block.push(string.len() as u8);
        block.extend_from_slice(string);
    }
}

/// Appends a frame. Its payload is cut at what its length can say.
pub fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let payload = &payload[..payload.len().min(0xff_ffff)];
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A frame that was read, with its nine bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read<'b> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub bytes: &'b [u8],
}

impl<'b> Read<'b> {
    /// Whether END_STREAM (or ACK) is set.
    pub fn ends(&self) -> bool {
        self.flags & END_STREAM != 0
    }

    /// What follows the nine bytes.
    pub fn payload(&self) -> &'b [u8] {
        &self.bytes[HEAD..]
    }
}

/// The complete frames that `bytes` begin with, after any preface.
pub fn read(mut bytes: &[u8]) -> impl Iterator<Item = Read<'_>> {
    std::iter::from_fn(move || {
        let [a, b, c, kind, flags, s, t, u, v] = *bytes.first_chunk::<HEAD>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let (frame, rest) = bytes.split_at_checked(HEAD + length)?;
        bytes = rest;
        Some(Read {
            kind,
            flags,
            stream: u32::from_be_bytes([s, t, u, v]) & (u32::MAX >> 1),
            bytes: frame,
        })
    })
}
