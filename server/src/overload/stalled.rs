//! The calls that hold bytes which their other side does not take, and the reset of the one that holds most.
//!
//! A call is listed from the moment it holds much, and not before: most calls never do, and cost nothing here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures::task::AtomicWaker;

/// Bytes from which on a call is listed.
const MUCH: usize = 64 * 1024;

/// The calls that hold much.
#[derive(Debug, Default)]
pub(crate) struct Stalled(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    last: u64,
    calls: HashMap<u64, Arc<Burden>>,
}

/// What one call holds.
#[derive(Debug, Default)]
struct Burden {
    held: AtomicUsize,
    /// Bytes that it passed on so far; and at the last look.
    passed: AtomicU64,
    seen: AtomicU64,
    /// Nothing was passed on between the last two looks.
    stands: AtomicBool,
    shed: AtomicBool,
    owner: AtomicWaker,
}

impl Stalled {
    /// Looks at which calls move; to be called at intervals.
    pub(crate) fn look(&self) {
        for call in self.lock().calls.values() {
            let passed = call.passed.load(Ordering::Relaxed);
            let before = call.seen.swap(passed, Ordering::Relaxed);
            call.stands.store(passed == before, Ordering::Relaxed);
        }
    }

    /// Bytes that they hold.
    pub(crate) fn held(&self) -> u64 {
        let listed = self.lock();
        let held = listed
            .calls
            .values()
            .map(|call| call.held.load(Ordering::Relaxed) as u64);
        held.sum()
    }

    /// Ends the calls that hold most until that is so many bytes: those that do not move, and only without any such
    /// others. How many calls and bytes these are.
    pub(crate) fn shed(&self, bytes: u64) -> (usize, u64) {
        let mut calls: Vec<_> = self.lock().calls.values().cloned().collect();
        if calls.iter().any(|call| call.stands.load(Ordering::Relaxed)) {
            calls.retain(|call| call.stands.load(Ordering::Relaxed));
        }
        calls.sort_unstable_by_key(|call| std::cmp::Reverse(call.held.load(Ordering::Relaxed)));
        let (mut count, mut freed) = (0, 0);
        for call in calls {
            if freed >= bytes {
                break;
            }
            if !call.shed.swap(true, Ordering::Relaxed) {
                count += 1;
            }
            freed += call.held.load(Ordering::Relaxed) as u64;
            call.owner.wake();
        }
        (count, freed)
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        // A panic while the lock is held leaves a list that is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's part in it.
#[derive(Debug)]
pub(crate) struct Load {
    stalled: Arc<Stalled>,
    listed: Option<(u64, Arc<Burden>)>,
}

impl Load {
    pub(crate) fn new(stalled: &Arc<Stalled>) -> Self {
        Self {
            stalled: Arc::clone(stalled),
            listed: None,
        }
    }

    /// Says what the call holds and has passed on; to be called whenever that may have changed. True when the call must
    /// end; its task is woken for that.
    pub(crate) fn is(&mut self, cx: &Context<'_>, held: usize, passed: u64) -> bool {
        if self.listed.is_none() && held >= MUCH {
            self.listed = Some(self.list());
        }
        let Some((_, burden)) = &self.listed else {
            return false;
        };
        burden.held.store(held, Ordering::Relaxed);
        burden.passed.store(passed, Ordering::Relaxed);
        burden.owner.register(cx.waker());
        burden.shed.load(Ordering::Relaxed)
    }

    fn list(&self) -> (u64, Arc<Burden>) {
        let burden = Arc::<Burden>::default();
        let mut listed = self.stalled.lock();
        listed.last += 1;
        let id = listed.last;
        listed.calls.insert(id, Arc::clone(&burden));
        (id, burden)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some((id, _)) = &self.listed {
            self.stalled.lock().calls.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    struct Call(Load, u64);

    impl Call {
        fn new(stalled: &Arc<Stalled>, held: usize) -> Self {
            let mut call = Self(Load::new(stalled), 0);
            assert!(!call.is(held));
            call
        }

        fn is(&mut self, held: usize) -> bool {
            let cx = Context::from_waker(Waker::noop());
            self.0.is(&cx, held, self.1)
        }
    }

    #[test]
    fn those_that_hold_most_end_until_it_is_enough() {
        let stalled = Arc::<Stalled>::default();
        let mut calls = [3 * MUCH, MUCH, 2 * MUCH, MUCH - 1].map(|held| Call::new(&stalled, held));
        stalled.look();
        let shed = stalled.shed(4 * MUCH as u64);
        assert_eq!(shed, (2, 5 * MUCH as u64));
        let ended: Vec<_> = calls.iter_mut().map(|call| call.is(MUCH)).collect();
        assert_eq!(ended, [true, false, true, false]);
    }

    #[test]
    fn one_that_moves_is_spared_while_another_stands() {
        let stalled = Arc::<Stalled>::default();
        let mut moves = Call::new(&stalled, 9 * MUCH);
        let mut stands = Call::new(&stalled, MUCH);
        stalled.look();
        moves.1 += 1;
        assert!(!moves.is(9 * MUCH));
        stalled.look();
        stalled.shed(u64::MAX);
        assert!(stands.is(MUCH));
        assert!(!moves.is(9 * MUCH));
        drop(stands);
        stalled.look();
        stalled.shed(1);
        assert!(moves.is(9 * MUCH));
    }

    #[test]
    fn a_call_that_ended_is_not_listed() {
        let stalled = Arc::<Stalled>::default();
        drop(Call::new(&stalled, MUCH));
        assert_eq!(stalled.shed(1), (0, 0));
    }
}
