//! What of a request went out and may have to go out once more.

use bytes::Bytes;

use super::End;
use super::chunks::Chunks;

#[derive(Debug)]
pub(super) struct Kept {
    limit: usize,
    chunks: Chunks,
    end: Option<End>,
}

impl Kept {
    /// Keeps at most `limit` bytes; with 0 a request can go out again until a byte of it did.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            chunks: Chunks::default(),
            end: None,
        }
    }

    /// Keeps what goes out. False when that is more than may be kept, and nothing is of use any more.
    pub(super) fn keep(&mut self, chunk: &Bytes) -> bool {
        let fits = self.chunks.len() + chunk.len() <= self.limit;
        if fits {
            self.chunks.push(chunk.clone());
        }
        fits
    }

    /// Keeps the end, which went out.
    pub(super) fn keep_end(&mut self, end: &End) {
        self.end = Some(end.clone());
    }

    pub(super) fn into_parts(self) -> (Chunks, Option<End>) {
        (self.chunks, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_ends_at_its_limit() {
        let mut kept = Kept::new(10);
        assert!(kept.keep(&Bytes::from_static(b"0123456")));
        assert!(kept.keep(&Bytes::from_static(b"789")));
        assert!(!kept.keep(&Bytes::from_static(b"!")));
    }

    #[test]
    fn without_room_a_request_of_no_bytes_is_kept() {
        let mut kept = Kept::new(0);
        kept.keep_end(&End::Plain);
        assert!(!kept.keep(&Bytes::from_static(b"!")));
        assert!(matches!(kept.into_parts().1, Some(End::Plain)));
    }
}
