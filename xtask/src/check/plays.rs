//! What holds with a runtime and a pack: it continues.

use super::{hold, newest, plan};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::listen;
use crate::stage::RATE;
use segue_engine::take::Take;
use std::path::Path;

/// The continuation is heard soon, has no hole, is about as loud as the prompt, and ends when it should.
pub(super) fn plays(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let p = plan(6.0, 7)?.perform(&mut host, |_, _| {})?;
    let onset = p.onset.ok_or_else(|| Error::Check("no continuation was heard".into()))?;
    println!("ttfa {:.0} ms, speed {:?}, {} late blocks", p.ttfa_ms.unwrap_or_default(), p.speed, p.heard.late);
    hold(onset - p.trigger < 2 * RATE as usize, || format!("it came in {} frames late", onset - p.trigger))?;
    hold(p.underruns == 0, || format!("{} holes", p.underruns))?;
    let end = listen::end(&p.wet).unwrap_or(0);
    // In time it ends six seconds after the trigger; on a machine too slow for that the whole of it is heard, later.
    let wanted = [p.trigger, onset].map(|begin| begin + 6 * RATE as usize);
    let ends = wanted.iter().any(|wanted| end.abs_diff(*wanted) < RATE as usize / 20);
    hold(ends, || format!("it ended at frame {end}, not at {wanted:?}"))?;
    let prompt = listen::level(&listen::cut(&p.input, p.trigger - 4 * RATE as usize, p.trigger));
    let made = listen::level(&listen::cut(&p.wet, onset, end));
    hold((made - prompt).abs() < 12.0, || format!("the prompt has {prompt:.1} dBFS, the continuation {made:.1}"))?;
    let seed = newest(&mut host)?.provenance.seed;
    hold(seed == 7, || format!("the take says seed {seed}"))
}

/// Seeds decide, and they alone.
pub(super) fn seeds(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let mut of = |seed| -> Result<Take> {
        plan(4.0, seed)?.perform(&mut host, |_, _| {})?;
        newest(&mut host)
    };
    let (one, again, other, new) = (of(11)?, of(11)?, of(12)?, of(0)?);
    let frames = |a: &Take, b: &Take| a.acoustic.ids.len().min(b.acoustic.ids.len());
    let alike = |a: &Take, b: &Take| a.acoustic.ids[..frames(a, b)] == b.acoustic.ids[..frames(a, b)];
    hold(one.seconds() > 3.5, || format!("the take is {:.1} s long", one.seconds()))?;
    hold(alike(&one, &again), || "the same seed gave other tokens".into())?;
    hold(!alike(&one, &other), || "another seed gave the same tokens".into())?;
    hold(new.provenance.seed != 0 && new.id != other.id, || format!("a new seed is {}", new.provenance.seed))
}

/// Closed one second into a long continuation, three times.
pub(super) fn leaves(clap: &Path) -> Result<()> {
    for _ in 0..3 {
        let mut host = Host::load(clap)?;
        let mut plan = plan(60.0, 0)?;
        plan.leave = Some(1.0);
        plan.perform(&mut host, |_, _| {})?;
        drop(host);
    }
    Ok(())
}
