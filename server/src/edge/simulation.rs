//! The server's end of tunnels and whole edges, in simulated time, over a network that fails in every way it can.
//!
//! Each seed is one history: edges that share a name, links that are slow, stand still in one direction or both and
//! break, processes that end in the middle and are started again, calls all the while. What must always hold is looked
//! at after every step, and in the end everything is mended, everybody must be back, and nothing may be left over. The
//! same seed is the same history: nothing here takes its chance, its time or its bytes from anywhere else.
//!
//! It is not done with turmoil, which stands in for tokio's sockets: those are left out of this altogether, because a
//! tunnel runs over any byte pipe. That way the product needs no second set of network types, and a future can be
//! dropped at any of its polls.
//!
//! `SIMULATION_SEEDS` says which: `17`, or `0..1000`. A seed that fails is named, with the command that runs it again.

mod call;
mod crash;
mod doomed;
mod machine;
mod network;
mod server;
mod trace;
mod watcher;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::moment::paused;
use world::World;

const VARIABLE: &str = "SIMULATION_SEEDS";
/// What there is time for where the environment says nothing.
const FEW: Range<u64> = 0..40;
/// Of those, how many are run twice.
const SOME: usize = 10;
/// Lines of a history that are shown of one that failed among others.
const SHOWN: usize = 40;

/// Runs one history. What happened, and whether all was well.
fn history(seed: u64) -> (String, bool) {
    let runtime = paused();
    let mut world = None;
    let well = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            // Some of it wants a runtime around it.
            let world = world.insert(World::new(seed));
            world.run().await;
        });
    }));
    let trace = world.as_ref().map(|world| world.trace().into_text());
    let _inside = runtime.enter();
    drop(world);
    (trace.unwrap_or_default(), well.is_ok())
}

fn seeds() -> Range<u64> {
    let Some(text) = std::env::var_os(VARIABLE) else {
        return FEW;
    };
    let text = text.to_string_lossy();
    let number = |text: &str| -> u64 {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{VARIABLE} must be like 17 or 0..1000, not {text:?}"))
    };
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&text)..number(&text) + 1,
    }
}

#[test]
fn every_history_ends_well() {
    let seeds = seeds();
    println!("seeds {seeds:?}");
    let mut failed = Vec::new();
    for seed in seeds.clone() {
        let (trace, well) = history(seed);
        if !well {
            let lines: Vec<_> = trace.lines().collect();
            let skipped = if seeds.end - seeds.start > 1 {
                SHOWN
            } else {
                lines.len()
            };
            let last = &lines[lines.len().saturating_sub(skipped)..];
            println!("seed {seed} failed:\n{}", last.join("\n"));
            failed.push(seed);
        }
    }
    assert!(
        failed.is_empty(),
        "seeds {failed:?}; one again: {VARIABLE}={} cargo test --workspace --lib every_history_ends_well",
        failed[0]
    );
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in seeds().take(SOME) {
        let (trace, _) = history(seed);
        assert!(trace.contains("mended"), "{trace}");
        assert_eq!(trace, history(seed).0);
    }
    assert_ne!(history(1).0, history(2).0);
}
