//! What a backend sees of a call, frame by frame, whatever becomes of it: never an end that its caller did not send.

use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{
    Backend, Call, Caller, Frame, FrameConnection, Path, frame_backend, kind, until,
};
use h2::Reason;

const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
const STATUS: (&str, &str) = ("grpc-status", "0");

/// The first call at a backend: what becomes of it, and what is seen of it.
#[derive(Debug, Clone)]
struct Witness {
    /// The frame of the call at which it is answered.
    at: u8,
    /// The answer, on stream 0.
    answer: Vec<Frame>,
    seen: Arc<Mutex<Option<Vec<String>>>>,
}

impl Witness {
    fn new(at: u8, answer: Vec<Frame>) -> Self {
        Self {
            at,
            answer,
            seen: Arc::default(),
        }
    }

    /// A backend that treats its first call so, and answers every other well.
    async fn backend(&self) -> Backend {
        let witness = self.clone();
        frame_backend(move |connection| {
            let witness = witness.clone();
            async move { witness.serve(connection).await }
        })
        .await
    }

    async fn serve(&self, mut connection: FrameConnection) {
        let mut first = None;
        let mut answered = false;
        while let Some(frame) = connection.frame().await {
            let begins = frame.kind == kind::HEADERS && Some(frame.stream) != first;
            if begins && self.is_new() {
                first = Some(frame.stream);
            } else if begins {
                let whole = [&OK[..], &[STATUS]].concat();
                let whole = Frame::headers(frame.stream, &whole, true);
                connection.send(&whole).await;
            }
            if Some(frame.stream) != first {
                continue;
            }
            self.note(&frame);
            if frame.kind == self.at && !answered {
                answered = true;
                let mut answer = self.answer.clone();
                answer.iter_mut().for_each(|f| f.stream = frame.stream);
                connection.send_all(&answer).await;
            }
        }
    }

    /// Whether no call came yet.
    fn is_new(&self) -> bool {
        self.seen.lock().unwrap().is_none()
    }

    fn note(&self, frame: &Frame) {
        let mut seen = self.seen.lock().unwrap();
        seen.get_or_insert_default().extend(shown(frame));
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone().unwrap_or_default()
    }

    /// Waits until the call came so far. One that is reset on its way may come in part, or not at all.
    async fn has_seen(&self, frames: usize) {
        until(&format!("frame {frames} of a call"), async || {
            (self.seen().len() >= frames).then_some(())
        })
        .await;
    }

    /// Waits until exactly this was seen, and no more comes.
    async fn saw(&self, what: &str, path: &Path, wanted: &[&str]) {
        // An answer to another call on the lane lets resets go, and comes after whatever was sent before it.
        let other = async || path.ask(&[]).await.answer().await.is_backends(0);
        other().await;
        self.has_seen(wanted.len()).await;
        other().await;
        assert_eq!(self.seen(), wanted, "{what}");
    }
}

/// `HEADERS`, `DATA 4 END_STREAM`, `RST_STREAM 8`; nothing for what only serves the connection.
fn shown(frame: &Frame) -> Option<String> {
    let name = match frame.kind {
        kind::HEADERS => "HEADERS".to_owned(),
        kind::DATA => format!("DATA {}", frame.payload.len()),
        kind::RST_STREAM => format!("RST_STREAM {}", frame.payload[3]),
        kind::CONTINUATION => "CONTINUATION".to_owned(),
        _ => return None,
    };
    let ends = frame.ends() && frame.kind != kind::RST_STREAM;
    Some(if ends {
        format!("{name} END_STREAM")
    } else {
        name
    })
}

/// What a caller sends.
#[derive(Debug, Clone, Copy)]
enum Sends {
    /// Headers with END_STREAM.
    All,
    /// Headers and four bytes, and goes on.
    Half,
    /// Headers and four bytes with END_STREAM.
    Whole,
}

impl Sends {
    async fn send(self, path: &Path, metadata: &[(&str, &str)]) -> Call {
        let mut call = match self {
            Self::All => return path.ask(metadata).await,
            Self::Half | Self::Whole => path.start(metadata).await,
        };
        call.data(b"half", matches!(self, Self::Whole)).await;
        call
    }
}

/// One way for a call to end: what the caller sends, what the backend answers at which frame, the status, whose it is,
/// and what the backend saw.
type Scene = (
    Sends,
    u8,
    Vec<Frame>,
    u32,
    Option<&'static str>,
    &'static [&'static str],
);

fn scenes() -> Vec<Scene> {
    use Sends::{All, Half, Whole};
    let ok = || Frame::headers(0, &OK, false);
    let bytes = || Frame::data(0, b"so far", false);
    let end = |entries: &[(&str, &str)]| Frame::headers(0, entries, true);
    let failed = || [&OK[..], &[("grpc-status", "5")]].concat();
    let http = |ends| Frame::headers(0, &[(":status", "503")], ends);
    let large = || [&OK[..], &[("k", "v"); 101]].concat();
    let (headers, data) = (kind::HEADERS, kind::DATA);
    let all = &["HEADERS END_STREAM"][..];
    let half = &["HEADERS", "DATA 4"][..];
    let whole = &["HEADERS", "DATA 4 END_STREAM"][..];
    let all_cancelled = &["HEADERS END_STREAM", "RST_STREAM 8"][..];
    let half_cancelled = &["HEADERS", "DATA 4", "RST_STREAM 8"][..];
    let whole_cancelled = &["HEADERS", "DATA 4 END_STREAM", "RST_STREAM 8"][..];
    let (reset, metadata) = (Some("backend-reset"), Some("response-metadata"));
    let (http_status, no_status) = (Some("http-status"), Some("no-status"));
    vec![
        // A whole answer, and one before the request's end.
        (
            Whole,
            data,
            vec![ok(), bytes(), end(&[STATUS])],
            0,
            None,
            whole,
        ),
        (All, headers, vec![end(&failed())], 5, None, all),
        (Half, data, vec![end(&failed())], 5, None, half_cancelled),
        (
            Half,
            data,
            vec![ok(), bytes(), end(&[STATUS])],
            0,
            None,
            half_cancelled,
        ),
        // Resets need no answer.
        (All, headers, vec![Frame::reset(0, 2)], 13, reset, all),
        (Half, data, vec![Frame::reset(0, 0)], 13, reset, half),
        (Half, data, vec![Frame::reset(0, 8)], 1, reset, half),
        (
            Half,
            data,
            vec![ok(), bytes(), Frame::reset(0, 7)],
            14,
            reset,
            half,
        ),
        (
            Whole,
            data,
            vec![ok(), bytes(), Frame::reset(0, 0)],
            13,
            reset,
            whole,
        ),
        // What the backend goes on to say is not wanted.
        (
            All,
            headers,
            vec![http(false)],
            14,
            http_status,
            all_cancelled,
        ),
        (All, headers, vec![http(true)], 14, http_status, all),
        (
            Half,
            data,
            vec![http(true)],
            14,
            http_status,
            half_cancelled,
        ),
        (
            Whole,
            data,
            vec![Frame::headers(0, &large(), false)],
            8,
            metadata,
            whole_cancelled,
        ),
        (
            Half,
            data,
            vec![Frame::headers(0, &large(), true)],
            8,
            metadata,
            half_cancelled,
        ),
        (
            Half,
            data,
            vec![ok(), end(&large()[2..])],
            8,
            metadata,
            half_cancelled,
        ),
        (All, headers, vec![end(&OK)], 2, no_status, all),
        (Half, data, vec![end(&OK)], 2, no_status, half_cancelled),
        (
            Half,
            data,
            vec![ok(), Frame::data(0, b"x", true)],
            2,
            no_status,
            half_cancelled,
        ),
    ]
}

#[tokio::test]
async fn a_backend_sees_its_callers_frames_and_at_most_a_cancel() {
    for (sends, at, answer, code, reason, wanted) in scenes() {
        let what = format!("{sends:?}, then status {code} {reason:?}");
        let witness = Witness::new(at, answer);
        let backend = witness.backend().await;
        let path = Path::to(&backend).await;
        let answer = sends.send(&path, &[]).await.answer().await;
        assert_eq!(answer.code(), Some(code), "{what}: {answer:?}");
        assert_eq!(answer.mux_error(), reason, "{what}: {answer:?}");
        witness.saw(&what, &path, wanted).await;
        assert_eq!(backend.connections(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_call_whose_time_is_over_is_cancelled_at_the_backend() {
    for (sends, wanted) in [
        (Sends::All, &["HEADERS END_STREAM", "RST_STREAM 8"][..]),
        (Sends::Half, &["HEADERS", "DATA 4", "RST_STREAM 8"]),
    ] {
        let witness = Witness::new(kind::PING, Vec::new());
        let backend = witness.backend().await;
        let path = Path::to(&backend).await;
        let call = sends.send(&path, &[("grpc-timeout", "1S")]).await;
        let answer = call.answer().await;
        answer.is_ours(4, "mux: deadline exceeded", "deadline", "maybe");
        witness.saw("deadline", &path, wanted).await;
    }
}

#[tokio::test]
async fn a_caller_that_leaves_is_a_cancel_at_the_backend_and_never_an_end() {
    let wanted = ["HEADERS", "DATA 4", "RST_STREAM 8"];
    for reason in [Some(Reason::NO_ERROR), Some(Reason::CANCEL), None] {
        let witness = Witness::new(kind::PING, Vec::new());
        let backend = witness.backend().await;
        let path = Path::to(&backend).await;
        let caller = Caller::connect(path.mux.proxy).await;
        let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        call.data(b"half", false).await;
        witness.has_seen(2).await;
        match reason {
            Some(reason) => call.reset(reason),
            None => drop((call, caller)),
        }
        witness.saw(&format!("{reason:?}"), &path, &wanted).await;
    }
}

#[tokio::test]
async fn trailers_of_a_request_end_it_unless_they_are_too_large() {
    let large = "v".repeat(17 * 1024);
    for (value, wanted) in [
        ("v", ["HEADERS", "DATA 4", "HEADERS END_STREAM"]),
        (&large, ["HEADERS", "DATA 4", "RST_STREAM 8"]),
    ] {
        let witness = Witness::new(kind::PING, Vec::new());
        let backend = witness.backend().await;
        let path = Path::to(&backend).await;
        let mut call = Sends::Half.send(&path, &[]).await;
        witness.has_seen(2).await;
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("k"),
            value.parse().unwrap(),
        )]);
        call.sender().send_trailers(trailers).unwrap();
        if value.len() > 1 {
            let answer = call.answer().await;
            answer.is_ours(8, "mux: metadata too large", "metadata", "maybe");
            witness.saw("too large", &path, &wanted).await;
        } else {
            witness.saw("small", &path, &wanted).await;
        }
    }
}
