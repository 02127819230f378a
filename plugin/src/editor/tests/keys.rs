//! The card of keys (and with it the README's list) says what the keys do: all of them, and nothing else.

use super::*;
use crate::editor::help::KEYS;
use egui::Key as K;

/// The keys that a line of the card names, and whether Ctrl goes with them.
fn named(line: &str) -> Vec<(K, bool)> {
    let plain = |keys: &[K]| keys.iter().map(|key| (*key, false)).collect();
    match line {
        "C  or  Enter" => plain(&[K::C, K::Enter]),
        "Esc" => plain(&[K::Escape]),
        "←  →" => plain(&[K::ArrowLeft, K::ArrowRight]),
        "1 – 5" => plain(&[K::Num1, K::Num2, K::Num3, K::Num4, K::Num5]),
        ",  ." => plain(&[K::Comma, K::Period]),
        // Backspace too, for keyboards without the other.
        "Del" => plain(&[K::Delete, K::Backspace]),
        "Ctrl Z" => vec![(K::Z, true)],
        "Ctrl Y" => vec![(K::Y, true)],
        "Ctrl C" => vec![(K::C, true)],
        // On some keyboards + is Shift and =.
        "Ctrl +  Ctrl −" => vec![(K::Plus, true), (K::Equals, true), (K::Minus, true)],
        // Comes as text, on whichever key it is.
        "?" => vec![],
        name => plain(&[K::from_name(name).unwrap_or_else(|| panic!("{name:?} is no key"))]),
    }
}

/// Whether a key does anything where it could.
fn acts(key: K, ctrl: bool) -> bool {
    let middle = Status { selected: Some(TakeId(8)), undo: Some("x".into()), redo: Some("x".into()), ..with_takes() };
    [middle, generating(Some(16.0))].into_iter().any(|status| {
        let mut bench = Bench::new(status, SIZE, 1.0);
        bench.desk.preferences.scale = 150;
        bench.desk.pair = Some((TakeId(8), TakeId(7)));
        bench.frame(vec![]);
        let modifiers = if ctrl { Modifiers { ctrl: true, command: true, ..Modifiers::NONE } } else { Modifiers::NONE };
        let event = match (key, ctrl) {
            // As the window sends it.
            (K::C, true) => Event::Copy,
            _ => Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers },
        };
        let (acts, _) = bench.frame(vec![event]);
        !acts.is_empty() || bench.desk.occupied() || bench.desk.toast.is_some()
    })
}

#[test]
fn every_key_on_the_card_does_something_and_every_key_that_does_is_on_the_card() {
    let card: Vec<(K, bool)> = KEYS.iter().flat_map(|(line, _)| named(line)).collect();
    for (key, ctrl) in &card {
        assert!(acts(*key, *ctrl), "{key:?} (Ctrl: {ctrl}) is on the card and does nothing");
    }
    for key in K::ALL {
        for ctrl in [false, true] {
            assert!(!acts(*key, ctrl) || card.contains(&(*key, ctrl)), "{key:?} (Ctrl: {ctrl}) is not on the card");
        }
    }
}

#[test]
fn the_host_leaves_every_key_on_the_card_to_the_window() {
    use nice_plug_egui::{Key, KeyCapture};
    let (status, controls) =
        (Status { undo: Some("x".into()), ..with_takes() }, Bench::new(with_takes(), SIZE, 1.0).controls);
    let view = View {
        status: &status,
        controls: &controls,
        input_peak: 0.0,
        position: None,
        prompt_position: None,
        underruns: 0,
        prompt_seconds: 4.0,
        length_seconds: None,
        duet_pause: 1.5,
    };
    let KeyCapture::CaptureKeys(captured) = super::super::shortcuts::captured(&view, false) else {
        panic!("not every key is wanted while nothing is typed")
    };
    let characters: Vec<String> = captured
        .iter()
        .filter_map(|key| if let Key::Character(c) = key { Some(c.to_lowercase()) } else { None })
        .collect();
    for (line, what) in KEYS {
        let alone = line.split_whitespace().filter(|key| key.chars().count() == 1 && !line.contains("Ctrl"));
        for key in alone.filter(|key| !"←→–".contains(*key)) {
            assert!(characters.contains(&key.to_lowercase()), "{key} ({what}) goes to the host");
        }
    }
}
