//! Which cores threads run on.

/// Of the CPUs that this process may use one for each physical core: two on the same core share what multiplies. Empty where the system
/// does not let threads be bound.
#[cfg(target_os = "linux")]
pub(crate) fn physical() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    use std::collections::HashSet;

    let Ok(allowed) = sched_getaffinity(None) else {
        return Vec::new();
    };
    let mut seen = HashSet::new();
    let is_first_of_core = |cpu: &usize| {
        let siblings = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        // Where the system does not say, it is a core of its own.
        seen.insert(std::fs::read_to_string(siblings).unwrap_or_else(|_| cpu.to_string()))
    };
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .filter(is_first_of_core)
        .collect()
}

/// Has this thread run on that CPU only. `false` where the system refuses: it runs where it did.
#[cfg(target_os = "linux")]
pub(crate) fn bind_to(cpu: usize) -> bool {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn physical() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn bind_to(_: usize) -> bool {
    false
}
