//! Who waits, for how long, and who goes on, on a paused clock.

mod history;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn id(name: &str) -> ClientId {
    name.parse().unwrap()
}

/// Those of a server that is no longer warming up.
fn settings() -> WaitSettings {
    WaitSettings {
        warm_up: Duration::ZERO,
        ..WaitSettings::default()
    }
}

/// An edge `a` that was there and left.
fn left() -> (Waiting, ClientId) {
    let (waiting, a) = (Waiting::default(), id("a"));
    waiting.arrived(&a);
    waiting.left(&a, &Labels::default());
    (waiting, a)
}

fn never() -> Option<()> {
    None
}

#[tokio::test(start_paused = true)]
async fn who_was_never_here_is_not_waited_for() {
    let (waiting, settings) = (Waiting::default(), settings());
    let absence = waiting
        .wait(&id("a"), &settings, Sight::Clear, never)
        .now_or_never();
    assert_eq!(absence, Some(Err(Absence::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn who_left_is_waited_for_as_long_as_the_settings_say() {
    let (waiting, a) = left();
    let started = Instant::now();
    let absence = waiting.wait(&a, &settings(), Sight::Clear, never).await;
    assert_eq!(absence, Err(Absence::Away));
    assert_eq!(started.elapsed(), SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_here_and_takes_no_calls_is_waited_for() {
    let (waiting, a, settings) = (Waiting::default(), id("a"), settings());
    waiting.arrived(&a);
    let takes = AtomicBool::new(false);
    let look = || takes.load(Ordering::Relaxed).then_some(());
    let mut wait = Box::pin(waiting.wait(&a, &settings, Sight::Clear, look));
    assert!(wait.as_mut().now_or_never().is_none());
    takes.store(true, Ordering::Relaxed);
    assert!(wait.as_mut().now_or_never().is_none());
    waiting.changed(&a);
    assert_eq!(wait.now_or_never(), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_or_a_memory_the_answer_comes_at_once() {
    for (reconnect_wait, remember_edges, absence) in [
        (Duration::ZERO, SECOND, Absence::Away),
        (SECOND, Duration::ZERO, Absence::Unknown),
    ] {
        let (waiting, a) = left();
        let settings = WaitSettings {
            reconnect_wait,
            remember_edges,
            ..settings()
        };
        let found = waiting
            .wait(&a, &settings, Sight::Clear, never)
            .now_or_never();
        assert_eq!(found, Some(Err(absence)));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_start_everybody_is_waited_for() {
    let (waiting, a, settings) = (Waiting::default(), id("a"), WaitSettings::default());
    advance(SECOND * 29).await;
    let mut wait = Box::pin(waiting.wait(&a, &settings, Sight::Clear, never));
    assert!(wait.as_mut().now_or_never().is_none());
    // Who came in time may wait on.
    advance(SECOND * 2).await;
    assert!(wait.as_mut().now_or_never().is_none());
    let late = waiting
        .wait(&a, &settings, Sight::Clear, never)
        .now_or_never();
    assert_eq!(late, Some(Err(Absence::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_bounded_and_a_place_is_given_back() {
    let settings = WaitSettings {
        max_waiting_calls: 3,
        max_waiting_calls_per_edge: 2,
        ..WaitSettings::default()
    };
    let (waiting, a, b) = (Waiting::default(), id("a"), id("b"));
    let start = |id| {
        let mut wait = Box::pin(waiting.wait(id, &settings, Sight::Clear, never));
        match wait.as_mut().now_or_never() {
            None => Ok(wait),
            Some(absence) => Err(absence),
        }
    };
    let first = start(&a).ok();
    let _second = start(&a).ok().unwrap();
    assert_eq!(start(&a).err(), Some(Err(Absence::TooManyForIt)));
    let third = start(&b).ok();
    assert_eq!(start(&b).err(), Some(Err(Absence::TooMany)));
    drop(first);
    assert!(start(&a).is_ok());
    drop(third);
    assert_eq!(waiting.lock().calls, 1);
    assert_eq!(
        waiting.lock().queues.len(),
        1,
        "none is left without a call"
    );
}

/// Neither learns from the answer how many of the others wait.
#[tokio::test(start_paused = true)]
async fn who_may_know_of_an_edge_and_who_may_not_have_places_of_their_own() {
    let settings = WaitSettings {
        max_waiting_calls_per_edge: 1,
        ..WaitSettings::default()
    };
    let (waiting, a) = (Waiting::default(), id("a"));
    let here = AtomicBool::new(false);
    let look = || here.load(Ordering::Relaxed).then_some(());
    let mut waits = Vec::new();
    for sight in [Sight::None, Sight::Clear] {
        let mut wait = Box::pin(waiting.wait(&a, &settings, sight, look));
        assert_eq!(wait.as_mut().now_or_never(), None, "{sight:?}");
        let more = waiting.wait(&a, &settings, sight, look).now_or_never();
        assert_eq!(more, Some(Err(Absence::TooManyForIt)), "{sight:?}");
        waits.push(wait);
    }
    here.store(true, Ordering::Relaxed);
    waiting.arrived(&a);
    for wait in waits {
        assert_eq!(wait.now_or_never(), Some(Ok(())));
    }
    assert!(waiting.lock().queues.is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_go_on_in_their_order() {
    let (waiting, a) = left();
    let waiting = Arc::new(waiting);
    let here = Arc::new(AtomicBool::new(false));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (waiting, a) = (Arc::clone(&waiting), a.clone());
        let (here, order) = (Arc::clone(&here), Arc::clone(&order));
        calls.spawn(async move {
            let look = || here.load(Ordering::Relaxed).then_some(());
            waiting
                .wait(&a, &settings(), Sight::Clear, look)
                .await
                .unwrap();
            order.lock().unwrap().push(n);
        });
        tokio::task::yield_now().await;
    }
    here.store(true, Ordering::Relaxed);
    waiting.arrived(&a);
    while calls.join_next().await.is_some() {}
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}
