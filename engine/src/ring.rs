//! What the audio thread and the worker share: rings of samples, queues of events, a few atomics. Wait-free.
//!
//! With the feature `loom` stand-ins with the same orderings take their place, so that loom can try every order of the
//! two threads' steps (see `interleavings.rs`).

#[cfg(not(feature = "loom"))]
mod real {
    use ringbuf::traits::{Consumer, Producer, Split};
    use ringbuf::{HeapCons, HeapProd, HeapRb};

    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

    /// The end of a ring that samples are pushed into.
    pub(crate) type SamplesIn = HeapProd<f32>;
    /// The end that they come out of.
    pub(crate) type SamplesOut = HeapCons<f32>;
    /// The end of a queue that events are pushed into.
    pub(crate) type EventsIn<T> = rtrb::Producer<T>;
    /// The end that they come out of.
    pub(crate) type EventsOut<T> = rtrb::Consumer<T>;

    /// Both ends of an empty ring of `samples` samples, every page of which has been touched: memory that a system hands
    /// out is only there once it is written, and the audio thread must not be the one to wait for it. Main thread.
    pub(crate) fn ring(samples: usize) -> (SamplesIn, SamplesOut) {
        let (mut producer, mut consumer) = HeapRb::new(samples).split();
        producer.push_iter(std::iter::repeat_n(0.0, samples));
        consumer.clear();
        (producer, consumer)
    }

    /// Both ends of an empty queue of `capacity` events. Main thread.
    pub(crate) fn events<T>(capacity: usize) -> (EventsIn<T>, EventsOut<T>) {
        rtrb::RingBuffer::new(capacity)
    }
}

#[cfg(feature = "loom")]
#[path = "ring_loom.rs"]
mod real;

pub(crate) use real::*;

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use ringbuf::traits::{Consumer, Observer, Producer};

    #[test]
    fn it_begins_empty_and_takes_what_it_holds() {
        let (mut producer, mut consumer) = ring(6);
        assert_eq!((producer.vacant_len(), consumer.occupied_len()), (6, 0));
        assert_eq!(producer.push_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), 6);
        assert_eq!(consumer.pop_iter().collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
