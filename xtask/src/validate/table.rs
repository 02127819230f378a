//! The table of promises: what is promised, and the function that tries to break it. The command, the report, the page
//! `docs/promises.md` and the seeded defects all read it.

use super::Setting;
use super::checks::{audio, bounce, lifecycle, params, realtime, state, stress, threads, transport};
use super::plug::Format::{self, Clap, Vst3};
use crate::error::Result;

/// One promise and its check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Short name, for `--only`.
    pub id: &'static str,
    /// What holds.
    pub promise: &'static str,
    /// In which formats it is tried.
    pub formats: &'static [Format],
    /// When it runs.
    pub when: When,
    /// What the plugin finds around it.
    pub finds: Finds,
    /// Seconds after which the check is ended as timed out; four times as many in a full run.
    pub limit: u64,
    /// Tries it; a figure in words.
    pub run: fn(&Setting) -> Result<String>,
}

/// When a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In the quick run of `cargo xtask test` too.
    Always,
    /// In a full run.
    Full,
    /// With `--long`.
    Long,
}

/// What the plugin finds around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finds {
    /// Neither a runtime nor a pack.
    Nothing,
    /// The runtime and the test pack of random weights: every graph, no music, quick.
    TestPack,
    /// The same, and an X server.
    Window,
}

const BOTH: &[Format] = &[Clap, Vst3];

const fn check(
    id: &'static str,
    promise: &'static str,
    when: When,
    finds: Finds,
    limit: u64,
    run: fn(&Setting) -> Result<String>,
) -> Check {
    Check { id, promise, formats: BOTH, when, finds, limit, run }
}

use Finds::{Nothing, TestPack, Window};
use When::{Always, Full, Long};

/// Every check, in the order in which they run.
pub const CHECKS: &[Check] = &[
    check(
        "scan",
        "Scanning, making and closing it loads no runtime and leaves no thread",
        Always,
        TestPack,
        20,
        lifecycle::scan,
    ),
    check(
        "nothing-there",
        "Without a runtime or a pack it loads, passes audio bit for bit, saves",
        Always,
        Nothing,
        20,
        lifecycle::nothing_there,
    ),
    check(
        "orders",
        "Every legal order of activating, starting, processing, resetting, loading and ending works",
        Always,
        TestPack,
        60,
        lifecycle::orders,
    ),
    check(
        "instances",
        "A thousand instances, one after the other, leave no thread and no memory behind",
        Always,
        TestPack,
        60,
        lifecycle::thousand,
    ),
    check("unactivated", "Processing without activation does not crash", Always, TestPack, 20, lifecycle::unactivated),
    check(
        "closing",
        "Closing in the middle of loading, prefill, generation or decoding is clean",
        Always,
        TestPack,
        60,
        lifecycle::destroy_while,
    ),
    check(
        "rates",
        "At every rate from 8 to 768 kHz audio passes and a prompt is continued",
        Always,
        TestPack,
        60,
        audio::rates,
    ),
    check(
        "blocks",
        "At every block size from 1 to 16384, changing too, nothing is lost and a take sounds the same",
        Always,
        TestPack,
        60,
        audio::blocks,
    ),
    check(
        "zero-length",
        "Blocks of no frames do no harm, and their events count",
        Always,
        TestPack,
        20,
        audio::zero_length,
    ),
    check(
        "in-place",
        "The same buffers for input and output give what separate ones give",
        Always,
        TestPack,
        20,
        audio::in_place,
    ),
    check("mono", "Mono passes and is continued, and so is stereo after it", Always, TestPack, 20, audio::mono),
    check("constant", "Input announced as constant or silent is what it is", Always, TestPack, 20, audio::constant),
    check("denormals", "Numbers too small to be normal do no harm", Always, TestPack, 20, audio::denormals),
    check(
        "not-a-number",
        "NaN and infinity never come out, nor into a prompt",
        Always,
        TestPack,
        20,
        audio::not_a_number,
    ),
    check("reset", "Reset silences what plays at once", Always, TestPack, 20, audio::reset),
    check("texts", "Every parameter understands its own text, and no nonsense", Always, TestPack, 20, params::texts),
    check(
        "parameter-fuzz",
        "Parameters moved at random, out of range too, stay in range and break nothing",
        Always,
        TestPack,
        60,
        params::fuzz,
    ),
    check(
        "exact",
        "Automation and notes take effect on their frame, wherever blocks are cut",
        Always,
        TestPack,
        40,
        params::exact,
    ),
    check(
        "threads",
        "The host may move parameters, read, show and save from its threads at once",
        Always,
        TestPack,
        30,
        threads::parameters,
    ),
    check(
        "sixteen",
        "Sixteen instances on sixteen threads continue at once and do not disturb each other",
        Always,
        TestPack,
        60,
        threads::sixteen,
    ),
    check(
        "round-trip",
        "State comes back byte for byte, with parameters and takes, through any stream",
        Always,
        TestPack,
        30,
        state::round_trip,
    ),
    check(
        "damage",
        "A damaged, random, huge or later state changes nothing and loses no take",
        Always,
        TestPack,
        60,
        state::damage,
    ),
    check(
        "never-waits",
        "Saving, loading and activating never wait for a model",
        Always,
        TestPack,
        30,
        state::never_waits,
    ),
    check(
        "transport",
        "A playhead of impossible tempo, meter and position breaks nothing",
        Always,
        TestPack,
        60,
        transport::fuzz,
    ),
    check(
        "syscalls",
        "The audio thread makes no system call and touches no missing memory in any state",
        Always,
        TestPack,
        40,
        realtime::syscalls,
    ),
    check("bounce", "An offline render nulls against real time to −120 dB", Always, TestPack, 40, bounce::continuation),
    check(
        "complete",
        "A bounce waits for what is still to be generated, and has no hole",
        Always,
        TestPack,
        40,
        bounce::complete,
    ),
    check(
        "editor",
        "The editor opens, resizes and closes 200 times under a playing plugin",
        Always,
        Window,
        60,
        editor,
    ),
    check(
        "eight",
        "Eight instances continue at once in one audio thread at 64 frames without a dropout",
        Long,
        TestPack,
        120,
        stress::eight,
    ),
    check("soak", "Eight hours of use leave memory where it was", Long, TestPack, 3600, stress::soak),
];

// Kept so that a check that is too slow for every run has a place to go.
const _: When = Full;

#[cfg(all(unix, not(target_os = "macos")))]
fn editor(setting: &Setting) -> Result<String> {
    super::checks::editor::reopen(setting)
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
fn editor(_: &Setting) -> Result<String> {
    Ok("not looked at: only X11 is opened here".into())
}

/// The check of this name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|c| c.id == id)
}

/// Promises that another test holds, and its name: what a host cannot see from outside.
pub const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "No allocation in the audio thread's path, in any state",
        "engine/tests/realtime.rs",
        "no_allocation_in_any_state",
    ),
    ("An allocation in `process` ends the test build", "xtask/src/bundle.rs", "strict_clap"),
    (
        "A missing or broken runtime, pack or graph is named, and can be mended without a restart",
        "engine/tests/faults.rs",
        "every_missing_piece_is_named_and_can_be_put_there_later",
    ),
    (
        "A file of a pack that is missing, cut, flipped, swapped, a link or a pipe is refused by name",
        "engine/tests/broken_packs.rs",
        "each_file_missing_cut_flipped_or_swapped_is_named",
    ),
    (
        "A pack cannot have a file outside its folder read, nor a custom operator loaded",
        "engine/tests/broken_packs.rs",
        "data_outside_the_graph_s_file_is_refused_before_the_runtime_sees_it",
    ),
    (
        "Numbers of a manifest that are not the graph's are refused, and sizes beyond reason",
        "engine/tests/broken_packs.rs",
        "numbers_that_are_not_the_graph_s_are_refused",
    ),
    (
        "A pack in one file cannot write outside its folder, nor more than it promises, and is installed whole or not at all",
        "engine/src/pack/archive_tests.rs",
        "an_archive_writes_nothing_but_what_its_manifest_names",
    ),
    (
        "Closing in the middle of an export leaves a whole file or none",
        "engine/src/worker/tests/takes.rs",
        "closing_in_the_middle_of_an_export_leaves_a_whole_file_or_none",
    ),
    (
        "A graph that returns NaN is an error, and not a sound",
        "engine/tests/broken_packs.rs",
        "a_graph_that_returns_nan_is_an_error_and_not_a_sound",
    ),
    (
        "A graph that fails in the middle of a take is told, what was made is kept, and the next attempt works",
        "engine/src/worker/tests.rs",
        "a_failure_is_told_and_the_next_attempt_works",
    ),
    (
        "Without memory for a pack or room on the disk it says so, loses nothing, and goes on",
        "engine/tests/limits.rs",
        "without_memory_or_disk_it_says_so_and_goes_on",
    ),
    (
        "A worker that is away for longer than the ring is long loses no take and no count of frames",
        "engine/src/worker/tests.rs",
        "a_worker_that_is_away_for_twelve_seconds_loses_no_take_and_does_not_lose_count",
    ),
    (
        "A machine that becomes too slow in the middle of a take makes one pause, and nothing is left out",
        "engine/src/worker/tests.rs",
        "a_machine_that_becomes_too_slow_pauses_once_and_leaves_nothing_out",
    ),
    (
        "In every order of the audio thread's steps and the worker's (loom), what is heard is what is due",
        "engine/src/interleavings.rs",
        "whatever_is_heard_is_what_is_due_at_its_frame",
    ),
    ("Random bytes as a project change nothing", "plugin/src/state/tests.rs", "random_bytes_change_nothing"),
    ("Random manifests never panic", "engine/src/pack/tests.rs", "random_manifests_never_panic"),
    ("PyTorch and ONNX Runtime agree", "training/tests/test_stage_graph.py", "def test_"),
    ("The editor draws in a real window", "xtask/tests/clap.rs", "the_editor_draws_in_a_window"),
    ("The VST3 plays in a JUCE host", "xtask/python/vst3_check.py", "no continuation was heard"),
];
