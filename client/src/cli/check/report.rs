//! The steps of a check: done one after the other, each within a limit, and told as they end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::cli::output::{End, Output};
use crate::cli::status::Trouble;

/// How long a step may take: more than all the timeouts on a call's way, which name what they waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// A step without a trouble.
#[derive(Debug)]
pub(super) enum Found {
    /// As it should be.
    Ok {
        text: String,
        /// Figures for scripts.
        values: Value,
    },
    /// Not looked at, and why.
    Skipped(String),
}

impl Found {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self::Ok {
            text: text.into(),
            values: Value::Null,
        }
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }
}

/// How a step went, for what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Skipped,
    Failed,
}

/// What was done so far.
#[derive(Debug)]
pub(super) struct Report<'a> {
    output: &'a Output,
    failed: usize,
    /// Whether some step was a call that this caller may not make.
    not_allowed: bool,
    /// The step whose failure makes the later ones pointless.
    broken: Option<&'static str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self {
            output,
            failed: 0,
            not_allowed: false,
            broken: None,
        }
    }

    /// A step that all later ones need.
    pub(super) async fn needed(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Result<Found, Trouble>>,
    ) -> Result<(), End> {
        if self.step(name, step).await? == Verdict::Failed {
            self.broken = Some(name);
        }
        Ok(())
    }

    /// Any other step.
    pub(super) async fn step(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Result<Found, Trouble>>,
    ) -> Result<Verdict, End> {
        let started = Instant::now();
        let ended = match self.broken {
            Some(broken) => Ok(Found::Skipped(format!("'{broken}' failed"))),
            None => timeout(LIMIT, step).await.unwrap_or_else(|_| Err(late())),
        };
        // It says nothing of the calls that this caller is there for.
        let ended = match ended {
            Err(trouble) if trouble.is_not_allowed => {
                self.not_allowed = true;
                Ok(Found::Skipped(trouble.to_string()))
            }
            ended => ended,
        };
        self.tell(name, &ended, started.elapsed())?;
        Ok(match ended {
            Ok(Found::Ok { .. }) => Verdict::Ok,
            Ok(Found::Skipped(_)) => Verdict::Skipped,
            Err(_) => Verdict::Failed,
        })
    }

    fn tell(
        &mut self,
        name: &str,
        ended: &Result<Found, Trouble>,
        took: Duration,
    ) -> Result<(), End> {
        let none = &Value::Null;
        let (result, text, advice, values) = match ended {
            Ok(Found::Ok { text, values }) => ("ok", text, None, values),
            Ok(Found::Skipped(why)) => ("skipped", why, None, none),
            Err(trouble) => ("fail", &trouble.what, Some(&trouble.advice), none),
        };
        self.failed += usize::from(ended.is_err());
        let shown = if ended.is_err() { "FAIL" } else { result };
        self.output
            .tell(&format!("{shown:<7}  {name:<16}  {text}"))?;
        if let Some(advice) = advice {
            self.output.tell(&format!("{:27}{advice}", ""))?;
        }
        self.output.object(|| {
            json!({
                "step": name,
                "result": result,
                "text": text,
                "advice": advice,
                "seconds": took.as_secs_f64(),
                "values": values,
            })
        })
    }

    /// Whether nothing is wrong.
    pub(super) fn end(self) -> Result<bool, End> {
        self.output.tell(&match self.failed {
            0 if self.not_allowed => "\nnothing is wrong, as far as calls may be made".to_owned(),
            0 => "\nnothing is wrong".to_owned(),
            1 => "\none thing is wrong".to_owned(),
            failed => format!("\n{failed} things are wrong"),
        })?;
        Ok(self.failed == 0)
    }
}

fn late() -> Trouble {
    Trouble::new(
        format!("no answer within {LIMIT:?}"),
        "the call is open somewhere: the logs of server, edge and backend tell where it came",
    )
}
