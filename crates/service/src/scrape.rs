//! What is brought up to date when somebody asks for the metrics, and at no other time: counting on the way of a
//! message is then an addition to memory of one's own.

use std::fmt;
use std::sync::{Arc, Mutex};

/// Everything that is folded at a scrape. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Scrape(Arc<Mutex<Vec<Fold>>>);

type Fold = Box<dyn FnMut() + Send>;

impl Scrape {
    /// With nothing to fold.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `fold` at each scrape, never twice at the same time. It may not wait.
    pub fn add(&self, fold: impl FnMut() + Send + 'static) {
        self.0.lock().expect("no holder of this lock panics").push(Box::new(fold));
    }

    /// Folds everything.
    pub fn run(&self) {
        for fold in self.0.lock().expect("no holder of this lock panics").iter_mut() {
            fold();
        }
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}
