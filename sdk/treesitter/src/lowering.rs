//! Lowering as a stack of tasks, not a recursion: a task adds one node and pushes a task for each child, so that nodes come in
//! pre-order and nesting is bounded by memory alone.

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::cpg::{CpgBuilder, EdgeKind, NameId, NodeId, NodeKind, NodeSpec, Severity, Span};

use crate::{Field, Kind, Syntax, SyntaxId};

/// Bytes of a name that is taken over as such. Longer ones come from broken code only, and would be kept twice.
const LONGEST_NAME: usize = 4096;

/// What a child is to its parent, besides its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// No more than that.
    Plain,
    /// An argument of the call.
    Argument,
    /// The object that the call is made on: it is an argument as well.
    Receiver,
    /// The function that the call calls, itself a value.
    Callee,
    /// The condition of the control structure.
    Condition,
}

/// What to make of a piece of syntax, and where.
#[derive(Clone, Copy, Debug)]
pub struct Task<W> {
    /// What to make.
    pub what: W,
    /// The node that it goes below.
    pub parent: NodeId,
    /// Its place there, see [`Node::order`](transducer_frontend::cpg::Node::order).
    pub order: u32,
    /// What it is there.
    pub role: Role,
}

/// The state of a lowering; `W` is what a language's tasks can make.
#[derive(Debug)]
pub struct Lowering<'a, K, F, W> {
    /// The text.
    pub source: &'a str,
    /// Its syntax.
    pub syntax: &'a Syntax<K, F>,
    /// The graph so far.
    pub cpg: &'a mut CpgBuilder,
    budget: &'a Budget,
    stack: Vec<Task<W>>,
    /// Tasks from here on were pushed by the present task, in the order in which they are to be done.
    settled: usize,
    steps: u32,
    /// Where each line but the first starts; found when the first line is asked for.
    line_starts: Vec<u32>,
}

impl<'a, K: Kind, F: Field, W: Copy> Lowering<'a, K, F, W> {
    /// A lowering that adds to `cpg`. Push the first tasks, then do one after the other until [`Lowering::next_task`] has none.
    pub fn new(source: &'a str, syntax: &'a Syntax<K, F>, cpg: &'a mut CpgBuilder, budget: &'a Budget) -> Self {
        Self {
            source,
            syntax,
            cpg,
            budget,
            stack: Vec::new(),
            settled: 0,
            steps: 0,
            line_starts: Vec::new(),
        }
    }

    /// What to do next; none at the end, and where the budget is spent, which is said in a diagnostic. At the end the nodes
    /// whose place among their siblings is not a role are numbered.
    pub fn next_task(&mut self) -> Option<Task<W>> {
        self.stack[self.settled..].reverse();
        let task = self.stack.pop().filter(|_| !self.is_spent());
        if task.is_none() {
            self.stack.clear();
            self.number_siblings();
        }
        self.settled = self.stack.len();
        task
    }

    fn is_spent(&mut self) -> bool {
        // Looking at the clock costs as much as lowering a node.
        self.steps = self.steps.wrapping_add(1);
        let late = self.steps.is_multiple_of(1024) && self.budget.is_late();
        if self.cpg.nodes().len() < self.budget.max_nodes && !late {
            return false;
        }
        let last = self.cpg.nodes().last();
        let (span, line) = last.map_or((Span::default(), 1), |node| (node.span, node.line));
        let limit = if late {
            "time limit".to_owned()
        } else {
            format!("limit of {} nodes", self.budget.max_nodes)
        };
        let message = format!("the {limit} was reached: the source after this is left out");
        self.cpg.diagnostic(Severity::Error, span, line, message);
        true
    }

    /// Numbers the children of nodes whose children have no role of their own.
    fn number_siblings(&mut self) {
        let mut counts = vec![0_u32; self.cpg.nodes().len()];
        for node in 1..self.cpg.nodes().len() as NodeId {
            let parent = self.cpg.parents()[node as usize] as usize;
            let has_roles = matches!(
                self.cpg.nodes()[parent].kind,
                NodeKind::Call | NodeKind::ControlStructure | NodeKind::Return | NodeKind::MethodRef
            );
            if !has_roles {
                counts[parent] += 1;
                self.cpg.node_mut(node).order = counts[parent];
            }
        }
    }

    // The source.

    /// The text of a syntax node.
    pub fn text(&self, syntax: SyntaxId) -> &'a str {
        self.span(syntax).text(self.source).unwrap_or_default()
    }

    /// The span of a syntax node.
    pub fn span(&self, syntax: SyntaxId) -> Span {
        let node = self.syntax.node(syntax);
        Span {
            start: node.start,
            end: node.end,
        }
    }

    /// The line of a byte, from 1.
    pub fn line_of(&mut self, byte: u32) -> u32 {
        if self.line_starts.is_empty() {
            let starts = self.source.bytes().zip(1..).filter(|&(byte, _)| byte == b'\n');
            self.line_starts.extend(starts.map(|(_, next)| next));
        }
        self.line_starts.partition_point(|&start| start <= byte) as u32 + 1
    }

    /// A name, cut where it is longer than any that people write.
    pub fn name(&mut self, text: &str) -> NameId {
        self.cpg.intern(&text[..text.floor_char_boundary(LONGEST_NAME)])
    }

    /// The text of a syntax node as a name.
    pub fn text_name(&mut self, syntax: SyntaxId) -> NameId {
        let text = self.text(syntax);
        self.name(text)
    }

    // The graph.

    /// Adds the node of a task over a syntax node, and the edges of its role.
    pub fn add(&mut self, task: Task<W>, kind: NodeKind, syntax: SyntaxId, name: NameId) -> NodeId {
        let line = self.syntax.node(syntax).line;
        self.add_span(task, kind, self.span(syntax), line, name)
    }

    /// Adds the node of a task over a span, and the edges of its role.
    pub fn add_span(&mut self, task: Task<W>, kind: NodeKind, span: Span, line: u32, name: NameId) -> NodeId {
        let Task {
            parent, order, role, ..
        } = task;
        let spec = NodeSpec {
            kind,
            span,
            line,
            order,
            name,
        };
        let id = self.cpg.add(parent, spec);
        if matches!(role, Role::Argument | Role::Receiver) {
            self.cpg.edge(EdgeKind::Argument, parent, id);
        }
        if matches!(role, Role::Receiver | Role::Callee) {
            self.cpg.edge(EdgeKind::Receiver, parent, id);
        }
        if role == Role::Condition {
            self.cpg.edge(EdgeKind::Condition, parent, id);
        }
        id
    }

    /// Adds the call of an operator.
    pub fn operator(&mut self, task: Task<W>, operator: &str, syntax: SyntaxId) -> NodeId {
        let name = self.cpg.intern(operator);
        self.add(task, NodeKind::Call, syntax, name)
    }

    /// Adds a control structure.
    pub fn control(&mut self, task: Task<W>, name: &str, syntax: SyntaxId) -> NodeId {
        let name = self.cpg.intern(name);
        self.add(task, NodeKind::ControlStructure, syntax, name)
    }

    /// Something to be made below `parent` after what was pushed before.
    pub fn push(&mut self, parent: NodeId, what: W, order: u32, role: Role) {
        self.stack.push(Task {
            what,
            parent,
            order,
            role,
        });
    }

    /// The same task for something else: what has no node of its own hands its place on.
    pub fn instead(&mut self, task: Task<W>, what: W) {
        self.stack.push(Task { what, ..task });
    }
}
