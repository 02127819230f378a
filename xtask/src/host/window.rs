//! The plugin's editor in a real X11 window, and a picture of what is on the screen there.

use super::Host;
use crate::error::{Error, Result};
use clack_extensions::gui::{GuiApiType, GuiConfiguration, PluginGui, Window as Parent};
use image::RgbImage;
use std::time::{Duration, Instant};
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConnectionExt as _, CreateWindowAux,
    EventMask, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// An open editor.
#[derive(Debug)]
pub struct Editor {
    connection: RustConnection,
    root: Window,
    window: Window,
    /// Width and height in pixels.
    pub size: (u16, u16),
}

const LEFT_TOP: (i16, i16) = (0, 0);

impl Editor {
    /// Opens the editor as a host does: create, make a window, wait a little, embed, show.
    pub fn open(host: &mut Host) -> Result<Self> {
        let (connection, screen) = x11rb::connect(None).map_err(Error::host)?;
        let gui: PluginGui = host.extension("gui")?;
        let api = GuiConfiguration { api_type: GuiApiType::X11, is_floating: false };
        gui.create(&host.instance.plugin_handle(), api).map_err(Error::host)?;
        let size = gui.get_size(&host.instance.plugin_handle()).ok_or_else(|| Error::host("the editor has no size"))?;
        let size = (u16::try_from(size.width).unwrap_or(u16::MAX), u16::try_from(size.height).unwrap_or(u16::MAX));
        let (root, white) = {
            let screen = &connection.setup().roots[screen];
            (screen.root, screen.white_pixel)
        };
        let window = connection.generate_id().map_err(Error::host)?;
        let look = CreateWindowAux::new().background_pixel(white);
        connection
            .create_window(
                COPY_DEPTH_FROM_PARENT,
                window,
                root,
                LEFT_TOP.0,
                LEFT_TOP.1,
                size.0,
                size.1,
                0,
                WindowClass::INPUT_OUTPUT,
                0,
                &look,
            )
            .map_err(Error::host)?;
        connection.map_window(window).map_err(Error::host)?;
        connection.flush().map_err(Error::host)?;
        // Hosts take their time between create and show; an editor that only draws if they hurry stays blank.
        let gap = Instant::now();
        while gap.elapsed() < Duration::from_millis(200) {
            host.pump();
            std::thread::sleep(Duration::from_millis(5));
        }
        // SAFETY: the window exists as long as the connection, which outlives the embedded editor.
        let parent = unsafe { gui.set_parent(&host.instance.plugin_handle(), Parent::from_x11_handle(window.into())) };
        parent.map_err(Error::host)?;
        // Embedded editors may refuse `show`; they are shown with their window.
        let _ = gui.show(&host.instance.plugin_handle());
        Ok(Self { connection, root, window, size })
    }

    /// What is on the screen where the editor is.
    pub fn picture(&self) -> Result<RgbImage> {
        grab(&self.connection, self.root, LEFT_TOP, self.size)
    }

    /// Moves the pointer there, in pixels of the editor.
    pub fn point(&self, x: i16, y: i16) -> Result<()> {
        self.fake(MOTION_NOTIFY_EVENT, 0, LEFT_TOP.0 + x, LEFT_TOP.1 + y)
    }

    /// Presses and releases the first mouse button where the pointer is.
    pub fn click(&self) -> Result<()> {
        self.fake(BUTTON_PRESS_EVENT, 1, 0, 0)?;
        self.fake(BUTTON_RELEASE_EVENT, 1, 0, 0)
    }

    /// Presses and releases the key that writes this character unshifted (its keysym, as for all of Latin 1).
    pub fn key(&self, character: char) -> Result<()> {
        // The innermost window is the one that listens.
        let mut listener = self.window;
        while let Some(child) = self.child(listener)? {
            listener = child;
        }
        let focus = self.connection.set_input_focus(InputFocus::POINTER_ROOT, listener, x11rb::CURRENT_TIME);
        focus.map_err(Error::host)?;
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = self.connection.get_keyboard_mapping(first, last - first + 1).map_err(Error::host)?;
        let map = map.reply().map_err(Error::host)?;
        let row = map
            .keysyms
            .chunks_exact(map.keysyms_per_keycode.into())
            .position(|row| row.first() == Some(&u32::from(character)))
            .ok_or_else(|| Error::host(format!("no key writes {character:?}")))?;
        let code = first + u8::try_from(row).map_err(Error::host)?;
        self.fake(KEY_PRESS_EVENT, code, 0, 0)?;
        self.fake(KEY_RELEASE_EVENT, code, 0, 0)
    }

    fn child(&self, window: Window) -> Result<Option<Window>> {
        let tree = self.connection.query_tree(window).map_err(Error::host)?.reply().map_err(Error::host)?;
        Ok(tree.children.first().copied())
    }

    /// An event as from a real mouse or keyboard.
    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) -> Result<()> {
        self.connection.xtest_fake_input(kind, detail, 0, self.root, x, y, 0).map_err(Error::host)?;
        self.connection.flush().map_err(Error::host)
    }

    /// Closes the editor.
    pub fn close(self, host: &mut Host) -> Result<()> {
        let gui: PluginGui = host.extension("gui")?;
        gui.destroy(&host.instance.plugin_handle());
        Ok(())
    }
}

/// A display on which others draw.
#[derive(Debug)]
pub struct Screen {
    connection: RustConnection,
    root: Window,
    size: (u16, u16),
}

impl Screen {
    /// Connects to a display (`:7`).
    pub fn open(display: &str) -> Result<Self> {
        let (connection, screen) = x11rb::connect(Some(display)).map_err(Error::host)?;
        let screen = &connection.setup().roots[screen];
        let (root, size) = (screen.root, (screen.width_in_pixels, screen.height_in_pixels));
        Ok(Self { connection, root, size })
    }

    /// All of it.
    pub fn whole(&self) -> Result<RgbImage> {
        grab(&self.connection, self.root, LEFT_TOP, self.size)
    }

    /// Lets these names exist for as long as this connection does, as if there were a window manager.
    pub fn name_atoms(&self, names: &[&str]) -> Result<()> {
        for name in names {
            self.atom(name)?;
        }
        Ok(())
    }

    fn atom(&self, name: &str) -> Result<u32> {
        let cookie = self.connection.intern_atom(false, name.as_bytes()).map_err(Error::host)?;
        Ok(cookie.reply().map_err(Error::host)?.atom)
    }

    /// The window whose title begins with these words, if one is shown.
    pub fn window(&self, title: &str) -> Result<Option<Window>> {
        let tree = self.connection.query_tree(self.root).map_err(Error::host)?.reply().map_err(Error::host)?;
        for window in tree.children {
            let name = self.connection.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 256);
            // Windows come and go while one asks.
            let Ok(name) = name.map_err(Error::host)?.reply() else { continue };
            if name.value.starts_with(title.as_bytes()) {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    /// What is on the screen where a window is.
    pub fn picture(&self, window: Window) -> Result<RgbImage> {
        let place = self.connection.get_geometry(window).map_err(Error::host)?.reply().map_err(Error::host)?;
        grab(&self.connection, self.root, (place.x, place.y), (place.width, place.height))
    }

    /// Asks a window to close, as the cross in its corner does.
    pub fn close(&self, window: Window) -> Result<()> {
        let data = [self.atom("WM_DELETE_WINDOW")?, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, self.atom("WM_PROTOCOLS")?, data);
        self.connection.send_event(false, window, EventMask::NO_EVENT, message).map_err(Error::host)?;
        self.connection.flush().map_err(Error::host)
    }
}

fn grab(
    connection: &RustConnection,
    root: Window,
    (x, y): (i16, i16),
    (width, height): (u16, u16),
) -> Result<RgbImage> {
    let reply = connection
        .get_image(ImageFormat::Z_PIXMAP, root, x, y, width, height, !0)
        .map_err(Error::host)?
        .reply()
        .map_err(Error::host)?;
    let mut picture = RgbImage::new(width.into(), height.into());
    // A 24-bit visual is sent as four bytes a pixel: blue, green, red, nothing.
    for (pixel, bytes) in picture.pixels_mut().zip(reply.data.chunks_exact(4)) {
        *pixel = image::Rgb([bytes[2], bytes[1], bytes[0]]);
    }
    Ok(picture)
}
