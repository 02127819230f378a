//! A small CLAP host: loads the built plugin as any host would, plays a score into it block by block and keeps what
//! comes out.

pub(crate) mod handlers;
pub mod score;
pub mod song;
#[cfg(all(unix, not(target_os = "macos")))]
pub mod window;

use crate::error::{Error, Result};
use crate::paths;
use clack_extensions::params::{ParamInfoBuffer, PluginParams};
use clack_extensions::render::{PluginRender, RenderMode};
use clack_extensions::state::PluginState;
use clack_host::prelude::*;
use handlers::{Handlers, Main, Shared};
use score::{Heard, Pace, Score};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The plugin's CLAP id.
pub const ID: &std::ffi::CStr = c"audio.segue.segue";

/// A parameter as the host sees it.
#[derive(Debug, Clone)]
pub struct Param {
    /// Identity.
    pub id: ClapId,
    /// Name for people.
    pub name: String,
    /// Range of the host's values.
    pub range: (f64, f64),
    /// Default of the host's values.
    pub default: f64,
}

/// A loaded plugin.
pub struct Host {
    instance: PluginInstance<Handlers>,
    params: Vec<Param>,
    /// Seconds to open the library and read its descriptor.
    pub scan_seconds: f64,
    /// Seconds to make the instance.
    pub instantiate_seconds: f64,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Host {
    /// Loads the CLAP and makes one instance.
    pub fn load(clap: &Path) -> Result<Self> {
        let info = HostInfo::new("Segue's own host", "Segue", "https://segue.audio", env!("CARGO_PKG_VERSION"))
            .map_err(Error::host)?;
        let begin = Instant::now();
        // SAFETY: the library is the plugin that was just built from this workspace.
        let entry = unsafe { PluginEntry::load(paths::clap_library(clap)) };
        let entry = entry.map_err(|e| Error::file(clap, e))?;
        let factory = entry.get_plugin_factory().ok_or_else(|| Error::host("no plugin factory"))?;
        let found = factory.plugin_descriptors().any(|d| d.id() == Some(ID));
        let scan_seconds = begin.elapsed().as_secs_f64();
        if !found {
            return Err(Error::host(format!("{} holds no {ID:?}", clap.display())));
        }
        let begin = Instant::now();
        let instance = PluginInstance::new(|()| Shared::default(), |_| Main, &entry, ID, &info).map_err(Error::host)?;
        let instantiate_seconds = begin.elapsed().as_secs_f64();
        let mut host = Self { instance, params: Vec::new(), scan_seconds, instantiate_seconds };
        host.params = host.read_params()?;
        Ok(host)
    }

    fn extension<E: clack_host::extensions::Extension<ExtensionSide = clack_host::extensions::PluginExtensionSide>>(
        &self,
        what: &str,
    ) -> Result<E> {
        self.instance.plugin_shared_handle().get_extension().ok_or_else(|| Error::host(format!("no {what} extension")))
    }

    fn read_params(&mut self) -> Result<Vec<Param>> {
        let params: PluginParams = self.extension("params")?;
        let plugin = self.instance.plugin_handle();
        let mut buffer = ParamInfoBuffer::new();
        let mut list = Vec::new();
        for index in 0..params.count(&plugin) {
            let Some(info) = params.get_info(&plugin, index, &mut buffer) else { continue };
            list.push(Param {
                id: info.id,
                name: String::from_utf8_lossy(info.name).into_owned(),
                range: (info.min_value, info.max_value),
                default: info.default_value,
            });
        }
        Ok(list)
    }

    /// All parameters, in the plugin's order.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The parameter whose name begins so, without regard to case.
    pub fn param(&self, name: &str) -> Result<&Param> {
        let starts = |p: &&Param| p.name.to_lowercase().starts_with(&name.to_lowercase());
        self.params.iter().find(starts).ok_or_else(|| Error::host(format!("no parameter {name:?}")))
    }

    /// What the host would send for this text.
    pub fn value_of(&mut self, name: &str, text: &str) -> Result<f64> {
        let id = self.param(name)?.id;
        let params: PluginParams = self.extension("params")?;
        let plugin = self.instance.plugin_handle();
        let c_text = std::ffi::CString::new(text).map_err(Error::host)?;
        let value = params.text_to_value(&plugin, id, &c_text);
        value.ok_or_else(|| Error::host(format!("{name} does not understand {text:?}")))
    }

    /// What the parameter shows now.
    pub fn text(&mut self, name: &str) -> Result<String> {
        let id = self.param(name)?.id;
        let params: PluginParams = self.extension("params")?;
        let plugin = self.instance.plugin_handle();
        let mut buffer = [0; 128];
        let value = params.get_value(&plugin, id).ok_or_else(|| Error::host(format!("{name} has no value")))?;
        let shown = params.value_to_text(&plugin, id, value, &mut buffer).map_err(Error::host)?;
        Ok(String::from_utf8_lossy(shown).trim_end_matches('\0').to_owned())
    }

    /// The state as a project file would keep it.
    pub fn save(&mut self) -> Result<Vec<u8>> {
        let state: PluginState = self.extension("state")?;
        let mut bytes = Vec::new();
        state.save(&self.instance.plugin_handle(), &mut bytes).map_err(Error::host)?;
        Ok(bytes)
    }

    /// Brings a state back.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        let state: PluginState = self.extension("state")?;
        let mut reader = std::io::Cursor::new(bytes);
        state.load(&self.instance.plugin_handle(), &mut reader).map_err(Error::host)
    }

    /// Does what the plugin asked the main thread to do.
    pub fn pump(&mut self) {
        if self.instance.access_shared_handler(Shared::take_request) {
            self.instance.call_on_main_thread_callback();
        }
    }

    /// Activates, plays the score on a thread of its own, and deactivates. `meanwhile` runs on this thread, every few
    /// milliseconds, with the number of frames played so far.
    pub fn perform(&mut self, score: &Score, mut meanwhile: impl FnMut(&mut Self, u64)) -> Result<Heard> {
        self.perform_while(score, |host, clock| {
            meanwhile(host, clock);
            true
        })
    }

    /// The same, until the score's end or until `meanwhile` answers `false`.
    pub fn perform_while(&mut self, score: &Score, mut meanwhile: impl FnMut(&mut Self, u64) -> bool) -> Result<Heard> {
        let longest = score.blocks.iter().copied().max().ok_or_else(|| Error::host("a score without blocks"))?;
        let render: PluginRender = self.extension("render")?;
        let mode = if score.pace == Pace::Offline { RenderMode::Offline } else { RenderMode::Realtime };
        render.set(&self.instance.plugin_handle(), mode).map_err(Error::host)?;
        let configuration = PluginAudioConfiguration {
            sample_rate: f64::from(score.rate),
            min_frames_count: 1,
            max_frames_count: u32::try_from(longest).map_err(Error::host)?,
        };
        let stopped = self.instance.activate(|_, _| (), configuration).map_err(Error::host)?;
        let progress = score::Progress::default();
        let (heard, stopped) = std::thread::scope(|scope| {
            let progress = &progress;
            let thread = scope.spawn(move || score::play(stopped, score, progress));
            let mut goes_on = true;
            while !thread.is_finished() {
                self.pump();
                // Once it has been told to stop, it is not asked again.
                goes_on = goes_on && meanwhile(self, progress.clock.load(Relaxed));
                progress.stop.store(!goes_on, Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
            thread.join().map_err(|_| Error::host("the audio thread panicked"))
        })?;
        self.instance.deactivate(stopped);
        heard
    }
}
