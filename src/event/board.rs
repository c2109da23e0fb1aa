//! What one thread of the control side tells the others about itself: the newest figures, behind a lock held for a copy.

use std::sync::{Arc, Mutex, PoisonError};

/// Figures with one writer and any number of readers. Cheap to clone; all clones are the same board. Not for the data path.
#[derive(Clone, Debug, Default)]
pub struct Board<T>(Arc<Mutex<T>>);

impl<T: Clone> Board<T> {
    /// A board with `first` on it.
    #[must_use]
    pub fn new(first: T) -> Self {
        Self(Arc::new(Mutex::new(first)))
    }

    /// Changes what is on it.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        // Figures are whole after every change, so a reader or writer that panicked left nothing torn.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is on it.
    #[must_use]
    pub fn read(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
