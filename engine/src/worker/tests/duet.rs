//! The duet from input to output: nobody presses anything.

use super::*;
use crate::status::DuetState;

const RATE: u32 = 48_000;

/// Notes twice a second, from 0 to 4 s and from 9 to 12 s.
fn phrases(clock: u64) -> f32 {
    let t = clock as f32 / RATE as f32;
    if !(0.0..4.0).contains(&t) && !(9.0..12.0).contains(&t) {
        return 0.0;
    }
    let since = t % 0.5;
    let hz = 220.0 * (1.0 + (t / 0.5).floor() % 4.0);
    (std::f32::consts::TAU * hz * since).sin() * 0.4 * (-since * 6.0).exp() * (since * 500.0).min(1.0)
}

fn host(offline: bool, rate: u32) -> Host {
    let mut host = Host::new(&Fake { speed: 40.0, ..Fake::default() }, rate, offline);
    host.input = phrases;
    host.engine.controls.duet.store(true, Relaxed);
    host.engine.controls.duet_pause_seconds.set(1.5);
    host.engine.controls.length_seconds.set(20.0);
    host.engine.controls.variations.store(3, Relaxed);
    host.ready();
    host
}

#[test]
fn a_pause_is_played_into_and_new_playing_is_made_way_for() {
    let mut host = host(false, RATE);
    assert_eq!(host.until("heard", |s| s.duet != DuetState::Off).duet, DuetState::Listening);
    host.seconds(4.0);
    host.pace();
    let waits = host.until("waits", |s| matches!(s.duet, DuetState::Waiting { .. }));
    assert!(waits.generating.is_none() && waits.takes.is_empty());
    let plays = host.until("plays", |s| s.duet == DuetState::Playing && s.playing.is_some());
    assert!(plays.notice.is_none() && plays.problem.is_none());
    let first = host.first(0) as f64 / f64::from(RATE);
    assert!((4.9..6.8).contains(&first), "a second and a half after the last note has died away: {first}");
    host.seconds(0.2);
    let later = host.out[host.first(0) + RATE as usize / 10];
    assert!((later - note(PACK_RATE as usize / 10)).abs() < 4e-6, "from its beginning: {later}");
    // It is heard until the pianist comes in again, and fades then.
    while host.ends.capture.clock() < 9 * u64::from(RATE) {
        host.block(480);
    }
    assert!(host.out[(8.9 * f64::from(RATE)) as usize] != 0.0, "it plays until the pianist does");
    let listens = host.until("makes way", |s| s.playing.is_none() && s.generating.is_none());
    assert_eq!(listens.duet, DuetState::Listening);
    let silent = host.out.iter().rposition(|s| *s != 0.0).expect("heard") as f64 / f64::from(RATE);
    assert!((9.0..9.3).contains(&silent), "it fades at once: {silent}");
    assert_eq!(
        listens.takes.len(),
        1,
        "what was made is kept, and nobody asked for variations: {}",
        listens.takes.len()
    );
    // And so on.
    let again = host.until("plays again", |s| s.duet == DuetState::Playing && s.playing.is_some());
    assert_eq!(again.takes.len(), 2);
}

#[test]
fn a_bounced_duet_begins_at_the_same_frame_whatever_the_blocks_are() {
    let begins: Vec<usize> = [64, 480, 777]
        .into_iter()
        .map(|block| {
            let mut host = host(true, RATE);
            while host.ends.capture.clock() < 8 * u64::from(RATE) {
                host.block(block);
            }
            host.first(0)
        })
        .collect();
    assert!(begins.windows(2).all(|b| b[0] == b[1]), "{begins:?}");
}

#[test]
fn with_a_running_song_it_comes_in_on_the_bar() {
    let mut host = host(false, RATE);
    host.song = Some(time::song);
    host.engine.controls.start.store(2, Relaxed);
    host.seconds(4.0);
    host.pace();
    host.until("plays", |s| s.duet == DuetState::Playing && s.playing.is_some());
    host.seconds(0.1);
    assert_eq!(host.first(0) % (2 * RATE as usize), 0, "a bar lasts two seconds");
}

#[test]
fn what_was_asked_for_by_hand_is_left_alone() {
    let mut host = host(false, RATE);
    host.seconds(3.9);
    host.trigger(0);
    let mine = host.until("mine", |s| s.playing.is_some()).playing;
    host.pace();
    host.seconds(4.0);
    let status = host.status();
    assert_eq!(status.playing, mine, "the pause in the middle of it changes nothing");
    assert!(status.duet != DuetState::Playing);
    // Nor does playing along.
    host.seconds(2.5);
    assert_eq!(host.status().playing, mine);
}

#[test]
fn switched_off_nothing_happens() {
    let mut host = host(false, RATE);
    host.engine.controls.duet.store(false, Relaxed);
    host.seconds(8.5);
    let status = host.until("off", |s| s.duet == DuetState::Off);
    assert!(status.takes.is_empty() && status.playing.is_none() && status.generating.is_none());
}
