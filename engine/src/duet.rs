//! The duet's ear: when the pianist plays, pauses, and plays again. Audio thread, real-time safe.
//!
//! Every 10 ms the level of the input and of its first difference (which favours attacks over what rings) are taken.
//! An **onset** is a rise of the latter out of what rings. It is **quiet** when the level has fallen far below the recent
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
/// Softer than any signal.
const NOTHING: f32 = -120.0;

/// What was heard in a block.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Heard {
    /// The frame of an onset (of the last one, if there was more than one).
    pub onset: Option<u64>,
    /// The pianist has paused: the frame on which the prompt ends.
    pub pause: Option<u64>,
}

/// Listens to the input. Audio thread; all methods are real-time safe.
#[derive(Debug, Clone)]
pub struct Listener {
    hop: u32,
    sample_rate: u32,
    /// The hop being filled: frames, and energies of the signal and of its difference.
    fill: u32,
    energy: [f64; 2],
    last: f32,
    /// Levels of the past hops in dB, of the signal and of its difference; a ring.
    level: [f32; PAST],
    bright: [f32; PAST],
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
            energy: [0.0; 2],
            last: 0.0,
            level: [NOTHING; PAST],
            bright: [NOTHING; PAST],
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
            let d = x - self.last;
            self.last = x;
            self.energy[0] += f64::from(x * x);
            self.energy[1] += f64::from(d * d);
            self.fill += 1;
            if self.fill == self.hop {
                self.end_hop(clock + n as u64 + 1, pause, &mut heard);
            }
        }
        heard
    }

    fn end_hop(&mut self, end: u64, pause: f32, heard: &mut Heard) {
        let begin = end - u64::from(self.hop);
        let [level, bright] = self.energy.map(|e| 10.0 * ((e / f64::from(self.hop)) as f32).max(1e-12).log10());
        (self.fill, self.energy) = (0, [0.0; 2]);
        let onset = self.is_onset(level, bright);
        let at = (self.hops % PAST as u64) as usize;
        (self.level[at], self.bright[at]) = (level, bright);
        self.hops += 1;
        self.since_onset = self.since_onset.saturating_add(1);
        if level >= self.loud {
            self.loud = level;
        } else if !self.quiet {
            self.loud = (self.loud - FORGET / HOPS as f32).max(FLOOR);
        }
        if onset {
            if self.since_onset > ATTACK {
                heard.onset = Some(begin);
                self.last_onset = Some(begin);
                self.first_onset.get_or_insert(begin);
            }
            self.since_onset = 0;
            (self.quiet, self.quiet_since) = (false, None);
        } else if level > self.loud - LOUD_ABOVE && !self.is_even(level) && level > FLOOR {
            // A pedal's lift stands: what rings on is no playing.
            self.quiet = false;
            if self.since_onset < ATTACK {
                self.quiet_since = None;
            }
        } else if level < self.loud - QUIET_BELOW || level < FLOOR || self.is_even(level) {
            self.quiet = true;
            self.quiet_since.get_or_insert(begin);
        }
        self.left = None;
        if let (Some(since), Some(first), Some(last)) = (self.quiet_since, self.first_onset, self.last_onset)
            && since.saturating_sub(first) >= u64::from(ENOUGH_SECONDS * self.sample_rate)
        {
            let left = pause - (end - since) as f32 / self.sample_rate as f32;
            if left > 0.0 {
                self.left = Some(left);
            } else {
                heard.pause = Some(since.min(last + u64::from(RINGING_SECONDS * self.sample_rate)));
                self.first_onset = None;
            }
        }
    }

    /// Levels of the latest hops, newest first.
    fn latest<'a>(&self, ring: &'a [f32; PAST]) -> impl Iterator<Item = f32> + 'a {
        let (next, known) = (self.hops, (self.hops as usize).min(PAST));
        (1..=known as u64).map(move |back| ring[((next - back) % PAST as u64) as usize])
    }

    fn is_onset(&self, level: f32, bright: f32) -> bool {
        if level < FLOOR.max(self.loud - SOFTEST) {
            return false;
        }
        let softest = self.latest(&self.bright).take(RISE_HOPS).fold(f32::INFINITY, f32::min);
        let (sum, count) = self.latest(&self.bright).take(MEAN_HOPS).fold((0.0, 0.0), |(sum, n), b| (sum + b, n + 1.0));
        let mean = if count > 0.0 { sum / count } else { NOTHING };
        bright >= softest.min(200.0) + RISE && bright >= mean + OVER_MEAN
    }

    fn is_even(&self, level: f32) -> bool {
        if self.hops < PAST as u64 || level > self.loud - NOISE_BELOW {
            return false;
        }
        // Tenths of a second, so that noise does not look uneven.
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for tenth in self.level.chunks(10) {
            let mean = tenth.iter().sum::<f32>() / tenth.len() as f32;
            (low, high) = (low.min(mean), high.max(mean));
        }
        high - low < EVEN
    }
}

#[cfg(test)]
#[path = "duet_tests.rs"]
mod tests;
