//! A decoder-only transformer over frames, all codebooks of a frame in one run (temporal plus unrolled depth
//! transformer). The KV cache is one preallocated buffer per layer, bound as both past and present.

use super::{Stage, Streams, sound};
use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::{Manifest, Stage as Spec};
use crate::sampler::{Draw, Noise, Sampling};
use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::TensorElementType::{Float32, Int32, Int64};
use ort::value::{PrimitiveTensorElementType, Tensor};
use std::sync::Arc;

pub(super) fn check(spec: &Spec, graph: &Graph) -> Result<()> {
    let c = Some(spec.codebooks);
    graph.expect_input("codes", Int64, &[Some(1), None, c])?;
    if let Some(condition) = &spec.condition {
        graph.expect_input("cond", Int64, &[Some(1), None, Some(condition.offsets.len())])?;
    }
    graph.expect_input("total", Int32, &[])?;
    graph.expect_input("seqlens_k", Int32, &[Some(1)])?;
    graph.expect_input("noise", Float32, &[Some(1), c, Some(spec.candidates)])?;
    graph.expect_input("inv_temperature", Float32, &[])?;
    graph.expect_input("top_p", Float32, &[])?;
    graph.expect_output("sampled", Int64, &[Some(1), c])?;
    graph.expect_output("log_prob", Float32, &[Some(1), c])?;
    let cache = [Some(1), Some(spec.heads), Some(spec.context), Some(spec.head_dim)];
    for layer in 0..spec.layers {
        for kind in ["key", "value"] {
            graph.expect_input(&format!("past_{kind}_{layer}"), Float32, &cache)?;
            graph.expect_output(&format!("present_{kind}_{layer}"), Float32, &cache)?;
        }
    }
    Ok(())
}

#[derive(Debug)]
pub(super) struct Autoregressive {
    spec: Spec,
    graph: Arc<Graph>,
    noise: Noise,
    binding: IoBinding,
    /// Kept alive (and writable) for the binding.
    tensors: Tensors,
    /// Samples per frame of its own and of the conditioning stream.
    hops: (usize, usize),
    unknown: i64,
    /// The frame that position 0 of the cache stands for.
    base: usize,
    /// Positions in the cache.
    cached: usize,
    /// The next frame to make, and the first that was not in the prompt.
    next: usize,
    first: usize,
}

#[derive(Debug)]
struct Tensors {
    codes: Tensor<i64>,
    cond: Option<Tensor<i64>>,
    total: Tensor<i32>,
    seqlens_k: Tensor<i32>,
    noise: Tensor<f32>,
    inv_temperature: Tensor<f32>,
    top_p: Tensor<f32>,
    sampled: Tensor<i64>,
    log_prob: Tensor<f32>,
    _caches: Vec<Tensor<f32>>,
}

impl Autoregressive {
    pub(super) fn new(manifest: &Manifest, spec: Spec, place: usize, graph: Arc<Graph>, seed: u64) -> Result<Self> {
        let binding = graph.session.lock().create_binding().map_err(|e| graph.failed(e))?;
        let (tensors, binding) = bind(&spec, binding).map_err(|e| graph.failed(e))?;
        let own = manifest.hop(spec.writes).unwrap_or(1);
        let (other, unknown) = match &spec.condition {
            Some(c) => (manifest.hop(c.stream).unwrap_or(1), manifest.cardinality(c.stream) as i64),
            None => (1, 0),
        };
        let noise = Noise::new(seed, place, spec.codebooks * spec.candidates);
        Ok(Self {
            spec,
            graph,
            noise,
            binding,
            tensors,
            hops: (own, other),
            unknown,
            base: 0,
            cached: 0,
            next: 0,
            first: 0,
        })
    }

    /// The graph's `codes` and `cond` for the positions that sample frames `from..to`.
    fn inputs(&self, streams: &Streams, from: usize, to: usize) -> (Vec<i64>, Vec<i64>) {
        let own = streams.of(self.spec.writes);
        let books = self.spec.first_codebook..self.spec.first_codebook + self.spec.codebooks;
        let mut codes = Vec::with_capacity((to - from) * self.spec.codebooks);
        let mut cond = Vec::new();
        for frame in from..to {
            if frame == self.base {
                codes.extend(std::iter::repeat_n(self.spec.cardinality as i64, self.spec.codebooks));
            } else {
                codes.extend(own.frame(frame - 1)[books.clone()].iter().map(|id| i64::from(*id)));
            }
            if let Some(condition) = &self.spec.condition {
                let other = streams.of(condition.stream);
                let now = (frame * self.hops.0 / self.hops.1) as isize;
                cond.extend(condition.offsets.iter().map(|offset| {
                    let index = usize::try_from(now + offset).ok().filter(|i| *i < other.frames());
                    index.map_or(self.unknown, |i| i64::from(other.frame(i)[0]))
                }));
            }
        }
        (codes, cond)
    }

    /// Runs the positions that sample frames `from..to` (they extend the cache); the last one's sample is in the tensors.
    fn run(&mut self, streams: &Streams, from: usize, to: usize) -> Result<()> {
        let (codes, cond) = self.inputs(streams, from, to);
        let total = self.cached + (to - from);
        write(&mut self.tensors.total, &[total as i32]);
        write(&mut self.tensors.seqlens_k, &[total as i32 - 1]);
        if to - from == 1 {
            write(&mut self.tensors.codes, &codes);
            if let Some(tensor) = &mut self.tensors.cond {
                write(tensor, &cond);
            }
            self.execute()?;
        } else {
            // Prefill is rare: other tensors are bound for it, then the ones of a single step again.
            self.execute_prefill(to - from, &codes, &cond)?;
        }
        self.cached = total;
        Ok(())
    }

    fn execute(&mut self) -> Result<()> {
        let mut session = self.graph.session.lock();
        session.run_binding(&self.binding).map(|_| ()).map_err(|e| self.graph.failed(e))
    }

    fn execute_prefill(&mut self, steps: usize, codes: &[i64], cond: &[i64]) -> Result<()> {
        let graph = Arc::clone(&self.graph);
        let failed = |e: ort::Error| graph.failed(e);
        let allocator = Allocator::default();
        let mut many = Tensor::<i64>::new(&allocator, [1, steps, self.spec.codebooks]).map_err(failed)?;
        write(&mut many, codes);
        self.binding.bind_input("codes", &many).map_err(failed)?;
        if let Some(condition) = &self.spec.condition {
            let mut many = Tensor::<i64>::new(&allocator, [1, steps, condition.offsets.len()]).map_err(failed)?;
            write(&mut many, cond);
            self.binding.bind_input("cond", &many).map_err(failed)?;
        }
        let result = self.execute();
        self.binding.bind_input("codes", &self.tensors.codes).map_err(failed)?;
        if let Some(cond) = &self.tensors.cond {
            self.binding.bind_input("cond", cond).map_err(failed)?;
        }
        result
    }

    /// Leaves the cache such that one more position samples frame `next`.
    fn refill(&mut self, streams: &Streams, next: usize, keep: usize) -> Result<()> {
        self.base = next - keep.min(next);
        self.cached = 0;
        if next > self.base { self.run(streams, self.base, next) } else { Ok(()) }
    }

    fn draw(&mut self, draw: Draw, frame: usize) {
        let Self { noise, tensors, .. } = self;
        noise.fill(frame, draw.greedy, tensors.noise.extract_tensor_mut().1);
        write(&mut tensors.inv_temperature, &[draw.inv_temperature]);
        write(&mut tensors.top_p, &[draw.top_p]);
    }
}

impl Stage for Autoregressive {
    fn prefill(&mut self, streams: &Streams, end: usize) -> Result<()> {
        self.next = end;
        self.first = end;
        self.draw(Draw::new(0.0, 1.0), 0);
        // One position less than fits, so that the first step still has room.
        let keep = if end < self.spec.context { end } else { self.spec.context / 2 };
        self.refill(streams, end, keep)
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        let draw = Draw::new(sampling.temperature(&self.spec.id, 0), sampling.top_p);
        while self.next < end {
            if self.cached + 1 > self.spec.context {
                self.refill(streams, self.next, self.spec.context / 2)?;
            }
            self.draw(draw, self.next - self.first);
            self.run(streams, self.next, self.next + 1)?;
            let ids = self.tensors.sampled.extract_tensor().1;
            sound(&self.graph, &self.spec, ids, self.tensors.log_prob.extract_tensor().1)?;
            streams.write(&self.spec, self.next, ids);
            self.next += 1;
        }
        Ok(())
    }
}

fn write<T: PrimitiveTensorElementType + std::fmt::Debug + Copy>(tensor: &mut Tensor<T>, values: &[T]) {
    tensor.extract_tensor_mut().1.copy_from_slice(values);
}

fn bind(spec: &Spec, mut binding: IoBinding) -> ort::Result<(Tensors, IoBinding)> {
    let allocator = Allocator::default();
    let scalar: [usize; 0] = [];
    let mut caches = Vec::with_capacity(spec.layers * 2);
    for layer in 0..spec.layers {
        for kind in ["key", "value"] {
            let mut cache = Tensor::<f32>::new(&allocator, [1, spec.heads, spec.context, spec.head_dim])?;
            cache.extract_tensor_mut().1.fill(0.0);
            binding.bind_input(format!("past_{kind}_{layer}"), &cache)?;
            binding.bind_output(format!("present_{kind}_{layer}"), &mut cache)?;
            caches.push(cache);
        }
    }
    let cond = match &spec.condition {
        Some(condition) => Some(Tensor::<i64>::new(&allocator, [1, 1, condition.offsets.len()])?),
        None => None,
    };
    let mut tensors = Tensors {
        codes: Tensor::new(&allocator, [1, 1, spec.codebooks])?,
        cond,
        total: Tensor::new(&allocator, scalar)?,
        seqlens_k: Tensor::new(&allocator, [1_usize])?,
        noise: Tensor::new(&allocator, [1, spec.codebooks, spec.candidates])?,
        inv_temperature: Tensor::new(&allocator, scalar)?,
        top_p: Tensor::new(&allocator, scalar)?,
        sampled: Tensor::new(&allocator, [1, spec.codebooks])?,
        log_prob: Tensor::new(&allocator, [1, spec.codebooks])?,
        _caches: caches,
    };
    binding.bind_input("codes", &tensors.codes)?;
    if let Some(cond) = &tensors.cond {
        binding.bind_input("cond", cond)?;
    }
    binding.bind_input("total", &tensors.total)?;
    binding.bind_input("seqlens_k", &tensors.seqlens_k)?;
    binding.bind_input("noise", &tensors.noise)?;
    binding.bind_input("inv_temperature", &tensors.inv_temperature)?;
    binding.bind_input("top_p", &tensors.top_p)?;
    binding.bind_output("sampled", &mut tensors.sampled)?;
    binding.bind_output("log_prob", &mut tensors.log_prob)?;
    Ok((tensors, binding))
}
