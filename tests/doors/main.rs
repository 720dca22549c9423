//! The doors that fuzzers try, tried with every test: their seeds, and a few mutations of each. `tests/fuzz` goes on from here for
//! as long as one likes.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

#[allow(unreachable_pub, reason = "the fuzzers' crate, whose module it is, makes it public")]
#[path = "../fuzz/src/doors/mod.rs"]
mod doors;
#[allow(unreachable_pub, reason = "likewise")]
#[path = "../fuzz/src/requests.rs"]
mod requests;

/// A few seconds' worth, all doors together.
const MUTATIONS: usize = 300;

#[test]
fn every_door_takes_a_seed_and_holds_against_mutations() {
    let mut random = SmallRng::seed_from_u64(1);
    let request: (&str, fn(&[u8])) = ("request", requests::request);
    for (name, door) in doors::DOORS.into_iter().chain([request]) {
        for seed in doors::seeds(name) {
            door(&seed);
            for _ in 0..MUTATIONS {
                let mut input = seed.clone();
                for _ in 0..random.random_range(1..4) {
                    mutate(&mut input, &mut random);
                }
                door(&input);
            }
        }
    }
}

/// One change: a byte, a piece that goes, a piece that comes twice, an end.
fn mutate(input: &mut Vec<u8>, random: &mut SmallRng) {
    if input.len() < 2 {
        return;
    }
    let at = random.random_range(1..input.len());
    let end = random.random_range(at..=input.len().min(at + 40));
    match random.random_range(0..4) {
        0 => {
            input[at] = *b"\0\x7f\xff\"\\{[]}:=,.*-0 9\n"
                .get(random.random_range(0..24))
                .unwrap_or(&(at as u8));
        }
        1 => drop(input.drain(at..end)),
        2 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        _ => input.truncate(at),
    }
}
