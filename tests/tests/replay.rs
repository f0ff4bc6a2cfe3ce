//! What is proven unprocessed is sent once more, and nothing is ever executed twice.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{
    Answer, Backend, Call, Caller, Edge, Ended, Frame, FrameConnection, H2Call, Mux, Path,
    frame_backend, kind, metric, until,
};
use h2::Reason;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

const KIB: usize = 1024;

/// A backend that refuses the first call once `bytes` of it came, and answers what comes then. A call that is answered
/// is executed from its first message on.
async fn refusing_after(bytes: usize) -> Backend {
    let calls = Arc::new(AtomicUsize::new(0));
    Backend::h2(move |mut call: H2Call| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let mut came = 0;
            while came < bytes {
                came += call.chunk().await.map_or(bytes, |chunk| chunk.len());
            }
            if first {
                return call.reset(Reason::REFUSED_STREAM);
            }
            call.headers();
            call.data(b"begun").await;
            call.read_all().await;
            call.trailers(&[("grpc-status", "0")]);
        }
    })
    .await
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_request_that_was_read_is_sent_anew_with_all_its_bytes() {
    for len in [1, 5 * KIB, 64 * KIB] {
        let backend = refusing_after(len).await;
        let path = Path::to(&backend).await;
        let body = bytes(len);
        let answer = path.caller.call("/s/m", &[ID], &body).await;
        answer.is_backends(0);
        let seen = backend.seen();
        assert_eq!(seen.len(), 2);
        assert!(seen[1].body == body, "{len} bytes arrive as they were");
        assert_eq!(seen[1].ended, Some(Ended::Cleanly));
        let retries = r#"retries_total{reason="refused"}"#;
        assert_eq!(metric(path.mux.admin, retries).await, 1.0);
    }
}

#[tokio::test]
async fn trailers_of_a_request_are_sent_anew() {
    let backend = refusing_after(4).await;
    let path = Path::to(&backend).await;
    let mut call = path.start(&[]).await;
    call.data(b"body", false).await;
    let trailers = [("x-end".parse().unwrap(), "here".parse().unwrap())];
    call.sender()
        .send_trailers(trailers.into_iter().collect())
        .unwrap();
    call.answer().await.is_backends(0);
    let seen = backend.seen_call(1);
    assert_eq!(seen.body, b"body");
    assert_eq!(seen.trailers["x-end"], "here");
}

/// Also sees that the caller's window is whole afterwards: far more than one window follows.
#[tokio::test]
async fn an_upload_goes_on_where_it_was() {
    let backend = refusing_after(60 * KIB).await;
    let path = Path::to(&backend).await;
    let (begin, rest) = (bytes(60 * KIB), bytes(3000 * KIB));
    let mut call = path.start(&[]).await;
    for part in begin.chunks(7 * KIB) {
        call.data(part, false).await;
    }
    assert!(call.headers().await);
    call.data(&rest, true).await;
    call.answer().await.is_backends(0);
    assert!(backend.seen_call(1).body == [begin, rest].concat());
}

#[tokio::test]
async fn a_conversation_begins_anew() {
    let backend = refusing_after(5).await;
    let path = Path::to(&backend).await;
    let mut call = path.start(&[]).await;
    call.data(b"hello", false).await;
    call.bytes(5).await;
    call.data(b", goodbye", true).await;
    call.answer().await.is_backends(0);
    assert_eq!(backend.seen_call(1).body, b"hello, goodbye");
}

#[tokio::test]
async fn what_is_larger_than_the_buffer_is_not_sent_again() {
    for (option, len) in [
        (&[][..], 64 * KIB + 1),
        (&["--replay-buffer", "1KiB"], KIB + 1),
    ] {
        let backend = refusing_after(len).await;
        let path = Path::with(option, &backend.address.to_string(), &[]).await;
        let answer = path.caller.call("/s/m", &[ID], &bytes(len)).await;
        answer.is_ours(14, "mux: stream refused", "refused", "no");
        assert_eq!(backend.seen().len(), 1);
    }
}

const ID: (&str, &str) = ("client-id", "rainbow");

/// Between the two tries the edge goes away: the call waits for it, with what it sent.
#[tokio::test]
async fn a_call_waits_between_its_tries() {
    let refuse = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&refuse);
    let first = Arc::new(AtomicBool::new(true));
    let backend = Backend::h2(move |mut call| {
        let (told, first) = (Arc::clone(&told), Arc::clone(&first));
        async move {
            call.read_all().await;
            if first.swap(false, Ordering::Relaxed) {
                told.notified().await;
                return call.reset(Reason::REFUSED_STREAM);
            }
            call.ok(b"").await;
        }
    })
    .await;
    let path = Path::to(&backend).await;
    let mut call = path.start(&[]).await;
    call.data(b"body", true).await;
    backend.calls(1).await;
    // It takes no new calls, and finishes this one, which is to be delivered anew.
    path.edge.signal("TERM");
    until("the edge to drain", async || {
        path.mux.listed().await.is_empty().then_some(())
    })
    .await;
    refuse.notify_one();
    path.mux.says("a call waits for its edge").await;
    let _edge = Edge::start(&path.mux, "rainbow", backend.address).await;
    call.answer().await.is_backends(0);
    assert_eq!(backend.seen_call(1).body, b"body");
}

/// What the backend by hand does with a call, by the first letter of its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Executes it and answers.
    Answer,
    /// Executes it and never answers.
    Hang,
    /// Refuses the stream, the first time.
    Refuse,
    /// Ends its connection with a GOAWAY that leaves the call out, the first time.
    GoAway,
}

const TOKEN: usize = 8;

/// Which calls the backend saw, and which it executed, by their tokens.
#[derive(Debug, Default)]
struct Ledger {
    seen: HashMap<String, usize>,
    executed: HashMap<String, usize>,
}

#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<Ledger>>);

impl Book {
    /// What to do with a call that came; notes it.
    fn order(&self, token: &str) -> Order {
        let mut ledger = self.0.lock().unwrap();
        let seen = ledger.seen.entry(token.to_owned()).or_default();
        *seen += 1;
        let order = match token.as_bytes()[0] {
            b'r' if *seen == 1 => Order::Refuse,
            b'g' if *seen == 1 => Order::GoAway,
            b'h' => Order::Hang,
            _ => Order::Answer,
        };
        if [Order::Answer, Order::Hang].contains(&order) {
            *ledger.executed.entry(token.to_owned()).or_default() += 1;
        }
        order
    }

    fn executed(&self, token: &str) -> usize {
        let ledger = self.0.lock().unwrap();
        ledger.executed.get(token).copied().unwrap_or_default()
    }

    /// Waits until so many calls are executed whose tokens begin so.
    async fn executes(&self, begin: &str, calls: usize) {
        until("calls to be executed", async || {
            let ledger = self.0.lock().unwrap();
            let executed = ledger.executed.keys();
            let executed = executed.filter(|token| token.starts_with(begin)).count();
            (executed >= calls).then_some(())
        })
        .await;
    }

    async fn backend(&self) -> Backend {
        let book = self.clone();
        frame_backend(move |connection| serve(connection, book.clone())).await
    }
}

/// One connection of the backend. A call's token is the first bytes of its request.
async fn serve(mut connection: FrameConnection, book: Book) {
    let mut calls: HashMap<u32, (Vec<u8>, Option<Order>)> = HashMap::new();
    // Calls above were left out by a GOAWAY.
    let mut last = u32::MAX;
    while let Some(frame) = connection.frame().await {
        if frame.kind != kind::DATA {
            continue;
        }
        let id = frame.stream;
        let room = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
        if !frame.payload.is_empty() {
            let give = [0, id].map(|to| Frame::new(kind::WINDOW_UPDATE, 0, to, &room));
            connection.send_all(&give).await;
        }
        if id > last {
            continue;
        }
        // A GOAWAY cannot leave a call out and keep one that came later.
        let later = |(other, (_, order)): (&u32, &(_, Option<Order>))| {
            *other > id && *order == Some(Order::Answer)
        };
        let kept_later = calls.iter().any(later);
        let (body, order) = calls.entry(id).or_default();
        body.extend_from_slice(&frame.payload);
        if order.is_none() && body.len() >= TOKEN {
            let new = book.order(std::str::from_utf8(&body[..TOKEN]).unwrap());
            *order = Some(new);
            match new {
                Order::Answer => {
                    let begin = [(":status", "200"), ("content-type", "application/grpc")];
                    let token = Frame::data(id, &body[..TOKEN], false);
                    let begin = [Frame::headers(id, &begin, false), token];
                    connection.send_all(&begin).await;
                }
                Order::Hang => {}
                Order::GoAway if !kept_later => {
                    last = id - 1;
                    connection.send(&Frame::go_away(last, 0)).await;
                }
                Order::Refuse | Order::GoAway => connection.send(&Frame::reset(id, 7)).await,
            }
        }
        if frame.ends() && *order == Some(Order::Answer) {
            let end = Frame::headers(id, &[("grpc-status", "0")], true);
            connection.send(&end).await;
        }
    }
}

/// How a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In one message.
    Unary,
    /// In several, within the buffer.
    Upload,
    /// In several that are more than the buffer.
    LongUpload,
    /// In two, the second after the answer began.
    Conversation,
}

const FORMS: [Form; 4] = [
    Form::Unary,
    Form::Upload,
    Form::LongUpload,
    Form::Conversation,
];

/// A call that was made: how its request came, its token, and its answer.
type Made = (Form, String, Answer);

/// Makes a call to its end. Its token begins with `kind` and is like no other.
async fn make(caller: Arc<Caller>, kind: char, form: Form) -> Made {
    static TOKENS: AtomicUsize = AtomicUsize::new(0);
    let token = format!("{kind}{:07}", TOKENS.fetch_add(1, Ordering::Relaxed));
    assert_eq!(token.len(), TOKEN);
    let mut call: Call = caller.start("/s/m", &[ID]).await;
    // A call that failed takes no more, which its answer tells.
    match form {
        Form::Unary => {
            call.try_data(token.as_bytes(), true).await;
        }
        Form::Upload | Form::LongUpload => {
            let part = bytes(if form == Form::Upload { 10 } else { 50 } * KIB);
            call.try_data(token.as_bytes(), false).await;
            call.try_data(&part, false).await;
            call.try_data(&part, true).await;
        }
        Form::Conversation => {
            call.try_data(token.as_bytes(), false).await;
            if call.headers().await {
                call.try_data(b"more", true).await;
            }
        }
    }
    let answer = call.answer().await;
    (form, token, answer)
}

/// Makes calls of every kind and form, all at once.
fn make_all(caller: &Arc<Caller>, kinds: &str, forms: &[Form]) -> JoinSet<Made> {
    let mut calls = JoinSet::new();
    for kind in kinds.chars() {
        for form in forms {
            calls.spawn(make(Arc::clone(caller), kind, *form));
        }
    }
    calls
}

/// A call ended well and was executed once; or it was too long to be sent again, and was not executed.
fn is_settled(book: &Book, (form, token, answer): &Made) {
    let executed = book.executed(token);
    if *form == Form::LongUpload && answer.code() != Some(0) {
        assert_eq!(answer.code(), Some(14), "{token} {answer:?}");
        assert_eq!(executed, 0, "{token} {answer:?}");
        return;
    }
    answer.is_backends(0);
    assert_eq!(executed, 1, "{token}");
}

#[tokio::test]
async fn what_a_backend_throws_back_is_executed_once() {
    let book = Book::default();
    let backend = book.backend().await;
    let path = Path::to(&backend).await;
    let caller = Arc::new(path.caller);
    for _ in 0..20 {
        let mut made = make_all(&caller, "rrxr", &FORMS).join_all().await;
        // A GOAWAY also throws back what comes after its call, so there is one at a time.
        for form in FORMS {
            made.extend(make_all(&caller, "xgyz", &[form]).join_all().await);
        }
        made.iter().for_each(|call| is_settled(&book, call));
    }
}

#[tokio::test]
async fn an_edge_that_is_killed_again_and_again_costs_only_calls_that_had_arrived() {
    let book = Book::default();
    let backend = book.backend().await;
    let mux = Mux::start().await;
    let mut edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Arc::new(Caller::connect(mux.proxy).await);
    for round in 1..=5 {
        let arrived = make_all(&caller, "hh", &FORMS);
        book.executes("h", round * 2 * FORMS.len()).await;
        // These are made around the kill, and go wherever they get.
        let around = make_all(&caller, "xyz", &FORMS);
        edge.kill().await;
        edge = Edge::start(&mux, "rainbow", backend.address).await;
        for (_, token, answer) in arrived.join_all().await {
            let message = "mux: tunnel to edge 'rainbow' lost";
            answer.is_ours(14, message, "tunnel-lost", "maybe");
            assert_eq!(book.executed(&token), 1);
        }
        for (form, token, answer) in around.join_all().await {
            let executed = book.executed(&token);
            assert!(executed <= 1, "{token}");
            match answer.mux_error() {
                None => {
                    answer.is_backends(0);
                    assert_eq!(executed, 1, "{token}");
                }
                // It did not arrive, and was too long to be sent again.
                Some("unprocessed") if form == Form::LongUpload => {
                    let message = "mux: call not delivered to edge 'rainbow'";
                    answer.is_ours(14, message, "unprocessed", "no");
                    assert_eq!(executed, 0, "{token}");
                }
                // It may have arrived, and was not sent again.
                Some(_) => {
                    let message = "mux: tunnel to edge 'rainbow' lost";
                    answer.is_ours(14, message, "tunnel-lost", "maybe");
                }
            }
        }
    }
}

/// The end of a stream shows before the end of its tunnel, and could be taken for a backend that hangs up.
#[tokio::test]
async fn a_call_whose_edge_dies_while_it_dials_goes_to_the_next_one() {
    let silent = Backend::tcp(|mut socket| async move {
        let mut nobody = [0; 1024];
        while matches!(socket.read(&mut nobody).await, Ok(1..)) {}
    })
    .await;
    let backend = Backend::h2(|mut call| async move {
        call.read_all().await;
        call.ok(b"").await;
    })
    .await;
    let mux = Mux::start().await;
    let caller = Caller::connect(mux.proxy).await;
    for round in 1..=10 {
        let mut edge = Edge::start(&mux, "rainbow", silent.address).await;
        let mut call = caller.start("/s/m", &[ID]).await;
        until("the dial", async || {
            (silent.connections() == round).then_some(())
        })
        .await;
        edge.kill().await;
        let mut edge = Edge::start(&mux, "rainbow", backend.address).await;
        call.data(b"", true).await;
        call.answer().await.is_backends(0);
        edge.kill().await;
        until("the edge to be gone", async || {
            mux.listed().await.is_empty().then_some(())
        })
        .await;
    }
}
