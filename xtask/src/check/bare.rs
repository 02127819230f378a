//! What holds whether or not there is anything to continue with: audio comes through.

use super::{hold, plan};
use crate::error::Result;
use crate::host::Host;
use crate::host::score::{Pace, Score};
use crate::stage::RATE;
use std::path::Path;

/// With nothing to continue with: the trigger does no harm, what goes in comes out bit for bit, the state saves.
pub(super) fn passes(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let mut plan = plan(2.0, 0)?;
    plan.lead = 1.0;
    let p = plan.perform(&mut host, |_, _| {})?;
    same(&p.input, &p.heard.planes)?;
    let state = host.save()?;
    hold(!state.is_empty(), || "the state is empty".into())?;
    host.restore(&state)
}

/// Any block size, as fast as it goes, several activations of one instance.
pub(super) fn blocks(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let input = plan(2.0, 0)?.playing.map(|p| p[..RATE as usize * 2].to_vec());
    for (block, rate) in [(1, 8_000), (17, 44_100), (64, 48_000), (1024, 96_000), (16_384, 384_000)] {
        let frames = input[0].len() as u64 / if block == 1 { 20 } else { 1 };
        let (blocks, input) = (vec![block], input.clone());
        let score = Score { rate, blocks, pace: Pace::Fast, input, frames, ..Score::default() };
        let heard = host.perform(&score, |_, _| {})?;
        same(&score.input, &heard.planes)?;
    }
    Ok(())
}

fn same(input: &[Vec<f32>; 2], heard: &[Vec<f32>; 2]) -> Result<()> {
    for (input, heard) in input.iter().zip(heard) {
        let differs = heard.iter().enumerate().position(|(i, x)| *x != input.get(i).copied().unwrap_or(0.0));
        hold(differs.is_none(), || format!("the input does not come through: frame {differs:?} differs"))?;
    }
    Ok(())
}
