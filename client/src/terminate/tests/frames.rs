//! What passes as it is, and what neither side may say.

use super::*;

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
