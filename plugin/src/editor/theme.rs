//! Colours, type and the egui style. Warm near-black paper, brass for what Segue plays, slate for what you played:
//! the blue–orange pair that every kind of colour blindness keeps apart.

use egui::{Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Stroke, TextStyle};
use std::sync::Arc;

/// Behind everything.
pub(super) const PAPER: Color32 = Color32::from_rgb(0x17, 0x15, 0x13);
/// The timeline and the cards.
pub(super) const PANEL: Color32 = Color32::from_rgb(0x1f, 0x1d, 0x1a);
/// Something to press or turn.
pub(super) const RAISED: Color32 = Color32::from_rgb(0x2b, 0x28, 0x24);
/// The same, under the pointer.
pub(super) const LIFTED: Color32 = Color32::from_rgb(0x38, 0x34, 0x2f);
/// Lines and empty tracks.
pub(super) const LINE: Color32 = Color32::from_rgb(0x3b, 0x37, 0x32);
/// What is read first.
pub(super) const TEXT: Color32 = Color32::from_rgb(0xef, 0xe9, 0xdf);
/// What is read second. Contrast on [`PANEL`] about 6.5 : 1.
pub(super) const MUTED: Color32 = Color32::from_rgb(0xa9, 0xa1, 0x95);
/// What cannot be used now.
pub(super) const FAINT: Color32 = Color32::from_rgb(0x6f, 0x69, 0x61);
/// What Segue plays, and the one thing to press.
pub(super) const BRASS: Color32 = Color32::from_rgb(0xe6, 0xab, 0x5c);
/// The same, under the pointer.
pub(super) const BRASS_LIT: Color32 = Color32::from_rgb(0xf2, 0xc0, 0x7d);
/// Text on brass.
pub(super) const ON_BRASS: Color32 = Color32::from_rgb(0x24, 0x1a, 0x0c);
/// What you played.
pub(super) const SLATE: Color32 = Color32::from_rgb(0x8d, 0xb4, 0xd8);
/// Clipping and errors.
pub(super) const ALERT: Color32 = Color32::from_rgb(0xf0, 0x8a, 0x6c);
/// Behind an error.
pub(super) const ALERT_PAPER: Color32 = Color32::from_rgb(0x3d, 0x23, 0x1b);

/// The colour of a stage: its knob and its ribbon. They differ in lightness as well as in hue.
pub(super) fn stage_color(id: &str) -> Color32 {
    match id {
        "semantic" => Color32::from_rgb(0xf3, 0xd5, 0x89),
        "coarse" => BRASS,
        "fine" => Color32::from_rgb(0xd0, 0x7c, 0x52),
        _ => MUTED,
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
    PANEL.lerp_to_gamma(color, share)
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

    ctx.set_theme(egui::Theme::Dark);
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
        visuals.dark_mode = true;
        visuals.panel_fill = PAPER;
        visuals.window_fill = RAISED;
        visuals.window_stroke = Stroke::new(1.0, LINE);
        visuals.menu_corner_radius = CornerRadius::same(8);
        visuals.window_corner_radius = CornerRadius::same(8);
        visuals.popup_shadow.color = Color32::from_black_alpha(110);
        visuals.extreme_bg_color = PAPER;
        visuals.faint_bg_color = PANEL;
        visuals.selection.bg_fill = Color32::from_rgb(0x5c, 0x46, 0x27);
        visuals.selection.stroke = Stroke::new(1.0, BRASS_LIT);
        visuals.text_cursor.stroke = Stroke::new(1.5, BRASS);
        visuals.hyperlink_color = BRASS;
        let widgets = &mut visuals.widgets;
        widgets.noninteractive.fg_stroke = Stroke::new(1.0, TEXT);
        widgets.noninteractive.bg_stroke = Stroke::new(1.0, LINE);
        for (state, fill, text) in [
            (&mut widgets.inactive, Color32::TRANSPARENT, MUTED),
            (&mut widgets.hovered, LIFTED, TEXT),
            (&mut widgets.active, LIFTED, TEXT),
            (&mut widgets.open, LIFTED, TEXT),
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
