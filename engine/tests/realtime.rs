//! The audio thread's path allocates nothing, in any state. Counted by the allocator itself.

use segue_engine::capture::capture;
use segue_engine::duet::Listener;
use segue_engine::playback::{Cue, Mix, Start, playback};
use segue_engine::status::Meters;
use segue_engine::take::TakeId;
use segue_engine::transport::Transport;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

struct Counting;

thread_local! {
    static COUNT: Cell<Option<usize>> = const { Cell::new(None) };
}

fn note() {
    // Other threads, and this one outside `counted`, are not counted.
    let _ = COUNT.try_with(|count| count.set(count.get().map(|n| n + 1)));
}

// SAFETY: everything is handed on to the system's allocator; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and deallocations in `f`, on this thread.
fn counted(f: impl FnOnce()) -> usize {
    COUNT.with(|count| count.set(Some(0)));
    f();
    COUNT.with(|count| count.replace(None)).unwrap_or(0)
}

#[test]
fn the_counter_counts() {
    assert!(counted(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}

#[test]
fn no_allocation_in_any_state() {
    for frames in [1_usize, 64, 512, 16_384] {
        let meters = Arc::new(Meters::default());
        let (mut capture, mut heard) = capture(48_000);
        let mut ear = Listener::new(48_000);
        let (mut feed, mut playback) = playback(48_000, Arc::clone(&meters));
        let audio: Vec<f32> = (0..96_000).map(|n| (n as f32 * 0.01).sin()).collect();
        let (mut left, mut right) = (vec![0.1_f32; frames], vec![0.1_f32; frames]);
        let mut total = 0;
        let states = ["idle", "captured", "playing", "looping", "dry", "stopping", "reset", "full"];
        for state in states {
            // What the worker does may allocate.
            match state {
                "captured" => {
                    heard.drain();
                    while heard.next_event().is_some() {}
                }
                "playing" => {
                    assert!(feed.begin(Cue::new(TakeId(1), Start::Now, 0, 48_000), &audio).is_some());
                }
                "stopping" => {
                    feed.stop();
                }
                _ => {}
            }
            total += counted(|| {
                for round in 0..(60_000 / frames).max(2) {
                    let clock = capture.clock();
                    if state == "reset" {
                        playback.reset();
                    }
                    if round == 1 {
                        capture.trigger(frames / 2, Transport::default());
                        let transport = Transport { playing: round % 3 == 0, beat: Some(1.0), ..Transport::default() };
                        capture.transport(transport);
                        playback.transport(clock, transport);
                        capture.play();
                        capture.stop();
                    }
                    let heard = ear.push(&left, &right, clock, 0.3);
                    if heard.onset.is_some() {
                        ear.pedal_lifted(clock);
                    }
                    capture.push_block(&[&left, &right]);
                    let _ = playback.ready(capture.sent(), clock, frames, false);
                    let mix = Mix { dry: 0.5, wet: 1.5, duck: true, looping: state == "looping" };
                    playback.mix(&mut [&mut left, &mut right], clock, &mix);
                }
            });
        }
        assert_eq!(total, 0, "at {frames} frames a block");
        assert!(meters.clock.load(Relaxed) > 0);
    }
}
