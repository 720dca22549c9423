//! Reaching definitions.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Graph, Rows, TooLarge};

/// What an [`Access`] does to its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Reads it.
    Use,
    /// Gives it a new value: the definitions before no longer reach beyond.
    Define,
    /// May change it, or a part of it: the definitions before still reach beyond.
    Update,
}

/// One access to a variable.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The node of the graph at which it happens.
    pub at: u32,
    /// Which variable.
    pub variable: u32,
    /// What it does.
    pub kind: AccessKind,
}

/// Definitions (bits) that are followed in one sweep. Sets of this size stay in the cache, and bound the memory to
/// 512 bytes a basic block; more definitions take more sweeps.
const SWEEP: usize = 4096;

/// Words of bit sets of one sweep: 512 MB. Only a single variable with very many definitions comes here.
const MAX_WORDS: usize = 64 << 20;

/// Which definitions reach which uses, as pairs of indices into `accesses`: a fixed point over bit sets, a set for each basic block.
///
/// `accesses` are sorted by [`Access::at`]; those of one node happen in their order. A [`AccessKind::Define`] of a variable
/// also ends the definitions of the variables in its row of `also_killed` (of `a.b`, where `a` is defined).
///
/// # Errors
/// [`TooLarge`], where there are more than `limit` pairs, or where the bit sets would take more than 512 MB.
pub fn reaching_definitions(
    graph: &Graph,
    accesses: &[Access],
    also_killed: &Rows,
    limit: usize,
) -> Result<Vec<(u32, u32)>, TooLarge> {
    let variables = also_killed.len();
    let is_definition = |access: &Access| access.kind != AccessKind::Use;
    // Only what is both defined and used can make a pair.
    let mut used = vec![false; variables];
    for access in accesses.iter().filter(|access| access.kind == AccessKind::Use) {
        used[access.variable as usize] = true;
    }
    let definitions = Rows::new(
        variables,
        accesses
            .iter()
            .zip(0..)
            .filter(|(access, _)| is_definition(access))
            .map(|(access, id)| (access.variable, id)),
    );
    let mut pairs = Vec::new();
    let mut sweep = Sweep::default();
    let mut blocks = None;
    for variable in 0..variables as u32 {
        let count = definitions.row(variable).len();
        if count == 0 || !used[variable as usize] {
            continue;
        }
        if !sweep.definitions.is_empty() && sweep.definitions.len() + count > SWEEP {
            let blocks = blocks.get_or_insert_with(|| Blocks::new(graph, accesses));
            std::mem::take(&mut sweep).run(accesses, also_killed, blocks, limit, &mut pairs)?;
        }
        sweep.ranges.resize(variables, 0..0);
        let first = sweep.definitions.len();
        sweep.definitions.extend_from_slice(definitions.row(variable));
        sweep.ranges[variable as usize] = first..sweep.definitions.len();
    }
    if !sweep.definitions.is_empty() {
        let blocks = blocks.get_or_insert_with(|| Blocks::new(graph, accesses));
        sweep.run(accesses, also_killed, blocks, limit, &mut pairs)?;
    }
    Ok(pairs)
}

/// The basic blocks of a graph: chains of nodes with nothing going in or out between.
struct Blocks {
    /// Indices into the accesses, block by block, in the order they happen.
    accesses: Rows,
    /// Blocks after each block.
    successors: Rows,
    predecessors: Rows,
}

impl Blocks {
    fn new(graph: &Graph, accesses: &[Access]) -> Self {
        const NONE: u32 = u32::MAX;
        let nodes = graph.len();
        let mut block_of = vec![NONE; nodes];
        // Edges within a block lead to its other nodes, all others to the first node of one.
        let mut is_first = vec![false; nodes];
        let mut chain = Vec::with_capacity(nodes);
        let mut count = 0;
        let continues = |node: u32| match graph.predecessors(node) {
            [before] => graph.successors(*before).len() == 1,
            _ => false,
        };
        let heads = (0..nodes as u32).filter(|&node| !continues(node));
        // A cycle that nothing enters has no head: any node of it will do.
        for head in heads.chain(0..nodes as u32) {
            if block_of[head as usize] != NONE {
                continue;
            }
            is_first[head as usize] = true;
            let mut node = head;
            loop {
                block_of[node as usize] = count;
                chain.push(node);
                match graph.successors(node) {
                    [next] if continues(*next) && block_of[*next as usize] == NONE => node = *next,
                    _ => break,
                }
            }
            count += 1;
        }
        let of_node = Rows::new(nodes, accesses.iter().zip(0..).map(|(access, id)| (access.at, id)));
        let in_blocks = chain.iter().flat_map(|&node| {
            of_node
                .row(node)
                .iter()
                .map(|&id| (block_of[accesses[id as usize].at as usize], id))
        });
        let mut edges = Vec::new();
        for node in 0..nodes as u32 {
            let into_blocks = graph.successors(node).iter().filter(|&&next| is_first[next as usize]);
            edges.extend(into_blocks.map(|&next| (block_of[node as usize], block_of[next as usize])));
        }
        Self {
            accesses: Rows::new(count as usize, in_blocks),
            successors: Rows::new(count as usize, edges.iter().copied()),
            predecessors: Rows::new(count as usize, edges.iter().map(|&(from, to)| (to, from))),
        }
    }
}

/// The definitions of some variables, followed together.
#[derive(Default)]
struct Sweep {
    /// Indices into the accesses; the place of one here is its bit.
    definitions: Vec<u32>,
    /// The bits of each variable's definitions; empty for variables of other sweeps.
    ranges: Vec<Range<usize>>,
}

impl Sweep {
    fn run(
        self,
        accesses: &[Access],
        also_killed: &Rows,
        blocks: &Blocks,
        limit: usize,
        pairs: &mut Vec<(u32, u32)>,
    ) -> Result<(), TooLarge> {
        let count = blocks.accesses.len();
        let words = self.definitions.len().div_ceil(64);
        if words.saturating_mul(count) > MAX_WORDS {
            return Err(TooLarge {
                what: "words of bit sets for reaching definitions",
                limit: MAX_WORDS,
            });
        }
        let mut bit_of = vec![u32::MAX; accesses.len()];
        for (&definition, bit) in self.definitions.iter().zip(0..) {
            bit_of[definition as usize] = bit;
        }
        // What leaves each block: first what it makes itself, then the fixed point. What it lets through is what it does
        // not end.
        let mut made = vec![0_u64; words * count];
        let mut passed = vec![u64::MAX; words * count];
        for block in 0..count as u32 {
            let row = block as usize * words..(block as usize + 1) * words;
            let (made, passed) = (&mut made[row.clone()], &mut passed[row]);
            for &id in blocks.accesses.row(block) {
                self.apply(
                    &accesses[id as usize],
                    bit_of[id as usize],
                    also_killed,
                    made,
                    Some(passed),
                );
            }
        }
        let mut entering = vec![0_u64; words * count];
        let mut queued = vec![true; count];
        let mut queue: VecDeque<u32> = (0..count as u32).collect();
        while let Some(block) = queue.pop_front() {
            queued[block as usize] = false;
            for word in 0..words {
                let mut set = 0;
                for &before in blocks.predecessors.row(block) {
                    let at = before as usize * words + word;
                    set |= made[at] | (entering[at] & passed[at]);
                }
                let at = block as usize * words + word;
                if set != entering[at] {
                    entering[at] = set;
                    for &after in blocks.successors.row(block) {
                        if !std::mem::replace(&mut queued[after as usize], true) {
                            queue.push_back(after);
                        }
                    }
                }
            }
        }
        for block in 0..count as u32 {
            let set = &mut entering[block as usize * words..(block as usize + 1) * words];
            for &id in blocks.accesses.row(block) {
                let access = &accesses[id as usize];
                if access.kind == AccessKind::Use {
                    let range = self.ranges[access.variable as usize].clone();
                    pairs.extend(ones(set, range).map(|bit| (self.definitions[bit], id)));
                    if pairs.len() > limit {
                        return Err(TooLarge {
                            what: "data dependences",
                            limit,
                        });
                    }
                } else {
                    self.apply(access, bit_of[id as usize], also_killed, set, None);
                }
            }
        }
        Ok(())
    }

    /// What an access does to a set of definitions, and to the set of those that are let through.
    fn apply(&self, access: &Access, bit: u32, also_killed: &Rows, set: &mut [u64], mut passed: Option<&mut [u64]>) {
        if access.kind == AccessKind::Define {
            for &variable in std::iter::once(&access.variable).chain(also_killed.row(access.variable)) {
                let range = self.ranges[variable as usize].clone();
                clear(set, range.clone());
                if let Some(passed) = passed.as_deref_mut() {
                    clear(passed, range);
                }
            }
        }
        if access.kind != AccessKind::Use && bit != u32::MAX {
            set[bit as usize / 64] |= 1 << (bit % 64);
        }
    }
}

/// The words of a set that a range of bits touches, each with the mask of the bits in the range.
fn masks(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let words = if range.is_empty() {
        0..0
    } else {
        range.start / 64..range.end.div_ceil(64)
    };
    words.map(move |word| {
        let from = range.start.saturating_sub(word * 64);
        let to = (range.end - word * 64).min(64);
        (word, (u64::MAX << from) & (u64::MAX >> (64 - to)))
    })
}

fn clear(set: &mut [u64], range: Range<usize>) {
    for (word, mask) in masks(range) {
        set[word] &= !mask;
    }
}

fn ones(set: &[u64], range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
    masks(range).flat_map(|(word, mask)| {
        let mut left = set[word] & mask;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(word * 64 + bit)
        })
    })
}
