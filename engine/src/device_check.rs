//! Whether a device computes what the CPU does. Asked of every graph when a pack is first loaded on it, and remembered in the
//! user's data folder; a graph that does not agree stays on the CPU. Worker thread.

use crate::error::Result;
use crate::graph::Graph;
use crate::runtime::Device;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The least ratio of signal to error, in dB: what storing weights in half precision may cost.
const LEAST_DB: f64 = 40.0;
/// What stands for no error at all and for no agreement at all: a file of numbers cannot hold infinity.
const MOST_DB: f64 = 999.0;
/// Frames, or positions, of a run.
const FRAMES: usize = 4;

/// By pack, device and runtime: the graphs that did not agree, and their dB.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered(BTreeMap<String, BTreeMap<String, f64>>);

/// Leaves on the CPU what does not agree with it. `key` names pack, device and runtime; `memory` is the file where results are
/// kept (without one, or where it cannot be written, it is measured every time).
///
/// # Errors
/// A graph that fails on the CPU, too.
pub(crate) fn check(graphs: &[&Arc<Graph>], key: &str, memory: Option<&Path>) -> Result<()> {
    let text = memory.and_then(|path| std::fs::read_to_string(path).ok());
    let mut remembered: Remembered = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if !remembered.0.contains_key(key) {
        let mut apart = BTreeMap::new();
        for graph in graphs {
            let db = against_cpu(graph)?;
            if db < LEAST_DB {
                apart.insert(graph.name().to_owned(), db);
            }
        }
        remembered.0.insert(key.to_owned(), apart);
        if let (Some(path), Ok(text)) = (memory, serde_json::to_string_pretty(&remembered)) {
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = std::fs::write(path, text);
        }
    }
    for (name, db) in remembered.0.get(key).into_iter().flatten() {
        if let Some(graph) = graphs.iter().find(|graph| graph.name() == name) {
            graph.leave_device(format!(
                "{name} is {db:.0} dB from what the CPU computes, and {LEAST_DB} are asked for"
            ))?;
        }
    }
    Ok(())
}

/// Signal to error in dB of the worst output of one run, the CPU's being the signal. One that fails on its device agrees with
/// nothing.
fn against_cpu(graph: &Graph) -> Result<f64> {
    let wanted = run(graph, &mut graph.open_on(Device::Cpu)?).map_err(|e| graph.failed(e))?;
    let Ok(found) = graph.on_device(|session| run(graph, session)) else { return Ok(-MOST_DB) };
    Ok(wanted.iter().zip(&found).map(|(wanted, found)| snr(wanted, found)).fold(MOST_DB, f64::min))
}

/// Every output of floats, after the same inputs every time.
fn run(graph: &Graph, session: &mut Session) -> ort::Result<Vec<Vec<f32>>> {
    let mut inputs: Vec<(String, SessionInputValue<'_>)> = Vec::new();
    for (name, ty, shape) in graph.inputs() {
        inputs.push((name.clone(), value(name, *ty, shape)?.into()));
    }
    let outputs = session.run(inputs)?;
    let mut found = Vec::new();
    for (name, value) in &outputs {
        let Ok((_, values)) = value.try_extract_tensor::<f32>() else { continue };
        // Books after the first depend on which token was the likeliest, which may hang on the last bit.
        found.push(if name == "log_prob" { values[..1].to_vec() } else { values.to_vec() });
    }
    Ok(found)
}

/// An input that every graph of the format takes: docs/pack.md.
fn value(name: &str, ty: TensorElementType, shape: &[i64]) -> ort::Result<DynValue> {
    let free = |(place, size): (usize, &i64)| match usize::try_from(*size) {
        Ok(size) => size,
        Err(_) if place == 0 => 1,
        Err(_) => FRAMES,
    };
    let shape: Vec<usize> = shape.iter().enumerate().map(free).collect();
    let count: usize = shape.iter().product();
    Ok(match ty {
        TensorElementType::Int64 => {
            let ids: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
            Tensor::from_array((shape, ids))?.into_dyn()
        }
        TensorElementType::Int32 => {
            let total = FRAMES as i32 - i32::from(name == "seqlens_k");
            Tensor::from_array((shape, vec![total; count]))?.into_dyn()
        }
        _ => {
            let values: Vec<f32> = match name {
                "inv_temperature" | "top_p" => vec![1.0; count],
                _ if name.starts_with("spectrum_") => (0..count).map(|i| 0.1 * ((i * i % 977) as f32).sin()).collect(),
                _ => vec![0.0; count],
            };
            Tensor::from_array((shape, values))?.into_dyn()
        }
    })
}

fn snr(wanted: &[f32], found: &[f32]) -> f64 {
    if wanted.len() != found.len() {
        return -MOST_DB;
    }
    let power = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
    let error = power(&mut wanted.iter().zip(found).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let signal = power(&mut wanted.iter().map(|a| f64::from(*a)));
    match (signal, error) {
        (_, 0.0) => MOST_DB,
        // NaN is no agreement.
        (_, error) if error.is_nan() => -MOST_DB,
        (signal, error) => (10.0 * (signal / error).log10()).clamp(-MOST_DB, MOST_DB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Pack;
    use crate::runtime::{self, How};
    use std::path::PathBuf;

    fn graphs(folder: &str) -> Vec<Arc<Graph>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let library = root.join("target/runtime/cpu").join(crate::platform::RUNTIME_LIBRARY);
        let chosen: Option<PathBuf> = std::env::var_os("SEGUE_RUNTIME").is_none().then_some(library);
        runtime::load(chosen.as_deref()).unwrap();
        let pack = Pack::open(&root.join("assets").join(folder)).unwrap();
        let how = How { device: Device::Cpu, threads: 1, profile: None };
        let names = pack.manifest.files.iter().map(|f| f.name.clone()).filter(|name| name.ends_with(".onnx"));
        names.map(|name| Arc::new(Graph::load(&pack, &name, &how).unwrap())).collect()
    }

    #[test]
    fn every_graph_can_be_asked_and_agrees_with_itself() {
        for folder in ["test/tiny-pack", "packs/second"] {
            let graphs = graphs(folder);
            assert_eq!(graphs.len(), 6);
            for graph in &graphs {
                let db = against_cpu(graph).unwrap();
                assert!(db > 100.0, "{} of {folder}: {db} dB", graph.name());
            }
        }
    }

    #[test]
    fn what_is_remembered_is_not_asked_again_and_stays_on_the_cpu() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/devices.json");
        let graphs = graphs("test/tiny-pack");
        let all: Vec<&Arc<Graph>> = graphs.iter().collect();
        check(&all, "pack cuda runtime", Some(&file)).unwrap();
        assert!(graphs.iter().all(|graph| graph.moved().is_none()));
        let text = std::fs::read_to_string(&file).unwrap();
        let mut remembered: Remembered = serde_json::from_str(&text).unwrap();
        let apart = remembered.0.get_mut("pack cuda runtime").unwrap();
        assert!(apart.is_empty(), "{text}");
        // What cannot agree less can be written and read as well.
        apart.extend([("stage_fine.onnx".into(), 12.0), ("stage_coarse.onnx".into(), snr(&[0.0], &[0.5]))]);
        std::fs::write(&file, serde_json::to_string(&remembered).unwrap()).unwrap();
        check(&all, "pack cuda runtime", Some(&file)).unwrap();
        let moved: Vec<_> = graphs.iter().filter_map(|graph| graph.moved()).collect();
        assert!(moved.len() == 2 && moved.iter().any(|why| why.contains("stage_fine.onnx is 12 dB")), "{moved:?}");
    }

    #[test]
    fn agreement_in_decibels() {
        assert_eq!(snr(&[1.0, -1.0], &[1.0, -1.0]), MOST_DB);
        assert!((snr(&[1.0, -1.0], &[1.01, -0.99]) - 40.0).abs() < 0.1);
        assert_eq!(snr(&[1.0], &[f32::NAN]), -MOST_DB);
        assert_eq!(snr(&[1.0, 2.0], &[1.0]), -MOST_DB);
        assert_eq!(snr(&[0.0], &[0.5]), -MOST_DB, "noise where there is nothing");
    }
}
