//! How many threads share an operation, and where. The only test here: the number is the process's.

mod common;

use common::{Adapters, REQUEST, ask};

#[test]
fn threads_of_requests_compute_alone_and_the_engine_does_not() {
    // What the model takes by itself, also where there is one core.
    tch::set_num_threads(2);
    let adapters = Adapters::new().add("one", None);
    let host = adapters.load();
    ask(&host, "one", REQUEST).unwrap();
    let of_a_request = std::thread::spawn(tch::get_num_threads).join().unwrap();
    assert_eq!(of_a_request, 1);
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let shared = names.filter(|name| name.starts_with("llm-")).count();
    assert_eq!(shared, 1, "the engine's pool has two threads, of which one is its own");
}
