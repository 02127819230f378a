//! The editor, opened and closed under a playing plugin.

use super::hold;
use crate::error::{Error, Result};
use crate::validate::plug::{Block, Setup};
use crate::validate::session::{Session, passes};
use crate::validate::{Setting, measure};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, WindowClass};
use x11rb::wrapper::ConnectionExt as _;

fn pump(session: &mut Session, time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        session.instance.pump();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Opened, resized and closed again and again while another thread processes; audio passes bit for bit all the while.
pub fn reopen(setting: &Setting) -> Result<String> {
    measure::one_heap();
    let (connection, screen) = x11rb::connect(None).map_err(Error::host)?;
    let root = connection.setup().roots[screen].root;
    let mut session = Session::active(setting, Setup::default())?;
    let mut audio = session.lend_audio()?;
    let done = AtomicBool::new(false);
    let rounds = setting.times(200, 8);
    let mut dice = setting.dice();
    let (mut resized, mut memory) = (0, None);
    let played = std::thread::scope(|scope| -> Result<_> {
        let done = &done;
        let seed = setting.seed;
        let thread = scope.spawn(move || {
            let mut dice = crate::validate::session::Dice::new(seed);
            let mut clock = 0;
            let mut result = Ok(());
            while !done.load(Relaxed) && result.is_ok() {
                let mut ins = dice.noise(2, 256);
                let input = ins.clone();
                let mut outs = ins.clone();
                let mut call = Block {
                    input: &mut ins,
                    output: Some(&mut outs),
                    frames: 256,
                    constant: false,
                    events: &[],
                    transport: None,
                    clock,
                };
                result = audio.process(&mut call).and_then(|()| passes(&input, &outs));
                clock += 256;
                std::thread::sleep(Duration::from_millis(5));
            }
            (audio, result)
        });
        let mut rounds_done = || -> Result<()> {
            for round in 0..rounds {
                let window = connection.generate_id().map_err(Error::host)?;
                let (x, y, look) = (0, 0, CreateWindowAux::new());
                connection
                    .create_window(
                        COPY_DEPTH_FROM_PARENT,
                        window,
                        root,
                        x,
                        y,
                        900,
                        560,
                        0,
                        WindowClass::INPUT_OUTPUT,
                        0,
                        &look,
                    )
                    .map_err(Error::host)?;
                connection.map_window(window).map_err(Error::host)?;
                connection.sync().map_err(Error::host)?;
                session.instance.open_editor(window)?;
                pump(&mut session, Duration::from_millis(10 + dice.below(60) as u64));
                for _ in 0..dice.below(3) {
                    let (width, height) = (300 + dice.below(1500) as u32, 200 + dice.below(900) as u32);
                    resized += usize::from(session.instance.resize_editor(width, height));
                    pump(&mut session, Duration::from_millis(15));
                }
                session.instance.close_editor();
                // Some hosts destroy their window at once, some later.
                if dice.below(2) == 0 {
                    pump(&mut session, Duration::from_millis(20));
                }
                connection.destroy_window(window).map_err(Error::host)?;
                connection.sync().map_err(Error::host)?;
                if round == rounds / 2 {
                    memory = measure::used_mb();
                }
            }
            Ok(())
        };
        let opened = rounds_done();
        done.store(true, Relaxed);
        let played = thread.join().map_err(|_| Error::host("the audio thread panicked"))?;
        opened?;
        Ok(played)
    })?;
    played.1?;
    session.give_back(played.0);
    hold(resized > 0, || "it could never be resized".into())?;
    let grown = measure::used_mb().zip(memory).map_or(0.0, |(after, before)| after - before);
    // A few openings say nothing: the software renderer keeps what it has once had.
    hold(!setting.full || grown < 40.0, || format!("{grown:.0} MB stay behind of {} openings", rounds / 2))?;
    Ok(format!("{rounds} openings, {resized} resizings, {grown:+.1} MB over the second half"))
}
