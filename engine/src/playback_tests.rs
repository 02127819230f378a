use super::*;
use proptest::prelude::*;

const RATE: u32 = 48_000;
const FADE: u64 = 1_200;
const PLAIN: Mix = Mix { dry: 1.0, wet: 1.0, duck: false, looping: false };
const TAKE: TakeId = TakeId(1);

fn ends() -> (PlaybackInput, PlaybackOutput, Arc<Meters>) {
    let meters = Arc::new(Meters::default());
    let (input, output) = playback(RATE, Arc::clone(&meters));
    (input, output, meters)
}

/// Interleaved: left counts from 1, right is its negative. Exact in `f32`.
fn ramp(frames: usize) -> Vec<f32> {
    (0..frames).flat_map(|n| [(n + 1) as f32, -((n + 1) as f32)]).collect()
}

/// Mixes silence in blocks of the given sizes; gives what comes out on the left, checking the right.
struct Desk {
    output: PlaybackOutput,
    clock: u64,
    left: Vec<f32>,
}

impl Desk {
    fn new(output: PlaybackOutput) -> Self {
        Self { output, clock: 0, left: Vec::new() }
    }

    fn block(&mut self, frames: usize, mix: &Mix) {
        let (mut left, mut right) = (vec![0.0; frames], vec![0.0; frames]);
        self.output.mix(&mut [&mut left, &mut right], self.clock, mix);
        assert!(left.iter().zip(&right).all(|(l, r)| *l == -*r), "sides are kept apart");
        self.left.extend(left);
        self.clock += frames as u64;
    }

    fn steepest(&self) -> f32 {
        self.left.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Sample n of the continuation is mixed n frames after its origin, exactly, at any block size, early or late.
    #[test]
    fn alignment_is_exact(
        blocks in proptest::collection::vec(1_usize..=16_384, 4..40),
        before in 0_usize..30_000,
        start in 0_u64..40_000,
        position in 0_u64..20_000,
        frames in 4_000_usize..120_000,
    ) {
        let (mut input, output, _) = ends();
        let mut desk = Desk::new(output);
        desk.block(before, &PLAIN);
        let audio = ramp(frames);
        let from = (position as usize).min(frames);
        let mut pushed = from + input.begin(Cue::new(TAKE, Start::At(start), position, frames as u64), &audio[from * 2..]).expect("idle");
        for block in blocks {
            desk.block(block, &PLAIN);
            pushed += input.push(&audio[pushed * 2..]);
        }
        // The frame at which it could first be heard, and so the fade-in begins.
        let entry = start.max(before as u64);
        for (frame, sample) in desk.left.iter().enumerate() {
            let due = frame as i64 - start as i64 + position as i64;
            let sounding = (frame as u64) >= entry && due < frames as i64;
            if !sounding {
                prop_assert_eq!(*sample, 0.0, "frame {}", frame);
            } else if frame as u64 >= entry + FADE && due < frames as i64 - FADE as i64 {
                prop_assert_eq!(*sample, (due + 1) as f32, "frame {}", frame);
            }
        }
    }

    /// Whatever happens (starting, stopping, running dry, looping, ending), nothing clicks.
    #[test]
    fn nothing_clicks(script in proptest::collection::vec((0_u8..8, 1_usize..3_000), 1..120), period in 500_u64..20_000) {
        let (mut input, output, _) = ends();
        let mut desk = Desk::new(output);
        let ones: Vec<f32> = (0..4_000).flat_map(|_| [1.0, -1.0]).collect();
        let mut mix = PLAIN;
        for (what, frames) in script {
            match what {
                0 => drop(input.begin(Cue::new(TAKE, Start::At(desk.clock + frames as u64), 0, period), &ones[..frames])),
                1 => drop(input.begin(Cue::new(TAKE, Start::Now, 0, u64::MAX), &ones)),
                2 => { input.stop(); }
                3 => mix.looping = !mix.looping,
                4 | 5 => { input.push(&ones[..frames]); }
                _ => {}
            }
            desk.block(frames, &mix);
        }
        // A fade moves by a 1200th of a quarter turn a frame.
        prop_assert!(desk.steepest() < 0.0027, "a step of {}", desk.steepest());
    }
}

#[test]
fn late_data_is_skipped_not_shifted() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    desk.block(5_000, &PLAIN);
    assert!(input.begin(Cue::new(TAKE, Start::At(1_000), 0, 50_000), &ramp(50_000)).is_some());
    desk.block(5_000, &PLAIN);
    assert_eq!(desk.left[9_000], 8_001.0, "frame 9000 holds sample 8000");
}

#[test]
fn now_discards_nothing() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    desk.block(777, &PLAIN);
    assert!(input.begin(Cue::new(TAKE, Start::Now, 0, 50_000), &ramp(50_000)).is_some());
    desk.block(5_000, &PLAIN);
    assert_eq!(desk.left[777 + 2_000], 2_001.0);
}

#[test]
fn running_dry_is_counted_and_recovers_in_time() {
    let (mut input, output, meters) = ends();
    let mut desk = Desk::new(output);
    let audio = ramp(100_000);
    assert!(input.begin(Cue::new(TAKE, Start::At(0), 0, 100_000), &audio[..10_000]).is_some());
    for _ in 0..20 {
        desk.block(512, &PLAIN);
    }
    let dry = meters.underruns.load(Relaxed);
    assert!(dry > 0, "it ran dry after 5000 frames");
    assert_eq!(desk.left[6_000], 0.0);
    input.push(&audio[10_000..]);
    for _ in 0..20 {
        desk.block(512, &PLAIN);
    }
    assert_eq!(meters.underruns.load(Relaxed), dry, "recovered");
    assert_eq!(desk.left[15_000], 15_001.0, "still in time");
    assert_eq!(meters.position.load(Relaxed), desk.clock);
}

#[test]
fn a_loop_starts_over_to_the_frame() {
    let (mut input, output, meters) = ends();
    let mut desk = Desk::new(output);
    let audio = ramp(10_000);
    assert!(input.begin(Cue::new(TAKE, Start::At(0), 0, 10_000), &audio).is_some());
    input.push(&audio);
    input.push(&audio);
    let looping = Mix { looping: true, ..PLAIN };
    for _ in 0..50 {
        desk.block(500, &looping);
    }
    assert_eq!(desk.left[15_000], 5_001.0);
    assert_eq!(meters.position.load(Relaxed), 5_000);
    for _ in 0..20 {
        desk.block(500, &PLAIN);
    }
    assert_eq!(desk.left[30_000], 0.0, "after the pass in which the loop was taken off it ends");
    assert!(input.is_idle());
    assert_eq!(meters.position.load(Relaxed), u64::MAX);
}

#[test]
fn an_armed_segment_starts_with_the_transport() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    assert!(input.begin(Cue::new(TAKE, Start::OnTransport { since: 0 }, 0, 50_000), &ramp(50_000)).is_some());
    desk.block(3_000, &PLAIN);
    assert!(!input.is_heard());
    desk.output.transport(desk.clock, Transport { playing: true, ..Transport::default() });
    desk.block(5_000, &PLAIN);
    assert_eq!(desk.left[3_000 + 2_000], 2_001.0);
    assert!(input.is_heard());
}

#[test]
fn what_comes_in_replaces_what_sounds_without_a_click() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    let constant = |level: f32| -> Vec<f32> { (0..40_000).flat_map(|_| [level, -level]).collect() };
    assert!(input.begin(Cue::new(TAKE, Start::Now, 0, 50_000), &constant(1.0)).is_some());
    desk.block(4_000, &PLAIN);
    assert_eq!(desk.left[3_999], 1.0);
    assert!(input.begin(Cue::new(TakeId(2), Start::At(5_000), 0, 50_000), &constant(0.5)).is_some());
    assert!(input.begin(Cue::new(TAKE, Start::Now, 0, 50_000), &[]).is_none(), "both decks are taken");
    desk.block(4_000, &PLAIN);
    assert_eq!(desk.left[4_999], 1.0, "until the other one comes in");
    assert_eq!(desk.left[5_000 + 1_300], 0.5);
    for (n, sample) in desk.left[5_000..6_200].iter().enumerate() {
        let angle = (n + 1) as f32 / 1_200.0 * std::f32::consts::FRAC_PI_2;
        let equal_power = angle.cos() + 0.5 * angle.sin();
        assert!((sample - equal_power).abs() < 0.003, "frame {n}: {sample}, not {equal_power}");
    }
    assert_eq!(input.sounding(), Some(TakeId(2)));
    assert!(input.stop());
    desk.block(2_000, &PLAIN);
    assert!(input.is_idle() && input.sounding().is_none());
    assert!(input.begin(Cue::new(TAKE, Start::Now, 0, 50_000), &ramp(40_000)).is_some());
    desk.block(4_000, &PLAIN);
    assert_eq!(desk.left[10_000 + 3_000], 3_001.0, "what a stopped one left in the ring is not heard");
}

#[test]
fn beside_goes_on_at_the_same_position() {
    for early in [0_u64, 700, 2_500] {
        let (mut input, output, meters) = ends();
        let mut desk = Desk::new(output);
        assert!(input.begin(Cue::new(TAKE, Start::Now, 0, 100_000), &ramp(60_000)).is_some());
        for _ in 0..20 {
            desk.block(333, &PLAIN);
        }
        let position = meters.position.load(Relaxed) - 300 + early;
        let other: Vec<f32> = ramp(60_000)[position as usize * 2..].to_vec();
        assert!(input.begin(Cue::new(TakeId(2), Start::Beside, position, 100_000), &other).is_some());
        for _ in 0..20 {
            desk.block(333, &PLAIN);
        }
        // The same ramp: but for the sum of the two gains nothing is to be heard of the change.
        assert_eq!(desk.left[12_000], 12_001.0);
        assert_eq!(input.sounding(), Some(TakeId(2)));
        assert_eq!(meters.position.load(Relaxed), desk.clock);
    }
}

#[test]
fn a_take_follows_another_without_a_gap() {
    let (mut input, output, meters) = ends();
    let mut desk = Desk::new(output);
    let both = ramp(30_000);
    assert!(input.begin(Cue::new(TAKE, Start::Now, 0, 10_000), &both[..20_000]).is_some());
    desk.block(3_000, &PLAIN);
    assert!(input.follow(TakeId(2), 20_000));
    input.push(&both[20_000..]);
    for _ in 0..12 {
        desk.block(1_000, &PLAIN);
    }
    for n in 2_000..15_000 {
        assert_eq!(desk.left[n], (n + 1) as f32, "frame {n}");
    }
    assert_eq!((input.sounding(), meters.position.load(Relaxed)), (Some(TakeId(2)), 5_000));
    for _ in 0..16 {
        desk.block(1_000, &PLAIN);
    }
    assert_eq!(desk.left[28_000], 28_001.0);
    assert!(desk.left[30_000..].iter().all(|s| *s == 0.0) && input.is_idle());
    assert_eq!(meters.underruns.load(Relaxed), 0);
}

/// 120 bpm in 4/4, running since `origin`.
fn song(origin: u64, clock: u64, tempo: f64) -> Transport {
    let beat = (clock - origin) as f64 / f64::from(RATE) * tempo / 60.0;
    Transport::in_four(beat, tempo)
}

#[test]
fn a_gate_opens_on_the_line_wherever_the_host_puts_it() {
    // The tempo doubles on the way: the bar that was due at 96 000 comes at 72 000.
    for block in [1_usize, 64, 441, 1_023, 4_096] {
        let (mut input, output, _) = ends();
        let mut desk = Desk::new(output);
        let cue = Cue { gate: Some(Grid::Bar), with_song: true, ..Cue::new(TAKE, Start::At(500), 0, 150_000) };
        let audio = ramp(150_000);
        let mut pushed = input.begin(cue, &audio).expect("idle");
        while desk.clock < 80_000 {
            let beat = if desk.clock < 48_000 {
                desk.clock as f64 / 24_000.0
            } else {
                2.0 + (desk.clock - 48_000) as f64 / 12_000.0
            };
            let now = Transport {
                tempo: Some(if desk.clock < 48_000 { 120.0 } else { 240.0 }),
                beat: Some(beat),
                ..song(0, 0, 120.0)
            };
            let now = Transport { bar_start: Some((beat / 4.0).floor() * 4.0), ..now };
            desk.output.transport(desk.clock, now);
            // Hosts split their blocks where the tempo jumps.
            let until = if desk.clock < 48_000 { 48_000 - desk.clock } else { u64::MAX };
            desk.block(block.min(until as usize), &PLAIN);
            pushed += input.push(&audio[pushed * 2..]);
        }
        let first = desk.left.iter().position(|s| *s != 0.0).expect("heard");
        assert_eq!(first, 72_000, "blocks of {block}");
        assert_eq!(desk.left[75_000], (75_000 - 500 + 1) as f32, "and in time");
    }
}

#[test]
fn what_belongs_to_the_song_stops_with_it() {
    for gate in [None, Some(Grid::Bar)] {
        let (mut input, output, _) = ends();
        let mut desk = Desk::new(output);
        let cue = Cue { gate, with_song: true, ..Cue::new(TAKE, Start::At(500), 0, 50_000) };
        assert!(input.begin(cue, &ramp(50_000)).is_some());
        desk.output.transport(0, song(0, 0, 120.0));
        desk.block(5_000, &PLAIN);
        desk.output.transport(5_000, Transport { playing: false, ..song(0, 5_000, 120.0) });
        desk.block(5_000, &PLAIN);
        assert_eq!(desk.left[4_000] != 0.0, gate.is_none());
        assert!(desk.left[6_300..].iter().all(|s| *s == 0.0) && input.is_idle());
        desk.output.transport(10_000, song(10_000, 10_000, 120.0));
        desk.block(90_000, &PLAIN);
        assert!(desk.left[10_000..].iter().all(|s| *s == 0.0), "and does not come back by itself");
    }
}

#[test]
fn a_line_is_waited_for_with_its_offset() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    let start = Start::OnLine { grid: Grid::Bar, offset: 1.5 };
    desk.block(100, &PLAIN);
    assert!(input.begin(Cue::new(TAKE, start, 0, 50_000), &ramp(50_000)).is_some());
    while desk.clock < 60_000 {
        desk.output.transport(desk.clock, song(100, desk.clock, 120.0));
        desk.block(999, &PLAIN);
    }
    let first = desk.left.iter().position(|s| *s != 0.0).expect("heard");
    assert_eq!(first, 100 + 36_000);
}

#[test]
fn a_looping_transport_neither_loses_nor_repeats() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    let cue = Cue { gate: Some(Grid::Bar), with_song: true, ..Cue::new(TAKE, Start::At(0), 0, 150_000) };
    let audio = ramp(150_000);
    let mut pushed = input.begin(cue, &audio).expect("idle");
    // Two bars from the middle of one, round and round: a line every 96 000 frames, from 48 000 on.
    while desk.clock < 400_000 {
        let beat = 2.0 + (desk.clock % 192_000) as f64 / 24_000.0;
        let bar_start = Some((beat / 4.0).floor() * 4.0);
        desk.output.transport(desk.clock, Transport { beat: Some(beat), bar_start, ..song(0, 0, 120.0) });
        desk.block(600.min(192_000 - (desk.clock % 192_000) as usize), &PLAIN);
        pushed += input.push(&audio[pushed * 2..]);
    }
    let first = desk.left.iter().position(|s| *s != 0.0).expect("heard");
    assert_eq!(first, 48_000);
    for n in 50_000..148_000 {
        assert_eq!(desk.left[n], (n + 1) as f32, "frame {n}");
    }
    assert!(desk.left[150_000..].iter().all(|s| *s == 0.0));
}

#[test]
fn the_input_makes_way_and_comes_back() {
    let (mut input, mut output, _) = ends();
    let silence = vec![0.0; 2 * 10_000];
    assert!(input.begin(Cue::new(TAKE, Start::At(2_000), 0, 10_000), &silence).is_some());
    let mix = Mix { duck: true, ..PLAIN };
    let (mut left, mut right) = (vec![1.0; 20_000], vec![1.0; 20_000]);
    output.mix(&mut [&mut left, &mut right], 0, &mix);
    assert_eq!((left[1_999], left[5_000], left[15_000]), (1.0, 0.0, 1.0));
    assert!(left.windows(2).all(|w| (w[1] - w[0]).abs() < 0.002));
}

#[test]
fn without_a_continuation_the_input_passes_bit_for_bit() {
    let (_input, mut output, meters) = ends();
    let original: Vec<f32> = (0..5_000).map(|n| (n as f32 * 0.37).sin()).collect();
    let mut mono = original.clone();
    output.mix(&mut [&mut mono], 0, &Mix { duck: true, ..PLAIN });
    assert_eq!(mono, original);
    assert_eq!(meters.underruns.load(Relaxed), 0);
}

#[test]
fn a_reset_silences_at_once() {
    let (mut input, mut output, _) = ends();
    assert!(input.begin(Cue::new(TAKE, Start::Now, 0, u64::MAX), &ramp(50_000)).is_some());
    let mut block = [vec![0.0; 4_000], vec![0.0; 4_000]];
    let [left, right] = &mut block;
    output.mix(&mut [left, right], 0, &PLAIN);
    output.reset();
    let mut after = vec![0.0; 100];
    output.mix(&mut [&mut after], 4_000, &PLAIN);
    assert_eq!(after, vec![0.0; 100]);
    assert!(input.is_idle());
    assert_eq!(input.room(), RATE as usize * RING_SECONDS);
}

#[test]
fn an_offline_render_waits_for_what_is_due_and_for_nothing_else() {
    let (mut input, mut output, _) = ends();
    assert!(output.ready(0, 0, 512, false), "nothing is due");
    assert!(!output.ready(1, 0, 512, false), "an event is unanswered");
    input.set_due_from(600);
    input.answer();
    assert!(output.ready(1, 0, 512, false), "not due yet");
    assert!(!output.ready(1, 512, 512, false), "due, and not begun");
    let audio = ramp(5_000);
    assert!(input.begin(Cue::new(TAKE, Start::At(600), 0, 5_000), &audio[..600]).is_some());
    input.set_due_from(u64::MAX);
    assert!(!output.ready(1, 512, 512, false), "begun, not enough");
    input.push(&audio[600..]);
    assert!(output.ready(1, 512, 512, false));
    assert!(output.ready(1, 5_400, 512, false), "complete to its end");
    assert!(!output.ready(1, 5_400, 512, true), "the next pass is missing");
    drop(input);
    assert!(output.ready(99, 0, 512, false), "the worker is gone");
}
