//! Stand-ins for the rings of `ringbuf` and `rtrb` over loom's atomics: one producer, one consumer, the index that each
//! side moves published with Release and looked at with Acquire, as both crates have it.

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::num::NonZeroUsize;

pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::Arc;

#[derive(Debug)]
struct Slots<T> {
    slots: Vec<UnsafeCell<Option<T>>>,
    /// Ever read, ever written.
    read: AtomicUsize,
    written: AtomicUsize,
}

// SAFETY: a slot is touched by the producer while it is vacant and by the consumer while it is occupied; that the
// indices keep it so is what loom checks.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    fn new(capacity: usize) -> Arc<Self> {
        let slots = (0..capacity).map(|_| UnsafeCell::new(None)).collect();
        Arc::new(Self { slots, read: AtomicUsize::new(0), written: AtomicUsize::new(0) })
    }

    fn put(&self, at: usize, value: T) {
        // SAFETY: the producer has seen that this slot is vacant, and has not published it.
        self.slots[at % self.slots.len()].with_mut(|slot| unsafe { *slot = Some(value) });
    }

    fn look(&self, at: usize) -> T
    where
        T: Copy,
    {
        // SAFETY: the consumer has seen that this slot is occupied, and has not given it back.
        self.slots[at % self.slots.len()].with(|slot| unsafe { *slot }).expect("occupied")
    }
}

/// The producer's end of both.
#[derive(Debug)]
pub(crate) struct In<T>(Arc<Slots<T>>);
/// The consumer's end of both; what was looked at last.
#[derive(Debug)]
pub(crate) struct Out<T>(Arc<Slots<T>>, Vec<T>);

pub(crate) type SamplesIn = In<f32>;
pub(crate) type SamplesOut = Out<f32>;
pub(crate) type EventsIn<T> = In<T>;
pub(crate) type EventsOut<T> = Out<T>;

/// Both ends of an empty ring of `samples` samples.
pub(crate) fn ring(samples: usize) -> (SamplesIn, SamplesOut) {
    events(samples)
}

/// Both ends of an empty queue of `capacity` events; loom would try in vain to fill a long one.
pub(crate) fn events<T>(capacity: usize) -> (EventsIn<T>, EventsOut<T>) {
    let slots = Slots::new(capacity);
    (In(Arc::clone(&slots)), Out(slots, Vec::new()))
}

impl<T: Copy> In<T> {
    pub(crate) fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.0.slots.len()).expect("not empty")
    }

    pub(crate) fn vacant_len(&self) -> usize {
        // Its own index, and the other side's.
        self.0.slots.len() - (self.0.written.load(Relaxed) - self.0.read.load(Acquire))
    }

    pub(crate) fn slots(&self) -> usize {
        self.vacant_len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.vacant_len() == 0
    }

    pub(crate) fn push_iter(&mut self, values: impl Iterator<Item = T>) -> usize {
        let at = self.0.written.load(Relaxed);
        let mut pushed = 0;
        for value in values.take(self.vacant_len()) {
            self.0.put(at + pushed, value);
            pushed += 1;
        }
        self.0.written.store(at + pushed, Release);
        pushed
    }

    pub(crate) fn push_slice(&mut self, values: &[T]) -> usize {
        self.push_iter(values.iter().copied())
    }

    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        if self.push_slice(&[value]) == 1 { Ok(()) } else { Err(value) }
    }
}

impl<T: Copy> Out<T> {
    pub(crate) fn occupied_len(&self) -> usize {
        self.0.written.load(Acquire) - self.0.read.load(Relaxed)
    }

    pub(crate) fn skip(&mut self, most: usize) -> usize {
        let skipped = most.min(self.occupied_len());
        let at = self.0.read.load(Relaxed);
        self.0.read.store(at + skipped, Release);
        skipped
    }

    pub(crate) fn as_slices(&mut self) -> (&[T], &[T]) {
        let at = self.0.read.load(Relaxed);
        self.1 = (at..at + self.occupied_len()).map(|at| self.0.look(at)).collect();
        (&self.1, &[])
    }

    pub(crate) fn pop_slice(&mut self, into: &mut [T]) -> usize {
        let at = self.0.read.load(Relaxed);
        let popped = into.len().min(self.occupied_len());
        for (n, value) in into[..popped].iter_mut().enumerate() {
            *value = self.0.look(at + n);
        }
        self.0.read.store(at + popped, Release);
        popped
    }

    pub(crate) fn pop(&mut self) -> Result<T, ()> {
        if self.occupied_len() == 0 {
            return Err(());
        }
        let value = self.0.look(self.0.read.load(Relaxed));
        self.skip(1);
        Ok(value)
    }
}
