//! A causal network that adds codebooks to frames whose lower ones are there: all frames of a chunk in one run.

use super::runner::{Network, Runner};
use super::{Stage, Streams, sound};
use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::Stage as Spec;
use crate::sampler::{Draw, Noise, Sampling};
use ort::value::TensorElementType::{Float32, Int64};

pub(super) fn check(spec: &Spec, graph: &Graph) -> Result<()> {
    let c = Some(spec.codebooks);
    graph.expect_input("codes", Int64, &[Some(1), None, Some(spec.first_codebook)])?;
    graph.expect_input("noise", Float32, &[Some(1), None, c, Some(spec.candidates)])?;
    graph.expect_input("inv_temperature", Float32, &[])?;
    graph.expect_input("top_p", Float32, &[])?;
    graph.expect_output("sampled", Int64, &[Some(1), None, c])?;
    graph.expect_output("log_prob", Float32, &[Some(1), None, c])?;
    graph.states().map(|_| ())
}

#[derive(Debug)]
pub(super) struct Parallel {
    spec: Spec,
    /// Where the stage is in the pack.
    place: usize,
    runner: Runner,
    network: Network,
    noise: Noise,
    next: usize,
    first: usize,
}

impl Parallel {
    pub(super) fn new(spec: Spec, place: usize, runner: Runner) -> Result<Self> {
        let noise = Noise::new(0, place, spec.codebooks * spec.candidates);
        let network = Network::new(&runner)?;
        Ok(Self { spec, place, runner, network, noise, next: 0, first: 0 })
    }

    fn run(&mut self, streams: &Streams, from: usize, to: usize, draw: Draw) -> Result<Vec<i64>> {
        let (n, spec) = (to - from, &self.spec);
        let own = streams.of(spec.writes);
        let codes =
            (from..to).flat_map(|t| own.frame(t)[..spec.first_codebook].iter().map(|id| i64::from(*id))).collect();
        let mut noise = vec![0.0; n * spec.codebooks * spec.candidates];
        self.noise.fill(from.saturating_sub(self.first), draw.greedy, &mut noise);
        let (ids, log_prob) = self.network.run(spec, codes, noise, draw)?;
        sound(|reason| self.runner.failed(reason), spec, &ids, &log_prob)?;
        Ok(ids)
    }
}

impl Stage for Parallel {
    fn reseed(&mut self, seed: u64) {
        self.noise = Noise::new(seed, self.place, self.spec.codebooks * self.spec.candidates);
    }

    fn prefill(&mut self, streams: &Streams, end: usize, closed: bool) -> Result<()> {
        self.next = end;
        self.first = end;
        if !closed {
            // It remembers so little that it can wait.
            return Ok(());
        }
        // Only the states matter, and they reach back no further than this.
        let from = end.saturating_sub(self.network.memory());
        if from < end {
            self.run(streams, from, end, Draw::new(0.0, 1.0))?;
        }
        Ok(())
    }

    fn reach(&self, _end: usize) -> usize {
        0
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        if self.next < end {
            let draw = Draw::new(sampling.temperature(&self.spec.id, 2), sampling.top_p);
            let ids = self.run(streams, self.next, end, draw)?;
            for (frame, ids) in (self.next..end).zip(ids.chunks_exact(self.spec.codebooks)) {
                streams.write(&self.spec, frame, ids);
            }
            self.next = end;
        }
        Ok(())
    }
}
