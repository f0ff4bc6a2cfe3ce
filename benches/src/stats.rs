//! Of numbers.

use std::time::Duration;

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

/// The median of what `one` is to `other` in each round. Both ends of a ratio come from the same minute of the same machine.
pub(crate) fn ratio(one: &[f64], other: &[f64]) -> Option<f64> {
    let pairs = one.iter().zip(other);
    let ratios: Vec<f64> = pairs.map(|(one, other)| one / other).collect();
    median(&ratios)
}

/// The smallest time that so great a part of all does not exceed.
pub(crate) fn percentile(sorted: &[Duration], part: f64) -> Option<Duration> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        assert_eq!(ratio(&[1.0, 20.0, 3.0], &[2.0, 20.0, 1.0]), Some(1.0));
        assert_eq!(ratio(&[1.0], &[]), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        let at = |part| percentile(&times, part).map(|time| time.as_micros());
        assert_eq!(
            [at(0.5), at(0.99), at(1.0)],
            [Some(100), Some(198), Some(200)]
        );
        assert_eq!(percentile(&[], 0.5), None);
    }
}
