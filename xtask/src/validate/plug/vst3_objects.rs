//! What a VST3 plugin may call back: a stream, parameter changes, events, the application, the window's frame with its
//! run loop. COM objects as the `vst3` crate makes them.
#![allow(non_snake_case, reason = "the names are VST3's")]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::Mutex;
use vst3::Steinberg::Linux::{
    FileDescriptor, IEventHandler, IEventHandlerTrait, IRunLoop, IRunLoopTrait, ITimerHandler, ITimerHandlerTrait,
    TimerInterval,
};
use vst3::Steinberg::Vst::{
    Event, IComponentHandler, IComponentHandlerTrait, IEventList, IEventListTrait, IHostApplication,
    IHostApplicationTrait, IParamValueQueue, IParamValueQueueTrait, IParameterChanges, IParameterChangesTrait, ParamID,
    ParamValue, String128,
};
use vst3::Steinberg::{
    IBStream, IBStreamTrait, IPlugFrame, IPlugFrameTrait, IPlugView, IPlugViewTrait, TUID, ViewRect, int32, int64,
    kInvalidArgument, kNotImplemented, kResultFalse, kResultOk, tresult,
};
use vst3::{Class, ComPtr, ComRef, ComWrapper};

/// Bytes in memory; every call moves at most `grain` of them.
pub(super) struct Stream {
    bytes: RefCell<Vec<u8>>,
    at: Cell<usize>,
    grain: usize,
}

impl Stream {
    pub(super) fn new(bytes: Vec<u8>, grain: usize) -> ComWrapper<Self> {
        ComWrapper::new(Self { bytes: RefCell::new(bytes), at: Cell::new(0), grain })
    }
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }
}

impl Class for Stream {
    type Interfaces = (IBStream,);
}

impl IBStreamTrait for Stream {
    unsafe fn read(&self, buffer: *mut c_void, wanted: int32, read: *mut int32) -> tresult {
        let bytes = self.bytes.borrow();
        let left = bytes.len().saturating_sub(self.at.get());
        let count = usize::try_from(wanted).unwrap_or(0).min(left).min(self.grain);
        if count > 0 {
            // SAFETY: the plugin's buffer holds `wanted` bytes, ours has `left` from here on.
            unsafe { std::ptr::copy_nonoverlapping(bytes[self.at.get()..].as_ptr(), buffer.cast::<u8>(), count) };
        }
        self.at.set(self.at.get() + count);
        if !read.is_null() {
            // SAFETY: not null, so it points to the plugin's counter.
            unsafe { *read = count as int32 };
        }
        kResultOk
    }

    unsafe fn write(&self, buffer: *mut c_void, given: int32, written: *mut int32) -> tresult {
        let count = usize::try_from(given).unwrap_or(0).min(self.grain);
        let mut bytes = self.bytes.borrow_mut();
        let (at, end) = (self.at.get(), self.at.get() + count);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        if count > 0 {
            // SAFETY: the plugin's buffer holds `given` bytes, ours has just been made long enough.
            unsafe { std::ptr::copy_nonoverlapping(buffer.cast::<u8>(), bytes[at..].as_mut_ptr(), count) };
        }
        self.at.set(end);
        if !written.is_null() {
            // SAFETY: not null, so it points to the plugin's counter.
            unsafe { *written = count as int32 };
        }
        kResultOk
    }

    unsafe fn seek(&self, offset: int64, mode: int32, result: *mut int64) -> tresult {
        let base = match mode {
            0 => 0,
            1 => self.at.get() as int64,
            2 => self.bytes.borrow().len() as int64,
            _ => return kInvalidArgument,
        };
        let Ok(at) = usize::try_from(base + offset) else { return kInvalidArgument };
        self.at.set(at);
        if !result.is_null() {
            // SAFETY: not null, so it points to the plugin's position.
            unsafe { *result = at as int64 };
        }
        kResultOk
    }

    unsafe fn tell(&self, position: *mut int64) -> tresult {
        // SAFETY: VST3 wants a valid pointer here.
        unsafe { *position = self.at.get() as int64 };
        kResultOk
    }
}

/// The points of one parameter in one block.
pub(super) struct Queue {
    id: ParamID,
    points: Vec<(int32, ParamValue)>,
}

impl Class for Queue {
    type Interfaces = (IParamValueQueue,);
}

impl IParamValueQueueTrait for Queue {
    unsafe fn getParameterId(&self) -> ParamID {
        self.id
    }
    unsafe fn getPointCount(&self) -> int32 {
        self.points.len() as int32
    }
    unsafe fn getPoint(&self, index: int32, offset: *mut int32, value: *mut ParamValue) -> tresult {
        let Some(point) = usize::try_from(index).ok().and_then(|i| self.points.get(i)) else { return kInvalidArgument };
        // SAFETY: VST3 wants valid pointers here.
        unsafe { (*offset, *value) = *point };
        kResultOk
    }
    unsafe fn addPoint(&self, _: int32, _: ParamValue, _: *mut int32) -> tresult {
        kResultFalse
    }
}

/// The parameter changes of one block.
#[derive(Default)]
pub(super) struct Changes {
    queues: Vec<ComWrapper<Queue>>,
}

impl Changes {
    /// From (id, offset, value) in order of their offsets; each parameter gets its queue.
    pub(super) fn new(changes: impl Iterator<Item = (ParamID, int32, ParamValue)>) -> ComWrapper<Self> {
        let mut queues: Vec<Queue> = Vec::new();
        for (id, offset, value) in changes {
            match queues.iter_mut().find(|q| q.id == id) {
                Some(queue) => queue.points.push((offset, value)),
                None => queues.push(Queue { id, points: vec![(offset, value)] }),
            }
        }
        ComWrapper::new(Self { queues: queues.into_iter().map(ComWrapper::new).collect() })
    }
}

impl Class for Changes {
    type Interfaces = (IParameterChanges,);
}

impl IParameterChangesTrait for Changes {
    unsafe fn getParameterCount(&self) -> int32 {
        self.queues.len() as int32
    }
    unsafe fn getParameterData(&self, index: int32) -> *mut IParamValueQueue {
        let queue = usize::try_from(index).ok().and_then(|i| self.queues.get(i));
        queue.and_then(ComWrapper::as_com_ref).map_or(std::ptr::null_mut(), |q| q.as_ptr())
    }
    unsafe fn addParameterData(&self, _: *const ParamID, _: *mut int32) -> *mut IParamValueQueue {
        std::ptr::null_mut()
    }
}

/// The events of one block.
pub(super) struct Events {
    events: Vec<Event>,
}

impl Events {
    pub(super) fn new(events: Vec<Event>) -> ComWrapper<Self> {
        ComWrapper::new(Self { events })
    }
}

impl Class for Events {
    type Interfaces = (IEventList,);
}

impl IEventListTrait for Events {
    unsafe fn getEventCount(&self) -> int32 {
        self.events.len() as int32
    }
    unsafe fn getEvent(&self, index: int32, event: *mut Event) -> tresult {
        let Some(found) = usize::try_from(index).ok().and_then(|i| self.events.get(i)) else { return kInvalidArgument };
        // SAFETY: VST3 wants a valid pointer here.
        unsafe { *event = *found };
        kResultOk
    }
    unsafe fn addEvent(&self, _: *mut Event) -> tresult {
        // What the plugin plays is of no interest here.
        kResultOk
    }
}

/// The application, and who hears of edits.
pub(super) struct Application;

impl Class for Application {
    type Interfaces = (IHostApplication, IComponentHandler);
}

impl IHostApplicationTrait for Application {
    unsafe fn getName(&self, name: *mut String128) -> tresult {
        // SAFETY: VST3 wants a valid pointer here.
        let name = unsafe { &mut *name };
        name.fill(0);
        for (to, from) in name.iter_mut().zip("Segue's validator".encode_utf16()) {
            *to = from;
        }
        kResultOk
    }
    unsafe fn createInstance(&self, _: *mut TUID, _: *mut TUID, _: *mut *mut c_void) -> tresult {
        kNotImplemented
    }
}

impl IComponentHandlerTrait for Application {
    unsafe fn beginEdit(&self, _: ParamID) -> tresult {
        kResultOk
    }
    unsafe fn performEdit(&self, _: ParamID, _: ParamValue) -> tresult {
        kResultOk
    }
    unsafe fn endEdit(&self, _: ParamID) -> tresult {
        kResultOk
    }
    unsafe fn restartComponent(&self, _: int32) -> tresult {
        kResultOk
    }
}

/// The window's frame and its run loop.
#[derive(Default)]
pub(super) struct Frame {
    descriptors: Mutex<Vec<(ComPtr<IEventHandler>, FileDescriptor)>>,
    timers: Mutex<Vec<ComPtr<ITimerHandler>>>,
}

impl Frame {
    /// One turn of the run loop.
    pub(super) fn turn(&self) {
        let watched: Vec<_> = self.descriptors.lock().map(|d| d.clone()).unwrap_or_default();
        for (handler, descriptor) in watched {
            if readable(descriptor) {
                // SAFETY: it has been registered and not unregistered, so it is alive.
                unsafe { handler.onFDIsSet(descriptor) };
            }
        }
        for timer in self.timers.lock().map(|t| t.clone()).unwrap_or_default() {
            // SAFETY: as above.
            unsafe { timer.onTimer() };
        }
    }
}

#[cfg(unix)]
fn readable(descriptor: FileDescriptor) -> bool {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, as said.
    (unsafe { libc::poll(&raw mut poll, 1, 0) }) > 0
}

#[cfg(not(unix))]
fn readable(_: FileDescriptor) -> bool {
    false
}

impl Class for Frame {
    type Interfaces = (IPlugFrame, IRunLoop);
}

impl IPlugFrameTrait for Frame {
    unsafe fn resizeView(&self, view: *mut IPlugView, size: *mut ViewRect) -> tresult {
        // SAFETY: the plugin hands over its own view.
        match unsafe { ComRef::from_raw(view) } {
            // SAFETY: the view is alive and `size` is the plugin's own.
            Some(view) => unsafe { view.onSize(size) },
            None => kInvalidArgument,
        }
    }
}

impl IRunLoopTrait for Frame {
    unsafe fn registerEventHandler(&self, handler: *mut IEventHandler, descriptor: FileDescriptor) -> tresult {
        // SAFETY: the plugin hands over its own handler.
        let Some(handler) = (unsafe { ComRef::from_raw(handler) }) else { return kInvalidArgument };
        if let Ok(mut descriptors) = self.descriptors.lock() {
            descriptors.push((handler.to_com_ptr(), descriptor));
        }
        kResultOk
    }
    unsafe fn unregisterEventHandler(&self, handler: *mut IEventHandler) -> tresult {
        let gone = self.descriptors.lock().map(|mut d| {
            let (gone, kept) = std::mem::take(&mut *d).into_iter().partition(|(h, _)| h.as_ptr() == handler);
            *d = kept;
            gone
        });
        // Released only now: a handler that ends with this may call back.
        let _: Vec<_> = gone.unwrap_or_default();
        kResultOk
    }
    unsafe fn registerTimer(&self, handler: *mut ITimerHandler, _: TimerInterval) -> tresult {
        // SAFETY: the plugin hands over its own handler.
        let Some(handler) = (unsafe { ComRef::from_raw(handler) }) else { return kInvalidArgument };
        if let Ok(mut timers) = self.timers.lock() {
            timers.push(handler.to_com_ptr());
        }
        kResultOk
    }
    unsafe fn unregisterTimer(&self, handler: *mut ITimerHandler) -> tresult {
        if let Ok(mut timers) = self.timers.lock() {
            timers.retain(|t| t.as_ptr() != handler);
        }
        kResultOk
    }
}
