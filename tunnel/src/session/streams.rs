//! The streams of a session: how many may be open, and how each one ended at the peer.
//!
//! A stream gives its permit back only when *both* ends are done with it. yamux at the peer counts a stream until the
//! peer's application drops it; a permit that came back earlier could let one stream too many onto the session. (A peer
//! of the original's says nothing of its end, and has no such limit: there our own end decides.)

use std::collections::{BTreeMap, btree_map};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{BYTE_STREAMS, LANES};
use crate::message::open::Kind;
use crate::message::{StreamEnded, stream_ended::How};
use crate::stream::{Place, StreamEnd};

#[derive(Debug)]
pub(crate) struct Streams {
    /// For lanes, and for streams of bytes. Made with the first that is opened.
    permits: OnceLock<[Arc<Semaphore>; 2]>,
    open: Mutex<Open>,
}

/// The streams that are open, by tag.
#[derive(Debug, Default)]
struct Open {
    entries: BTreeMap<u64, Entry>,
    /// The tunnel is gone. A stream may still begin then: it was on its way to whoever opens or takes it.
    is_over: bool,
}

#[derive(Debug)]
struct Entry {
    _permit: OwnedSemaphorePermit,
    place: Place,
    /// Whether our own end is gone.
    done: bool,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            permits: OnceLock::new(),
            open: Mutex::default(),
        }
    }

    pub(super) fn permit(&self, kind: Kind) -> Option<OwnedSemaphorePermit> {
        let [lanes, byte_streams] = self.permits();
        let permits = match kind {
            Kind::H2 => lanes,
            _ => byte_streams,
        };
        Arc::clone(permits).try_acquire_owned().ok()
    }

    fn permits(&self) -> &[Arc<Semaphore>; 2] {
        let made = || [LANES, BYTE_STREAMS].map(|most| Arc::new(Semaphore::new(most)));
        self.permits.get_or_init(made)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// A stream begins; nothing when another that is open has its tag.
    pub(super) fn begin(&self, tag: u64, permit: OwnedSemaphorePermit) -> Option<Place> {
        let place = Place::default();
        let mut open = self.lock();
        if open.is_over {
            place.peer.set(StreamEnd::TunnelLost);
            return Some(place);
        }
        let btree_map::Entry::Vacant(entry) = open.entries.entry(tag) else {
            return None;
        };
        entry.insert(Entry {
            _permit: permit,
            place: place.clone(),
            done: false,
        });
        Some(place)
    }

    /// Our end of the stream is gone.
    pub(crate) fn done(&self, tag: u64) {
        let entries = &mut self.lock().entries;
        if let Some(entry) = entries.get_mut(&tag) {
            entry.done = true;
            if entry.place.peer.get().is_some() {
                entries.remove(&tag);
            }
        }
    }

    /// Our end of a stream is gone, and the peer says nothing of its own.
    pub(crate) fn forget(&self, tag: u64) {
        self.lock().entries.remove(&tag);
    }

    /// The peer will write no more.
    pub(super) fn peer_ended(&self, ended: &StreamEnded) {
        let how = match ended.how() {
            How::Fin => StreamEnd::Fin {
                bytes: ended.bytes_sent,
            },
            How::BackendLost => StreamEnd::BackendLost,
            How::Reset | How::Unspecified => StreamEnd::Reset,
            How::Local => StreamEnd::Local,
        };
        let entries = &mut self.lock().entries;
        if let Some(entry) = entries.get(&ended.tag) {
            // Under the lock: `done` looks at it there.
            entry.place.peer.set(how);
            if entry.done {
                entries.remove(&ended.tag);
            }
        }
    }

    /// The tunnel is gone, and with it whatever the peer might have said.
    pub(super) fn tunnel_lost(&self) {
        let open = {
            let mut open = self.lock();
            open.is_over = true;
            std::mem::take(&mut open.entries)
        };
        // In the order in which they were opened.
        for entry in open.values() {
            entry.place.peer.set(StreamEnd::TunnelLost);
            entry.place.waiters.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        // A panic while the lock is held leaves a map that is still whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fin(tag: u64) -> StreamEnded {
        StreamEnded {
            tag,
            how: How::Fin.into(),
            bytes_sent: 3,
        }
    }

    #[test]
    fn a_permit_comes_back_only_when_both_ends_are_done() {
        let streams = Streams::new();
        let free = || streams.permits()[0].available_permits();
        for (ours_first, tag) in [(true, 2), (false, 4)] {
            let permit = streams.permit(Kind::H2).unwrap();
            let peer = streams.begin(tag, permit).unwrap().peer;
            if ours_first {
                streams.done(tag);
                assert_eq!(free(), LANES - 1);
                streams.peer_ended(&fin(tag));
            } else {
                streams.peer_ended(&fin(tag));
                assert_eq!(free(), LANES - 1);
                streams.done(tag);
            }
            assert_eq!(free(), LANES);
            assert_eq!(peer.get(), Some(StreamEnd::Fin { bytes: 3 }));
        }
    }

    #[test]
    fn a_lost_tunnel_is_the_end_of_every_stream() {
        let streams = Streams::new();
        let permit = streams.permit(Kind::H2).unwrap();
        let peer = streams.begin(2, permit).unwrap().peer;
        streams.tunnel_lost();
        assert_eq!(peer.get(), Some(StreamEnd::TunnelLost));
    }

    #[test]
    fn a_stream_that_begins_after_the_tunnel_learns_its_end() {
        let streams = Streams::new();
        streams.tunnel_lost();
        let permit = streams.permit(Kind::H2).unwrap();
        let peer = streams.begin(2, permit).unwrap().peer;
        assert_eq!(peer.get(), Some(StreamEnd::TunnelLost));
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn one_lane_too_many_is_refused() {
        let streams = Streams::new();
        let held: Vec<_> = (0..LANES).map_while(|_| streams.permit(Kind::H2)).collect();
        assert_eq!(held.len(), LANES);
        assert!(streams.permit(Kind::H2).is_none());
        assert!(streams.permit(Kind::Bytes).is_some());
    }
}
