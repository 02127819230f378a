//! Loading the engine from the checkout: the runtime fetched here, the packs that lie here.

use crate::error::{Error, Result};
use crate::{paths, runtime};
use segue_engine::continuation::Sampling;
use segue_engine::models::{Device, LoadRequest, Models};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Which pack runs where.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Pack to use (default: SEGUE_PACKS, else the first in assets/packs).
    #[arg(long, value_name = "DIR")]
    pub pack: Option<PathBuf>,
    /// cpu, cuda, directml or coreml.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
    /// Threads ONNX Runtime may use for one graph.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub threads: usize,
}

impl Place {
    /// Says what is wrong with it before anything is loaded.
    pub fn check(&self) -> Result<Device> {
        if self.threads == 0 || self.threads > 256 {
            return Err(Error::Request(format!("--threads {}: at least 1, at most 256", self.threads)));
        }
        Ok(Device::from_str(&self.device)?)
    }

    /// The same place for another run of this program.
    pub fn pass_on(&self, command: &mut std::process::Command) {
        if let Some(pack) = &self.pack {
            command.arg("--pack").arg(pack);
        }
        command.args(["--device", &self.device, "--threads", &self.threads.to_string()]);
    }

    /// Loads the models.
    pub fn load(&self) -> Result<Arc<Models>> {
        self.profiled(None)
    }

    /// The same, with every node timed: see [`LoadRequest::profile`].
    pub fn profiled(&self, profile: Option<PathBuf>) -> Result<Arc<Models>> {
        let device = self.check()?;
        let build = match device {
            // The build for the processor has CoreML where there is any.
            Device::Cpu | Device::CoreMl => runtime::Build::Cpu,
            Device::Cuda => runtime::Build::Cuda,
            Device::DirectMl => runtime::Build::DirectMl,
        };
        let library = match std::env::var_os("SEGUE_RUNTIME") {
            Some(path) => path.into(),
            None => runtime::fetch(build)?,
        };
        let named = std::env::var_os("SEGUE_PACKS").is_some();
        let pack = self.pack.clone().or_else(|| (!named).then(paths::packs));
        let request = LoadRequest { pack, runtime: Some(library), device, threads: self.threads, profile };
        Ok(Models::load(&request)?)
    }
}

/// How freely it plays.
#[derive(Debug, Clone, clap::Args)]
pub struct Freedom {
    /// Temperatures of the semantic, coarse and fine stages; 0 is greedy.
    #[arg(long, default_value_t = usual_temperatures(), value_name = "S,C,F", allow_hyphen_values = true)]
    pub temperature: String,
    /// Nucleus: the share of probability that may be drawn from.
    #[arg(long, default_value_t = Sampling::DEFAULT.top_p.to_string(), value_name = "P", allow_hyphen_values = true)]
    pub top_p: String,
    /// How closely the prompt's key, pulse and density are kept, in per cent of what the pack says.
    #[arg(long, default_value = "100", value_name = "PERCENT", allow_hyphen_values = true)]
    pub hold: String,
    /// How dense it is to be, in per cent of the prompt.
    #[arg(long, default_value = "100", value_name = "PERCENT", allow_hyphen_values = true)]
    pub density: String,
    /// Of the song, in quarter notes a minute: a prompt that is in time with it goes on so.
    #[arg(long, value_name = "BPM", allow_hyphen_values = true)]
    pub tempo: Option<String>,
    /// 1–9999 plays the same again; 0 draws a new one.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

fn tempo(text: &str) -> Result<f64> {
    let said = text.parse().ok().filter(|tempo| (10.0..=1000.0).contains(tempo));
    said.ok_or_else(|| Error::Request(format!("--tempo {text}: not between 10 and 1000")))
}

fn usual_temperatures() -> String {
    Sampling::DEFAULT.temperatures.map(|t| t.to_string()).join(",")
}

impl Freedom {
    /// The settings, or what is wrong with them.
    pub fn sampling(&self) -> Result<Sampling> {
        let wrong = || {
            Error::Request(format!("--temperature {}: three numbers are wanted, as in 0.6,0.8,0.6", self.temperature))
        };
        let parts: Vec<f32> = self
            .temperature
            .split(',')
            .map(|t| t.trim().parse())
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong())?;
        let temperatures: [f32; 3] = parts.try_into().map_err(|_| wrong())?;
        let number = |option: &str, text: &str| {
            text.parse::<f32>().map_err(|_| Error::Request(format!("{option} {text}: not a number")))
        };
        let sampling = Sampling {
            temperatures,
            top_p: number("--top-p", &self.top_p)?,
            hold: number("--hold", &self.hold)? / 100.0,
            density: number("--density", &self.density)? / 100.0,
            tempo: self.tempo.as_ref().map(|text| tempo(text)).transpose()?,
        };
        sampling.check()?;
        Ok(sampling)
    }

    /// The seed given, or a new one.
    #[must_use]
    pub fn seed(&self) -> u64 {
        if self.seed != 0 {
            return self.seed;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        1 + u64::from(now.subsec_nanos()) % 9999
    }
}

/// A length of time on the command line: a positive, finite number of at most an hour.
pub fn seconds(option: &str, text: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= 3600.0 => Ok(s),
        _ => Err(Error::Request(format!("{option} {text}: more than 0 and at most 3600 seconds are wanted"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freedom(temperature: &str, top_p: &str) -> Freedom {
        let [hold, density] = ["100"; 2].map(String::from);
        Freedom { temperature: temperature.into(), top_p: top_p.into(), hold, density, tempo: None, seed: 0 }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_in_one_line() {
        assert!(freedom("0.6,0.8,0.6", "0.95").sampling().is_ok());
        let bad = [
            ("NaN,0.8,0.6", "0.9"),
            ("0.6,0.8", "0.9"),
            ("-1,0,0", "0.9"),
            ("a,b,c", "0.9"),
            ("0,0,0", "0"),
            ("0,0,0", "NaN"),
        ];
        for (temperature, top_p) in bad {
            let error = freedom(temperature, top_p).sampling().expect_err("nonsense");
            assert_eq!((error.to_string().lines().count(), error.exit_code()), (1, 2), "{error}");
        }
        for (hold, density) in [("-1", "100"), ("x", "100"), ("100", "0"), ("100", "NaN")] {
            let of = Freedom { hold: hold.into(), density: density.into(), ..freedom("0.6,0.8,0.6", "0.95") };
            assert!(of.sampling().is_err(), "{hold} {density}");
        }
        for tempo in ["x", "NaN", "0", "-120", "inf"] {
            let of = Freedom { tempo: Some(tempo.into()), ..freedom("0.6,0.8,0.6", "0.95") };
            assert!(of.sampling().is_err(), "{tempo}");
        }
        for text in ["0", "-1", "NaN", "inf", "x", "3601"] {
            assert!(seconds("--seconds", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_new_seed_is_in_range() {
        assert!((1..=9999).contains(&freedom("0,0,0", "1").seed()));
    }
}
