use super::*;
use std::path::Path;

/// A recording as mono at a rate, from the repository's prompts.
fn recording(name: &str, rate: u32) -> Vec<f32> {
    use symphonia::core::formats::TrackType;
    use symphonia::core::formats::probe::Hint;
    use symphonia::core::io::MediaSourceStream;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/prompts").join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut format =
        symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default()).unwrap();
    let track = format.default_track(TrackType::Audio).unwrap();
    let parameters = track.codec_params.as_ref().unwrap().audio().unwrap();
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &Default::default()).unwrap();
    let (mut mono, mut part, mut own) = (Vec::new(), Vec::<Vec<f32>>::new(), 0);
    while let Some(packet) = format.next_packet().unwrap() {
        let decoded = decoder.decode(&packet).unwrap();
        own = decoded.spec().rate();
        decoded.copy_to_vecs_planar(&mut part);
        mono.extend(part[0].iter().zip(&part[1]).map(|(l, r)| (l + r) * 0.5));
    }
    crate::resample::resample(&[mono], own, rate).unwrap().remove(0)
}

const PIECES: [&str; 3] = ["bach_846.flac", "chpn_op27_2.flac", "deb_prel.flac"];

/// White noise of an RMS level.
fn noise(frames: usize, dbfs: f32) -> Vec<f32> {
    let mut state = 12_345_u32;
    let scale = 10.0_f32.powf(dbfs / 20.0) * 3.0_f32.sqrt();
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..frames).map(|_| draw() * scale).collect()
}

/// A chord that has just been struck, held: its partials decay, the high ones sooner.
fn held(rate: u32, seconds: f32, level: f32) -> Vec<f32> {
    let n = (seconds * rate as f32) as usize;
    let partial = |hz: f32, t: f32| (std::f32::consts::TAU * hz * t).sin() * (-t * (0.5 + hz / 900.0)).exp();
    (0..n)
        .map(|i| {
            let t = i as f32 / rate as f32;
            // Two strings a key, a little apart: they beat.
            [130.8, 131.3, 196.0, 196.6, 329.6, 330.1, 659.2, 1_318.0].iter().map(|hz| partial(*hz, t)).sum::<f32>()
                * level
                * (t * 500.0).min(1.0)
        })
        .collect()
}

/// All onsets and pauses, in seconds.
fn listen(audio: &[f32], rate: u32, pause: f32, lift: Option<f32>) -> (Vec<f32>, Vec<(f32, f32)>) {
    let mut listener = Listener::new(rate);
    let (mut onsets, mut pauses, mut clock) = (Vec::new(), Vec::new(), 0);
    for block in audio.chunks(333) {
        let seconds = |frame: u64| frame as f32 / rate as f32;
        if lift.is_some_and(|lift| seconds(clock) <= lift && lift < seconds(clock + block.len() as u64)) {
            listener.pedal_lifted(clock);
        }
        let heard = listener.push(block, block, clock, pause);
        clock += block.len() as u64;
        onsets.extend(heard.onset.map(seconds));
        pauses.extend(heard.pause.map(|pause| (seconds(pause.found), seconds(pause.end))));
    }
    (onsets, pauses)
}

fn joined(parts: &[&[f32]]) -> Vec<f32> {
    parts.concat()
}

/// The forms in which a recording may reach the plugin.
fn forms(name: &str) -> Vec<(String, u32, Vec<f32>)> {
    let mut forms = Vec::new();
    for rate in [48_000, 44_100, 96_000] {
        forms.push((format!("{name} at {rate} Hz"), rate, recording(name, rate)));
    }
    let plain = recording(name, 48_000);
    forms.push((format!("{name} softly"), 48_000, plain.iter().map(|x| x * 0.1).collect()));
    let hiss = noise(plain.len(), -55.0);
    forms.push((format!("{name} with hiss"), 48_000, plain.iter().zip(hiss).map(|(a, b)| a + b).collect()));
    forms
}

#[test]
fn music_is_no_pause_and_its_end_is() {
    for name in PIECES {
        for (what, rate, music) in forms(name) {
            let (onsets, pauses) = listen(&music, rate, 1.5, None);
            assert!(onsets.len() > 12, "{what}: {} onsets", onsets.len());
            assert!(pauses.is_empty(), "{what}: {pauses:?}");
            // Keys are let go: dampers take about a third of a second.
            let length = rate as usize;
            let tail: Vec<f32> = music[music.len() - length..]
                .iter()
                .enumerate()
                .map(|(i, x)| x * (-(i as f32) / rate as f32 * 20.0).exp())
                .collect();
            let hiss = if what.contains("hiss") { -55.0 } else { -90.0 };
            let rest = noise(6 * length, hiss);
            let played = music.len() - length;
            let audio = joined(&[&music[..played], &tail, &rest]);
            let end = played as f32 / rate as f32;
            let (_, pauses) = listen(&audio, rate, 1.5, None);
            assert_eq!(pauses.len(), 1, "{what}: {pauses:?}");
            let (found, prompt_end) = pauses[0];
            assert!((end + 1.5..end + 3.7).contains(&found), "{what}: found {found}, it ended at {end}");
            assert!((end - 1.0..end + 1.1).contains(&prompt_end), "{what}: the prompt ends at {prompt_end}");
        }
    }
}

#[test]
fn a_held_chord_is_no_pause_until_it_has_decayed_or_the_pedal_lifts() {
    let rate = 48_000;
    let music = recording(PIECES[0], rate);
    let music = &music[..8 * rate as usize];
    let audio = joined(&[music, &held(rate, 14.0, 0.12)]);
    let (_, pauses) = listen(&audio, rate, 1.0, None);
    // The chord falls by about 5 dB a second.
    assert_eq!(pauses.len(), 1);
    assert!((8.0 + 4.5..8.0 + 9.0).contains(&pauses[0].0), "{pauses:?}");
    assert!((8.9..9.1).contains(&pauses[0].1), "the prompt ends soon after the chord: {pauses:?}");
    let (_, lifted) = listen(&audio, rate, 1.0, Some(10.0));
    assert!((11.0..11.05).contains(&lifted[0].0), "a second after the lift: {lifted:?}");
    // A pedal that is changed while the music goes on means nothing.
    let (_, changed) = listen(music, rate, 1.0, Some(3.0));
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn new_playing_is_noticed_at_once_and_is_needed_for_another_pause() {
    let rate = 48_000;
    for (name, again) in PIECES.iter().zip(["deb_prel.flac", "bach_846.flac", "chpn_op27_2.flac"]) {
        let first = recording(name, rate);
        let second = recording(again, rate);
        let gap = noise(10 * rate as usize, -80.0);
        let begins = (5 + 10) * rate as usize;
        let audio = joined(&[&first[..5 * rate as usize], &gap, &second[..5 * rate as usize], &gap]);
        let (onsets, pauses) = listen(&audio, rate, 2.0, None);
        assert_eq!(pauses.len(), 2, "{name}: one pause each, none without playing: {pauses:?}");
        // Where the second one is first heard.
        let sounds = begins + second.iter().position(|x| x.abs() > 0.01).unwrap();
        let sounds = sounds as f32 / rate as f32;
        let noticed = onsets.iter().copied().find(|o| *o > 6.0).expect("an onset");
        assert!((sounds - 0.05..sounds + 0.03).contains(&noticed), "{again}: {noticed}, it sounds at {sounds}");
    }
}

#[test]
fn noise_alone_and_a_knock_are_no_playing() {
    let rate = 48_000;
    let mut audio = noise(20 * rate as usize, -50.0);
    audio[5 * rate as usize..][..200].fill(0.4);
    let (_, pauses) = listen(&audio, rate, 0.5, None);
    assert!(pauses.is_empty(), "{pauses:?}");
    let (onsets, _) = listen(&noise(20 * rate as usize, -70.0), rate, 0.5, None);
    assert!(onsets.is_empty(), "{onsets:?}");
    let (onsets, pauses) = listen(&vec![f32::NAN; 200_000], rate, 0.5, None);
    assert!(onsets.is_empty() && pauses.is_empty());
}

#[test]
fn the_seconds_that_are_left_run_down() {
    let rate = 48_000;
    let music = recording(PIECES[0], rate);
    let audio = joined(&[&music[..4 * rate as usize], &vec![0.0; 2 * rate as usize]]);
    let mut listener = Listener::new(rate);
    let (mut clock, mut last) = (0, None);
    for block in audio.chunks(480) {
        listener.push(block, block, clock, 5.0);
        clock += 480;
        let left = listener.seconds_left();
        assert!(left.is_none() || clock > 4 * u64::from(rate), "not while music plays");
        if let (Some(before), Some(now)) = (last, left) {
            assert!(now < before);
        }
        last = left;
    }
    let left = last.expect("it runs");
    assert!((3.0..3.1).contains(&left), "{left}");
}

#[test]
fn a_pedal_lifted_late_in_a_long_block_is_no_pause_at_once() {
    let rate = 48_000;
    let music = recording(PIECES[0], rate);
    let audio = joined(&[&music[..4 * rate as usize], &held(rate, 4.0, 0.12)]);
    let (lift, mut listener, mut found) = (5 * u64::from(rate) + 4_000, Listener::new(rate), None);
    for (n, block) in audio.chunks(8_192).enumerate() {
        let clock = n as u64 * 8_192;
        if (clock..clock + 8_192).contains(&lift) {
            listener.pedal_lifted(lift);
        }
        found = found.or(listener.push(block, block, clock, 1.0).pause);
    }
    let found = found.expect("a pause").found;
    assert!((lift + u64::from(rate)..lift + u64::from(rate) + 1_000).contains(&found), "{found}, lifted at {lift}");
}
