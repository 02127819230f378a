//! The editor's window: as large as it was when the project was saved, at the scale and in the look the user chose.
//! [`nice_plug_egui`] makes the window; this decides its size each time it opens, and keeps it.

use super::preferences::Preferences;
use super::{App, EditorContext, MIN_SIZE, SIZE};
use crossbeam::atomic::AtomicCell;
use egui::Ui;
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize};
use nice_plug::editor::{Editor, HostMethods, ParentWindowHandle, ResizeHint, SpawnedEditor};
use nice_plug_egui::baseview::{HandlerError, WindowSize};
use nice_plug_egui::{
    EguiEditor, EguiEditorHandle, EguiEditorState, EguiNiceSettings, Frame, NiceEguiApp, RepaintNotifier,
    create_egui_editor,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// No window is wider or higher than this, in points, whatever a project says.
const MOST: f32 = 4000.0;

/// Width and height in points at 100 %, kept with the project.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowShape {
    /// Points.
    pub width: f32,
    /// Points.
    pub height: f32,
}

impl Default for WindowShape {
    fn default() -> Self {
        Self { width: SIZE.0, height: SIZE.1 }
    }
}

impl WindowShape {
    /// The same, within reason.
    #[must_use]
    pub fn sane(self) -> Self {
        let within = |value: f32, least: f32, usual: f32| {
            if value.is_finite() { value.clamp(least, MOST) } else { usual }
        };
        Self { width: within(self.width, MIN_SIZE.0, SIZE.0), height: within(self.height, MIN_SIZE.1, SIZE.1) }
    }
}

/// The editor as the host knows it.
pub struct EditorWindow {
    context: EditorContext,
    app: Arc<Mutex<App>>,
    preferences: Option<PathBuf>,
    /// Pixels per point at 100 %, once a window has told.
    system_scale: Arc<AtomicCell<f32>>,
}

impl std::fmt::Debug for EditorWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EditorWindow").finish_non_exhaustive()
    }
}

impl EditorWindow {
    /// Makes the editor. The window is made later, when the host asks for one.
    #[must_use]
    pub fn new(context: EditorContext) -> Self {
        Self {
            app: Arc::new(Mutex::new(App::new(context.clone()))),
            context,
            preferences: Preferences::path(),
            system_scale: Arc::new(AtomicCell::new(1.0)),
        }
    }

    fn wishes(&self) -> Preferences {
        self.preferences.as_deref().map(Preferences::read).unwrap_or_default()
    }

    fn inner(&self, wishes: &Preferences) -> Option<EguiEditor<Session>> {
        let shape = self.context.params.window.read().sane();
        let size = LogicalSize::new(f64::from(shape.width), f64::from(shape.height));
        let settings = EguiNiceSettings::new()
            .with_tile("Segue")
            .with_resize_hint(self.resize_hint())
            // baseview 0.4.2 on X11: a frame asked for before the window is mapped stops drawing for good, and the
            // notifier starts raised. So it is not polled; `watch` asks for frames.
            .with_repaint_poll_interval(Duration::from_secs(3600));
        let session = Session {
            app: Arc::clone(&self.app),
            context: self.context.clone(),
            system_scale: Arc::clone(&self.system_scale),
            zoom: wishes.zoom(),
        };
        let state = EguiEditorState::from_size(size, wishes.zoom());
        create_egui_editor(state, RepaintNotifier::default(), settings, session)
    }
}

impl Editor for EditorWindow {
    type Handle = EguiEditorHandle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<Self::Handle>, Box<dyn Error>> {
        let wishes = self.wishes();
        self.app.lock().prefer(wishes.clone(), self.preferences.clone());
        let editor = self.inner(&wishes).ok_or("no editor")?;
        editor.spawn(parent, wait_for_parent, fallback_scale_factor, gui_context, host)
    }

    fn size(&self) -> NativeSize<u32> {
        let (shape, zoom) = (self.context.params.window.read().sane(), self.wishes().zoom());
        let size = LogicalSize::new(f64::from(shape.width * zoom), f64::from(shape.height * zoom));
        NativeSize::from_size(size.into(), f64::from(self.system_scale.load()))
    }

    fn resize_hint(&self) -> ResizeHint {
        ResizeHint::resizable().with_min_logical_size(LogicalSize::new(MIN_SIZE.0, MIN_SIZE.1))
    }
}

/// The editor while one window is open.
pub struct Session {
    app: Arc<Mutex<App>>,
    context: EditorContext,
    system_scale: Arc<AtomicCell<f32>>,
    zoom: f32,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl NiceEguiApp for Session {
    fn build(&mut self, ctx: egui::Context, gui: GuiContext, frame: &mut Frame) -> Result<(), HandlerError> {
        #[cfg(feature = "defects")]
        crate::defects::open();
        self.app.lock().opened(&ctx, gui, frame);
        Ok(())
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut Frame) {
        self.app.lock().frame(ui, frame);
    }

    fn resized(&mut self, size: WindowSize) {
        // What comes is in points at the chosen scale, and the scale is the system's times the chosen one.
        self.system_scale.store((size.scale_factor / f64::from(self.zoom)) as f32);
        let shape = WindowShape { width: size.logical.width as f32, height: size.logical.height as f32 };
        *self.context.params.window.write() = shape.sane();
    }

    fn zoom_factor_changed(&mut self, zoom: f32) {
        self.zoom = zoom;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.app.lock().closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_never_too_small_nor_larger_than_any_screen() {
        let shape = |width, height| WindowShape { width, height }.sane();
        assert_eq!(shape(1234.0, 800.0), WindowShape { width: 1234.0, height: 800.0 });
        assert_eq!(shape(1.0, -5.0), WindowShape { width: MIN_SIZE.0, height: MIN_SIZE.1 });
        assert_eq!(shape(1e9, 1e9), WindowShape { width: MOST, height: MOST });
        assert_eq!(shape(f32::NAN, f32::INFINITY), WindowShape::default());
    }
}
