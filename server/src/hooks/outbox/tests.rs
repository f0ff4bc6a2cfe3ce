use std::ops::RangeInclusive;

use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};

use super::super::teller::IDS;
use super::super::{HookSettings, Hooks};
use super::*;
use crate::Settings;
use crate::settings::Live;

fn id(text: &str) -> ClientId {
    text.parse().unwrap()
}

fn open() -> Outbox {
    let outbox = Outbox::default();
    outbox.open(HookMetrics::default());
    outbox
}

fn comes(outbox: &Outbox, id: &ClientId, epoch: Generation) {
    outbox.put(id, epoch, || What::Connected {
        remote: ([127, 0, 0, 1], 1).into(),
        version: String::new(),
        context: Context::default(),
    });
}

fn goes(outbox: &Outbox, id: &ClientId, epoch: Generation) {
    outbox.disconnected(id, epoch, None);
}

/// Everything that is told of `id`: the epoch, and whether it begins.
fn tell(outbox: &Outbox, id: &ClientId) -> Vec<(Generation, bool)> {
    let mut told = Vec::new();
    while let Some(event) = outbox.first(id) {
        told.push((event.epoch, matches!(event.what, What::Connected { .. })));
        outbox.told(id);
    }
    told
}

fn in_turn(told: &[(Generation, bool)]) -> bool {
    told.windows(2).all(|two| two[0].1 != two[1].1)
}

#[tokio::test]
async fn what_is_told_of_an_id_is_in_order_and_one_tells_of_it_at_a_time() {
    let outbox = open();
    let (a, b) = (id("a"), id("b"));
    comes(&outbox, &a, 1);
    comes(&outbox, &b, 2);
    goes(&outbox, &a, 1);
    assert_eq!(
        (outbox.next().await, outbox.next().await),
        (a.clone(), b.clone())
    );
    assert_eq!(outbox.first(&a).unwrap().epoch, 1);
    comes(&outbox, &a, 3);
    // Until it is said to be told, it is told again.
    assert_eq!(tell(&outbox, &a), [(1, true), (1, false), (3, true)]);
    // Who tells of it next is another.
    goes(&outbox, &a, 3);
    assert_eq!(outbox.next().await, a);
    assert_eq!(tell(&outbox, &a), [(3, false)]);
    assert_eq!(tell(&outbox, &b), [(2, true)]);
    outbox.emptied().await;
}

#[test]
fn nothing_is_kept_where_nobody_is_told() {
    let outbox = Outbox::default();
    comes(&outbox, &id("a"), 1);
    assert!(outbox.first(&id("a")).is_none() && outbox.lock().ids.is_empty());
}

/// However far behind the hook is, what it hears is in turn, and the end of it is true.
#[test]
fn epochs_are_dropped_whole_and_the_oldest_first() {
    let outbox = open();
    let (under_way, gone, back) = (id("under-way"), id("gone"), id("back"));
    let most = EPOCHS as Generation;
    comes(&outbox, &under_way, 1);
    assert!(outbox.first(&under_way).is_some());
    goes(&outbox, &under_way, 1);
    comes(&outbox, &gone, 2);
    goes(&outbox, &gone, 2);
    for epoch in 3..=most + 2 {
        comes(&outbox, &back, epoch);
        goes(&outbox, &back, epoch);
    }
    comes(&outbox, &back, most + 3);
    assert_eq!(outbox.lock().whole.len(), EPOCHS);
    // The only one that was too many, and the hook may have heard of the one before.
    assert_eq!(tell(&outbox, &gone), []);
    assert_eq!(tell(&outbox, &under_way), [(1, true), (1, false)]);
    for epoch in most + 4..=most + 13 {
        goes(&outbox, &back, epoch - 1);
        comes(&outbox, &back, epoch);
    }
    let told = tell(&outbox, &back);
    assert_eq!(told[0], (13, true));
    assert_eq!(told.last(), Some(&(most + 13, true)));
    assert!(in_turn(&told));
    let state = outbox.lock();
    assert!(state.ids.is_empty() && state.whole.is_empty());
    let metrics = state.metrics.as_ref().unwrap();
    assert_eq!((metrics.waiting.get(), metrics.dropped.get()), (0, 11));
}

/// However many ids come and go while the hook is away: those that it is told of, and so many more.
#[tokio::test(start_paused = true)]
async fn what_waits_of_many_ids_is_bounded() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let settings = Settings {
        hooks: Some(HookSettings::telling(url.parse().unwrap())),
        ..Settings::default()
    };
    let settings = Live::Fixed(Box::new(settings));
    let hooks = Hooks::new(settings, String::new(), HookMetrics::default());
    let outbox = Arc::new(open());
    let mut telling = JoinSet::new();
    telling.spawn(Arc::new(hooks).tell(Arc::clone(&outbox), None));
    let come_and_go = async |epochs: RangeInclusive<usize>| {
        for epoch in epochs {
            let (id, epoch) = (id(&format!("edge-{epoch}")), epoch as Generation);
            comes(&outbox, &id, epoch);
            goes(&outbox, &id, epoch);
            yield_now().await;
        }
    };
    come_and_go(1..=IDS).await;
    while !outbox.lock().whole.is_empty() {
        yield_now().await;
    }
    come_and_go(IDS + 1..=IDS + 2 * EPOCHS).await;
    let state = outbox.lock();
    assert_eq!((state.ids.len(), state.new.len()), (IDS + EPOCHS, EPOCHS));
    let metrics = state.metrics.as_ref().unwrap();
    let (waiting, dropped) = (metrics.waiting.get(), metrics.dropped.get());
    assert_eq!(
        (waiting, dropped),
        (2 * (IDS + EPOCHS) as i64, EPOCHS as u64)
    );
}
