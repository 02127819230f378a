//! `render` as a person runs it: every format, and every way of asking for nonsense.

use segue_xtask::{audio, paths};
use std::path::Path;
use std::process::{Command, Output};

fn render(folder: &Path, prompt: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segue-xtask"));
    command.current_dir(folder).args(["render", "--out", "out/out.wav", "--json", "out/report.json", "--prompt"]);
    command.arg(prompt).args(more).output().expect("it runs")
}

fn formats() -> std::path::PathBuf {
    paths::root().join("assets/test/audio")
}

#[test]
fn nonsense_is_refused_in_one_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = formats().join("chords-32000-mono.flac");
    let (text, empty) = (folder.path().join("text.wav"), folder.path().join("empty.wav"));
    std::fs::write(&text, "this is a diary").expect("writes");
    std::fs::write(&empty, "").expect("writes");
    let missing = folder.path().join("missing.wav");
    let cases: [(&Path, &[&str]); 12] = [
        (&missing, &["--seconds", "4"]),
        (&text, &["--seconds", "4"]),
        (&empty, &["--seconds", "4"]),
        (folder.path(), &["--seconds", "4"]),
        (&good, &["--seconds", "0"]),
        (&good, &["--seconds", "NaN"]),
        (&good, &["--seconds", "-2"]),
        (&good, &["--seconds", "4", "--temperature", "NaN,0.8,0.6"]),
        (&good, &["--seconds", "4", "--temperature", "0.6"]),
        (&good, &["--seconds", "4", "--top-p", "1.5"]),
        (&good, &["--seconds", "4", "--device", "abacus"]),
        (&good, &[]),
    ];
    for (prompt, more) in cases {
        let output = render(folder.path(), prompt, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{prompt:?} {more:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{prompt:?} {more:?}: {said}");
        assert!(!folder.path().join("out").exists(), "{prompt:?} {more:?} wrote something");
    }
}

#[test]
fn every_format_at_any_rate_is_continued_at_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let pack = paths::root().join("assets/test/tiny-pack");
    let pack = pack.to_string_lossy();
    for entry in std::fs::read_dir(formats()).expect("fixtures").flatten() {
        let prompt = entry.path();
        if prompt.extension().is_some_and(|x| x == "md") {
            continue;
        }
        let output = render(folder.path(), &prompt, &["--seconds", "1.25", "--seed", "9", "--pack", &pack]);
        assert!(output.status.success(), "{}: {}", prompt.display(), String::from_utf8_lossy(&output.stderr));
        let (given, made) =
            (audio::read(&prompt).expect("reads"), audio::read(&folder.path().join("out/out.wav")).expect("reads"));
        assert_eq!((made.rate, made.planes.len()), (given.rate, given.planes.len()), "{}", prompt.display());
        assert_eq!(made.frames(), (f64::from(given.rate) * 1.25).round() as usize, "{}", prompt.display());
        let report = std::fs::read_to_string(folder.path().join("out/report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!((&report["seed"], &report["device"], &report["seconds"]), (&9.into(), &"cpu".into(), &1.25.into()));
        for key in ["ttfa_ms", "speed", "pack", "threads", "temperatures"] {
            assert!(!report[key].is_null(), "{key} is missing");
        }
        for stage in report["stages"].as_array().expect("stages") {
            let books = report["tokens"][stage["id"].as_str().expect("an id")].as_array().expect("tokens");
            assert!(books.iter().all(|b| b.as_array().map(Vec::len) == stage["steps"].as_u64().map(|n| n as usize)));
        }
    }
}
