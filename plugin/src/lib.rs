//! Segue as a host sees it: a thin shell around `segue_engine`. `process` takes the input in, stamps the triggers, and
//! mixes the continuation; everything else happens on the engine's worker.

#[cfg(feature = "defects")]
mod defects;
pub mod editor;
pub mod host;
pub mod params;
pub mod state;

use nice_plug::prelude::*;
use params::SegueParams;
use segue_engine::controls::Controls;
use segue_engine::playback::Mix;
use segue_engine::status::Meters;
use segue_engine::worker::{Activation, AudioEnds, Engine, EngineConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The plugin.
pub struct Segue {
    params: Arc<SegueParams>,
    /// Joined when the plugin is dropped, before the host can unload the library.
    engine: Engine,
    controls: Arc<Controls>,
    meters: Arc<Meters>,
    /// For the editor, in Hz.
    sample_rate: Arc<AtomicU32>,
    active: Option<(Activation, AudioEnds)>,
    cues: host::Cues,
}

impl std::fmt::Debug for Segue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segue").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Default for Segue {
    fn default() -> Self {
        #[cfg(feature = "defects")]
        defects::wake();
        let engine = Engine::spawn(EngineConfig { load: host::load_request(), ..EngineConfig::default() });
        Self {
            params: Arc::new(SegueParams::new(engine.shelf())),
            controls: engine.controls(),
            meters: engine.meters(),
            engine,
            sample_rate: Arc::new(AtomicU32::new(48_000)),
            active: None,
            cues: host::Cues::default(),
        }
    }
}

const fn layout(channels: u32) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: NonZeroU32::new(channels),
        main_output_channels: NonZeroU32::new(channels),
        ..AudioIOLayout::const_default()
    }
}

impl Plugin for Segue {
    const NAME: &'static str = "Segue";
    const VENDOR: &'static str = "Segue";
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[layout(2), layout(1)];
    /// With control changes, for the pedal. A VST3 gets them as hidden parameters, as every VST3 does.
    const MIDI_INPUT: MidiConfig = MidiConfig::MidiCCs;
    const SAMPLE_ACCURATE_AUTOMATION: bool = true;

    type Editor = editor::EditorWindow;
    type SysExMessage = ();
    type BackgroundTask = ();

    fn params(&self) -> Arc<dyn Params> {
        self.params.clone()
    }

    fn editor(&mut self, _executor: AsyncExecutor<Self>) -> Option<Self::Editor> {
        let context = editor::EditorContext {
            params: Arc::clone(&self.params),
            status: self.engine.status(),
            meters: Arc::clone(&self.meters),
            commands: self.engine.commands(),
            sample_rate: Arc::clone(&self.sample_rate),
        };
        Some(editor::EditorWindow::new(context))
    }

    fn filter_state(state: &mut PluginState) {
        #[cfg(feature = "defects")]
        defects::load(state);
        state::bring_up_to_date(state);
    }

    fn activate(
        &mut self,
        _layout: &AudioIOLayout,
        config: &BufferConfig,
        _context: &mut impl ActivateContext<Self>,
    ) -> bool {
        let activation = Activation {
            sample_rate: config.sample_rate.round() as u32,
            offline: config.process_mode == ProcessMode::Offline,
        };
        // Hosts activate again after loading state; what is under way goes on unless something has changed.
        if self.active.as_ref().is_none_or(|(active, _)| *active != activation) {
            self.active = Some((activation, self.engine.activate(activation)));
            self.cues = host::Cues::default();
        }
        self.sample_rate.store(activation.sample_rate, Relaxed);
        self.params.store(&self.controls);
        true
    }

    fn deactivate(&mut self) {
        self.active = None;
        self.engine.deactivate();
    }

    fn reset(&mut self) {
        #[cfg(feature = "defects")]
        if defects::is("forgets-reset") {
            return;
        }
        if let Some((_, ends)) = &mut self.active {
            ends.playback.reset();
        }
    }

    fn process(
        &mut self,
        buffer: &mut Buffer<'_>,
        _aux: &mut AuxiliaryBuffers<'_>,
        context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        let Some((activation, ends)) = &mut self.active else { return ProcessStatus::Normal };
        let (clock, frames) = (ends.capture.clock(), buffer.samples());
        self.params.store(&self.controls);
        self.cues.send(&self.params, ends, activation.sample_rate, context);
        let channels = buffer.as_slice();
        #[cfg(feature = "defects")]
        defects::before(channels);
        host::sanitize(channels);
        match channels {
            [] => return ProcessStatus::Normal,
            [mono] => ends.push_block(&[mono]),
            [left, right, ..] => ends.push_block(&[left, right]),
        }
        let mix = Mix {
            dry: self.params.dry.value(),
            wet: self.params.wet.value(),
            duck: self.params.duck.value(),
            looping: self.params.loop_take.value(),
        };
        if activation.offline {
            host::wait(ends, clock, frames, mix.looping);
        }
        ends.playback.mix(channels, clock, &mix);
        #[cfg(feature = "defects")]
        defects::after(channels, self.meters.position.load(Relaxed) != u64::MAX, activation.offline);
        ProcessStatus::KeepAlive
    }
}

#[cfg(feature = "defects")]
impl Drop for Segue {
    fn drop(&mut self) {
        defects::end(&mut self.engine);
    }
}

impl ClapPlugin for Segue {
    const CLAP_ID: &'static str = "audio.segue.segue";
    const CLAP_DESCRIPTION: Option<&'static str> = Some("Listens to a piano, and when asked plays on");
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] = &[ClapFeature::AudioEffect, ClapFeature::Stereo, ClapFeature::Mono];

    fn remote_controls(&self, context: &mut impl RemoteControlsContext) {
        let p = &self.params;
        context.add_section("Segue", |section| {
            section.add_page("Perform", |page| {
                page.add_param(&p.capture);
                page.add_param(&p.play);
                page.add_param(&p.loop_take);
                page.add_param(&p.start);
                page.add_param(&p.dry);
                page.add_param(&p.wet);
                page.add_param(&p.duck);
                page.add_param(&p.duet);
            });
            section.add_page("Shape", |page| {
                page.add_param(&p.t_semantic);
                page.add_param(&p.t_coarse);
                page.add_param(&p.t_fine);
                page.add_param(&p.top_p);
                page.add_param(&p.hold);
                page.add_param(&p.density);
                page.add_param(&p.seed);
                page.add_param(&p.variations);
            });
            section.add_page("Listen", |page| {
                page.add_param(&p.mode);
                page.add_param(&p.prompt);
                page.add_param(&p.prompt_bars);
                page.add_param(&p.snap);
                page.add_spacer();
                page.add_param(&p.duet);
                page.add_param(&p.duet_pause);
            });
        });
    }
}

impl Vst3Plugin for Segue {
    const VST3_CLASS_ID: [u8; 16] = *b"SeguePianoPlayOn";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Fx, Vst3SubCategory::Generator, Vst3SubCategory::Piano];
}

nice_export_clap!(Segue);
nice_export_vst3!(Segue);
