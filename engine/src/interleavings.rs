//! Every order in which the audio thread's steps and the worker's can meet, and every value that the memory model lets
//! them see, tried by loom: `cargo test -p segue-engine --features loom --lib interleavings`.
//!
//! Rates and rings are tiny: what counts is the order of a handful of steps.

use crate::capture::{self, Event};
use crate::playback::{Cue, Mix, PlaybackOutput, Start, playback};
use crate::take::TakeId;
use crate::transport::Transport;
use loom::thread;

/// A fade takes one frame, and a deck holds eight.
const RATE: u32 = 2;
const PLAIN: Mix = Mix { dry: 0.0, wet: 1.0, duck: false, looping: false };

/// Every order with at most this many switches of threads where none was needed: beyond three nothing new was found, in
/// hours.
fn every_order(does: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(does);
}

/// Frames `from` to `to` of a take that can be told apart from silence and from others.
fn frames(take: u64, from: u64, to: u64) -> Vec<f32> {
    (from..to).flat_map(|n| [(take * 100 + n + 1) as f32; 2]).collect()
}

fn block(output: &mut PlaybackOutput, clock: u64, frames: usize) -> Vec<f32> {
    let (mut left, mut right) = (vec![0.0; frames], vec![0.0; frames]);
    output.mix(&mut [&mut left, &mut right], clock, &PLAIN);
    left
}

#[test]
fn whatever_is_heard_is_what_is_due_at_its_frame() {
    every_order(|| {
        let (mut input, mut output) = playback(RATE, Default::default());
        let worker = thread::spawn(move || {
            let cue = Cue::new(TakeId(1), Start::At(1), 0, 3);
            let pushed = input.begin(cue, &frames(1, 0, 1)).expect("a free deck");
            input.push(&frames(1, pushed as u64, 3));
            input
        });
        for clock in [0, 2] {
            for (n, heard) in block(&mut output, clock, 2).into_iter().enumerate() {
                let due = (clock + n as u64).checked_sub(1).map_or(0.0, |at| (100 + at + 1) as f32);
                assert!(heard == 0.0 || heard == due, "{heard} at frame {}, {due} is due", clock + n as u64);
            }
        }
        drop(worker.join());
    });
}

#[test]
fn a_bounce_that_has_waited_hears_all_of_it() {
    every_order(|| {
        let (mut input, mut output) = playback(RATE, Default::default());
        let worker = thread::spawn(move || {
            // A trigger at frame 0: the continuation covers everything from there, begins, and then it is answered.
            input.set_due_from(0);
            input.begin(Cue::new(TakeId(1), Start::At(0), 0, 2), &frames(1, 0, 2)).expect("a free deck");
            input.set_due_from(u64::MAX);
            input.answer();
            input
        });
        while !output.ready(1, 0, 2, false) {
            thread::yield_now();
        }
        assert_eq!(block(&mut output, 0, 2), [101.0, 102.0]);
        drop(worker.join());
    });
}

#[test]
fn a_bounce_does_not_wait_for_a_worker_that_is_gone() {
    every_order(|| {
        let (mut input, mut output) = playback(RATE, Default::default());
        let worker = thread::spawn(move || {
            input.set_due_from(0);
            drop(input);
        });
        while !output.ready(1, 0, 2, false) {
            thread::yield_now();
        }
        worker.join().expect("it ends");
    });
}

#[test]
fn a_deck_that_is_used_again_plays_nothing_of_before() {
    every_order(|| {
        let (mut input, mut output) = playback(RATE, Default::default());
        input.begin(Cue::new(TakeId(1), Start::At(0), 0, 1), &frames(1, 0, 1)).expect("a free deck");
        let worker = thread::spawn(move || {
            let cue = Cue::new(TakeId(2), Start::Now, 0, 2);
            input.begin(cue, &frames(2, 0, 2)).expect("one of the two is free");
            input
        });
        let mut heard = block(&mut output, 0, 1);
        let mut input = worker.join().expect("it ends");
        heard.extend(block(&mut output, 1, 2));
        heard.extend(block(&mut output, 3, 2));
        let second: Vec<f32> = heard.iter().copied().filter(|s| *s >= 201.0).collect();
        assert!(second.ends_with(&[202.0]), "{heard:?}");
        assert!(input.is_idle() && input.push(&[]) == 0, "both are over");
    });
}

#[test]
fn the_worker_sees_a_gap_before_the_samples_after_it() {
    every_order(|| {
        // Two frames fit: of four blocks of one frame some are lost unless the worker comes between.
        let (mut input, mut output) = capture::with_capacity(1, 2);
        let audio = thread::spawn(move || {
            for n in 1..=4 {
                input.push_block(&[&[n as f32]]);
            }
            input.trigger(0, Transport::default());
            input
        });
        output.drain();
        output.drain();
        let mut input = audio.join().expect("it ends");
        output.drain();
        input.push_block(&[&[5.0]]);
        output.drain();
        assert_eq!(output.history().end(), 5, "frames keep their numbers");
        let [heard, _] = output.history().slice(5, 5).expect("five frames");
        for (n, sample) in heard.into_iter().enumerate() {
            assert!(sample == 0.0 || sample == (n + 1) as f32, "{sample} at frame {n}");
        }
        assert!(matches!(output.next_event(), Some(Event::Trigger { clock: 4, .. })));
    });
}
