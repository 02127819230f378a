//! Two things at once. Worker thread.

use parking_lot::Mutex;

/// Does both at once; one after the other on a system that has no thread to spare.
pub(crate) fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    let one = Mutex::new(Some(one));
    let take = || one.lock().take().map(|one| one());
    std::thread::scope(|scope| {
        let lane = std::thread::Builder::new().name("segue second".into()).spawn_scoped(scope, take);
        let second = other();
        let first = match lane {
            Ok(lane) => lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => take(),
        };
        match first {
            Some(first) => (first, second),
            None => unreachable!("it is taken once"),
        }
    })
}
