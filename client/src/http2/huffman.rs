//! HPACK's Huffman coding, taken off the strings of a header block.
//!
//! The decoder of header blocks would do that as well, but builds its table anew for each string: three quarters of what a
//! small call costs an edge that reads it.
//!
//! *Source:* RFC 7541, sections 5 and 6, and appendix B. Its code is canonical: codes of one length follow each other, and so
//! do the lengths, so that the order of the bytes and the number of codes of each length are the whole table.

use std::io;

use bytes::{BufMut as _, BytesMut};

use super::block::string;
use super::invalid;

/// How many codes are as long as that, from 0 bits on.
const CODES: [u16; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19,
    29, 0, 4,
];

/// The bytes, by their codes.
#[rustfmt::skip]
const BYTES: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51,
    52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103, 104, 108, 109,
    110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76,
    77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118,
    119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63, 39,
    43, 124, 35, 62, 0, 36, 64, 91, 93, 126, 94, 125, 60, 96, 123, 92,
    195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161, 167, 172, 176, 177,
    179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156, 160,
    163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232,
    233, 1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157,
    158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239, 9, 142,
    144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193,
    200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211,
    212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254,
    2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20,
    21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249, 10, 13, 22,
];

/// Of a byte that begins a field: what it is by, and whether literals follow.
const INDEXED: u8 = 0x80;
const REMEMBERED: u8 = 0x40;
const SIZE_UPDATE: u8 = 0x20;
/// Of a byte that begins a string.
const CODED: u8 = 0x80;

/// The same block with every string in plain bytes.
///
/// # Errors
///
/// `InvalidData` when it is no header block.
pub(crate) fn plain(block: &[u8]) -> io::Result<BytesMut> {
    let mut anew = BytesMut::with_capacity(block.len() * 2);
    let mut rest = block;
    while let Some(first) = rest.first() {
        let (bits, strings) = match *first {
            INDEXED.. => (7, 0),
            REMEMBERED.. => (6, 1),
            SIZE_UPDATE.. => (5, 0),
            _ => (4, 1),
        };
        let begin = rest;
        let number = integer(&mut rest, bits)?;
        anew.extend_from_slice(&begin[..begin.len() - rest.len()]);
        // A name that is in no table comes before the value.
        let strings = strings + usize::from(strings == 1 && number == 0);
        for _ in 0..strings {
            let is_coded = rest.first().is_some_and(|first| first & CODED != 0);
            let length = integer(&mut rest, 7)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or_else(short)?;
            rest = after;
            if is_coded {
                string(&mut anew, &decoded(bytes)?);
            } else {
                string(&mut anew, bytes);
            }
        }
    }
    Ok(anew)
}

/// Takes an integer with a prefix of so many bits.
fn integer(rest: &mut &[u8], bits: u32) -> io::Result<usize> {
    let (first, mut after) = rest.split_first().ok_or_else(short)?;
    let most = (1 << bits) - 1;
    let mut number = usize::from(*first) & most;
    if number == most {
        // No header block is longer than four such bytes say.
        for shift in [0, 7, 14, 21] {
            let (byte, further) = after.split_first().ok_or_else(short)?;
            after = further;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *rest = after;
                return Ok(number);
            }
        }
        return Err(invalid("a header block has a number beyond any"));
    }
    *rest = after;
    Ok(number)
}

fn short() -> io::Error {
    invalid("a header block ends amid a field")
}

/// What `coded` stands for.
fn decoded(coded: &[u8]) -> io::Result<BytesMut> {
    let mut bytes = BytesMut::with_capacity(coded.len() * 8 / 5);
    let (mut code, mut first, mut index, mut length) = (0_u32, 0_u32, 0_u32, 0_usize);
    for byte in coded {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            first <<= 1;
            length += 1;
            let Some(count) = CODES.get(length).copied().map(u32::from) else {
                return Err(invalid("a header block has a code of no byte"));
            };
            if code - first < count {
                let byte = BYTES.get((index + code - first) as usize);
                bytes.put_u8(*byte.ok_or_else(|| invalid("a header block has the end within"))?);
                (code, first, index, length) = (0, 0, 0, 0);
            } else {
                index += count;
                first += count;
            }
        }
    }
    // The rest of the last byte is the beginning of the longest code, which is of ones.
    if length >= 8 || code != (1 << length) - 1 {
        return Err(invalid("a header block has a string that ends amid a byte"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
