//! A decoder-only transformer with its KV cache: one preallocated buffer per layer, bound as both past and present. What
//! its positions stand for is the business of the stages that run it.

use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::Stage as Spec;
use crate::sampler::Draw;
use ort::memory::Allocator;
use ort::session::IoBinding;
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
    ["codes", "noise", "past_key_0"].iter().all(|name| graph.is_free(name))
}

/// The transformer, its cache and its inputs: of one continuation, or of several that go side by side (lanes).
#[derive(Debug)]
pub(super) struct Cached {
    graph: Arc<Graph>,
    binding: IoBinding,
    /// Kept alive (and writable) for the binding.
    tensors: Tensors,
    columns: usize,
    window: Option<usize>,
    lanes: usize,
    /// Positions in the cache, the same in every lane.
    filled: usize,
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
        let binding = graph.session.lock().create_binding().map_err(|e| graph.failed(e))?;
        let (tensors, binding) = bind(spec, binding, columns, window, lanes).map_err(|e| graph.failed(e))?;
        Ok(Self { graph, binding, tensors, columns, window, lanes, filled: 0 })
    }

    /// Takes over another's cache, of one lane, into every lane.
    pub(super) fn remember(&mut self, one: &Self) {
        for (cache, from) in self.tensors.caches.iter_mut().zip(&one.tensors.caches) {
            let (_, from) = from.extract_tensor();
            for lane in cache.extract_tensor_mut().1.chunks_exact_mut(from.len()) {
                lane.copy_from_slice(from);
            }
        }
        self.filled = one.filled;
    }

    /// Positions in the cache.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// How the next positions are drawn; `noise` fills what the graph is given of it.
    pub(super) fn draw(&mut self, draw: Draw, noise: impl FnOnce(&mut [f32])) {
        noise(self.tensors.noise.extract_tensor_mut().1);
        write(&mut self.tensors.inv_temperature, &[draw.inv_temperature]);
        write(&mut self.tensors.top_p, &[draw.top_p]);
    }

    /// Runs these positions (they extend the cache), lane after lane; what the last one of each samples is in
    /// [`Self::sampled`].
    pub(super) fn run(&mut self, codes: &[i64], cond: &[i64]) -> Result<()> {
        let positions = codes.len() / self.columns / self.lanes;
        let total = self.filled + positions;
        write(&mut self.tensors.total, &[total as i32]);
        self.tensors.seqlens_k.extract_tensor_mut().1.fill(total as i32 - 1);
        if positions == 1 {
            write(&mut self.tensors.codes, codes);
            if let Some(tensor) = &mut self.tensors.cond {
                write(tensor, cond);
            }
            self.execute()?;
        } else {
            // Prefill is rare: other tensors are bound for it, then the ones of a single step again.
            self.execute_prefill(positions, codes, cond)?;
        }
        self.filled = total;
        Ok(())
    }

    /// The tokens sampled last, lane after lane, and their log-probabilities.
    pub(super) fn sampled(&self) -> (&[i64], &[f32]) {
        (self.tensors.sampled.extract_tensor().1, self.tensors.log_prob.extract_tensor().1)
    }

    fn execute(&mut self) -> Result<()> {
        let mut session = self.graph.session.lock();
        session.run_binding(&self.binding).map(|_| ()).map_err(|e| self.graph.failed(e))
    }

    fn execute_prefill(&mut self, positions: usize, codes: &[i64], cond: &[i64]) -> Result<()> {
        let graph = Arc::clone(&self.graph);
        let failed = |e: ort::Error| graph.failed(e);
        let allocator = Allocator::default();
        let mut many = Tensor::<i64>::new(&allocator, [self.lanes, positions, self.columns]).map_err(failed)?;
        write(&mut many, codes);
        self.binding.bind_input("codes", &many).map_err(failed)?;
        if let Some(window) = self.window {
            let mut many = Tensor::<i64>::new(&allocator, [self.lanes, positions, window]).map_err(failed)?;
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
}

fn write<T: PrimitiveTensorElementType + std::fmt::Debug + Copy>(tensor: &mut Tensor<T>, values: &[T]) {
    tensor.extract_tensor_mut().1.copy_from_slice(values);
}

fn bind(
    spec: &Spec,
    mut binding: IoBinding,
    columns: usize,
    window: Option<usize>,
    lanes: usize,
) -> ort::Result<(Tensors, IoBinding)> {
    let allocator = Allocator::default();
    let scalar: [usize; 0] = [];
    let mut caches = Vec::with_capacity(spec.layers * 2);
    for layer in 0..spec.layers {
        for kind in ["key", "value"] {
            let mut cache = Tensor::<f32>::new(&allocator, [lanes, spec.heads, spec.context, spec.head_dim])?;
            cache.extract_tensor_mut().1.fill(0.0);
            binding.bind_input(format!("past_{kind}_{layer}"), &cache)?;
            binding.bind_output(format!("present_{kind}_{layer}"), &mut cache)?;
            caches.push(cache);
        }
    }
    let cond = window.map(|window| Tensor::<i64>::new(&allocator, [lanes, 1, window])).transpose()?;
    let mut tensors = Tensors {
        codes: Tensor::new(&allocator, [lanes, 1, columns])?,
        cond,
        total: Tensor::new(&allocator, scalar)?,
        seqlens_k: Tensor::new(&allocator, [lanes])?,
        noise: Tensor::new(&allocator, [lanes, columns, spec.candidates])?,
        inv_temperature: Tensor::new(&allocator, scalar)?,
        top_p: Tensor::new(&allocator, scalar)?,
        sampled: Tensor::new(&allocator, [lanes, columns])?,
        log_prob: Tensor::new(&allocator, [lanes, columns])?,
        caches,
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
