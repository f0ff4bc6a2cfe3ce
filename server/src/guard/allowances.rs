//! How many frames of which kind a peer may send.
//!
//! Each kind has a burst, a rate, and what this connection's own use of it earns: streams that were begun (HEADERS, of
//! either side), and DATA that we sent. That is what makes the limits safe for innocents, whose control frames follow
//! from their calls: grpc-go measures the path with one PING per DATA frame that it gets, on a fast link thousands a
//! second; every library answers DATA with WINDOW_UPDATE. A flood earns nothing.
//!
//! What else could be sent without end is bounded by h2: CONTINUATION per header block, resets that a peer provokes
//! (in a connection's life), streams that it resets before we accepted them, and the size of header lists.
//!
//! *Source:* the rule for WINDOW_UPDATE and PRIORITY is Envoy's, the numbers are ours; empty DATA is h2's own limit.

use grpc_multiplexer_tunnel::Allowance;

use super::floods::Flood;
use super::heads::{Head, kind};

/// What the peer of one connection may still send.
#[derive(Debug)]
pub(super) struct Allowances {
    control: Allowance,
    priority: Allowance,
    window_updates: Allowance,
    empty_data: Allowance,
    resets: Allowance,
}

impl Allowances {
    pub(super) fn new() -> Self {
        Self {
            control: Allowance::new(1_000, 200),
            priority: Allowance::new(100, 0),
            window_updates: Allowance::new(1_000, 10),
            // Not in any second but in a connection's life: h2 ends it at one more, and would not say why.
            empty_data: Allowance::new(100, 0),
            resets: Allowance::new(100, 0),
        }
    }

    /// The peer sent a frame.
    pub(super) fn received(&mut self, head: Head) -> Result<(), Flood> {
        let (allowance, flood) = match head.kind {
            kind::DATA if head.length > 0 || head.ends_stream() => return Ok(()),
            kind::DATA => (&mut self.empty_data, Flood::EmptyData),
            kind::HEADERS => {
                self.begun();
                return Ok(());
            }
            kind::CONTINUATION => return Ok(()),
            kind::PRIORITY => (&mut self.priority, Flood::Priority),
            kind::RST_STREAM => (&mut self.resets, Flood::Reset),
            kind::WINDOW_UPDATE => (&mut self.window_updates, Flood::WindowUpdate),
            _ => (&mut self.control, Flood::Control),
        };
        if allowance.take() { Ok(()) } else { Err(flood) }
    }

    /// We sent a frame.
    pub(super) fn sent(&mut self, head: Head) {
        match head.kind {
            kind::HEADERS => self.begun(),
            kind::DATA => {
                self.control.earn(2);
                self.window_updates.earn(20);
            }
            _ => {}
        }
    }

    /// A stream began, or its response.
    fn begun(&mut self) {
        self.priority.earn(100);
        self.window_updates.earn(2);
        self.resets.earn(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize, flags: u8) -> Head {
        Head {
            length,
            kind,
            flags,
            stream: 1,
        }
    }

    /// How many of `head` pass, up to a million.
    fn pass(allowances: &mut Allowances, head: Head) -> usize {
        (0..1_000_000)
            .take_while(|_| allowances.received(head).is_ok())
            .count()
    }

    const PING: u8 = 6;
    const SETTINGS: u8 = 4;
    const UNKNOWN: u8 = 0xfa;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_any_kind_ends() {
        for (head, most) in [
            (frame(PING, 8, 0), 1_000),
            (frame(PING, 8, 1), 1_000),
            (frame(SETTINGS, 0, 0), 1_000),
            (frame(UNKNOWN, 0, 0), 1_000),
            (frame(kind::PRIORITY, 5, 0), 100),
            (frame(kind::WINDOW_UPDATE, 4, 0), 1_000),
            (frame(kind::DATA, 0, 0), 100),
            (frame(kind::RST_STREAM, 4, 0), 100),
        ] {
            assert_eq!(pass(&mut Allowances::new(), head), most, "{head:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_call_is_made_of_has_no_limit() {
        let allowances = &mut Allowances::new();
        for head in [
            frame(kind::HEADERS, 20, 4),
            frame(kind::DATA, 5, 0),
            frame(kind::DATA, 0, 1),
        ] {
            assert_eq!(pass(allowances, head), 1_000_000, "{head:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_what_we_sent_are_no_flood() {
        let mut allowances = Allowances::new();
        for _ in 0..1_000_000 {
            allowances.sent(frame(kind::DATA, 5, 0));
            for head in [
                frame(PING, 8, 0),
                frame(kind::WINDOW_UPDATE, 4, 0),
                frame(kind::WINDOW_UPDATE, 4, 0),
            ] {
                assert_eq!(allowances.received(head), Ok(()));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_call_may_be_cancelled() {
        let mut allowances = Allowances::new();
        for _ in 0..1_000_000 {
            allowances.received(frame(kind::HEADERS, 20, 4)).unwrap();
            allowances.received(frame(kind::RST_STREAM, 4, 0)).unwrap();
        }
    }
}
