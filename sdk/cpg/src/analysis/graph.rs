//! Adjacency as flat rows.

/// A list of numbers for each of `0..n`, all in one vector.
#[derive(Clone, Debug)]
pub struct Rows {
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl Rows {
    /// Groups `(row, value)` pairs by row; a row keeps the order of its pairs. Rows are below `rows`.
    pub fn new(rows: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0_u32; rows + 1];
        for (row, _) in pairs.clone() {
            starts[row as usize + 1] += 1;
        }
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut values = vec![0; starts[rows] as usize];
        for (row, value) in pairs {
            let place = &mut next[row as usize];
            values[*place as usize] = value;
            *place += 1;
        }
        Self { starts, values }
    }

    /// The numbers of a row.
    pub fn row(&self, row: u32) -> &[u32] {
        &self.values[self.starts[row as usize] as usize..self.starts[row as usize + 1] as usize]
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A directed graph with both directions at hand.
#[derive(Clone, Debug)]
pub struct Graph {
    successors: Rows,
    predecessors: Rows,
}

impl Graph {
    /// A graph of `nodes` nodes; the ends of `edges` are below it.
    pub fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        Self {
            successors: Rows::new(nodes, edges.iter().copied()),
            predecessors: Rows::new(nodes, edges.iter().map(|&(source, target)| (target, source))),
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.successors.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where edges lead from a node.
    pub fn successors(&self, node: u32) -> &[u32] {
        self.successors.row(node)
    }

    /// Where edges lead to a node from.
    pub fn predecessors(&self, node: u32) -> &[u32] {
        self.predecessors.row(node)
    }

    /// Every edge, turned around.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            successors: self.predecessors,
            predecessors: self.successors,
        }
    }

    /// The nodes reachable from `root`, each after all that it leads to but for cycles (depth-first post-order).
    pub fn post_order(&self, root: u32) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.len());
        let mut seen = vec![false; self.len()];
        seen[root as usize] = true;
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.last_mut() {
            match self.successors(*node).get(*next) {
                Some(&successor) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[successor as usize], true) {
                        stack.push((successor, 0));
                    }
                }
                None => {
                    order.push(*node);
                    stack.pop();
                }
            }
        }
        order
    }
}
