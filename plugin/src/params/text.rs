//! Values as text, both ways: what a host shows, and what people type. Typing is forgiven: case, spaces, the unit or
//! none, a comma for a point, a typographic minus, "off" and "none" for what can be off. What makes no sense is `None`,
//! and then the value stays.

use nice_plug::formatters;
use nice_plug::prelude::*;
use std::sync::Arc;

/// From here up to its end the length parameter means "without end". (60 s itself is just below.)
pub(super) const ENDLESS_FROM: f32 = 59.97;
/// The value that stands for 60 s.
pub(super) const SIXTY: f32 = 59.96;
/// What the steps of the prompt's length in bars mean; 0 leaves it to the length in seconds.
pub(super) const BAR_COUNTS: [u32; 5] = [0, 1, 2, 4, 8];

/// How values are shown, and how text is read.
#[derive(Clone, Copy)]
pub(super) struct Text<T> {
    show: fn(T) -> String,
    read: fn(&str) -> Option<T>,
}

/// Parameters that may be given a [`Text`].
pub(super) trait Words<T> {
    fn words(self, text: Text<T>) -> Self;
}

macro_rules! words {
    ($param:ty, $value:ty) => {
        impl Words<$value> for $param {
            fn words(self, text: Text<$value>) -> Self {
                self.with_value_to_string(Arc::new(text.show))
                    .with_string_to_value(Arc::new(move |typed| (text.read)(&tidy(typed))))
            }
        }
    };
}
words!(FloatParam, f32);
words!(IntParam, i32);
words!(BoolParam, bool);

/// On or off.
pub(super) const SWITCH: Text<bool> = Text {
    show: |on| if on { "on" } else { "off" }.into(),
    read: |typed| match typed {
        "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "none" | "false" | "0" => Some(false),
        _ => None,
    },
};

/// A plain number with two decimals; per cent are understood.
pub(super) const NUMBER: Text<f32> = Text {
    show: |value| format!("{value:.2}"),
    read: |typed| match typed.strip_suffix('%') {
        Some(percent) => number(percent).map(|v| v / 100.0),
        None => number(typed),
    },
};

/// Times, as per cent; times are understood where they say so.
pub(super) const PERCENT: Text<f32> = Text {
    show: |times| format!("{:.0} %", times * 100.0),
    read: |typed| match typed.strip_suffix(['x', '×']) {
        Some(times) => number(times),
        None if matches!(typed, "off" | "none") => Some(0.0),
        None => number(typed.trim_end_matches('%')).map(|percent| percent / 100.0),
    },
};

/// Seconds; milliseconds and minutes are understood.
pub(super) const SECONDS: Text<f32> = Text { show: |value| format!("{value:.1} s"), read: seconds };

/// Seconds, or without end.
pub(super) const LENGTH: Text<f32> = Text {
    show: |value| if value >= ENDLESS_FROM { "∞".into() } else { format!("{value:.1} s") },
    read: |typed| match typed {
        "∞" | "inf" | "infinite" | "infinity" | "endless" | "off" | "none" | "no end" => Some(60.0),
        other => seconds(other).map(|v| v.min(SIXTY)),
    },
};

/// A linear gain in decibels.
pub(super) const DECIBELS: Text<f32> = Text {
    show: |gain| match util::gain_to_db(gain) {
        // Where the knob ends; the framework's own floor is −100 dB.
        silent if silent <= -99.95 => "-inf dB".into(),
        db => format!("{:.1} dB", if db.abs() < 0.05 { 0.0 } else { db }),
    },
    read: |typed| {
        let typed = typed.trim_end_matches("fs").trim_end_matches("db").trim_end();
        match typed {
            "-inf" | "-infinity" | "-∞" | "off" | "none" | "mute" | "silent" => Some(0.0),
            _ => number(typed).map(|db| util::db_to_gain(db.clamp(-200.0, 200.0))),
        }
    },
};

/// A seed; 0 is a new one each time.
pub(super) const SEED: Text<i32> = Text {
    show: |seed| {
        #[cfg(feature = "defects")]
        let seed = crate::defects::seed(seed);
        if seed == 0 { "new".into() } else { seed.to_string() }
    },
    read: |typed| match typed {
        "new" | "off" | "none" | "random" | "auto" => Some(0),
        other => whole(other.trim_start_matches('#')).map(|n| n.clamp(0, 9999)),
    },
};

/// A share in per cent, or off.
pub(super) const SHARE: Text<i32> = Text {
    show: |percent| if percent == 0 { "off".into() } else { format!("{percent} %") },
    read: |typed| match typed {
        "off" | "none" => Some(0),
        other => whole(other.trim_end_matches('%')).filter(|percent| (0..=100).contains(percent)),
    },
};

/// A MIDI key by number or name; 60 is C4.
pub(super) const NOTE: Text<i32> = Text { show: show_note, read: note };

/// Bars of prompt.
pub(super) const BARS: Text<i32> = Text {
    show: |index| match bar_count(index) {
        0 => "Seconds".into(),
        1 => "1 bar".into(),
        more => format!("{more} bars"),
    },
    read: |typed| match typed {
        "seconds" | "second" | "sec" | "s" | "off" | "none" => Some(0),
        other => {
            let bars = whole(other.trim_end_matches('s').trim_end_matches("bar"))?;
            BAR_COUNTS.iter().position(|n| i64::from(*n) == i64::from(bars)).and_then(|index| i32::try_from(index).ok())
        }
    },
};

/// Number of takes.
pub(super) const TAKES: Text<i32> = Text {
    show: |takes| if takes == 1 { "1 take".into() } else { format!("{takes} takes") },
    read: |typed| match typed {
        "off" | "none" => Some(1),
        other => {
            let digits = other.trim_end_matches('s').trim_end_matches("take").trim_end_matches("variation");
            whole(digits.trim_matches(['x', '×'])).map(|n| n.clamp(1, 8))
        }
    },
};

fn bar_count(index: i32) -> u32 {
    usize::try_from(index).ok().and_then(|i| BAR_COUNTS.get(i)).copied().unwrap_or(0)
}

/// Lower case, without spaces around, with plain signs.
fn tidy(typed: &str) -> String {
    typed.trim().to_lowercase().replace(['−', '–'], "-").replace('♯', "#").replace('♭', "b")
}

/// A finite number.
fn number(typed: &str) -> Option<f32> {
    typed.trim().replace(',', ".").parse().ok().filter(|v: &f32| v.is_finite())
}

/// A whole number, also written as "42.0".
fn whole(typed: &str) -> Option<i32> {
    number(typed).filter(|v| v.fract() == 0.0).map(|v| v as i32)
}

fn seconds(typed: &str) -> Option<f32> {
    const UNITS: [(&str, f32); 11] = [
        ("milliseconds", 1e-3),
        ("msec", 1e-3),
        ("ms", 1e-3),
        ("minutes", 60.0),
        ("minute", 60.0),
        ("min", 60.0),
        ("seconds", 1.0),
        ("second", 1.0),
        ("secs", 1.0),
        ("sec", 1.0),
        ("s", 1.0),
    ];
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((typed.strip_suffix(unit)?, factor)));
    let (digits, factor) = unit.unwrap_or((typed, &1.0));
    number(digits).map(|v| v * factor)
}

fn show_note(key: i32) -> String {
    if key < 0 { "off".into() } else { format!("{key} ({})", formatters::v2s_i32_key_formatter()(key)) }
}

fn note(typed: &str) -> Option<i32> {
    if matches!(typed, "off" | "none") {
        return Some(-1);
    }
    // "60 (C4)" is what is shown; either half will do.
    let half = typed.split('(').next()?.trim();
    let key = whole(half).or_else(|| note_name(half));
    key.filter(|key| (-1..=127).contains(key))
}

/// "c4", "f#2", "eb 3", "c-1".
fn note_name(typed: &str) -> Option<i32> {
    let mut rest = typed.chars();
    let step = [('c', 0), ('d', 2), ('e', 4), ('f', 5), ('g', 7), ('a', 9), ('b', 11)];
    let letter = rest.next()?;
    let step = step.iter().find(|(name, _)| *name == letter)?.1;
    let rest = rest.as_str();
    let (sign, octave) = match rest.strip_prefix('#') {
        Some(octave) => (1, octave),
        None => rest.strip_prefix('b').map_or((0, rest), |octave| (-1, octave)),
    };
    let octave = whole(octave).filter(|octave| (-1..=9).contains(octave))?;
    Some((octave + 1) * 12 + step + sign)
}
