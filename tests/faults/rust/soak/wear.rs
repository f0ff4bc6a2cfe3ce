//! What wears connections out: each of these goes past the end of what a library counts for the life of one, twice or
//! more, and nobody is to notice.

mod ends;
mod frames;
mod resets;

use futures::future::join_all;
use grpc_multiplexer_tests::{Call, Caller, metric};
use h2::client::Builder;

use super::Stage;
use super::kinds::{Kind, On};
use crate::world::Excuse;

pub(super) fn faults() -> Vec<Kind> {
    use On::Any;
    let none = Excuse::NONE;
    vec![
        Kind::new(
            "20,500 early answers of the server to uploads",
            Any,
            none,
            |stage| Box::pin(resets::early_answers_of_the_server(stage)),
        ),
        Kind::new(
            "2,100 early answers of a backend to uploads",
            Any,
            none,
            |stage| Box::pin(resets::early_answers_of_a_backend(stage)),
        ),
        Kind::new(
            "2,500 calls are cancelled that get answers",
            Any,
            none,
            |stage| Box::pin(resets::answered_and_cancelled(stage)),
        ),
        Kind::new(
            "1,200 calls are cancelled before a backend takes them",
            Any,
            none,
            |stage| Box::pin(resets::cancelled(stage)),
        ),
        Kind::new(
            "1,000 calls are cancelled before the server takes them",
            Any,
            none,
            |stage| Box::pin(resets::abandoned(stage)),
        ),
        Kind::new("callers send 270 empty frames", Any, none, |stage| {
            Box::pin(frames::empty_uploads(stage))
        }),
        Kind::new("a backend sends 270 empty frames", Any, none, |stage| {
            Box::pin(frames::empty_answers(stage))
        }),
        Kind::new("24,000 tiny frames that nobody reads", Any, none, |stage| {
            Box::pin(frames::tiny(stage))
        }),
        Kind::new(
            "a backend ends its connection 520 times",
            Any,
            none,
            |stage| Box::pin(ends::last_calls(stage)),
        ),
        Kind::new("callers run out of stream ids", Any, none, |stage| {
            Box::pin(ends::last_ids(stage))
        }),
    ]
}

impl Stage {
    /// A caller that forgives itself what it cancels: its own library counts as well.
    async fn patient_caller(&self) -> Caller {
        let mut settings = Builder::new();
        settings.max_concurrent_reset_streams(100_000);
        Caller::with(self.world.mux.proxy, &mut settings).await
    }

    /// Calls that the server reset on lanes so far: of those that were cancelled before they were on one, no backend knows.
    async fn resets(&self) -> u64 {
        metric(self.world.mux.admin, "lane_resets_total").await as u64
    }

    /// Calls the backend that wears connections out, again and again over one connection.
    async fn call_worn(&mut self, path: &str, calls: usize) {
        let id = self.worn();
        let caller = self.patient_caller().await;
        for n in 0..calls {
            let answer = caller.call(path, &[("client-id", &id)], b"").await;
            let (code, message) = (answer.code(), answer.ending("grpc-message"));
            self.require(code == Some(0), || {
                format!(
                    "call {n} of {path} got {code:?} {message:?}, {:?}",
                    answer.error
                )
            });
        }
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.world.score.require(holds, what);
    }
}

/// So many calls of one caller.
async fn begin_all(caller: &Caller, path: &str, id: &str, body: &[u8], count: usize) -> Vec<Call> {
    let calls = (0..count).map(async |_| {
        let mut call = caller.start(path, &[("client-id", id)]).await;
        call.data(body, true).await;
        call
    });
    join_all(calls).await
}
