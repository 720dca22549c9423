//! Extraction of data flow, as GraphCodeBERT defines it (Guo et al. 2021, arXiv 2009.08366, section 3).
//!
//! Every token that is a value gets a relation to where it comes from. `states` holds, for each name, the places of
//! its last values. Quirks of the program are kept: a part that it does not expect ends the extraction, and the text
//! then has no data flow at all. So do the limits below, the first of which is the program's too: it recurses, and
//! Python stops it at a depth of a thousand less a few.

use std::collections::{BTreeSet, HashMap};

use crate::Language;
use crate::dataflow::merge;
use crate::tokens::{Symbol, Token, is_token, token_nodes, tokens};
use crate::tree::Flat;

/// The deepest tree that is read.
const MAX_DEPTH: usize = 980;
/// Most nodes and relations that are made. Loops are read twice, those in loops four times, and so on.
const MAX_STEPS: usize = 1_000_000;

/// How a value came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Relation {
    /// It is another's.
    ComesFrom,
    /// It was assigned.
    ComputedFrom,
}

/// A value and its sources.
pub(crate) struct Flow {
    pub(crate) symbol: Symbol,
    pub(crate) at: u32,
    pub(crate) relation: Relation,
    pub(crate) from: Vec<Symbol>,
    pub(crate) from_at: Vec<u32>,
}

type States = HashMap<Symbol, Vec<u32>>;

struct Walk<'a> {
    tree: &'a Flat<'a>,
    language: Language,
    /// For each node that spans what a token spans, that token.
    tokens: Vec<Option<Token>>,
    names: Vec<String>,
    states: States,
    flows: Vec<Flow>,
    steps: usize,
}

/// The relations in a text; none if they cannot be told.
pub(crate) fn extract(language: Language, text: &str, tree: &Flat<'_>) -> Option<Vec<Flow>> {
    if tree.nodes.iter().any(|node| node.depth > MAX_DEPTH) {
        return None;
    }
    let (tokens, names) = tokens(text, tree)?;
    let mut walk = Walk {
        tree,
        language,
        tokens,
        names,
        states: States::new(),
        flows: Vec::new(),
        steps: 0,
    };
    walk.visit(0)?;
    Some(walk.flows)
}

/// What a node means to data flow.
enum Role {
    Token,
    /// A name and a value: the name comes from the value.
    Definition(Option<usize>, Option<usize>),
    /// Targets and sources, compared one by one.
    PythonAssignment,
    /// One target, one source.
    Assignment,
    Increment,
    If,
    For,
    Each(&'static str, &'static str),
    PythonFor,
    While,
    Other,
}

impl Walk<'_> {
    fn role(&self, node: usize) -> Role {
        let tree = self.tree;
        if is_token(tree, node) {
            return Role::Token;
        }
        let field = |name| tree.field(node, name);
        match (self.language, tree.nodes[node].kind) {
            (Language::Python, "default_parameter") | (Language::Java, "variable_declarator") => {
                Role::Definition(field("name"), field("value"))
            }
            (Language::CSharp, "variable_declarator") => {
                let children: Vec<_> = tree.children(node).take(3).collect();
                // With an `=` between them, as in today's grammar, name and value are three: then there is no value.
                let value = children.get(1).copied().filter(|_| children.len() == 2);
                Role::Definition(children.first().copied(), value)
            }
            (Language::Python, "assignment" | "augmented_assignment" | "for_in_clause") => Role::PythonAssignment,
            (Language::Java | Language::CSharp, "assignment_expression") => Role::Assignment,
            (Language::Java, "update_expression") | (Language::CSharp, "postfix_unary_expression") => Role::Increment,
            (_, "if_statement") | (Language::Java | Language::CSharp, "else") => Role::If,
            (Language::Python, "for_statement") => Role::PythonFor,
            (_, "for_statement") => Role::For,
            (Language::Java, "enhanced_for_statement") => Role::Each("name", "value"),
            // Today's grammar says `foreach_statement`, which the program does not know.
            (Language::CSharp, "for_each_statement") => Role::Each("left", "right"),
            (_, "while_statement") => Role::While,
            _ => Role::Other,
        }
    }

    fn visit(&mut self, node: usize) -> Option<()> {
        self.charge(1)?;
        match self.role(node) {
            Role::Token => self.token(node),
            Role::Definition(name, value) => self.definition(name?, value),
            Role::PythonAssignment => self.python_assignment(node),
            Role::Assignment => {
                let tree = self.tree;
                let right = tree.field(node, "right")?;
                self.visit(right)?;
                self.relate(tree.field(node, "left")?, right, Relation::ComputedFrom)
            }
            Role::Increment => self.relate(node, node, Relation::ComputedFrom),
            Role::If => self.branches(node),
            Role::For => self.counting_loop(node),
            Role::Each(name, value) => self.each_loop(node, name, value),
            Role::PythonFor => self.python_loop(node),
            Role::While => {
                let before = self.flows.len();
                self.visit_all(node)?;
                self.visit_all(node)?;
                self.merge_since(before);
                Some(())
            }
            Role::Other => self.visit_children(node),
        }
    }

    fn charge(&mut self, steps: usize) -> Option<()> {
        self.steps += steps;
        (self.steps <= MAX_STEPS).then_some(())
    }

    fn visit_all(&mut self, node: usize) -> Option<()> {
        let tree = self.tree;
        tree.children(node).try_for_each(|child| self.visit(child))
    }

    /// A comprehension's clauses bind names that stand before them, so they come first.
    fn visit_children(&mut self, node: usize) -> Option<()> {
        let tree = self.tree;
        if self.language != Language::Python {
            return self.visit_all(node);
        }
        let clause = |child: &usize| tree.nodes[*child].kind == "for_in_clause";
        tree.children(node)
            .filter(clause)
            .try_for_each(|child| self.visit(child))?;
        tree.children(node)
            .filter(|child| !clause(child))
            .try_for_each(|child| self.visit(child))
    }

    /// A token that is not its own kind, as keywords and signs are.
    fn value_of(&self, node: usize) -> Option<Option<Token>> {
        let token = self.tokens[node]?;
        let fixed = self.names[token.symbol as usize] == self.tree.nodes[node].kind;
        Some(Some(token).filter(|_| !fixed))
    }

    fn values(&self, node: usize) -> Option<Vec<Token>> {
        let mut values = Vec::new();
        for node in token_nodes(self.tree, node) {
            values.extend(self.value_of(node)?);
        }
        Some(values)
    }

    fn token(&mut self, node: usize) -> Option<()> {
        let Some(Token { at, symbol }) = self.value_of(node)? else {
            return Some(());
        };
        let (from, from_at) = match self.states.get(&symbol) {
            Some(places) => (vec![symbol], places.clone()),
            None => {
                if self.tree.nodes[node].kind == "identifier" {
                    self.states.insert(symbol, vec![at]);
                }
                (Vec::new(), Vec::new())
            }
        };
        self.charge(from_at.len())?;
        self.push(symbol, at, Relation::ComesFrom, from, from_at);
        Some(())
    }

    fn push(&mut self, symbol: Symbol, at: u32, relation: Relation, from: Vec<Symbol>, from_at: Vec<u32>) {
        self.flows.push(Flow {
            symbol,
            at,
            relation,
            from,
            from_at,
        });
    }

    fn definition(&mut self, name: usize, value: Option<usize>) -> Option<()> {
        if let Some(value) = value {
            self.visit(value)?;
            return self.relate(name, value, Relation::ComesFrom);
        }
        for Token { at, symbol } in self.values(name)? {
            self.push(symbol, at, Relation::ComesFrom, Vec::new(), Vec::new());
            self.states.insert(symbol, vec![at]);
        }
        Some(())
    }

    /// Each value on the left has each on the right as its source, one relation a pair.
    fn relate(&mut self, left: usize, right: usize, relation: Relation) -> Option<()> {
        let (left, right) = (self.values(left)?, self.values(right)?);
        self.charge(left.len() * right.len())?;
        for Token { at, symbol } in left {
            for source in &right {
                self.push(symbol, at, relation, vec![source.symbol], vec![source.at]);
            }
            self.states.insert(symbol, vec![at]);
        }
        Some(())
    }

    /// Likewise, one relation for all that is on the right; the two sides are lists of equal length.
    fn relate_each(&mut self, left: &[usize], right: &[usize]) -> Option<()> {
        for (left, right) in left.iter().zip(right) {
            let (left, right) = (self.values(*left)?, self.values(*right)?);
            self.charge(left.len() * right.len())?;
            for Token { at, symbol } in left {
                let from = right.iter().map(|source| source.symbol).collect();
                let from_at = right.iter().map(|source| source.at).collect();
                self.push(symbol, at, Relation::ComputedFrom, from, from_at);
                self.states.insert(symbol, vec![at]);
            }
        }
        Some(())
    }

    /// The two sides, part by part if they have equally many parts. Any parts: those of `a.b` are three.
    fn sides(&self, node: usize) -> Option<(Vec<usize>, Vec<usize>)> {
        let tree = self.tree;
        let (left, right) = (tree.field(node, "left")?, tree.field(node, "right")?);
        let parts = |side| {
            tree.children(side)
                .filter(|part| tree.nodes[*part].kind != ",")
                .collect()
        };
        let (left_parts, right_parts): (Vec<_>, Vec<_>) = (parts(left), parts(right));
        if left_parts.len() != right_parts.len() || left_parts.is_empty() {
            return Some((vec![left], vec![right]));
        }
        Some((left_parts, right_parts))
    }

    fn python_assignment(&mut self, node: usize) -> Option<()> {
        let tree = self.tree;
        let (left, right) = if tree.nodes[node].kind == "for_in_clause" {
            (vec![tree.field(node, "left")?], vec![tree.children(node).last()?])
        } else if tree.field(node, "right").is_none() {
            return Some(());
        } else {
            self.sides(node)?
        };
        right.iter().try_for_each(|part| self.visit(*part))?;
        self.relate_each(&left, &right)
    }

    fn branches(&mut self, node: usize) -> Option<()> {
        let tree = self.tree;
        let before = self.states.clone();
        self.charge(before.len())?;
        let mut ends: Vec<States> = Vec::new();
        let mut current = before.clone();
        let mut exhaustive = tree.nodes[node].kind.contains("else");
        let mut alternative = false;
        for child in tree.children(node) {
            let kind = tree.nodes[child].kind;
            exhaustive |= kind.contains("else");
            let starts = match self.language {
                Language::Python => matches!(kind, "elif_clause" | "else_clause"),
                // From the first `else` on, every part is one.
                _ => alternative || matches!(kind, "if_statement" | "else"),
            };
            alternative = starts;
            self.states = if starts {
                before.clone()
            } else {
                std::mem::take(&mut current)
            };
            self.visit(child)?;
            let after = std::mem::take(&mut self.states);
            if starts {
                self.charge(after.len())?;
                ends.push(after);
            } else {
                current = after;
            }
        }
        ends.push(current);
        if !exhaustive {
            ends.push(before);
        }
        let mut joined: HashMap<Symbol, BTreeSet<u32>> = HashMap::new();
        for (symbol, places) in ends.into_iter().flatten() {
            joined.entry(symbol).or_default().extend(places);
        }
        self.states = joined
            .into_iter()
            .map(|(symbol, places)| (symbol, places.into_iter().collect()))
            .collect();
        Some(())
    }

    /// Everything once, then again what follows the declaration.
    fn counting_loop(&mut self, node: usize) -> Option<()> {
        let tree = self.tree;
        let before = self.flows.len();
        self.visit_all(node)?;
        let declaration = |child: &usize| tree.nodes[*child].kind == "local_variable_declaration";
        let again = tree.children(node).skip_while(|child| !declaration(child)).skip(1);
        for child in again {
            self.visit(child)?;
        }
        self.merge_since(before);
        Some(())
    }

    fn each_loop(&mut self, node: usize, name: &str, value: &str) -> Option<()> {
        let tree = self.tree;
        let before = self.flows.len();
        for _ in 0..2 {
            let value = tree.field(node, value)?;
            self.visit(value)?;
            self.relate(tree.field(node, name)?, value, Relation::ComputedFrom)?;
            self.visit(tree.field(node, "body")?)?;
        }
        self.merge_since(before);
        Some(())
    }

    fn python_loop(&mut self, node: usize) -> Option<()> {
        let tree = self.tree;
        let before = self.flows.len();
        for _ in 0..2 {
            let (left, right) = self.sides(node)?;
            right.iter().try_for_each(|part| self.visit(*part))?;
            self.relate_each(&left, &right)?;
            let last = tree
                .children(node)
                .last()
                .filter(|last| tree.nodes[*last].kind == "block");
            if let Some(body) = last {
                self.visit(body)?;
            }
        }
        self.merge_since(before);
        Some(())
    }

    /// Makes one of what a loop's two readings found alike.
    fn merge_since(&mut self, before: usize) {
        let flows = self.flows.split_off(before);
        self.steps += flows.len();
        self.flows
            .extend(merge(flows, |flow| (flow.symbol, flow.at, flow.relation)));
    }
}
