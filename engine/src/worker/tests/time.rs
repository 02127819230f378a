//! The host's transport: where continuations come in, how long prompts are, and what stops, jumps and loops do.

use super::*;
use crate::status::HostTime;

/// 120 quarters a minute in 4/4, from the first frame.
pub(super) fn song(clock: u64, rate: u32) -> Transport {
    Transport::in_four(clock as f64 / f64::from(rate) * 2.0, 120.0)
}

#[test]
fn beats_and_bars_are_met_to_the_sample_at_every_rate_and_block_size() {
    let hosts = [(44_100_u32, 441), (44_100, 509), (48_000, 64), (48_000, 1_023), (96_000, 777), (96_000, 4_096)];
    std::thread::scope(|scope| {
        for (rate, block) in hosts {
            for (mode, line) in [(1, rate as usize / 2), (2, rate as usize * 2)] {
                scope.spawn(move || meets_its_line(rate, block, mode, line));
            }
        }
    });
}

fn meets_its_line(rate: u32, block: usize, mode: u32, line: usize) {
    let mut host = Host::new(&Fake { speed: 30.0, ..Fake::default() }, rate, false);
    host.song = Some(song);
    host.engine.controls.start.store(mode, Relaxed);
    host.engine.controls.length_seconds.set(6.0);
    host.ready();
    host.seconds(3.1);
    let origin = host.trigger(17);
    host.block(block);
    // However busy this machine is: only what is late comes in at a later line.
    host.wait("generated", |s| s.takes.first().is_some_and(|take| take.seconds > 3.0));
    let wanted = (origin / line + 1) * line;
    while host.out.len() < wanted + rate as usize / 4 {
        host.block(block);
    }
    let what = format!("{rate} Hz, blocks of {block}, mode {mode}");
    let first = host.first(0);
    assert_eq!(first, wanted, "{what}");
    let later = first + rate as usize / 10;
    let expected = note(((later - origin) as f64 * f64::from(PACK_RATE) / f64::from(rate)).round() as usize);
    assert!((host.out[later] - expected).abs() < 4e-6, "{what}: {} is not {expected}", host.out[later]);
    assert_eq!(host.engine.meters.underruns.load(Relaxed), 0, "{what}");
}

#[test]
fn a_bounce_meets_the_bar_too() {
    let mut host = Host::new(&Fake { speed: 60.0, ..Fake::default() }, 48_000, true);
    host.song = Some(song);
    host.engine.controls.start.store(2, Relaxed);
    host.engine.controls.length_seconds.set(4.0);
    host.seconds(2.2);
    let origin = host.trigger(3);
    host.seconds(3.0);
    assert_eq!(host.first(0), 4 * 48_000);
    let later = 4 * 48_000 + 4_000;
    assert!((host.out[later] - note((later - origin) / 2)).abs() < 4e-6);
}

#[test]
fn prompts_are_measured_in_bars_and_end_on_a_beat() {
    let mut host = Host::new(&Fake::default(), PACK_RATE, true);
    host.engine.controls.prompt_bars.store(2, Relaxed);
    host.engine.controls.snap_to_beat.store(true, Relaxed);
    host.seconds(1.0);
    let status = host.wait("no transport", |s| s.prompt_seconds_now == 2.0);
    assert_eq!(status.host_time, HostTime::default());
    // 90 bpm: two bars are 5.333 s.
    host.song = Some(|clock, rate| Transport::in_four(clock as f64 / f64::from(rate) * 1.5, 90.0));
    host.seconds(8.0);
    let status = host.wait("bars", |s| (s.prompt_seconds_now - 16.0 / 3.0).abs() < 1e-3);
    assert_eq!((status.host_time.tempo, status.host_time.bars, status.host_time.playing), (Some(90.0), true, true));
    let pressed = host.trigger(100);
    host.seconds(3.0);
    // A beat is 16 000 frames.
    let origin = pressed / 16_000 * 16_000;
    assert_eq!(host.out[origin + 5_000], if origin + 5_000 < pressed { 0.0 } else { note(5_000) });
    assert_eq!(host.out[origin + 20_000], note(20_000), "sample n belongs n frames after the beat");
    // The longest prompt that is asked for is still one that is there.
    host.engine.controls.prompt_bars.store(8, Relaxed);
    host.song = Some(|clock, rate| Transport::in_four(clock as f64 / f64::from(rate) * 0.5, 30.0));
    host.seconds(0.5);
    // Half a second ago the bars were three times as short.
    host.wait("both", |s| (s.prompt_seconds_now - (0.5 + (32.0 - 0.25) / 1.5)).abs() < 1e-3);
    host.seconds(10.0);
    host.wait("cut", |s| s.prompt_seconds_now == 24.0);
}

#[test]
fn a_song_that_stops_takes_the_continuation_with_it() {
    for (mode, begun) in [(0, true), (2, false)] {
        let mut host = Host::new(&Fake { speed: 30.0, ..Fake::default() }, PACK_RATE, false);
        host.song = Some(song);
        host.engine.controls.start.store(mode, Relaxed);
        host.engine.controls.length_seconds.set(8.0);
        host.ready();
        host.seconds(2.2);
        host.pace();
        host.trigger(0);
        host.seconds(0.6);
        assert_eq!(host.out.iter().any(|s| *s != 0.0), begun);
        let stopped = host.out.len();
        host.realtime = None;
        host.song = Some(|clock, rate| Transport { playing: false, ..song(clock, rate) });
        host.seconds(1.0);
        assert!(host.out[stopped + 1_300..].iter().all(|s| *s == 0.0));
        let status = host.until("made all the same", |s| s.takes.len() == 1 && s.generating.is_none());
        assert!((status.takes[0].seconds - 8.0).abs() < 1e-6);
        host.song = Some(song);
        host.seconds(4.0);
        assert!(host.out[stopped + 1_300..].iter().all(|s| *s == 0.0), "and it does not come by itself");
        host.send(Command::Play);
        host.until("it can be heard", |s| s.playing == Some(TakeId(1)));
    }
}

#[test]
fn a_jump_or_a_change_of_tempo_does_not_disturb_what_plays() {
    let mut host = Host::new(&Fake { speed: 30.0, ..Fake::default() }, PACK_RATE, true);
    host.song = Some(song);
    host.engine.controls.length_seconds.set(4.0);
    host.seconds(2.2);
    let origin = host.trigger(0);
    host.seconds(1.0);
    host.song = Some(|clock, rate| Transport::in_four(70.3 + clock as f64 / f64::from(rate) * 1.1, 66.0));
    host.seconds(1.0);
    host.song = Some(song);
    host.seconds(2.5);
    for n in 700..4 * 24_000 - 700 {
        assert_eq!(host.out[origin + n], note(n), "sample {n}");
    }
    assert!(host.out[origin + 4 * 24_000..].iter().all(|s| *s == 0.0));
    assert_eq!(host.status().takes.len(), 1);
}

#[test]
fn a_tempo_that_changes_before_the_bar_moves_the_bar() {
    let mut host = Host::new(&Fake { speed: 60.0, ..Fake::default() }, 48_000, false);
    host.song = Some(song);
    host.engine.controls.start.store(2, Relaxed);
    host.engine.controls.length_seconds.set(8.0);
    host.ready();
    host.seconds(2.2);
    host.trigger(0);
    host.seconds(0.3);
    // From 2.5 s (beat 5) on at 40 bpm: bar 2 (beat 8) comes 4.5 s later.
    host.song = Some(|clock, rate| Transport::in_four(5.0 + (clock as f64 / f64::from(rate) - 2.5) / 1.5, 40.0));
    while host.out.len() < 8 * 48_000 {
        host.block(500);
        std::thread::sleep(Duration::from_micros(500));
    }
    assert_eq!(host.first(0), 7 * 48_000);
}
