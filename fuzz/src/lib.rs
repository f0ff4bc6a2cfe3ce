//! What fuzz targets share: a clock that costs nothing, pipes that are cut into pieces, and HTTP/2 frames to choose from.
//!
//! A panic of any task ends the process, because libFuzzer's hook aborts: no target has to look for one.

#![forbid(unsafe_code)]

pub mod blocks;
pub mod frames;
pub mod pieces;

use std::future::Future;

use tokio::runtime::Builder;

/// Runs `work` on a thread and a clock of its own: the clock stands still while anything can be done, and jumps to the
/// next timer when nothing can. So a second of waiting takes no time, and every run of an input is the same.
///
/// Sockets of this machine may be used as well, because it hands bytes over within the call that writes them.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime needs a few descriptors");
    runtime.block_on(work)
}
