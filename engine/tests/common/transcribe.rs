//! Spotify's Basic Pitch (assets/test/basic_pitch) as the judge of what was played: mono audio at 22 050 Hz in, notes
//! out. Windows, overlap, thresholds and note creation follow basic-pitch 0.4.0 (inference.py, note_creation.py).
#![allow(dead_code, missing_docs, reason = "each test binary uses its part")]

use super::common::root;
use ort::session::Session;
use ort::value::Tensor;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub const RATE: u32 = 22_050;
const HOP: usize = 256;
/// Samples of one window, and frames and keys the model gives for it.
const WINDOW: usize = 43_844;
const FRAMES: usize = 172;
const KEYS: usize = 88;
const OVERLAP: usize = 30;
const LOWEST_KEY: u8 = 21;
const ONSET: f32 = 0.5;
const FRAME: f32 = 0.3;
/// 127.7 ms.
const SHORTEST: usize = 11;
/// A note ends when it has been below the threshold for so many frames.
const PATIENCE: usize = 11;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Seconds.
    pub onset: f64,
    /// Seconds.
    pub duration: f64,
    /// MIDI pitch.
    pub pitch: u8,
    /// 0–1.
    pub amplitude: f32,
}

/// Frames × keys.
struct Roll(Vec<[f32; KEYS]>);

/// Transcribes in a process of its own, which must run [`child`] when it is asked to: a process has one ONNX Runtime
/// environment, and here it is the engine's.
pub fn notes(mono: &[f32], child_test: &str) -> Vec<Note> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("audio.json"), folder.path().join("notes.json"));
    std::fs::write(&input, serde_json::to_vec(mono).unwrap()).unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", child_test, "--ignored", "--nocapture"])
        .env("SEGUE_TRANSCRIBE", &input)
        .env("SEGUE_TRANSCRIBE_TO", &output)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap()
}

/// What the process does that [`notes`] starts. Does nothing if nobody asked.
pub fn child() {
    let (Some(input), Some(output)) = (std::env::var_os("SEGUE_TRANSCRIBE"), std::env::var_os("SEGUE_TRANSCRIBE_TO"))
    else {
        return;
    };
    let mono: Vec<f32> = serde_json::from_slice(&std::fs::read(PathBuf::from(input)).unwrap()).unwrap();
    let library = super::common::runtime().unwrap_or_else(|| std::env::var_os("SEGUE_RUNTIME").unwrap().into());
    std::fs::write(PathBuf::from(output), serde_json::to_vec(&transcribe(&library, &mono)).unwrap()).unwrap();
}

fn transcribe(library: &Path, mono: &[f32]) -> Vec<Note> {
    let environment = ort::init_from(library).unwrap().build().unwrap();
    let model = root().join("assets/test/basic_pitch/nmp.onnx");
    let mut session =
        Session::builder(&environment).unwrap().with_intra_threads(1).unwrap().commit_from_file(model).unwrap();
    let padded = [vec![0.0; OVERLAP / 2 * HOP], mono.to_vec()].concat();
    let (mut frames, mut onsets) = (Roll(Vec::new()), Roll(Vec::new()));
    for begin in (0..padded.len()).step_by(WINDOW - OVERLAP * HOP) {
        let mut window = padded[begin..(begin + WINDOW).min(padded.len())].to_vec();
        window.resize(WINDOW, 0.0);
        let input = Tensor::from_array(([1_usize, WINDOW, 1], window)).unwrap();
        let outputs = session.run(ort::inputs!["serving_default_input_2:0" => input]).unwrap();
        for (roll, name) in [(&mut frames, "StatefulPartitionedCall:1"), (&mut onsets, "StatefulPartitionedCall:2")] {
            let (_, values) = outputs[name].try_extract_tensor::<f32>().unwrap();
            let rows = values.chunks_exact(KEYS).take(FRAMES - OVERLAP / 2).skip(OVERLAP / 2);
            roll.0.extend(rows.map(|row| <[f32; KEYS]>::try_from(row).unwrap()));
        }
    }
    let length = mono.len() * (RATE as usize / HOP) / RATE as usize;
    frames.0.truncate(length);
    onsets.0.truncate(length);
    create_notes(&frames, &onsets)
}

/// Onsets as the model gives them, or where a key's activation jumps.
fn inferred_onsets(frames: &Roll, onsets: &Roll) -> Roll {
    let mut jumps = Roll(vec![[0.0; KEYS]; frames.0.len()]);
    for t in 2..frames.0.len() {
        for key in 0..KEYS {
            let now = frames.0[t][key];
            jumps.0[t][key] = (now - frames.0[t - 1][key]).min(now - frames.0[t - 2][key]).max(0.0);
        }
    }
    let most = |roll: &Roll| roll.0.iter().flatten().copied().fold(0.0_f32, f32::max);
    let scale = most(onsets) / most(&jumps).max(1e-9);
    for (jumps, onsets) in jumps.0.iter_mut().flatten().zip(onsets.0.iter().flatten()) {
        *jumps = (*jumps * scale).max(*onsets);
    }
    jumps
}

fn create_notes(frames: &Roll, onsets: &Roll) -> Vec<Note> {
    let count = frames.0.len();
    if count < 3 {
        return Vec::new();
    }
    let onsets = inferred_onsets(frames, onsets);
    let mut left = Roll(frames.0.clone());
    let mut notes = Vec::new();
    let is_peak = |t: usize, key: usize| {
        let at = |t: usize| onsets.0[t][key];
        at(t) >= ONSET && at(t) > at(t - 1) && at(t) > at(t + 1)
    };
    // Backwards in time, as the original does: later notes claim their energy first.
    for t in (1..count - 1).rev() {
        for key in (0..KEYS).rev().filter(|key| is_peak(t, *key)) {
            let end = walk(&left, key, (t + 1..count - 1).collect());
            let end = end.map_or(t + 1, |last| last + 1);
            if end - t <= SHORTEST {
                continue;
            }
            for row in &mut left.0[t..end] {
                clear(row, key);
            }
            notes.push(note(frames, t, end, key));
        }
    }
    // What is still loud without an onset ("melodia trick").
    loop {
        let flat = left.0.iter().flatten().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((index, loudest)) = flat.filter(|(_, loudest)| *loudest > FRAME) else { break };
        let (middle, key) = (index / KEYS, index % KEYS);
        debug_assert!(loudest.is_finite());
        let forward: Vec<usize> = (middle + 1..count - 1).collect();
        let backward: Vec<usize> = (1..middle).rev().collect();
        let end = walk_and_clear(&mut left, key, &forward).unwrap_or(middle);
        let start = walk_and_clear(&mut left, key, &backward).unwrap_or(middle);
        left.0[middle][key] = 0.0;
        if end - start > SHORTEST {
            notes.push(note(frames, start, end, key));
        }
    }
    notes.sort_by(|a, b| a.onset.total_cmp(&b.onset));
    notes
}

/// The last of these frames in which the key still sounds, before it is silent for too long.
fn walk(left: &Roll, key: usize, path: Vec<usize>) -> Option<usize> {
    let (mut quiet, mut last) = (0, None);
    for t in path {
        if left.0[t][key] < FRAME {
            quiet += 1;
            if quiet == PATIENCE {
                break;
            }
        } else {
            (quiet, last) = (0, Some(t));
        }
    }
    last
}

fn walk_and_clear(left: &mut Roll, key: usize, path: &[usize]) -> Option<usize> {
    let (mut quiet, mut last) = (0, None);
    for &t in path {
        let sounds = left.0[t][key] >= FRAME;
        clear(&mut left.0[t], key);
        if sounds {
            (quiet, last) = (0, Some(t));
        } else {
            quiet += 1;
            if quiet == PATIENCE {
                break;
            }
        }
    }
    last
}

/// A key and its neighbours: their share of it is not a note.
fn clear(row: &mut [f32; KEYS], key: usize) {
    row[key.saturating_sub(1)..=(key + 1).min(KEYS - 1)].fill(0.0);
}

fn note(frames: &Roll, start: usize, end: usize, key: usize) -> Note {
    let amplitude = frames.0[start..end].iter().map(|row| row[key]).sum::<f32>() / (end - start) as f32;
    let (onset, over) = (seconds(start), seconds(end));
    Note { onset, duration: over - onset, pitch: LOWEST_KEY + key as u8, amplitude }
}

/// The model's windows do not hold a whole number of hops.
fn seconds(frame: usize) -> f64 {
    let hop = HOP as f64 / f64::from(RATE);
    let per_window = hop * (FRAMES as f64 - WINDOW as f64 / HOP as f64) + 0.0018;
    frame as f64 * hop - per_window * (frame / FRAMES) as f64
}
