//! The host's song: tempo and meters, and what a plugin is told of them.

use clack_host::events::event_types::{TransportEvent, TransportFlags};
use clack_host::events::{EventFlags, EventHeader};
use clack_host::utils::{BeatTime, SecondsTime};

/// From this position on, bars are counted in this meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meter {
    /// Quarter notes from the song's beginning; a bar line.
    pub from: f64,
    /// Beats in a bar.
    pub numerator: u16,
    /// The note that is a beat.
    pub denominator: u16,
}

impl Meter {
    fn quarters(&self) -> f64 {
        4.0 * f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// A song that runs from the first frame on.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// Quarter notes per minute.
    pub tempo: f64,
    /// Position of the first frame, in quarter notes.
    pub from: f64,
    /// In order; the first one holds from the beginning.
    pub meters: Vec<Meter>,
}

impl Song {
    /// In four-four from its beginning.
    #[must_use]
    pub fn new(tempo: f64, from: f64) -> Self {
        Self { tempo, from, meters: vec![Meter { from: 0.0, numerator: 4, denominator: 4 }] }
    }

    /// Position at a frame, in quarter notes.
    #[must_use]
    pub fn position(&self, frame: u64, rate: u32) -> f64 {
        self.from + frame as f64 / f64::from(rate) * self.tempo / 60.0
    }

    fn meter(&self, position: f64) -> Meter {
        let holds = self.meters.iter().rev().find(|meter| meter.from <= position);
        holds.or(self.meters.first()).copied().unwrap_or(Meter { from: 0.0, numerator: 4, denominator: 4 })
    }

    /// The last bar line at or before a position.
    fn bar(&self, position: f64) -> f64 {
        let meter = self.meter(position);
        meter.from + ((position - meter.from) / meter.quarters()).floor() * meter.quarters()
    }

    /// The frame nearest to the first bar line at or after a frame. A line that rounds to the frame is at it.
    #[must_use]
    pub fn next_bar(&self, frame: u64, rate: u32) -> u64 {
        let frames = |position: f64| ((position - self.from) * 60.0 / self.tempo * f64::from(rate)).round();
        let here = self.position(frame, rate);
        let mut line = self.bar(here);
        while frames(line) < frame as f64 {
            let next = line + self.meter(line).quarters();
            // A change of meter is a bar line too.
            let change = self.meters.iter().map(|meter| meter.from).find(|from| *from > line);
            line = change.map_or(next, |change| change.min(next));
        }
        frames(line) as u64
    }

    /// The first frame after `from` and before `to` from which another meter holds.
    #[must_use]
    pub fn change(&self, from: u64, to: u64, rate: u32) -> Option<u64> {
        let frame = |meter: &Meter| ((meter.from - self.from) * 60.0 / self.tempo * f64::from(rate)).ceil();
        let frames = self.meters.iter().map(frame).filter(|frame| *frame > 0.0);
        frames.map(|frame| frame as u64).find(|frame| (from + 1..to).contains(frame))
    }

    /// What the plugin is told of this frame.
    #[must_use]
    pub fn event(&self, frame: u64, rate: u32) -> TransportEvent {
        let position = self.position(frame, rate);
        let meter = self.meter(position);
        TransportEvent {
            header: EventHeader::new_core(0, EventFlags::empty()),
            flags: TransportFlags::IS_PLAYING
                | TransportFlags::HAS_TEMPO
                | TransportFlags::HAS_BEATS_TIMELINE
                | TransportFlags::HAS_TIME_SIGNATURE,
            song_pos_beats: BeatTime::from_float(position),
            song_pos_seconds: SecondsTime::from_float(0.0),
            tempo: self.tempo,
            tempo_inc: 0.0,
            loop_start_beats: BeatTime::from_float(0.0),
            loop_end_beats: BeatTime::from_float(0.0),
            loop_start_seconds: SecondsTime::from_float(0.0),
            loop_end_seconds: SecondsTime::from_float(0.0),
            bar_start: BeatTime::from_float(self.bar(position)),
            bar_number: 0,
            time_signature_numerator: meter.numerator,
            time_signature_denominator: meter.denominator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_lines_follow_the_meter() {
        let mut song = Song::new(120.0, 1.0);
        assert_eq!(song.next_bar(0, 48_000), 72_000);
        assert_eq!((song.next_bar(72_000, 48_000), song.next_bar(72_001, 48_000)), (72_000, 168_000));
        song.meters.push(Meter { from: 8.0, numerator: 7, denominator: 8 });
        song.meters.push(Meter { from: 13.0, numerator: 4, denominator: 4 });
        // 8, 11.5, and the change at 13.
        let lines: Vec<u64> = [72_001, 168_001, 252_001, 288_001].map(|f| song.next_bar(f, 48_000)).into();
        assert_eq!(lines, [168_000, 252_000, 288_000, 384_000]);
        assert_eq!(song.event(260_000, 48_000).bar_start.to_float(), 11.5);
    }
}
