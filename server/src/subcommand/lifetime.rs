//! From when until when a certificate is good.

use std::time::{Duration, SystemTime};

use clap::{Arg, ArgMatches, value_parser};
use rcgen::{CertificateParams, date_time_ymd};

const DAYS: &str = "days";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// It counts from so long ago, for whoever's clock is late.
const LATE: Duration = Duration::from_secs(60 * 60);
/// A hundred years.
const LONGEST: i64 = 36_500;

/// The option, with what holds without it.
pub(super) fn days(default: &'static str) -> Arg {
    Arg::new(DAYS)
        .long(DAYS)
        .value_name("NUMBER")
        .default_value(default)
        .value_parser(value_parser!(u32).range(1..=LONGEST))
        .help("For so many days it is good")
}

/// Makes a certificate good from now on for the days that are given, and no longer than until `latest`. Says until when.
pub(super) fn live(
    params: &mut CertificateParams,
    given: &ArgMatches,
    latest: Option<SystemTime>,
) -> SystemTime {
    let days = given.get_one::<u32>(DAYS).expect("it has a default");
    let now = SystemTime::now();
    let end = now + DAY * *days;
    let end = latest.map_or(end, |latest| end.min(latest));
    let since_1970 = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        date_time_ymd(1970, 1, 1) + since.unwrap_or_default()
    };
    params.not_before = since_1970(now - LATE);
    params.not_after = since_1970(end);
    end
}
