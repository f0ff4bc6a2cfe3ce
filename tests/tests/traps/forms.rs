//! Forms of requests and endings that say one thing to a proxy and another to a backend: each has one meaning here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::pending;
use grpc_multiplexer_tests::{
    Backend, Caller, Edge, Ended, Folder, Frame, FrameConnection, Mux, frame_backend, kind, within,
};
use h2::Reason;

const ID: (&str, &str) = ("client-id", "rainbow");

#[tokio::test]
async fn nothing_is_added_to_a_response() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move {
        call.read_all().await;
        call.ok(b"x").await;
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let answer = Caller::connect(mux.proxy)
        .await
        .call("/s/m", &[ID], b"")
        .await;
    let names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type"]);
    let names: Vec<_> = answer.trailers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["grpc-status"]);
    let seen = backend.seen().remove(0);
    let names: Vec<_> = seen.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type", "te"]);
}

/// A backend by hand that leaves its first call to `end`, and answers every other.
async fn backend_whose_first_call(
    end: impl Fn(u32) -> Vec<Frame> + Clone + Send + Sync + 'static,
) -> (Backend, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let backend = frame_backend(move |mut connection: FrameConnection| {
        let (count, end) = (Arc::clone(&count), end.clone());
        async move {
            while let Some(frame) = connection.frame().await {
                if frame.kind != kind::HEADERS {
                    continue;
                }
                let frames = if count.fetch_add(1, Ordering::Relaxed) == 0 {
                    end(frame.stream)
                } else {
                    let headers = [
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", "0"),
                    ];
                    vec![Frame::headers(frame.stream, &headers, true)]
                };
                for frame in &frames {
                    connection.send(frame).await;
                }
                // Whoever may have processed the call leaves with it. The other stays, or its GOAWAY could be lost in
                // a reset.
                let leaves =
                    |frame: &Frame| frame.kind == kind::GOAWAY && frame.payload[..4] != [0; 4];
                if frames.last().is_some_and(leaves) {
                    return;
                }
            }
        }
    })
    .await;
    (backend, calls)
}

#[tokio::test]
async fn what_is_proven_unprocessed_is_tried_once_more() {
    for frames in [
        |_| vec![Frame::go_away(0, 0)],
        |stream| vec![Frame::reset(stream, 7)],
    ] {
        let mux = Mux::start().await;
        let (backend, calls) = backend_whose_first_call(frames).await;
        let _edge = Edge::start(&mux, "rainbow", backend.address).await;
        let caller = Caller::connect(mux.proxy).await;
        let answer = caller.call("/s/m", &[ID], b"").await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn what_may_have_been_processed_is_never_tried_again() {
    for frames in [
        // The last id that the backend may have processed is that of the call.
        |stream| vec![Frame::go_away(stream, 0)],
        |stream| vec![Frame::reset(stream, 2)],
        |stream| vec![Frame::reset(stream, 8)],
    ] {
        let mux = Mux::start().await;
        let (backend, calls) = backend_whose_first_call(frames).await;
        let _edge = Edge::start(&mux, "rainbow", backend.address).await;
        let caller = Caller::connect(mux.proxy).await;
        let answer = caller.call("/s/m", &[ID], b"").await;
        assert_ne!(answer.code(), Some(0), "{answer:?}");
        assert!(answer.mux_error().is_some(), "{answer:?}");
        assert_eq!(
            answer.error_info().unwrap().metadata["backend_reached"],
            "maybe"
        );
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}

/// The headers of a good request, with `change` made to them.
fn request(change: impl Fn(&mut Vec<(&'static str, &'static str)>)) -> Frame {
    let mut entries = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/s/m"),
        (":authority", "h"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ID,
    ];
    change(&mut entries);
    Frame::headers(1, &entries, true)
}

fn set(name: &'static str, value: &'static str) -> Frame {
    request(|entries| {
        entries.retain(|(known, _)| *known != name);
        // Pseudo headers come first.
        let at = if name.starts_with(':') {
            0
        } else {
            entries.len()
        };
        entries.insert(at, (name, value));
    })
}

fn add(name: &'static str, value: &'static str) -> Frame {
    request(|entries| entries.push((name, value)))
}

/// The first frame that is about the request: its answer, or its end.
async fn verdict(mux: &Mux, request: &Frame) -> Option<u8> {
    let mut caller = FrameConnection::connect(mux.proxy).await;
    caller.send(request).await;
    within("a verdict", async {
        loop {
            match caller.frame().await {
                Some(frame) if frame.stream == 1 || frame.kind == kind::GOAWAY => {
                    return Some(frame.kind);
                }
                Some(_) => {}
                None => return None,
            }
        }
    })
    .await
}

#[tokio::test]
async fn ambiguous_requests_never_reach_a_backend() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move { call.ok(b"").await }).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let answered = [
        set(":path", "//s/m"),
        set(":path", "/s//m"),
        set(":path", "/a/../s/m"),
        set(":path", "/../m"),
        set(":path", "/s/m?query"),
        set(":path", "/s/m/"),
        set(":path", "*"),
        set(":method", "GET"),
        set(":method", "PUT"),
        set("content-type", "application/grpc-web"),
        add("client-id", "rainbow"),
        set("client-id", "rainbow,rainbow"),
        set("client-id", "rain\tbow"),
        set("client-id", "rain\u{e9}bow"),
        add("grpc-timeout", "1x"),
    ];
    for request in &answered {
        assert_eq!(
            verdict(&mux, request).await,
            Some(kind::HEADERS),
            "{request:?}"
        );
    }
    let refused = [
        set(":path", ""),
        set(":path", "s/m"),
        add("connection", "close"),
        add("transfer-encoding", "chunked"),
        add("upgrade", "h2c"),
        add("keep-alive", "1"),
        set("te", "gzip"),
        add(":path", "/s/m"),
        request(|entries| entries.insert(0, (":path", "/s/other"))),
        request(|entries| entries.insert(0, (":unknown", "x"))),
        request(|entries| entries.retain(|(name, _)| *name != ":path")),
        request(|entries| entries.retain(|(name, _)| *name != ":method")),
        set(":method", "CONNECT"),
        set(":authority", "a b"),
        add("Upper", "x"),
        add("nul", "a\0b"),
        add("lines", "a\r\nclient-id: other"),
        add("name\r\n", "x"),
    ];
    for request in &refused {
        let verdict = verdict(&mux, request).await;
        assert!(
            verdict.is_none_or(|kind| [kind::RST_STREAM, kind::GOAWAY].contains(&kind)),
            "{verdict:?} for {request:?}"
        );
    }
    assert_eq!(backend.seen(), []);
}

/// A way through for bytes that are no gRPC is not offered, and not given to who takes it all the same.
#[tokio::test]
async fn there_is_no_extended_connect() {
    const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move { call.ok(b"").await }).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let mut caller = FrameConnection::connect(mux.proxy).await;
    let settings = caller.wait_for(kind::SETTINGS).await;
    for setting in settings.payload.chunks_exact(6) {
        assert_ne!(
            setting[..2],
            ENABLE_CONNECT_PROTOCOL.to_be_bytes(),
            "{settings:?}"
        );
    }
    for protocol in ["websocket", "connect-udp"] {
        let extended = request(|entries| {
            entries[0].1 = "CONNECT";
            entries.insert(1, (":protocol", protocol));
        });
        let verdict = verdict(&mux, &extended).await;
        assert!(
            verdict.is_none_or(|kind| [kind::RST_STREAM, kind::GOAWAY].contains(&kind)),
            "{verdict:?} for {extended:?}"
        );
    }
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn the_authority_is_the_edges_whatever_the_caller_says() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move { call.ok(b"").await }).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let forms = [
        request(|entries| entries.retain(|(name, _)| *name != ":authority")),
        add("host", "other"),
        set(":authority", "user:password@other"),
        set(":scheme", "https"),
        // gRPC's metadata values are printable ASCII, but backends take more.
        add("k", "tab\tand \u{e9}"),
    ];
    for form in &forms {
        assert_eq!(verdict(&mux, form).await, Some(kind::HEADERS), "{form:?}");
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), forms.len());
    for call in seen {
        assert_eq!(call.origin, format!("http://{}", backend.address));
        assert!(!call.headers.contains_key("host"));
        assert!(!call.headers.contains_key("client-id"));
    }
}

#[tokio::test]
async fn where_a_call_comes_from_is_not_the_callers_to_say() {
    let backend = Backend::h2(|mut call| async move { call.ok(b"").await }).await;
    let said = [
        ID,
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "forged"),
        ("forwarded", "for=192.0.2.1"),
        ("x-envoy-retry-on", "5xx"),
    ];
    let folder = Folder::new("forwarded");
    let file = folder.put("server.yaml", "");
    let mux = Mux::with(&["--config", &file]).await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    for (what, list, names) in [
        ("", None, 0),
        ("forwarded-headers: append", Some("192.0.2.1, 127.0.0.1"), 4),
        ("forwarded-headers: pass", Some("192.0.2.1"), 4),
        ("forwarded-headers: drop", None, 0),
    ] {
        folder.put("server.yaml", format!("{what}\n"));
        mux.reload().await;
        caller.call("/s/m", &said, b"").await.is_backends(0);
        let headers = &backend.seen().pop().unwrap().headers;
        let shown = headers.get("x-forwarded-for");
        assert_eq!(shown.map(|shown| shown.to_str().unwrap()), list, "{what}");
        let told = said[1..].iter();
        let told = told.filter(|(name, _)| headers.contains_key(*name));
        assert_eq!(told.count(), names, "{what}: {headers:?}");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_is_deadline_exceeded_before_and_within_the_response() {
    let mux = Mux::start().await;
    let backend = Backend::h2(|mut call| async move {
        if call.request.uri().path() == "/s/within" {
            call.headers();
            call.data(b"half").await;
        }
        if call.request.uri().path() == "/s/upload" {
            call.read_all().await;
        }
        call.wait_reset().await;
        pending().await
    })
    .await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    for (n, path) in ["/s/before", "/s/within", "/s/upload"]
        .into_iter()
        .enumerate()
    {
        let mut call = caller.start(path, &[ID, ("grpc-timeout", "300m")]).await;
        call.data(b"x", false).await;
        let answer = call.answer().await;
        assert_eq!(answer.code(), Some(4), "{path}: {answer:?}");
        assert_eq!(answer.mux_error(), Some("deadline"), "{path}: {answer:?}");
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
    }
}
