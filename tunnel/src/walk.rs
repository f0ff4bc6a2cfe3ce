//! The headers of frames, as the bytes of a connection pass. Payloads are skipped, and nothing is kept.

/// Where in its frames a stream of bytes is. A frame is `N` bytes of header, and a payload whose length the header says.
#[derive(Debug)]
pub struct FrameWalk<const N: usize> {
    /// The part of a header that came so far.
    part: [u8; N],
    have: usize,
    /// Bytes until the next header.
    skip: usize,
}

impl<const N: usize> FrameWalk<N> {
    /// Begins before `preface` bytes that are no frame.
    #[must_use]
    pub fn after(preface: usize) -> Self {
        Self {
            part: [0; N],
            have: 0,
            skip: preface,
        }
    }

    /// Passes on `bytes`. `begin` sees each header that is complete with them, and says how long its payload is; the
    /// first that it does not like ends the walk.
    ///
    /// # Errors
    ///
    /// Those of `begin`.
    pub fn pass<E>(
        &mut self,
        mut bytes: &[u8],
        mut begin: impl FnMut([u8; N]) -> Result<usize, E>,
    ) -> Result<(), E> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return Ok(());
            }
            let taken = (N - self.have).min(bytes.len());
            self.part[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == N {
                self.have = 0;
                self.skip = begin(self.part)?;
            }
        }
    }

    /// Whether a payload is not complete.
    #[must_use]
    pub fn is_in_payload(&self) -> bool {
        self.skip > 0
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.have == 0 && self.skip == 0
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_are_seen_however_the_bytes_are_cut(
            preface in 0usize..30,
            lengths in proptest::collection::vec(prop_oneof![0u32..9, 0u32..20_000], 0..30),
            cuts in proptest::collection::vec(1usize..300, 1..40),
        ) {
            let mut all = vec![0xcd; preface];
            for length in &lengths {
                all.extend(length.to_be_bytes());
                all.resize(all.len() + *length as usize, 0xab);
            }
            let mut walk = FrameWalk::<4>::after(preface);
            let mut seen = Vec::new();
            let mut rest = &all[..];
            for cut in cuts.into_iter().cycle() {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                walk.pass(chunk, |head| {
                    let length = u32::from_be_bytes(head);
                    seen.push(length);
                    Ok::<_, Infallible>(length as usize)
                })
                .unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, lengths);
            prop_assert!(walk.is_between_frames());
        }
    }

    #[test]
    fn what_is_not_liked_ends_the_walk() {
        let mut walk = FrameWalk::<1>::after(0);
        let mut seen = Vec::new();
        let end = walk.pass(&[0, 1, 7, 0, 0], |[length]| {
            seen.push(length);
            if seen.len() == 2 {
                Err("enough")
            } else {
                Ok(length.into())
            }
        });
        assert_eq!(end, Err("enough"));
        assert_eq!(seen, [0, 1]);
    }
}
