//! The built library is a CLAP and a VST3: a project saved by one is the same project in the other, and one with a
//! hundred takes is small and whole in both.

use super::hold;
use crate::error::{Error, Result};
use crate::paths;
use crate::project;
use crate::validate::plug::{Format, Instance, Library, Param};
use segue_engine::take::{Take, TakeId, Tokens};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A project of the oldest format, with three takes.
const GOLDEN: &str = "assets/test/state/format-1.clap-state";
/// Bytes that a project with a hundred takes may have.
const MOST: usize = 2_000_000;

/// A format's stream around a state, as its wrapper reads it.
fn stream(format: Format, state: &[u8]) -> Vec<u8> {
    match format {
        Format::Clap => [&(state.len() as u64).to_le_bytes(), state].concat(),
        Format::Vst3 => state.to_vec(),
    }
}

fn open(clap: &Path, format: Format) -> Result<Library> {
    Library::open(&paths::clap_library(clap), format)
}

/// The parameters a person sees. A VST3 has its MIDI controllers as hidden ones beside them.
fn visible(instance: &dyn Instance) -> Vec<Param> {
    instance.params().iter().filter(|param| !param.name.starts_with("MIDI Ch.")).cloned().collect()
}

/// What every parameter shows.
fn shown(instance: &mut dyn Instance) -> Result<BTreeMap<String, String>> {
    let params = visible(instance);
    let text = |param: Param| {
        let value = instance.value(param.id)?;
        Ok((param.name, instance.value_to_text(param.id, value)?))
    };
    params.into_iter().map(text).collect()
}

/// From CLAP to VST3 and back, and the other way round: every parameter shows the same, every take is the same.
pub(super) fn exchange(clap: &Path) -> Result<()> {
    let golden = paths::root().join(GOLDEN);
    let golden = std::fs::read(&golden).map_err(|e| Error::file(&golden, e))?;
    for (from, to) in [(Format::Clap, Format::Vst3), (Format::Vst3, Format::Clap)] {
        let (one, other) = (open(clap, from)?, open(clap, to)?);
        let (mut saver, mut opener) = (one.instance()?, other.instance()?);
        let taken = saver.load(&stream(from, project::json(&golden)), usize::MAX)?;
        hold(taken, || format!("the {from} does not open the oldest project"))?;
        // Somewhere else than at its default, each at its own place.
        for (n, param) in visible(&*saver).iter().enumerate() {
            saver.set_inactive(param.id, param.at((0.13 + 0.37 * n as f64).fract()))?;
        }
        let (wanted, saved) = (shown(&mut *saver)?, saver.save(usize::MAX)?);
        let state = project::json(&saved);
        hold(opener.load(&stream(to, state), usize::MAX)?, || format!("the {to} does not open what the {from} saved"))?;
        let again = opener.save(usize::MAX)?;
        let (takes, there) = (project::takes(&saved)?, project::takes(&again)?);
        hold(takes.len() == 3 && there == takes, || format!("{} takes became {}", takes.len(), there.len()))?;
        hold(project::json(&again) == state, || format!("the {to} saves another state than the {from}"))?;
        let found = shown(&mut *opener)?;
        for (name, text) in wanted.iter().filter(|(name, _)| !["Capture & Continue", "Play"].contains(&name.as_str())) {
            let now = found.get(name);
            hold(now == Some(text), || format!("{name} was {text:?} in the {from} and is {now:?} in the {to}"))?;
        }
        println!("{from} to {to}: {} parameters, {} takes, {} bytes", wanted.len(), takes.len(), saved.len());
    }
    Ok(())
}

/// A project with a hundred takes of the default length, whose tokens no compression could make smaller.
pub(crate) fn hundred_takes(model: &[u8]) -> Result<(Vec<u8>, Vec<Take>)> {
    let mut noise = 1_u32;
    let mut tokens = |codebooks: usize, frames: usize| {
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 22) as u16
        };
        Tokens { codebooks, ids: (0..codebooks * frames).map(|_| next()).collect() }
    };
    let wrong = |_| Error::host("the saved state is not what it should be");
    let mut state: Value = serde_json::from_slice(project::json(model)).map_err(wrong)?;
    let one = project::takes(model)?.into_iter().next().ok_or_else(|| Error::host("there is no take to copy"))?;
    let takes: Vec<Take> = (1..=100)
        .rev()
        .map(|id| Take {
            id: TakeId(id),
            name: format!("Take {id}"),
            stars: (id % 6) as u8,
            parent: (id % 3 == 0).then(|| TakeId(id - 1)),
            // Four seconds and sixteen.
            semantic: tokens(1, 500),
            acoustic: tokens(8, 1000),
            prompt_samples: 4 * one.sample_rate as usize,
            continuation_samples: 16 * one.sample_rate as usize,
            ..one.clone()
        })
        .collect();
    let document = json!({"version": 2, "takes": takes, "selected": 50, "pack": null}).to_string();
    state["fields"]["takes"] = Value::String(document);
    Ok((stream(Format::Clap, state.to_string().as_bytes()), takes))
}

/// A hundred takes in a project: small, and none is lost, changed or out of order, also not while they are shown.
pub(super) fn hundred(clap: &Path) -> Result<()> {
    let mut made = open(clap, Format::Clap)?.instance()?;
    let golden = paths::root().join(GOLDEN);
    made.load(&std::fs::read(&golden).map_err(|e| Error::file(&golden, e))?, usize::MAX)?;
    let (project, takes) = hundred_takes(&made.save(usize::MAX)?)?;
    for format in [Format::Clap, Format::Vst3] {
        let library = open(clap, format)?;
        let mut instance = library.instance()?;
        let loaded = instance.load(&stream(format, project::json(&project)), usize::MAX)?;
        hold(loaded, || format!("the {format} does not open a hundred takes"))?;
        let saved = instance.save(usize::MAX)?;
        hold(saved.len() < MOST, || format!("{} bytes", saved.len()))?;
        hold(project::takes(&saved)? == takes, || format!("the {format} lost or changed a take"))?;
        println!("{format}: 100 takes in {} bytes", saved.len());
    }
    Ok(())
}
