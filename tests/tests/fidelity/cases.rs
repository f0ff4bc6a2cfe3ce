//! Calls of every kind, with messages of every size in pieces of every size, and metadata of every form.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Where frames and windows have their edges.
pub(crate) const SIZES: [usize; 11] = [
    0,
    1,
    5,
    300,
    (1 << 14) - 1,
    1 << 14,
    (1 << 14) + 1,
    (1 << 16) - 1,
    1 << 16,
    (1 << 16) + 1,
    1 << 20,
];

/// More than most windows, and seldom.
const LARGEST: usize = 16 << 20;
/// Pieces of one message at most.
const PIECES: usize = 2_400;

pub(crate) type Metadata = Vec<(String, Vec<u8>)>;

/// One message, in the pieces in which it is sent.
pub(crate) type Message = Vec<Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ServerStream,
    ClientStream,
    /// Every message waits for the answer to the one before. Answers beyond those wait for the end of the requests.
    Bidi,
    /// The answer is one frame.
    TrailersOnly,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    WithTheLastBytes,
    Alone,
    Trailers,
}

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) metadata: Metadata,
    pub(crate) requests: Vec<Message>,
    pub(crate) end: End,
    pub(crate) headers: Metadata,
    pub(crate) responses: Vec<Message>,
    pub(crate) trailers: Metadata,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = |messages: &[Message]| -> Vec<Vec<usize>> {
            let pieces = |message: &Message| message.iter().map(Vec::len).collect();
            messages.iter().map(pieces).collect()
        };
        f.debug_struct("Case")
            .field("kind", &self.kind)
            .field("metadata", &shown(&self.metadata))
            .field("requests", &sizes(&self.requests))
            .field("end", &self.end)
            .field("headers", &shown(&self.headers))
            .field("responses", &sizes(&self.responses))
            .field("trailers", &shown(&self.trailers))
            .finish()
    }
}

/// Values with their beginning and their length.
fn shown(entries: &Metadata) -> Vec<String> {
    let show = |(name, value): &(String, Vec<u8>)| {
        let begin = value[..value.len().min(40)].escape_ascii();
        format!("{name}: {begin} ({} bytes)", value.len())
    };
    entries.iter().map(show).collect()
}

pub(crate) fn map(entries: &Metadata) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        let value = HeaderValue::from_bytes(value).unwrap();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    map
}

pub(crate) fn bytes_of(messages: &[Message]) -> usize {
    messages.iter().flatten().map(Vec::len).sum()
}

/// DATA frames without a byte that do not end the request.
pub(crate) fn empty_frames(case: &Case) -> usize {
    let pieces = case.requests.iter().flatten();
    pieces.filter(|piece| piece.is_empty()).count()
}

fn entry() -> impl Strategy<Value = (String, Vec<u8>)> {
    let text = prop_oneof![
        Just("m-repeated".to_owned()),
        Just("user-agent".to_owned()),
        Just("grpc-encoding".to_owned()),
        "m-[a-z0-9._-]{0,12}".prop_map(|name| name.trim_end_matches("-bin").to_owned()),
    ];
    let value = prop_oneof![
        Just(Vec::new()),
        "[!-~]([ -~]{0,40}[!-~])?".prop_map(String::into_bytes),
        // Neither ASCII nor UTF-8.
        vec(0x80..=0xff_u8, 1..20),
    ];
    // With and without padding, and several in one.
    let binary = "[A-Za-z0-9+/]{4}{0,9}(AA(==)?)?(,AQ)?".prop_map(String::into_bytes);
    let name = prop_oneof![Just("b-repeated-bin".to_owned()), "b-[a-z0-9]{0,6}-bin"];
    prop_oneof![(text, value), (name, binary)]
}

/// With at most one value that is large: two sets with one fit what metadata may take, where they are one frame.
fn metadata(most: usize) -> impl Strategy<Value = Metadata> {
    let large = (select(vec!["m-large", "b-large-bin"]), 4_000..7_000_usize)
        .prop_map(|(name, size)| (name.to_owned(), vec![b'A'; size / 4 * 4]));
    (vec(entry(), 0..most), weighted(0.1, large)).prop_map(|(mut entries, large)| {
        entries.extend(large);
        entries
    })
}

/// How a message is cut into pieces.
#[derive(Debug, Clone)]
enum Chunks {
    Whole,
    /// Each so long, or longer where that were too many.
    Of(usize),
    /// Anywhere, and pieces without a byte among them.
    At(Vec<Index>),
}

impl Chunks {
    fn cut(&self, bytes: Vec<u8>) -> Message {
        match self {
            Self::Whole => vec![bytes],
            Self::Of(size) => {
                let size = (*size).max(bytes.len().div_ceil(PIECES));
                bytes.chunks(size).map(<[u8]>::to_vec).collect()
            }
            Self::At(cuts) => {
                let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                at.sort_unstable();
                let ends = at.iter().copied().chain([bytes.len()]);
                let starts = [0].into_iter().chain(at.iter().copied());
                let pieces = starts.zip(ends);
                pieces
                    .map(|(start, end)| bytes[start..end].to_vec())
                    .collect()
            }
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    let size = prop_oneof![400 => select(SIZES.to_vec()), 1 => Just(LARGEST)];
    let flag = prop_oneof![Just(None), select(vec![0, 1, 0x80, 0xff_u8]).prop_map(Some)];
    let chunks = prop_oneof![
        1 => Just(Chunks::Whole),
        3 => select(vec![1, 7, 1 << 14]).prop_map(Chunks::Of),
        2 => vec(any::<Index>(), 0..4).prop_map(Chunks::At),
    ];
    (size, flag, any::<u8>(), chunks).prop_map(|(size, flag, seed, chunks)| {
        let mut bytes = Vec::new();
        // Without one it is no gRPC message, which is nobody's business on the way.
        if let Some(flag) = flag {
            bytes.push(flag);
            bytes.extend(u32::try_from(size).unwrap().to_be_bytes());
        }
        let pattern: Vec<u8> = (0..251).map(|n| seed.wrapping_add(n)).collect();
        let mut body = pattern.repeat(size / pattern.len() + 1);
        body.truncate(size);
        bytes.extend(body);
        chunks.cut(bytes)
    })
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let kinds = vec![
        Kind::Unary,
        Kind::ServerStream,
        Kind::ClientStream,
        Kind::Bidi,
        Kind::Bidi,
        Kind::TrailersOnly,
    ];
    let ends = vec![End::WithTheLastBytes, End::Alone, End::Trailers];
    let status = (0..20_u8, "[!-$&-~]{0,20}(%20|%C3%A4)?", metadata(8));
    (select(kinds), select(ends), status).prop_flat_map(|(kind, end, status)| {
        let (requests, responses) = match kind {
            Kind::Unary => (1..=1, 1..=1),
            Kind::ServerStream => (1..=1, 0..=4),
            Kind::ClientStream => (0..=4, 1..=1),
            Kind::Bidi => (0..=4, 4..=4),
            Kind::TrailersOnly => (0..=1, 0..=0),
        };
        let (code, text, more) = status;
        let mut trailers = vec![("grpc-status".to_owned(), code.to_string().into_bytes())];
        if !text.is_empty() {
            trailers.push(("grpc-message".to_owned(), text.into_bytes()));
        }
        trailers.extend(more);
        (
            metadata(16),
            vec(message(), requests),
            metadata(8),
            vec(message(), responses),
        )
            .prop_map(move |(metadata, requests, headers, responses)| Case {
                kind,
                metadata,
                requests,
                end,
                headers,
                responses,
                trailers: trailers.clone(),
            })
    })
}
