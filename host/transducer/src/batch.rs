//! Many prompts and their graphs as one disjoint union: flat tensors of indices, so that no step of the forward pass
//! loops over graphs.

use crate::tensor::{Groups, indices, mask};
use crate::{GraphInput, TransducerConfig, TransducerError};
use std::ops::Range;
use tch::{Device, Tensor};

/// One code segment of a prompt.
#[derive(Clone, Debug)]
pub struct CodeInput<'a> {
    /// Where its tokens stand among the rows of the embeddings.
    pub rows: Range<usize>,
    /// Its graph; it knows as many tokens as there are rows.
    pub graph: &'a GraphInput,
}

/// One prompt: its code, and the text around it.
#[derive(Clone, Debug)]
pub struct PromptInput<'a> {
    /// The code segments; none for a prompt without code.
    pub codes: Vec<CodeInput<'a>>,
    /// The text, among the rows of the embeddings: runs of tokens in the order of the prompt. Its first
    /// [`TransducerConfig::task_tokens`] and its last [`TransducerConfig::reply_tokens`] are changed; of a text with fewer
    /// tokens the first ones come first. (Where it shares rows with code, both steps are added.)
    pub text: Vec<Range<usize>>,
}

/// Prompts prepared for one configuration, on one device.
///
/// The embeddings of all prompts are one `[rows, D]` tensor. A padded `[prompts, length, D]` batch is one too:
/// `embeddings.view([-1, D])`, where prompt `p` starts at row `p × length`.
#[derive(Debug)]
pub struct Batch {
    /// Rows of the embeddings that this batch is for.
    pub(crate) embedding_rows: usize,
    /// The configuration that it is for.
    pub(crate) config: TransducerConfig,
    /// The rows that are read: first the code tokens, then the task tokens, `[T + K]`.
    pub(crate) rows: Tensor,
    /// Where there are code tokens and they are read: for GVE and ABFL.
    pub(crate) graphs: Option<Graphs>,
    /// Where there are task tokens.
    pub(crate) tasks: Option<Tasks>,
}

/// The graphs of a batch, as one graph.
#[derive(Debug)]
pub(crate) struct Graphs {
    /// `T`.
    pub(crate) tokens: i64,
    /// Kind of each node, `[N]`.
    pub(crate) kinds: Tensor,
    /// The code tokens and the nodes that they belong to, some at a time, in the order of the nodes.
    pub(crate) pieces: Vec<Piece>,
    /// The place of each token among those of all pieces, `[T]`, where it is another.
    pub(crate) order: Option<Tensor>,
    /// How many tokens are written at a time.
    pub(crate) at_once: usize,
    /// The node that each token belongs to, `[T]`.
    pub(crate) leaves: Tensor,
    /// Where there are edges.
    pub(crate) edges: Option<Edges>,
    /// Where there is more than one graph.
    pub(crate) dense: Option<Dense>,
    /// The nodes of each prompt.
    pub(crate) prompts: Groups,
}

/// Code tokens whose embeddings are read together: all of them, or so many that what is made of them stays in the CPU's cache, and
/// in memory that the allocator has at hand.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Their rows among the embeddings, `[t]`.
    pub(crate) rows: Tensor,
    /// The tokens among them, those of one node side by side, `[t]`, and where each node's begin, `[n]`.
    pub(crate) own_tokens: (Tensor, Tensor),
}

/// The most numbers of a piece, 2 MiB, if no node alone has more.
const PIECE: usize = 1 << 19;

/// Edges along and against their direction, those into one node side by side.
#[derive(Debug)]
pub(crate) struct Edges {
    /// `source × R + relation`: the row of the message that the edge carries, `[E]`.
    pub(crate) messages: Tensor,
    /// The edges into each node.
    pub(crate) targets: Groups,
}

/// How the rows of several graphs become one padded tensor and back.
///
/// Attention of tokens over nodes is dense and padded rather than a list of token–node pairs: pairs cost a gathered key,
/// query and value of size `h` for each, some 16 times the memory of a score, where padding costs the difference between
/// the largest graph and the mean one; and libtorch has one fused operator for it.
#[derive(Debug)]
pub(crate) struct Dense {
    /// Graphs.
    pub(crate) graphs: i64,
    /// The token in each place of `[graphs, most tokens]`; any one where there is none.
    pub(crate) tokens: Tensor,
    /// The node in each place of `[graphs, most nodes]`; any one where there is none.
    pub(crate) nodes: Tensor,
    /// Whether there is a node, `[graphs, 1, 1, most nodes]`.
    pub(crate) is_node: Tensor,
    /// The place of each token in the padded tensor, `[T]`.
    pub(crate) places: Tensor,
}

/// The task tokens of a batch, `[K]` each.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Which of the `M` it is.
    pub(crate) which: Tensor,
    /// `prompt × M + which`, for what each prompt's graph says to it.
    pub(crate) slots: Tensor,
}

impl Batch {
    /// Prepares prompts over embeddings of `rows` rows for transducers of `config`.
    ///
    /// # Errors
    /// [`TransducerError::Range`] for tokens outside the embeddings, [`TransducerError::OffsetCount`] for a graph that
    /// knows another number of tokens than its segment has, [`TransducerError::Overlap`] for code segments that share
    /// tokens.
    pub fn new(
        config: &TransducerConfig,
        prompts: &[PromptInput<'_>],
        rows: usize,
        device: Device,
    ) -> Result<Self, TransducerError> {
        check(prompts, rows)?;
        let mut read: Vec<i64> = Vec::new();
        let graphs = config
            .parts
            .graph()
            .then(|| graphs(config, prompts, &mut read, device))
            .flatten();
        let tasks = tasks(config, prompts, &mut read, device);
        Ok(Self {
            embedding_rows: rows,
            config: config.clone(),
            rows: indices(&read, device),
            graphs,
            tasks,
        })
    }
}

/// Every range lies within the embeddings, and no two code segments share a token.
fn check(prompts: &[PromptInput<'_>], rows: usize) -> Result<(), TransducerError> {
    let within = |what, range: &Range<usize>| match range.start <= range.end && range.end <= rows {
        true => Ok(()),
        false => Err(TransducerError::Range {
            what,
            range: range.clone(),
            rows,
        }),
    };
    let mut segments = Vec::new();
    for prompt in prompts {
        for range in &prompt.text {
            within("text", range)?;
        }
        for code in &prompt.codes {
            within("code segment", &code.rows)?;
            if code.graph.tokens() != code.rows.len() {
                return Err(TransducerError::OffsetCount {
                    rows: code.rows.clone(),
                    offsets: code.graph.tokens(),
                });
            }
            segments.push(&code.rows);
        }
    }
    segments.retain(|range| !range.is_empty());
    segments.sort_by_key(|range| range.start);
    match segments.windows(2).find(|pair| pair[1].start < pair[0].end) {
        Some(pair) => Err(TransducerError::Overlap {
            first: pair[0].clone(),
            second: pair[1].clone(),
        }),
        None => Ok(()),
    }
}

/// The union of all graphs. Appends the rows of their code tokens to `rows`.
fn graphs(
    config: &TransducerConfig,
    prompts: &[PromptInput<'_>],
    rows: &mut Vec<i64>,
    device: Device,
) -> Option<Graphs> {
    let relations = config.relations() as i64;
    let relation: Vec<Option<i64>> = transducer_cpg::EdgeKind::ALL
        .iter()
        .map(|&kind| config.relation(kind).map(|place| place as i64))
        .collect();
    let (mut kinds, mut prompt_of, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    // Target and message of each edge.
    let mut edges = Vec::new();
    // Tokens and nodes of each graph.
    let mut sizes = Vec::new();
    for (prompt, code) in prompts
        .iter()
        .zip(0_i64..)
        .flat_map(|(input, at)| input.codes.iter().map(move |c| (at, c)))
    {
        let first = kinds.len() as i64;
        kinds.extend_from_slice(&code.graph.kinds);
        prompt_of.resize(kinds.len(), prompt);
        leaves.extend(code.graph.leaves.iter().map(|&leaf| first + i64::from(leaf)));
        for &(kind, source, target) in &code.graph.edges {
            let Some(along) = relation[kind as usize] else { continue };
            let (source, target) = (first + i64::from(source), first + i64::from(target));
            edges.push((target, source * relations + along));
            edges.push((source, target * relations + along + 1));
        }
        rows.extend(code.rows.clone().map(|row| row as i64));
        sizes.push((code.rows.len(), code.graph.nodes()));
    }
    if kinds.is_empty() {
        return None;
    }
    let (pieces, order) = pieces(&leaves, kinds.len(), rows, config.hidden, device);
    let at_once = match order {
        None => leaves.len().max(1),
        Some(_) => piece_tokens(config.hidden),
    };
    Some(Graphs {
        tokens: leaves.len() as i64,
        pieces,
        order,
        at_once,
        kinds: indices(&kinds, device),
        leaves: indices(&leaves, device),
        edges: (!edges.is_empty()).then(|| edges_by_target(edges, kinds.len(), device)),
        dense: (sizes.len() > 1).then(|| dense(&sizes, device)),
        prompts: Groups::new(&prompt_of, prompts.len(), device),
    })
}

fn edges_by_target(mut edges: Vec<(i64, i64)>, nodes: usize, device: Device) -> Edges {
    edges.sort_unstable();
    let (targets, messages): (Vec<i64>, Vec<i64>) = edges.into_iter().unzip();
    Edges {
        messages: indices(&messages, device),
        targets: Groups::new(&targets, nodes, device),
    }
}

/// The tokens with these nodes and rows, and their order in the pieces if it is another.
fn pieces(leaves: &[i64], nodes: usize, rows: &[i64], hidden: usize, device: Device) -> (Vec<Piece>, Option<Tensor>) {
    let (tokens, begins) = own_tokens(leaves, nodes);
    let piece = |rows: &[i64], tokens: &[i64], begins: &[i64]| Piece {
        rows: indices(rows, device),
        own_tokens: (indices(tokens, device), indices(begins, device)),
    };
    if tokens.len() * hidden <= PIECE {
        return (vec![piece(rows, &tokens, &begins)], None);
    }
    let begin = |node: usize| begins.get(node).map_or(tokens.len(), |&begin| begin as usize);
    let mut pieces = Vec::new();
    let mut node = 0;
    while node < nodes {
        let first = begin(node);
        let fits = |&end: &usize| begin(end) - first <= piece_tokens(hidden);
        let end = (node + 2..=nodes).take_while(fits).last().unwrap_or(node + 1);
        let own = &tokens[first..begin(end)];
        let rows: Vec<i64> = own.iter().map(|&token| rows[token as usize]).collect();
        let side_by_side: Vec<i64> = (0..own.len() as i64).collect();
        let begins: Vec<i64> = begins[node..end].iter().map(|begin| begin - first as i64).collect();
        pieces.push(piece(&rows, &side_by_side, &begins));
        node = end;
    }
    let mut places = vec![0; tokens.len()];
    for (&token, place) in tokens.iter().zip(0_i64..) {
        places[token as usize] = place;
    }
    (pieces, Some(indices(&places, device)))
}

/// Tokens of a piece.
fn piece_tokens(hidden: usize) -> usize {
    (PIECE / hidden).max(1)
}

/// Tokens ordered by their node, and where each node's begin.
fn own_tokens(leaves: &[i64], nodes: usize) -> (Vec<i64>, Vec<i64>) {
    let mut begins = vec![0_i64; nodes];
    for &leaf in leaves {
        begins[leaf as usize] += 1;
    }
    let mut sum = 0;
    for begin in &mut begins {
        sum += std::mem::replace(begin, sum);
    }
    let mut next = begins.clone();
    let mut tokens = vec![0_i64; leaves.len()];
    for (token, &leaf) in leaves.iter().enumerate() {
        let place = &mut next[leaf as usize];
        tokens[*place as usize] = token as i64;
        *place += 1;
    }
    (tokens, begins)
}

/// The padded form of graphs with these numbers of tokens and nodes.
fn dense(sizes: &[(usize, usize)], device: Device) -> Dense {
    let most_tokens = sizes.iter().map(|size| size.0).max().unwrap_or(0);
    let most_nodes = sizes.iter().map(|size| size.1).max().unwrap_or(0);
    let (mut tokens, mut nodes, mut is_node, mut places) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut token, mut node) = (0, 0);
    for &(own_tokens, own_nodes) in sizes {
        // What is padded names the first token and the first node: they exist, and the mask hides the node.
        let (tokens_end, nodes_end) = (tokens.len() + most_tokens, nodes.len() + most_nodes);
        places.extend((tokens.len()..tokens.len() + own_tokens).map(|place| place as i64));
        tokens.extend(token..token + own_tokens as i64);
        tokens.resize(tokens_end, 0);
        nodes.extend(node..node + own_nodes as i64);
        nodes.resize(nodes_end, 0);
        is_node.resize(is_node.len() + own_nodes, true);
        is_node.resize(nodes_end, false);
        (token, node) = (token + own_tokens as i64, node + own_nodes as i64);
    }
    let shape = [sizes.len() as i64, 1, 1, most_nodes as i64];
    Dense {
        graphs: sizes.len() as i64,
        tokens: indices(&tokens, device),
        nodes: indices(&nodes, device),
        is_node: mask(&is_node, device).view(shape),
        places: indices(&places, device),
    }
}

/// The first and the last tokens of each prompt's text. Appends their rows to `rows`.
fn tasks(config: &TransducerConfig, prompts: &[PromptInput<'_>], rows: &mut Vec<i64>, device: Device) -> Option<Tasks> {
    let (mut which, mut slots) = (Vec::new(), Vec::new());
    let (first, last) = (config.task_tokens, config.reply_tokens);
    for (prompt, slot) in prompts.iter().zip((0_i64..).step_by((first + last).max(1))) {
        let text: Vec<usize> = prompt.text.iter().cloned().flatten().collect();
        let (start, rest) = text.split_at(first.min(text.len()));
        // Those at the end are counted from the end, so that the last token has the same vector in every prompt.
        let end = rest.iter().rev().zip(first..first + last);
        for (&row, token) in start.iter().zip(0..first).chain(end) {
            rows.push(row as i64);
            which.push(token as i64);
            slots.push(slot + token as i64);
        }
    }
    (!which.is_empty()).then(|| Tasks {
        which: indices(&which, device),
        slots: indices(&slots, device),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<i64> {
        Vec::try_from(tensor).expect("numbers")
    }

    /// Pieces of two tokens: node 1 has three, nodes 0 and 4 have none.
    #[test]
    fn a_piece_has_whole_nodes_and_no_more_tokens_than_fit() {
        let (leaves, rows) = ([3, 1, 2, 1, 1, 3], [10, 11, 12, 13, 14, 15]);
        let (pieces, order) = pieces(&leaves, 5, &rows, PIECE / 2, Device::Cpu);
        let found: Vec<_> = pieces
            .iter()
            .map(|Piece { rows, own_tokens }| [rows, &own_tokens.0, &own_tokens.1].map(numbers))
            .collect();
        let expected = [
            [vec![], vec![], vec![0]],
            [vec![11, 13, 14], vec![0, 1, 2], vec![0]],
            [vec![12], vec![0], vec![0]],
            [vec![10, 15], vec![0, 1], vec![0, 2]],
        ];
        assert_eq!(found, expected);
        assert_eq!(order.as_ref().map(numbers), Some(vec![4, 0, 3, 1, 2, 5]));
    }

    #[test]
    fn few_tokens_are_one_piece_in_their_order() {
        let (pieces, order) = pieces(&[1, 0, 1], 2, &[7, 8, 9], 64, Device::Cpu);
        assert!(order.is_none() && pieces.len() == 1);
        let Piece { rows, own_tokens } = &pieces[0];
        assert_eq!(
            [rows, &own_tokens.0, &own_tokens.1].map(numbers),
            [vec![7, 8, 9], vec![1, 0, 2], vec![0, 1]]
        );
    }
}
