//! The duet's ear: when the pianist plays, pauses, and plays again. Audio thread, real-time safe.
//!
//! Every 10 ms the level of the input and of a few bands of it is taken. An **onset** is a rise of one of the bands out of
//! what rings: a new note is often no louder than the chord it joins, but seldom in all bands. It is **quiet** when the level has fallen far below the recent
//! loudness, with hysteresis: a held chord is not quiet until it has decayed. Where noise keeps the level from falling
//! that far, what stays even is quiet too. A pause is a time of quiet without an onset; a lifted pedal counts as quiet
//! from the lift on.

/// Hops per second.
const HOPS: u32 = 100;
/// Hops remembered.
const PAST: usize = 150;
/// Fallen this many dB below the recent loudness, it is quiet; risen above this, it is no longer.
const QUIET_BELOW: f32 = 30.0;
const LOUD_ABOVE: f32 = 24.0;
/// Loudness is forgotten at so many dB a second while something sounds.
const FORGET: f32 = 1.5;
/// Nothing below this (dBFS) is an onset, or loud.
const FLOOR: f32 = -60.0;
/// An onset rises by so many dB over the softest of the last few hops, and so many over the mean of the last third of a
/// second (which the beating of strings does not).
const RISE: f32 = 6.0;
const RISE_HOPS: usize = 5;
const OVER_MEAN: f32 = 3.0;
/// All bands together rise by at least so many dB: narrow ones waver in noise.
const RISE_OF_ALL: f32 = 1.0;
const MEAN_HOPS: usize = 30;
/// And is not softer than this below the recent loudness.
const SOFTEST: f32 = 40.0;
/// An attack takes this many hops; they are one onset.
const ATTACK: u32 = 5;
/// What is this far below the recent loudness, and has stayed within so many dB over the whole past, is noise.
const NOISE_BELOW: f32 = 18.0;
const EVEN: f32 = 2.0;
/// Seconds of playing before a pause means anything.
const ENOUGH_SECONDS: u32 = 1;
/// The prompt ends at most this long after the last onset: the rest of a chord's decay tells nothing.
const RINGING_SECONDS: u32 = 1;
/// Centres of the bands in Hz, an octave apart: a piano's notes and their attacks, below most hiss.
const BANDS: [f32; 5] = [220.0, 440.0, 880.0, 1_760.0, 3_520.0];
/// One octave wide.
const BAND_Q: f32 = 1.414;
/// Softer than any signal.
const NOTHING: f32 = -120.0;

/// What was heard in a block.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Heard {
    /// The frame of an onset (of the last one, if there was more than one).
    pub onset: Option<u64>,
    /// The pianist has paused.
    pub pause: Option<Pause>,
}

/// A pause, long enough to play on in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The frame on which the prompt ends.
    pub end: u64,
    /// The frame at which that was known.
    pub found: u64,
}

/// Listens to the input. Audio thread; all methods are real-time safe.
#[derive(Debug, Clone)]
pub struct Listener {
    hop: u32,
    sample_rate: u32,
    /// The hop being filled: frames, and energies of the signal and of its bands.
    fill: u32,
    energy: f64,
    band_energy: [f64; BANDS.len()],
    bands: [Bandpass; BANDS.len()],
    /// Levels of the past hops in dB, of the signal and of its bands; rings.
    level: [f32; PAST],
    band_level: [[f32; MEAN_HOPS]; BANDS.len()],
    hops: u64,
    /// Recent loudness in dB.
    loud: f32,
    quiet: bool,
    /// Since when it has been quiet, or the pedal has been up.
    quiet_since: Option<u64>,
    first_onset: Option<u64>,
    last_onset: Option<u64>,
    /// Hops since the last onset.
    since_onset: u32,
    /// Seconds left of the pause, while it runs.
    left: Option<f32>,
}

impl Listener {
    /// For a host rate in Hz.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        Self {
            hop: (sample_rate / HOPS).max(1),
            sample_rate,
            fill: 0,
            energy: 0.0,
            band_energy: [0.0; BANDS.len()],
            bands: BANDS.map(|hz| Bandpass::new(hz, sample_rate)),
            level: [NOTHING; PAST],
            band_level: [[NOTHING; MEAN_HOPS]; BANDS.len()],
            hops: 0,
            loud: FLOOR,
            quiet: true,
            quiet_since: None,
            first_onset: None,
            last_onset: None,
            since_onset: u32::MAX,
            left: None,
        }
    }

    /// Forgets that anything has been played.
    pub fn reset(&mut self) {
        *self = Self::new(self.sample_rate);
    }

    /// The pedal has been lifted at this frame: what rings on rings no longer by the pianist's will.
    pub fn pedal_lifted(&mut self, clock: u64) {
        if self.first_onset.is_some() {
            self.quiet_since.get_or_insert(clock);
        }
    }

    /// Seconds until the pause is long enough, while one runs.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f32> {
        self.left
    }

    /// Listens to one block that begins at the frame `clock`; a pause of `pause` seconds is one. After a pause nothing
    /// is one until something has been played.
    pub fn push(&mut self, left: &[f32], right: &[f32], clock: u64, pause: f32) -> Heard {
        let mut heard = Heard::default();
        for (n, (l, r)) in left.iter().zip(right).enumerate() {
            let x = (l + r) * 0.5;
            let x = if x.is_finite() { x } else { 0.0 };
            self.energy += f64::from(x * x);
            for (energy, band) in self.band_energy.iter_mut().zip(&mut self.bands) {
                let y = band.push(x);
                *energy += f64::from(y * y);
            }
            self.fill += 1;
            if self.fill == self.hop {
                self.end_hop(clock + n as u64 + 1, pause, &mut heard);
            }
        }
        heard
    }

    fn end_hop(&mut self, end: u64, pause: f32, heard: &mut Heard) {
        let begin = end - u64::from(self.hop);
        let decibels = |e: f64| 10.0 * ((e / f64::from(self.hop)) as f32).max(1e-12).log10();
        let (level, bands) = (decibels(self.energy), self.band_energy.map(decibels));
        (self.fill, self.energy, self.band_energy) = (0, 0.0, [0.0; BANDS.len()]);
        let before =
            (1..=RISE_HOPS as u64).map(|back| self.level[((self.hops + PAST as u64 - back) % PAST as u64) as usize]);
        let onset = level >= FLOOR.max(self.loud - SOFTEST)
            && level >= before.fold(f32::INFINITY, f32::min) + RISE_OF_ALL
            && (0..BANDS.len()).any(|b| self.has_risen(b, bands[b]));
        self.level[(self.hops % PAST as u64) as usize] = level;
        for (past, level) in self.band_level.iter_mut().zip(bands) {
            past[(self.hops % MEAN_HOPS as u64) as usize] = level;
        }
        self.hops += 1;
        self.since_onset = self.since_onset.saturating_add(1);
        if level >= self.loud {
            self.loud = level;
        } else if !self.quiet {
            self.loud = (self.loud - FORGET / HOPS as f32).max(FLOOR);
        }
        let even = self.spread() < EVEN;
        // Far below the recent loudness, and as loud as ever: noise, not a piano.
        let noise = even && level <= self.loud - NOISE_BELOW;
        if onset {
            if self.since_onset > ATTACK {
                heard.onset = Some(begin);
                self.last_onset = Some(begin);
                // After a rest that no pause came of (a knock, a note tried), playing begins anew.
                let rested =
                    self.quiet_since.is_some_and(|since| begin.saturating_sub(since) > u64::from(self.sample_rate));
                self.first_onset = self.first_onset.filter(|_| !rested).or(Some(begin));
            }
            self.since_onset = 0;
            (self.quiet, self.quiet_since) = (false, None);
        } else if level > self.loud - LOUD_ABOVE && !noise && level > FLOOR {
            // A pedal's lift stands: what rings on is no playing.
            self.quiet = false;
            if self.since_onset < ATTACK {
                self.quiet_since = None;
            }
        } else if level < self.loud - QUIET_BELOW || level < FLOOR || noise {
            self.quiet = true;
            self.quiet_since.get_or_insert(begin);
        }
        if even && self.first_onset == self.last_onset {
            // Something was switched on, and hums.
            self.first_onset = None;
        }
        self.left = None;
        if let (Some(since), Some(first), Some(last)) = (self.quiet_since, self.first_onset, self.last_onset)
            && since.saturating_sub(first) >= u64::from(ENOUGH_SECONDS * self.sample_rate)
        {
            // A pedal may have been lifted later in the block than this hop.
            let left = pause - end.saturating_sub(since) as f32 / self.sample_rate as f32;
            if left > 0.0 {
                self.left = Some(left);
            } else {
                let prompt_end = since.min(last + u64::from(RINGING_SECONDS * self.sample_rate));
                heard.pause = Some(Pause { end: prompt_end, found: end });
                self.first_onset = None;
            }
        }
    }

    /// Whether a band that is now at `level` dB has just come out of what rings.
    fn has_risen(&self, band: usize, level: f32) -> bool {
        // A band far below the whole is its leakage.
        if level < FLOOR.max(self.loud - SOFTEST) {
            return false;
        }
        let past = &self.band_level[band];
        let latest = (1..=RISE_HOPS as u64)
            .map(|back| past[((self.hops + MEAN_HOPS as u64 - back) % MEAN_HOPS as u64) as usize]);
        let softest = latest.fold(f32::INFINITY, f32::min);
        let mean = past.iter().sum::<f32>() / past.len() as f32;
        level >= softest + RISE && level >= mean + OVER_MEAN
    }

    /// Between the loudest and the softest tenth of a second of the past, in dB (tenths, so that noise does not look
    /// uneven).
    fn spread(&self) -> f32 {
        if self.hops < PAST as u64 {
            return f32::INFINITY;
        }
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for tenth in self.level.chunks(10) {
            let mean = tenth.iter().sum::<f32>() / tenth.len() as f32;
            (low, high) = (low.min(mean), high.max(mean));
        }
        high - low
    }
}

/// A bandpass of two poles with a gain of one at its centre (R. Bristow-Johnson's cookbook; transposed direct form II).
#[derive(Debug, Clone, Copy)]
struct Bandpass {
    b0: f32,
    a1: f32,
    a2: f32,
    state: [f32; 2],
}

impl Bandpass {
    fn new(hz: f32, sample_rate: u32) -> Self {
        // At very low rates the upper bands are one: just below half the rate.
        let w = std::f32::consts::TAU * (hz / sample_rate.max(1) as f32).min(0.45);
        let alpha = w.sin() / (2.0 * BAND_Q);
        let a0 = 1.0 + alpha;
        Self { b0: alpha / a0, a1: -2.0 * w.cos() / a0, a2: (1.0 - alpha) / a0, state: [0.0; 2] }
    }

    fn push(&mut self, x: f32) -> f32 {
        let y = self.b0 * x + self.state[0];
        self.state[0] = self.state[1] - self.a1 * y;
        self.state[1] = -self.b0 * x - self.a2 * y;
        y
    }
}

#[cfg(test)]
#[path = "duet_tests.rs"]
mod tests;
