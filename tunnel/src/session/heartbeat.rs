//! Whether the peer is alive: a pure state machine over the times of what was sent and received.
//!
//! Any byte from the peer is a sign of life. A heartbeat asks for one when the interval is over, or as soon as a
//! stream was written and nothing came back (*probe on use*). While a tunnel has no stream, the edge leaves it to the
//! server to ask: one question shows both sides that the other lives. Unanswered, a heartbeat first takes the tunnel out
//! of rotation and later closes it. A pause of this very process (a suspended machine, a stopped process) proves nothing
//! about the peer: a tick that comes late starts the question anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::HeartbeatTimes;

/// How long a round trip counts for the minimum.
const RTT_WINDOW: Duration = Duration::from_secs(60);
/// A tick later than planned by this much means that this process stood still.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// What is due within this time wakes the process once for all its tunnels: waking up is half of what an idle tunnel
/// costs. Ten thousand tunnels have 50 heartbeats in it, a millisecond of work.
const TOGETHER: Duration = Duration::from_millis(50);

/// What the peer showed so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs {
    /// The last byte from the peer.
    pub(crate) last_received: Instant,
    /// The first write to a stream since then.
    pub(crate) used_since: Option<Instant>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send a heartbeat with this sequence number.
    Ask(u64),
    /// Take the tunnel out of rotation.
    Suspect,
    /// Put it back.
    Trust,
    /// Close it.
    GiveUp,
}

#[derive(Debug)]
pub(crate) struct Heartbeat {
    times: Arc<HeartbeatTimes>,
    /// Of the newest heartbeat.
    sequence: u64,
    /// The oldest heartbeat since the last sign of life.
    asked: Option<Instant>,
    /// The newest, for its round trip.
    latest: Option<Instant>,
    next: Instant,
    /// Somebody wants to know now.
    hurried: bool,
    /// Whether it leaves it to the peer to ask on an idle tunnel.
    defers: bool,
    planned: Instant,
    suspected: bool,
    /// Round trips, growing from the front, so that the front is the minimum.
    round_trips: VecDeque<(Instant, Duration)>,
}

impl Heartbeat {
    /// Asks at once, so that both sides know a round trip and the edge knows that the tunnel works.
    pub(crate) fn new(times: Arc<HeartbeatTimes>, now: Instant) -> Self {
        Self {
            times,
            sequence: 0,
            asked: None,
            latest: None,
            next: now,
            hurried: false,
            defers: false,
            planned: now,
            suspected: false,
            round_trips: VecDeque::new(),
        }
    }

    /// From now on the peer is left to ask while the tunnel is idle.
    pub(crate) fn defer(&mut self) {
        self.defers = true;
    }

    /// The smallest round trip of the last minute.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.round_trips.front().map(|(_, rtt)| *rtt)
    }

    /// Takes one round trip into account.
    pub(crate) fn measured(&mut self, now: Instant, rtt: Duration) {
        while self
            .round_trips
            .back()
            .is_some_and(|(_, known)| *known >= rtt)
        {
            self.round_trips.pop_back();
        }
        if self.round_trips.is_empty() {
            // Mostly the only one.
            self.round_trips.reserve_exact(1);
        }
        self.round_trips.push_back((now, rtt));
        while self
            .round_trips
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > RTT_WINDOW)
        {
            self.round_trips.pop_front();
        }
    }

    /// An answer came. Returns whether it is the one to the newest question.
    pub(crate) fn answered(&mut self, sequence: u64, now: Instant) -> bool {
        let Some(sent) = self.latest.take_if(|_| sequence == self.sequence) else {
            return false;
        };
        self.measured(now, now.duration_since(sent));
        true
    }

    /// What to do at `now`, where `idle` says that the tunnel has no stream. Call again until it says `None`. `jitter` in
    /// 0..1 spreads the next question.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        signs: Signs,
        idle: bool,
        jitter: f64,
    ) -> Option<Action> {
        if self.asked.is_some_and(|asked| signs.last_received > asked) {
            self.asked = None;
        }
        if self.suspected && self.asked.is_none() {
            self.suspected = false;
            return Some(Action::Trust);
        }
        if now > self.planned + STALL {
            self.planned = now;
            if self.asked.is_some() {
                self.asked = None;
                return Some(self.ask(now, jitter));
            }
        }
        if let Some(asked) = self.asked {
            let silent = now.duration_since(signs.last_received.min(asked));
            if silent >= self.times.dead_after && now >= asked + self.suspect_after() {
                return Some(Action::GiveUp);
            }
            if !self.suspected && now >= asked + self.suspect_after() {
                self.suspected = true;
                return Some(Action::Suspect);
            }
        } else if self.probe_due(signs).is_some_and(|due| now >= due) {
            return Some(self.ask(now, jitter));
        }
        // The first question is this side's own, for the round trip.
        if now >= self.next && idle && self.defers && self.sequence > 0 {
            // Longer than the peer takes to ask again.
            let due = signs.last_received + self.times.interval.mul_f64(1.25);
            self.next = self.next.max(due);
        }
        (self.hurried || now >= self.next).then(|| self.ask(now, jitter))
    }

    /// The next tick asks, whatever the peer showed before.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// When [`Heartbeat::tick`] must be called next, if nothing happens.
    pub(crate) fn wake_at(&mut self, signs: Signs) -> Instant {
        let mut at = self.next;
        match self.asked {
            Some(asked) if self.suspected => {
                let dead = signs.last_received.min(asked) + self.times.dead_after;
                at = at.min(dead.max(asked + self.suspect_after()));
            }
            Some(asked) => at = at.min(asked + self.suspect_after()),
            None => {
                if let Some(due) = self.probe_due(signs) {
                    at = at.min(due);
                }
            }
        }
        self.planned = self.together(at);
        self.planned
    }

    /// The first moment for many tunnels together that is not before `at`.
    fn together(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.times.together_from);
        // A second is a whole number of them.
        let step = TOGETHER.subsec_nanos();
        let missing = (step - since.subsec_nanos() % step) % step;
        at + Duration::from_nanos(missing.into())
    }

    fn ask(&mut self, now: Instant, jitter: f64) -> Action {
        self.sequence += 1;
        self.asked.get_or_insert(now);
        self.latest = Some(now);
        self.next = now + self.times.interval.mul_f64(0.8 + 0.4 * jitter);
        self.hurried = false;
        Action::Ask(self.sequence)
    }

    fn probe_due(&self, signs: Signs) -> Option<Instant> {
        let used = signs.used_since?;
        (used > signs.last_received).then(|| used + self.four_round_trips(self.times.probe_after))
    }

    fn suspect_after(&self) -> Duration {
        self.four_round_trips(self.times.suspect_after)
    }

    fn four_round_trips(&self, least: Duration) -> Duration {
        self.rtt().map_or(least, |rtt| least.max(rtt * 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// One that began `now`, of a process that began at `start`.
    fn begun(start: Instant, now: Instant) -> Heartbeat {
        let times = HeartbeatTimes {
            together_from: start,
            ..HeartbeatTimes::default()
        };
        Heartbeat::new(Arc::new(times), now)
    }

    struct Bench {
        heartbeat: Heartbeat,
        start: Instant,
        signs: Signs,
        idle: bool,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                heartbeat: begun(start, start),
                start,
                signs: Signs {
                    last_received: start,
                    used_since: None,
                },
                idle: false,
            }
        }

        /// Follows the state machine's own wake-ups until `until`, and notes what it did when.
        fn run(&mut self, from: Duration, until: Duration) -> Vec<(u64, Action)> {
            let mut now = self.start + from;
            let mut done = Vec::new();
            while now <= self.start + until {
                while let Some(action) = self.heartbeat.tick(now, self.signs, self.idle, 0.5) {
                    done.push(((now - self.start).as_secs(), action));
                    if action == Action::GiveUp {
                        return done;
                    }
                }
                now = self
                    .heartbeat
                    .wake_at(self.signs)
                    .max(now + Duration::from_millis(1));
            }
            done
        }

        fn hear(&mut self, at: Duration) {
            self.signs.last_received = self.start + at;
        }
    }

    #[test]
    fn silence_from_the_start_closes_at_twenty_seconds() {
        let done = Bench::new().run(secs(0), secs(60));
        assert_eq!(done.first(), Some(&(0, Action::Ask(1))));
        assert!(done.contains(&(2, Action::Suspect)), "{done:?}");
        assert_eq!(done.last(), Some(&(20, Action::GiveUp)));
    }

    #[test]
    fn an_idle_tunnel_that_goes_silent_is_doubted_after_one_heartbeat_and_closed_in_time() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(secs(0), secs(1)), [(0, Action::Ask(1))]);
        bench.hear(secs(1));
        let done = bench.run(secs(1), secs(60));
        assert!(done.contains(&(10, Action::Ask(2))), "{done:?}");
        assert!(done.contains(&(12, Action::Suspect)), "{done:?}");
        assert_eq!(done.last(), Some(&(21, Action::GiveUp)));
    }

    #[test]
    fn who_leaves_it_to_the_peer_asks_on_an_idle_tunnel_only_once_the_peer_does_not() {
        let mut bench = Bench::new();
        bench.heartbeat.defer();
        bench.idle = true;
        bench.run(secs(0), secs(0));
        bench.hear(secs(9));
        assert_eq!(bench.run(secs(9), secs(20)), []);
        bench.hear(secs(20));
        assert_eq!(bench.run(secs(20), secs(33)), [(32, Action::Ask(2))]);
    }

    #[test]
    fn a_silent_idle_tunnel_is_closed_in_the_same_time_by_who_leaves_it_to_the_peer() {
        let mut bench = Bench::new();
        bench.heartbeat.defer();
        bench.idle = true;
        bench.run(secs(0), secs(0));
        bench.hear(secs(9));
        let done = bench.run(secs(9), secs(60));
        assert!(done.contains(&(23, Action::Suspect)), "{done:?}");
        assert_eq!(done.last(), Some(&(29, Action::GiveUp)));
    }

    #[test]
    fn a_tunnel_with_streams_is_asked_whatever_the_peer_does() {
        let mut bench = Bench::new();
        bench.heartbeat.defer();
        bench.run(secs(0), secs(0));
        bench.hear(secs(9));
        assert_eq!(bench.run(secs(9), secs(10)), [(10, Action::Ask(2))]);
    }

    #[test]
    fn what_is_due_within_a_moment_wakes_together() {
        let start = Instant::now();
        let signs = Signs {
            last_received: start,
            used_since: None,
        };
        let mut woken: Vec<_> = (0..100)
            .map(|n| {
                let now = start + Duration::from_millis(n);
                let mut heartbeat = begun(start, now);
                assert_eq!(heartbeat.tick(now, signs, false, 0.5), Some(Action::Ask(1)));
                heartbeat.wake_at(signs) - start
            })
            .collect();
        woken.dedup();
        assert_eq!(woken, [2000, 2050, 2100].map(Duration::from_millis));
    }

    #[test]
    fn a_used_tunnel_without_an_answer_is_out_of_rotation_in_three_seconds() {
        let mut bench = Bench::new();
        bench.run(secs(0), secs(0));
        bench.hear(secs(1));
        bench.signs.used_since = Some(bench.start + secs(4));
        let done = bench.run(secs(4), secs(9));
        assert_eq!(done, [(5, Action::Ask(2)), (7, Action::Suspect)]);
    }

    #[test]
    fn any_byte_restores_trust() {
        let mut bench = Bench::new();
        bench.run(secs(0), secs(3));
        bench.hear(secs(4));
        assert_eq!(bench.run(secs(4), secs(5)), [(4, Action::Trust)]);
    }

    #[test]
    fn a_pause_of_this_process_closes_nothing() {
        let mut bench = Bench::new();
        bench.run(secs(0), secs(1));
        // Nothing ran for a minute; the answer may wait in the socket.
        let now = bench.start + secs(60);
        assert_eq!(
            bench.heartbeat.tick(now, bench.signs, false, 0.5),
            Some(Action::Ask(2))
        );
        assert_eq!(bench.heartbeat.tick(now, bench.signs, false, 0.5), None);
    }

    #[test]
    fn who_hurries_asks_at_once_and_once() {
        for defers in [false, true] {
            let mut bench = Bench::new();
            if defers {
                bench.heartbeat.defer();
            }
            bench.idle = true;
            bench.run(secs(0), secs(0));
            bench.hear(secs(1));
            bench.heartbeat.hurry();
            assert_eq!(bench.run(secs(2), secs(3)), [(2, Action::Ask(2))]);
        }
    }

    #[test]
    fn the_round_trip_is_the_minimum_of_a_minute() {
        let mut bench = Bench::new();
        let start = bench.start;
        let millis = Duration::from_millis;
        bench.heartbeat.measured(start, millis(10));
        bench.heartbeat.measured(start + secs(1), millis(50));
        assert_eq!(bench.heartbeat.rtt(), Some(millis(10)));
        bench.heartbeat.measured(start + secs(61), millis(40));
        assert_eq!(bench.heartbeat.rtt(), Some(millis(40)));
    }

    #[test]
    fn an_answer_to_an_older_question_measures_nothing() {
        let mut bench = Bench::new();
        bench.run(secs(0), secs(0));
        assert!(!bench.heartbeat.answered(99, bench.start));
        assert!(bench.heartbeat.answered(1, bench.start + secs(1)));
        assert_eq!(bench.heartbeat.rtt(), Some(secs(1)));
    }
}
