//! What the integration tests share: where the runtime and the packs are, and prompts.
#![allow(dead_code, missing_docs, reason = "each test binary uses its part")]

use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::models::{LoadRequest, Models};
use segue_engine::take::Take;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// ONNX Runtime, as `cargo xtask runtime` leaves it, unless `SEGUE_RUNTIME` says otherwise.
pub fn runtime() -> Option<PathBuf> {
    if std::env::var_os("SEGUE_RUNTIME").is_some() {
        return None;
    }
    let library = root().join("target/runtime/cpu").join(segue_engine::platform::RUNTIME_LIBRARY);
    assert!(library.exists(), "{} is missing: run `cargo xtask runtime` first", library.display());
    Some(library)
}

/// A pack of random weights, 300 KB: every graph and every rule of the format, no music.
pub fn tiny_pack() -> PathBuf {
    root().join("assets/test/tiny-pack")
}

/// A copy of that, which may be changed.
pub fn copy_of_tiny_pack() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny_pack()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// The pack that ships.
pub fn shipped_pack() -> PathBuf {
    root().join("assets/packs/second")
}

pub fn load(pack: PathBuf) -> Arc<Models> {
    Models::load(&LoadRequest { pack: Some(pack), runtime: runtime(), ..LoadRequest::default() }).unwrap()
}

/// Something like a chord that is struck twice a second, stereo, left louder.
pub fn chords(rate: u32, seconds: f32) -> Vec<Vec<f32>> {
    let n = (rate as f32 * seconds) as usize;
    let sample = |i: usize| {
        let t = i as f32 / rate as f32;
        let decay = (-(t % 0.5) * 6.0).exp();
        [220.0, 277.2, 329.6].iter().map(|f| (std::f32::consts::TAU * f * t).sin()).sum::<f32>() * decay * 0.2
    };
    vec![(0..n).map(sample).collect(), (0..n).map(|i| sample(i) * 0.5).collect()]
}

/// The two sound the same: a decoder forgets where it began, but not to the last bit.
#[allow(dead_code, reason = "not every test of this folder decodes")]
pub fn assert_alike(a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert_eq!(a.len(), b.len(), "channels");
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.len(), b.len());
        let error: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        assert!(rms(&error) < rms(a) * 1e-3, "-60 dB: {} of {}", rms(&error), rms(a));
    }
}

pub fn rms(x: &[f32]) -> f32 {
    (x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len().max(1) as f64).sqrt() as f32
}

/// Continues a take's prompt with these seeds side by side and asserts that each comes out as if it were alone.
pub fn assert_side_by_side_is_alone(
    models: &Arc<Models>,
    take: &Take,
    seeds: &[u64],
    sampling: &Sampling,
    seconds: f32,
) {
    let rate = models.sample_rate();
    let together = Continuation::prefill_together(models, take, seeds).unwrap();
    assert_eq!(together.len(), seeds.len());
    for (mut beside, seed) in together.into_iter().zip(seeds) {
        let mut alone = Continuation::prefill_take(Arc::clone(models), take, *seed).unwrap();
        let heard = [play_on(&mut beside, sampling, rate, seconds), play_on(&mut alone, sampling, rate, seconds)];
        for ((id, beside), (_, alone)) in beside.stage_tokens().iter().zip(alone.stage_tokens()) {
            for (beside, alone) in beside.iter().zip(alone) {
                let common = beside.len().min(alone.len());
                assert!(common >= 100, "{id}: {common}");
                assert_eq!(beside[..common], alone[..common], "{id} of seed {seed}");
            }
        }
        let common = heard[0][0].len().min(heard[1][0].len());
        let error: Vec<f32> = (0..common).map(|n| heard[0][0][n] - heard[1][0][n]).collect();
        assert!(rms(&error) < rms(&heard[1][0][..common]) * 1e-4, "-80 dB, whatever the chunks");
    }
}

/// Steps until there are `seconds` of stereo audio.
pub fn play_on(continuation: &mut Continuation, sampling: &Sampling, rate: u32, seconds: f32) -> [Vec<f32>; 2] {
    let mut audio = [Vec::new(), Vec::new()];
    while audio[0].len() < (seconds * rate as f32) as usize {
        let made = continuation.step(sampling).unwrap();
        for (audio, made) in audio.iter_mut().zip(made) {
            audio.extend(made);
        }
    }
    audio
}
