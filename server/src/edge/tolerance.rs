//! What a backend bears of resets, told from its first SETTINGS, and from how it ended a lane.
//!
//! Some backends count every RST_STREAM of a connection, however well timed, and end the connection at too many. They
//! do not say so, but what a backend puts into its first SETTINGS, and in which order, tells what it is. A wrong guess
//! costs lanes (too small) or one lane that is lost and learnt from (too large), never a call.
//!
//! *Source:* the first SETTINGS of tonic 0.14, grpc-go 1.60, C-core 1.51 and 1.85, grpc-java 1.41, grpc-js 1.14,
//! nginx 1.22 and HAProxy 2.6, as seen on the wire; limits as their code and manuals give them.

use std::time::Duration;

use h2::Reason;

/// What one lane's backend bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tolerance {
    /// Resets in all; `None` where they are not counted.
    pub(crate) resets: Option<Rate>,
    /// Whether resets are also weighed against all calls of the lane.
    pub(crate) weighs: bool,
    /// Calls at a time.
    pub(crate) calls: usize,
    /// Resets of streams that are not proved accepted, at a time.
    pub(crate) credit: usize,
    /// Between the acknowledgement of one marker and the next marker.
    pub(crate) lag: Duration,
}

/// So many at once, and so many more in every second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

/// Calls on one lane at a time, if the backend allows as many.
const CALLS: usize = 256;
/// Of Go's net/http2, which waits for the handlers of cancelled calls, and ends the connection when too many do.
const CALLS_OF_GO: usize = 200;
/// Below h2's limit of 20.
const CREDIT: usize = 16;
/// Where [`CREDIT`] was too much.
const CAREFUL_CREDIT: usize = 4;
const LAG: Duration = Duration::from_millis(20);
const CAREFUL_LAG: Duration = Duration::from_millis(100);
/// nghttp2 bears 1,000 and 33 more a second.
const NGHTTP2: Rate = Rate {
    burst: 900.0,
    per_second: 30.0,
};
/// Netty bears 200 in 30 s, and is the strictest that is known.
const UNKNOWN: Rate = Rate {
    burst: 150.0,
    per_second: 1.5,
};
/// A budget that was learnt is not below this.
const LEAST_BURST: f64 = 16.0;

impl Tolerance {
    /// Bears all that the gate lets through.
    pub(crate) const UNCOUNTED: Self = Self {
        resets: None,
        weighs: false,
        calls: CALLS,
        credit: CREDIT,
        lag: LAG,
    };

    /// Of the backend whose first SETTINGS have this payload.
    pub(crate) fn of_settings(payload: &[u8]) -> Self {
        let (entries, _) = payload.as_chunks::<6>();
        let entries: Vec<(u16, u32)> = entries
            .iter()
            .map(|[a, b, c, d, e, f]| {
                (
                    u16::from_be_bytes([*a, *b]),
                    u32::from_be_bytes([*c, *d, *e, *f]),
                )
            })
            .collect();
        let ids: Vec<u16> = entries.iter().map(|(id, _)| *id).collect();
        let has = |id, value| entries.contains(&(id, value));
        match ids[..] {
            // C-core and all that is built on it.
            _ if has(C_CORE, 1) => Self::UNCOUNTED,
            // tonic, and whatever is on hyper.
            _ if ids.is_sorted() && ids.windows(3).any(|three| three == [4, 5, 6]) => {
                Self::UNCOUNTED
            }
            // grpc-go.
            [5, ..] if entries[0].1 == 16_384 => Self::UNCOUNTED,
            // Go's net/http2.
            [5, 3, 6, ..] => Self {
                calls: CALLS_OF_GO,
                ..Self::UNCOUNTED
            },
            // grpc-java.
            [3, 4, 6] if has(3, i32::MAX as u32) => Self::UNCOUNTED,
            // nginx; HAProxy.
            [3, 4, 5] if has(5, 16_777_215) => Self::UNCOUNTED,
            [8, 3] => Self::UNCOUNTED,
            // nghttp2: Node.
            [] => Self {
                resets: Some(NGHTTP2),
                ..Self::UNCOUNTED
            },
            // Netty, Envoy, Jetty and others.
            _ => Self {
                resets: Some(UNKNOWN),
                weighs: true,
                ..Self::UNCOUNTED
            },
        }
    }

    /// What is left of it after the backend ended a lane with `reason`, on which it had got so many resets.
    pub(crate) fn after(self, reason: Reason, resets: u32) -> Self {
        let burst = (f64::from(resets) / 2.0).max(LEAST_BURST);
        let learnt = Self {
            resets: Some(Rate {
                burst,
                per_second: burst / 60.0,
            }),
            ..self
        };
        if reason == Reason::ENHANCE_YOUR_CALM {
            // h2's word for too many resets of what it had not accepted.
            return Self {
                credit: CAREFUL_CREDIT,
                lag: CAREFUL_LAG,
                ..learnt
            };
        }
        learnt
    }

    /// The stricter of both in everything.
    pub(crate) fn and(self, other: Self) -> Self {
        let resets = match (self.resets, other.resets) {
            (Some(one), Some(other)) if one.burst < other.burst => Some(one),
            (one, None) => one,
            (_, other) => other,
        };
        Self {
            resets,
            weighs: self.weighs || other.weighs,
            calls: self.calls.min(other.calls),
            credit: self.credit.min(other.credit),
            lag: self.lag.max(other.lag),
        }
    }
}

/// A setting of C-core's own: GRPC_ALLOW_TRUE_BINARY_METADATA.
const C_CORE: u16 = 0xfe03;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(u16, u32)]) -> Tolerance {
        let payload: Vec<u8> = entries
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        Tolerance::of_settings(&payload)
    }

    #[test]
    fn backends_that_count_no_resets_are_known_by_their_settings() {
        for (backend, entries) in [
            ("tonic", &[(4, 1 << 20), (5, 16_384), (6, 16_384)][..]),
            ("hyper", &[(3, 200), (4, 1 << 20), (5, 16_384), (6, 16_384)]),
            ("grpc-go", &[(5, 16_384)]),
            (
                "grpc-go with limits",
                &[(5, 16_384), (3, 100), (4, 1 << 20)],
            ),
            (
                "C-core",
                &[(2, 0), (3, 0), (4, 4 << 20), (5, 4 << 20), (0xfe03, 1)],
            ),
            ("grpc-java", &[(3, 2_147_483_647), (4, 1 << 20), (6, 8_192)]),
            ("nginx", &[(3, 128), (4, 65_536), (5, 16_777_215)]),
            ("HAProxy", &[(8, 1), (3, 100)]),
        ] {
            assert_eq!(of(entries), Tolerance::UNCOUNTED, "{backend}");
        }
    }

    #[test]
    fn go_gets_fewer_calls_at_a_time() {
        let go = of(&[
            (5, 1 << 20),
            (3, 250),
            (6, 1 << 20),
            (1, 4_096),
            (4, 1 << 20),
        ]);
        assert_eq!((go.calls, go.resets), (CALLS_OF_GO, None));
    }

    #[test]
    fn node_is_known_by_saying_nothing() {
        assert_eq!(of(&[]).resets, Some(NGHTTP2));
    }

    #[test]
    fn who_is_not_known_gets_the_strictest_budget() {
        for entries in [
            &[(3, 100)][..],
            // C-core's by its low byte alone.
            &[(0x0003, 1)],
            &[(4, 65_535), (3, 100), (6, 8_192)],
            &[(6, 16_384), (5, 16_384), (4, 1 << 20)],
        ] {
            let unknown = of(entries);
            assert_eq!(unknown.resets, Some(UNKNOWN), "{entries:?}");
            assert!(unknown.weighs);
        }
    }

    #[test]
    fn budgets_stay_below_what_is_known_to_be_borne() {
        let in_30_s = |rate: Rate| rate.burst + 30.0 * rate.per_second;
        for (ours, borne) in [
            // nghttp2: 1,000, and 33 more a second.
            (NGHTTP2, 1_990.0),
            // Netty: so many in any 30 s.
            (UNKNOWN, 200.0),
        ] {
            assert!(in_30_s(ours) < borne, "{ours:?}");
        }
    }

    #[test]
    fn a_lane_that_was_ended_halves_the_budget() {
        let learnt = of(&[(5, 16_384)]).after(Reason::INTERNAL_ERROR, 500);
        let rate = learnt.resets.unwrap();
        assert!((rate.burst - 250.0).abs() < 0.1, "{rate:?}");
        assert_eq!(learnt.credit, CREDIT);
        let least = of(&[]).after(Reason::INTERNAL_ERROR, 10).resets.unwrap();
        assert!((least.burst - LEAST_BURST).abs() < 0.1, "{least:?}");
    }

    #[test]
    fn enhance_your_calm_also_makes_careful_and_the_stricter_counts() {
        let tonic = of(&[(4, 1 << 20), (5, 16_384), (6, 16_384)]);
        let learnt = tonic.after(Reason::ENHANCE_YOUR_CALM, 100);
        for both in [tonic.and(learnt), learnt.and(tonic)] {
            assert_eq!(both, learnt);
            assert_eq!((both.credit, both.lag), (CAREFUL_CREDIT, CAREFUL_LAG));
        }
    }
}
