use super::*;
use proptest::prelude::*;

/// A ramp that is exact in `f32` for 2^24 frames.
fn ramp(from: u64, frames: usize) -> (Vec<f32>, Vec<f32>) {
    let left: Vec<f32> = (from..from + frames as u64).map(|n| n as f32).collect();
    let right = left.iter().map(|s| -s).collect();
    (left, right)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Nothing is lost or reordered, at any block size and rate, and triggers cut at the exact frame.
    #[test]
    fn every_sample_arrives_once_in_order(
        sample_rate in 8_000_u32..=384_000,
        blocks in proptest::collection::vec((1_usize..=16_384, any::<bool>(), 0.0_f64..1.0), 1..12),
    ) {
        let (mut input, mut output) = capture(sample_rate);
        let mut expected = Vec::new();
        let mut seen = Vec::new();
        for (frames, drain, trigger) in blocks {
            let (left, right) = ramp(input.clock(), frames);
            let at = ((frames as f64 * trigger) as usize).min(frames - 1);
            prop_assert!(input.trigger(at, Transport::default()));
            expected.push(input.clock() + at as u64);
            // Rings hold ten seconds: drain before they could overflow.
            if drain || !input.has_room(frames) {
                output.drain();
            }
            input.push_block(&[&left, &right]);
            while let Some(Event::Trigger { clock, .. }) = output.next_event() {
                seen.push(clock);
                let n = 16.min(clock as usize);
                let [left, right] = output.history().slice(clock, n).expect("captured");
                let (l, r) = ramp(clock - n as u64, n);
                prop_assert_eq!((left, right), (l, r));
            }
        }
        output.drain();
        while let Some(Event::Trigger { clock, .. }) = output.next_event() {
            seen.push(clock);
        }
        prop_assert_eq!(output.history().end(), input.clock());
        prop_assert_eq!(output.lost(), 0);
        prop_assert_eq!(seen, expected);
        let n = output.history().available(input.clock());
        let [left, _] = output.history().slice(input.clock(), n).expect("captured");
        prop_assert_eq!(left, ramp(input.clock() - n as u64, n).0);
    }

    /// When the ring overflows, the frames that do arrive are still the right ones.
    #[test]
    fn an_overflow_leaves_silence_and_keeps_the_clock(
        capacity in 1_usize..300,
        blocks in proptest::collection::vec((1_usize..=200, any::<bool>()), 1..60),
    ) {
        let (mut input, mut output) = with_capacity(1000, capacity);
        for (frames, drain) in blocks {
            // Starts at 1 so that a lost frame (0) can be told from a captured one.
            let (left, right) = ramp(input.clock() + 1, frames);
            input.push_block(&[&left, &right]);
            if drain {
                output.drain();
            }
        }
        output.drain();
        input.push_block(&[&[], &[]]);
        output.drain();
        let end = output.history().end();
        prop_assert_eq!(end, input.clock());
        let [left, _] = output.history().slice(end, output.history().available(end)).expect("captured");
        let first = end - left.len() as u64;
        let lost = left.iter().filter(|s| **s == 0.0).count() as u64;
        for (n, sample) in left.iter().enumerate() {
            prop_assert!(*sample == 0.0 || *sample == (first + n as u64 + 1) as f32);
        }
        prop_assert!(lost <= output.lost());
    }
}

#[test]
fn mono_is_doubled_and_rubbish_is_silence() {
    let (mut input, mut output) = capture(8000);
    input.push_block(&[&[1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5]]);
    output.drain();
    let [left, right] = output.history().slice(5, 5).expect("captured");
    assert_eq!(left, [1.0, 0.0, 0.0, 0.0, 0.5]);
    assert_eq!(left, right);
}

#[test]
fn however_much_is_played_while_the_worker_is_away_a_trigger_gets_through() {
    let (mut input, mut output) = with_capacity(1000, 4000);
    for _ in 0..1000 {
        input.onset(input.clock());
        input.paused(Pause { end: 0, found: input.clock() });
        input.push_block(&[&[1.0; 3]]);
    }
    assert!(input.trigger(0, Transport::default()));
    output.drain();
    let last = std::iter::from_fn(|| output.next_event()).last();
    assert!(matches!(last, Some(Event::Trigger { clock: 3000, .. })), "{last:?}");
}

#[test]
fn a_full_event_queue_still_tells_of_gaps() {
    let (mut input, mut output) = with_capacity(1000, 4);
    while input.trigger(0, Transport::default()) {}
    for _ in 0..10 {
        input.push_block(&[&[1.0; 3]]);
    }
    assert_eq!(input.clock(), 30);
    output.drain();
    assert!(output.history().end() <= 4, "the rest waits until the gap can be told");
    while output.next_event().is_some() {}
    input.push_block(&[&[2.0; 1]]);
    output.drain();
    assert_eq!(output.history().end(), 31);
    assert_eq!(output.history().slice(31, 1).expect("there")[0], [2.0]);
}
