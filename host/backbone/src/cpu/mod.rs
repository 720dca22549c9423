//! What work on a CPU is made of: threads that share it, tensors' memory as slices, and functions of many numbers.

mod cores;
pub(crate) mod math;
pub(crate) mod memory;
pub(crate) mod team;

use tch::{Device, Kind, Tensor};

/// Binds this thread, and those that work together with it, to a physical core each, and tells which. Nothing is bound, and none
/// told, where the process may use fewer cores than libtorch shares an operation of this thread between, or the system binds no threads.
pub fn bind_threads() -> Vec<usize> {
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    let mut cores = cores::physical();
    if cores.len() < threads {
        return Vec::new();
    }
    cores.truncate(threads);
    // libtorch's own threads begin with what is large enough for them, and run where the thread does that began them: so they begin now.
    let _ = Tensor::ones([1 << 20], (Kind::Float, Device::Cpu)).exp();
    if team::gather_on(&cores) { cores } else { Vec::new() }
}
