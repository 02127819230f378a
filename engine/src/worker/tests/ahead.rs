//! The hot prompt: what is played is taken in before anybody asks.

use super::*;
use std::sync::atomic::AtomicU64;

/// The prompt that [`Host::new`] asks for.
const PROMPT: usize = 2 * PACK_RATE as usize;

/// Plays for so many seconds, ten times as fast as time, so that the worker gets its turns.
fn play(host: &mut Host, seconds: f64) {
    for _ in 0..(seconds * f64::from(host.rate) / 480.0) as usize {
        host.block(480);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Plays until a trigger would find a whole prompt.
fn play_until_hot(host: &mut Host, fake: &Fake) {
    host.until("hot", |_| fake.taken.load(Relaxed) as usize >= PROMPT);
}

#[test]
fn what_is_played_is_taken_in_before_the_trigger() {
    for rate in [PACK_RATE, 44_100] {
        let fake = Fake::default();
        let mut host = Host::new(&fake, rate, false);
        host.ready();
        play(&mut host, 4.0);
        play_until_hot(&mut host, &fake);
        let origin = host.trigger(100);
        let status = host.until("made", |s| s.takes.len() == 1 && s.generating.is_none());
        assert_eq!((status.problem, status.notice), (None, None));
        let caught = fake.caught.lock().clone();
        let [(taken, rest)] = caught[..] else { panic!("{caught:?}") };
        assert!(rest <= PROMPT / 2, "{rest} of {taken} were left");
        // As long as asked for or somewhat longer, and to the sample where the trigger was.
        assert!((PROMPT - 1..PROMPT * 3).contains(&(taken + rest)), "{taken} and {rest}");
        if rate == PACK_RATE {
            play(&mut host, 0.5);
            let first = host.first(0);
            assert!(first >= origin);
            assert_eq!(host.out[first + 2_000], note(first + 2_000 - origin), "in time");
        }
    }
}

#[test]
fn a_prompt_that_goes_on_is_replaced_by_a_shorter_one() {
    let fake = Fake::default();
    let mut host = Host::new(&fake, PACK_RATE, false);
    host.ready();
    play(&mut host, 4.0);
    host.until("the third", |_| fake.opened.load(Relaxed) >= 3);
    play_until_hot(&mut host, &fake);
    assert!((fake.taken.load(Relaxed) as usize) < 4 * PROMPT);
}

#[test]
fn what_has_become_much_louder_is_taken_in_anew() {
    static LOUD_FROM: AtomicU64 = AtomicU64::new(u64::MAX);
    let fake = Fake::default();
    let mut host = Host::new(&fake, PACK_RATE, false);
    host.input = |n| PLAY(n) * if n < LOUD_FROM.load(Relaxed) { 0.02 } else { 0.8 };
    host.ready();
    play(&mut host, 3.0);
    play_until_hot(&mut host, &fake);
    LOUD_FROM.store(host.ends.capture.clock(), Relaxed);
    // All at once: the worker has no turn to begin another.
    host.seconds(0.4);
    host.trigger(0);
    host.until("made", |s| s.takes.len() == 1 && s.generating.is_none());
    assert!(fake.caught.lock().is_empty(), "its level would be wrong");
}

#[test]
fn nothing_is_taken_in_that_is_not_wanted() {
    type Wish = (&'static str, fn(&mut Host));
    let wishes: [Wish; 5] = [
        ("switched off", |host| host.engine.controls.ahead.set(0.0)),
        ("a chosen seed is to give the same again", |host| host.engine.controls.seed.store(5, Relaxed)),
        ("the prompt is still to come", |host| host.engine.controls.record.store(true, Relaxed)),
        ("bars are cut exactly", |host| host.engine.controls.prompt_bars.store(2, Relaxed)),
        ("nothing sounds", |host| host.input = SILENCE),
    ];
    for (what, wish) in wishes {
        let fake = Fake::default();
        let mut host = Host::new(&fake, PACK_RATE, false);
        wish(&mut host);
        host.ready();
        play(&mut host, 4.0);
        assert_eq!(fake.opened.load(Relaxed), 0, "{what}");
    }
    let fake = Fake::default();
    let mut host = Host::new(&fake, PACK_RATE, true);
    host.seconds(3.0);
    host.trigger(0);
    host.until("made", |s| s.takes.len() == 1);
    assert_eq!(fake.opened.load(Relaxed), 0, "a bounce does not depend on when the worker got its turns");
}

#[test]
fn what_cannot_be_taken_in_before_is_taken_in_then() {
    let fake = Fake { deaf: true, ..Fake::default() };
    let mut host = Host::new(&fake, PACK_RATE, false);
    host.ready();
    play(&mut host, 3.0);
    let status = host.status();
    assert_eq!((status.problem, status.notice), (None, None), "nobody has asked yet");
    host.trigger(0);
    host.until("made", |s| s.takes.len() == 1 && s.generating.is_none());
    assert!(fake.caught.lock().is_empty());
}
