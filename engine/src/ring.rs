//! The ring of samples between the audio thread and the worker.

use ringbuf::traits::{Consumer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// Both ends of an empty ring of `samples` samples, every page of which has been touched: memory that a system hands out
/// is only there once it is written, and the audio thread must not be the one to wait for it. Main thread.
pub(crate) fn ring(samples: usize) -> (HeapProd<f32>, HeapCons<f32>) {
    let (mut producer, mut consumer) = HeapRb::new(samples).split();
    producer.push_iter(std::iter::repeat_n(0.0, samples));
    consumer.clear();
    (producer, consumer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbuf::traits::Observer;

    #[test]
    fn it_begins_empty_and_takes_what_it_holds() {
        let (mut producer, mut consumer) = ring(6);
        assert_eq!((producer.vacant_len(), consumer.occupied_len()), (6, 0));
        assert_eq!(producer.push_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), 6);
        assert_eq!(consumer.pop_iter().collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
