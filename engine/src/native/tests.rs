use super::*;
use crate::graph::Graph;
use crate::pack::Pack;
use crate::pack::manifest::{Stage as Spec, StageKind};
use crate::runtime::{self, Device, How};
use crate::sampler::{Draw, Noise};
use crate::signals::Signals;
use crate::stages::runner::{Network, Runner, Transformer};
use crate::tokenizers::{Decoder, DecoderModel};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn pack(folder: &str) -> Pack {
    crate::pack::find(Some(&root().join("assets").join(folder))).unwrap()
}

fn native(pack: &Pack, spec: &Spec) -> Runner {
    Runner::native(pack, spec).unwrap().expect("the graph says what it is")
}

/// A stage with a prompt taken in, and tokens that condition it by steps.
struct Case {
    spec: Spec,
    window: usize,
    draw: Draw,
    ids: u32,
}

impl Case {
    fn next(&mut self, below: usize) -> i64 {
        self.ids = self.ids.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i64::from(self.ids >> 8) % below as i64
    }

    /// So many positions of any tokens, and of what conditions them.
    fn tokens(&mut self, positions: usize) -> (Vec<i64>, Vec<i64>) {
        let codes = (0..positions * self.spec.codebooks).map(|_| self.next(self.spec.cardinality)).collect();
        let cond = (0..positions * self.window).map(|_| self.next(self.spec.cardinality)).collect();
        (codes, cond)
    }
}

/// What each step of a transformer samples that is told what another has sampled; and how likely it finds that.
type Steps = Vec<(Vec<i64>, Vec<f32>)>;

/// Takes in 70 positions and makes so many frames; `told`: what each has sampled, if not what it samples itself.
fn played(runner: &Runner, case: &mut Case, frames: usize, told: Option<&Steps>) -> Steps {
    let spec = case.spec.clone();
    let window = (case.window > 0).then_some(case.window);
    let mut model = Transformer::new(&spec, runner, window, 1).unwrap();
    let mut noise = Noise::new(3, 1, spec.codebooks * spec.candidates);
    let (codes, cond) = case.tokens(70);
    model.run(&codes, &cond).unwrap();
    let mut last = codes[codes.len() - spec.codebooks..].to_vec();
    let mut steps = Steps::new();
    for frame in 0..frames {
        let (_, cond) = case.tokens(1);
        let draw = case.draw;
        model.draw(draw, |out, tilt| {
            noise.fill(frame, draw.greedy, out);
            lean(tilt, frame + 1);
        });
        model.run(&last, &cond).unwrap();
        let (ids, log_prob) = model.sampled();
        steps.push((ids.to_vec(), log_prob.to_vec()));
        last = told.map_or(ids, |told| &told[frame].0).to_vec();
    }
    steps
}

/// Some tilt, another for each `which`.
fn lean(tilt: &mut [f32], which: usize) {
    tilt.iter_mut().enumerate().for_each(|(i, tilt)| *tilt = (i as f32 * which as f32).sin());
}

fn cases(pack: &Pack) -> Vec<(Spec, usize)> {
    let of_transformers = |spec: &&Spec| spec.kind == StageKind::Autoregressive;
    let stages = pack.manifest.stages.iter().filter(of_transformers);
    stages.map(|spec| (spec.clone(), pack.manifest.condition_window(spec).unwrap_or(0))).collect()
}

/// A session of the runtime.
fn session(pack: &Pack, spec: &Spec) -> Runner {
    Runner::Session(session_of(pack, &spec.graph))
}

fn session_of(pack: &Pack, graph: &str) -> Arc<Graph> {
    let library = root().join("target/runtime/cpu").join(crate::platform::RUNTIME_LIBRARY);
    let chosen = std::env::var_os("SEGUE_RUNTIME").is_none().then_some(library);
    runtime::load(chosen.as_deref()).unwrap();
    let how = How { device: Device::Cpu, threads: 1, profile: None };
    Arc::new(Graph::load(pack, graph, &how).unwrap())
}

#[test]
fn it_plays_what_the_runtime_plays() {
    for folder in ["test/tiny-pack", "packs/second"] {
        let pack = pack(folder);
        for (spec, window) in cases(&pack) {
            let session = session(&pack, &spec);
            for draw in [Draw::new(0.8, 0.98), Draw::new(0.0, 1.0)] {
                let mut case = Case { spec: spec.clone(), window, draw, ids: 5 };
                let wanted = played(&session, &mut case, 50, None);
                case.ids = 5;
                let found = played(&native(&pack, &spec), &mut case, 50, Some(&wanted));
                let (mut alike, mut all) = (0, 0);
                let mut off = Vec::new();
                for ((ids, probable), (wanted, wanted_probable)) in found.iter().zip(&wanted) {
                    for (book, id) in ids.iter().enumerate() {
                        all += 1;
                        if id != &wanted[book] {
                            // Of those behind it in this frame others are likely.
                            break;
                        }
                        alike += 1;
                        off.push((probable[book] - wanted_probable[book]).abs());
                    }
                }
                off.sort_unstable_by(f32::total_cmp);
                let (median, most) = (off[off.len() / 2], off[off.len() * 99 / 100]);
                let said = format!("{folder} {}: {alike} of {all} alike, off by {median}, {most}", spec.id);
                // Both round what they multiply to bytes: what is nearly a tie goes either way, and guidance doubles that.
                assert!(alike * 100 >= all * 75 && median < 0.05 && most < 0.3, "{said}");
            }
        }
    }
}

#[test]
fn every_kind_of_processor_plays_alike_and_a_lane_as_alone() {
    let pack = pack("test/tiny-pack");
    for (spec, window) in cases(&pack) {
        let Runner::Native { weights, label } = native(&pack, &spec) else { unreachable!("it is native") };
        let mut weights = Arc::into_inner(weights).unwrap();
        let mut all: Vec<Steps> = Vec::new();
        for processor in Processor::all() {
            weights.processor = processor;
            let shared = Arc::new(weights);
            let runner = Runner::Native { weights: Arc::clone(&shared), label: label.clone() };
            let draw = Draw::new(0.8, 0.98);
            let mut case = Case { spec: spec.clone(), window, draw, ids: 9 };
            all.push(played(&runner, &mut case, 20, all.first()));
            side_by_side(&runner, &mut case);
            drop(runner);
            weights = Arc::into_inner(shared).unwrap();
        }
        for other in &all[1..] {
            let same = all[0].iter().zip(other).filter(|(a, b)| a.0 == b.0).count();
            assert!(same >= 18, "{}: {same} of 20", spec.id);
        }
    }
}

/// Three lanes cut from one prompt, each with noise of its own, against each of them alone: to the last bit.
fn side_by_side(runner: &Runner, case: &mut Case) {
    let spec = case.spec.clone();
    let window = (case.window > 0).then_some(case.window);
    let (codes, cond) = case.tokens(45);
    let (_, later) = case.tokens(6);
    let steps = |seeds: &[u64]| {
        let mut prompt = Transformer::new(&spec, runner, window, 1).unwrap();
        // At once, or bit by bit.
        let cut = if seeds.len() > 1 { 0 } else { 17 };
        for part in [0..cut, cut..45] {
            let codes = &codes[part.start * spec.codebooks..part.end * spec.codebooks];
            let cond = &cond[part.start * case.window..part.end * case.window];
            if !codes.is_empty() {
                prompt.run(codes, cond).unwrap();
            }
        }
        let mut lanes = Transformer::new(&spec, runner, window, seeds.len()).unwrap();
        lanes.remember(&prompt);
        let size = spec.codebooks * spec.candidates;
        let mut noise: Vec<Noise> = seeds.iter().map(|seed| Noise::new(*seed, 1, size)).collect();
        let mut last = codes[codes.len() - spec.codebooks..].repeat(seeds.len());
        let mut found = vec![Steps::new(); seeds.len()];
        for frame in 0..6 {
            lanes.draw(case.draw, |out, tilt| {
                let tilts = tilt.chunks_exact_mut(spec.tilts().max(1));
                tilts.zip(seeds).for_each(|(tilt, seed)| lean(tilt, *seed as usize));
                for (noise, out) in noise.iter_mut().zip(out.chunks_exact_mut(size)) {
                    noise.fill(frame, false, out);
                }
            });
            lanes.run(&last, &later[frame * case.window..][..case.window].repeat(seeds.len())).unwrap();
            let (ids, probable) = lanes.sampled();
            for (lane, found) in found.iter_mut().enumerate() {
                let own = lane * spec.codebooks..(lane + 1) * spec.codebooks;
                found.push((ids[own.clone()].to_vec(), probable[own].to_vec()));
            }
            last = ids.to_vec();
        }
        found
    };
    let together = steps(&[1, 2, 3]);
    assert_ne!(together[0], together[1]);
    for (seed, lane) in [1, 2, 3].iter().zip(together) {
        assert_eq!(steps(&[*seed])[0], lane);
    }
}

#[test]
fn a_graph_that_promises_what_it_does_not_hold_is_refused_and_one_that_promises_nothing_is_not_ours() {
    let pack = pack("test/tiny-pack");
    let spec = pack.manifest.stages.iter().find(|spec| spec.id == "coarse").unwrap();
    let window = pack.manifest.condition_window(spec).unwrap_or(0);
    let bytes = pack.read_graph(&spec.graph).unwrap();
    let read = |bytes: &[u8], spec: &Spec, window: usize| Weights::read(bytes, spec, window, 96);
    assert!(read(&bytes, spec, window).unwrap().is_some());
    let changed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        // Of a constant's name the last is its own.
        let at = bytes.windows(from.len()).rposition(|w| w == from.as_bytes()).unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    assert!(read(&changed("segue.recipe", "segue.oecipe"), spec, window).unwrap().is_none());
    let found = |result: Result<Option<Weights>, (String, String)>| result.unwrap_err().0;
    assert!(found(read(&changed("\"epsilon\"", "\"opsilon\""), spec, window)).contains("epsilon"));
    assert!(found(read(&changed("\"heads\": 1", "\"heads\": 3"), spec, window)).contains("heads"));
    assert!(found(read(&changed("temporal.0.up_Q8", "temporal.0.up_Q9"), spec, window)).contains("temporal.0.up_Q8"));
    assert!(found(read(&bytes, spec, window + 1)).contains("offsets"));
    let other = |change: fn(&mut Spec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        found(read(&bytes, &spec, window))
    };
    assert!(other(|spec| spec.cardinality = 64).contains("sizes"));
    assert!(other(|spec| spec.context = 256).contains("turns"));
    assert!(other(|spec| spec.layers = 2).contains("temporal.1"));
    assert!(other(|spec| spec.heads = 0).contains("heads"));
    for cut in (0..bytes.len()).step_by(97) {
        let _ = read(&bytes[..cut], spec, window);
    }
}

/// Frames of any tokens in chunks of these lengths: what a stage that makes all of a chunk at once adds to them.
fn added(runner: &Runner, spec: &Spec, chunks: &[usize]) -> (Vec<i64>, Vec<f32>) {
    let mut case = Case { spec: spec.clone(), window: 0, draw: Draw::new(0.7, 0.98), ids: 4 };
    let mut network = Network::new(runner).unwrap();
    let mut noise = Noise::new(3, 2, spec.codebooks * spec.candidates);
    let (mut ids, mut probable, mut frame) = (Vec::new(), Vec::new(), 0);
    for frames in chunks {
        let codes = (0..frames * spec.first_codebook).map(|_| case.next(spec.cardinality)).collect();
        let mut drawn = vec![0.0; frames * spec.codebooks * spec.candidates];
        noise.fill(frame, false, &mut drawn);
        let (more_ids, more_probable) = network.run(spec, codes, drawn, case.draw).unwrap();
        ids.extend(more_ids);
        probable.extend(more_probable);
        frame += frames;
    }
    assert_eq!((ids.len(), probable.len()), (frame * spec.codebooks, frame * spec.codebooks));
    (ids, probable)
}

#[test]
fn codebooks_are_added_as_by_the_runtime_in_chunks_as_at_once_and_on_every_processor() {
    for folder in ["test/tiny-pack", "packs/second"] {
        let pack = pack(folder);
        let spec = pack.manifest.stages.iter().find(|spec| spec.kind == StageKind::Parallel).unwrap();
        let Runner::NativeParallel { weights, label } = native(&pack, spec) else { unreachable!("it is native") };
        let (wanted, wanted_probable) = added(&session(&pack, spec), spec, &[45]);
        let mut weights = Arc::into_inner(weights).unwrap();
        for processor in Processor::all() {
            weights.processor = processor;
            let shared = Arc::new(weights);
            let runner = Runner::NativeParallel { weights: Arc::clone(&shared), label: label.clone() };
            let whole = added(&runner, spec, &[45]);
            assert_eq!(whole, added(&runner, spec, &[1, 2, 3, 33, 6]));
            let same: Vec<usize> = (0..wanted.len()).filter(|i| whole.0[*i] == wanted[*i]).collect();
            let mut off: Vec<f32> = same.iter().map(|i| (whole.1[*i] - wanted_probable[*i]).abs()).collect();
            off.sort_unstable_by(f32::total_cmp);
            let said = format!("{folder}: {} of {}, off by {}", same.len(), wanted.len(), off[off.len() / 2]);
            assert!(same.len() * 100 >= wanted.len() * 75 && off[off.len() / 2] < 0.05, "{said}");
            drop(runner);
            weights = Arc::into_inner(shared).unwrap();
        }
    }
}

/// What codes sound like, given in chunks of these lengths.
fn decoded(model: &DecoderModel, pack: &Pack, codes: &[u16], chunks: &[usize]) -> Vec<f32> {
    let codec = &pack.manifest.codec;
    let mut decoder = Decoder::new(model.clone(), &codec.decoder, codec.hop, codec.codebooks, 0).unwrap();
    let mut out = Signals::default();
    let mut at = 0;
    for frames in chunks {
        let end = at + frames * codec.codebooks;
        decoder.push(&codes[at..end], &mut out).unwrap();
        at = end;
    }
    assert_eq!(at, codes.len());
    [out.mid, out.side].concat()
}

#[test]
fn codes_sound_as_by_the_runtime_in_chunks_as_at_once_and_on_every_processor() {
    for folder in ["test/tiny-pack", "packs/second"] {
        let pack = pack(folder);
        let codec = &pack.manifest.codec;
        // Held for a while, as codes are.
        let code = |frame: usize, book: usize| ((frame / 7 * 31 + book * 17) % codec.cardinality) as u16;
        let codes: Vec<u16> = (0..90).flat_map(|t| (0..codec.codebooks).map(move |book| code(t, book))).collect();
        let graph = session_of(&pack, &codec.decoder.graph);
        let wanted = decoded(&DecoderModel::Session(graph), &pack, &codes, &[90]);
        let loud = (wanted.iter().map(|x| x * x).sum::<f32>() / wanted.len() as f32).sqrt();
        assert!(loud > 1e-4, "it is silent: {loud}");
        let Some(DecoderModel::Native(weights, label)) = DecoderModel::native(&pack).unwrap() else {
            unreachable!("the graph says what it is")
        };
        let mut weights = Arc::into_inner(weights).unwrap();
        for processor in Processor::all() {
            weights.processor = processor;
            let shared = Arc::new(weights);
            let model = DecoderModel::Native(Arc::clone(&shared), label.clone());
            let whole = decoded(&model, &pack, &codes, &[90]);
            assert_eq!(whole, decoded(&model, &pack, &codes, &[1, 4, 8, 33, 2, 42]));
            let error: f32 = whole.iter().zip(&wanted).map(|(a, b)| (a - b) * (a - b)).sum();
            let error = (error / wanted.len() as f32).sqrt() / loud;
            assert!(error < 0.01, "{folder} on {processor:?}: {error} of {loud}");
            drop(model);
            weights = Arc::into_inner(shared).unwrap();
        }
    }
}
