//! The paper's own form of a stage, one token a run: a pack of random weights with a semantic stage and one flattened stage.

mod common;

use common::{assert_alike, assert_side_by_side_is_alone, chords, load, play_on, rms, root, tiny_pack};
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::pack::Pack;
use segue_engine::take::TakeId;
use segue_engine::take_decoder::TakeDecoder;
use std::sync::Arc;

const LIVELY: Sampling = Sampling { temperatures: [1.0, 1.0, 1.0], top_p: 1.0, ..Sampling::DEFAULT };
/// Frames of a row.
const WINDOW: usize = 50;

/// The pack; what its folder lacks is the tiny pack's.
fn pack() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for from in [tiny_pack(), root().join("assets/test/tiny-rows")] {
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let path = folder.path().to_path_buf();
    (folder, path)
}

#[test]
fn it_plays_on_over_many_windows_and_a_seed_decides() {
    let models = {
        let (_folder, path) = pack();
        load(path)
    };
    let played = |seed: u64, sampling: &Sampling| {
        let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 2.5), seed).unwrap();
        let audio = play_on(&mut continuation, sampling, 24_000, 4.0);
        (continuation, audio)
    };
    let (one, audio) = played(5, &LIVELY);
    assert!(rms(&audio[0]) > 1e-4 && audio[0].iter().all(|x| x.is_finite()));
    let frames = one.stage_frames();
    assert_eq!((frames.len(), frames[1].0.as_str()), (2, "acoustic"));
    assert!(frames[1].1 > 3 * WINDOW, "{frames:?}");
    let tokens = one.stage_tokens();
    assert_eq!(tokens[1].1.len(), 4, "all codebooks");
    assert!(tokens[1].1.iter().flatten().all(|id| *id < 32));
    for book in &tokens[1].1 {
        assert!(book.iter().collect::<std::collections::HashSet<_>>().len() > 4, "{book:?}");
    }
    assert_eq!(played(5, &LIVELY).0.stage_tokens(), tokens, "the same seed");
    assert_ne!(played(6, &LIVELY).0.stage_tokens()[1], tokens[1], "another one");
    let greedy = Sampling { temperatures: [0.0; 3], top_p: 0.9, ..Sampling::DEFAULT };
    assert_eq!(played(1, &greedy).0.stage_tokens(), played(2, &greedy).0.stage_tokens(), "greedy needs no seed");
}

#[test]
fn variations_share_what_can_go_side_by_side() {
    let (folder, path) = pack();
    let models = load(path);
    // What is loaded goes on where the pack's folder is gone.
    drop(folder);
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 2.0), 9).unwrap();
    play_on(&mut continuation, &LIVELY, 24_000, 1.0);
    let take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    assert_side_by_side_is_alone(&models, &take, &[3, 4, 5], &LIVELY, 4.0);
}

#[test]
fn a_take_of_it_is_decoded_continued_again_and_gone_on_from() {
    let (_folder, path) = pack();
    let models = load(path);
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 3.0), 9).unwrap();
    let played = play_on(&mut continuation, &LIVELY, 24_000, 2.0);
    let take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    let mut decoder = TakeDecoder::new(&models, &take).unwrap();
    let mut again = Vec::new();
    while let Some([left, _]) = decoder.next_chunk().unwrap() {
        again.extend(left);
    }
    assert_eq!(again.len(), played[0].len());
    let mut retried = Continuation::prefill_take(Arc::clone(&models), &take, 9).unwrap();
    assert_alike(&play_on(&mut retried, &LIVELY, 24_000, 2.0), &played);
    assert_eq!(retried.stage_tokens(), continuation.stage_tokens());
    let mut further = Continuation::prefill_further(Arc::clone(&models), &take, 9).unwrap();
    let more = play_on(&mut further, &LIVELY, 24_000, 2.0);
    assert!(rms(&more[0]) > 1e-4);
}

#[test]
fn a_row_that_does_not_fit_and_offsets_are_refused() {
    let (folder, path) = pack();
    let manifest = folder.path().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    for (from, to, word) in [
        ("window = 50", "window = 51", "window = 51"),
        ("window = 50", "window = 1", "window = 1"),
        ("window = 50", "window = 18446744073709551615", "manifest"),
        ("condition = { stream = \"semantic\" }", "condition = { stream = \"semantic\", offsets = [0] }", "offsets"),
    ] {
        assert!(text.contains(from));
        std::fs::write(&manifest, text.replace(from, to)).unwrap();
        let error = Pack::open(&path).unwrap_err().to_string();
        assert!(error.contains(word), "{to}: {error}");
    }
}
