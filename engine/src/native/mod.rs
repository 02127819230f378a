//! The stages and the codec's decoder on a processor, without the runtime, which takes two to four times as long (docs/speed.md): a
//! step of a stage is a few hundred operations on a few hundred numbers each.
//!
//! The graph's file stays what they are. If it says that it is of the form this knows (`segue.recipe` among its metadata:
//! docs/pack.md), the weights are read from it and the same is computed: `matrix` (and `x86`, `arm`) multiplies as `MatMulNBits` does, `forward`
//! is the transformer over time and the one over codebooks, `parallel` the network that adds the fine codebooks, `draw` the
//! sampling; `decoder` is the codec's, `dense` its products, `phases` what makes sound of levels. Any other graph, and any other
//! device, is the runtime's.

#[cfg(target_arch = "aarch64")]
mod arm;
mod attention;
mod decoder;
mod dense;
mod draw;
mod forward;
mod lanes;
mod maths;
mod matrix;
mod parallel;
mod phases;
#[cfg(test)]
mod tests;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use decoder::{DecoderWeights, Decoding};
pub(crate) use lanes::Lanes;
pub(crate) use parallel::{Frames, ParallelWeights};
pub(crate) use weights::Weights;

use crate::pack::onnx::{self, Constant, Constants};
use matrix::{Isa, Matrix, Portable};

/// Under which key.
const RECIPE: &str = "segue.recipe";

/// Values that are computed together.
const WIDE: usize = 16;

/// A table of half precision, [rows, width].
#[derive(Debug)]
struct Table {
    width: usize,
    halves: Vec<u16>,
}

impl Table {
    fn row(&self, row: usize) -> &[u16] {
        &self.halves[row * self.width..(row + 1) * self.width]
    }

    fn rows(&self) -> usize {
        self.halves.len() / self.width
    }
}

/// A graph's constants, by the names that the exporter gives.
struct Source<'a>(Constants<'a>);

/// (found, expected)
type Complaint = (String, String);

impl<'a> Source<'a> {
    /// A graph's constants and what it says of itself; `None` if it says nothing.
    fn of<R: serde::de::DeserializeOwned>(bytes: &'a [u8]) -> Result<Option<(R, Self)>, Complaint> {
        let Some(text) = onnx::metadata(bytes, RECIPE)? else { return Ok(None) };
        let recipe = serde_json::from_str(text)
            .map_err(|e| (format!("metadata {RECIPE}: {e}"), "what docs/pack.md says of it".to_owned()))?;
        Ok(Some((recipe, Self(onnx::constants(bytes)?))))
    }

    fn get(&self, name: &str) -> Result<&Constant<'_>, Complaint> {
        self.0.get(name).ok_or_else(|| (format!("no constant {name}"), format!("it, as {RECIPE} promises")))
    }

    fn wrong(name: &str, expected: &str) -> Complaint {
        (format!("constant {name}"), expected.to_owned())
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, Complaint> {
        self.get(name)?.floats().ok_or_else(|| Self::wrong(name, "numbers of 32 bits"))
    }

    /// Numbers of 32 bits under that name, or of half precision under the one with `_half` behind it, with their shape.
    fn shaped(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), Complaint> {
        match self.0.get(&format!("{name}_half")) {
            Some(found) => {
                let halves = found.halves().ok_or_else(|| Self::wrong(name, "numbers of half precision"))?;
                Ok((found.dims.clone(), halves.into_iter().map(maths::from_half).collect()))
            }
            None => Ok((self.get(name)?.dims.clone(), self.floats(name)?)),
        }
    }

    /// The same without their shape, or of half precision whatever they are called.
    fn numbers(&self, name: &str) -> Result<Vec<f32>, Complaint> {
        match self.0.get(name).and_then(Constant::halves) {
            Some(halves) => Ok(halves.into_iter().map(maths::from_half).collect()),
            None => Ok(self.shaped(name)?.1),
        }
    }

    fn integers(&self, name: &str) -> Result<Vec<i64>, Complaint> {
        self.get(name)?.integers().ok_or_else(|| Self::wrong(name, "integers of 64 bits"))
    }

    fn table(&self, name: &str) -> Result<Table, Complaint> {
        let name = format!("{name}_half");
        let found = self.get(&name)?;
        match (found.dims.as_slice(), found.halves()) {
            ([_, width], Some(halves)) if *width > 0 => Ok(Table { width: *width, halves }),
            _ => Err(Self::wrong(&name, "a table of half precision")),
        }
    }

    fn matrix(&self, name: &str) -> Result<Matrix, Complaint> {
        let found = self.get(&format!("{name}_Q8"))?;
        let scales = self.floats(&format!("{name}_scales"))?;
        let matrix = match found.dims.as_slice() {
            [outputs, blocks, matrix::BLOCK] => {
                found.bytes().and_then(|bytes| Matrix::new(*outputs, blocks * matrix::BLOCK, bytes, &scales))
            }
            _ => None,
        };
        matrix.ok_or_else(|| Self::wrong(name, "a matrix of 8 bits in blocks of 32, its outputs a multiple of 16"))
    }
}

/// Names what a processor is taken for, `avx512`, `avxvnni`, `avx2`, `dotprod` or `portable`, so that a bench can tell what a lesser one would do; what
/// it cannot do it is not taken for.
const CHOSEN: &str = "SEGUE_PROCESSOR";

/// What is compiled for each kind of processor: `on`, and everything inlined into it.
trait Work {
    fn on<I: Isa>(self);
}

/// What the processor here can do, found when weights are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same with AVX-VNNI: laptops since 2021 that have no AVX-512.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// ARM with dot products of bytes.
    #[cfg(target_arch = "aarch64")]
    Dotprod,
    /// Any.
    Portable,
}

impl Processor {
    /// The fastest that runs here, or the one that [`CHOSEN`] names.
    fn found() -> Self {
        let all = Self::all();
        let chosen = std::env::var(CHOSEN).unwrap_or_default();
        all.iter().copied().find(|one| one.name() == chosen).unwrap_or(all[0])
    }

    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avxvnni",
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => "dotprod",
            Self::Portable => "portable",
        }
    }

    /// Does it with what this processor can do: it is one of [`Self::all`].
    #[inline]
    fn run(self, work: impl Work) {
        match self {
            // SAFETY: the processor has been found to have these features.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { x86::on_avx512(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => unsafe { x86::on_avx_vnni(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::on_avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => unsafe { arm::on_dotprod(work) },
            Self::Portable => work.on::<Portable>(),
        }
    }

    /// Those that run here, the fastest first.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let wide = [
                is_x86_feature_detected!("avx512f"),
                is_x86_feature_detected!("avx512bw"),
                is_x86_feature_detected!("avx512dq"),
                is_x86_feature_detected!("avx512vl"),
                is_x86_feature_detected!("avx512vnni"),
            ];
            let narrow =
                [is_x86_feature_detected!("avx2"), is_x86_feature_detected!("fma"), is_x86_feature_detected!("f16c")];
            let narrow = narrow.iter().all(|has| *has);
            if narrow && wide.iter().all(|has| *has) {
                all.push(Self::Avx512);
            }
            if narrow && is_x86_feature_detected!("avxvnni") {
                all.push(Self::AvxVnni);
            }
            if narrow {
                all.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            all.push(Self::Dotprod);
        }
        all.push(Self::Portable);
        all
    }
}
