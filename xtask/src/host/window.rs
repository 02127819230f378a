//! The plugin's editor in a real X11 window, and a picture of what is on the screen there.

use super::Host;
use crate::error::{Error, Result};
use clack_extensions::gui::{GuiApiType, GuiConfiguration, PluginGui, Window as Parent};
use image::RgbImage;
use std::time::{Duration, Instant};
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, CreateWindowAux, ImageFormat, Window, WindowClass};
use x11rb::rust_connection::RustConnection;

/// An open editor.
#[derive(Debug)]
pub struct Editor {
    connection: RustConnection,
    root: Window,
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
        Ok(Self { connection, root, size })
    }

    /// What is on the screen where the editor is.
    pub fn picture(&self) -> Result<RgbImage> {
        grab(&self.connection, self.root, self.size)
    }

    /// Closes the editor.
    pub fn close(self, host: &mut Host) -> Result<()> {
        let gui: PluginGui = host.extension("gui")?;
        gui.destroy(&host.instance.plugin_handle());
        Ok(())
    }
}

/// What is on the whole screen of a display.
pub fn screen(display: &str) -> Result<RgbImage> {
    let (connection, screen) = x11rb::connect(Some(display)).map_err(Error::host)?;
    let screen = &connection.setup().roots[screen];
    grab(&connection, screen.root, (screen.width_in_pixels, screen.height_in_pixels))
}

fn grab(connection: &RustConnection, root: Window, (width, height): (u16, u16)) -> Result<RgbImage> {
    let reply = connection
        .get_image(ImageFormat::Z_PIXMAP, root, LEFT_TOP.0, LEFT_TOP.1, width, height, !0)
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
