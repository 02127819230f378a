//! What a project file brings back, and what it cannot break.

use super::{hold, plan};
use crate::error::Result;
use crate::host::Host;
use crate::{demo, project};
use std::path::Path;

const LENGTH: f64 = 5.0;

/// Saved, closed, opened: byte for byte the same state, and the take sounds the same without being generated again.
pub(super) fn reopens(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let p = plan(LENGTH, 5)?.perform(&mut host, |_, _| {})?;
    let state = host.save()?;
    drop(host);
    let takes = project::takes(&state)?;
    hold(takes.len() == 1, || format!("{} takes in the state", takes.len()))?;
    let mut host = Host::load(clap)?;
    host.restore(&state)?;
    hold(host.save()? == state, || "the state changes by being loaded and saved".into())?;
    let seed = host.text("Seed")?;
    hold(seed == "5", || format!("the seed parameter came back as {seed}"))?;
    let heard = demo::replay(&mut host, LENGTH)?;
    let db = demo::alike(&p, &heard, LENGTH)?;
    hold(db >= 40.0, || format!("the take sounds otherwise: {db:.0} dB alike"))?;
    hold(project::takes(&host.save()?)? == takes, || "playing a take changed it".into())
}

/// Bytes that are no state are refused or ignored; what was there stays.
pub(super) fn garbage(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let before = host.save()?;
    let random: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let flipped: Vec<u8> = before.iter().enumerate().map(|(i, b)| if i % 7 == 3 { b ^ 0x15 } else { *b }).collect();
    let cases = [Vec::new(), vec![0; 64], random, before[..before.len() / 2].to_vec(), flipped];
    for (number, bytes) in cases.iter().enumerate() {
        // Whether the host is told is the framework's business; that nothing changes is ours.
        let _ = host.restore(bytes);
        hold(host.save()? == before, || format!("garbage number {number} changed the state"))?;
    }
    Ok(())
}
