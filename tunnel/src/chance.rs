//! Where delays take their chance from: the spread of heartbeats and of redials. Nothing secret comes from here.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng as _};

/// The thread's generator, or one that a simulation seeds so that the same delays come again.
#[derive(Clone, Default)]
pub struct Chance(Option<Arc<Mutex<StdRng>>>);

impl Chance {
    /// One that goes the same way each time. Clones share it.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut dyn RngCore) -> T) -> T {
        match &self.0 {
            // A panic while the lock is held leaves a generator that is still one.
            Some(seeded) => draw(&mut *seeded.lock().unwrap_or_else(PoisonError::into_inner)),
            None => draw(&mut rand::rng()),
        }
    }
}

impl RngCore for Chance {
    fn next_u32(&mut self) -> u32 {
        self.draw(|rng| rng.next_u32())
    }

    fn next_u64(&mut self) -> u64 {
        self.draw(|rng| rng.next_u64())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.draw(|rng| rng.fill_bytes(bytes));
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chance")
            .field("seeded", &self.0.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seeded_goes_the_same_way_each_time() {
        let three = |mut chance: Chance| [(); 3].map(|()| chance.next_u64());
        let once = three(Chance::seeded(7));
        assert_eq!(once, three(Chance::seeded(7)));
        assert_ne!(once, three(Chance::seeded(8)));
        assert_ne!(three(Chance::default()), three(Chance::default()));
    }
}
