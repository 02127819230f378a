//! A thin ribbon for each stage, filling token by token. Every token is a sliver whose shade is its number's: a figure
//! that comes again is seen to come again.

use super::theme;
use egui::{Color32, Mesh, Painter, Rect, Shape, pos2};
use segue_engine::status::{Progress, StageProgress};
use segue_engine::take::TakeId;
use std::collections::HashMap;
use std::sync::Arc;

/// Takes whose tokens are remembered.
const MOST: usize = 200;

/// The tokens of one stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Ribbon {
    stage: String,
    /// The latest ones.
    tokens: Arc<[u16]>,
    /// How many there are in all.
    done: usize,
    /// Seconds each stands for.
    seconds: f64,
}

/// What was seen of the takes that were made while this editor was open.
#[derive(Debug, Default)]
pub(super) struct Ribbons(HashMap<TakeId, Vec<Ribbon>>);

impl Ribbons {
    /// Notes how far a take is.
    pub(super) fn follow(&mut self, take: TakeId, progress: &Progress) {
        if self.0.len() > MOST {
            self.0.clear();
        }
        let seen = self.0.entry(take).or_default();
        for stage in &progress.stages {
            let fresh = Ribbon {
                stage: stage.id.clone(),
                tokens: Arc::clone(&stage.tokens),
                done: stage.done,
                seconds: frame_seconds(stage, progress),
            };
            match seen.iter_mut().find(|ribbon| ribbon.stage == stage.id) {
                Some(ribbon) => *ribbon = fresh,
                None => seen.push(fresh),
            }
        }
    }

    /// What is known of a stage of a take.
    pub(super) fn of(&self, take: TakeId, stage: &str) -> Option<&Ribbon> {
        self.0.get(&take)?.iter().find(|ribbon| ribbon.stage == stage)
    }
}

/// Seconds a frame of a stage stands for.
fn frame_seconds(stage: &StageProgress, progress: &Progress) -> f64 {
    match (stage.total, progress.total_seconds) {
        (Some(total), Some(seconds)) if total > 0 && seconds > 0.0 => seconds / total as f64,
        // Without an end only the counts are known: the last stage's go with the seconds of audio.
        _ => {
            let last = progress.stages.last().map_or(0, |last| last.done);
            let sound = if last > 0 && progress.seconds.is_finite() { progress.seconds / last as f64 } else { 0.02 };
            // Ideas come at half the rate of sound.
            if stage.id == "semantic" && progress.stages.len() > 1 { 2.0 * sound } else { sound }
        }
    }
}

impl Ribbon {
    /// Seconds of music it covers.
    pub(super) fn covers(&self) -> f64 {
        self.done as f64 * self.seconds
    }

    /// Draws it. `x` is where a second is; slivers are at least as wide as a pixel.
    pub(super) fn paint(&self, painter: &Painter, track: Rect, color: Color32, x: impl Fn(f64) -> f32) {
        let known = self.tokens.len().min(self.done);
        let first = self.done - known;
        let place = |frame: usize| x(frame as f64 * self.seconds).clamp(track.left(), track.right());
        let mut mesh = Mesh::default();
        let mut quad = |from: f32, to: f32, color: Color32| {
            mesh.add_colored_rect(Rect::from_min_max(pos2(from, track.top()), pos2(to, track.bottom())), color);
        };
        if first > 0 {
            quad(place(0), place(first), theme::dim(color, 0.45));
        }
        let least = 1.0 / painter.pixels_per_point();
        let (mut from, mut at) = (place(first), 0);
        while at < known {
            let mut end = at + 1;
            while end < known && place(first + end) - from < least {
                end += 1;
            }
            let to = place(first + end);
            quad(from, to, theme::dim(color, shade(self.tokens[at])));
            (from, at) = (to, end);
        }
        painter.add(Shape::mesh(mesh));
    }
}

/// How much of the ribbon's colour a token has, 0.3–1: neighbouring numbers far apart, the same number always the same.
fn shade(token: u16) -> f32 {
    // Steps of the golden ratio spread over the range as evenly as can be.
    const GOLDEN: f32 = 0.618_034;
    0.3 + 0.7 * (f32::from(token) * GOLDEN).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(id: &str, done: usize, total: Option<usize>) -> StageProgress {
        StageProgress { id: id.into(), done, total, tokens: (0..done as u16).collect() }
    }

    #[test]
    fn a_ribbon_is_as_long_as_the_music_it_stands_for() {
        let progress = |total: Option<f64>, stages| Progress {
            stages,
            seconds: 4.0,
            total_seconds: total,
            speed: 1.0,
            starts_in: 0.0,
        };
        let mut ribbons = Ribbons::default();
        let ended = vec![stage("semantic", 150, Some(400)), stage("fine", 200, Some(800))];
        ribbons.follow(TakeId(1), &progress(Some(16.0), ended));
        let covers = |ribbons: &Ribbons, id| ribbons.of(TakeId(1), id).expect("followed").covers();
        assert!((covers(&ribbons, "semantic") - 6.0).abs() < 1e-9);
        assert!((covers(&ribbons, "fine") - 4.0).abs() < 1e-9);
        let endless = vec![stage("semantic", 150, None), stage("fine", 200, None)];
        ribbons.follow(TakeId(1), &progress(None, endless));
        assert!((covers(&ribbons, "semantic") - 6.0).abs() < 1e-9);
        assert!((covers(&ribbons, "fine") - 4.0).abs() < 1e-9);
        assert!(ribbons.of(TakeId(2), "fine").is_none() && ribbons.of(TakeId(1), "coarse").is_none());
    }

    #[test]
    fn tokens_have_shades_that_can_be_seen_and_told_apart() {
        for token in 0..1024 {
            assert!((0.3..=1.0).contains(&shade(token)));
            assert!((shade(token) - shade(token + 1)).abs() > 0.2);
        }
    }
}
