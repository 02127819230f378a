//! What hosts and people may rely on: ids, groups, defaults, and text both ways.

use super::text::{ENDLESS_FROM, SIXTY};
use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn table() -> SegueParams {
    SegueParams::new(Arc::default())
}

/// The plain value, as the engine would get it, of what somebody typed.
fn typed<P: Param>(param: &P, words: &str) -> Option<P::Plain> {
    param.string_to_normalized_value(words).map(|normalized| param.preview_plain(normalized))
}

#[test]
fn ids_are_for_ever() {
    let params = table();
    let ids: HashSet<&str> = params.table().map(|row| row.id).into();
    let expected = [
        "capture",
        "mode",
        "prompt",
        "prompt_bars",
        "snap",
        "trigger_note",
        "length",
        "variations",
        "t_semantic",
        "t_coarse",
        "t_fine",
        "top_p",
        "hold",
        "density",
        "seed",
        "start",
        "play",
        "loop",
        "dry",
        "wet",
        "duck",
        "duet",
        "duet_pause",
        "ahead",
    ];
    assert_eq!(ids, HashSet::from(expected));
}

#[test]
fn a_host_gets_the_whole_table_in_groups() {
    let params = table();
    let map = params.param_map();
    assert_eq!(map.len(), params.table().len());
    assert!(map.iter().all(|(_, _, group)| !group.is_empty()));
    let group = |id: &str| map.iter().find(|row| row.0 == id).map(|row| row.2.as_str());
    assert_eq!(group("capture"), Some("Capture"));
    assert_eq!(group("t_coarse"), Some("Continuation/Temperature"));
    assert_eq!(group("duet_pause"), Some("Duet"));
}

#[test]
fn all_but_the_setup_can_be_automated() {
    let params = table();
    let fixed: Vec<&str> = params.table().iter().filter(|row| !row.param.automatable()).map(|row| row.id).collect();
    assert_eq!(fixed, ["trigger_note", "ahead"]);
}

#[test]
fn defaults_are_the_engine_s() {
    let (params, controls) = (table(), Controls::default());
    let fresh = Controls::default();
    params.store(&controls);
    assert_eq!(format!("{controls:?}"), format!("{fresh:?}"));
}

#[test]
fn words_are_understood() {
    let p = table();
    let close = |param: &FloatParam, words: &str, plain: f32| {
        let value = typed(param, words).unwrap_or_else(|| panic!("{words:?} is not understood"));
        assert!((value - plain).abs() < 1e-3, "{words:?} is {value}, not {plain}");
    };
    for words in ["0.6", " 0,6 ", "+0.60", "60 %", ".6"] {
        close(&p.t_coarse, words, 0.6);
    }
    for words in ["-6 dB", "-6", "−6.0db", " -6,0 DB ", "-6 dBFS"] {
        close(&p.dry, words, util::db_to_gain(-6.0));
    }
    for words in ["-inf dB", "off", "None", "−∞", "mute", "-200"] {
        close(&p.wet, words, 0.0);
    }
    close(&p.wet, "0", 1.0);
    close(&p.wet, "+400 dB", util::db_to_gain(6.0));
    for words in ["2", "2 s", "2sec", "2.0 SECONDS", "2000 ms", "2 secs"] {
        close(&p.prompt, words, 2.0);
        close(&p.length, words, 2.0);
        close(&p.duet_pause, words, 2.0);
    }
    close(&p.length, "0.5 min", 30.0);
}

#[test]
fn what_can_be_off_or_endless_says_so() {
    let p = table();
    for words in ["∞", "inf", "Infinity", "none", "off", "endless"] {
        assert_eq!(typed(&p.length, words), Some(60.0), "{words}");
    }
    for (words, step) in [("Seconds", 0), ("off", 0), ("none", 0), ("1 bar", 1), ("2 bars", 2), ("4", 3), ("8BARS", 4)]
    {
        assert_eq!(typed(&p.prompt_bars, words), Some(step), "{words}");
    }
    for (words, seed) in [("new", 0), ("Off", 0), ("none", 0), ("42", 42), ("#42", 42), ("42.0", 42), ("99999", 9999)] {
        assert_eq!(typed(&p.seed, words), Some(seed), "{words}");
    }
    for (words, percent) in [("off", 0), ("0", 0), ("25", 25), ("30 %", 30), ("50%", 50)] {
        assert_eq!(typed(&p.ahead, words), Some(percent), "{words}");
    }
    for (words, takes) in [("4", 4), ("4 takes", 4), ("1 take", 1), ("x3", 3), ("off", 1), ("20", 8)] {
        assert_eq!(typed(&p.variations, words), Some(takes), "{words}");
    }
    let notes =
        [("off", -1), ("None", -1), ("60", 60), ("C4", 60), ("60 (C4)", 60), ("c#3", 49), ("Db3", 49), ("C♯3", 49)];
    for (words, key) in notes {
        assert_eq!(typed(&p.trigger_note, words), Some(key), "{words}");
    }
    for (words, on) in [("on", true), ("Off", false), ("none", false), ("yes", true), ("1", true), (" FALSE ", false)] {
        assert_eq!(typed(&p.duet, words), Some(on), "{words}");
    }
    assert_eq!(typed(&p.start, " Next bar "), Some(Start::NextBar));
}

#[test]
fn nonsense_is_not_understood() {
    let p = table();
    for row in p.table() {
        for words in ["", "loud", "NaN", "12 monkeys", "∞∞", "- 6 -", "1e999", "ሳC4"] {
            assert_eq!(row.param.value(words), None, "{} takes {words:?}", row.id);
        }
    }
    assert_eq!(typed(&p.trigger_note, "300"), None);
    assert_eq!(typed(&p.prompt_bars, "3 bars"), None);
    assert_eq!(typed(&p.dry, "inf"), None);
}

#[test]
fn the_top_of_the_length_has_no_end() {
    let p = table();
    assert_eq!(Param::normalized_value_to_string(&p.length, 1.0, true), "∞");
    assert!(typed(&p.length, "60").is_some_and(|v| v < ENDLESS_FROM));
    assert_eq!(Param::normalized_value_to_string(&p.length, p.length.preview_normalized(SIXTY), true), "60.0 s");
}

proptest! {
    /// Every parameter: what is shown can be typed, as it is and carelessly, and is shown again.
    #[test]
    fn every_value_goes_to_text_and_back(normalized in 0.0f32..=1.0, spaces in " {0,3}") {
        let p = table();
        for row in p.table() {
            let shown = row.param.text(normalized);
            let again = |words: &str| row.param.value(words).map(|value| row.param.text(value));
            prop_assert_eq!(again(&shown), Some(shown.clone()), "{}", row.id);
            prop_assert_eq!(again(&format!("{spaces}{shown}{spaces}")), Some(shown.clone()), "{}", row.id);
            // The framework wants the names of choices as they are.
            if !["mode", "start"].contains(&row.id) {
                prop_assert_eq!(again(&shown.to_uppercase()), Some(shown.clone()), "{}", row.id);
                prop_assert_eq!(again(&shown.replacen('.', ",", 1)), Some(shown.clone()), "{}", row.id);
                prop_assert_eq!(again(&shown.replace(' ', "")), Some(shown.clone()), "{}", row.id);
            }
        }
    }

    /// Whatever is typed is a value in range or none at all.
    #[test]
    fn any_text_is_a_value_in_range_or_none(words in "\\PC{0,12}") {
        for row in table().table() {
            if let Some(value) = row.param.value(&words) {
                prop_assert!((0.0..=1.0).contains(&value), "{}: {:?} is {}", row.id, words, value);
            }
        }
    }
}
