//! The keyboard of time: what you played, a bar line, what Segue plays; keys upwards, time to the right. Under it the
//! waveform, a ruler, and a ribbon for each stage.

use super::pictures::KEYS;
use super::settings;
use super::theme::{self, BODY, SMALL};
use super::view::{Acts, Desk, Key, View, seconds};
use super::widgets::{button, text_in, width_of};
use egui::{Align2, Color32, Id, Painter, Rangef, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::{Activity, Progress, TakeSummary};

/// Points from one bar of a waveform to the next.
const PITCH: f32 = 3.0;
/// Width of the keyboard at the left.
const KEYBOARD: f32 = 14.0;
/// A key whose level is within this of the ceiling of the picture sounds. Half decibels.
const SOUNDS: u8 = 44;

/// The factor that makes quiet playing visible: at most 6.
pub(super) fn gain_of(waves: &[&[(f32, f32)]]) -> f32 {
    let peak =
        waves.iter().flat_map(|wave| wave.iter()).map(|(low, high)| low.abs().max(high.abs())).fold(0.0, f32::max);
    if peak > 0.0 { (0.95 / peak).min(6.0) } else { 1.0 }
}

/// Whether there is anything to be seen of a waveform.
pub(super) fn heard(wave: &[(f32, f32)]) -> bool {
    wave.iter().any(|(low, high)| low.abs().max(high.abs()) > 1e-3)
}

/// A waveform as upright bars across the whole of `rect`. `color` is asked for each bar's left edge.
pub(super) fn bars(painter: &Painter, rect: Rect, wave: &[(f32, f32)], gain: f32, color: impl Fn(f32) -> Color32) {
    if wave.is_empty() || rect.width() < 1.0 {
        return;
    }
    let (middle, half) = (rect.center().y, rect.height() / 2.0);
    let count = (rect.width() / PITCH).ceil() as usize;
    let per_point = wave.len() as f32 / rect.width();
    for bar in 0..count {
        let x = rect.left() + bar as f32 * PITCH;
        let from = ((bar as f32 * PITCH * per_point) as usize).min(wave.len() - 1);
        let to = (((bar + 1) as f32 * PITCH * per_point).ceil() as usize).clamp(from + 1, wave.len());
        let (low, high) =
            wave[from..to].iter().fold((0.0f32, 0.0f32), |(low, high), column| (low.min(column.0), high.max(column.1)));
        let (up, down) = ((high * gain).min(1.0) * half, (-low * gain).min(1.0) * half);
        let column = Rect::from_min_max(
            pos2(x, middle - up.max(0.75)),
            pos2((x + 2.0).min(rect.right().max(x + 1.0)), middle + down.max(0.75)),
        );
        painter.rect_filled(column, 1.0, color(x));
    }
}

/// Where things are in time. Each side of the seam has its own linear scale, so that a short prompt beside a long
/// continuation is still seen; the ruler says which.
pub(super) struct Scale {
    left: f32,
    seam: f32,
    right: f32,
    prompt: f64,
    total: f64,
}

impl Scale {
    pub(super) fn new(x: Rangef, prompt: f64, total: f64) -> Self {
        let finite = |seconds: f64| if seconds.is_finite() { seconds.max(0.1) } else { 0.1 };
        let (prompt, total) = (finite(prompt), finite(total));
        let share = (prompt / (prompt + total)).clamp(0.24, 0.5) as f32;
        let seam = (x.min + x.span() * share).round();
        Self { left: x.min, seam, right: x.max, prompt, total }
    }
    /// Seconds after the seam (or before it, negative) to points.
    pub(super) fn x(&self, seconds: f64) -> f32 {
        if seconds < 0.0 {
            (self.seam - SEAM) + (seconds / self.prompt) as f32 * (self.seam - SEAM - self.left)
        } else {
            let width = self.right - self.seam - SEAM;
            self.seam + SEAM + ((seconds / self.total) as f32 * width).min(width)
        }
    }
    /// And back, on the right side.
    pub(super) fn seconds(&self, x: f32) -> f64 {
        let width = (self.right - self.seam - SEAM).max(1.0);
        f64::from(((x - self.seam - SEAM) / width).clamp(0.0, 1.0)) * self.total
    }
}

/// Half the room of the bar line.
const SEAM: f32 = 5.0;

/// The end of the right side when there is no end: the next ten seconds with some room.
fn open_end(made: f64) -> f64 {
    (((made + 4.0) / 10.0).ceil() * 10.0).max(20.0)
}

/// The parts of the scene, from above.
struct Parts {
    settings: Rect,
    keyboard: Rect,
    /// Spectrum and waveform, and their time.
    sound: Rect,
    pitch: Rect,
    wave: Rect,
    ruler: Rect,
    ribbons: Vec<Rect>,
}

impl Parts {
    fn new(inner: Rect, ribbons: usize) -> Self {
        let settings = Rect::from_min_size(inner.min, vec2(inner.width(), 24.0));
        let height = if inner.height() < 200.0 { 13.0 } else { 15.0 };
        let ribbons_top = inner.bottom() - ribbons as f32 * height;
        let rows = (0..ribbons)
            .map(|row| {
                Rect::from_min_size(pos2(inner.left(), ribbons_top + row as f32 * height), vec2(inner.width(), height))
            })
            .collect();
        let ruler = Rect::from_min_max(pos2(inner.left(), ribbons_top - 21.0), pos2(inner.right(), ribbons_top - 2.0));
        let sound = Rect::from_min_max(
            pos2(inner.left() + KEYBOARD + 3.0, settings.bottom() + 10.0),
            pos2(inner.right(), ruler.top() - 2.0),
        );
        let wave_height = (sound.height() * 0.24).clamp(16.0, 64.0);
        let pitch = sound.with_max_y(sound.bottom() - wave_height - 4.0);
        let wave = sound.with_min_y(sound.bottom() - wave_height);
        let keyboard = Rect::from_x_y_ranges(inner.left()..=inner.left() + KEYBOARD, pitch.y_range());
        Self { settings, keyboard, sound, pitch, wave, ruler, ribbons: rows }
    }
}

/// Draws it all.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    ui.painter().rect_filled(rect, 10.0, theme::panel());
    let inner = rect.shrink2(vec2(14.0, 10.0));
    let shown = view.shown();
    let making = shown.is_some_and(|take| view.growing(take.id)) || (shown.is_none() && view.busy());
    let progress = view.status.progress.as_ref().filter(|_| making);
    let stages: Vec<&str> =
        view.status.pack.as_ref().map(|pack| pack.stages.iter().map(String::as_str).collect()).unwrap_or_default();
    let rows = if (shown.is_some() || making) && inner.height() > 130.0 { stages.len() } else { 0 };
    let parts = Parts::new(inner, rows);
    settings::show(ui, parts.settings, view, desk, acts);
    if parts.pitch.height() < 10.0 {
        return;
    }

    let prompt = shown.map(|take| take.prompt_seconds).filter(|seconds| *seconds > 0.0).unwrap_or(view.prompt_seconds);
    let total = match (progress, shown) {
        (Some(progress), _) => progress.total_seconds.unwrap_or_else(|| open_end(progress.seconds)),
        (None, Some(take)) if !making && take.seconds > 0.0 => take.seconds,
        _ => view.length_seconds.unwrap_or(20.0),
    };
    let scale = Scale::new(parts.sound.x_range(), prompt, total);
    let painter = ui.painter_at(rect);
    let made = match (progress, shown) {
        (Some(progress), _) => progress.seconds,
        (None, Some(take)) => take.seconds,
        _ => 0.0,
    };
    let made = if made.is_finite() { made.max(0.0) } else { 0.0 };
    let head = playhead(view, shown, made, making, prompt);

    ground(&painter, &parts, &scale, shown.is_some());
    match shown {
        Some(take) => sound(&painter, &parts, &scale, take, head, view, desk),
        None => listening(&painter, &parts, &scale, making, view),
    }
    // While nothing is shown in keys, the keyboard is as high as the sound.
    let keys = if shown.is_some() { parts.keyboard } else { parts.keyboard.with_max_y(parts.sound.bottom()) };
    keyboard(&painter, keys, shown, head);
    seam(&painter, scale.seam, parts.sound);
    rule(&painter, &scale, parts.ruler);
    let future = Rect::from_x_y_ranges(scale.seam + SEAM..=parts.sound.right(), parts.sound.y_range());
    if making {
        let frontier = scale.x(made);
        if let Some(progress) = progress {
            painter.vline(frontier, parts.sound.y_range(), Stroke::new(1.5, theme::brass_lit()));
            waiting(&painter, future.with_min_x(frontier + 12.0), future, view, progress);
        } else {
            let text = match view.status.activity {
                Activity::Recording => format!("Recording {}: play", seconds(view.prompt_seconds)),
                _ => "Reading what you played…".into(),
            };
            text_in(&painter, future, Align2::CENTER_CENTER, &text, theme::font(15.0), theme::muted());
        }
    } else if shown.is_none() {
        invitation(ui, future, view, desk, acts);
    }
    if let Some(head) = head {
        let x = scale.x(head);
        painter.vline(x, parts.sound.y_range(), Stroke::new(1.5, theme::text()));
        let top = parts.sound.top();
        let tip = vec![pos2(x - 5.0, top - 5.0), pos2(x + 5.0, top - 5.0), pos2(x, top + 2.0)];
        painter.add(Shape::convex_polygon(tip, theme::text(), Stroke::NONE));
    }
    for (row, id) in parts.ribbons.iter().zip(&stages) {
        ribbon(ui, &painter, *row, &scale, id, shown, progress, making, desk);
    }
    touch(ui, &parts, &scale, future, shown, view, made, acts);
}

/// Where the playhead is: seconds after the seam, negative in the prompt.
fn playhead(view: &View<'_>, shown: Option<&TakeSummary>, made: f64, making: bool, prompt: f64) -> Option<f64> {
    if let Some(position) = view.prompt_position {
        return Some((position - prompt).min(-1e-6));
    }
    let here = shown.is_some_and(|take| view.status.playing == Some(take.id));
    let position = view.position.filter(|_| here)?;
    let position = if view.control(Key::Loop).on() && made > 0.0 && !making { position % made } else { position };
    Some(position.min(made))
}

/// Behind the sound.
fn ground(painter: &Painter, parts: &Parts, scale: &Scale, octaves: bool) {
    for part in [parts.pitch, parts.wave] {
        for side in [part.with_max_x(scale.seam - SEAM), part.with_min_x(scale.seam + SEAM)] {
            painter.rect_filled(side, 3.0, theme::well());
        }
    }
    // Every C, as far as one looks for it.
    let color = theme::well().lerp_to_gamma(theme::line(), 0.55);
    if octaves {
        for key in (3..KEYS).step_by(12) {
            let y = key_y(parts.pitch.y_range(), key as f32);
            painter.hline(parts.pitch.left()..=scale.seam - SEAM, y, Stroke::new(1.0, color));
            painter.hline(scale.seam + SEAM..=parts.pitch.right(), y, Stroke::new(1.0, color));
        }
    }
}

/// The lower edge of a key.
fn key_y(range: Rangef, key: f32) -> f32 {
    range.max - range.span() * key / KEYS as f32
}

/// Spectrum and waveform of a take. What is yet to be heard is dimmer.
fn sound(
    painter: &Painter,
    parts: &Parts,
    scale: &Scale,
    take: &TakeSummary,
    head: Option<f64>,
    view: &View<'_>,
    desk: &mut Desk,
) {
    let spectrum = &take.spectrum;
    let (seam, step) = (spectrum.seam(), spectrum.column_seconds());
    let head_x = head.map(|head| scale.x(head));
    let past = parts.pitch.with_max_x(scale.seam - SEAM);
    let future = parts.pitch.with_min_x(scale.seam + SEAM);
    let ahead = match theme::worn() {
        theme::Look::Dark => Color32::from_white_alpha(128),
        theme::Look::Light => Color32::from_white_alpha(150),
    };
    let time = |column: usize| {
        let seconds = (column as f64 - seam as f64) * step;
        if column == seam { scale.seam } else { scale.x(seconds) }
    };
    let mut side = |rect: Rect, columns: std::ops::Range<usize>, edge: f32, shade: Color32| {
        // The seam itself is the end of one side and the beginning of the other.
        let x = |column: usize| if column == seam { edge } else { time(column) };
        desk.pictures.paint(
            &painter.with_clip_rect(rect.intersect(painter.clip_rect())),
            take,
            columns,
            rect.y_range(),
            x,
            shade,
        );
    };
    let count = spectrum.len();
    side(past, 0..seam.min(count), past.right(), Color32::WHITE);
    match head_x.filter(|x| *x > future.left()) {
        Some(x) => {
            side(future.with_max_x(x), seam..count.max(seam), future.left(), Color32::WHITE);
            side(future.with_min_x(x), seam..count.max(seam), future.left(), ahead);
        }
        None => side(future, seam..count.max(seam), future.left(), Color32::WHITE),
    }

    let gain = gain_of(&[&take.prompt, &take.continuation]);
    let (blue, brass) = if take.playable { (theme::slate(), theme::brass()) } else { (theme::faint(), theme::faint()) };
    let inset = |rect: Rect| rect.shrink2(vec2(0.0, 2.0));
    bars(painter, inset(parts.wave.with_max_x(scale.seam - SEAM)), &take.prompt, gain, |_| blue);
    let growing = view.growing(take.id);
    let made = if growing { view.status.progress.as_ref().map_or(take.seconds, |p| p.seconds) } else { take.seconds };
    let end = if made.is_finite() { scale.x(made.max(0.0)) } else { scale.right };
    let played = parts.wave.with_min_x(scale.seam + SEAM).with_max_x(end);
    bars(painter, inset(played), &take.continuation, gain, |x| match head_x {
        Some(head) if x > head => theme::dim(brass, 0.5),
        _ => brass,
    });
}

/// What comes in, while there is no take: its waveform over the whole height.
fn listening(painter: &Painter, parts: &Parts, scale: &Scale, making: bool, view: &View<'_>) {
    let past = Rect::from_min_max(parts.sound.min, pos2(scale.seam - SEAM, parts.sound.bottom()));
    painter.rect_filled(past, 3.0, theme::well());
    painter.rect_filled(parts.sound.with_min_x(scale.seam + SEAM), 3.0, theme::well());
    let wave = &view.status.listening;
    let recording = view.status.activity == Activity::Recording && making;
    let blue = if recording { theme::dim(theme::slate(), 0.7) } else { theme::slate() };
    painter.hline(past.x_range(), past.center().y, Stroke::new(1.0, theme::line()));
    if heard(wave) {
        bars(painter, past.shrink2(vec2(0.0, 6.0)), wave, gain_of(&[wave]), |_| blue);
    }
}

/// The keys, lowest below. Those that sound under the playhead are lit.
fn keyboard(painter: &Painter, rect: Rect, shown: Option<&TakeSummary>, head: Option<f64>) {
    const BLACK: [bool; 12] = [false, true, false, false, true, false, true, false, false, true, false, true];
    let dark = theme::worn() == theme::Look::Dark;
    let (white, black) = if dark {
        (theme::dim(theme::text(), 0.55), theme::well())
    } else {
        (Color32::WHITE, theme::dim(theme::text(), 0.8))
    };
    painter.rect(rect, 2.0, white, Stroke::new(1.0, theme::line()), egui::StrokeKind::Outside);
    let small = rect.height() < 1.9 * KEYS as f32;
    let y = |key: f32| key_y(rect.y_range(), key);
    let row = |key: usize, width: f32| {
        Rect::from_min_max(pos2(rect.left(), y(key as f32 + 1.0)), pos2(rect.left() + width, y(key as f32)))
    };
    if small {
        // Single keys would be a blur: the groups of two and of three, as one sees them from afar.
        for (first, last) in (0..KEYS).step_by(12).flat_map(|a| [(a + 1, a + 1), (a + 4, a + 6), (a + 9, a + 13)]) {
            if last < KEYS {
                let group = row(first, rect.width() * 0.62).union(row(last, rect.width() * 0.62));
                painter.rect_filled(group, 0.0, black);
            }
        }
    } else {
        for key in (0..KEYS).filter(|key| BLACK[key % 12]) {
            painter.rect_filled(row(key, rect.width() * 0.62), 0.0, black);
        }
        // The gap between E and F, and between B and C, as on any keyboard.
        for key in (0..KEYS).filter(|key| matches!(key % 12, 3 | 8)) {
            painter.hline(rect.x_range(), y(key as f32), Stroke::new(0.7, theme::panel()));
        }
    }
    let (Some(take), Some(head)) = (shown, head) else { return };
    let spectrum = &take.spectrum;
    let step = spectrum.column_seconds();
    if spectrum.is_empty() || step <= 0.0 {
        return;
    }
    let column = spectrum.seam() as f64 + (head / step).floor();
    if column < 0.0 || column as usize >= spectrum.len() {
        return;
    }
    let levels = &spectrum.column(column as usize)[..KEYS];
    let loudest = levels.iter().copied().max().unwrap_or(0);
    let color = if head < 0.0 { theme::slate() } else { theme::brass() };
    for key in 0..KEYS {
        let around = [key.saturating_sub(1), (key + 1).min(KEYS - 1)];
        let peak = around.iter().all(|other| levels[*other] <= levels[key]);
        if loudest > 70 && peak && levels[key] + SOUNDS > loudest {
            painter.rect_filled(row(key, rect.width()).expand2(vec2(0.0, 0.5)), 0.0, color);
        }
    }
}

/// A bar line, thin and thick, as in a score.
fn seam(painter: &Painter, x: f32, area: Rect) {
    let y = area.top() - 2.0..=area.bottom() + 2.0;
    painter.vline(x - 2.5, y.clone(), Stroke::new(1.0, theme::text()));
    painter.vline(x + 1.0, y, Stroke::new(3.0, theme::text()));
}

/// The seconds, on both sides.
fn rule(painter: &Painter, scale: &Scale, rect: Rect) {
    let nice = |span: f64, width: f32| {
        let least = span * 46.0 / f64::from(width.max(1.0));
        [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0]
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or(600.0)
    };
    let mark = |at: f64, text: String| {
        let x = if at == 0.0 { scale.seam } else { scale.x(at) };
        painter.vline(x, rect.top()..=rect.top() + 4.0, Stroke::new(1.0, theme::faint()));
        let galley = painter.layout_no_wrap(text, theme::font(SMALL), theme::muted());
        let x = (x - galley.size().x / 2.0).clamp(scale.left, scale.right - galley.size().x);
        painter.galley(pos2(x, rect.top() + 3.0), galley, theme::muted());
    };
    let number = |at: f64, step: f64| if step < 1.0 { format!("{at:.1}") } else { format!("{at:.0}") };
    let step = nice(scale.prompt, scale.seam - scale.left);
    let mut at = step;
    while at <= scale.prompt + 1e-6 {
        mark(-at, format!("−{}", number(at, step)));
        at += step;
    }
    mark(0.0, "0 s".into());
    let step = nice(scale.total, scale.right - scale.seam);
    let mut at = step;
    while at <= scale.total + 1e-6 {
        mark(at, number(at, step));
        at += step;
    }
}

/// What to do first, and a way to hear it at once.
fn invitation(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &Desk, acts: &mut Acts) {
    let recording = view.control(Key::Mode).index() == 1;
    let ready = view.ready();
    let length = seconds(view.prompt_seconds);
    let (what, more) = match view.status.activity {
        Activity::Asleep => {
            ("Waiting for the host".to_owned(), "Segue wakes when the host starts its audio.".to_owned())
        }
        Activity::Loading => ("Loading the model…".to_owned(), "You can already play; Segue is listening.".to_owned()),
        Activity::Unable => {
            ("Segue cannot continue yet".to_owned(), "Your playing passes through unchanged.".to_owned())
        }
        _ if recording => (
            "Press Capture & Continue, then play".to_owned(),
            format!("Segue records {length}, then plays on, in time, on the same piano."),
        ),
        _ if desk.heard.is_none() => (
            "Play something, then press Capture & Continue".to_owned(),
            "Nothing is coming in yet: put Segue on a track with a piano, and play.".to_owned(),
        ),
        _ => (
            "Press Capture & Continue when you like".to_owned(),
            format!("Segue takes the last {length} and plays on, in time, on the same piano."),
        ),
    };
    let painter = ui.painter().clone();
    let lay = |text: String, font, color| {
        let mut job = egui::text::LayoutJob::single_section(text, egui::text::TextFormat::simple(font, color));
        job.wrap.max_width = rect.width() - 40.0;
        job.halign = egui::Align::Center;
        painter.layout_job(job)
    };
    let small = rect.height() < 84.0;
    let what = lay(what, theme::medium(if small { 15.0 } else { 18.0 }), theme::text());
    let more = lay(if rect.height() < 60.0 { String::new() } else { more }, theme::font(BODY), theme::muted());
    let try_it = ready && rect.height() > 76.0;
    let gap = if more.is_empty() { 0.0 } else { 6.0 };
    let below = if more.is_empty() { 0.0 } else { more.size().y };
    let height = what.size().y + gap + below + if try_it { 46.0 } else { 0.0 };
    let top = pos2(rect.center().x, rect.center().y - height / 2.0);
    let second = top + vec2(0.0, what.size().y + gap);
    let third = second + vec2(0.0, below + 14.0);
    painter.galley(top, what, theme::text());
    painter.galley(second, more, theme::muted());
    if try_it {
        let place = Rect::from_min_size(third - vec2(58.0, 0.0), vec2(116.0, 32.0));
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(place).id_salt("segue try"));
        let hint = "Segue plays a short piece that is built in, and then goes on with it (T).";
        if button(&mut child, "Try it", place.size(), false, hint) {
            acts.send(Command::TryIt);
        }
    }
}

/// When it will be heard, in the part that is still to come.
fn waiting(painter: &Painter, ahead: Rect, future: Rect, view: &View<'_>, progress: &Progress) {
    let text = if view.status.playing.is_some() {
        return;
    } else if progress.starts_in > 0.05 {
        format!("plays in {}", seconds(progress.starts_in))
    } else {
        match view.control(Key::Start).index() {
            1 => "plays on the next beat".into(),
            2 => "plays on the next bar".into(),
            3 => "plays when you press Play".into(),
            _ => return,
        }
    };
    let width = width_of(painter, &text, theme::font(15.0)) + 20.0;
    let room = if ahead.width() > width + 10.0 { ahead } else { future };
    let back = Rect::from_center_size(room.center(), vec2(width, 26.0));
    painter.rect_filled(back, 13.0, theme::raised());
    text_in(painter, back, Align2::CENTER_CENTER, &text, theme::font(15.0), theme::text());
}

/// One stage: its name and how far it is, and a band that fills.
#[allow(clippy::too_many_arguments)]
fn ribbon(
    ui: &mut Ui,
    painter: &Painter,
    line: Rect,
    scale: &Scale,
    id: &str,
    shown: Option<&TakeSummary>,
    progress: Option<&Progress>,
    making: bool,
    desk: &Desk,
) {
    let alive = shown.is_none_or(|take| take.playable);
    let color = if alive { theme::stage_color(id) } else { theme::faint() };
    let middle = line.center().y;
    let track = Rect::from_min_max(pos2(scale.seam + SEAM, middle - 3.0), pos2(scale.right, middle + 3.0));
    painter.rect_filled(track, 1.0, theme::well());
    let known = shown.and_then(|take| desk.ribbons.of(take.id, id));
    let covered = match known {
        Some(ribbon) => {
            ribbon.paint(painter, track, color, |seconds| scale.x(seconds));
            ribbon.covers()
        }
        None if making || progress.is_some() => 0.0,
        None => {
            let end = shown.map_or(track.left(), |take| scale.x(take.seconds));
            painter.rect_filled(track.with_max_x(end), 1.0, theme::dim(color, 0.6));
            shown.map_or(0.0, |take| take.seconds)
        }
    };
    let index = ["semantic", "coarse", "fine"].iter().position(|known| *known == id);
    let temperature = shown.zip(index).map(|(take, index)| take.temperatures[index]);
    let word = match temperature {
        _ if making => seconds(covered),
        Some(temperature) => format!("{temperature:.2}"),
        None => String::new(),
    };
    let label = Rect::from_min_max(pos2(line.left(), line.top()), pos2(scale.seam - 8.0, line.bottom()));
    let value = Rect::from_min_max(pos2(label.right() - 44.0, label.top()), label.max);
    text_in(painter, value, Align2::RIGHT_CENTER, &word, theme::font(SMALL), theme::muted());
    let name = Rect::from_min_max(label.min, pos2(value.left() - 2.0, label.bottom()));
    text_in(painter, name, Align2::RIGHT_CENTER, theme::stage_name(id), theme::font(SMALL), color);
    let name = theme::stage_name(id);
    let hint = match temperature {
        _ if making => format!("{name}: {word} of music made by the {id} stage. Every sliver is a token."),
        Some(_) => format!("{name}: this take was made at temperature {word} ({id} stage). Every sliver is a token."),
        None => format!("{name}: the {id} stage."),
    };
    ui.interact(line, Id::unique(("segue ribbon", id)), Sense::hover()).on_hover_text(hint);
}

/// Tooltips, and a click that moves the playhead.
#[allow(clippy::too_many_arguments)]
fn touch(
    ui: &mut Ui,
    parts: &Parts,
    scale: &Scale,
    future: Rect,
    shown: Option<&TakeSummary>,
    view: &View<'_>,
    made: f64,
    acts: &mut Acts,
) {
    let past = Rect::from_min_max(parts.sound.min, pos2(scale.seam - SEAM, parts.sound.bottom()));
    ui.interact(past, Id::unique("segue past"), Sense::hover()).on_hover_text_at_pointer(match shown {
        Some(_) => "What you played: the prompt of this take. One row a key of the piano.",
        None => "What you play, as it comes in.",
    });
    let keys = "The keys of the piano, A0 below. Those that sound under the playhead are lit.";
    ui.interact(parts.keyboard, Id::unique("segue keyboard"), Sense::hover()).on_hover_text_at_pointer(keys);
    let Some(take) = shown else { return };
    if !take.playable {
        let hint = "This take cannot be played until its pack is back.";
        ui.interact(future, Id::unique("segue future"), Sense::hover()).on_hover_text_at_pointer(hint);
        return;
    }
    let response = ui.interact(future, Id::unique("segue future"), Sense::click_and_drag());
    let moved = response.clicked() || response.drag_stopped();
    if moved && let Some(pointer) = response.interact_pointer_pos() {
        let to = scale.seconds(pointer.x).min((made - 0.05).max(0.0));
        if view.status.playing.is_none() {
            acts.send(Command::Play);
        }
        acts.send(Command::Locate(to));
    }
    let hint = "What Segue plays on. Click to play from here.";
    response.on_hover_text_at_pointer(hint);
}
