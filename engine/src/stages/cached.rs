//! A decoder-only transformer with its KV cache: one preallocated buffer per layer, bound as both past and present. What
//! its positions stand for is the business of the stages that run it.

use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::Stage as Spec;
use crate::sampler::Draw;
use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::TensorElementType::{Float32, Int32, Int64};
use ort::value::{PrimitiveTensorElementType, Tensor};
use std::sync::Arc;

/// Checks the tensors of a graph whose positions hold and sample `columns` tokens, and look at `window` others if any.
pub(super) fn check(spec: &Spec, graph: &Graph, columns: usize, window: Option<usize>) -> Result<()> {
    let c = Some(columns);
    graph.expect_input("codes", Int64, &[Some(1), None, c])?;
    if let Some(window) = window {
        graph.expect_input("cond", Int64, &[Some(1), None, Some(window)])?;
    }
    graph.expect_input("total", Int32, &[])?;
    graph.expect_input("seqlens_k", Int32, &[Some(1)])?;
    graph.expect_input("noise", Float32, &[Some(1), c, Some(spec.candidates)])?;
    if spec.tilts() > 0 {
        graph.expect_input("tilt", Float32, &[Some(1), Some(spec.tilts())])?;
    }
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

/// Whether several lanes can go through the graph at once.
pub(super) fn takes_lanes(graph: &Graph) -> bool {
    !["codes", "noise", "tilt", "past_key_0"].iter().any(|name| graph.is_fixed(name))
}

/// The transformer, its cache and its inputs: of one continuation, or of several that go side by side (lanes).
#[derive(Debug)]
pub(crate) struct Cached {
    graph: Arc<Graph>,
    binding: IoBinding,
    /// Whether the binding is one to the session that took over from a device's.
    moved: bool,
    /// Kept alive (and writable) for the binding.
    tensors: Tensors,
    columns: usize,
    window: Option<usize>,
    lanes: usize,
    /// Positions in the cache, the same in every lane.
    filled: usize,
    /// Positions that are not what the memory held before.
    cleared: usize,
}

/// Positions that are cleared together.
const TILE: usize = 128;

#[derive(Debug)]
struct Tensors {
    codes: Tensor<i64>,
    cond: Option<Tensor<i64>>,
    total: Tensor<i32>,
    seqlens_k: Tensor<i32>,
    noise: Tensor<f32>,
    tilt: Option<Tensor<f32>>,
    inv_temperature: Tensor<f32>,
    top_p: Tensor<f32>,
    sampled: Tensor<i64>,
    log_prob: Tensor<f32>,
    caches: Vec<Tensor<f32>>,
}

impl Cached {
    /// With an empty cache; see [`check`], and [`takes_lanes`] for more than one lane.
    pub(super) fn new(
        spec: &Spec,
        graph: Arc<Graph>,
        columns: usize,
        window: Option<usize>,
        lanes: usize,
    ) -> Result<Self> {
        let mut tensors = Tensors::new(spec, columns, window, lanes).map_err(|e| graph.failed(e))?;
        let (binding, moved) = graph.with_session(|session, moved| Ok((tensors.bind(session)?, moved)))?;
        Ok(Self { graph, binding, moved, tensors, columns, window, lanes, filled: 0, cleared: 0 })
    }

    /// Takes over another's cache, of one lane, into every lane.
    pub(super) fn remember(&mut self, one: &Self) {
        self.make_room(one.filled);
        for (cache, from) in self.tensors.caches.iter_mut().zip(&one.tensors.caches) {
            let (shape, from) = from.extract_tensor();
            let [_, _, context, head_dim] = shape[..] else { continue };
            let (head, filled) = ((context * head_dim) as usize, one.filled * head_dim as usize);
            for lane in cache.extract_tensor_mut().1.chunks_exact_mut(from.len()) {
                for (to, from) in lane.chunks_exact_mut(head).zip(from.chunks_exact(head)) {
                    to[..filled].copy_from_slice(&from[..filled]);
                }
            }
        }
        self.filled = one.filled;
    }

    /// Positions in the cache.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Zeros where no position has been yet, up to `end` and a little further: a kernel may look at a whole tile. Memory that
    /// no take reaches is never touched, so that the system need not find any for it.
    fn make_room(&mut self, end: usize) {
        if end <= self.cleared {
            return;
        }
        let from = self.cleared;
        for cache in &mut self.tensors.caches {
            let (shape, values) = cache.extract_tensor_mut();
            let [_, _, context, head_dim] = shape[..] else { continue };
            let (context, head_dim) = (context as usize, head_dim as usize);
            let to = end.next_multiple_of(TILE).min(context);
            for head in values.chunks_exact_mut(context * head_dim) {
                head[from * head_dim..to * head_dim].fill(0.0);
            }
            self.cleared = to;
        }
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// How the next positions are drawn; `fill` fills what the graph is given of noise and tilt.
    pub(super) fn draw(&mut self, draw: Draw, fill: impl FnOnce(&mut [f32], &mut [f32])) {
        let tilt = self.tensors.tilt.as_mut().map_or(&mut [][..], |tilt| tilt.extract_tensor_mut().1);
        fill(self.tensors.noise.extract_tensor_mut().1, tilt);
        write(&mut self.tensors.inv_temperature, &[draw.inv_temperature]);
        write(&mut self.tensors.top_p, &[draw.top_p]);
    }

    /// Runs these positions (they extend the cache), lane after lane; what the last one of each samples is in
    /// [`Self::sampled`].
    pub(super) fn run(&mut self, codes: &[i64], cond: &[i64]) -> Result<()> {
        let positions = codes.len() / self.columns / self.lanes;
        let total = self.filled + positions;
        self.make_room(total);
        write(&mut self.tensors.total, &[total as i32]);
        self.tensors.seqlens_k.extract_tensor_mut().1.fill(total as i32 - 1);
        if positions == 1 {
            write(&mut self.tensors.codes, codes);
            if let Some(tensor) = &mut self.tensors.cond {
                write(tensor, cond);
            }
            self.execute(None)?;
        } else {
            // Prefill is rare: other tensors are bound for it, then the ones of a single step again.
            let (graph, allocator) = (Arc::clone(&self.graph), Allocator::default());
            let many = |columns: usize, values: &[i64]| {
                let shape = [self.lanes, positions, columns];
                let mut tensor = Tensor::<i64>::new(&allocator, shape).map_err(|e| graph.failed(e))?;
                write(&mut tensor, values);
                Ok(tensor)
            };
            let many = (many(self.columns, codes)?, self.window.map(|window| many(window, cond)).transpose()?);
            self.execute(Some(many))?;
        }
        self.filled = total;
        Ok(())
    }

    /// The tokens sampled last, lane after lane, and their log-probabilities.
    pub(super) fn sampled(&self) -> (&[i64], &[f32]) {
        (self.tensors.sampled.extract_tensor().1, self.tensors.log_prob.extract_tensor().1)
    }

    /// Runs what is bound, or `many` positions: their codes and what conditions them.
    fn execute(&mut self, many: Option<(Tensor<i64>, Option<Tensor<i64>>)>) -> Result<()> {
        let Self { graph, binding, tensors, moved: bound, .. } = self;
        graph.with_session(|session, moved| {
            if moved != *bound {
                (*binding, *bound) = (tensors.bind(session)?, moved);
            }
            let Some((codes, cond)) = &many else {
                return session.run_binding(binding).map(|_| ());
            };
            binding.bind_input("codes", codes)?;
            if let Some(cond) = cond {
                binding.bind_input("cond", cond)?;
            }
            let result = session.run_binding(binding).map(|_| ());
            binding.bind_input("codes", &tensors.codes)?;
            if let Some(cond) = &tensors.cond {
                binding.bind_input("cond", cond)?;
            }
            result
        })
    }
}

fn write<T: PrimitiveTensorElementType + std::fmt::Debug + Copy>(tensor: &mut Tensor<T>, values: &[T]) {
    tensor.extract_tensor_mut().1.copy_from_slice(values);
}

impl Tensors {
    fn new(spec: &Spec, columns: usize, window: Option<usize>, lanes: usize) -> ort::Result<Self> {
        let allocator = Allocator::default();
        let scalar: [usize; 0] = [];
        let cache = [lanes, spec.heads, spec.context, spec.head_dim];
        Ok(Self {
            codes: Tensor::new(&allocator, [lanes, 1, columns])?,
            cond: window.map(|window| Tensor::<i64>::new(&allocator, [lanes, 1, window])).transpose()?,
            total: Tensor::new(&allocator, scalar)?,
            seqlens_k: Tensor::new(&allocator, [lanes])?,
            noise: Tensor::new(&allocator, [lanes, columns, spec.candidates])?,
            tilt: (spec.tilts() > 0).then(|| Tensor::new(&allocator, [lanes, spec.tilts()])).transpose()?,
            inv_temperature: Tensor::new(&allocator, scalar)?,
            top_p: Tensor::new(&allocator, scalar)?,
            sampled: Tensor::new(&allocator, [lanes, columns])?,
            log_prob: Tensor::new(&allocator, [lanes, columns])?,
            caches: (0..spec.layers * 2).map(|_| Tensor::new(&allocator, cache)).collect::<ort::Result<_>>()?,
        })
    }

    /// All of them bound to a session; caches both ways, so that it extends them in place.
    fn bind(&mut self, session: &Session) -> ort::Result<IoBinding> {
        let mut binding = session.create_binding()?;
        for (place, cache) in self.caches.iter_mut().enumerate() {
            let (layer, kind) = (place / 2, ["key", "value"][place % 2]);
            binding.bind_input(format!("past_{kind}_{layer}"), cache)?;
            binding.bind_output(format!("present_{kind}_{layer}"), cache)?;
        }
        binding.bind_input("codes", &self.codes)?;
        if let Some(cond) = &self.cond {
            binding.bind_input("cond", cond)?;
        }
        binding.bind_input("total", &self.total)?;
        binding.bind_input("seqlens_k", &self.seqlens_k)?;
        binding.bind_input("noise", &self.noise)?;
        if let Some(tilt) = &self.tilt {
            binding.bind_input("tilt", tilt)?;
        }
        binding.bind_input("inv_temperature", &self.inv_temperature)?;
        binding.bind_input("top_p", &self.top_p)?;
        binding.bind_output("sampled", &mut self.sampled)?;
        binding.bind_output("log_prob", &mut self.log_prob)?;
        Ok(binding)
    }
}
