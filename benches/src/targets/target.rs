//! A number, and its judgement.

use std::cmp::Ordering;

use crate::table::number;

/// One number, and what it must and is to be.
#[derive(Debug)]
pub(super) struct Target {
    what: String,
    bound: Bound,
    must: Option<f64>,
    aim: Option<f64>,
    pub(super) measured: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast,
    AtMost,
}

impl Bound {
    fn holds(self, value: f64, limit: f64) -> bool {
        let good = match self {
            Self::AtLeast => Ordering::Less,
            Self::AtMost => Ordering::Greater,
        };
        value.total_cmp(&limit) != good
    }

    fn shown(self, limit: Option<f64>) -> String {
        let sign = match self {
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
        };
        limit.map_or_else(|| "-".to_owned(), |limit| format!("{sign} {limit}"))
    }
}

impl Target {
    pub(super) fn at_least(
        what: impl Into<String>,
        must: f64,
        aim: f64,
        measured: Option<f64>,
    ) -> Self {
        Self {
            what: what.into(),
            bound: Bound::AtLeast,
            must: Some(must),
            aim: Some(aim),
            measured,
        }
    }

    pub(super) fn at_most(
        what: impl Into<String>,
        must: f64,
        aim: f64,
        measured: Option<f64>,
    ) -> Self {
        Self {
            bound: Bound::AtMost,
            ..Self::at_least(what, must, aim, measured)
        }
    }

    /// One that need not be, but is to be.
    pub(super) fn aims(self) -> Self {
        Self { must: None, ..self }
    }

    /// One that is missed already where less would be enough.
    pub(super) fn must_only(self) -> Self {
        Self { aim: None, ..self }
    }

    pub(super) fn is_missed(&self) -> bool {
        let holds = |limit| {
            self.measured
                .is_none_or(|value| self.bound.holds(value, limit))
        };
        !self.must.is_none_or(holds)
    }

    fn verdict(&self) -> &'static str {
        let reaches = |limit| {
            self.measured
                .is_some_and(|value| self.bound.holds(value, limit))
        };
        match self.measured {
            None => "not measured",
            Some(_) if self.is_missed() => "MISSED",
            Some(_) if self.aim.is_none_or(reaches) => "ok",
            Some(_) if self.must.is_none() => "below the aim",
            Some(_) => "ok, below the aim",
        }
    }

    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.what.clone(),
            self.bound.shown(self.must),
            self.bound.shown(self.aim),
            self.measured.map_or_else(|| "-".to_owned(), number),
            self.verdict().to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(values: &[f64], of: fn(Option<f64>) -> Target) -> Vec<&'static str> {
        let verdict = |value: &f64| of(Some(*value)).verdict();
        values.iter().map(verdict).collect()
    }

    #[test]
    fn a_bound_is_within() {
        let least = |value| Target::at_least("x", 0.5, 0.7, value);
        assert_eq!(
            verdicts(&[0.7, 0.5, 0.4], least),
            ["ok", "ok, below the aim", "MISSED"]
        );
        let most = |value| Target::at_most("x", 2.0, 1.3, value);
        assert_eq!(
            verdicts(&[1.3, 2.0, 2.1], most),
            ["ok", "ok, below the aim", "MISSED"]
        );
    }

    #[test]
    fn an_aim_alone_is_never_missed() {
        let aim = |value| Target::at_least("x", 1.0, 1.0, value).aims();
        assert_eq!(verdicts(&[1.0, 0.9], aim), ["ok", "below the aim"]);
        assert!(!aim(Some(0.1)).is_missed());
    }
}
