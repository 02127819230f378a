//! What the figures were taken on.

/// Processor, cores, system.
pub(super) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).and_then(|l| l.split(':').nth(1));
    let model = model.map_or(std::env::consts::ARCH, str::trim);
    format!("{model}, {cores} cores, {}", std::env::consts::OS)
}

/// Bytes that one thread reads from memory in a second, at best of several tries over more than any cache holds.
pub(super) fn bytes_per_second() -> f64 {
    const WORDS: usize = 1 << 26;
    let words: Vec<u64> = (0..WORDS as u64).collect();
    let seconds = (0..5).map(|_| {
        let begin = std::time::Instant::now();
        // Eight sums at once: one would wait for itself.
        let mut sums = [0_u64; 8];
        for chunk in words.chunks_exact(8) {
            for (sum, word) in sums.iter_mut().zip(chunk) {
                *sum = sum.wrapping_add(*word);
            }
        }
        std::hint::black_box(sums);
        begin.elapsed().as_secs_f64()
    });
    (WORDS * 8) as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// The program finds a processor without AMX: the kernel refuses it the permission, as an older one would (ONNX Runtime
/// has no switch of its own).
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn without_amx(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    const ARCH_REQ_XCOMP_PERM: u32 = 0x1023;
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless = |k: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |k: u32| statement(libc::BPF_RET | libc::BPF_K, k);
    // Of `seccomp_data`: the call's number at 0, its first argument at 16.
    let mut filter = [
        load(0),
        unless(libc::SYS_arch_prctl as u32, 3),
        load(16),
        unless(ARCH_REQ_XCOMP_PERM, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program is readable for the calls, which touch nothing else.
        let set = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
}

/// Memory of this process in MB, where the system tells.
pub(super) fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e6)
}
