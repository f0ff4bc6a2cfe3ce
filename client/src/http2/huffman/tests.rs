use loona_hpack::Decoder;
use proptest::prelude::*;

use super::*;

/// Every byte's code and its length, by the table.
fn codes() -> Vec<(u32, usize)> {
    let mut codes = vec![(0, 0); 256];
    let (mut code, mut index) = (0, 0);
    for (length, count) in CODES.iter().enumerate() {
        code <<= 1;
        for _ in 0..*count {
            if let Some(byte) = BYTES.get(index) {
                codes[usize::from(*byte)] = (code, length);
            }
            code += 1;
            index += 1;
        }
    }
    codes
}

fn coded(bytes: &[u8]) -> Vec<u8> {
    let codes = codes();
    let mut bits = Vec::new();
    for byte in bytes {
        let (code, length) = codes[usize::from(*byte)];
        bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    }
    while bits.len() % 8 > 0 {
        bits.push(true);
    }
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

/// A field whose name and value are coded as they are here.
fn field(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = BytesMut::new();
    block.put_u8(first);
    for coded in [name, value] {
        let begin = block.len();
        string(&mut block, coded);
        block[begin] |= CODED;
    }
    block.to_vec()
}

#[test]
fn what_is_no_block_is_an_error() {
    let long = [0xff_u8; 6];
    for wrong in [
        &[0x40][..],
        &[0x40, 0x03, b'a'],
        &[0x00, 0x01, b'a', 0x85, 0xff],
        &long,
        // More padding than a byte, padding of zeros, and the end of all.
        &field(0, b"", &[0xff]),
        &field(0, b"", &[0b0001_1000]),
        &field(0, b"", &[0xff; 4]),
    ] {
        let error = plain(wrong).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{wrong:?}");
    }
}

/// *Source:* RFC 7541, appendix C.4.1.
#[test]
fn the_example_of_the_rfc_reads() {
    let block = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90,
        0xf4, 0xff,
    ];
    let wanted = [&[0x82, 0x86, 0x84, 0x41, 15][..], b"www.example.com"].concat();
    assert_eq!(plain(&block).unwrap(), wanted);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_coded_is_what_another_decoder_reads(
        name in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::collection::vec(any::<u8>(), 0..400),
        first in prop_oneof![Just(0x00_u8), Just(0x10), Just(0x40)],
    ) {
        let mut block = vec![0x3f, 0xe1, 0x1f, 0x82];
        block.extend(field(first, &coded(&name), &coded(&value)));
        let fields = Decoder::new().decode(&block).unwrap();
        prop_assert_eq!(&fields[1], &(name, value));
        prop_assert_eq!(Decoder::new().decode(&plain(&block).unwrap()).unwrap(), fields);
    }

    /// What the other takes, this one takes in the same way, and the other way round.
    #[test]
    fn any_string_is_read_as_another_decoder_does(
        value in proptest::collection::vec(any::<u8>(), 0..6),
    ) {
        let block = field(0, b"", &value);
        let read = |block: &[u8]| Decoder::new().decode(block).ok();
        let anew = plain(&block).ok();
        prop_assert_eq!(anew.and_then(|anew| read(&anew)), read(&block));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = plain(&bytes);
    }
}
