//! Whether messages came compressed: tonic decompresses them and says nothing of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use tonic::body::Body;

/// The compressed flags of the messages of one body, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags(Arc<Mutex<VecDeque<bool>>>);

impl Flags {
    /// The flag of the next message; every message is asked for once, after it came.
    pub(crate) fn next(&self) -> Option<bool> {
        self.lock().pop_front()
    }

    /// The same body, noting the flag of each message that passes.
    pub(crate) fn watch(&self, body: Body) -> Body {
        let flags = self.clone();
        let mut prefixes = Prefixes::default();
        Body::new(body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                prefixes.read(data.clone(), |flag| flags.lock().push_back(flag));
            }
            frame
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the five bytes in front of each message: the flag and the length.
#[derive(Default)]
struct Prefixes {
    prefix: Vec<u8>,
    rest_of_message: usize,
}

impl Prefixes {
    fn read(&mut self, mut data: Bytes, mut found: impl FnMut(bool)) {
        while data.has_remaining() {
            if self.rest_of_message > 0 {
                let skipped = self.rest_of_message.min(data.len());
                data.advance(skipped);
                self.rest_of_message -= skipped;
                continue;
            }
            self.prefix.push(data.get_u8());
            if let [flag, a, b, c, d] = self.prefix[..] {
                found(flag == 1);
                self.rest_of_message = u32::from_be_bytes([a, b, c, d]) as usize;
                self.prefix.clear();
            }
        }
    }
}
