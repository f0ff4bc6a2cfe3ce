//! yamux by hand: frames as bytes, for what no library would send.

/// A frame's type: bytes of a stream.
pub const DATA: u8 = 0;
/// A frame's type: credit.
pub const WINDOW_UPDATE: u8 = 1;
/// A frame's type: ping.
pub const PING: u8 = 2;
/// A flag: a stream, or a ping, begins.
pub const SYN: u16 = 1;
/// A flag: it is taken, or answered.
pub const ACK: u16 = 2;
/// Bytes of a header.
pub const HEADER: usize = 12;

/// A frame's header.
#[must_use]
pub fn header(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(stream.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

/// Bytes of stream 1.
#[must_use]
pub fn data(flags: u16, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("tests send little");
    [header(DATA, flags, 1, length), bytes.to_vec()].concat()
}

/// A first stream with `bytes` on it.
#[must_use]
pub fn first_stream(bytes: &[u8]) -> Vec<u8> {
    data(SYN, bytes)
}
