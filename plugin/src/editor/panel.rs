//! What one does: the big button and the transport, the knobs, the small settings, the levels.

use super::export;
use super::icons::Icon;
use super::knob::Knob;
use super::takes;
use super::theme::{self, SMALL};
use super::view::{Act, Acts, Desk, Key, View, seconds};
use super::widgets::{Fader, Tile, field, focus_ring, switch, text_in, width_of};
use egui::{Align2, Color32, CursorIcon, Id, Rect, Sense, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::{Activity, DuetState, Progress};
use std::time::{Duration, Instant};

/// A second press within this time of the first is a double-click, not a cancel.
const DOUBLE_CLICK: Duration = Duration::from_millis(450);

/// Stage, parameter, what it means, what the paper sampled its piano at.
const KNOBS: [(&str, Key, &str); 3] = [
    (
        "semantic",
        Key::Ideas,
        "How freely Segue invents: melody, harmony, where the music goes. Temperature of the semantic stage (AudioLM: \
         0.60); 0 always takes the likeliest idea.",
    ),
    (
        "coarse",
        Key::Touch,
        "How freely it plays them: touch, dynamics, timing, tone. Temperature of the coarse acoustic stage (AudioLM: \
         0.80).",
    ),
    (
        "fine",
        Key::Detail,
        "How freely it fills in the finest detail of the sound: hammers, strings, the room. Temperature of the fine \
         acoustic stage (AudioLM: 0.60).",
    ),
];

/// Draws the row.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let width = rect.width();
    let gap = if width < 820.0 { 16.0 } else { 24.0 };
    let stages = view.status.pack.as_ref().map(|pack| &pack.stages);
    let knobs: Vec<_> =
        KNOBS.iter().filter(|(id, ..)| stages.is_none_or(|stages| stages.iter().any(|stage| stage == id))).collect();

    let capture = Rect::from_min_size(rect.min, vec2((width * 0.29).clamp(228.0, 300.0), rect.height()));
    let dials_width = 3.0 * (width * 0.088).clamp(62.0, 92.0);
    let each = dials_width / knobs.len().max(1) as f32;
    let dials = Rect::from_min_size(pos2(capture.right() + gap, rect.top()), vec2(dials_width, rect.height()));
    let mixer_width = (width * 0.21).clamp(160.0, 240.0);
    let mixer = Rect::from_min_max(pos2(rect.right() - mixer_width, rect.top()), rect.max);
    let room = mixer.left() - gap - (dials.right() + gap);
    let small = Rect::from_min_size(
        pos2(dials.right() + gap + (room - 170.0).max(0.0) / 2.0, rect.top()),
        vec2(room.min(170.0), rect.height()),
    );

    trigger(ui, capture, view, desk, acts);
    for (index, (id, key, hint)) in knobs.into_iter().enumerate() {
        let place =
            Rect::from_min_size(pos2(dials.left() + index as f32 * each, dials.top()), vec2(each, dials.height()));
        let knob =
            Knob { control: view.control(*key), name: theme::stage_name(id), hint, color: theme::stage_color(id) };
        knob.show(ui, place, desk, acts);
    }
    settings(ui, small, view, desk, acts);
    levels(ui, mixer, view, desk, acts);
}

/// Pulls the trigger, once for a double-click, and remembers when.
pub(super) fn pull(desk: &mut Desk, acts: &mut Acts) {
    if desk.pulled.is_none_or(|pulled| pulled.elapsed() > DOUBLE_CLICK) {
        desk.pulled = Some(Instant::now());
        acts.push(Act::Capture);
    }
}

/// The big button, and under it what to do with the selected take.
fn trigger(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let tiles_height = 46.0;
    let button = Rect::from_min_max(rect.min, pos2(rect.right(), rect.bottom() - tiles_height - 8.0));
    if view.busy() {
        cancel(ui, button, view, desk, acts)
    } else {
        capture(ui, button, view, desk, acts)
    }

    let row = Rect::from_min_max(pos2(rect.left(), rect.bottom() - tiles_height), rect.max);
    let width = (row.width() - 4.0 * 6.0) / 5.0;
    let place = |index: usize| {
        Rect::from_min_size(pos2(row.left() + index as f32 * (width + 6.0), row.top()), vec2(width, row.height()))
    };
    let take = view.playable();
    let playing = view.status.playing.is_some();
    let play = if playing {
        Tile { icon: Icon::Stop, word: "Stop", hint: "Stop playing (Space).", enabled: true, lit: true }
    } else {
        Tile {
            icon: Icon::Play,
            word: "Play",
            hint: "Play the selected take from its beginning (Space).",
            enabled: take.is_some(),
            lit: false,
        }
    };
    if play.show(ui, place(0)) {
        acts.push(Act::TogglePlay);
    }
    let other = takes::other(view, desk);
    let compare = Tile {
        icon: Icon::Compare(other.map(|(_, to_a)| !to_a)),
        word: "A/B",
        hint: "Hear the take that was selected before this one, at the same place (A).",
        enabled: other.is_some(),
        lit: false,
    };
    if compare.show(ui, place(1))
        && let Some((other, _)) = other
    {
        acts.send(Command::Select(other));
    }
    let retry = Tile {
        icon: Icon::Retry,
        word: "Retry",
        hint: "Continue the same prompt again, another way (R). With a seed set, it uses that seed.",
        enabled: take.is_some() && view.ready(),
        lit: false,
    };
    if retry.show(ui, place(2)) {
        acts.send(Command::Retry);
    }
    let further = Tile {
        icon: Icon::Further,
        word: "Further",
        hint: "Go on from this take's end (F). If it is playing, what comes follows it without a gap.",
        enabled: further(view).is_some(),
        lit: false,
    };
    if further.show(ui, place(3))
        && let Some(take) = self::further(view)
    {
        acts.send(Command::Further(take));
    }
    let exportable = take.filter(|take| export::possible(view, take));
    let export = Tile {
        icon: Icon::Export,
        word: "Export",
        hint: "Write the selected take to a WAV file (E).",
        enabled: exportable.is_some(),
        lit: false,
    };
    if export.show(ui, place(4))
        && let Some(take) = exportable
    {
        export::open(desk, take.id);
    }
}

/// The take that could be continued now.
pub(super) fn further(view: &View<'_>) -> Option<segue_engine::take::TakeId> {
    view.playable().filter(|_| view.ready()).map(|take| take.id)
}

fn capture(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let ready = view.ready();
    let recording = view.control(Key::Mode).index() == 1;
    let response = ui.interact(rect, Id::unique("segue capture"), if ready { Sense::click() } else { Sense::hover() });
    // At the press, not at the release: this is played, not filled in.
    let pressed = response.is_pointer_button_down_on() && ui.input(|input| input.pointer.primary_pressed());
    // A press and its release may come within one frame, and the keyboard clicks without a press.
    if ready && (pressed || (response.clicked() && !desk.pressed)) {
        pull(desk, acts);
    }
    desk.pressed = ui.input(|input| input.pointer.primary_down()) && (desk.pressed || pressed);
    let lit = ready && response.hovered();
    let (fill, ink, less) = match (ready, lit) {
        (true, false) => (theme::accent(), theme::on_accent(), theme::on_accent_less()),
        (true, true) => (theme::accent_lit(), theme::on_accent(), theme::on_accent_less()),
        (false, _) => (theme::raised(), theme::muted(), theme::muted()),
    };
    let below = match view.status.activity {
        Activity::Asleep => "waiting for the host".to_owned(),
        Activity::Loading => "loading the model…".to_owned(),
        Activity::Unable => "no model to continue with".to_owned(),
        _ if view.control(Key::Duet).on() => duet_words(view.status.duet),
        _ if recording => format!("records {}, then plays on", seconds(view.prompt_seconds)),
        _ => format!("continues the last {}", seconds(view.prompt_seconds)),
    };
    ui.painter().rect_filled(rect, 10.0, fill);
    if let (true, DuetState::Waiting { seconds_left }) = (ready, view.status.duet) {
        // The pause runs: what is left of it is still dark.
        let share = (1.0 - seconds_left / view.duet_pause.max(0.1)).clamp(0.0, 1.0);
        let run = ui.painter().with_clip_rect(rect.with_max_x(rect.left() + rect.width() * share));
        run.rect_filled(rect, 10.0, theme::accent_lit());
    }
    focus_ring(ui, &response, rect, 10.0);
    words(ui, rect, "Capture & Continue", ink, &below, less);
    super::widgets::describe(&response, ready, "Capture and Continue");
    let hint = match (&view.status.problem, ready) {
        (Some(problem), false) => problem.what.clone(),
        (None, false) => "Not ready yet.".to_owned(),
        (_, true) => "Continue what I play (C or Enter). Also a parameter to automate, and a MIDI note.".to_owned(),
    };
    let response = if ready { response.on_hover_cursor(CursorIcon::PointingHand) } else { response };
    response.on_hover_text(hint);
}

fn cancel(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &Desk, acts: &mut Acts) {
    let response = ui.interact(rect, Id::unique("segue cancel"), Sense::click());
    if response.clicked() && desk.pulled.is_none_or(|pulled| pulled.elapsed() > DOUBLE_CLICK) {
        acts.send(Command::Cancel);
    }
    let painter = ui.painter();
    painter.rect_filled(rect, 10.0, if response.hovered() { theme::lifted() } else { theme::raised() });
    let progress = view.status.progress.as_ref();
    let share = progress.and_then(|progress| Some((progress.seconds / progress.total_seconds?).clamp(0.0, 1.0) as f32));
    if let Some(share) = share {
        let done = painter.with_clip_rect(rect.with_max_x(rect.left() + rect.width() * share));
        done.rect_filled(rect, 10.0, theme::raised().lerp_to_gamma(theme::brass(), 0.38));
    }
    let below = match (view.status.activity, progress) {
        (Activity::Recording, _) => format!("recording {}", seconds(view.prompt_seconds)),
        (Activity::Generating, Some(progress)) => how_far(progress, view.status.queued),
        _ => "reading what you played…".to_owned(),
    };
    focus_ring(ui, &response, rect, 10.0);
    words(ui, rect, "Cancel", theme::text(), &below, theme::text());
    super::widgets::describe(&response, true, "Cancel");
    response
        .on_hover_cursor(CursorIcon::PointingHand)
        .on_hover_text("Stop here (Esc). What has been made so far stays as a take.");
}

/// What a duet is about to do.
fn duet_words(state: DuetState) -> String {
    match state {
        DuetState::Waiting { seconds_left } => format!("duet: plays on in {}", seconds(f64::from(seconds_left))),
        DuetState::Playing => "duet: Segue plays".to_owned(),
        DuetState::Listening | DuetState::Off => "duet: plays on when you pause".to_owned(),
    }
}

/// How much there is, how long it will take, what comes after.
fn how_far(progress: &Progress, queued: usize) -> String {
    let mut text = match progress.total_seconds {
        Some(total) => {
            let left = (total - progress.seconds) / progress.speed;
            let eta = if left.is_finite() && (0.5..6000.0).contains(&left) && progress.speed > 0.0 {
                format!(" · {left:.0} s left")
            } else {
                String::new()
            };
            format!("{} of {}{eta}", seconds(progress.seconds), seconds(total))
        }
        None => format!("{}, until you stop", seconds(progress.seconds)),
    };
    if queued > 0 {
        text.push_str(&format!(" · {queued} more"));
    }
    text
}

fn words(ui: &Ui, rect: Rect, above: &str, ink: Color32, below: &str, less: Color32) {
    let middle = rect.center();
    let upper = Rect::from_center_size(middle - vec2(0.0, 10.0), vec2(rect.width() - 12.0, 24.0));
    let lower = Rect::from_center_size(middle + vec2(0.0, 13.0), vec2(rect.width() - 16.0, 18.0));
    let fits = |size: &f32| width_of(ui.painter(), above, theme::medium(*size)) <= upper.width();
    let size = [18.0, 17.0, 16.0].into_iter().find(fits).unwrap_or(15.0);
    text_in(ui.painter(), upper, Align2::CENTER_CENTER, above, theme::medium(size), ink);
    text_in(ui.painter(), lower, Align2::CENTER_CENTER, below, theme::font(BODY_BELOW), less);
}

const BODY_BELOW: f32 = 12.5;

/// What has a line of its own beside the knobs: its name, and what it means.
const FIELDS: [(Key, &str, &str); 6] = [
    (
        Key::Focus,
        "Focus",
        "How far Segue strays from the likely: it chooses among the likeliest continuations that together have this \
         probability (top-p).",
    ),
    (
        Key::Hold,
        "Hold",
        "How closely Segue keeps to what you played: its key, its pulse, its density. 0 %: it plays as it has learnt, \
         and may wander off.",
    ),
    (Key::Density, "Density", "How many notes Segue plays, of what you played: sparser, as dense, or denser."),
    (
        Key::Seed,
        "Seed",
        "The number the dice start from. 0: a new one for every take. The same seed with the same prompt and settings \
         gives the same take (on the CPU).",
    ),
    (
        Key::Variations,
        "Variations",
        "Takes made at once, 1–8, each with a seed of its own: the first is played, the others follow silently.",
    ),
    (Key::TriggerNote, "MIDI note", "A MIDI note that presses Capture & Continue, at its exact sample."),
];

/// Those, and the duet.
fn settings(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let held = view.status.pack.as_ref().is_none_or(|pack| pack.held);
    let fields: Vec<_> = FIELDS.iter().filter(|(key, ..)| held || !matches!(key, Key::Hold | Key::Density)).collect();
    let height = (rect.height() / (fields.len() + 1) as f32 - 2.5).min(24.0);
    let step = (rect.height() - height) / fields.len() as f32;
    let line =
        |index: usize| Rect::from_min_size(rect.min + vec2(0.0, index as f32 * step), vec2(rect.width(), height));
    let value = |line: Rect| Rect::from_min_max(pos2(line.right() - 64.0, line.top()), line.max);
    for (index, (key, name, hint)) in fields.iter().enumerate() {
        let line = line(index);
        let words = line.with_max_x(value(line).left() - 2.0);
        text_in(ui.painter(), words, Align2::LEFT_CENTER, name, theme::font(SMALL), theme::muted());
        field(ui, value(line), view.control(*key), name, hint, desk, acts);
    }
    let duet = "Nobody presses anything: Segue plays on when you have paused this long, and listens when you play again \
                (D).";
    let last = line(fields.len());
    field(ui, value(last), view.control(Key::DuetPause), "Duet pause", duet, desk, acts);
    let words = last.with_max_x(value(last).left() - 2.0);
    switch(ui, words, view.control(Key::Duet), "Duet", duet, acts);
}

/// What is heard of each.
fn levels(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let step = ((rect.height() - 25.0) / 2.0).clamp(42.0, 60.0);
    let place = |index: f32| Rect::from_min_size(rect.min + vec2(0.0, index * step), vec2(rect.width(), 38.0));
    let input = Fader {
        control: view.control(Key::Dry),
        name: "Input",
        hint: "How loud your playing passes through.",
        color: theme::slate(),
        needle: desk.input,
    };
    input.show(ui, place(0.0), desk, acts);
    let wet = Fader {
        control: view.control(Key::Wet),
        name: "Continuation",
        hint: "How loud Segue plays.",
        color: theme::brass(),
        needle: desk.wet,
    };
    wet.show(ui, place(1.0), desk, acts);
    let row = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 25.0), rect.max);
    switch(
        ui,
        row,
        view.control(Key::Duck),
        "Mute input",
        "Silences the input while a take plays, so that only one piano is heard.",
        acts,
    );
}
