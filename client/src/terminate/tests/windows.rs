//! What goes on when, and what the server gets back for it.

use super::*;

#[test]
fn data_goes_on_as_the_backend_takes_it_in_turns() {
    let mut bench = Bench::greeted(Some(20_000));
    for stream in [1, 3] {
        bench.begins(stream);
    }
    // The connection takes 65,535 in all.
    for stream in [1, 3] {
        let bytes = vec![stream as u8; 40_000];
        bench.server(&[
            data(stream, &bytes[..16_000]),
            data(stream, &bytes[16_000..]),
        ]);
    }
    let sizes = |frames: &[Frame]| -> Vec<_> {
        let of = |frame: &Frame| (frame.stream, frame.payload.len(), frame.flags);
        frames.iter().map(of).collect()
    };
    let got = bench.backend_got();
    assert_eq!(
        sizes(&got),
        [(1, 16_000, 0), (1, 4_000, 0), (3, 16_000, 0), (3, 4_000, 0)]
    );
    bench.backend(&[credit(3, 50_000), credit(1, 50_000)]);
    let rest = [(3, 16_384, 0), (3, 3_616, 0), (1, 5_535, 0)];
    assert_eq!(sizes(&bench.backend_got()), rest);
    bench.server(&[last(1, &[1; 10]), last(3, b"")]);
    assert_eq!(sizes(&bench.backend_got()), [(3, 0, END_STREAM)]);
    bench.backend(&[credit(0, 100_000)]);
    assert_eq!(sizes(&bench.backend_got()), [(1, 14_475, END_STREAM)]);
    assert!(bench.middle.is_drained());
}

#[test]
fn trailers_wait_for_what_is_before_them_and_calls_that_come_later_do_not() {
    let mut bench = Bench::greeted(Some(10));
    bench.begins(1);
    bench.server(&[data(1, &[1; 30])]);
    let trailers = bench.block(1, END_STREAM, &[("checksum", "5"), ("n", "1")]);
    let further = bench.block(3, END_STREAM, &[("checksum", "5"), (":path", "/s/m")]);
    bench.server(&[trailers, further]);
    let got = bench.backend_got();
    assert_eq!(got[0], data(1, &[1; 10]));
    let owned = |fields: &[(&str, &str)]| -> Vec<_> {
        let owned = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        owned.collect()
    };
    assert_eq!(got[1].stream, 3);
    let fields = bench.fields(&got[1]);
    assert_eq!(fields, owned(&[("checksum", "5"), (":path", "/s/m")]));
    bench.backend(&[credit(1, 100)]);
    let got = bench.backend_got();
    assert_eq!(got[0], data(1, &[1; 20]));
    assert_eq!((got[1].stream, got[1].flags), (1, END_STREAM | END_HEADERS));
    let fields = bench.fields(&got[1]);
    assert_eq!(fields, owned(&[("checksum", "5"), ("n", "1")]));
}

#[test]
fn padding_goes_no_further_and_is_given_back() {
    for bytes in [&b"bytes"[..], b""] {
        let mut bench = Bench::greeted(None);
        bench.begins(1);
        let padded = [&[200][..], bytes, &[0; 200]].concat();
        for _ in 0..100 {
            bench.server(&[frame(DATA, PADDED, 1, &padded)]);
            if !bytes.is_empty() {
                assert_eq!(bench.backend_got(), [data(1, bytes)]);
                bench.backend(&[credit(1, 5)]);
            }
        }
        assert!(bench.backend_got().is_empty());
        let back: u32 = bench.server_got().iter().map(Frame::number).sum();
        assert!(back > 65_535 / 4, "{back}");
    }
}

#[test]
fn a_reset_of_either_side_drops_what_waits_and_leaks_no_window() {
    let mut bench = Bench::greeted(Some(65_535));
    let mut back = 0;
    let mut stream = 1;
    for number in 0..2_000 {
        bench.begins(stream);
        let bytes = vec![0; 65_535];
        bench.server(&[data(stream, &bytes)]);
        if number % 2 == 0 {
            bench.server(&[reset(stream)]);
            assert_eq!(bench.backend_got().last(), Some(&reset(stream)));
        } else {
            bench.backend(&[reset(stream)]);
            // It was under way.
            bench.server(&[data(stream, b"late"), last(stream, b"")]);
            bench.backend_got();
        }
        // Nobody may have it twice: the first call used all that the connection takes.
        let resets = bench.server_got().into_iter();
        let credits = resets.filter(|frame| frame.kind == WINDOW_UPDATE);
        back += credits.map(|frame| u64::from(frame.number())).sum::<u64>();
        stream += 2;
    }
    assert!(bench.middle.is_drained());
    assert!(back > 2_000 * 65_535 - (8 << 20), "{back}");
}

#[test]
fn what_a_backend_will_not_do_any_more_waits_no_more() {
    let mut bench = Bench::greeted(Some(0));
    for stream in [1, 3] {
        bench.begins(stream);
        bench.server(&[data(stream, b"waits")]);
    }
    let last_stream = [&[0, 0, 0, 1][..], &[0; 4]].concat();
    bench.backend(&[frame(GOAWAY, 0, 0, &last_stream)]);
    bench.backend(&[credit(1, 5), credit(3, 5)]);
    assert_eq!(bench.backend_got(), [data(1, b"waits")]);
    assert!(bench.middle.is_drained());
}

/// What the backend sets holds from the server's acknowledgement on, for streams that are open too, and may leave them owing.
#[test]
fn a_window_that_shrinks_may_be_less_than_nothing() {
    let mut bench = Bench::greeted(Some(100));
    bench.begins(1);
    bench.server(&[data(1, &[1; 60])]);
    bench.backend(&[settings(Some(10))]);
    bench.server(&[data(1, &[2; 40])]);
    let sent: usize = bench.backend_got().iter().map(|f| f.payload.len()).sum();
    assert_eq!(sent, 100);
    bench.server(&[acknowledged(), data(1, &[3; 30])]);
    bench.backend(&[credit(1, 90)]);
    assert_eq!(bench.backend_got(), [acknowledged()]);
    bench.backend(&[credit(1, 20)]);
    assert_eq!(bench.backend_got(), [data(1, &[3; 20])]);
    bench.backend(&[settings(Some(1_000))]);
    bench.server(&[acknowledged()]);
    assert_eq!(bench.backend_got(), [acknowledged(), data(1, &[3; 10])]);
}

/// A round trip of an upload: what the server has credit for comes at once, and the backend takes it at once or not.
fn trips(bench: &mut Bench, takes: u32, trips: u32) -> u64 {
    let (mut window, mut came) = (65_535, 0);
    for _ in 0..trips {
        bench.now += RTT;
        while window > 0 {
            let bytes = vec![0; window.min(16_384) as usize];
            window -= bytes.len() as u32;
            came += bytes.len() as u64;
            bench.server(&[data(1, &bytes)]);
            bench.backend(&[credit(0, takes), credit(1, takes)]);
        }
        let credits = bench.server_got().into_iter();
        let credits = credits.filter(|f| f.kind == WINDOW_UPDATE && f.stream == 1);
        window = credits.map(|frame| frame.number()).sum();
        bench.backend_got();
    }
    came
}

#[test]
fn the_window_grows_where_the_link_limits_and_is_given_back() {
    let mut bench = Bench::greeted(None);
    let all = bench.budget.left();
    bench.begins(1);
    let came = trips(&mut bench, 16_384, 20);
    assert!(came > 5 * (8 << 20), "{came}");
    let grown = all - bench.budget.left();
    assert!((8 << 20..16 << 20).contains(&grown), "{grown}");
    bench.server(&[last(1, b"")]);
    assert_eq!(bench.budget.left(), all);
}

#[test]
fn the_window_does_not_grow_where_the_backend_is_slow_or_little_comes() {
    let mut slow = Bench::greeted(None);
    slow.begins(1);
    let all = slow.budget.left();
    trips(&mut slow, 1_000, 50);
    // It took the first window at once, and all that it gives after is less.
    assert_eq!(slow.budget.left(), all - 65_535);
    let mut little = Bench::greeted(None);
    little.begins(1);
    for _ in 0..1_000 {
        little.now += RTT;
        little.server(&[data(1, &[0; 10_000])]);
        little.backend(&[credit(0, 10_000), credit(1, 10_000)]);
    }
    assert_eq!(little.budget.left(), all);
}

#[test]
fn windows_grow_no_further_than_all_of_them_may() {
    let mut bench = Bench::greeted(None);
    bench.middle = {
        let scarce = Budget::of(200_000);
        bench.budget = scarce.clone();
        let mut greeted = Bench::greeted(None);
        greeted.middle.state = State::new(scarce, bench.now);
        greeted.middle
    };
    bench.begins(1);
    trips(&mut bench, 16_384, 20);
    assert_eq!(bench.budget.left(), 200_000 - 3 * 65_535);
}
