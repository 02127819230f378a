//! One ONNX graph of a pack: its session, what it must look like, and streams of runs over it. Worker thread.

use crate::error::{Error, Result};
use crate::pack::Pack;
use crate::runtime::{self, Device, How};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;

/// A dimension in a graph's signature: fixed or free.
pub(crate) type Dim = Option<usize>;

/// Name, type and shape of a tensor that goes in or out.
pub(crate) type Outlet = (String, TensorElementType, Vec<i64>);

/// A loaded graph. Streams share it; each run holds its lock, so several plugin instances take turns.
pub(crate) struct Graph {
    pack: Pack,
    name: String,
    how: How,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
    seat: Mutex<Seat>,
}

/// The session that runs a graph. One on a device that failed gives its place to one on the CPU: no tensor lives on the
/// device from run to run, so that nothing is lost with it.
struct Seat {
    session: Session,
    /// Why it is no longer on the device that was asked for.
    moved: Option<String>,
    /// Runs until the device is lost: for tests, which have none to lose.
    lost_in: Option<u32>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} of {})", self.name, self.pack.label())
    }
}

impl Graph {
    /// Reads, checks the hash, and makes a session.
    pub(crate) fn load(pack: &Pack, name: &str, how: &How) -> Result<Self> {
        let session = open(pack, name, how)?;
        let signature = |outlets: &[ort::value::Outlet]| {
            let of = |outlet: &ort::value::Outlet| match outlet.dtype() {
                ValueType::Tensor { ty, shape, .. } => (outlet.name().to_owned(), *ty, shape.to_vec()),
                _ => (outlet.name().to_owned(), TensorElementType::Undefined, Vec::new()),
            };
            outlets.iter().map(of).collect()
        };
        let (inputs, outputs) = (signature(session.inputs()), signature(session.outputs()));
        let seat = Mutex::new(Seat { session, moved: None, lost_in: None });
        Ok(Self { pack: pack.clone(), name: name.into(), how: how.clone(), inputs, outputs, seat })
    }

    /// Hands `run` the session, and whether it is another one than was loaded. If it fails on a device, it is run again on the
    /// CPU, where this graph then stays.
    pub(crate) fn with_session<T>(&self, mut run: impl FnMut(&mut Session, bool) -> ort::Result<T>) -> Result<T> {
        let mut seat = self.seat.lock();
        let moved = seat.moved.is_some();
        let lost = seat.lost_in == Some(0);
        seat.lost_in = seat.lost_in.map(|runs| runs.saturating_sub(1));
        let found = if lost { Err(ort::Error::new("the device is lost")) } else { run(&mut seat.session, moved) };
        match found {
            Ok(found) => Ok(found),
            Err(reason) if self.how.device == Device::Cpu || moved => Err(self.failed(reason)),
            Err(reason) => {
                // If that cannot be had either, what went wrong first is what matters.
                let session = self.open_on(Device::Cpu).map_err(|_| self.failed(&reason))?;
                *seat = Seat { session, moved: Some(reason.to_string()), lost_in: None };
                run(&mut seat.session, true).map_err(|e| self.failed(e))
            }
        }
    }

    /// Runs where it is; if that fails it stays there, and says what the runtime said.
    pub(crate) fn on_device<T>(&self, run: impl FnOnce(&mut Session) -> ort::Result<T>) -> ort::Result<T> {
        run(&mut self.seat.lock().session)
    }

    /// Another session of it.
    pub(crate) fn open_on(&self, device: Device) -> Result<Session> {
        open(&self.pack, &self.name, &How { device, ..self.how.clone() })
    }

    /// Goes on on the CPU.
    pub(crate) fn leave_device(&self, reason: String) -> Result<()> {
        let session = self.open_on(Device::Cpu)?;
        *self.seat.lock() = Seat { session, moved: Some(reason), lost_in: None };
        Ok(())
    }

    /// File name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Names, types and shapes of the inputs; free dimensions are −1.
    pub(crate) fn inputs(&self) -> &[Outlet] {
        &self.inputs
    }

    /// Why it is no longer on the device that was asked for.
    pub(crate) fn moved(&self) -> Option<String> {
        self.seat.lock().moved.clone()
    }

    /// As if this graph ran on a device, and that failed after so many runs.
    pub(crate) fn lose_device(self: &mut Arc<Self>, after: u32) {
        if let Some(graph) = Arc::get_mut(self) {
            graph.how.device = Device::Cuda;
            graph.seat.get_mut().lost_in = Some(after);
        }
    }

    /// Complains unless there is an input of this name, type and shape (`None`: any size).
    pub(crate) fn expect_input(&self, name: &str, ty: TensorElementType, shape: &[Dim]) -> Result<()> {
        self.expect("input", &self.inputs, name, ty, shape)
    }

    /// The same for an output.
    pub(crate) fn expect_output(&self, name: &str, ty: TensorElementType, shape: &[Dim]) -> Result<()> {
        self.expect("output", &self.outputs, name, ty, shape)
    }

    fn expect(&self, role: &str, all: &[Outlet], name: &str, ty: TensorElementType, shape: &[Dim]) -> Result<()> {
        let expected = || format!("{role} {name} {ty} {}", shape_text(shape));
        let Some((_, found_ty, found)) = all.iter().find(|(n, ..)| n == name) else {
            let names: Vec<_> = all.iter().map(|(n, ..)| n.as_str()).collect();
            return Err(self.invalid(format!("{role}s {}", names.join(", ")), expected()));
        };
        // A free dimension of the graph (-1) takes any size.
        let fits = found.len() == shape.len()
            && found.iter().zip(shape).all(|(f, s)| *f < 0 || s.is_none_or(|s| *f == s as i64));
        if *found_ty == ty && fits {
            Ok(())
        } else {
            Err(self.invalid(format!("{role} {name} {found_ty} {found:?}"), expected()))
        }
    }

    /// Whether there is such an input and its first dimension is not the caller's to choose.
    pub(crate) fn is_fixed(&self, input: &str) -> bool {
        self.inputs.iter().any(|(name, _, shape)| name == input && shape.first().is_none_or(|d| *d >= 0))
    }

    /// The graph's `state_*` inputs with their fixed shapes.
    pub(crate) fn states(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let mut states = Vec::new();
        for (name, ty, shape) in self.inputs.iter().filter(|(n, ..)| n.starts_with("state_")) {
            let Ok(fixed) = shape.iter().map(|d| usize::try_from(*d)).collect::<std::result::Result<Vec<_>, _>>()
            else {
                return Err(self.invalid(format!("input {name} {shape:?}"), "a state of fixed shape".into()));
            };
            if values(&fixed).is_none() {
                return Err(self.invalid(format!("input {name} {shape:?}"), format!("at most {MAX_STATE} values")));
            }
            let dims: Vec<Dim> = fixed.iter().copied().map(Some).collect();
            self.expect_input(name, TensorElementType::Float32, &dims)?;
            self.expect_output(&format!("next_{name}"), *ty, &dims)?;
            states.push((name.clone(), fixed));
        }
        Ok(states)
    }

    pub(crate) fn invalid(&self, found: String, expected: String) -> Error {
        Error::PackInvalid { pack: self.pack.label(), file: self.name.clone(), found, expected }
    }

    pub(crate) fn failed(&self, reason: impl std::fmt::Display) -> Error {
        Error::Inference { pack: self.pack.label(), graph: self.name.clone(), reason: reason.to_string() }
    }
}

fn open(pack: &Pack, name: &str, how: &How) -> Result<Session> {
    let bytes = pack.read_graph(name)?;
    runtime::session(&bytes, name, how).map_err(|reason| match how.device {
        Device::Cpu => Error::Inference { pack: pack.label(), graph: name.into(), reason },
        other => Error::Device { device: other.to_string(), reason },
    })
}

/// Values in a state of this shape, unless a graph claims more than there can sensibly be.
fn values(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_STATE)
}

fn shape_text(shape: &[Dim]) -> String {
    let dims: Vec<_> = shape.iter().map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

/// 256 MiB; states are a few frames of a few hundred channels.
const MAX_STATE: usize = 1 << 26;

/// A stream of runs over a graph with `state_*` tensors, which are kept from run to run.
#[derive(Debug)]
pub(crate) struct StateStream {
    graph: Arc<Graph>,
    states: Vec<(String, String, DynValue)>,
    memory: usize,
}

impl StateStream {
    /// At the start of a stream: every state is zero.
    pub(crate) fn new(graph: Arc<Graph>) -> Result<Self> {
        let mut states = Vec::new();
        let mut memory = 0;
        for (name, shape) in graph.states()? {
            memory += shape.iter().skip(1).min().copied().unwrap_or(0);
            let zeros = vec![0.0_f32; values(&shape).unwrap_or(0)];
            let tensor = Tensor::from_array((shape, zeros)).map_err(|e| graph.failed(e))?;
            states.push((format!("next_{name}"), name, tensor.into_dyn()));
        }
        Ok(Self { graph, states, memory })
    }

    /// Another stream that has been given the same.
    pub(crate) fn another(&self) -> Result<Self> {
        let copy = |(next, name, state): &(String, String, DynValue)| {
            let (shape, values) = state.try_extract_tensor::<f32>()?;
            let tensor = Tensor::from_array((shape.clone(), values.to_vec()))?;
            Ok((next.clone(), name.clone(), tensor.into_dyn()))
        };
        let states = self.states.iter().map(copy).collect::<ort::Result<_>>().map_err(|e| self.graph.failed(e))?;
        Ok(Self { graph: Arc::clone(&self.graph), states, memory: self.memory })
    }

    /// Frames of past that a stream remembers at most: a stream started this much early from zero gives the same result
    /// from here on.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Runs over the next frames and hands the outputs to `read`.
    pub(crate) fn run<T>(
        &mut self,
        inputs: Vec<(&str, DynValue)>,
        mut read: impl FnMut(&Graph, &SessionOutputs<'_>) -> Result<T>,
    ) -> Result<T> {
        let Self { graph, states, .. } = self;
        let (result, next) = graph.with_session(|session, _| {
            let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> =
                Vec::with_capacity(inputs.len() + states.len());
            values.extend(inputs.iter().map(|(name, value)| (Cow::Borrowed(*name), value.into())));
            values.extend(states.iter().map(|(_, name, state)| (Cow::Borrowed(name.as_str()), state.into())));
            let mut outputs = session.run(values)?;
            let result = read(graph, &outputs);
            let next: Vec<_> = states.iter().map(|(output, ..)| outputs.remove(output)).collect();
            Ok((result, next))
        })?;
        let result = result?;
        for ((output, _, state), next) in states.iter_mut().zip(next) {
            *state = next.ok_or_else(|| graph.failed(format!("no output {output}")))?;
        }
        Ok(result)
    }
}

/// A tensor from a shape and data.
pub(crate) fn tensor<T>(graph: &Graph, shape: &[usize], data: Vec<T>) -> Result<DynValue>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    Tensor::from_array((shape.to_vec(), data)).map(Tensor::into_dyn).map_err(|e| graph.failed(e))
}

/// A whole output as a slice.
pub(crate) fn output<'o, T: ort::value::PrimitiveTensorElementType>(
    graph: &Graph,
    outputs: &'o SessionOutputs<'_>,
    name: &str,
) -> Result<&'o [T]> {
    let value = outputs.get(name).ok_or_else(|| graph.failed(format!("no output {name}")))?;
    let (_, data) = value.try_extract_tensor::<T>().map_err(|e| graph.failed(e))?;
    Ok(data)
}

impl StateStream {
    /// The graph, for building inputs.
    pub(crate) fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_memory_could_hold_is_no_state() {
        assert_eq!(values(&[1, 64, 3]), Some(192));
        assert_eq!(values(&[]), Some(1));
        assert_eq!(values(&[1, 1 << 40]), None);
        assert_eq!(values(&[usize::MAX, usize::MAX]), None);
    }
}
