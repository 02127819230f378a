//! Where the time goes within each graph: ONNX Runtime's own profiler, summed up by kind of node.

use super::engine::together;
use super::{Args, machine};
use crate::error::{Error, Result};
use crate::{audio, paths, report};
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::take::TakeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

const PROMPT: f64 = 4.0;
const LENGTH: f64 = 8.0;
/// Kinds of nodes that are told of each graph.
const KINDS: usize = 6;

#[derive(Debug, Serialize)]
struct Profile {
    machine: String,
    pack: String,
    passes: Vec<Pass>,
}

/// What was done, and what each graph took for it.
#[derive(Debug, Serialize)]
struct Pass {
    what: &'static str,
    graphs: Vec<Graph>,
}

#[derive(Debug, Default, Serialize)]
struct Graph {
    name: String,
    runs: u64,
    /// Of a run, in the mean: prefill and single steps alike.
    microseconds_a_run: f64,
    /// Share of the time of all graphs.
    share: f64,
    /// The costliest kinds of nodes.
    kinds: Vec<Kind>,
}

#[derive(Debug, Serialize)]
struct Kind {
    operator: String,
    /// Of such nodes in a run.
    nodes: f64,
    /// Of one such node.
    microseconds: f64,
    /// Share of the graph's time.
    share: f64,
}

/// An event of ONNX Runtime's profile; times in microseconds.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: Names,
}

#[derive(Debug, Default, Deserialize)]
struct Names {
    #[serde(default)]
    op_name: String,
}

/// What the events of one graph come to.
#[derive(Debug, Default)]
struct Sums {
    runs: u64,
    microseconds: f64,
    /// Nodes and microseconds of each operator.
    operators: BTreeMap<String, (u64, f64)>,
}

impl Sums {
    fn add(&mut self, events: Vec<Event>) {
        for event in events {
            if event.cat == "Session" && event.name == "model_run" {
                self.runs += 1;
                self.microseconds += event.dur;
            } else if event.cat == "Node" && event.name.ends_with("_kernel_time") {
                let (nodes, microseconds) = self.operators.entry(event.args.op_name).or_default();
                *nodes += 1;
                *microseconds += event.dur;
            }
        }
    }

    fn graph(self, name: String, all: f64) -> Graph {
        let runs = self.runs.max(1) as f64;
        let mut kinds: Vec<Kind> = self
            .operators
            .into_iter()
            .map(|(operator, (nodes, microseconds))| Kind {
                operator,
                nodes: nodes as f64 / runs,
                microseconds: microseconds / nodes.max(1) as f64,
                share: microseconds / self.microseconds.max(1.0),
            })
            .collect();
        kinds.sort_by(|a, b| b.share.total_cmp(&a.share));
        kinds.truncate(KINDS);
        Graph {
            name,
            runs: self.runs,
            microseconds_a_run: self.microseconds / runs,
            share: self.microseconds / all,
            kinds,
        }
    }
}

/// One continuation and eight variations, each with every node timed; prints the sums and writes `profile.json`.
pub(super) fn run(args: &Args, folder: &Path) -> Result<()> {
    let recording = audio::read(&paths::default_prompt())?;
    let prompt = recording.cut(0, (PROMPT * f64::from(recording.rate)) as usize);
    let mut profile = Profile { machine: machine::describe(), pack: String::new(), passes: Vec::new() };
    for (what, name, lanes) in [("one continuation", "one", 1), ("eight variations together", "eight", 8)] {
        eprintln!("{what}");
        let place = folder.join(name);
        if place.exists() {
            std::fs::remove_dir_all(&place).map_err(|e| Error::file(&place, e))?;
        }
        std::fs::create_dir_all(&place).map_err(|e| Error::file(&place, e))?;
        let models = args.place.profiled(Some(place.clone()))?;
        profile.pack = models.provenance_pack().0;
        let heard = prompt.at(models.sample_rate())?;
        let samples = (LENGTH * f64::from(models.sample_rate())) as usize;
        let mut one = Continuation::prefill(Arc::clone(&models), &heard.planes, 1)?;
        if lanes == 1 {
            while one.samples() < samples {
                one.step(&Sampling::DEFAULT)?;
            }
        } else {
            let take = one.take(TakeId(1), String::new(), &Sampling::DEFAULT);
            together(&models, &take, &(1..=lanes).collect::<Vec<u64>>(), samples)?;
        }
        // The files are whole once the last session is gone.
        drop((one, models));
        profile.passes.push(Pass { what, graphs: read(&place)? });
    }
    report::write(&folder.join("profile.json"), &profile)?;
    print!("{}", table(&profile));
    Ok(())
}

/// The graphs whose profiles lie in a folder, several sessions of one together, the costliest first.
fn read(folder: &Path) -> Result<Vec<Graph>> {
    let mut sums = BTreeMap::<String, Sums>::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
        let path = entry.map_err(|e| Error::file(folder, e))?.path();
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
        let events = serde_json::from_str(&text).map_err(|e| Error::file(&path, e))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.split(".onnx").next().unwrap_or(&file).to_owned();
        sums.entry(name).or_default().add(events);
    }
    let all: f64 = sums.values().map(|sums| sums.microseconds).sum();
    let mut graphs: Vec<Graph> = sums.into_iter().map(|(name, sums)| sums.graph(name, all.max(1.0))).collect();
    graphs.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok(graphs)
}

fn table(profile: &Profile) -> String {
    let mut text = format!("{}, {}\n", profile.pack, profile.machine);
    for pass in &profile.passes {
        let _ = writeln!(text, "\n{}", pass.what);
        for g in &pass.graphs {
            let (share, run) = (100.0 * g.share, g.microseconds_a_run);
            let _ = writeln!(text, "  {:<20} {share:3.0} %  {:5} runs of {run:7.0} µs", g.name, g.runs);
            for k in &g.kinds {
                let (share, operator) = (100.0 * k.share, &k.operator);
                let _ = writeln!(text, "    {share:3.0} %  {operator:<34} {:5.1} × {:7.1} µs", k.nodes, k.microseconds);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_summed_by_graph_and_operator() {
        let folder = tempfile::tempdir().unwrap();
        let events = r#"[
            {"cat":"Session","name":"session_initialization","dur":900,"args":{}},
            {"cat":"Session","name":"model_run","dur":100,"args":{}},
            {"cat":"Node","name":"a_fence_before","dur":50,"args":{"op_name":"MatMul"}},
            {"cat":"Node","name":"a_kernel_time","dur":60,"args":{"op_name":"MatMul"}},
            {"cat":"Node","name":"b_kernel_time","dur":20,"args":{"op_name":"MatMul"}},
            {"cat":"Node","name":"c_kernel_time","dur":10,"args":{"op_name":"TopK"}}
        ]"#;
        for file in ["fine.onnx_1.json", "fine.onnx_2.json"] {
            std::fs::write(folder.path().join(file), events).unwrap();
        }
        let empty = r#"[{"cat":"Session","name":"model_run","dur":200,"args":{}}]"#;
        std::fs::write(folder.path().join("coarse.onnx_1.json"), empty).unwrap();
        let graphs = read(folder.path()).unwrap();
        assert_eq!(graphs.len(), 2);
        let fine = graphs.iter().find(|g| g.name == "fine").unwrap();
        assert_eq!((fine.runs, fine.microseconds_a_run, fine.share), (2, 100.0, 0.5));
        let kinds: Vec<_> =
            fine.kinds.iter().map(|k| (k.operator.as_str(), k.nodes, k.microseconds, k.share)).collect();
        assert_eq!(kinds, [("MatMul", 2.0, 40.0, 0.8), ("TopK", 1.0, 10.0, 0.1)]);
    }
}
