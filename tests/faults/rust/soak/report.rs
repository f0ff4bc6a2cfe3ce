//! What a soak came to.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use grpc_multiplexer_tests::page;
use serde_json::{Value, json};

use super::growth::Growth;
use super::resources::Sample;
use super::{MINUTE, Soak};

/// The shortest soak of which it is asked that every counter is gone past twice, and that memory does not grow.
const WHOLE: u64 = 30;
/// What counts connections that were ended, and those that the soak itself wanted to be: of callers that flood, and of a
/// backend that takes no more calls.
const ENDED: [(&str, &str); 2] = [
    ("grpc_multiplexer_floods_total", "kind=\"control-frames\""),
    (
        "grpc_multiplexer_backend_go_aways_total",
        "code=\"no-error\"",
    ),
];
const KIB_PER_MIB: f64 = 1_024.0;

#[expect(clippy::print_stdout, reason = "the result")]
impl Soak {
    /// One line.
    pub(super) fn status(&self) -> String {
        let score = &self.stage.world.score;
        format!(
            "{} faults, {} calls, {} failed: lost {}, wrong-status {}, collateral {}, truncated {}; server {}, edges {}",
            self.faults.len(),
            score.calls,
            self.failed,
            score.lost,
            score.wrong,
            score.collateral,
            score.truncated,
            shown(self.server.last()),
            shown(self.edges.last()),
        )
    }

    /// Ends the load, and looks at all that is left.
    pub(super) async fn end(mut self, file: Option<&Path>) -> anyhow::Result<ExitCode> {
        let growth = self.growth();
        let made = self.stage.world.finish().await;
        self.weigh(&made);
        self.metrics().await;
        let mut score = std::mem::take(&mut self.stage.world.score);
        self.stage.world.close(&mut score).await?;
        if self.minutes >= WHOLE {
            let grown = growth.iter().filter(|growth| growth.is_too_fast());
            let grown = grown.map(|growth| format!("grows: {}", growth.says()));
            let missing = self.stage.counters.missing();
            let missing = missing.map(|what| format!("not gone past twice: {what}"));
            score.problems.extend(grown.chain(missing));
        }
        self.stage.world.score = score;
        self.say_problems("the end");
        self.say_result(&growth);
        if let Some(file) = file {
            let json = serde_json::to_string_pretty(&self.json(&growth))?;
            let written = fs::write(file, json);
            written.with_context(|| format!("{} cannot be written", file.display()))?;
        }
        let survived = self.stage.world.score.survived();
        Ok(ExitCode::from(u8::from(!survived)))
    }

    /// The last server ended no connection but where the soak wanted it.
    async fn metrics(&mut self) {
        let (_, metrics) = page(self.stage.world.mux.admin, "/metrics").await;
        let ended = |line: &&str| ENDED.iter().any(|(series, _)| line.starts_with(series));
        let wanted = |line: &&str| ENDED.iter().any(|(_, wanted)| line.contains(wanted));
        let unwanted = metrics.lines().filter(ended).filter(|line| !wanted(line));
        let problems = &mut self.stage.world.score.problems;
        problems.extend(unwanted.map(str::to_owned));
    }

    fn say_result(&self, growth: &[Growth]) {
        let score = &self.stage.world.score;
        println!("{}", self.stage.counters);
        for growth in growth {
            println!("{}", growth.says());
        }
        println!(
            "soak {} (seed {}): {}, double-executed {}, leaks {}, recover p100 {:.1} s",
            if score.survived() {
                "survived"
            } else {
                "NOT survived"
            },
            self.seed,
            self.status(),
            score.doubled,
            score.leaks,
            score.recover.unwrap_or_default().as_secs_f64()
        );
    }

    fn growth(&self) -> Vec<Growth> {
        let seconds = (MINUTE * self.minutes as u32).as_secs_f64();
        let server = Growth::of("server", &self.server.samples(), seconds);
        let edges = Growth::of("edges in one process", &self.edges.samples(), seconds);
        [server, edges].into_iter().flatten().collect()
    }

    fn json(&self, growth: &[Growth]) -> Value {
        let samples = |samples: Vec<Sample>| samples.iter().map(Sample::json).collect::<Vec<_>>();
        json!({
            "seed": self.seed,
            "minutes": self.minutes,
            "survived": self.stage.world.score.survived(),
            "score": self.stage.world.score.json(),
            "failed": self.failed,
            "faults": self.log,
            "wear": self.stage.counters.json(),
            "memory": growth.iter().map(Growth::json).collect::<Vec<_>>(),
            "samples": {
                "columns": ["second", "resident_kib", "descriptors"],
                "server": samples(self.server.samples()),
                "edges": samples(self.edges.samples()),
            },
        })
    }
}

fn shown(sample: Option<Sample>) -> String {
    sample.map_or_else(String::new, |sample| {
        let mebibytes = sample.kibibytes as f64 / KIB_PER_MIB;
        format!("{mebibytes:.1} MiB {} fds", sample.descriptors)
    })
}
