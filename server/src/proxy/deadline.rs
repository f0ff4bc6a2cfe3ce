//! When a call to an edge must be over: when its caller says (`grpc-timeout`), and no later than this server lets any last.

use std::time::Duration;

use grpc_multiplexer_process::{OptionSpec, duration};
use tokio::time::Instant;

/// How long a call may last.
pub(crate) const OPTION: OptionSpec = OptionSpec {
    path: "max-call-time",
    value_name: "DURATION",
    default: Some("0"),
    many: false,
    secret: false,
    reload: true,
    help: "How long a call to an edge may take from its arrival, also one whose caller sets a longer deadline, or none; 0 for \
           no limit. Then it fails as one whose deadline is over",
};

/// A shorter one leaves no time to wait for an edge that comes back, and is a slip of the finger.
const LEAST: Duration = Duration::from_secs(1);

/// Reads the option's value; `None` where there is no limit.
pub(crate) fn parse(text: &str) -> Result<Option<Duration>, String> {
    match duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Ok(None),
        time if time >= LEAST => Ok(Some(time)),
        _ => Err(format!("must be 0 for no limit, or at least {LEAST:?}")),
    }
}

/// The deadline of a call that arrived with one of its `own`, or without. A time beyond what the clock can hold is no limit.
pub(super) fn within(
    most: Option<Duration>,
    arrived: Instant,
    own: Option<Instant>,
) -> Option<Instant> {
    let last = most.and_then(|most| arrived.checked_add(most));
    own.into_iter().chain(last).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_would_end_every_call_is_a_mistake() {
        for text in ["999ms", "1us", "5", "-1s", "never", ""] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let said = parse("1ms").unwrap_err();
        assert_eq!(said, "must be 0 for no limit, or at least 1s");
        assert_eq!(parse("0"), Ok(None));
        assert_eq!(parse("1s"), Ok(Some(LEAST)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_of_both_holds_and_what_no_clock_can_hold_is_none() {
        let now = Instant::now();
        let [soon, late] = [1, 2].map(Duration::from_secs);
        let endless = parse(&format!("{}s", u64::MAX)).unwrap();
        assert_eq!(endless, Some(Duration::from_secs(u64::MAX)));
        for (most, own, wanted) in [
            (None, None, None),
            (None, Some(late), Some(late)),
            (Some(soon), None, Some(soon)),
            (Some(soon), Some(late), Some(soon)),
            (Some(late), Some(soon), Some(soon)),
            (endless, None, None),
            (endless, Some(late), Some(late)),
        ] {
            let at = |time: Duration| now + time;
            assert_eq!(
                within(most, now, own.map(at)),
                wanted.map(at),
                "{most:?} {own:?}"
            );
        }
    }
}
