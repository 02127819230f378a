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
        let mut pushed = from + input.begin(TAKE, Start::At(start), position, frames as u64, &audio[from * 2..]).expect("idle");
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
                0 => drop(input.begin(TAKE, Start::At(desk.clock + frames as u64), 0, period, &ones[..frames])),
                1 => drop(input.begin(TAKE, Start::Now, 0, u64::MAX, &ones)),
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
    assert!(input.begin(TAKE, Start::At(1_000), 0, 50_000, &ramp(50_000)).is_some());
    desk.block(5_000, &PLAIN);
    assert_eq!(desk.left[9_000], 8_001.0, "frame 9000 holds sample 8000");
}

#[test]
fn now_discards_nothing() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    desk.block(777, &PLAIN);
    assert!(input.begin(TAKE, Start::Now, 0, 50_000, &ramp(50_000)).is_some());
    desk.block(5_000, &PLAIN);
    assert_eq!(desk.left[777 + 2_000], 2_001.0);
}

#[test]
fn running_dry_is_counted_and_recovers_in_time() {
    let (mut input, output, meters) = ends();
    let mut desk = Desk::new(output);
    let audio = ramp(100_000);
    assert!(input.begin(TAKE, Start::At(0), 0, 100_000, &audio[..10_000]).is_some());
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
    assert!(input.begin(TAKE, Start::At(0), 0, 10_000, &audio).is_some());
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
    assert!(input.begin(TAKE, Start::OnTransport { since: 0 }, 0, 50_000, &ramp(50_000)).is_some());
    desk.block(3_000, &PLAIN);
    assert!(!input.is_heard());
    desk.output.transport_started(desk.clock + 100);
    desk.block(5_000, &PLAIN);
    assert_eq!(desk.left[3_100 + 2_000], 2_001.0);
    assert!(input.is_heard());
}

#[test]
fn one_segment_at_a_time() {
    let (mut input, output, _) = ends();
    let mut desk = Desk::new(output);
    assert!(input.begin(TAKE, Start::Now, 0, 50_000, &ramp(50_000)).is_some());
    assert!(input.begin(TAKE, Start::Now, 0, 50_000, &[]).is_none());
    desk.block(2_000, &PLAIN);
    assert!(input.stop());
    desk.block(2_000, &PLAIN);
    assert!(input.is_idle());
    assert!(input.begin(TAKE, Start::Now, 0, 50_000, &ramp(40_000)).is_some());
    desk.block(4_000, &PLAIN);
    assert_eq!(desk.left[4_000 + 3_000], 3_001.0, "what the stopped one left in the ring is not heard");
}

#[test]
fn the_input_makes_way_and_comes_back() {
    let (mut input, mut output, _) = ends();
    let silence = vec![0.0; 2 * 10_000];
    assert!(input.begin(TAKE, Start::At(2_000), 0, 10_000, &silence).is_some());
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
    assert!(input.begin(TAKE, Start::Now, 0, u64::MAX, &ramp(50_000)).is_some());
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
    assert!(input.begin(TAKE, Start::At(600), 0, 5_000, &audio[..600]).is_some());
    input.set_due_from(u64::MAX);
    assert!(!output.ready(1, 512, 512, false), "begun, not enough");
    input.push(&audio[600..]);
    assert!(output.ready(1, 512, 512, false));
    assert!(output.ready(1, 5_400, 512, false), "complete to its end");
    assert!(!output.ready(1, 5_400, 512, true), "the next pass is missing");
    drop(input);
    assert!(output.ready(99, 0, 512, false), "the worker is gone");
}
