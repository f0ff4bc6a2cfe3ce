//! A real HTTP/2 client's bytes, rewritten, as a real HTTP/2 server reads them.

use bytes::Bytes;
use loona_hpack::{Decoder, Encoder};
use proptest::prelude::*;
use tokio::io::duplex;
use tokio::task::JoinSet;

use super::*;
use crate::http2::PREFACE;
use crate::http2::block::BLOCK;
use crate::http2::frame::{CONTINUATION, END_HEADERS, END_STREAM, HEAD, HEADERS, PADDED, PRIORITY};

fn rewrite() -> Rewrite {
    Rewrite::new("https", "backend:443")
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let head = Head {
        length: payload.len(),
        kind,
        flags,
        stream: 1,
    };
    head.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes.to_vec()
}

/// Rewrites in pieces of `piece` bytes.
fn pushed(rewrite: &mut Rewrite, bytes: &[u8], piece: usize) -> io::Result<BytesMut> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        rewrite.push(&mut input, &mut output)?;
    }
    Ok(output)
}

/// The fields of the first header block in `bytes`, which begin with a preface.
fn fields(bytes: &[u8]) -> Vec<(String, String)> {
    let bytes = &bytes[PREFACE.len()..];
    let head = Head::parse(bytes.first_chunk().unwrap());
    assert_eq!(head.flags & END_HEADERS, END_HEADERS);
    let fields = Decoder::new()
        .decode(&bytes[HEAD..HEAD + head.length])
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    fields
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// A request as the original's server sends it.
fn request(further: &[(&[u8], &[u8])]) -> Vec<u8> {
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/s/m"),
        (b":authority", b""),
    ];
    Encoder::new().encode(fields.iter().chain(further).copied())
}

#[test]
fn what_is_no_http2_is_an_error() {
    let interrupted = [
        &PREFACE[..],
        &frame(HEADERS, 0, &request(&[])),
        &frame(0, 0, b"data"),
    ]
    .concat();
    let padding = [&PREFACE[..], &frame(HEADERS, PADDED | END_HEADERS, &[9, 0])].concat();
    let short = [&PREFACE[..], &frame(HEADERS, PRIORITY | END_HEADERS, &[0])].concat();
    let index = [&PREFACE[..], &frame(HEADERS, END_HEADERS, &[0xff, 0x7f])].concat();
    let large = [&PREFACE[..], &frame(HEADERS, 0, &vec![0; BLOCK / 2 + 1])].concat();
    let large = [large, frame(CONTINUATION, 0, &vec![0; BLOCK / 2])].concat();
    let mut endless = [&PREFACE[..], &frame(HEADERS, 0, &[])].concat();
    endless.extend(frame(CONTINUATION, 0, &[]).repeat(BLOCK / HEAD));
    for bytes in [
        &b"GET / HTTP/1.1"[..],
        &interrupted,
        &padding,
        &short,
        &index,
        &large,
        &endless,
    ] {
        let error = pushed(&mut rewrite(), bytes, 1_000_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
}

/// A small block may stand for very much: indexed fields of a large one in the table.
#[test]
fn a_block_that_unpacks_to_too_much_is_an_error() {
    let mut encoder = Encoder::new();
    let value = vec![b'x'; 3000];
    let large: (&[u8], &[u8]) = (b"x", &value);
    let block = encoder.encode(std::iter::repeat_n(large, 12_000));
    assert!(block.len() < 20_000, "{}", block.len());
    let bytes = [&PREFACE[..], &frame(HEADERS, END_HEADERS, &block)].concat();
    let error = pushed(&mut rewrite(), &bytes, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("32 MiB"), "{error}");
}

#[test]
fn an_empty_authority_is_filled_in_and_the_rest_stays() {
    let block = request(&[(b"te", b"trailers"), (b"a", b"1"), (b"a", b"2")]);
    let bytes = [&PREFACE[..], &frame(HEADERS, END_HEADERS, &block)].concat();
    let wanted = [
        (":scheme", "https"),
        (":authority", "backend:443"),
        (":method", "POST"),
        (":path", "/s/m"),
        ("te", "trailers"),
        ("a", "1"),
        ("a", "2"),
    ];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields(&pushed(&mut rewrite(), &bytes, 7).unwrap()), wanted);
    // Padding, priority and pieces change nothing.
    let padded = [&[3][..], &[0; 5], &block[..10], &[0; 3]].concat();
    let pieces = [
        &PREFACE[..],
        &frame(HEADERS, PADDED | PRIORITY | END_STREAM, &padded),
        &frame(CONTINUATION, 0, &[]),
        &frame(CONTINUATION, END_HEADERS, &block[10..]),
    ]
    .concat();
    let output = pushed(&mut rewrite(), &pieces, usize::MAX).unwrap();
    assert_eq!(fields(&output), wanted);
    assert_eq!(
        Head::parse(output[PREFACE.len()..].first_chunk().unwrap()).flags,
        END_STREAM | END_HEADERS
    );
}

#[test]
fn trailers_get_no_pseudo_headers_and_size_updates_stay() {
    let mut block = vec![0x20, 0x3f, 0xe1, 0x1f];
    block.extend(Encoder::new().encode([(&b"a"[..], &b"1"[..])]));
    let bytes = [&PREFACE[..], &frame(HEADERS, END_HEADERS, &block)].concat();
    let output = pushed(&mut rewrite(), &bytes, usize::MAX).unwrap();
    assert_eq!(fields(&output), [("a".to_owned(), "1".to_owned())]);
    assert_eq!(
        output[PREFACE.len() + HEAD..][..4],
        [0x20, 0x3f, 0xe1, 0x1f]
    );
}

/// Many calls with metadata that fills, reuses and overflows the client's table and a frame, and with bodies.
#[tokio::test]
async fn a_real_server_reads_what_a_real_client_sent() {
    const CALLS: usize = 200;
    let (client_io, middle_in) = duplex(64 * 1024);
    let (middle_out, server_io) = duplex(64 * 1024);
    let (from_client, mut to_client) = tokio::io::split(middle_in);
    let (mut from_server, mut to_server) = tokio::io::split(middle_out);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        crate::legacy::rewritten(from_client, &mut to_server, rewrite())
            .await
            .unwrap();
    });
    tasks.spawn(async move {
        tokio::io::copy(&mut from_server, &mut to_client)
            .await
            .unwrap();
    });
    tasks.spawn(async move {
        let mut server = h2::server::handshake(server_io).await.unwrap();
        for call in 0..CALLS {
            let (request, mut respond) = server.accept().await.unwrap().unwrap();
            assert_eq!(request.uri().authority().unwrap(), "backend:443");
            assert_eq!(request.uri().scheme_str(), Some("https"));
            assert_eq!(request.headers()["n"], format!("{call}"));
            assert_eq!(request.headers()["l"].len(), call * 200);
            respond
                .send_response(http::Response::new(()), true)
                .unwrap();
        }
        std::future::poll_fn(|cx| server.poll_closed(cx))
            .await
            .unwrap();
    });
    let (mut client, connection) = h2::client::handshake(client_io).await.unwrap();
    tasks.spawn(async move {
        connection.await.unwrap();
    });
    for call in 0..CALLS {
        let request = http::Request::builder()
            .method("POST")
            .uri("http://elsewhere/s/m")
            .header("n", call.to_string())
            .header("l", "x".repeat(call * 200))
            .body(())
            .unwrap();
        let (response, mut send) = client.send_request(request, false).unwrap();
        send.send_data(Bytes::from(vec![0; call]), true).unwrap();
        response.await.unwrap();
    }
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_gives_the_same(piece in 1usize..40, values in proptest::collection::vec(".{0,300}", 1..5)) {
        let mut encoder = Encoder::new();
        let mut bytes = PREFACE.to_vec();
        for value in &values {
            let block = encoder.encode([(&b":method"[..], &b"POST"[..]), (b"v", value.as_bytes())]);
            bytes.extend(frame(HEADERS, END_HEADERS, &block));
            bytes.extend(frame(0, END_STREAM, value.as_bytes()));
        }
        let whole = pushed(&mut rewrite(), &bytes, usize::MAX).unwrap();
        prop_assert_eq!(pushed(&mut rewrite(), &bytes, piece).unwrap(), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let after_preface = [&PREFACE[..], &bytes].concat();
        let _ = pushed(&mut rewrite(), &after_preface, 50);
        let framed = [&PREFACE[..], &frame(HEADERS, END_HEADERS, &bytes)].concat();
        let _ = pushed(&mut rewrite(), &framed, 50);
    }
}
