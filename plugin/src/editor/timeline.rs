//! The keyboard of time: what you played, a bar line, what Segue plays; a ruler; and a ribbon for each stage.

use super::theme::{self, BODY, SMALL};
use super::view::{Acts, Desk, Key, View, seconds};
use super::widgets::{choice, field, switch, text_in, width_of};
use egui::{Align2, Color32, Painter, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};
use segue_engine::status::{Activity, Progress, StageProgress};

/// Points from one bar of a waveform to the next.
const PITCH: f32 = 3.0;

/// The factor that makes quiet playing visible: at most 6.
pub(super) fn gain_of(waves: &[&[(f32, f32)]]) -> f32 {
    let peak =
        waves.iter().flat_map(|wave| wave.iter()).map(|(low, high)| low.abs().max(high.abs())).fold(0.0, f32::max);
    if peak > 0.0 { (0.95 / peak).min(6.0) } else { 1.0 }
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
struct Scale {
    left: f32,
    seam: f32,
    right: f32,
    prompt: f64,
    total: f64,
}

impl Scale {
    fn new(rect: Rect, prompt: f64, total: f64) -> Self {
        let share = (prompt / (prompt + total)).clamp(0.24, 0.5) as f32;
        let seam = (rect.left() + rect.width() * share).round();
        Self { left: rect.left(), seam, right: rect.right(), prompt: prompt.max(0.1), total: total.max(0.1) }
    }
    /// Seconds after the seam (or before it, negative) to points.
    fn x(&self, seconds: f64) -> f32 {
        if seconds < 0.0 {
            self.seam + (seconds / self.prompt) as f32 * (self.seam - self.left)
        } else {
            self.seam + ((seconds / self.total) as f32 * (self.right - self.seam)).min(self.right - self.seam)
        }
    }
}

/// The end of the right side when there is no end: the next ten seconds with some room.
fn open_end(made: f64) -> f64 {
    (((made + 4.0) / 10.0).ceil() * 10.0).max(20.0)
}

/// Seconds a stage has made.
fn stage_seconds(stage: &StageProgress, progress: &Progress) -> f64 {
    match (stage.total, progress.total_seconds) {
        (Some(total), Some(seconds)) if total > 0 => stage.done as f64 / total as f64 * seconds,
        // Without an end only the frame counts are known: the last stage's go with the seconds of audio, and ideas
        // come at half the rate of sound.
        _ => {
            let last = progress.stages.last().map_or(1, |last| last.done.max(1)) as f64;
            let share =
                stage.done as f64 / last * if stage.id == "semantic" && progress.stages.len() > 1 { 2.0 } else { 1.0 };
            (share * progress.seconds).max(if stage.done > 0 { progress.seconds } else { 0.0 })
        }
    }
}

/// Draws it all.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    ui.painter().rect_filled(rect, 10.0, theme::panel());
    let inner = rect.shrink2(vec2(14.0, 10.0));
    let top = Rect::from_min_size(inner.min, vec2(inner.width(), 24.0));
    settings(ui, top, view, desk, acts);

    let shown = view.shown();
    let making = shown.is_some_and(|take| view.growing(take.id)) || (shown.is_none() && view.busy());
    let progress = view.status.progress.as_ref().filter(|_| making);
    let stages: Vec<&str> =
        view.status.pack.as_ref().map(|pack| pack.stages.iter().map(String::as_str).collect()).unwrap_or_default();
    let ribbons = if (shown.is_some() || making) && inner.height() > 108.0 { stages.len() } else { 0 };
    let ribbon_height = if inner.height() < 160.0 { 14.0 } else { 16.0 };
    let bottom = ribbons as f32 * ribbon_height + if ribbons > 0 { 3.0 } else { 0.0 };
    let ruler = Rect::from_min_max(
        pos2(inner.left(), inner.bottom() - bottom - 18.0),
        pos2(inner.right(), inner.bottom() - bottom - if ribbons > 0 { 2.0 } else { 0.0 }),
    );
    let area = Rect::from_min_max(pos2(inner.left(), top.bottom() + 8.0), pos2(inner.right(), ruler.top() - 4.0));

    let prompt = shown.and_then(|take| desk.prompts.get(&take.id).copied()).unwrap_or(view.prompt_seconds);
    let total = match (progress, shown) {
        (Some(progress), _) => progress.total_seconds.unwrap_or_else(|| open_end(progress.seconds)),
        (None, Some(take)) if !making && take.seconds > 0.0 => take.seconds,
        _ => view.length_seconds.unwrap_or(20.0),
    };
    if area.height() < 10.0 {
        return;
    }
    let scale = Scale::new(area, prompt, total);
    let painter = ui.painter_at(rect);
    let past = Rect::from_min_max(area.min, pos2(scale.seam - 5.0, area.bottom()));
    let future = Rect::from_min_max(pos2(scale.seam + 5.0, area.top()), area.max);

    let empty: &[(f32, f32)] = &[];
    let prompt_wave = match shown {
        Some(take) if !take.prompt.is_empty() => &take.prompt[..],
        _ => &view.status.listening[..],
    };
    let continuation = shown.map_or(empty, |take| &take.continuation[..]);
    let gain = gain_of(&[prompt_wave, continuation]);
    let alive = shown.is_none_or(|take| take.playable);
    let (blue, brass) = if alive {
        (theme::slate(), theme::brass())
    } else {
        (theme::dim(theme::slate(), 0.4), theme::dim(theme::brass(), 0.4))
    };

    // The middle line, then what is known of each side.
    painter.hline(past.x_range(), area.center().y, Stroke::new(1.0, theme::line()));
    painter.hline(future.x_range(), area.center().y, Stroke::new(1.0, theme::line()));
    let recording = view.status.activity == Activity::Recording && making;
    bars(&painter, past, prompt_wave, gain, |_| if recording { theme::dim(blue, 0.7) } else { blue });

    let made = match (progress, shown) {
        (Some(progress), _) => progress.seconds,
        (None, Some(take)) => take.seconds,
        _ => 0.0,
    };
    let frontier = scale.x(made).max(future.left());
    let here = shown.is_some_and(|take| view.status.playing == Some(take.id));
    let playhead = view.position.filter(|_| here).map(|position| {
        let position = if view.control(Key::Loop).on() && made > 0.0 && !making { position % made } else { position };
        scale.x(position.min(made.max(0.0))).max(future.left())
    });
    let played = future.with_max_x(frontier);
    bars(&painter, played, continuation, gain, |x| match playhead {
        Some(head) if x > head => theme::dim(brass, 0.55),
        _ => brass,
    });

    seam(&painter, scale.seam, area);
    rule(&painter, &scale, ruler);
    if making {
        if let Some(progress) = progress {
            painter.vline(frontier, area.y_range().shrink(area.height() * 0.08), Stroke::new(1.5, theme::brass_lit()));
            waiting(&painter, future.with_min_x(frontier + 12.0), future, view, progress);
        } else {
            let text = match view.status.activity {
                Activity::Recording => format!("Recording {}: play", seconds(view.prompt_seconds)),
                _ => "Reading what you played…".into(),
            };
            text_in(&painter, future, Align2::CENTER_CENTER, &text, theme::font(15.0), theme::muted());
        }
    } else if shown.is_none() {
        invitation(&painter, future, view);
    }
    if let Some(x) = playhead {
        painter.vline(x, area.y_range(), Stroke::new(1.5, theme::text()));
        let head = vec![pos2(x - 5.0, area.top() - 1.0), pos2(x + 5.0, area.top() - 1.0), pos2(x, area.top() + 6.0)];
        painter.add(Shape::convex_polygon(head, theme::text(), Stroke::NONE));
    }

    for (row, id) in stages.iter().take(ribbons).enumerate() {
        let y = inner.bottom() - (ribbons - row) as f32 * ribbon_height + 0.5 * ribbon_height + 2.0;
        let line = Rect::from_min_max(pos2(inner.left(), y - 8.0), pos2(inner.right(), y + 8.0));
        let (done, word) = match progress {
            Some(progress) => {
                let done = progress
                    .stages
                    .iter()
                    .find(|stage| stage.id == *id)
                    .map_or(0.0, |stage| stage_seconds(stage, progress));
                (done, seconds(done))
            }
            None if making => (0.0, seconds(0.0)),
            None => {
                let index = ["semantic", "coarse", "fine"].iter().position(|known| known == id);
                let temperature = shown.zip(index).map(|(take, index)| format!("{:.2}", take.temperatures[index]));
                (shown.map_or(0.0, |take| take.seconds), temperature.unwrap_or_default())
            }
        };
        ribbon(&painter, line, &scale, id, done, &word, alive);
        let hint = if making {
            format!("{}: {word} of music made by the {id} stage.", theme::stage_name(id))
        } else {
            format!("This take was made with {} at {word}.", theme::stage_name(id))
        };
        ui.interact(line, ui.scope_id().with(("ribbon", row)), Sense::hover()).on_hover_text(hint);
    }
    ui.interact(past, ui.scope_id().with("past"), Sense::hover()).on_hover_text_at_pointer(match shown {
        Some(_) => "What you played: the prompt of this take.",
        None => "What you play, as it comes in.",
    });
    if let Some(take) = shown {
        let hint = if take.playable {
            "What Segue plays on. It belongs right after the bar line, in time."
        } else {
            "This take cannot be played until its pack is back."
        };
        ui.interact(future, ui.scope_id().with("future"), Sense::hover()).on_hover_text_at_pointer(hint);
    }
}

/// The line above: how much of the past, how much of the future, and when it comes in.
fn settings(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let painter = ui.painter().clone();
    let narrow = rect.width() < 760.0;
    let place = |x: f32, width: f32| Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));

    let mode = view.control(Key::Mode);
    let (word, _) = text_in(&painter, rect, Align2::LEFT_CENTER, "Prompt", theme::medium(BODY), theme::slate());
    let room = place(word.right() + 10.0, if narrow { 158.0 } else { 164.0 });
    choice(
        ui,
        room,
        mode,
        "Capture mode",
        "What I just played: Segue continues the seconds before you press.\n\
         Record, then continue: it records the seconds after you press, and continues those.",
        acts,
    );
    let room = place(room.right() + 6.0, 58.0);
    field(
        ui,
        room,
        view.control(Key::Prompt),
        "Prompt length",
        "How much of your playing Segue hears as the beginning.",
        desk,
        acts,
    );

    let play = |text: &str| width_of(&painter, text, theme::font(SMALL));
    let loop_width = 34.0 + play("Loop");
    let mut x = rect.right() - loop_width;
    switch(
        ui,
        place(x, loop_width),
        view.control(Key::Loop),
        "Loop",
        "Start the selected take over when it ends.",
        acts,
    );
    let start_width = if narrow { 140.0 } else { 148.0 };
    x -= start_width + 12.0;
    choice(
        ui,
        place(x, start_width),
        view.control(Key::Start),
        "Start",
        "When the continuation comes in. It always stays in time with your playing: if it comes in later, it comes in \
         further along.",
        acts,
    );
    x -= 58.0 + 6.0;
    field(
        ui,
        place(x, 58.0),
        view.control(Key::Length),
        "Continuation length",
        "How long Segue plays on. At the top: without end.",
        desk,
        acts,
    );
    let word = "Continuation";
    x -= width_of(&painter, word, theme::medium(BODY)) + 10.0;
    text_in(&painter, place(x, 200.0), Align2::LEFT_CENTER, word, theme::medium(BODY), theme::brass());
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
        let x = scale.x(at);
        painter.vline(x, rect.top()..=rect.top() + 4.0, Stroke::new(1.0, theme::faint()));
        let galley = painter.layout_no_wrap(text, theme::font(SMALL), theme::muted());
        let x = (x - galley.size().x / 2.0).clamp(scale.left, scale.right - galley.size().x);
        painter.galley(pos2(x, rect.top() + 4.0), galley, theme::muted());
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

/// What to do first.
fn invitation(painter: &Painter, rect: Rect, view: &View<'_>) {
    let recording = view.control(Key::Mode).index() == 1;
    let (what, more) = match view.status.activity {
        Activity::Asleep => {
            ("Waiting for the host".to_owned(), "Segue wakes when the host starts its audio.".to_owned())
        }
        Activity::Loading => ("Loading the model".to_owned(), "You can already play; Segue is listening.".to_owned()),
        Activity::Unable => {
            ("Segue cannot continue yet".to_owned(), "Your playing passes through unchanged.".to_owned())
        }
        _ if recording => (
            "Press Capture & Continue, then play".to_owned(),
            format!("Segue records {}, then plays on, in time, on the same piano.", seconds(view.prompt_seconds)),
        ),
        _ => (
            "Play something, then press Capture & Continue".to_owned(),
            format!("Segue takes the last {} and plays on, in time, on the same piano.", seconds(view.prompt_seconds)),
        ),
    };
    let lay = |text: String, font, color| {
        let mut job = egui::text::LayoutJob::single_section(text, egui::text::TextFormat::simple(font, color));
        job.wrap.max_width = rect.width() - 40.0;
        job.halign = egui::Align::Center;
        painter.layout_job(job)
    };
    let small = rect.height() < 84.0;
    let what = lay(what, theme::medium(if small { 15.0 } else { 18.0 }), theme::text());
    let more = lay(if rect.height() < 60.0 { String::new() } else { more }, theme::font(BODY), theme::muted());
    let gap = if more.is_empty() { 0.0 } else { 6.0 };
    let height = what.size().y + gap + if more.is_empty() { 0.0 } else { more.size().y };
    let back = Rect::from_center_size(rect.center(), vec2(what.size().x.max(more.size().x) + 28.0, height + 8.0));
    painter.rect_filled(back.intersect(rect), 8.0, theme::panel());
    let top = pos2(rect.center().x, rect.center().y - height / 2.0);
    let below = top + vec2(0.0, what.size().y + gap);
    painter.galley(top, what, theme::text());
    painter.galley(below, more, theme::muted());
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
fn ribbon(painter: &Painter, line: Rect, scale: &Scale, id: &str, done: f64, word: &str, alive: bool) {
    let color = if alive { theme::stage_color(id) } else { theme::faint() };
    let track =
        Rect::from_min_max(pos2(scale.seam + 5.0, line.center().y - 2.5), pos2(scale.right, line.center().y + 2.5));
    painter.rect_filled(track, 2.5, theme::line());
    let end = scale.x(done).min(track.right());
    if end > track.left() + 1.0 && done > 0.0 {
        painter.rect_filled(track.with_max_x(end), 2.5, color);
    }
    let label = Rect::from_min_max(pos2(line.left(), line.top()), pos2(scale.seam - 8.0, line.bottom()));
    let value = Rect::from_min_max(pos2(label.right() - 50.0, label.top()), label.max);
    text_in(painter, value, Align2::RIGHT_CENTER, word, theme::font(SMALL), theme::muted());
    let name = Rect::from_min_max(label.min, pos2(value.left() - 2.0, label.bottom()));
    text_in(painter, name, Align2::RIGHT_CENTER, theme::stage_name(id), theme::font(SMALL), color);
}
