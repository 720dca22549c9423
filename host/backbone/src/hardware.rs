//! Which device and which element kind a backbone uses.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tch::{Cuda, Device, Kind, TchError, Tensor};

use crate::BackboneError;
use crate::config::ModelConfig;
use crate::step::{is_for, multiplies_tiles, multiplies_whole_numbers};

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device if libtorch has one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

/// In what kind of numbers to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtypeChoice {
    /// What is fastest: `bf16` on CUDA devices and on CPUs with AMX, [`Self::Int8`] on CPUs that have instructions for it, for models and
    /// weights that it is for; else `bf16` or `f32`, whichever the CPU multiplies faster.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// Brain floats: half the memory, 8 bits of precision.
    Bf16,
    /// `bf16`, and where packed weights are multiplied on a CPU, inputs rounded to 8 bits, with a scale for each 32, as llama.cpp does it. For
    /// llama and qwen2 models; others are as with [`Self::Bf16`], and so are these with [`WeightFormat::Full`].
    Int8,
}

/// In how many bits the weights are read for answers, on a CPU. Training reads them in full, and so do prompts in `bf16` where the CPU
/// has no AMX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// Matrix by matrix, 4 bits where these say all that is in the weights, as for those of a GGUF file in Q4_1, else 8.
    #[default]
    Auto,
    /// As the model computes.
    Full,
    /// 8 bits, with a scale for each 32 weights.
    Int8,
    /// 4 bits, with a scale and a smallest weight for each 32 weights.
    Int4,
}

/// How to load a backbone.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// In what kind of numbers.
    pub dtype: DtypeChoice,
    /// In how many bits weights are read for answers.
    pub weights: WeightFormat,
    /// Threads that libtorch uses for one operation; by default its own choice, the physical cores. It
    /// holds for the thread that loads, and for those that compute for the first time from then on.
    pub threads: Option<NonZeroUsize>,
}

impl LoadOptions {
    /// What the choices mean on this machine, for such a model.
    ///
    /// # Errors
    ///
    /// [`BackboneError::Device`] if the CUDA device is not there.
    pub(crate) fn resolve(&self, config: &ModelConfig) -> Result<Place, BackboneError> {
        let available = Cuda::device_count();
        let device = match self.device {
            DeviceChoice::Auto => Device::cuda_if_available(),
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Cuda(index) if i64::try_from(index).is_ok_and(|index| index < available) => {
                Device::Cuda(index)
            }
            DeviceChoice::Cuda(index) => {
                return Err(BackboneError::Device {
                    wanted: format!("cuda:{index}"),
                    available,
                });
            }
        };
        let can_round = device == Device::Cpu && self.weights != WeightFormat::Full && is_for(config);
        let inputs_in_int8 = can_round
            && match self.dtype {
                DtypeChoice::Auto => multiplies_whole_numbers() && !multiplies_tiles(),
                dtype => dtype == DtypeChoice::Int8,
            };
        let kind = match self.dtype {
            DtypeChoice::F32 => Kind::Float,
            DtypeChoice::Bf16 | DtypeChoice::Int8 => Kind::BFloat16,
            DtypeChoice::Auto if device != Device::Cpu || inputs_in_int8 || cpu_prefers_bf16() => Kind::BFloat16,
            DtypeChoice::Auto => Kind::Float,
        };
        let weights = self.weights;
        Ok(Place {
            device,
            kind,
            products: Products {
                weights,
                inputs_in_int8,
            },
        })
    }
}

/// Where a model computes, and in what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    pub(crate) products: Products,
}

/// How products with weights are made for answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Products {
    pub(crate) weights: WeightFormat,
    pub(crate) inputs_in_int8: bool,
}

/// Whether `bf16` is the faster kind on this CPU. With tiles it is, several times. That it has other instructions for it does not say so:
/// of a product of libtorch's, `bf16` takes 0.6 of the time of `f32` on a Zen 4, and 1.75 times as long on a Xeon whose tiles a virtual
/// machine hides. So there it is measured, once, in some 20 ms; a lead that another program could cause does not count.
fn cpu_prefers_bf16() -> bool {
    const LEAD: f64 = 1.2;
    static PREFERS: LazyLock<bool> = LazyLock::new(|| {
        let leads =
            || shortest_products().is_ok_and(|[single, brain]| brain.as_secs_f64() * LEAD < single.as_secs_f64());
        multiplies_tiles() || cpu_multiplies_bf16() && leads()
    });
    *PREFERS
}

/// The shortest times of products in `f32` and in `bf16` of the size that a small model's layers have for a prompt. They take turns, so
/// that what else the machine does is in both.
fn shortest_products() -> Result<[Duration; 2], TchError> {
    const REPEATS: usize = 12;
    tch::no_grad(|| {
        let factors = |kind| -> Result<_, TchError> {
            let ones = |rows| Tensor::f_ones([rows, 768], (kind, Device::Cpu));
            Ok((ones(128)?, ones(768)?))
        };
        let factors = [factors(Kind::Float)?, factors(Kind::BFloat16)?];
        let mut shortest = [Duration::MAX; 2];
        for _ in 0..REPEATS {
            for ((x, weights), shortest) in factors.iter().zip(&mut shortest) {
                let begun = Instant::now();
                let _product = x.f_linear(weights, None::<&Tensor>)?;
                *shortest = begun.elapsed().min(*shortest);
            }
        }
        Ok(shortest)
    })
}

/// Whether the CPU has instructions that multiply `bf16`. Without them it is emulated, slower than `f32`.
#[cfg(target_arch = "x86_64")]
fn cpu_multiplies_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_multiplies_bf16() -> bool {
    false
}
