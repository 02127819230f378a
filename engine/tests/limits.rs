//! A machine at its limits: no memory for a pack, no room on the disk. One test, because limits are the process's.
#![cfg(target_os = "linux")]

mod common;

use common::{chords, runtime, shipped_pack, tiny_pack};
use segue_engine::command::{Command, ExportContent, ExportFormat, ExportRequest};
use segue_engine::models::{LoadRequest, Models};
use segue_engine::status::{Activity, Status};
use segue_engine::transport::Transport;
use segue_engine::worker::{Activation, Engine, EngineConfig};
use std::time::{Duration, Instant};

/// Sets the soft limit of a resource for as long as it lives.
struct Limit(libc::__rlimit_resource_t, libc::rlimit);

impl Limit {
    fn new(resource: libc::__rlimit_resource_t, most: u64) -> Self {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both are readable and writable for the calls.
        unsafe {
            assert_eq!(libc::getrlimit(resource, &raw mut before), 0);
            assert_eq!(libc::setrlimit(resource, &libc::rlimit { rlim_cur: most, ..before }), 0);
        }
        Self(resource, before)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // SAFETY: readable for the call.
        unsafe { libc::setrlimit(self.0, &raw const self.1) };
    }
}

/// Bytes of address space in use.
fn address_space() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 4096
}

fn wait(engine: &Engine, what: &str, until: impl Fn(&Status) -> bool) -> Status {
    let began = Instant::now();
    loop {
        let status = engine.status().lock().clone();
        if until(&status) {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: {:?} {:?}", status.problem, status.notice);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_memory_or_disk_it_says_so_and_goes_on() {
    // The runtime itself is loaded.
    let tiny = LoadRequest { pack: Some(tiny_pack()), runtime: runtime(), ..LoadRequest::default() };
    drop(Models::load(&tiny).unwrap());
    let shipped = LoadRequest { pack: Some(shipped_pack()), ..tiny.clone() };
    let mut refused = 0;
    for megabytes in [0, 5, 20, 60, 120, 180, 240, 300, 400, 600] {
        let error = {
            let _limit = Limit::new(libc::RLIMIT_AS, address_space() + megabytes * 1_000_000);
            Models::load(&shipped).err()
        };
        if let Some(error) = error {
            refused += 1;
            let text = format!("{error} {}", error.remedy());
            assert!(text.contains("memory"), "{megabytes} MB: {text}");
        }
    }
    assert!(refused >= 3, "{refused}");
    assert!(Models::load(&shipped).is_ok(), "and with memory it loads");

    let engine = Engine::spawn(EngineConfig { load: tiny, ..EngineConfig::default() });
    engine.controls().length_seconds.set(2.0);
    let mut ends = engine.activate(Activation { sample_rate: 48_000, offline: false });
    wait(&engine, "ready", |s| s.activity == Activity::Ready);
    let input = chords(48_000, 3.0);
    ends.push_block(&[&input[0], &input[1]]);
    ends.capture.trigger(0, Transport::default());
    ends.push_block(&[&[0.0; 480], &[0.0; 480]]);
    let take = wait(&engine, "a take", |s| s.takes.len() == 1 && s.generating.is_none()).takes[0].id;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("take.wav");
    let export = || {
        let request = ExportRequest {
            path: path.clone(),
            format: ExportFormat::Float32,
            content: ExportContent::PromptAndContinuation,
        };
        engine.commands().try_send(Command::Export(take, request)).unwrap();
    };
    {
        // A file that grows beyond the limit is a signal by default, as no full disk is.
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        let _full = Limit::new(libc::RLIMIT_FSIZE, 100_000);
        export();
        let status = wait(&engine, "told", |s| s.problem.is_some());
        let problem = status.problem.unwrap();
        assert!(problem.what.contains("take.wav") && problem.remedy.contains("disk"), "{problem:?}");
        assert_eq!(status.takes.len(), 1, "the take stays");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and nothing half-written");
    }
    export();
    wait(&engine, "exported", |s| s.exported.contains(&path));
    assert!(hound::WavReader::open(&path).unwrap().duration() > 48_000);
}
