//! The built CLAP in a host, one process for each check (see `segue_xtask::check`). `cargo xtask test` builds the plugin
//! so that an allocating `process` aborts, starts a display, and runs these.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Performances are paced by the clock: two at once would disturb each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn clap() -> &'static PathBuf {
    static CLAP: OnceLock<PathBuf> = OnceLock::new();
    CLAP.get_or_init(|| match std::env::var_os("SEGUE_TEST_CLAP") {
        Some(path) => path.into(),
        None => segue_xtask::bundle::strict_clap().expect("the plugin builds"),
    })
}

fn check(case: &str, more: &[(&str, &str)]) {
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut host = Command::new(env!("CARGO_BIN_EXE_segue-xtask"));
    host.args(["host-check", case, "--clap"]).arg(clap());
    if let Some(shots) = std::env::var_os("SEGUE_TEST_SHOTS") {
        host.arg("--shots").arg(shots);
    }
    if std::env::var_os("SEGUE_RUNTIME").is_none() {
        host.env("SEGUE_RUNTIME", segue_xtask::runtime::cpu().expect("the runtime"));
    }
    if std::env::var_os("SEGUE_PACKS").is_none() {
        host.env("SEGUE_PACKS", segue_xtask::paths::packs());
    }
    let output = host.envs(more.iter().copied()).output().expect("the host runs");
    drop(alone);
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{case}: {said}");
    assert!(output.status.success(), "{case} {more:?}: {}\n{complained}", output.status);
}

const NOWHERE: &str = "/nowhere/at/all";

#[test]
fn without_a_runtime_it_passes_audio() {
    check("bare", &[("SEGUE_RUNTIME", NOWHERE)]);
}

#[test]
fn without_a_pack_it_passes_audio() {
    check("bare", &[("SEGUE_PACKS", NOWHERE)]);
}

#[test]
fn with_a_damaged_pack_it_passes_audio() {
    let packs = tempfile::tempdir().expect("a folder");
    let pack = packs.path().join("damaged");
    std::fs::create_dir(&pack).expect("a folder");
    std::fs::write(pack.join("manifest.toml"), "format = 1\nname = \"damaged\"\n").expect("writes");
    check("bare", &[("SEGUE_PACKS", &packs.path().to_string_lossy())]);
}

#[test]
fn with_one_changed_byte_in_a_graph_it_passes_audio() {
    let packs = tempfile::tempdir().expect("a folder");
    segue_xtask::bundle::copy_folder(&segue_xtask::paths::packs(), packs.path()).expect("copies");
    let mut changed = 0;
    for pack in std::fs::read_dir(packs.path()).expect("packs").flatten() {
        for file in std::fs::read_dir(pack.path()).into_iter().flatten().flatten().map(|f| f.path()) {
            if file.extension().is_some_and(|x| x == "onnx") {
                let mut bytes = std::fs::read(&file).expect("reads");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&file, bytes).expect("writes");
                changed += 1;
            }
        }
    }
    assert!(changed > 0, "assets/packs holds no pack");
    check("bare", &[("SEGUE_PACKS", &packs.path().to_string_lossy())]);
}

#[test]
fn audio_comes_through_at_any_block_size_and_rate() {
    check("blocks", &[]);
}

#[test]
fn it_continues() {
    check("plays", &[]);
}

#[test]
fn the_seed_decides() {
    check("seeds", &[]);
}

/// A pack that makes noise at once: where samples belong does not depend on what they are.
fn tiny() -> String {
    segue_xtask::paths::root().join("assets/test/tiny-pack").to_string_lossy().into_owned()
}

#[test]
fn it_comes_in_on_the_bar_line_and_where_it_belongs_to_the_sample() {
    check("aligns", &[("SEGUE_PACKS", &tiny())]);
}

#[test]
fn bars_follow_the_meter_while_parameters_are_automated() {
    check("meters", &[("SEGUE_PACKS", &tiny())]);
}

#[test]
fn a_reopened_project_plays_the_same() {
    check("state", &[]);
}

#[test]
fn a_project_of_the_clap_is_the_same_in_the_vst3_and_the_other_way_round() {
    check("formats", &[]);
}

#[test]
fn a_hundred_takes_are_small_and_whole() {
    check("hundred", &[]);
}

#[test]
fn garbage_for_a_state_changes_nothing() {
    check("garbage", &[]);
}

#[test]
fn closing_it_while_it_generates_is_clean() {
    check("leaves", &[]);
}

/// Needs an X server: `cargo xtask test` starts one.
#[test]
fn the_editor_draws_in_a_window() {
    if std::env::var_os("DISPLAY").is_none_or(|d| d.is_empty()) && std::env::var_os("CI").is_none() {
        println!("no DISPLAY: not looked at");
        return;
    }
    check("window", &[]);
}
