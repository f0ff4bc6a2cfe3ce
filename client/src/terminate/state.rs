//! The windows of a connection and of its calls: who may send what to whom.
//!
//! The server's window for the connection is large, and is given back as soon as bytes are here: what a stalled call keeps
//! never comes out of what others need, until [`HELD`] wait here. What a call keeps is bounded by its own window.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use tokio::time::Instant;

use super::budget::Budget;
use super::upload::{End, Upload};
use crate::http2::block;
use crate::http2::frame::{DATA, END_STREAM, FRAME, Head, WINDOW_UPDATE};
use crate::http2::invalid;

/// Every window begins with it, until SETTINGS say otherwise, and that of a connection always.
const DEFAULT: u32 = 65_535;
/// The server's window for the connection.
const CONNECTION: u32 = 32 * 1024 * 1024;
/// With more than that here, the server gets no more credit for the connection.
const HELD: usize = 32 * 1024 * 1024;
/// It gets credit for the connection once it is owed so much.
const OWED: u32 = CONNECTION / 8;
/// SETTINGS of the backend that the server may leave unanswered.
const SETTINGS_AT_ONCE: usize = 1_000;
/// What is written towards the backend at a time.
const OUTPUT: usize = 64 * 1024;

pub(super) struct State {
    uploads: BTreeMap<u32, Upload>,
    /// Highest stream of the server's.
    last: u32,
    /// What the backend's streams begin with, as far as the server acknowledged it.
    initial: i64,
    /// What its SETTINGS that were not acknowledged say of it.
    to_come: VecDeque<Option<i64>>,
    /// What the backend still takes on this connection.
    send: i64,
    /// What the server may still send, and what it is owed.
    receive: i64,
    owed: u32,
    held: usize,
    /// Calls of which something can go on, in their turn.
    turns: VecDeque<u32>,
    /// For the server, each for a stream.
    credits: VecDeque<(u32, u32)>,
    budget: Budget,
    /// When anything was written last.
    now: Instant,
}

impl State {
    pub(super) fn new(budget: Budget, now: Instant) -> Self {
        Self {
            uploads: BTreeMap::new(),
            last: 0,
            initial: DEFAULT.into(),
            to_come: VecDeque::new(),
            send: DEFAULT.into(),
            receive: DEFAULT.into(),
            owed: CONNECTION - DEFAULT,
            held: 0,
            turns: VecDeque::new(),
            credits: VecDeque::new(),
            budget,
            now,
        }
    }

    /// Whether the server began this stream at some time.
    pub(super) fn is_known(&self, stream: u32) -> bool {
        stream <= self.last
    }

    pub(super) fn begin(&mut self, stream: u32, ends: bool) {
        self.last = stream;
        if !ends {
            let upload = Upload::new(self.initial, &self.budget, self.now);
            self.uploads.insert(stream, upload);
            self.give_back(stream);
        }
    }

    /// The server sent the head of a DATA frame with a payload of so many bytes, `padding` of which are none of the call's.
    pub(super) fn data(&mut self, stream: u32, length: usize, padding: usize) -> io::Result<()> {
        if !self.is_known(stream) {
            return Err(invalid("DATA on a stream that never began"));
        }
        let bytes = length as i64;
        self.receive -= bytes;
        if self.receive < 0 {
            return Err(invalid("DATA beyond the window of the connection"));
        }
        // No frame is longer than 16 MiB.
        self.owed += length as u32;
        // One that was reset meanwhile has no window.
        let Some(upload) = self.uploads.get_mut(&stream) else {
            return Ok(());
        };
        if upload.has_ended() {
            return Err(invalid("DATA after the end of its stream"));
        }
        if !upload.came(bytes) {
            return Err(invalid("DATA beyond the window of its stream"));
        }
        if padding > 0 {
            self.give_back(stream);
        }
        Ok(())
    }

    /// Takes what came of a call.
    pub(super) fn hold(&mut self, stream: u32, bytes: &[u8]) {
        if let Some(upload) = self.uploads.get_mut(&stream) {
            upload.hold(bytes);
            self.held += bytes.len();
            self.queue(stream);
        }
    }

    /// The request ends behind what is held of it. Trailers begin where nothing can be cut in between.
    pub(super) fn end(&mut self, stream: u32, end: End, output: &mut BytesMut) -> io::Result<()> {
        let Some(upload) = self.uploads.get_mut(&stream) else {
            return Ok(());
        };
        if upload.has_ended() {
            return Err(invalid("a stream ends twice"));
        }
        upload.end(end);
        if upload.held() == 0 && upload.ends_plainly() {
            head(DATA, END_STREAM, stream, 0).write(output);
        }
        self.finish(stream, output);
        Ok(())
    }

    /// What a call held is nobody's any more.
    pub(super) fn forget(&mut self, stream: u32) {
        if let Some(upload) = self.uploads.remove(&stream) {
            self.held -= upload.held();
        }
    }

    /// The backend does nothing for calls after that one.
    pub(super) fn forget_after(&mut self, stream: u32) {
        for forgotten in self.uploads.split_off(&stream.saturating_add(1)).values() {
            self.held -= forgotten.held();
        }
    }

    /// The backend sent SETTINGS, with a window for streams if they say so.
    pub(super) fn settings(&mut self, initial: Option<i64>) -> io::Result<()> {
        if self.to_come.len() == SETTINGS_AT_ONCE {
            return Err(invalid("too many SETTINGS without an answer"));
        }
        self.to_come.push_back(initial);
        Ok(())
    }

    /// The server acknowledged the first of them.
    pub(super) fn acknowledged(&mut self) {
        let Some(initial) = self.to_come.pop_front().flatten() else {
            return;
        };
        let by = initial - self.initial;
        self.initial = initial;
        let streams: Vec<_> = self.uploads.keys().copied().collect();
        for stream in streams {
            if let Some(upload) = self.uploads.get_mut(&stream) {
                upload.shift(by);
            }
            self.queue(stream);
            self.give_back(stream);
        }
    }

    /// The backend takes so many bytes more, of a call, or of all on stream 0.
    pub(super) fn credit(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        let bytes = i64::from(bytes);
        let is_possible = if stream == 0 {
            self.send += bytes;
            self.send <= i64::from(i32::MAX)
        } else {
            let upload = self.uploads.get_mut(&stream);
            upload.is_none_or(|upload| upload.credit(bytes))
        };
        if bytes == 0 || !is_possible {
            return Err(invalid("a WINDOW_UPDATE of nothing, or beyond any window"));
        }
        self.queue(stream);
        Ok(())
    }

    /// Whether all that came went on.
    pub(super) fn is_drained(&self) -> bool {
        self.held == 0
    }

    /// Whether something can go on.
    pub(super) fn is_ready(&self) -> bool {
        !self.turns.is_empty() && self.send > 0
    }

    /// Writes what may go on now, a frame of each call in turn.
    pub(super) fn pass(&mut self, now: Instant, rtt: Duration, output: &mut BytesMut) {
        self.now = now;
        while output.len() < OUTPUT && self.send > 0 {
            let Some(stream) = self.turns.pop_front() else {
                return;
            };
            let Some(upload) = self.uploads.get_mut(&stream) else {
                continue;
            };
            upload.has_turn = false;
            let room = usize::try_from(self.send).unwrap_or(0);
            let bytes = upload.sendable().min(room).min(FRAME);
            if bytes == 0 {
                continue;
            }
            let is_last = bytes == upload.held() && upload.ends_plainly();
            let flags = if is_last { END_STREAM } else { 0 };
            head(DATA, flags, stream, bytes).write(output);
            upload.pass(bytes, output);
            self.send -= bytes as i64;
            if self.send > 0 {
                upload.grow(self.initial, now, rtt);
            }
            self.held -= bytes;
            self.queue(stream);
            self.give_back(stream);
            self.finish(stream, output);
        }
    }

    /// Writes what the server has to get back.
    pub(super) fn give(&mut self, output: &mut BytesMut) {
        if self.owed >= OWED && self.held <= HELD {
            let owed = std::mem::take(&mut self.owed);
            self.receive += i64::from(owed);
            window_update(0, owed, output);
        }
        for (stream, bytes) in self.credits.drain(..) {
            window_update(stream, bytes, output);
        }
    }

    /// Forgets a call whose end can go on, and writes trailers.
    fn finish(&mut self, stream: u32, output: &mut BytesMut) {
        let upload = self.uploads.get_mut(&stream);
        match upload.and_then(Upload::take_end) {
            None => return,
            Some(End::Plain) => {}
            Some(End::Trailers(trailers)) => block::write(stream, true, trailers, output),
        }
        self.forget(stream);
    }

    fn give_back(&mut self, stream: u32) {
        let upload = self.uploads.get_mut(&stream);
        let owed = upload.and_then(|upload| upload.owed(self.initial));
        self.credits.extend(owed.map(|owed| (stream, owed)));
    }

    fn queue(&mut self, stream: u32) {
        if let Some(upload) = self.uploads.get_mut(&stream)
            && upload.sendable() > 0
            && !upload.has_turn
        {
            upload.has_turn = true;
            self.turns.push_back(stream);
        }
    }
}

fn head(kind: u8, flags: u8, stream: u32, length: usize) -> Head {
    Head {
        length,
        kind,
        flags,
        stream,
    }
}

fn window_update(stream: u32, bytes: u32, output: &mut BytesMut) {
    head(WINDOW_UPDATE, 0, stream, 4).write(output);
    output.put_u32(bytes);
}
