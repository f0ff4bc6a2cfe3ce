//! The fields of which OpenSSH's keys consist.

/// Fields that are taken off the front of bytes. Each is `None` where the bytes end within it.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// Bytes behind their number.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    /// What was not taken.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn are_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// A short string as a field.
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a name or a key is short");
    [&length.to_be_bytes(), bytes].concat()
}
