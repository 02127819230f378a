//! What the operating system says of this process. Linux; elsewhere the figures are absent and checks on them hold.

/// Threads of this process.
#[must_use]
pub fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// Resident memory in MB.
#[must_use]
pub fn resident_mb() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096.0 / 1e6)
}

/// From here on all threads share one heap: each thread that comes and goes would leave one of its own behind, which is
/// no leak but looks like one.
pub fn one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets a number.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// The same without what the allocator keeps for later.
#[must_use]
pub fn used_mb() -> Option<f64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only gives unused pages back.
    unsafe {
        libc::malloc_trim(0);
    }
    resident_mb()
}

/// Whether a library whose path contains this word is loaded.
#[must_use]
pub fn has_loaded(word: &str) -> bool {
    std::fs::read_to_string("/proc/self/maps").is_ok_and(|maps| maps.contains(word))
}

/// Seconds of processor time this thread has used.
#[cfg(unix)]
#[must_use]
pub fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Not known here.
#[cfg(not(unix))]
#[must_use]
pub fn thread_seconds() -> f64 {
    0.0
}
