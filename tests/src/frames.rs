//! HTTP/2 by hand: frames as bytes, for what no library would send.

use std::future::Future;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Backend, within};

/// Types of frames.
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// PRIORITY.
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM on DATA and HEADERS, ACK on SETTINGS and PING.
const FLAG_1: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream id.
    pub stream: u32,
    /// What follows the nine bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of any kind.
    #[must_use]
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.to_vec(),
        }
    }

    /// HEADERS: every entry as a literal that is never indexed.
    #[must_use]
    pub fn headers(stream: u32, entries: &[(&str, &str)], end: bool) -> Self {
        let mut block = Vec::new();
        for (name, value) in entries {
            block.push(0x10);
            hpack_string(&mut block, name.as_bytes());
            hpack_string(&mut block, value.as_bytes());
        }
        Self::new(
            kind::HEADERS,
            END_HEADERS | if end { FLAG_1 } else { 0 },
            stream,
            &block,
        )
    }

    /// The HEADERS of a call of edge `id`.
    #[must_use]
    pub fn call(stream: u32, path: &str, id: &str, end: bool) -> Self {
        let head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "mux"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("client-id", id),
        ];
        Self::headers(stream, &head, end)
    }

    /// DATA.
    #[must_use]
    pub fn data(stream: u32, bytes: &[u8], end: bool) -> Self {
        Self::new(kind::DATA, if end { FLAG_1 } else { 0 }, stream, bytes)
    }

    /// RST_STREAM.
    #[must_use]
    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    /// GOAWAY.
    #[must_use]
    pub fn go_away(last_stream: u32, code: u32) -> Self {
        let payload = [last_stream.to_be_bytes(), code.to_be_bytes()].concat();
        Self::new(kind::GOAWAY, 0, 0, &payload)
    }

    /// Empty SETTINGS, or their acknowledgement.
    #[must_use]
    pub fn settings(ack: bool) -> Self {
        Self::new(kind::SETTINGS, if ack { FLAG_1 } else { 0 }, 0, &[])
    }

    /// The whole frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_uint(self.payload.len() as u64, 3);
        bytes.put_u8(self.kind);
        bytes.put_u8(self.flags);
        bytes.put_u32(self.stream);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Whether END_STREAM (or ACK) is set.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.flags & FLAG_1 != 0
    }
}

fn hpack_string(block: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(bytes);
}

/// A connection of frames, either end.
#[derive(Debug)]
pub struct FrameConnection {
    socket: TcpStream,
    buffer: BytesMut,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl FrameConnection {
    /// The caller's end: connects, and says the preface and empty SETTINGS.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        let mut connection = Self {
            socket: TcpStream::connect(address).await.unwrap(),
            buffer: BytesMut::new(),
        };
        connection.socket.set_nodelay(true).unwrap();
        connection.bytes(PREFACE).await;
        connection.send(&Frame::settings(false)).await;
        connection
    }

    /// The backend's end: reads the preface, and says empty SETTINGS.
    ///
    /// # Panics
    ///
    /// When the peer does not speak HTTP/2.
    pub async fn accept(socket: TcpStream) -> Self {
        Self::accept_with(socket, &[]).await
    }

    /// The backend's end: reads the preface, and says these SETTINGS.
    ///
    /// # Panics
    ///
    /// When the peer does not speak HTTP/2.
    pub async fn accept_with(socket: TcpStream, settings: &[(u16, u32)]) -> Self {
        socket.set_nodelay(true).unwrap();
        let mut connection = Self {
            socket,
            buffer: BytesMut::new(),
        };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        connection
            .send(&Frame::new(kind::SETTINGS, 0, 0, &payload))
            .await;
        while connection.buffer.len() < PREFACE.len() {
            let read = connection.socket.read_buf(&mut connection.buffer).await;
            assert_ne!(read.unwrap(), 0, "no preface");
        }
        assert_eq!(&connection.buffer[..PREFACE.len()], PREFACE);
        connection.buffer.advance(PREFACE.len());
        connection
    }

    /// Sends a frame. A peer that is gone is no matter.
    pub async fn send(&mut self, frame: &Frame) {
        self.send_all(std::slice::from_ref(frame)).await;
    }

    /// Sends frames in one piece, so that the peer sees them together.
    pub async fn send_all(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.bytes(&bytes).await;
    }

    /// Sends bytes as they are. A peer that is gone is no matter.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next frame; `None` at the connection's end. SETTINGS and PING are acknowledged on the way.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer) {
                if !frame.ends() && (frame.kind == kind::SETTINGS || frame.kind == kind::PING) {
                    let payload = if frame.kind == kind::PING {
                        frame.payload.clone()
                    } else {
                        Vec::new()
                    };
                    self.send(&Frame::new(frame.kind, FLAG_1, 0, &payload))
                        .await;
                }
                return Some(frame);
            }
            if self.socket.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Sends `chunks` as fast as they are taken, and reads what comes meanwhile. `None` when the peer took it all;
    /// what it said in its GOAWAY when it hung up, if it said one.
    ///
    /// # Panics
    ///
    /// When neither happens.
    pub async fn flood(&mut self, chunks: impl IntoIterator<Item = Vec<u8>>) -> Option<HungUp> {
        let (mut reader, mut writer) = self.socket.split();
        let buffer = &mut self.buffer;
        let last = Frame::new(kind::PING, 0, 0, b"all said");
        let say = async {
            for chunk in chunks.into_iter().chain([last.bytes()]) {
                if writer.write_all(&chunk).await.is_err() {
                    return;
                }
            }
        };
        let hear = async {
            let mut said = HungUp::default();
            loop {
                while let Some(frame) = take_frame(buffer) {
                    match frame.kind {
                        kind::GOAWAY => said = HungUp::saying(&frame),
                        kind::PING if frame.ends() && frame.payload == last.payload => return None,
                        _ => {}
                    }
                }
                if !matches!(reader.read_buf(buffer).await, Ok(1..)) {
                    return Some(said);
                }
            }
        };
        within("the end of a flood", async { tokio::join!(say, hear).1 }).await
    }

    /// Waits for a frame of `kind`.
    ///
    /// # Panics
    ///
    /// When the connection ends before.
    pub async fn wait_for(&mut self, kind: u8) -> Frame {
        within(&format!("a frame of type {kind}"), async {
            loop {
                let frame = self.frame().await.expect("the connection ended");
                if frame.kind == kind {
                    return frame;
                }
            }
        })
        .await
    }

    /// Waits for the connection's end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn closed(&mut self) {
        within("the end of the connection", async {
            while self.frame().await.is_some() {}
        })
        .await;
    }

    /// Ends the connection without a word.
    pub fn close(self) {
        drop(self.socket);
    }

    /// Ends the connection with a TCP reset.
    ///
    /// # Panics
    ///
    /// When the system does not allow that.
    pub fn abort(self) {
        self.socket.set_zero_linger().unwrap();
    }
}

fn take_frame(buffer: &mut BytesMut) -> Option<Frame> {
    let mut head: &[u8] = buffer.get(..9)?;
    let length = usize::try_from(head.get_uint(3)).unwrap();
    let (kind, flags, stream) = (head.get_u8(), head.get_u8(), head.get_u32());
    if buffer.len() < 9 + length {
        return None;
    }
    buffer.advance(9);
    let payload = buffer.split_to(length).to_vec();
    Some(Frame {
        kind,
        flags,
        stream,
        payload,
    })
}

/// How a peer hung up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HungUp {
    /// The code of its last GOAWAY, if it said one.
    pub code: Option<u32>,
    /// Its debug data.
    pub text: String,
}

impl HungUp {
    /// What a GOAWAY says.
    ///
    /// # Panics
    ///
    /// When `go_away` is another frame.
    #[must_use]
    pub fn saying(go_away: &Frame) -> Self {
        let (_, mut rest) = go_away.payload.split_at(4);
        Self {
            code: Some(rest.get_u32()),
            text: String::from_utf8_lossy(rest).into_owned(),
        }
    }
}

/// A backend by hand: `script` is run for every connection, after the preface.
pub async fn frame_backend<F>(
    script: impl Fn(FrameConnection) -> F + Clone + Send + Sync + 'static,
) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::tcp(move |socket| {
        let script = script.clone();
        async move { script(FrameConnection::accept(socket).await).await }
    })
    .await
}
