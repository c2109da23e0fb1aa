//! The newest of something immutable, seen by many threads and replaced whole.
//!
//! A reader's look costs one atomic load when nothing changed; a writer never waits for readers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

/// The place where the newest value is put.
#[derive(Debug)]
pub struct Publisher<T>(Arc<ArcSwap<T>>);

impl<T> Publisher<T> {
    /// Publishes `first`.
    #[must_use]
    pub fn new(first: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// Replaces what is published. Readers see it at their next look; the old value, which is returned, lives until the last who hold
    /// it let go.
    pub fn replace(&self, next: T) -> Arc<T> {
        self.0.swap(Arc::new(next))
    }

    /// What is published now.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// A reader's own hold on it.
    #[must_use]
    pub fn reader(&self) -> Latest<T> {
        Latest(Cache::new(Arc::clone(&self.0)))
    }
}

/// One thread's hold on the newest value.
#[derive(Debug)]
pub struct Latest<T>(Cache<Arc<ArcSwap<T>>, Arc<T>>);

impl<T> Latest<T> {
    /// The newest value. Whoever looks twice may see two versions.
    pub fn get(&mut self) -> &T {
        self.0.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_published_last() {
        let publisher = Publisher::new(1);
        let mut reader = publisher.reader();
        assert_eq!(*reader.get(), 1);
        assert_eq!(*publisher.replace(2), 1);
        assert_eq!(*reader.get(), 2);
        assert_eq!(*publisher.current(), 2);
    }

    #[test]
    fn the_old_value_is_let_go_when_the_last_reader_moved_on() {
        let publisher = Publisher::new(vec![1]);
        let old = Arc::downgrade(&publisher.current());
        let mut reader = publisher.reader();
        drop(publisher.replace(vec![2]));
        assert!(old.upgrade().is_some(), "the reader still holds it");
        reader.get();
        assert!(old.upgrade().is_none());
    }
}
