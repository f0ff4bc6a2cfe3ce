//! How the memory of a process goes over time.

use serde_json::{Value, json};

use super::resources::Sample;

/// That part of a process may surely come in the last quarter, in which every fault has happened before and what it
/// needs for the first time is there. What calls hold for a moment, and what the allocator keeps of it, makes a smaller
/// bound one of chance in minutes: a leak of a hundred bytes in each call is seen.
const MOST: f64 = 0.1;
const SECONDS_PER_HOUR: f64 = 3_600.0;
const KIB_PER_MIB: f64 = 1_024.0;

/// Of one process.
pub(super) struct Growth {
    who: &'static str,
    mebibytes: f64,
    /// Of the second half.
    slope: Slope,
    /// What surely came in the last quarter, as a part of the process.
    late: f64,
}

impl Growth {
    /// From what was seen in so many seconds.
    pub(super) fn of(who: &'static str, samples: &[Sample], seconds: f64) -> Option<Self> {
        let since = |from: f64| -> Vec<_> {
            let late = samples.iter().filter(|sample| sample.at >= from);
            late.map(|sample| (sample.at, sample.kibibytes as f64 / KIB_PER_MIB))
                .collect()
        };
        let mebibytes = since(0.0).last()?.1;
        let quarter = seconds / 4.0;
        let late = slope(&since(3.0 * quarter))?;
        Some(Self {
            who,
            mebibytes,
            slope: slope(&since(2.0 * quarter))?,
            late: (late.per_second - 2.0 * late.error) * quarter / mebibytes,
        })
    }

    pub(super) fn is_too_fast(&self) -> bool {
        self.late > MOST
    }

    pub(super) fn says(&self) -> String {
        format!(
            "memory of the {}: {:.1} MiB at last, {:+.1} MiB/h in the second half (standard error {:.1}), surely {:+.1} % \
             in the last quarter",
            self.who,
            self.mebibytes,
            SECONDS_PER_HOUR * self.slope.per_second,
            SECONDS_PER_HOUR * self.slope.error,
            100.0 * self.late.max(0.0),
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "process": self.who,
            "mib": self.mebibytes,
            "mib_per_hour": SECONDS_PER_HOUR * self.slope.per_second,
            "standard_error": SECONDS_PER_HOUR * self.slope.error,
            "last_quarter": self.late,
        })
    }
}

/// How fast something grows, and how uncertain that is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slope {
    per_second: f64,
    /// The standard error of it.
    error: f64,
}

/// The line through points with the least squares.
fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    let n = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let spread = points
        .iter()
        .map(|(x, _)| (x - mean_x).powi(2))
        .sum::<f64>();
    let both = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
    let per_second = both.sum::<f64>() / spread;
    let off = |(x, y): &(f64, f64)| (y - mean_y - per_second * (x - mean_x)).powi(2);
    let off = points.iter().map(off).sum::<f64>();
    Some(Slope {
        per_second,
        error: (off / (n - 2.0) / spread).sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_an_error() {
        let line: Vec<_> = (0..10)
            .map(|n| (f64::from(n), 3.0 + 2.0 * f64::from(n)))
            .collect();
        let found = slope(&line).unwrap();
        assert!(
            (found.per_second - 2.0).abs() < 1e-9 && found.error < 1e-9,
            "{found:?}"
        );
        let noisy: Vec<_> = line
            .iter()
            .map(|(x, y)| (*x, y + 5.0 * (x % 2.0)))
            .collect();
        let found = slope(&noisy).unwrap();
        assert!(
            (found.per_second - 2.0).abs() < 2.0 * found.error,
            "{found:?}"
        );
        assert_eq!(slope(&line[..2]), None);
    }
}
