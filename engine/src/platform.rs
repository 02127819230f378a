//! Everything that differs between Linux, Windows and macOS: where this binary lies, what libraries are called,
//! where a user's things are kept.

use std::path::{Path, PathBuf};

/// File name of the ONNX Runtime library on this platform.
pub const RUNTIME_LIBRARY: &str = if cfg!(target_os = "windows") {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// Name of the folder beside a plugin binary that holds its runtime and packs.
pub const RESOURCES: &str = "Segue.resources";

/// The folder that holds the binary this code is linked into: the plugin, not the host.
#[must_use]
pub fn binary_folder() -> Option<PathBuf> {
    let file = this_binary()?;
    Some(std::fs::canonicalize(file).ok()?.parent()?.to_path_buf())
}

#[cfg(unix)]
fn this_binary() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: Dl_info is a plain C struct of pointers and integers, for which all zeros is a valid value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address lies in this binary and `info` is a valid, writable Dl_info.
    let found = unsafe { libc::dladdr(this_binary as *const libc::c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: on success dladdr sets dli_fname to a NUL-terminated path that lives as long as the binary is loaded.
    let name = unsafe { std::ffi::CStr::from_ptr(info.dli_fname) };
    Some(Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_path_buf())
}

/// Gives free memory back to the system, as far as the allocator can be asked to. glibc keeps what threads have freed, a
/// generation's tens of megabytes in every instance. Takes milliseconds, in which whoever allocates waits: for a thread that
/// rests.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time by any thread; it touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Reads a byte of every page of this binary, once per process: what the audio thread runs for the first time late in a session
/// is not to be fetched from a disk then. Elsewhere than on Linux the system is left to it. Main thread: it waits for
/// the disk instead.
pub(crate) fn bring_into_memory() {
    #[cfg(target_os = "linux")]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        // SAFETY: the callback has the signature that is asked for, and neither keeps what it is given nor panics.
        ONCE.call_once(|| unsafe {
            libc::dl_iterate_phdr(Some(touch_if_ours), std::ptr::null_mut());
        });
    }
}

/// Reads the pages of a loaded object if this function is part of it; 1 ends the search.
#[cfg(target_os = "linux")]
unsafe extern "C" fn touch_if_ours(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    const PAGE: usize = 4096;
    // SAFETY: the system hands over an object that is valid during the call, with as many headers as it says.
    let (base, headers) = unsafe {
        let object = &*object;
        (object.dlpi_addr as usize, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
    };
    let segments = || {
        let readable = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_R != 0);
        readable.map(|h| {
            // A segment may begin within a page, and what is mapped begins with it.
            let from = base + h.p_vaddr as usize;
            from / PAGE * PAGE..from + h.p_filesz as usize
        })
    };
    if !segments().any(|segment| segment.contains(&(bring_into_memory as *const () as usize))) {
        return 0;
    }
    for address in segments().flat_map(|segment| segment.step_by(PAGE)) {
        // SAFETY: the address lies in a readable segment of the object that runs this very code.
        unsafe { std::ptr::read_volatile(address as *const u8) };
    }
    1
}

#[cfg(windows)]
fn this_binary() -> Option<PathBuf> {
    use std::os::windows::ffi::OsStringExt;
    unsafe extern "system" {
        fn GetModuleHandleExW(flags: u32, name: *const u16, module: *mut *mut std::ffi::c_void) -> i32;
        fn GetModuleFileNameW(module: *mut std::ffi::c_void, name: *mut u16, size: u32) -> u32;
    }
    const FROM_ADDRESS: u32 = 4;
    const UNCHANGED_REFCOUNT: u32 = 2;
    let mut module = std::ptr::null_mut();
    // SAFETY: with FROM_ADDRESS the name is any address inside the module; `module` is writable.
    let found =
        unsafe { GetModuleHandleExW(FROM_ADDRESS | UNCHANGED_REFCOUNT, this_binary as *const u16, &raw mut module) };
    if found == 0 {
        return None;
    }
    let mut name = vec![0_u16; 32_768];
    // SAFETY: `module` is a handle of this process and the buffer has the length that is passed.
    let length = unsafe { GetModuleFileNameW(module, name.as_mut_ptr(), name.len() as u32) } as usize;
    (length > 0 && length < name.len()).then(|| PathBuf::from(std::ffi::OsString::from_wide(&name[..length])))
}

/// Folders that may hold what ships with the plugin (`runtime library`, `packs/`), most specific first:
/// `Segue.resources` beside the binary, the bundle's `Resources`, the user's data folder.
#[must_use]
pub fn resource_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(beside) = binary_folder() {
        folders.push(beside.join(RESOURCES));
        if let Some(contents) = beside.parent() {
            folders.push(contents.join("Resources"));
        }
    }
    folders.extend(user_data_folder());
    folders
}

/// `~/.local/share/segue`, `%APPDATA%\segue` or `~/Library/Application Support/segue`.
#[must_use]
pub fn user_data_folder() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("segue"))
}

/// Where exported takes go unless the user chooses otherwise: `Segue` in the user's music folder, or in the home folder.
#[must_use]
pub fn export_folder() -> Option<PathBuf> {
    Some(dirs::audio_dir().or_else(dirs::home_dir)?.join("Segue"))
}

/// Where this platform's hosts look for a user's CLAP and VST3 plugins, in that order.
#[must_use]
pub fn plugin_folders() -> Option<(PathBuf, PathBuf)> {
    let (clap, vst3) = if cfg!(target_os = "windows") {
        let common = dirs::data_local_dir()?.join("Programs").join("Common");
        (common.join("CLAP"), common.join("VST3"))
    } else if cfg!(target_os = "macos") {
        let plugins = dirs::home_dir()?.join("Library/Audio/Plug-Ins");
        (plugins.join("CLAP"), plugins.join("VST3"))
    } else {
        let home = dirs::home_dir()?;
        (home.join(".clap"), home.join(".vst3"))
    };
    Some((clap, vst3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folder_of_the_running_test() {
        let expected = std::env::current_exe().unwrap().canonicalize().unwrap();
        assert_eq!(binary_folder().as_deref(), expected.parent());
    }
}
