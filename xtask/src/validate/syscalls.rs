//! System calls and page faults of the audio thread, counted by the kernel: Linux's syscall user dispatch makes every
//! system call on an armed thread raise SIGSYS while a byte in memory says "block", which it does only inside
//! [`watched`]. Nothing is sampled and nothing is guessed: a lock that is contended, an allocation that asks the kernel
//! for memory, a log line, a sleep are each seen the first time they happen in a block.

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Blocks of audio with a system call in them.
    pub calls: u64,
    /// The first one, with where it came from.
    pub first: Option<String>,
    /// Calls of `process`.
    pub blocks: u64,
    /// Page faults that had to read from a disk.
    pub major_faults: u64,
    /// Page faults that did not.
    pub minor_faults: u64,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use linux::{arm, forget_faults, seen, watched};

/// Runs one call of `process`.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn watched<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux {
    use super::Seen;
    use crate::error::{Error, Result};
    use std::cell::Cell;
    use std::ffi::{CStr, c_void};
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize};

    const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
    const PR_SYS_DISPATCH_ON: usize = 1;
    const ALLOW: u8 = 0;
    const BLOCK: u8 = 1;
    const FRAMES: usize = 24;

    /// Read by the kernel at every system call of the armed thread.
    static SELECTOR: AtomicU8 = AtomicU8::new(ALLOW);
    static CALLS: AtomicU64 = AtomicU64::new(0);
    static FIRST: AtomicI64 = AtomicI64::new(-1);
    static TRACE: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];
    static BLOCKS: AtomicU64 = AtomicU64::new(0);
    static MAJOR: AtomicU64 = AtomicU64::new(0);
    static MINOR: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        static ARMED: Cell<bool> = const { Cell::new(false) };
    }

    unsafe extern "C" {
        fn backtrace(buffer: *mut *mut c_void, size: i32) -> i32;
    }

    /// Watches this thread from now on; one thread in a process.
    pub fn arm() -> Result<()> {
        let failed = |what: &str| Error::host(format!("{what}: {}", std::io::Error::last_os_error()));
        let mut trace = [std::ptr::null_mut(); FRAMES];
        // SAFETY: the buffer has the length given. The first call loads a library; the handler must not.
        unsafe { backtrace(trace.as_mut_ptr(), FRAMES as i32) };
        // SAFETY: a plain C struct, for which all zeros is a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler has the signature SA_SIGINFO asks for.
        if unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(failed("sigaction"));
        }
        // SAFETY: the selector is static, so the kernel may read it for ever.
        let armed = unsafe {
            libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0_usize, 0_usize, SELECTOR.as_ptr())
        };
        if armed != 0 {
            return Err(failed("this kernel has no syscall user dispatch (Linux 5.11)"));
        }
        ARMED.set(true);
        for counter in [&CALLS, &BLOCKS, &MAJOR, &MINOR] {
            counter.store(0, SeqCst);
        }
        Ok(())
    }

    fn faults() -> (i64, i64) {
        // SAFETY: a plain C struct, for which all zeros is a valid value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is writable.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
        (usage.ru_majflt, usage.ru_minflt)
    }

    /// Runs one call of `process`; on an armed thread with every system call counted.
    pub fn watched<R>(f: impl FnOnce() -> R) -> R {
        if !ARMED.get() {
            return f();
        }
        let before = faults();
        SELECTOR.store(BLOCK, SeqCst);
        let result = f();
        SELECTOR.store(ALLOW, SeqCst);
        let after = faults();
        BLOCKS.fetch_add(1, SeqCst);
        MAJOR.fetch_add((after.0 - before.0).unsigned_abs(), SeqCst);
        MINOR.fetch_add((after.1 - before.1).unsigned_abs(), SeqCst);
        result
    }

    /// Page faults count from here on.
    pub fn forget_faults() {
        MAJOR.store(0, SeqCst);
        MINOR.store(0, SeqCst);
    }

    /// What has been seen since [`arm`]. Any thread.
    pub fn seen() -> Seen {
        let first = FIRST.load(SeqCst);
        Seen {
            calls: CALLS.load(SeqCst),
            first: (first >= 0).then(|| format!("{} from {}", name(first), trace())),
            blocks: BLOCKS.load(SeqCst),
            major_faults: MAJOR.load(SeqCst),
            minor_faults: MINOR.load(SeqCst),
        }
    }

    /// Counts the call and then makes it, so that the plugin goes on undisturbed; the rest of the block goes unwatched.
    unsafe extern "C" fn handler(_: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
        SELECTOR.store(ALLOW, SeqCst);
        CALLS.fetch_add(1, SeqCst);
        // SAFETY: in the kernel's layout of SIGSYS, the number follows the union's pointer at byte 24.
        let number = i64::from(unsafe { info.cast::<u8>().add(24).cast::<i32>().read() });
        if FIRST.compare_exchange(-1, number, SeqCst, SeqCst).is_ok() {
            let mut trace = [std::ptr::null_mut(); FRAMES];
            // SAFETY: the buffer has the length given; `arm` has already loaded what this needs.
            let count = unsafe { backtrace(trace.as_mut_ptr(), FRAMES as i32) };
            for (to, from) in TRACE.iter().zip(trace.iter().take(usize::try_from(count).unwrap_or(0))) {
                to.store(*from as usize, SeqCst);
            }
        }
        // SAFETY: with SA_SIGINFO the third argument is the interrupted thread's context.
        let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        let get = |r: i32| registers[r as usize];
        let (a, b, c) = (get(libc::REG_RDI), get(libc::REG_RSI), get(libc::REG_RDX));
        let (d, e, f) = (get(libc::REG_R10), get(libc::REG_R8), get(libc::REG_R9));
        let starts_a_thread = number == libc::SYS_clone || number == libc::SYS_clone3;
        let result = if starts_a_thread {
            // Its child would come back in here, on another stack.
            -i64::from(libc::EAGAIN)
        } else {
            let result: i64;
            // SAFETY: the very call the thread was about to make, with its own arguments.
            unsafe {
                std::arch::asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
                    in("r10") d, in("r8") e, in("r9") f, out("rcx") _, out("r11") _);
            }
            result
        };
        registers[libc::REG_RAX as usize] = result;
    }

    fn name(number: i64) -> String {
        let known = [
            (libc::SYS_read, "read"),
            (libc::SYS_write, "write"),
            (libc::SYS_openat, "openat"),
            (libc::SYS_mmap, "mmap"),
            (libc::SYS_munmap, "munmap"),
            (libc::SYS_mprotect, "mprotect"),
            (libc::SYS_madvise, "madvise"),
            (libc::SYS_brk, "brk"),
            (libc::SYS_futex, "futex (a lock)"),
            (libc::SYS_sched_yield, "sched_yield"),
            (libc::SYS_nanosleep, "nanosleep"),
            (libc::SYS_clock_nanosleep, "clock_nanosleep"),
            (libc::SYS_gettid, "gettid"),
            (libc::SYS_getpid, "getpid"),
            (libc::SYS_clone3, "clone3"),
        ];
        known.iter().find(|(n, _)| *n == number).map_or_else(|| format!("system call {number}"), |(_, s)| (*s).into())
    }

    /// The first call's way, innermost first, for addr2line.
    fn trace() -> String {
        let frames = TRACE.iter().map(|f| f.load(SeqCst)).take_while(|f| *f != 0).skip(2);
        let named = frames.filter_map(|address| {
            // SAFETY: a plain C struct of pointers, for which all zeros is a valid value.
            let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
            // SAFETY: `info` is writable; any address may be asked for.
            if unsafe { libc::dladdr(address as *const c_void, &raw mut info) } == 0 || info.dli_fname.is_null() {
                return None;
            }
            // SAFETY: on success a NUL-terminated path.
            let file = unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned();
            let file = file.rsplit('/').next().unwrap_or_default().to_owned();
            Some(format!("{file}+{:#x}", address - info.dli_fbase as usize))
        });
        named.take(10).collect::<Vec<_>>().join(" < ")
    }
}
