//! Limits at their edges.

use http::HeaderValue;

use super::*;

#[test]
fn metadata_is_too_much_one_byte_or_one_entry_beyond_the_limit() {
    let limits = MetadataLimits::default();
    let mut map = HeaderMap::new();
    map.insert("k", "v".repeat(16 * 1024 - 33).parse().unwrap());
    assert!(!limits.are_passed_by(&map));
    map.insert("k", "v".repeat(16 * 1024 - 32).parse().unwrap());
    assert!(limits.are_passed_by(&map));
    let many = |n| {
        (0..n).fold(HeaderMap::new(), |mut map, _| {
            map.append("k", HeaderValue::from_static("v"));
            map
        })
    };
    assert!(!limits.are_passed_by(&many(100)));
    assert!(limits.are_passed_by(&many(101)));
}

#[test]
fn limits_that_would_serve_nobody_are_mistakes() {
    assert_eq!(memory("60%"), Ok(Portion::Percent(60)));
    assert_eq!(memory("0"), Ok(Portion::Bytes(0)));
    assert_eq!(memory("64MiB"), Ok(Portion::Bytes(LEAST_MEMORY)));
    assert!(memory("63MiB").is_err());
    assert_eq!(metadata_size("1MiB"), Ok(1 << 20));
    for text in ["1023", "1025KiB", "5TiB", "16KB"] {
        assert!(metadata_size(text).is_err(), "{text}");
    }
    assert!(time_for_something("0").is_err());
    assert!(time_for_something("61m").is_err());
    assert_eq!(wait("1h"), Ok(LONGEST_WAIT));
    assert!(wait("99y").is_err());
}
