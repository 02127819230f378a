//! Packs that are broken or made to do harm: each is refused with words that name the file, audio passes meanwhile, and
//! a good pack mends it without a restart.

mod common;

use common::{chords, copy_of_tiny_pack, runtime, tiny_pack};
use segue_engine::command::Command;
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::error::Error;
use segue_engine::models::{LoadRequest, Models};
use segue_engine::playback::Mix;
use segue_engine::worker::{Activation, Engine, EngineConfig};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A copy of the test pack that may be broken.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        Self(copy_of_tiny_pack())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Puts other bytes there, with a manifest that says they are the right ones.
    fn replace(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
        let hash = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        self.manifest(|manifest| {
            for file in manifest["file"].as_array_mut().unwrap() {
                if file["name"].as_str() == Some(name) {
                    file["bytes"] = toml::Value::Integer(bytes.len() as i64);
                    file["sha256"] = toml::Value::String(hash.clone());
                }
            }
        });
    }

    fn manifest(&self, change: impl FnOnce(&mut toml::Table)) {
        let mut manifest: toml::Table = std::fs::read_to_string(self.path("manifest.toml")).unwrap().parse().unwrap();
        change(&mut manifest);
        std::fs::write(self.path("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    }

    fn request(&self) -> LoadRequest {
        LoadRequest { pack: Some(self.0.path().into()), runtime: runtime(), ..LoadRequest::default() }
    }

    /// The words with which it is refused.
    fn refusal(&self) -> String {
        let error = Models::load(&self.request()).expect_err("a broken pack loaded");
        assert!(matches!(error, Error::PackInvalid { .. } | Error::Inference { .. }), "{error:?}");
        assert!(!error.remedy().is_empty());
        error.to_string()
    }
}

fn graphs() -> Vec<String> {
    let names = std::fs::read_dir(tiny_pack()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut graphs: Vec<String> = names.filter(|n| n.ends_with(".onnx")).collect();
    graphs.sort();
    graphs
}

#[test]
fn each_file_missing_cut_flipped_or_swapped_is_named() {
    let graphs = graphs();
    assert_eq!(graphs.len(), 6);
    for (n, name) in graphs.iter().enumerate() {
        let pack = Copy::new();
        let good = pack.bytes(name);
        std::fs::remove_file(pack.path(name)).unwrap();
        assert!(pack.refusal().contains(name), "missing");
        std::fs::write(pack.path(name), &good[..good.len() / 2]).unwrap();
        assert!(pack.refusal().contains(&format!("found {} bytes", good.len() / 2)), "cut: {}", pack.refusal());
        for at in [0, good.len() / 3, good.len() - 1] {
            let mut flipped = good.clone();
            flipped[at] ^= 4;
            std::fs::write(pack.path(name), &flipped).unwrap();
            let words = pack.refusal();
            assert!(words.contains(name) && words.contains("sha256"), "flipped: {words}");
        }
        // Another graph of the pack, with a manifest that vouches for it: the tensors are not the ones that belong here.
        let other = &graphs[(n + 1) % graphs.len()];
        pack.replace(name, &pack.bytes(other));
        assert!(pack.refusal().contains(name), "swapped with {other}");
        std::fs::remove_file(pack.path(name)).unwrap();
        std::fs::create_dir(pack.path(name)).unwrap();
        assert!(pack.refusal().contains("not a plain file"), "a folder");
    }
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_not_followed() {
    use std::os::unix::fs::symlink;
    let pack = Copy::new();
    let name = "stage_coarse.onnx";
    std::fs::rename(pack.path(name), pack.path("elsewhere")).unwrap();
    symlink(pack.path("elsewhere"), pack.path(name)).unwrap();
    assert!(pack.refusal().contains("not a plain file"));

    let pack = Copy::new();
    std::fs::remove_file(pack.path("manifest.toml")).unwrap();
    symlink("/dev/zero", pack.path("manifest.toml")).unwrap();
    assert!(pack.refusal().contains("not a plain file"));

    // Opening a named pipe would wait for ever for somebody who writes.
    let pack = Copy::new();
    std::fs::remove_file(pack.path("manifest.toml")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(pack.path("manifest.toml")).status().unwrap();
    assert!(made.success());
    assert!(pack.refusal().contains("not a plain file"));
}

#[test]
fn names_that_leave_the_folder_and_sizes_beyond_reason_are_refused() {
    for name in ["../outside.onnx", "/etc/passwd", "a/b.onnx", "..", ".hidden", "a\\b.onnx", ""] {
        let pack = Copy::new();
        pack.manifest(|m| m["file"].as_array_mut().unwrap()[0]["name"] = toml::Value::String(name.into()));
        assert!(pack.refusal().contains("file name"), "{name:?}: {}", pack.refusal());
        // A graph by that name, without an entry that vouches for it.
        let pack = Copy::new();
        pack.manifest(|m| m["codec"]["encoder"]["graph"] = toml::Value::String(name.into()));
        assert!(pack.refusal().contains("[[file]]"), "{name:?}: {}", pack.refusal());
    }
    let pack = Copy::new();
    pack.manifest(|m| m["file"].as_array_mut().unwrap()[0]["bytes"] = toml::Value::Integer(10 << 30));
    assert!(pack.refusal().contains("at most 2 GiB"), "{}", pack.refusal());
    std::fs::write(pack.path("manifest.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(pack.refusal().contains("more than 1048576 bytes"), "{}", pack.refusal());
}

/// A number of the manifest by its path, for [`Copy::manifest`].
fn number<'m>(manifest: &'m mut toml::Table, path: &str) -> &'m mut toml::Value {
    let mut steps = path.split('.');
    let first = manifest.get_mut(steps.next().unwrap()).unwrap();
    steps.fold(first, |value, step| match step.parse::<usize>() {
        Ok(index) => value.as_array_mut().unwrap().get_mut(index).unwrap(),
        Err(_) => value.get_mut(step).unwrap(),
    })
}

/// Each number is possible in itself; the graph that contradicts it is named.
#[test]
fn numbers_that_are_not_the_graph_s_are_refused() {
    let wrong = [
        ("codec.encoder.analysis.0.bins", 480, "codec_encoder.onnx"),
        ("codec.decoder.synthesis.0.bins", 480, "codec_decoder.onnx"),
        ("semantic.analysis.0.bins", 480, "semantic_tokenizer.onnx"),
        ("stage.0.context", 127, "stage_semantic.onnx"),
        ("stage.0.layers", 2, "stage_semantic.onnx"),
        ("stage.1.heads", 1, "stage_coarse.onnx"),
        ("stage.1.head_dim", 64, "stage_coarse.onnx"),
        ("stage.1.candidates", 8, "stage_coarse.onnx"),
        ("stage.2.candidates", 8, "stage_fine.onnx"),
    ];
    for (path, value, graph) in wrong {
        let pack = Copy::new();
        pack.manifest(|m| {
            let number = number(m, path);
            assert!(number.is_integer() && *number != toml::Value::Integer(value), "{path}");
            *number = toml::Value::Integer(value);
        });
        let words = pack.refusal();
        assert!(words.contains(graph), "{path} = {value}: {words}");
    }
    let pack = Copy::new();
    pack.manifest(|m| {
        for (path, value) in [("layers", 256), ("heads", 256), ("head_dim", 1024), ("context", 65_536)] {
            *number(m, &format!("stage.0.{path}")) = toml::Value::Integer(value);
        }
    });
    assert!(pack.refusal().contains("at most 2 GiB of cache"), "{}", pack.refusal());
}

/// A field of bytes in protobuf.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(number << 3) | 2];
    let mut length = content.len();
    while length >= 128 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// One more weight in a model's graph: in protobuf a message that comes twice is merged.
fn with_initializer(model: &[u8], tensor: &[u8]) -> Vec<u8> {
    [model, &field(7, &field(5, tensor))[..]].concat()
}

#[test]
fn data_outside_the_graph_s_file_is_refused_before_the_runtime_sees_it() {
    let pack = Copy::new();
    let name = "codec_encoder.onnx";
    std::fs::write(pack.path("weights.bin"), [0; 64]).unwrap();
    for location in ["weights.bin", "../../../../etc/passwd", "/etc/passwd"] {
        let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
        let tensor = [field(8, b"more"), vec![2 << 3, 1, 1 << 3, 4], field(13, &entry), vec![14 << 3, 1]].concat();
        pack.replace(name, &with_initializer(&Copy::new().bytes(name), &tensor));
        let words = pack.refusal();
        assert!(words.contains(name) && words.contains("another file"), "{words}");
    }
    // What claims ten gigabytes and holds none.
    let tensor = [field(8, b"more"), vec![2 << 3, 1, 1 << 3, 0x80, 0x80, 0x80, 0x80, 0x0a], field(9, b"")].concat();
    pack.replace(name, &with_initializer(&Copy::new().bytes(name), &tensor));
    let words = pack.refusal();
    assert!(words.contains(name), "{words}");
    pack.replace(name, b"this is no model");
    assert!(pack.refusal().contains("no ONNX model"));
}

/// The fields of a message: number and where its content lies.
fn fields(bytes: &[u8], within: Range<usize>) -> Vec<(u64, Range<usize>)> {
    let mut at = within.start;
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    let mut found = Vec::new();
    while at < within.end {
        let tag = varint(&mut at);
        let length = match tag & 7 {
            0 => {
                let begin = at;
                varint(&mut at);
                found.push((tag >> 3, begin..at));
                continue;
            }
            1 => 8,
            5 => 4,
            _ => varint(&mut at) as usize,
        };
        found.push((tag >> 3, at..at + length));
        at += length;
    }
    found
}

/// Every weight is not a number.
fn poison(model: &mut [u8]) -> usize {
    let mut data = Vec::new();
    for (_, graph) in fields(model, 0..model.len()).into_iter().filter(|(n, _)| *n == 7) {
        for (_, tensor) in fields(model, graph).into_iter().filter(|(n, _)| *n == 5) {
            let parts = fields(model, tensor);
            let float = parts.iter().any(|(n, r)| *n == 2 && model[r.clone()] == [1]);
            data.extend(parts.into_iter().filter(|(n, _)| float && *n == 9).map(|(_, r)| r));
        }
    }
    for range in &data {
        for number in model[range.clone()].chunks_exact_mut(4) {
            number.copy_from_slice(&f32::NAN.to_le_bytes());
        }
    }
    data.len()
}

#[test]
fn a_graph_that_returns_nan_is_an_error_and_not_a_sound() {
    for name in ["stage_semantic.onnx", "stage_coarse.onnx", "stage_fine.onnx", "codec_decoder.onnx"] {
        let pack = Copy::new();
        let mut bytes = pack.bytes(name);
        assert!(poison(&mut bytes) > 0, "{name} has no weights");
        pack.replace(name, &bytes);
        let models = Models::load(&pack.request()).expect("it loads: what it computes shows only when it runs");
        let prompt = chords(models.sample_rate(), 2.0);
        let error = Continuation::prefill(models, &prompt, 1).and_then(|mut continuation| {
            for _ in 0..200 {
                let made = continuation.step(&Sampling::DEFAULT)?;
                assert!(made.iter().flatten().all(|s| s.is_finite()), "{name}: NaN was heard");
            }
            Ok(())
        });
        let words = error.expect_err(name).to_string();
        assert!(words.contains(name) && words.contains("NaN"), "{words}");
    }
}

/// A host with one instance whose audio thread never stops.
fn mend(broken: &Path) {
    let load = LoadRequest { pack: Some(broken.into()), runtime: runtime(), ..LoadRequest::default() };
    let engine = Engine::spawn(EngineConfig { load, ..EngineConfig::default() });
    let mut ends = engine.activate(Activation { sample_rate: 48_000, offline: false });
    let mix = Mix { dry: 1.0, wet: 1.0, duck: true, looping: false };
    let mut until = |what: &str, holds: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < Duration::from_secs(30), "{what}: {:?}", engine.status().lock());
            let clock = ends.capture.clock();
            let (mut left, mut right) = ([0.25_f32; 256], [-0.5_f32; 256]);
            ends.capture.push_block(&[&left, &right]);
            ends.playback.mix(&mut [&mut left, &mut right], clock, &mix);
            assert!(left.iter().all(|s| *s == 0.25) && right.iter().all(|s| *s == -0.5), "audio does not pass");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let status = engine.status();
    until("the problem is told", &|| status.lock().problem.is_some());
    {
        let status = status.lock();
        let problem = status.problem.as_ref().unwrap();
        assert!(!problem.what.is_empty() && !problem.remedy.is_empty());
        assert!(status.pack.is_none());
    }
    engine.commands().try_send(Command::LoadPack(Some(tiny_pack()))).unwrap();
    until("a good pack mends it", &|| status.lock().pack.is_some() && status.lock().problem.is_none());
}

#[test]
fn a_good_pack_mends_it_without_a_restart_and_audio_passes_meanwhile() {
    let pack = Copy::new();
    std::fs::write(pack.path("stage_fine.onnx"), "damaged").unwrap();
    mend(pack.0.path());
    mend(Path::new("/nowhere/at/all"));
}
