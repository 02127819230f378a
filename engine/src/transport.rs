//! The host's musical time, as known at one frame of the sample clock, and where its next beats and bars fall.

/// A snapshot of the host's transport, taken at the frame it is stamped with. Cheap to copy; real-time safe.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Transport {
    /// Whether the song runs. Beats and bars are only waited for while it does.
    pub playing: bool,
    /// Quarter notes per minute.
    pub tempo: Option<f64>,
    /// Song position in quarter notes.
    pub beat: Option<f64>,
    /// Where the current bar began, in quarter notes.
    pub bar_start: Option<f64>,
    /// Time signature, e.g. (6, 8).
    pub signature: Option<(u32, u32)>,
}

/// A musical grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// Beats as the time signature counts them.
    Beat,
    /// Bar lines.
    Bar,
}

impl Transport {
    /// This snapshot as it would have been taken `frames` frames later. Real-time safe.
    #[must_use]
    pub fn after(&self, frames: u64, sample_rate: u32) -> Self {
        let quarters = match (self.playing, self.tempo) {
            (true, Some(tempo)) => frames as f64 / f64::from(sample_rate.max(1)) * tempo / 60.0,
            _ => 0.0,
        };
        Self { beat: self.beat.map(|beat| beat + quarters), ..*self }
    }

    /// Whether the other snapshot, of the same moment, says the same. Real-time safe.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        // Hosts round their positions; a 500th of a quarter is 1 ms at 120 bpm.
        let near = |a: Option<f64>, b: Option<f64>, modulus: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => {
                let apart = modulus.map_or((a - b).abs(), |m| (a - b + 0.002).rem_euclid(m) - 0.002);
                apart.abs() < 0.002
            }
            (None, None) => true,
            _ => false,
        };
        self.playing == other.playing
            && self.tempo == other.tempo
            && self.signature == other.signature
            && near(self.beat, other.beat, None)
            && near(self.bar_start, other.bar_start, Some(self.quarters(Grid::Bar)))
    }

    /// This snapshot as it would have been taken `frames` frames earlier. Real-time safe.
    #[must_use]
    pub fn before(&self, frames: u64, sample_rate: u32) -> Self {
        let quarters = self.after(frames, sample_rate).beat.zip(self.beat).map_or(0.0, |(after, now)| after - now);
        self.after_quarters(-quarters)
    }

    /// This snapshot with the song position moved by so many quarter notes. Real-time safe.
    #[must_use]
    pub fn after_quarters(&self, quarters: f64) -> Self {
        Self { beat: self.beat.map(|beat| beat + quarters), ..*self }
    }

    /// Quarter notes since the last line of the grid. `None` if the host does not tell its position.
    #[must_use]
    pub fn phase(&self, grid: Grid) -> Option<f64> {
        let beat = self.beat.filter(|b| b.is_finite())?;
        let bar_start = self.bar_start.filter(|b| b.is_finite()).unwrap_or(0.0);
        Some((beat - bar_start).rem_euclid(self.quarters(grid)))
    }

    /// Length of a beat or bar in frames, `None` while the tempo is unknown or the transport stands.
    #[must_use]
    pub fn frames_per(&self, grid: Grid, sample_rate: u32) -> Option<f64> {
        let tempo = self.tempo.filter(|t| self.playing && t.is_finite() && *t > 1.0)?;
        Some(self.quarters(grid) * 60.0 / tempo * f64::from(sample_rate))
    }

    /// The first line of the grid at or after the frame `not_before`, given that this snapshot was taken at the
    /// frame `taken_at`. `None` if the transport stands or does not say where it is: then nothing is to be waited for.
    #[must_use]
    pub fn next(&self, grid: Grid, taken_at: u64, not_before: u64, sample_rate: u32) -> Option<u64> {
        let spacing = self.frames_per(grid, sample_rate)?;
        let beat = self.beat.filter(|b| b.is_finite())?;
        // Beats are counted from the bar line, so that an upbeat or a change of signature does not move them.
        let bar_start = self.bar_start.filter(|b| b.is_finite()).unwrap_or(0.0);
        let phase = (bar_start - beat) / self.quarters(grid) * spacing;
        let wanted = not_before as f64 - taken_at as f64;
        // Half a frame of tolerance: a line that rounds to `not_before` is on time.
        let line = phase + ((wanted - phase - 0.5) / spacing).ceil() * spacing;
        Some((taken_at as f64 + line.round()).max(not_before as f64) as u64)
    }

    /// Quarter notes in a beat or bar; 4/4 if the host tells no signature.
    #[must_use]
    pub fn quarters(&self, grid: Grid) -> f64 {
        let (numerator, denominator) = self.signature.filter(|(n, d)| *n > 0 && *d > 0).unwrap_or((4, 4));
        let beat = 4.0 / f64::from(denominator);
        match grid {
            Grid::Beat => beat,
            Grid::Bar => beat * f64::from(numerator),
        }
    }
}

#[cfg(test)]
impl Transport {
    /// A song in 4/4 that runs, for tests.
    pub(crate) fn in_four(beat: f64, tempo: f64) -> Self {
        Self {
            playing: true,
            tempo: Some(tempo),
            beat: Some(beat),
            bar_start: Some((beat / 4.0).floor() * 4.0),
            signature: Some((4, 4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(beat: f64) -> Transport {
        Transport::in_four(beat, 120.0)
    }

    #[test]
    fn beats_and_bars_fall_where_the_host_has_them() {
        // 120 quarters a minute at 48 kHz: 24000 frames a beat, 96000 a bar.
        assert_eq!(at(0.0).next(Grid::Beat, 1000, 1000, 48000), Some(1000));
        assert_eq!(at(0.0).next(Grid::Beat, 1000, 1001, 48000), Some(25000));
        assert_eq!(at(5.5).next(Grid::Bar, 0, 0, 48000), Some(60000));
        assert_eq!(at(5.5).next(Grid::Bar, 0, 60001, 48000), Some(156_000));
    }

    #[test]
    fn compound_time_counts_its_own_beats() {
        let t = Transport { signature: Some((6, 8)), bar_start: Some(0.0), ..at(0.25) };
        assert_eq!(t.next(Grid::Beat, 0, 0, 48000), Some(6000));
        assert_eq!(t.next(Grid::Bar, 0, 0, 48000), Some(66000));
    }

    #[test]
    fn a_standing_or_silent_transport_is_not_waited_for() {
        assert_eq!(Transport { playing: false, ..at(1.0) }.next(Grid::Bar, 0, 0, 48000), None);
        assert_eq!(Transport { tempo: None, ..at(1.0) }.next(Grid::Bar, 0, 0, 48000), None);
        assert_eq!(Transport { tempo: Some(f64::NAN), ..at(1.0) }.next(Grid::Bar, 0, 0, 48000), None);
    }
}
