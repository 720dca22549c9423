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
    // The engine's thread shares a step with the other threads of its pool.
    // One that ends meanwhile has no name any more.
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names: Vec<String> = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok())
        .collect();
    assert!(names.iter().any(|name| name.trim() == "llm-1"), "{names:?}");
}
