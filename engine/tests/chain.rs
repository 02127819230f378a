//! The whole chain through ONNX Runtime on a pack of random weights: everything but the music.

mod common;

use common::{
    assert_alike, assert_side_by_side_is_alone, chords, copy_of_tiny_pack, load, play_on, rms, runtime, tiny_pack,
};
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::error::Error;
use segue_engine::models::{LoadRequest, Models};
use segue_engine::prompt::{OpenPrompt, Phase};
use segue_engine::take::{Loudness, Take, TakeId};
use segue_engine::take_decoder::TakeDecoder;
use std::sync::Arc;

const LIVELY: Sampling = Sampling { temperatures: [1.0, 1.0, 1.0], top_p: 1.0, ..Sampling::DEFAULT };

fn tokens(models: &Arc<Models>, seed: u64, sampling: &Sampling) -> Vec<(String, Vec<Vec<u16>>)> {
    let mut continuation = Continuation::prefill(Arc::clone(models), &chords(24_000, 2.0), seed).unwrap();
    play_on(&mut continuation, sampling, 24_000, 1.0);
    continuation.stage_tokens()
}

/// All of a take's continuation.
fn decoded(models: &Models, take: &Take) -> [Vec<f32>; 2] {
    let mut decoder = TakeDecoder::new(models, take).unwrap();
    let mut audio = [Vec::new(), Vec::new()];
    while let Some(chunk) = decoder.next_chunk().unwrap() {
        for (audio, chunk) in audio.iter_mut().zip(chunk) {
            audio.extend(chunk);
        }
    }
    audio
}

#[test]
fn a_seed_decides_and_each_temperature_changes_only_what_follows_it() {
    let models = load(tiny_pack());
    let base = tokens(&models, 5, &LIVELY);
    assert_eq!(base, tokens(&models, 5, &LIVELY), "same seed, same tokens");
    assert_ne!(base[0].1, tokens(&models, 6, &LIVELY)[0].1, "another seed, other tokens");
    for place in 0..3 {
        let mut sampling = LIVELY;
        sampling.temperatures[place] = 0.3;
        let other = tokens(&models, 5, &sampling);
        for earlier in 0..place {
            assert_eq!(base[earlier].1, other[earlier].1, "temperature {place} must not touch stage {earlier}");
        }
        assert_ne!(base[place].1, other[place].1, "temperature {place} changes its own stage");
    }
    let greedy = Sampling { temperatures: [0.0; 3], top_p: 0.9, ..Sampling::DEFAULT };
    assert_eq!(tokens(&models, 1, &greedy), tokens(&models, 2, &greedy), "greedy needs no seed");
}

#[test]
fn it_plays_as_many_notes_as_it_is_asked_for_and_is_held_as_closely() {
    let models = load(tiny_pack());
    let played = |sampling: &Sampling| {
        let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 4.0), 5).unwrap();
        play_on(&mut continuation, sampling, 24_000, 12.0);
        let semantic = continuation.stage_tokens().swap_remove(0).1.swap_remove(0);
        // The tiny pack's notes are tokens 1 to 88 of the first codebook.
        (semantic.iter().filter(|token| (1..89).contains(*token)).count(), semantic)
    };
    let with = |hold: f32, density: f32| played(&Sampling { hold, density, ..LIVELY });
    let usual = with(1.0, 1.0);
    let (few, many) = (with(1.0, 0.5).0, with(1.0, 2.0).0);
    assert!(few < usual.0 && usual.0 < many, "{few}, {}, {many}", usual.0);
    assert!(with(0.0, 0.5).0 < with(0.0, 2.0).0, "it is tried without a hold too");
    let (free, close) = (with(0.0, 1.0), with(2.0, 1.0));
    assert!(free.1 != usual.1 && close.1 != usual.1, "how closely it is held is heard");
}

#[test]
fn goes_on_past_the_end_of_every_cache() {
    // The tiny pack's caches hold 128 positions: 5 s of semantic and 2.5 s of acoustic frames.
    let models = load(tiny_pack());
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 10.0), 3).unwrap();
    let audio = play_on(&mut continuation, &LIVELY, 24_000, 8.0);
    assert!(rms(&audio[0]) > 1e-4 && audio[0].iter().all(|x| x.is_finite()));
    let frames = continuation.stage_frames();
    assert!(frames[0].1 >= 200 && frames[1].1 >= 400 && frames[1].1 == frames[2].1, "{frames:?}");
}

#[test]
fn a_take_decodes_to_what_was_played() {
    let models = load(tiny_pack());
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 3.0), 9).unwrap();
    let played = play_on(&mut continuation, &LIVELY, 24_000, 2.0);
    let take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    assert_eq!((take.provenance.seed, take.continuation_samples, take.prompt_samples), (9, played[0].len(), 72_000));
    // As a project keeps it.
    let take = serde_json::from_str(&serde_json::to_string(&take).unwrap()).unwrap();
    let again = decoded(&models, &take);
    assert_alike(&played, &again);
    // The tiny pack is stereo: the two channels are not one and the same. (Balance of mono packs: see signals.rs.)
    let side: Vec<f32> = again[0].iter().zip(&again[1]).map(|(l, r)| l - r).collect();
    assert!(rms(&side) > 1e-2 * rms(&again[0]));
}

#[test]
fn a_take_is_as_loud_as_it_was_made_and_without_a_hold_as_the_pack_decodes_it() {
    let models = load(tiny_pack());
    let made = |hold: f32| {
        let sampling = Sampling { hold, ..LIVELY };
        let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 3.0), 9).unwrap();
        play_on(&mut continuation, &sampling, 24_000, 6.0);
        continuation.take(TakeId(1), "Take 1".into(), &sampling)
    };
    let level = |take: &Take| rms(&decoded(&models, take)[0][96_000..]);
    let held = made(1.0);
    let before = Take { loudness: None, ..held.clone() };
    // What it strays by then, and the half of it.
    let (strayed, left) = (level(&before) / rms(&chords(24_000, 3.0)[0]), level(&held) / rms(&chords(24_000, 3.0)[0]));
    assert!((strayed.log10() - left.log10()).abs() > 0.3 * strayed.log10().abs(), "{strayed} {left}");
    assert!(left.log10().abs() < 0.7 * strayed.log10().abs(), "{strayed} {left}");
    assert_eq!(made(0.0).loudness, None);
    let nonsense = Take { loudness: held.loudness.clone().map(|law| Loudness { seconds: f32::NAN, ..law }), ..held };
    assert!(matches!(TakeDecoder::new(&models, &nonsense), Err(Error::Request(_))));
}

#[test]
fn what_falls_silent_goes_back_to_its_prompt_and_plays_on() {
    let models = load(tiny_pack());
    let begin = || Continuation::prefill(Arc::clone(&models), &chords(24_000, 3.0), 9).unwrap();
    let mut usual = begin();
    play_on(&mut usual, &LIVELY, 24_000, 5.0);
    let mut lost = begin();
    // As if all of it were too soft.
    lost.expect_level(200.0);
    let played = play_on(&mut lost, &LIVELY, 24_000, 5.0);
    // 1.2 s of silence, and to the end of the 32 frames it is in, so before the 100th frame it is like the other.
    let [usual_tokens, lost_tokens] = [usual.stage_tokens(), lost.stage_tokens()];
    for ((id, usual), (_, lost)) in usual_tokens.iter().zip(&lost_tokens) {
        let same = usual[0].iter().zip(&lost[0]).take_while(|(a, b)| a == b).count();
        let rate = if id == "semantic" { 25 } else { 50 };
        assert!((60 * rate / 50..100 * rate / 50 + 8).contains(&same), "{id}: {same} frames alike");
        assert!(lost[0].len() >= 5 * rate - 8, "{id}: {} frames", lost[0].len());
    }
    // The streams stay side by side, and the take is what was played.
    let take = lost.take(TakeId(1), "Take 1".into(), &LIVELY);
    assert!((take.semantic.frames() * 2).abs_diff(take.acoustic.frames()) < 16);
    assert_eq!(lost.stage_frames()[1].1, lost_tokens[1].1[0].len());
    let again = decoded(&models, &take);
    assert_alike(&played, &again);
    // However the steps are cut, and in whatever order.
    let seeds = [9, 2, 3];
    let mut together = Continuation::prefill_together(&models, &take, &seeds).unwrap();
    // The last one does not lose the thread.
    together[..2].iter_mut().for_each(|one| one.expect_level(200.0));
    let mut heard = vec![Vec::new(); 3];
    for seconds in [2.0, 1.0, 2.0, 1.0] {
        for (one, heard) in together.iter_mut().zip(&mut heard) {
            heard.extend_from_slice(&play_on(one, &LIVELY, 24_000, seconds)[0]);
        }
    }
    for ((beside, mut heard), seed) in together.into_iter().zip(heard).zip(seeds) {
        let mut alone = Continuation::prefill_take(Arc::clone(&models), &take, seed).unwrap();
        if seed != seeds[2] {
            alone.expect_level(200.0);
        }
        let mut expected = play_on(&mut alone, &LIVELY, 24_000, 6.0)[0].clone();
        let samples = heard.len().min(expected.len());
        heard.truncate(samples);
        expected.truncate(samples);
        assert_alike(&[heard], &[expected]);
        for ((id, beside), (_, alone)) in beside.stage_tokens().iter().zip(alone.stage_tokens()) {
            let common = beside[0].len().min(alone[0].len());
            assert!(common > 130 && beside[0][..common] == alone[0][..common], "{id} of seed {seed}");
        }
    }
}

#[test]
fn what_is_played_is_as_dense_as_the_pack_wants_it() {
    let played = |share: &str| {
        let folder = copy_of_tiny_pack();
        let manifest = std::fs::read_to_string(folder.path().join("manifest.toml")).unwrap();
        let steered = "share = 1.0, gain = 2.0, most = 2.0";
        assert!(manifest.contains(steered));
        let changed = manifest.replace(steered, share);
        std::fs::write(folder.path().join("manifest.toml"), changed).unwrap();
        let models = load(folder.path().into());
        let mut continuation = Continuation::prefill(models, &chords(24_000, 3.0), 9).unwrap();
        play_on(&mut continuation, &LIVELY, 24_000, 8.0);
        let (_, semantic) = continuation.stage_tokens().swap_remove(0);
        // 0 is nothing, from 89 on are the rests.
        semantic[0].iter().take(190).filter(|token| (1..89).contains(*token)).count()
    };
    let by_itself = played("share = 1.0, gain = 0.0, most = 2.0");
    let calmed = played("share = 0.1, gain = 5.0, most = 5.0");
    assert!(calmed * 2 < by_itself, "{calmed} notes instead of {by_itself}");
}

#[test]
fn a_takes_prompt_can_be_continued_again_from_its_tokens() {
    let models = load(tiny_pack());
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 3.0), 9).unwrap();
    let played = play_on(&mut continuation, &LIVELY, 24_000, 1.0);
    let take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    let mut again = Continuation::prefill_take(Arc::clone(&models), &take, 9).unwrap();
    assert_alike(&play_on(&mut again, &LIVELY, 24_000, 1.0), &played);
    assert_eq!(again.stage_tokens(), continuation.stage_tokens());
    let mut other = Continuation::prefill_take(Arc::clone(&models), &take, 10).unwrap();
    play_on(&mut other, &LIVELY, 24_000, 1.0);
    assert_ne!(other.stage_tokens(), continuation.stage_tokens(), "another seed gives another");
    let mut prompt = TakeDecoder::prompt(&models, &take).unwrap();
    let mut samples = 0;
    while let Some(chunk) = prompt.next_chunk().unwrap() {
        samples += chunk[0].len();
    }
    assert_eq!(samples, 72_000, "the prompt can be heard again too");
}

#[test]
fn a_prompt_taken_in_while_it_is_played_is_continued_as_one_taken_in_at_once() {
    let models = load(tiny_pack());
    let cut = |planes: &[Vec<f32>], range: std::ops::Range<usize>| -> Vec<Vec<f32>> {
        planes.iter().map(|plane| plane[range.clone()].to_vec()).collect()
    };
    let prompt = chords(24_000, 2.4);
    let (beginning, samples) = (cut(&prompt, 0..30_000), prompt[0].len());
    let mut at_once = OpenPrompt::new(Arc::clone(&models), &beginning).unwrap().close(&prompt, 5, None).unwrap();
    let expected = play_on(&mut at_once, &LIVELY, 24_000, 2.0);
    // Behind for a while, then ready and on by odd amounts, closed with more or with nothing.
    for last in [samples, samples - 1, samples - 3_001] {
        let mut open = OpenPrompt::new(Arc::clone(&models), &beginning).unwrap();
        let mut from = 0;
        for (to, phase) in
            [(20_000, Phase::Behind), (30_000, Phase::Behind), (30_001, Phase::Ready), (41_777, Phase::Ready)]
                .into_iter()
                .chain([(last, Phase::Ready)])
        {
            open.take_in(&cut(&prompt, from..to), phase).unwrap();
            assert_eq!(open.samples(), to);
            from = to;
        }
        let mut on_the_way = open.close(&cut(&prompt, from..samples), 5, Some(&LIVELY)).unwrap();
        let heard = play_on(&mut on_the_way, &LIVELY, 24_000, 2.0);
        assert_eq!(on_the_way.stage_tokens(), at_once.stage_tokens(), "last {last}");
        assert_alike(&heard, &expected);
        let take = |continuation: &Continuation| {
            let take = continuation.take(TakeId(1), String::new(), &LIVELY);
            (take.acoustic, take.semantic, take.prompt_samples)
        };
        assert_eq!(take(&on_the_way), take(&at_once));
    }
    // Longer than the caches hold.
    let long = chords(24_000, 7.0);
    let mut open = OpenPrompt::new(Arc::clone(&models), &cut(&long, 0..48_000)).unwrap();
    for from in (0..120_000).step_by(4_000) {
        open.take_in(&cut(&long, from..from + 4_000), Phase::Ready).unwrap();
    }
    let mut continuation = open.close(&cut(&long, 120_000..168_000), 1, None).unwrap();
    let audio = play_on(&mut continuation, &LIVELY, 24_000, 3.0);
    assert!(rms(&audio[0]) > 1e-4 && audio[0].iter().all(|x| x.is_finite()));
}

#[test]
fn variations_made_together_are_those_made_one_by_one() {
    let models = load(tiny_pack());
    assert_eq!(models.lanes(), 8);
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 2.0), 9).unwrap();
    play_on(&mut continuation, &LIVELY, 24_000, 1.0);
    let take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    // One group, and two of unequal size; over the end of the caches.
    for seeds in [&[9, 2][..], &[1, 2, 3, 4, 5, 6, 7]] {
        assert_side_by_side_is_alone(&models, &take, seeds, &LIVELY, 4.0);
    }
    // Longer than the sound of one may wait for the other to end.
    assert_side_by_side_is_alone(&models, &take, &[3, 4], &LIVELY, 25.0);
    let many: Vec<u64> = (0..12).collect();
    assert_eq!(Continuation::prefill_together(&models, &take, &many).unwrap().len(), 8);
    assert_eq!(Continuation::prefill_together(&models, &take, &many[..1]).unwrap().len(), 1);
}

#[test]
fn goes_on_from_a_takes_end_without_a_seam_and_without_encoding() {
    let models = load(tiny_pack());
    // A short one, and one that is longer than the stages remember.
    for (prompt, length, asked) in [(3.0, 1.0, 20_000), (6.0, 4.0, 90_000)] {
        let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, prompt), 9).unwrap();
        let played = play_on(&mut continuation, &LIVELY, 24_000, length);
        // The last chunk reaches beyond what was asked for: the rest of it is known already.
        let take = continuation.take_up_to(TakeId(1), "Take 1".into(), &LIVELY, asked);
        let mut further = Continuation::prefill_further(Arc::clone(&models), &take, 10).unwrap();
        let on = play_on(&mut further, &LIVELY, 24_000, 1.0);
        let known = played[0].len() - asked;
        assert!(known > 0);
        for (on, played) in on.iter().zip(&played) {
            let error: Vec<f32> = on.iter().zip(&played[asked..]).map(|(a, b)| a - b).collect();
            assert!(
                // The hundredths of a second by which loudness is followed begin elsewhere.
                rms(&error[..known]) < rms(&played[asked..]) * 1e-2,
                "the first {known} samples are the old take's"
            );
        }
        let child = further.take(TakeId(2), "Take 2".into(), &LIVELY);
        assert_eq!(child.continuation_samples, on[0].len());
        assert!(child.prompt_samples <= take.prompt_samples + asked);
        let cut = take.prompt_samples + asked - child.prompt_samples;
        assert!(cut.is_multiple_of(960) && (cut > 0) == (prompt > 5.0), "{cut} samples were forgotten");
        // Its prompt is the old take, token for token.
        let books = take.acoustic.codebooks;
        let old = &take.acoustic.ids[cut / 480 * books..];
        assert_eq!(&child.acoustic.ids[..old.len()], old);
        assert_eq!(child.semantic.ids[..100], take.semantic.ids[cut / 960 * take.semantic.codebooks..][..100]);
        // And it decodes to what was played.
        let [again, _] = decoded(&models, &child);
        let error: Vec<f32> = on[0].iter().zip(&again).map(|(a, b)| a - b).collect();
        assert_eq!(again.len(), on[0].len());
        assert!(rms(&error) < rms(&again) * 1e-3);
    }
}

#[test]
fn a_take_of_another_pack_is_refused_by_name() {
    let models = load(tiny_pack());
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 2.0), 9).unwrap();
    play_on(&mut continuation, &LIVELY, 24_000, 0.2);
    let mut take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    take.provenance.pack_hash = "0123".into();
    take.provenance.pack = "other 2".into();
    let error = TakeDecoder::new(&models, &take).unwrap_err();
    assert!(matches!(error, Error::TakePackMissing { .. }) && error.to_string().contains("other 2"));
}

#[test]
fn a_take_of_an_earlier_version_with_the_same_tokens_plays_on() {
    let models = load(tiny_pack());
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 2.0), 9).unwrap();
    play_on(&mut continuation, &LIVELY, 24_000, 0.2);
    let take = continuation.take(TakeId(1), "Take 1".into(), &LIVELY);
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(tiny_pack()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let manifest = folder.path().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let known = format!("same_tokens = [\"{}\"]\nname = ", take.provenance.pack_hash);
    std::fs::write(&manifest, text.replacen("name = ", &known, 1)).unwrap();
    let newer = load(folder.path().into());
    assert_ne!(newer.provenance_pack().1, take.provenance.pack_hash);
    assert!(TakeDecoder::new(&newer, &take).unwrap().next_chunk().unwrap().is_some());
    assert!(Continuation::prefill_take(newer, &take, 9).is_ok());
}

#[test]
fn refuses_prompts_and_settings_that_make_no_sense() {
    let models = load(tiny_pack());
    let refused =
        |prompt: &[Vec<f32>]| matches!(Continuation::prefill(Arc::clone(&models), prompt, 1), Err(Error::Request(_)));
    assert!(refused(&[]), "no channels");
    assert!(refused(&[vec![]]), "empty");
    assert!(refused(&[vec![0.0; 48_000]]), "silent");
    assert!(refused(&[vec![0.1; 100]]), "too short");
    assert!(refused(&[vec![f32::NAN; 48_000]]), "NaN");
    assert!(refused(&[vec![0.1; 48_000], vec![0.1; 47_000]]), "ragged");
    let mut continuation = Continuation::prefill(Arc::clone(&models), &chords(24_000, 2.0), 1).unwrap();
    assert!(
        continuation.step(&Sampling { temperatures: [0.6, f32::NAN, 0.6], top_p: 0.9, ..Sampling::DEFAULT }).is_err()
    );
    assert!(continuation.step(&Sampling::default()).is_ok(), "and goes on");
}

#[test]
fn instances_share_the_weights() {
    let (a, b) = (load(tiny_pack()), load(tiny_pack()));
    assert!(Arc::ptr_eq(&a, &b));
}

#[test]
fn a_damaged_graph_is_refused_before_the_runtime_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny_pack()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let graph = folder.path().join("stage_coarse.onnx");
    let mut bytes = std::fs::read(&graph).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&graph, bytes).unwrap();
    // Two threads: with one, the weights of the undamaged copy may be in memory already and would be shared.
    let request =
        LoadRequest { pack: Some(folder.path().into()), runtime: runtime(), threads: 2, ..LoadRequest::default() };
    let error = Models::load(&request).unwrap_err();
    assert!(error.to_string().contains("stage_coarse.onnx") && error.to_string().contains("sha256"), "{error}");
}

#[test]
fn a_device_that_fails_in_the_middle_of_a_take_costs_no_token() {
    let request = LoadRequest { pack: Some(tiny_pack()), runtime: runtime(), ..LoadRequest::default() };
    // What a device does is done by the runtime, as on a device that never fails.
    let models = Models::on_a_device_that_fails(&request, u32::MAX).unwrap();
    let prompt = chords(models.sample_rate(), 3.0);
    let play = |models: &Arc<Models>| {
        let mut one = Continuation::prefill(Arc::clone(models), &prompt, 7).unwrap();
        let audio = play_on(&mut one, &LIVELY, models.sample_rate(), 6.0);
        (audio, one.take(TakeId(1), "Take 1".into(), &LIVELY))
    };
    let (wanted, take) = play(&models);
    assert!(models.lost().is_none());
    // Each graph at its first run, the prompt's; and long after.
    for after in [0, 40] {
        let failing = Models::on_a_device_that_fails(&request, after).unwrap();
        assert!(failing.lost().is_none() && failing.summary().device == "cuda");
        let (heard, again) = play(&failing);
        assert_eq!(wanted, heard, "after {after} runs");
        assert_eq!((take.semantic.clone(), take.acoustic.clone()), (again.semantic, again.acoustic));
        assert_eq!(again.provenance.device, "cpu");
        let said = failing.lost().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("cuda") && said.contains("lost"), "{said}");
    }
}
