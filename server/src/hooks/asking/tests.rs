use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::ArrivingEdge;
use tokio::time::{sleep, timeout};

use super::*;
use crate::hooks::NotAuthorized;

/// Long before a question is over.
const SOON: Duration = Duration::from_millis(1);

/// One at which nobody is, and a hook that lets in whom it says nothing of.
fn asker() -> (Arc<Asker>, HookSettings) {
    let asker = Asker::new(String::new(), HookMetrics::default());
    let terms = HookSettings::telling("http://127.0.0.1:1".parse().unwrap());
    let terms = HookSettings {
        on_failure: OnFailure::Allow,
        ..terms
    };
    (Arc::new(asker), terms)
}

fn put(questions: &Questions, asker: &Arc<Asker>, terms: &HookSettings) -> Waiting {
    let who = Who::Edge(ArrivingEdge::default());
    questions.put(asker, terms.clone(), who, |_| ()).1
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_past_a_hook_because_others_ask_it_much() {
    let (asker, terms) = asker();
    let questions = Questions::default();
    let away = put(&questions, &asker, &terms).answer().await;
    assert!(away.unwrap().verdict.is_ok());
    let all = asker.edges.places.acquire_many(256).await.unwrap();
    let busy = put(&questions, &asker, &terms).answer().await;
    assert_eq!(busy.unwrap().verdict.unwrap_err(), NotAuthorized::Failed);
    drop(all);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_left_before_its_turn_is_not_put() {
    let (asker, terms) = asker();
    let questions = Questions::default();
    let _all = asker.edges.places.acquire_many(256).await.unwrap();
    let who = Who::Edge(ArrivingEdge::default());
    let (asking, waiting) = questions.put(&asker, terms, who, |_| unreachable!());
    let another = asking.join().unwrap();
    drop(waiting);
    let answer = another.answer();
    assert!(timeout(SOON, answer).await.is_err());
    sleep(SOON).await;
    assert!(asking.join().is_none());
}
