//! Attention of the tokens of a prompt in `f32`: a lane of a register for each token's query, with the keys one after the other.
//!
//! A sum over the numbers of a head, or over keys, is then a sum in a register: nothing is added up across lanes.

use super::{HEAD_DIM, avx2, avx512};
use crate::cpu::memory::Element;

/// Keys and values come in whole blocks of this many: what is multiplied together.
const BLOCK: usize = 16;

/// What the tokens of a sequence attend to, the keys and values of one head, in `f32`.
pub(in super::super) struct Seen {
    /// Whole blocks; behind the last key there are zeros.
    pub(super) keys: Vec<[f32; HEAD_DIM]>,
    pub(super) values: Vec<[f32; HEAD_DIM]>,
}

/// Whether this CPU, and heads of this size, are what this is for.
pub(in super::super) fn is_for(head_dim: usize) -> bool {
    head_dim == HEAD_DIM && (avx512::is_there() || avx2::is_there())
}

impl Seen {
    /// Both are `[tokens, HEAD_DIM]`.
    pub(in super::super) fn new<E: Element>(keys: &[E], values: &[E]) -> Self {
        assert!(keys.len() == values.len());
        let numbers = |of: &[E]| -> Vec<[f32; HEAD_DIM]> {
            let (of, _) = of.as_chunks::<HEAD_DIM>();
            of.iter().map(|numbers| numbers.map(E::to_f32)).collect()
        };
        let (mut keys, values) = (numbers(keys), numbers(values));
        keys.resize(values.len().next_multiple_of(BLOCK), [0.0; HEAD_DIM]);
        Self { keys, values }
    }
}

/// Rows of which each has a head at its beginning, and how far one is from the next: the last may end behind its head.
pub(super) type Heads<'a> = (&'a [f32], usize);

/// Likewise, to write to.
pub(super) type HeadsMut<'a> = (&'a mut [f32], usize);

/// Attention of some tokens, one after the other, of which the first sees `before` tokens and itself, with the heads `seen`, each
/// of which `group` heads of queries share: `rows [tokens, ..]` begin with the queries, which are already divided by
/// `sqrt(HEAD_DIM)`; `out [tokens, heads HEAD_DIM]`.
pub(in super::super) fn attend(seen: &[Seen], group: usize, before: usize, rows: (&[f32], usize), out: &mut [f32]) {
    assert!(is_for(HEAD_DIM));
    if avx512::is_there() {
        // SAFETY: the CPU has what the function is compiled for.
        attend_in(
            seen,
            group,
            before,
            rows,
            out,
            |seen, before, queries, scores, out| unsafe {
                avx512::attention::attend(seen, before, queries, scores, out);
            },
        );
    } else {
        // SAFETY: likewise.
        attend_in(
            seen,
            group,
            before,
            rows,
            out,
            |seen, before, queries, scores, out| unsafe {
                avx2::attention::attend(seen, before, queries, scores, out);
            },
        );
    }
}

/// In lanes for so many tokens.
fn attend_in<const TOKENS: usize>(
    seen: &[Seen],
    group: usize,
    before: usize,
    (rows, per_row): (&[f32], usize),
    out: &mut [f32],
    attend: impl Fn(&Seen, usize, Heads<'_>, &mut Vec<[f32; TOKENS]>, HeadsMut<'_>),
) {
    let width = seen.len() * group * HEAD_DIM;
    let tokens = out.len() / width;
    assert!(tokens >= 1 && rows.len() == tokens * per_row && out.len() == tokens * width && per_row >= width);
    let mut scores = Vec::new();
    let parts = rows.chunks(TOKENS * per_row).zip(out.chunks_mut(TOKENS * width));
    for (before, (rows, out)) in (before..).step_by(TOKENS).zip(parts) {
        for (head, start) in (0..width).step_by(HEAD_DIM).enumerate() {
            let (queries, out) = ((&rows[start..], per_row), (&mut out[start..], width));
            attend(&seen[head / group], before, queries, &mut scores, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::prompts_attend;
    use super::{HEAD_DIM, Seen, attend, attend_in, avx2, is_for};

    #[test]
    fn tokens_attend_to_those_before_them_and_to_themselves() {
        if !is_for(HEAD_DIM) {
            return;
        }
        prompts_attend(1e-5, |heads, group, before, rows, out| {
            let seen: Vec<_> = heads.iter().map(|(keys, values)| Seen::new(keys, values)).collect();
            attend(&seen, group, before, rows, out);
        });
    }

    /// What CPUs without AVX-512 do, on one with it, too.
    #[test]
    fn eight_at_a_time_do_the_same() {
        if !avx2::is_there() {
            return;
        }
        prompts_attend(1e-5, |heads, group, before, rows, out| {
            let seen: Vec<_> = heads.iter().map(|(keys, values)| Seen::new(keys, values)).collect();
            // SAFETY: the CPU has what the function is compiled for.
            attend_in(
                &seen,
                group,
                before,
                rows,
                out,
                |seen, before, queries, scores, out| unsafe {
                    avx2::attention::attend(seen, before, queries, scores, out);
                },
            );
        });
    }
}
