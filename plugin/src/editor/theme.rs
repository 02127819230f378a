//! Colours, type and the egui style, dark and light. Warm paper, brass for what Segue plays, slate for what you played:
//! the blue–orange pair that every kind of colour blindness keeps apart.

use egui::{Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Stroke, TextStyle};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::Arc;

/// Dark or light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// Warm near-black.
    #[default]
    Dark,
    /// Warm paper.
    Light,
}

/// The colours of one look.
#[derive(Debug)]
struct Palette {
    paper: Color32,
    panel: Color32,
    raised: Color32,
    lifted: Color32,
    line: Color32,
    text: Color32,
    muted: Color32,
    faint: Color32,
    accent: Color32,
    accent_lit: Color32,
    on_accent: Color32,
    on_accent_less: Color32,
    brass: Color32,
    brass_lit: Color32,
    slate: Color32,
    well: Color32,
    good: Color32,
    alert: Color32,
    alert_paper: Color32,
    alert_text: Color32,
    stages: [Color32; 3],
    selection: Color32,
    shadow: u8,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const DARK: Palette = Palette {
    paper: rgb(0x171513),
    panel: rgb(0x1f1d1a),
    raised: rgb(0x2b2824),
    lifted: rgb(0x38342f),
    line: rgb(0x3b3732),
    text: rgb(0xefe9df),
    muted: rgb(0xa9a195),
    faint: rgb(0x6f6961),
    accent: rgb(0xe6ab5c),
    accent_lit: rgb(0xf2c07d),
    on_accent: rgb(0x241a0c),
    on_accent_less: rgb(0x58401c),
    brass: rgb(0xe6ab5c),
    brass_lit: rgb(0xf2c07d),
    slate: rgb(0x8db4d8),
    well: rgb(0x121110),
    good: rgb(0x8fb98a),
    alert: rgb(0xf08a6c),
    alert_paper: rgb(0x3d231b),
    alert_text: rgb(0xe9c8b8),
    stages: [rgb(0xf3d589), rgb(0xe6ab5c), rgb(0xd07c52)],
    selection: rgb(0x5c4627),
    shadow: 110,
};

const LIGHT: Palette = Palette {
    paper: rgb(0xece8e1),
    panel: rgb(0xf7f4ee),
    raised: rgb(0xe4ded4),
    lifted: rgb(0xd8d1c5),
    line: rgb(0xcfc8bb),
    text: rgb(0x26221d),
    muted: rgb(0x5f584e),
    faint: rgb(0x8f877a),
    accent: rgb(0xe0a04a),
    accent_lit: rgb(0xeab267),
    on_accent: rgb(0x24190c),
    on_accent_less: rgb(0x4d3512),
    brass: rgb(0x96590c),
    brass_lit: rgb(0x7a4705),
    slate: rgb(0x2f6391),
    well: rgb(0xfbf9f5),
    good: rgb(0x3f7a3b),
    alert: rgb(0xb23c17),
    alert_paper: rgb(0xf6ddd2),
    alert_text: rgb(0x6b2c17),
    stages: [rgb(0x856a0e), rgb(0xa55c12), rgb(0x9c3f22)],
    selection: rgb(0xecd3a8),
    shadow: 40,
};

thread_local! {
    // An editor draws on one thread, and says at the start of each frame which look it has.
    static LOOK: Cell<Look> = const { Cell::new(Look::Dark) };
}

/// Chooses the look that everything drawn from here on has, on this thread.
pub(super) fn wear(look: Look) {
    LOOK.set(look);
}

/// The look that is worn.
pub(super) fn worn() -> Look {
    LOOK.get()
}

fn palette() -> &'static Palette {
    match worn() {
        Look::Dark => &DARK,
        Look::Light => &LIGHT,
    }
}

macro_rules! colors {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $($(#[$doc])* pub(super) fn $name() -> Color32 { palette().$name })+
    };
}

colors! {
    /// Behind everything.
    paper,
    /// The scene and the cards.
    panel,
    /// Something to press or turn.
    raised,
    /// The same, under the pointer.
    lifted,
    /// Lines and empty tracks.
    line,
    /// What is read first.
    text,
    /// What is read second. Contrast on [`panel`] at least 6 : 1.
    muted,
    /// What cannot be used now.
    faint,
    /// The one thing to press.
    accent,
    /// The same, under the pointer.
    accent_lit,
    /// Text on the accent.
    on_accent,
    /// The second line of text on the accent.
    on_accent_less,
    /// What Segue plays.
    brass,
    /// The same, under the pointer.
    brass_lit,
    /// What you played.
    slate,
    /// Behind the pictures of sound.
    well,
    /// All is well.
    good,
    /// Clipping and errors.
    alert,
    /// Behind an error.
    alert_paper,
    /// What to do about it.
    alert_text,
}

/// The colour of a stage: its knob and its ribbon. They differ in lightness as well as in hue.
pub(super) fn stage_color(id: &str) -> Color32 {
    match id {
        "semantic" => palette().stages[0],
        "coarse" => palette().stages[1],
        "fine" => palette().stages[2],
        _ => muted(),
    }
}

/// What people call a stage.
pub(super) fn stage_name(id: &str) -> &str {
    match id {
        "semantic" => "Ideas",
        "coarse" => "Touch",
        "fine" => "Detail",
        other => other,
    }
}

/// The smallest text there is.
pub(super) const SMALL: f32 = 12.0;
/// Ordinary text.
pub(super) const BODY: f32 = 13.0;

/// Text at a size in points.
pub(super) fn font(size: f32) -> FontId {
    FontId::proportional(size)
}

/// The same, a little stronger.
pub(super) fn medium(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("medium".into()))
}

/// The italic of a score marking, for the name.
pub(super) fn mark(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("mark".into()))
}

/// A colour, less present.
pub(super) fn dim(color: Color32, share: f32) -> Color32 {
    panel().lerp_to_gamma(color, share)
}

/// Gives a fresh egui context our fonts and style.
pub(super) fn install(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    let bundled: [(&str, &'static [u8]); 3] = [
        ("plex", include_bytes!("../../../assets/fonts/IBMPlexSans-Regular.ttf")),
        ("plex-medium", include_bytes!("../../../assets/fonts/IBMPlexSans-Medium.ttf")),
        ("garamond", include_bytes!("../../../assets/fonts/EBGaramond-MediumItalic-Latin.ttf")),
    ];
    for (name, data) in bundled {
        fonts.font_data.insert(name.into(), Arc::new(FontData::from_static(data)));
    }
    // egui's own fonts stay behind ours, for characters ours lack (a take may have any name).
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let with =
        |first: &str| -> Vec<String> { std::iter::once(first.to_owned()).chain(fallback.iter().cloned()).collect() };
    fonts.families.insert(FontFamily::Proportional, with("plex"));
    fonts.families.insert(FontFamily::Name("medium".into()), with("plex-medium"));
    fonts.families.insert(FontFamily::Name("mark".into()), with("garamond"));
    ctx.set_fonts(fonts);

    dress(ctx);
}

/// Gives egui's own widgets (menus, tooltips, text fields) the look that is worn.
pub(super) fn dress(ctx: &egui::Context) {
    ctx.set_theme(if worn() == Look::Dark { egui::Theme::Dark } else { egui::Theme::Light });
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Small, font(SMALL)),
            (TextStyle::Body, font(BODY)),
            (TextStyle::Button, font(BODY)),
            (TextStyle::Heading, medium(16.0)),
            (TextStyle::Monospace, FontId::monospace(SMALL)),
        ]
        .into();
        style.interaction.tooltip_delay = 0.45;
        style.interaction.selectable_labels = false;
        style.spacing.tooltip_width = 300.0;
        style.spacing.menu_margin = egui::Margin::same(6);
        style.spacing.button_padding = egui::vec2(8.0, 5.0);
        style.spacing.item_spacing = egui::vec2(6.0, 4.0);
        style.spacing.scroll = egui::style::ScrollStyle::floating();
        let visuals = &mut style.visuals;
        visuals.dark_mode = worn() == Look::Dark;
        visuals.panel_fill = paper();
        visuals.window_fill = raised();
        visuals.window_stroke = Stroke::new(1.0, line());
        visuals.menu_corner_radius = CornerRadius::same(8);
        visuals.window_corner_radius = CornerRadius::same(8);
        visuals.popup_shadow.color = Color32::from_black_alpha(palette().shadow);
        visuals.extreme_bg_color = paper();
        visuals.faint_bg_color = panel();
        visuals.selection.bg_fill = palette().selection;
        visuals.selection.stroke = Stroke::new(1.0, brass_lit());
        visuals.text_cursor.stroke = Stroke::new(1.5, brass());
        visuals.hyperlink_color = brass();
        let widgets = &mut visuals.widgets;
        widgets.noninteractive.fg_stroke = Stroke::new(1.0, text());
        widgets.noninteractive.bg_stroke = Stroke::new(1.0, line());
        for (state, fill, text) in [
            (&mut widgets.inactive, Color32::TRANSPARENT, muted()),
            (&mut widgets.hovered, lifted(), text()),
            (&mut widgets.active, lifted(), text()),
            (&mut widgets.open, lifted(), text()),
        ] {
            state.weak_bg_fill = fill;
            state.bg_fill = fill;
            state.bg_stroke = Stroke::NONE;
            state.fg_stroke = Stroke::new(1.0, text);
            state.corner_radius = CornerRadius::same(5);
            state.expansion = 0.0;
        }
    });
}
