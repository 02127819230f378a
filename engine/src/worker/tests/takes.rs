//! What is done with takes: further, variations, close by, A/B, undo, and what a project saves.

use super::*;

fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
}

fn listening(fake: &Fake) -> Host {
    let mut host = Host::new(fake, PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    host
}

/// Runs until the newest sample is what a take of this sign has at `position` seconds or a little later.
fn until_at(host: &mut Host, sign: f32, position: f64) -> i64 {
    let begin = (position * f64::from(PACK_RATE)) as usize;
    for _ in 0..500 {
        host.block(480);
        std::thread::sleep(Duration::from_millis(2));
        let newest = host.out.len() - 1;
        if let Some(n) = (begin..begin + 24_000).find(|n| host.out[newest] == sign * note(*n)) {
            return newest as i64 - n as i64;
        }
    }
    panic!("it never got to {position} s");
}

#[test]
fn selecting_while_it_plays_goes_on_at_the_same_place_without_a_click() {
    let mut host = listening(&Fake::default());
    let (up, down) = (host.take(1, 12.0), host.take(10_001, 12.0));
    let short = host.take(10_002, 1.0);
    host.send(Command::Select(up));
    host.send(Command::Play);
    host.until("playing", |s| s.playing == Some(up));
    let first = host.first(0);
    host.seconds(1.0);
    host.send(Command::Select(down));
    host.until("the other one", |s| s.playing == Some(down));
    host.seconds(0.2);
    let now = host.out.len() - 1;
    assert_eq!(host.out[now], -note(now - first), "at the same place");
    assert_eq!(host.out[first + 20_000], note(20_000));
    // From about 0.5 to −0.5 in 25 ms.
    assert!(steepest(&host.out) < 0.004, "{}", steepest(&host.out));
    assert_eq!(host.engine.meters.underruns.load(Relaxed), 0);

    host.send(Command::Locate(6.0));
    let began = until_at(&mut host, -1.0, 6.0);
    host.seconds(0.2);
    let now = host.out.len() - 1;
    assert_eq!(host.out[now], -note((now as i64 - began) as usize), "and on from there");

    // The short one has nothing at six seconds.
    host.send(Command::Select(short));
    let status = host.until("short", |s| s.playing == Some(short));
    assert_eq!(status.selected, Some(short));
    until_at(&mut host, -1.0, 0.0);
    host.until("over", |s| s.playing.is_none());
    host.send(Command::Locate(1.0));
    host.seconds(0.1);
    assert_eq!(host.out.last(), Some(&0.0), "nothing plays, nothing is moved");
}

#[test]
fn further_follows_what_plays_without_a_gap() {
    let mut host = listening(&Fake { speed: 40.0, ..Fake::default() });
    let parent = host.take(1, 2.0);
    host.send(Command::Play);
    host.until("playing", |s| s.playing == Some(parent));
    let first = host.first(0);
    host.send(Command::Further(parent));
    let status = host.until("followed", |s| s.playing.is_some_and(|playing| playing != parent));
    let child = status.playing.expect("it plays");
    assert_eq!((status.selected, status.takes[0].id, status.takes[0].parent), (Some(child), child, Some(parent)));
    let status = host.until("over", |s| s.playing.is_none() && s.generating.is_none());
    let total = 4 * PACK_RATE as usize;
    for n in 700..total - 700 {
        assert_eq!(host.out[first + n], note(n), "sample {n}");
    }
    assert!((status.takes[0].prompt_seconds - 2.0).abs() < 1e-6 && (status.takes[0].seconds - 2.0).abs() < 1e-6);
    // On from there, with nothing playing: it is heard from its beginning.
    host.out.fill(0.0);
    host.send(Command::Further(child));
    host.until("third", |s| s.takes.len() == 3 && s.generating.is_none());
    host.until("over", |s| s.playing.is_none());
    let first = host.first(0);
    assert_eq!(host.out[first + 10_000], note(total + 10_000));
}

#[test]
fn variations_are_made_silently_one_after_another_and_cancel_ends_them() {
    let fake = Fake { speed: 30.0, ..Fake::default() };
    let mut host = listening(&fake);
    host.engine.controls.variations.store(4, Relaxed);
    host.trigger(0);
    let mut queued = 0;
    let status = host.until("four", |s| {
        queued = queued.max(s.queued);
        s.takes.len() == 4 && s.generating.is_none()
    });
    assert_eq!((queued, status.selected), (3, Some(TakeId(1))));
    let mut seeds: Vec<u64> = status.takes.iter().map(|t| t.seed).collect();
    seeds.dedup();
    assert_eq!(seeds.len(), 4);
    assert_eq!(*fake.together.lock(), [3], "all that wait for the same prompt are begun together");
    // A chosen seed is the first of a row.
    host.engine.controls.seed.store(9_997, Relaxed);
    host.send(Command::Variations(TakeId(2), 4));
    let status = host.until("eight", |s| s.takes.len() == 8 && s.generating.is_none());
    assert_eq!(status.takes[..4].iter().map(|t| t.seed).collect::<Vec<_>>(), [2, 1, 9_999, 9_998]);
    assert_eq!(*fake.together.lock(), [3, 4, 1], "three at a time is what this pack can do");
    host.send(Command::Variations(TakeId(2), 8));
    host.until("under way", |s| s.queued == 7);
    host.send(Command::Cancel);
    let status = host.until("cancelled", |s| s.queued == 0 && s.generating.is_none());
    assert!(status.takes.len() <= 9);
    let steps = fake.steps.load(Relaxed);
    host.seconds(0.5);
    assert_eq!(fake.steps.load(Relaxed), steps, "nothing more is made");
}

#[test]
fn continuations_are_told_the_tempo_of_the_song_that_their_prompt_was_played_in() {
    let fake = Fake::default();
    let mut host = Host::new(&fake, PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    host.trigger(0);
    host.until("one in no song", |s| s.takes.len() == 1 && s.generating.is_none());
    assert!(fake.tempos.lock().drain(..).all(|tempo| tempo.is_none()));
    host.song = Some(|clock, rate| Transport::in_four(clock as f64 / f64::from(rate) * 1.5, 90.0));
    host.seconds(3.0);
    host.trigger(0);
    host.until("one in a song", |s| s.takes.len() == 2 && s.generating.is_none());
    // From that prompt again, whatever the song does now.
    host.song = Some(|clock, rate| Transport::in_four(clock as f64 / f64::from(rate), 60.0));
    host.seconds(0.2);
    host.send(Command::Variations(TakeId(2), 2));
    let status = host.until("variations", |s| s.takes.len() == 4 && s.generating.is_none());
    assert!(status.takes.iter().filter(|take| take.id != TakeId(1)).all(|take| take.tempo == Some(90.0)));
    let tempos = fake.tempos.lock().clone();
    assert!(tempos.len() >= 3 && tempos.iter().all(|tempo| *tempo == Some(90.0)), "{tempos:?}");
}

#[test]
fn variations_without_an_end_do_not_wait_for_each_other() {
    let fake = Fake { speed: 30.0, ..Fake::default() };
    let mut host = listening(&fake);
    let take = host.take(1, 1.0);
    host.engine.controls.length_seconds.set(f32::INFINITY);
    host.send(Command::Variations(take, 2));
    host.until("under way", |s| s.queued == 1 && s.generating.is_some());
    host.send(Command::Cancel);
    host.until("cancelled", |s| s.queued == 0 && s.generating.is_none());
    assert_eq!(*fake.together.lock(), [1]);
}

#[test]
fn a_nudge_keeps_the_seed_and_moves_one_temperature() {
    let mut host = listening(&Fake::default());
    let take = host.take(77, 1.0);
    host.engine.controls.seed.store(0, Relaxed);
    let touch = Sampling::DEFAULT.temperatures[1];
    for (delta, expected) in [(-0.2_f32, touch - 0.2), (5.0, 1.5), (-5.0, 0.0)] {
        let before = host.status().takes.len();
        host.engine.controls.temperature[0].set(0.123);
        host.send(Command::Nudge { id: take, stage: 1, delta });
        let status = host.until("nudged", |s| s.takes.len() == before + 1 && s.generating.is_none());
        let (old, new) = (&status.takes[before], &status.takes[0]);
        assert_eq!((old.id, new.seed), (take, 77));
        assert!((new.temperatures[1] - expected).abs() < 1e-6, "{:?}", new.temperatures);
        assert_eq!((new.temperatures[0], new.temperatures[2]), (old.temperatures[0], old.temperatures[2]));
    }
    host.send(Command::Nudge { id: take, stage: 3, delta: 0.1 });
    host.wait("refused", |s| s.notice.as_deref() == Some("There is no such stage."));
}

#[test]
fn what_is_done_to_takes_can_be_undone_and_done_again() {
    let mut host = listening(&Fake::default());
    let (first, second) = (host.take(1, 1.0), host.take(2, 1.0));
    let names = |s: &Status| s.takes.iter().map(|t| (t.name.clone(), t.stars)).collect::<Vec<_>>();
    host.send(Command::Rename(first, "Good".into()));
    host.send(Command::Stars(first, 9));
    host.send(Command::Delete(second));
    let status = host.wait("deleted", |s| s.takes.len() == 1);
    assert_eq!(names(&status), [("Good".to_owned(), 5)]);
    assert_eq!((status.undo.as_deref(), status.redo), (Some("delete “Take 2”"), None));
    // A new one meanwhile does not get the deleted one's number.
    let third = host.take(3, 1.0);
    assert_eq!(third, TakeId(3));
    host.send(Command::Undo);
    let status = host.wait("back", |s| s.takes.len() == 3);
    assert_eq!(status.takes.iter().map(|t| t.id).collect::<Vec<_>>(), [second, third, first]);
    assert_eq!(status.redo.as_deref(), Some("delete “Take 2”"));
    host.send(Command::Undo);
    host.send(Command::Undo);
    let status = host.wait("as it was", |s| s.undo.is_none());
    assert_eq!(names(&status)[2], ("Take 1".to_owned(), 0));
    host.wait("it is playable again", |s| s.takes.iter().all(|t| t.playable && !t.continuation.is_empty()));
    for _ in 0..3 {
        host.send(Command::Redo);
    }
    let status = host.wait("again", |s| s.redo.is_none() && s.takes.len() == 2);
    assert_eq!(names(&status)[1], ("Good".to_owned(), 5));
    host.send(Command::Undo);
    host.send(Command::Rename(third, "Else".into()));
    let status = host.wait("else", |s| s.takes.iter().any(|t| t.name == "Else"));
    assert_eq!(status.redo, None, "what comes after ends what could be done again");
    // Another project has a past of its own.
    host.engine.shelf.restore(Shelf::default());
    host.wait("empty", |s| s.takes.is_empty() && s.undo.is_none());
}

#[test]
fn a_take_in_the_making_is_saved_renamed_and_deleted_like_any_other() {
    let mut host = listening(&Fake { speed: 2.0, ..Fake::default() });
    host.engine.controls.length_seconds.set(f32::INFINITY);
    host.trigger(0);
    let status = host.until("making", |s| s.generating.is_some());
    let id = status.generating.expect("it is made");
    host.send(Command::Rename(id, "Endless".into()));
    host.send(Command::Stars(id, 3));
    let began = Instant::now();
    let saved = loop {
        let shelf = host.engine.shelf.snapshot();
        if shelf.takes.first().is_some_and(|take| take.name == "Endless" && take.stars == 3) {
            break shelf;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{shelf:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((saved.takes.len(), saved.takes[0].id, saved.selected), (1, id, Some(id)));
    assert!(saved.takes[0].seconds() > 0.1);
    host.send(Command::Delete(id));
    let status = host.wait("deleted", |s| s.takes.is_empty() && s.generating.is_none());
    assert_eq!(status.undo.as_deref(), Some("delete “Endless”"));
    assert!(host.engine.shelf.snapshot().takes.is_empty());
    host.send(Command::Undo);
    let status = host.wait("back", |s| s.takes.len() == 1);
    assert_eq!((status.takes[0].name.as_str(), status.takes[0].stars), ("Endless", 3));
}

#[test]
fn try_it_plays_the_prompt_and_goes_on_from_it() {
    let mut host = Host::new(&Fake { speed: 8.0, ..Fake::default() }, PACK_RATE, false);
    host.input = SILENCE;
    host.ready();
    host.pace();
    host.engine.controls.length_seconds.set(2.0);
    host.engine.controls.start.store(3, Relaxed);
    host.send(Command::TryIt);
    host.seconds(1.0);
    let position = host.engine.meters.prompt_position.load(Relaxed);
    assert!((10_000..24_000).contains(&position), "{position}");
    assert_eq!(host.engine.meters.position.load(Relaxed), u64::MAX);
    host.seconds(5.5);
    let at = host.out.iter().position(|s| *s == note(12_000)).expect("the continuation is heard");
    let origin = at - 12_000;
    for n in 700..47_000 {
        assert_eq!(host.out[origin + n], note(n), "sample {n}");
    }
    let rms = |range: std::ops::Range<usize>| {
        let length = range.len() as f32;
        (host.out[range].iter().map(|s| s * s).sum::<f32>() / length).sqrt()
    };
    for second in 1..4 {
        assert!(rms(origin - second * 24_000..origin - (second - 1) * 24_000) > 0.01);
    }
    assert!(rms(origin - 300..origin + 300) > 0.02, "no hole at the seam");
    assert_eq!(host.engine.meters.underruns.load(Relaxed), 0);
    let status = host.status();
    assert_eq!((status.takes.len(), status.notice, status.problem), (1, None, None));
}

#[test]
fn pictures_grow_and_are_drawn_again_from_tokens() {
    let mut host = listening(&Fake { speed: 4.0, ..Fake::default() });
    host.engine.controls.length_seconds.set(2.0);
    host.trigger(0);
    let growing = host.until("growing", |s| s.generating.is_some() && s.takes[0].spectrum.len() > 100);
    let before = &growing.takes[0].spectrum;
    assert_eq!(before.seam(), (2.0 / before.column_seconds()).ceil() as usize);
    let done = host.until("done", |s| s.generating.is_none() && s.takes.len() == 1);
    let after = &done.takes[0].spectrum;
    assert_eq!(after.version(), before.version());
    assert!(after.len() > before.len() && (0..before.len()).all(|c| before.column(c) == after.column(c)));
    let shelf = host.engine.shelf.snapshot();
    host.engine.shelf.restore(shelf);
    let again = host.wait("again", |s| {
        s.takes.len() == 1 && !s.takes[0].spectrum.is_empty() && s.takes[0].spectrum.version() != after.version()
    });
    assert_eq!(again.takes[0].spectrum.len(), (2.0 / after.column_seconds()).ceil() as usize);
}

#[test]
fn closing_in_the_middle_of_an_export_leaves_a_whole_file_or_none() {
    for wait in [0_u64, 2, 5, 10, 20, 40] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut host = listening(&Fake::default());
        let take = host.take(1, 60.0);
        host.send(Command::Export(
            take,
            ExportRequest {
                path: folder.path().join("take.wav"),
                format: ExportFormat::Float32,
                content: ExportContent::TwoFiles,
            },
        ));
        std::thread::sleep(Duration::from_millis(wait));
        drop(host);
        for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
            let reader = hound::WavReader::open(entry.path()).unwrap_or_else(|e| panic!("{:?}: {e}", entry.path()));
            let frames = reader.duration();
            assert_eq!(reader.into_samples::<f32>().filter(|s| s.is_ok()).count(), frames as usize * 2);
        }
    }
}
