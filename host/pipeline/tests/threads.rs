//! How many threads share an operation, and where. The only test here: the number is the process's.

mod common;

use common::{Adapters, REQUEST, ask};

#[test]
fn threads_of_requests_compute_alone() {
    // What the model takes by itself, also where there is one core.
    tch::set_num_threads(2);
    let adapters = Adapters::new().add("one", None);
    let host = adapters.load();
    ask(&host, "one", REQUEST).unwrap();
    let of_a_request = std::thread::spawn(tch::get_num_threads).join().unwrap();
    assert_eq!(of_a_request, 1);
}
