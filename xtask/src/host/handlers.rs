//! What the plugin may ask of the host.

use clack_extensions::gui::{GuiSize, HostGui, HostGuiImpl};
use clack_extensions::params::{
    HostParams, HostParamsImplMainThread, HostParamsImplShared, ParamClearFlags, ParamRescanFlags,
};
use clack_extensions::state::{HostState, HostStateImpl};
use clack_host::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Called from any thread.
#[derive(Debug, Default)]
pub struct Shared {
    callback: AtomicBool,
}

impl Shared {
    /// Whether the plugin has asked for its main-thread callback since the last call.
    pub fn take_request(&self) -> bool {
        self.callback.swap(false, Relaxed)
    }
}

impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {
        self.callback.store(true, Relaxed);
    }
}

impl HostGuiImpl for Shared {
    fn resize_hints_changed(&self) {}
    fn request_resize(&self, _: GuiSize) -> Result<(), HostError> {
        Ok(())
    }
    fn request_show(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn request_hide(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn closed(&self, _: bool) {}
}

impl HostParamsImplShared for Shared {
    fn request_flush(&self) {}
}

/// Called on the main thread.
#[derive(Debug)]
pub struct Main;

impl MainThreadHandler<'_> for Main {}

impl HostParamsImplMainThread for Main {
    fn rescan(&self, _: ParamRescanFlags) {}
    fn clear(&self, _: ClapId, _: ParamClearFlags) {}
}

impl HostStateImpl for Main {
    fn mark_dirty(&self) {}
}

/// Ties them together.
#[derive(Debug)]
pub struct Handlers;

impl HostHandlers for Handlers {
    type Shared<'a> = Shared;
    type MainThread<'a> = Main;
    type AudioProcessor<'a> = ();
    fn declare_extensions(builder: &mut HostExtensions<'_, Self>, _: &Shared) {
        builder.register::<HostGui>().register::<HostParams>().register::<HostState>();
    }
}
