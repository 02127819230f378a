//! CLAP, through clack-host.

use super::{Audio, Block, Event, Instance, Param, Setup, Transport};
use crate::error::{Error, Result};
use crate::host::ID;
use crate::host::handlers::{Handlers, Main, Shared};
use crate::validate::syscalls;
use clack_extensions::audio_ports_config::{AudioPortsConfigBuffer, PluginAudioPortsConfig};
use clack_extensions::gui::{GuiApiType, GuiConfiguration, GuiSize, PluginGui, Window};
use clack_extensions::params::{ParamInfoBuffer, PluginParams};
use clack_extensions::render::{PluginRender, RenderMode};
use clack_extensions::state::PluginState;
use clack_host::events::event_types::{NoteOnEvent, ParamValueEvent, TransportEvent};
use clack_host::prelude::*;
use clap_sys::audio_buffer::clap_audio_buffer;
use clap_sys::events as raw;
use clap_sys::fixedpoint::CLAP_BEATTIME_FACTOR;
use clap_sys::process::clap_process;
use std::ffi::CString;
use std::io::{Read, Write};
use std::path::Path;

/// An opened CLAP.
pub struct ClapLibrary {
    entry: PluginEntry,
}

impl std::fmt::Debug for ClapLibrary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClapLibrary").finish_non_exhaustive()
    }
}

impl ClapLibrary {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // SAFETY: running the plugin is what the validator is for; it does so in a process of its own.
        let entry = unsafe { PluginEntry::load(path) }.map_err(|e| Error::file(path, e))?;
        let factory = entry.get_plugin_factory().ok_or_else(|| Error::host("no plugin factory"))?;
        if !factory.plugin_descriptors().any(|d| d.id() == Some(ID)) {
            return Err(Error::host(format!("{} holds no {ID:?}", path.display())));
        }
        Ok(Self { entry })
    }

    pub(super) fn instance(&self) -> Result<Box<dyn Instance>> {
        let info = HostInfo::new("Segue's validator", "Segue", "", env!("CARGO_PKG_VERSION")).map_err(Error::host)?;
        let instance =
            PluginInstance::new(|()| Shared::default(), |_| Main, &self.entry, ID, &info).map_err(Error::host)?;
        let mut clap = Clap { instance, params: Vec::new() };
        clap.params = clap.read_params()?;
        Ok(Box::new(clap))
    }
}

struct Clap {
    instance: PluginInstance<Handlers>,
    params: Vec<Param>,
}

impl Clap {
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
            let info = params.get_info(&plugin, index, &mut buffer);
            let info = info.ok_or_else(|| Error::host(format!("parameter {index} says nothing about itself")))?;
            list.push(Param {
                id: info.id.get(),
                name: String::from_utf8_lossy(info.name).into_owned(),
                min: info.min_value,
                max: info.max_value,
                default: info.default_value,
            });
        }
        Ok(list)
    }

    /// Selects the layout with so many channels.
    fn select(&mut self, channels: usize) -> Result<()> {
        let configs: PluginAudioPortsConfig = self.extension("audio ports config")?;
        let plugin = self.instance.plugin_handle();
        let mut buffer = AudioPortsConfigBuffer::new();
        for index in 0..configs.count(&plugin) {
            let found = configs.get(&plugin, index, &mut buffer).and_then(|c| {
                let main = c.main_input?;
                (main.channel_count as usize == channels).then_some(c.id)
            });
            if let Some(id) = found {
                return configs.select(&plugin, id).map_err(Error::host);
            }
        }
        Err(Error::host(format!("no layout of {channels} channels")))
    }
}

/// Reads or writes at most `grain` bytes a call.
struct Grained<T> {
    inner: T,
    grain: usize,
}

impl<T: Read> Read for Grained<T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.grain);
        self.inner.read(&mut buffer[..length])
    }
}

impl<T: Write> Write for Grained<T> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.inner.write(&buffer[..buffer.len().min(self.grain)])
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn id_of(id: u32) -> Result<ClapId> {
    ClapId::from_raw(id).ok_or_else(|| Error::host("an id that is none"))
}

impl Instance for Clap {
    fn params(&self) -> &[Param] {
        &self.params
    }

    fn value(&mut self, id: u32) -> Result<f64> {
        let params: PluginParams = self.extension("params")?;
        params.get_value(&self.instance.plugin_handle(), id_of(id)?).ok_or_else(|| Error::host("no value"))
    }

    fn value_to_text(&mut self, id: u32, value: f64) -> Result<String> {
        let params: PluginParams = self.extension("params")?;
        let mut buffer = [0; 256];
        let shown = params.value_to_text(&self.instance.plugin_handle(), id_of(id)?, value, &mut buffer);
        let shown = shown.map_err(|_| Error::host(format!("no text for {value}")))?;
        Ok(String::from_utf8_lossy(shown).trim_end_matches('\0').to_owned())
    }

    fn text_to_value(&mut self, id: u32, text: &str) -> Option<f64> {
        let params: PluginParams = self.extension("params").ok()?;
        let text = CString::new(text).ok()?;
        params.text_to_value(&self.instance.plugin_handle(), id_of(id).ok()?, &text)
    }

    fn set_inactive(&mut self, id: u32, value: f64) -> Result<()> {
        let params: PluginParams = self.extension("params")?;
        let mut events = EventBuffer::new();
        events.push(&ParamValueEvent::new(0, id_of(id)?, Pckn::match_all(), value));
        let mut sent_back = EventBuffer::new();
        let mut plugin = self.instance.inactive_plugin_handle().ok_or_else(|| Error::host("it is active"))?;
        params.flush(&mut plugin, &events.as_input(), &mut sent_back.as_output());
        Ok(())
    }

    fn save(&mut self, grain: usize) -> Result<Vec<u8>> {
        let state: PluginState = self.extension("state")?;
        let mut writer = Grained { inner: Vec::new(), grain };
        state.save(&self.instance.plugin_handle(), &mut writer).map_err(Error::host)?;
        Ok(writer.inner)
    }

    fn load(&mut self, bytes: &[u8], grain: usize) -> Result<bool> {
        let state: PluginState = self.extension("state")?;
        let mut reader = Grained { inner: bytes, grain };
        Ok(state.load(&self.instance.plugin_handle(), &mut reader).is_ok())
    }

    fn activate(&mut self, setup: Setup) -> Result<Box<dyn Audio>> {
        self.select(setup.channels)?;
        let render: PluginRender = self.extension("render")?;
        let mode = if setup.offline { RenderMode::Offline } else { RenderMode::Realtime };
        render.set(&self.instance.plugin_handle(), mode).map_err(Error::host)?;
        let configuration = PluginAudioConfiguration {
            sample_rate: setup.rate,
            min_frames_count: 1,
            max_frames_count: u32::try_from(setup.max_block).map_err(Error::host)?,
        };
        let stopped = self.instance.activate(|_, _| (), configuration).map_err(Error::host)?;
        Ok(Box::new(ClapAudio {
            processor: stopped.into(),
            events: EventBuffer::with_capacity(256),
            sent_back: EventBuffer::with_capacity(256),
        }))
    }

    fn deactivate(&mut self) -> Result<()> {
        self.instance.try_deactivate().map_err(Error::host)
    }

    fn process_inactive(&mut self) -> Result<()> {
        let plugin = self.instance.raw_instance();
        let process = plugin.process.ok_or_else(|| Error::host("no process function"))?;
        let (mut left, mut right) = ([0.25_f32; 64], [0.25_f32; 64]);
        let mut channels = [left.as_mut_ptr(), right.as_mut_ptr()];
        let mut buffer = buffer(&mut channels, 2, 0);
        let events = EventBuffer::new();
        let mut sent_back = EventBuffer::new();
        let (ins, mut outs) = (events.as_input(), sent_back.as_output());
        let call = clap_process {
            steady_time: -1,
            frames_count: 64,
            transport: std::ptr::null(),
            audio_inputs: &raw const buffer,
            audio_outputs: &raw mut buffer,
            audio_inputs_count: 1,
            audio_outputs_count: 1,
            in_events: ins.as_raw(),
            // SAFETY: used for this one call, during which nobody else does.
            out_events: unsafe { outs.as_raw_mut() },
        };
        // SAFETY: every pointer is to something on this stack; that the order is illegal is what is being tried.
        unsafe { process(plugin, &raw const call) };
        Ok(())
    }

    fn pump(&mut self) {
        if self.instance.access_shared_handler(Shared::take_request) {
            self.instance.call_on_main_thread_callback();
        }
    }

    fn open_editor(&mut self, parent: u32) -> Result<(u32, u32)> {
        let gui: PluginGui = self.extension("gui")?;
        let api = GuiConfiguration { api_type: GuiApiType::X11, is_floating: false };
        gui.create(&self.instance.plugin_handle(), api).map_err(Error::host)?;
        let size = gui.get_size(&self.instance.plugin_handle()).ok_or_else(|| Error::host("the editor has no size"))?;
        // SAFETY: the caller's window exists until the editor is closed.
        let embedded =
            unsafe { gui.set_parent(&self.instance.plugin_handle(), Window::from_x11_handle(parent.into())) };
        embedded.map_err(Error::host)?;
        // Embedded editors may refuse `show`; they are shown with their window.
        let _ = gui.show(&self.instance.plugin_handle());
        Ok((size.width, size.height))
    }

    fn resize_editor(&mut self, width: u32, height: u32) -> bool {
        let Ok(gui) = self.extension::<PluginGui>("gui") else { return false };
        let plugin = self.instance.plugin_handle();
        let Some(size) = gui.adjust_size(&plugin, GuiSize { width, height }) else { return false };
        gui.set_size(&plugin, size).is_ok()
    }

    fn close_editor(&mut self) {
        if let Ok(gui) = self.extension::<PluginGui>("gui") {
            gui.destroy(&self.instance.plugin_handle());
        }
    }
}

struct ClapAudio {
    processor: PluginAudioProcessor<Handlers>,
    events: EventBuffer,
    sent_back: EventBuffer,
}

fn buffer(channels: &mut [*mut f32; 2], count: usize, constant_mask: u64) -> clap_audio_buffer {
    clap_audio_buffer {
        data32: channels.as_mut_ptr(),
        data64: std::ptr::null_mut(),
        channel_count: count as u32,
        latency: 0,
        constant_mask,
    }
}

fn transport_event(t: &Transport) -> TransportEvent {
    // SAFETY: a plain C struct of numbers, for which all zeros is a valid value.
    let mut event: raw::clap_event_transport = unsafe { std::mem::zeroed() };
    event.header.size = size_of::<raw::clap_event_transport>() as u32;
    event.header.type_ = raw::CLAP_EVENT_TRANSPORT;
    event.header.space_id = raw::CLAP_CORE_EVENT_SPACE_ID;
    let fixed = |beats: f64| (beats * CLAP_BEATTIME_FACTOR as f64) as i64;
    if t.playing {
        event.flags |= raw::CLAP_TRANSPORT_IS_PLAYING;
    }
    if let Some(tempo) = t.tempo {
        event.flags |= raw::CLAP_TRANSPORT_HAS_TEMPO;
        event.tempo = tempo;
    }
    if let Some(beats) = t.beats {
        event.flags |= raw::CLAP_TRANSPORT_HAS_BEATS_TIMELINE;
        event.song_pos_beats = fixed(beats);
        event.bar_start = fixed(t.bar_start);
    }
    if let Some((numerator, denominator)) = t.signature {
        event.flags |= raw::CLAP_TRANSPORT_HAS_TIME_SIGNATURE;
        (event.tsig_num, event.tsig_denom) = (numerator, denominator);
    }
    TransportEvent::from_raw(&event)
}

impl Audio for ClapAudio {
    fn start(&mut self) -> Result<()> {
        self.processor.start_processing().map(|_| ()).map_err(Error::host)
    }

    fn stop(&mut self) {
        self.processor.ensure_processing_stopped();
    }

    fn reset(&mut self) {
        self.processor.reset();
    }

    fn process(&mut self, block: &mut Block<'_>) -> Result<()> {
        self.events.clear();
        self.sent_back.clear();
        for event in block.events {
            match *event {
                Event::Param { offset, id, value } => {
                    self.events.push(&ParamValueEvent::new(offset, id_of(id)?, Pckn::match_all(), value));
                }
                Event::NoteOn { offset, key } => {
                    self.events.push(&NoteOnEvent::new(offset, Pckn::new(0_u8, 0_u8, key, 0_u8), 0.8));
                }
            }
        }
        let count = block.input.len().min(2);
        let mut sources = [std::ptr::null_mut(); 2];
        for (pointer, channel) in sources.iter_mut().zip(block.input.iter_mut()) {
            *pointer = channel.as_mut_ptr();
        }
        let mut targets = sources;
        if let Some(output) = block.output.as_mut() {
            for (pointer, channel) in targets.iter_mut().zip(output.iter_mut()) {
                *pointer = channel.as_mut_ptr();
            }
        }
        let mask = if block.constant { (1 << count) - 1 } else { 0 };
        let inputs = [buffer(&mut sources, count, mask)];
        let mut outputs = [buffer(&mut targets, count, 0)];
        let frames = u32::try_from(block.frames).map_err(Error::host)?;
        let transport = block.transport.as_ref().map(transport_event);
        let started = self.processor.as_started_mut().map_err(Error::host)?;
        // SAFETY: every channel has at least `frames` samples, and the vectors outlive the call.
        let (ins, mut outs) = unsafe {
            (
                InputAudioBuffers::from_raw_buffers(&inputs, frames),
                OutputAudioBuffers::from_raw_buffers(&mut outputs, frames),
            )
        };
        let (heard, mut said) = (self.events.as_input(), self.sent_back.as_output());
        let done = syscalls::watched(|| {
            started.process(&ins, &mut outs, &heard, &mut said, Some(block.clock), transport.as_ref())
        });
        done.map(|_| ()).map_err(Error::host)
    }
}
