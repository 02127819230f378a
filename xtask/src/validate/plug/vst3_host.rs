//! VST3: as much of a host as the checks need, over the `vst3` crate's bindings.

use super::vst3_objects::{Application, Changes, Events, Frame, Stream};
use super::{Audio, Block, Event, Instance, Param, Setup, Transport};
use crate::error::{Error, Result};
use crate::validate::syscalls;
use std::ffi::{c_char, c_void};
use std::mem::zeroed;
use std::path::Path;
use std::sync::Arc;
use vst3::Steinberg::Vst::Event_::EventTypes_;
use vst3::Steinberg::Vst::ProcessContext_::StatesAndFlags_;
use vst3::Steinberg::Vst::{
    AudioBusBuffers, BusDirections_, Event as RawEvent, IAudioProcessor, IAudioProcessorTrait, IComponent,
    IComponentHandler, IComponentTrait, IEditController, IEditControllerTrait, IEventList, IParameterChanges,
    MediaTypes_, ParameterInfo, ParameterInfo_::ParameterFlags_, ProcessContext, ProcessData, ProcessModes_,
    ProcessSetup, SpeakerArr, SymbolicSampleSizes_,
};
use vst3::Steinberg::{
    FUnknown, IBStream, IPlugFrame, IPlugView, IPlugViewTrait, IPluginBaseTrait, IPluginFactory, IPluginFactoryTrait,
    PClassInfo, ViewRect, kPlatformTypeX11EmbedWindowID, kResultOk, tresult,
};
use vst3::{ComPtr, ComWrapper, Interface};

/// An opened VST3.
pub struct Vst3Library {
    shared: Arc<Opened>,
}

impl std::fmt::Debug for Vst3Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vst3Library").finish_non_exhaustive()
    }
}

/// Instances keep the library loaded.
struct Opened {
    class: [c_char; 16],
    // In this order: the factory is released before the module is told to leave and the library is closed.
    factory: Option<ComPtr<IPluginFactory>>,
    library: libloading::Library,
}

const EXIT: &[u8] = if cfg!(windows) { b"ExitDll" } else { b"ModuleExit" };
const ENTRY: &[u8] = if cfg!(windows) { b"InitDll" } else { b"ModuleEntry" };

impl Drop for Opened {
    fn drop(&mut self) {
        self.factory = None;
        // SAFETY: the signature is the one VST3 prescribes.
        if let Ok(exit) = unsafe { self.library.get::<unsafe extern "system" fn() -> bool>(EXIT) } {
            // SAFETY: all objects of the library have been released.
            unsafe { exit() };
        }
    }
}

fn ok(result: tresult, what: &str) -> Result<()> {
    if result == kResultOk { Ok(()) } else { Err(Error::host(format!("{what} said {result:#x}"))) }
}

impl Vst3Library {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // SAFETY: running the plugin is what the validator is for; it does so in a process of its own.
        let library = unsafe { libloading::Library::new(path) }.map_err(|e| Error::file(path, e))?;
        // SAFETY: the signature is the one VST3 prescribes; on Linux it gets the library's handle, which nobody reads.
        if let Ok(entry) = unsafe { library.get::<unsafe extern "system" fn(*mut c_void) -> bool>(ENTRY) } {
            // SAFETY: called once, before anything else.
            if !unsafe { entry(std::ptr::null_mut()) } {
                return Err(Error::file(path, "the module refused to start"));
            }
        }
        // SAFETY: the signature is the one VST3 prescribes.
        let factory = unsafe {
            library.get::<unsafe extern "system" fn() -> *mut IPluginFactory>(b"GetPluginFactory").map(|get| get())
        };
        let factory = factory.map_err(|e| Error::file(path, e))?;
        // SAFETY: the function returns a reference of our own.
        let factory = unsafe { ComPtr::from_raw(factory) }.ok_or_else(|| Error::file(path, "no factory"))?;
        // SAFETY: a plain C struct, for which all zeros is a valid value.
        let mut info: PClassInfo = unsafe { zeroed() };
        // SAFETY: the factory is alive and `info` is writable.
        ok(unsafe { factory.getClassInfo(0, &raw mut info) }, "getClassInfo")?;
        let shared = Arc::new(Opened { class: info.cid, factory: Some(factory), library });
        Ok(Self { shared })
    }

    pub(super) fn instance(&self) -> Result<Box<dyn Instance>> {
        let factory = self.shared.factory.as_ref().ok_or_else(|| Error::host("the factory is gone"))?;
        let mut object = std::ptr::null_mut();
        let class = self.shared.class.as_ptr();
        // SAFETY: both ids are sixteen bytes and `object` is writable.
        let made = unsafe { factory.createInstance(class, IComponent::IID.as_ptr().cast(), &raw mut object) };
        ok(made, "createInstance")?;
        // SAFETY: the factory gave a reference to the interface that was asked for.
        let component = unsafe { ComPtr::from_raw(object.cast::<IComponent>()) };
        let component = component.ok_or_else(|| Error::host("createInstance gave nothing"))?;
        let application = ComWrapper::new(Application);
        let context = application.to_com_ptr::<FUnknown>();
        // SAFETY: the context lives as long as the instance.
        let begun = unsafe { component.initialize(context.as_ref().map_or(std::ptr::null_mut(), ComPtr::as_ptr)) };
        ok(begun, "initialize")?;
        let controller = component.cast::<IEditController>().ok_or_else(|| Error::host("no edit controller"))?;
        let processor = component.cast::<IAudioProcessor>().ok_or_else(|| Error::host("no audio processor"))?;
        if let Some(handler) = application.as_com_ref::<IComponentHandler>() {
            // SAFETY: the handler lives as long as the instance.
            ok(unsafe { controller.setComponentHandler(handler.as_ptr()) }, "setComponentHandler")?;
        }
        let mut vst3 = Vst3 {
            view: None,
            params: Vec::new(),
            hidden: Vec::new(),
            controller: Some(controller),
            processor: Some(processor),
            component: Some(component),
            frame: ComWrapper::new(Frame::default()),
            _context: context,
            _application: application,
            _library: Arc::clone(&self.shared),
        };
        (vst3.params, vst3.hidden) = vst3.read_params()?;
        Ok(Box::new(vst3))
    }
}

struct Vst3 {
    view: Option<ComPtr<IPlugView>>,
    params: Vec<Param>,
    hidden: Vec<Param>,
    controller: Option<ComPtr<IEditController>>,
    processor: Option<ComPtr<IAudioProcessor>>,
    component: Option<ComPtr<IComponent>>,
    frame: ComWrapper<Frame>,
    _context: Option<ComPtr<FUnknown>>,
    _application: ComWrapper<Application>,
    _library: Arc<Opened>,
}

impl Vst3 {
    fn controller(&self) -> Result<&ComPtr<IEditController>> {
        self.controller.as_ref().ok_or_else(|| Error::host("it is gone"))
    }
    fn processor(&self) -> Result<&ComPtr<IAudioProcessor>> {
        self.processor.as_ref().ok_or_else(|| Error::host("it is gone"))
    }
    fn component(&self) -> Result<&ComPtr<IComponent>> {
        self.component.as_ref().ok_or_else(|| Error::host("it is gone"))
    }

    /// Those that are shown, and those that are not.
    fn read_params(&self) -> Result<(Vec<Param>, Vec<Param>)> {
        let controller = self.controller()?;
        // SAFETY: the controller is alive.
        let count = unsafe { controller.getParameterCount() };
        let (mut shown, mut hidden) = (Vec::new(), Vec::new());
        for index in 0..count {
            // SAFETY: a plain C struct, for which all zeros is a valid value.
            let mut info: ParameterInfo = unsafe { zeroed() };
            // SAFETY: the controller is alive and `info` is writable.
            ok(unsafe { controller.getParameterInfo(index, &raw mut info) }, "getParameterInfo")?;
            let list = if info.flags & ParameterFlags_::kIsHidden == 0 { &mut shown } else { &mut hidden };
            list.push(Param {
                id: info.id,
                name: text_of(&info.title),
                min: 0.0,
                max: 1.0,
                default: info.defaultNormalizedValue,
            });
        }
        Ok((shown, hidden))
    }
}

fn text_of(wide: &[u16]) -> String {
    let end = wide.iter().position(|c| *c == 0).unwrap_or(wide.len());
    String::from_utf16_lossy(&wide[..end])
}

impl Drop for Vst3 {
    fn drop(&mut self) {
        self.close_editor();
        if let Some(controller) = &self.controller {
            // SAFETY: the controller is alive; it shall forget the handler before that goes.
            unsafe { controller.setComponentHandler(std::ptr::null_mut()) };
        }
        if let Some(component) = &self.component {
            // SAFETY: the component is alive and inactive.
            unsafe { component.terminate() };
        }
        self.controller = None;
        self.processor = None;
        self.component = None;
    }
}

impl Instance for Vst3 {
    fn params(&self) -> &[Param] {
        &self.params
    }

    fn hidden(&self) -> &[Param] {
        &self.hidden
    }

    fn value(&mut self, id: u32) -> Result<f64> {
        // SAFETY: the controller is alive.
        Ok(unsafe { self.controller()?.getParamNormalized(id) })
    }

    fn value_to_text(&mut self, id: u32, value: f64) -> Result<String> {
        let mut text = [0_u16; 128];
        // SAFETY: the controller is alive and `text` has the length VST3 prescribes.
        let shown = unsafe { self.controller()?.getParamStringByValue(id, value, &raw mut text) };
        ok(shown, "getParamStringByValue")?;
        Ok(text_of(&text))
    }

    fn text_to_value(&mut self, id: u32, text: &str) -> Option<f64> {
        let mut wide: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut value = 0.0;
        // SAFETY: the controller is alive and the text ends with a zero.
        let understood =
            unsafe { self.controller().ok()?.getParamValueByString(id, wide.as_mut_ptr(), &raw mut value) };
        (understood == kResultOk).then_some(value)
    }

    fn set_inactive(&mut self, id: u32, value: f64) -> Result<()> {
        // SAFETY: the controller is alive.
        ok(unsafe { self.controller()?.setParamNormalized(id, value) }, "setParamNormalized")
    }

    fn save(&mut self, grain: usize) -> Result<Vec<u8>> {
        let stream = Stream::new(Vec::new(), grain);
        let raw = stream.as_com_ref::<IBStream>().ok_or_else(|| Error::host("no stream"))?;
        // SAFETY: component and stream are alive.
        ok(unsafe { self.component()?.getState(raw.as_ptr()) }, "getState")?;
        Ok(stream.bytes())
    }

    fn load(&mut self, bytes: &[u8], grain: usize) -> Result<bool> {
        let stream = Stream::new(bytes.to_vec(), grain);
        let raw = stream.as_com_ref::<IBStream>().ok_or_else(|| Error::host("no stream"))?;
        // SAFETY: component and stream are alive.
        let component = unsafe { self.component()?.setState(raw.as_ptr()) };
        if component == kResultOk {
            let again = Stream::new(bytes.to_vec(), grain);
            if let Some(raw) = again.as_com_ref::<IBStream>() {
                // SAFETY: as above; hosts tell the controller too.
                unsafe { self.controller()?.setComponentState(raw.as_ptr()) };
            }
        }
        Ok(component == kResultOk)
    }

    fn activate(&mut self, setup: Setup) -> Result<Box<dyn Audio>> {
        let processor = self.processor()?.clone();
        let mode = if setup.offline { ProcessModes_::kOffline } else { ProcessModes_::kRealtime };
        let mut raw = ProcessSetup {
            processMode: mode as i32,
            symbolicSampleSize: SymbolicSampleSizes_::kSample32 as i32,
            maxSamplesPerBlock: i32::try_from(setup.max_block).map_err(Error::host)?,
            sampleRate: setup.rate,
        };
        let mut layout = if setup.channels == 1 { SpeakerArr::kMono } else { SpeakerArr::kStereo };
        let mut other = layout;
        let (audio, events) = (MediaTypes_::kAudio as i32, MediaTypes_::kEvent as i32);
        let (ins, outs) = (BusDirections_::kInput as i32, BusDirections_::kOutput as i32);
        // SAFETY: processor and component are alive, the pointers are to this stack.
        unsafe {
            ok(processor.setBusArrangements(&raw mut layout, 1, &raw mut other, 1), "setBusArrangements")?;
            ok(processor.setupProcessing(&raw mut raw), "setupProcessing")?;
            let component = self.component()?;
            ok(component.activateBus(audio, ins, 0, 1), "activateBus")?;
            ok(component.activateBus(audio, outs, 0, 1), "activateBus")?;
            component.activateBus(events, ins, 0, 1);
            ok(component.setActive(1), "setActive")?;
        }
        Ok(Box::new(Vst3Audio { processor: SendPtr(processor), mode: mode as i32, rate: setup.rate }))
    }

    fn deactivate(&mut self) -> Result<()> {
        // SAFETY: the component is alive and no longer processing.
        ok(unsafe { self.component()?.setActive(0) }, "setActive(0)")
    }

    fn process_inactive(&mut self) -> Result<()> {
        let mut audio = Vst3Audio { processor: SendPtr(self.processor()?.clone()), mode: 0, rate: 48_000.0 };
        let mut planes = [vec![0.25; 64], vec![0.25; 64]];
        let mut block = Block {
            input: &mut planes,
            output: None,
            frames: 64,
            constant: false,
            events: &[],
            transport: None,
            clock: 0,
        };
        // It may refuse; it may not crash.
        let _ = audio.process(&mut block);
        Ok(())
    }

    fn pump(&mut self) {
        self.frame.turn();
    }

    fn open_editor(&mut self, parent: u32) -> Result<(u32, u32)> {
        // SAFETY: the controller is alive; the view type is VST3's "editor".
        let view = unsafe { ComPtr::from_raw(self.controller()?.createView(c"editor".as_ptr())) };
        let view = view.ok_or_else(|| Error::host("no editor"))?;
        let frame = self.frame.to_com_ptr::<IPlugFrame>().ok_or_else(|| Error::host("no frame"))?;
        let mut size = ViewRect { left: 0, top: 0, right: 0, bottom: 0 };
        // SAFETY: view and frame are alive, the window exists until the editor is closed.
        unsafe {
            ok(view.setFrame(frame.as_ptr()), "setFrame")?;
            ok(view.getSize(&raw mut size), "getSize")?;
            ok(view.attached(parent as usize as *mut c_void, kPlatformTypeX11EmbedWindowID), "attached")?;
        }
        self.view = Some(view);
        Ok(((size.right - size.left).unsigned_abs(), (size.bottom - size.top).unsigned_abs()))
    }

    fn resize_editor(&mut self, width: u32, height: u32) -> bool {
        let Some(view) = &self.view else { return false };
        let mut size = ViewRect { left: 0, top: 0, right: width as i32, bottom: height as i32 };
        // SAFETY: the view is alive and `size` is writable.
        unsafe { view.checkSizeConstraint(&raw mut size) == kResultOk && view.onSize(&raw mut size) == kResultOk }
    }

    fn close_editor(&mut self) {
        if let Some(view) = self.view.take() {
            // SAFETY: the view is alive until the end of this block.
            unsafe {
                view.removed();
                view.setFrame(std::ptr::null_mut());
            }
        }
    }
}

/// VST3's processor may be called from the audio thread while the controller is called from the main thread.
struct SendPtr(ComPtr<IAudioProcessor>);
// SAFETY: the interface is made for being called on another thread; the count of references is atomic in the plugin.
unsafe impl Send for SendPtr {}

struct Vst3Audio {
    processor: SendPtr,
    mode: i32,
    rate: f64,
}

// The flags are signed where the compiler is Microsoft's.
#[allow(clippy::unnecessary_cast)]
fn context(t: &Transport, rate: f64, clock: u64) -> ProcessContext {
    // SAFETY: a plain C struct of numbers, for which all zeros is a valid value.
    let mut context: ProcessContext = unsafe { zeroed() };
    context.sampleRate = rate;
    context.projectTimeSamples = clock as i64;
    if t.playing {
        context.state |= StatesAndFlags_::kPlaying as u32;
    }
    if let Some(tempo) = t.tempo {
        context.state |= StatesAndFlags_::kTempoValid as u32;
        context.tempo = tempo;
    }
    if let Some(beats) = t.beats {
        context.state |= (StatesAndFlags_::kProjectTimeMusicValid | StatesAndFlags_::kBarPositionValid) as u32;
        context.projectTimeMusic = beats;
        context.barPositionMusic = t.bar_start;
    }
    if let Some((numerator, denominator)) = t.signature {
        context.state |= StatesAndFlags_::kTimeSigValid as u32;
        context.timeSigNumerator = numerator.into();
        context.timeSigDenominator = denominator.into();
    }
    context
}

fn note_on(offset: u32, key: u8) -> RawEvent {
    // SAFETY: a plain C struct of numbers, for which all zeros is a valid value.
    let mut event: RawEvent = unsafe { zeroed() };
    event.sampleOffset = offset as i32;
    event.r#type = EventTypes_::kNoteOnEvent as u16;
    // A plain union field may be written; its numbers are then all defined.
    event.__field0.noteOn.pitch = key.into();
    event.__field0.noteOn.velocity = 0.8;
    event.__field0.noteOn.noteId = -1;
    event
}

impl Audio for Vst3Audio {
    fn start(&mut self) -> Result<()> {
        // SAFETY: the processor is alive and active. Plugins may answer "not implemented".
        unsafe { self.processor.0.setProcessing(1) };
        Ok(())
    }

    fn stop(&mut self) {
        // SAFETY: as above.
        unsafe { self.processor.0.setProcessing(0) };
    }

    fn reset(&mut self) {
        // VST3 has no other word for it.
        self.stop();
        // SAFETY: as above.
        unsafe { self.processor.0.setProcessing(1) };
    }

    fn process(&mut self, block: &mut Block<'_>) -> Result<()> {
        let changes = Changes::new(block.events.iter().filter_map(|event| match *event {
            Event::Param { offset, id, value } => Some((id, offset as i32, value)),
            Event::NoteOn { .. } => None,
        }));
        let notes = block.events.iter().filter_map(|event| match *event {
            Event::NoteOn { offset, key } => Some(note_on(offset, key)),
            Event::Param { .. } => None,
        });
        let (notes, said) = (Events::new(notes.collect()), Events::new(Vec::new()));
        let said_changes = Changes::new(std::iter::empty());
        let count = block.input.len().min(2);
        let mut sources = [std::ptr::null_mut::<f32>(); 2];
        for (pointer, channel) in sources.iter_mut().zip(block.input.iter_mut()) {
            *pointer = channel.as_mut_ptr();
        }
        let mut targets = sources;
        if let Some(output) = block.output.as_mut() {
            for (pointer, channel) in targets.iter_mut().zip(output.iter_mut()) {
                *pointer = channel.as_mut_ptr();
            }
        }
        let bus = |channels: &mut [*mut f32; 2], silent: bool| {
            // SAFETY: a plain C struct, for which all zeros is a valid value.
            let mut bus: AudioBusBuffers = unsafe { zeroed() };
            bus.numChannels = count as i32;
            bus.silenceFlags = if silent { (1 << count) - 1 } else { 0 };
            bus.__field0.channelBuffers32 = channels.as_mut_ptr();
            bus
        };
        let silent = block.constant && block.input.iter().all(|c| c[..block.frames].iter().all(|s| *s == 0.0));
        let (mut inputs, mut outputs) = (bus(&mut sources, silent), bus(&mut targets, false));
        let mut time = block.transport.as_ref().map(|t| context(t, self.rate, block.clock));
        let changes_of =
            |c: &ComWrapper<Changes>| c.as_com_ref::<IParameterChanges>().map_or(std::ptr::null_mut(), |c| c.as_ptr());
        let events_of =
            |e: &ComWrapper<Events>| e.as_com_ref::<IEventList>().map_or(std::ptr::null_mut(), |e| e.as_ptr());
        let mut data = ProcessData {
            processMode: self.mode,
            symbolicSampleSize: SymbolicSampleSizes_::kSample32 as i32,
            numSamples: i32::try_from(block.frames).map_err(Error::host)?,
            numInputs: 1,
            numOutputs: 1,
            inputs: &raw mut inputs,
            outputs: &raw mut outputs,
            inputParameterChanges: changes_of(&changes),
            outputParameterChanges: changes_of(&said_changes),
            inputEvents: events_of(&notes),
            outputEvents: events_of(&said),
            processContext: time.as_mut().map_or(std::ptr::null_mut(), |t| t),
        };
        let processor = &self.processor.0;
        // SAFETY: the processor is alive; every channel has at least `frames` samples; all pointers are to this stack.
        let done = syscalls::watched(|| unsafe { processor.process(&raw mut data) });
        ok(done, "process")
    }
}
