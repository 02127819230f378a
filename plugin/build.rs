//! How the plugin's library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The editor's X11 thread (baseview 0.4.2) is not always joined when its window closes: it asks the thread to end, then
    // waits for an answer that a thread which has ended no longer gives, and returns. A host that unloads the library right
    // then takes the code away under that thread. So the library stays where it is until the process ends.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
