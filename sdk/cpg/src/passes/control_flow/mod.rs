//! CFG: from the syntax tree of one method to the order in which its parts are evaluated.
//!
//! The tree is walked by a stack of steps, not by recursion. The `fringe` is the set of nodes after which the next node comes;
//! a node that nothing comes before (after a `return`, say) is kept, without predecessors.

mod jumps;

use super::shape::Shape;
use crate::{CpgBuilder, NameId, Node, NodeId, NodeKind};
use jumps::{Frames, Jump, Try};

/// The control flow of one method.
#[derive(Default)]
pub(super) struct Flow {
    /// The nodes in order of evaluation as written: first the method, last its return (if the tree has one).
    pub(super) members: Vec<NodeId>,
    pub(super) edges: Vec<(NodeId, NodeId)>,
}

/// What to do next.
#[derive(Clone, Copy)]
enum Step {
    /// The flow through a node and all below it.
    Visit(NodeId),
    /// The node itself is reached.
    Reach(NodeId),
    /// Keeps the fringe aside.
    Fork,
    /// Goes on from the fringe that was kept aside, and keeps the present one instead.
    OtherBranch,
    /// Goes on from both.
    Merge,
    LoopOpen,
    /// The condition was evaluated: the loop ends when it is false, unless it is always true.
    LoopTest {
        always: bool,
    },
    /// `continue` comes here.
    LoopContinue,
    /// Back to the first node of the loop.
    LoopBack(NodeId),
    /// Here the loop ends by its condition.
    LoopExit,
    /// `break` comes here.
    LoopClose,
    LabelOpen(NodeId),
    LabelClose,
    SwitchOpen(NodeId),
    Case {
        target: NodeId,
        falls_through: bool,
    },
    /// A guard was evaluated: when it is false, the next case is tried.
    Guard,
    SwitchClose {
        falls_out: bool,
    },
    TryOpen(NodeId),
    TryBodyEnd,
    TryElse,
    Catch(NodeId),
    CatchEnd,
    Finally,
    FinallyEnd,
    TryClose,
    JumpFrom(NodeId, Jump),
}

pub(super) struct Builder<'a> {
    cpg: &'a CpgBuilder,
    shape: &'a Shape,
    flow: Flow,
    fringe: Vec<NodeId>,
    /// Fringes kept aside.
    kept: Vec<Vec<NodeId>>,
    steps: Vec<Step>,
    frames: Frames,
}

/// The control flow of the method.
pub(super) fn of_method(cpg: &CpgBuilder, shape: &Shape, method: NodeId) -> Flow {
    let mut builder = Builder {
        cpg,
        shape,
        flow: Flow::default(),
        fringe: Vec::new(),
        kept: Vec::new(),
        steps: Vec::new(),
        frames: Frames::default(),
    };
    builder.reach(method);
    let nodes = cpg.nodes();
    for child in shape
        .children(method)
        .filter(|&child| nodes[child as usize].kind == NodeKind::Block)
    {
        builder.steps.push(Step::Visit(child));
        builder.run();
    }
    if let Some(exit) = shape
        .children(method)
        .find(|&child| nodes[child as usize].kind == NodeKind::MethodReturn)
    {
        let exits = std::mem::take(&mut builder.frames.exits);
        builder.fringe.extend(exits);
        builder.reach(exit);
    }
    builder.flow
}

impl Builder<'_> {
    fn run(&mut self) {
        while let Some(step) = self.steps.pop() {
            self.step(step);
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.cpg.nodes()[id as usize]
    }

    fn name(&self, id: NodeId) -> &str {
        self.cpg.text(self.node(id).name)
    }

    fn reach(&mut self, node: NodeId) {
        for source in self.fringe.drain(..) {
            self.flow.edges.push((source, node));
        }
        self.fringe.push(node);
        self.flow.members.push(node);
        let could_fail = self.node(node).kind == NodeKind::Call;
        self.frames.reached(node, could_fail);
    }

    fn merge(&mut self, other: Vec<NodeId>) {
        self.fringe.extend(other);
        // Branches without a node of their own leave the same fringe several times.
        self.fringe.sort_unstable();
        self.fringe.dedup();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Visit(node) => {
                let first_new = self.steps.len();
                self.visit(node);
                self.steps[first_new..].reverse();
            }
            Step::Reach(node) => self.reach(node),
            Step::Fork => self.kept.push(self.fringe.clone()),
            Step::OtherBranch => {
                if let Some(kept) = self.kept.last_mut() {
                    std::mem::swap(kept, &mut self.fringe);
                }
            }
            Step::Merge => {
                let kept = self.kept.pop().unwrap_or_default();
                self.merge(kept);
            }
            Step::LoopOpen => self.frames.open_loop(),
            Step::LoopTest { always } => {
                let exits = if always { Vec::new() } else { self.fringe.clone() };
                self.frames.set_loop_exits(exits);
            }
            Step::LoopContinue => {
                let continues = self.frames.take_continues();
                self.merge(continues);
            }
            Step::LoopBack(control) => {
                let head = self.frames.loop_head();
                if head.is_none() {
                    // Nothing in it to come back to: the loop itself stands for what repeats.
                    self.reach(control);
                }
                let head = head.unwrap_or(control);
                self.flow
                    .edges
                    .extend(self.fringe.drain(..).map(|source| (source, head)));
            }
            Step::LoopExit => self.fringe = self.frames.take_loop_exits(),
            Step::LoopClose | Step::LabelClose => {
                let breaks = self.frames.close();
                self.merge(breaks);
            }
            Step::LabelOpen(target) => {
                let label = self.node(target).name;
                self.frames.open_label(label);
            }
            Step::SwitchOpen(node) => {
                let is_expression = matches!(
                    self.node(self.cpg.parents()[node as usize]).kind,
                    NodeKind::Call | NodeKind::Return | NodeKind::MethodRef
                );
                self.frames.open_switch(std::mem::take(&mut self.fringe), is_expression);
            }
            Step::Case { target, falls_through } => {
                if !falls_through {
                    let arm = std::mem::take(&mut self.fringe);
                    self.frames.add_breaks(arm);
                }
                let selector = self.frames.selector();
                self.merge(selector);
                self.reach(target);
            }
            Step::Guard => {
                let failed = self.fringe.clone();
                self.frames.add_to_selector(failed);
            }
            Step::SwitchClose { falls_out } => {
                let selector = self.frames.selector();
                let breaks = self.frames.close();
                self.merge(breaks);
                if falls_out {
                    self.merge(selector);
                }
            }
            Step::TryOpen(node) => {
                let parts = self.try_parts(node);
                self.frames.open_try(parts);
            }
            Step::TryBodyEnd => {
                let body = std::mem::take(&mut self.fringe);
                self.frames.end_try_body(body);
            }
            Step::TryElse => self.fringe = self.frames.take_ends(),
            Step::Catch(node) => {
                self.fringe = self.frames.enter_catch(node);
                self.reach(node);
            }
            Step::CatchEnd => {
                let caught = std::mem::take(&mut self.fringe);
                self.frames.end_catch(caught);
            }
            Step::Finally => self.fringe = self.frames.enter_finally(),
            Step::FinallyEnd => {
                let fringe = std::mem::take(&mut self.fringe);
                self.fringe = self.frames.end_finally(fringe);
            }
            Step::TryClose => self.fringe = self.frames.close_try(),
            Step::JumpFrom(node, jump) => {
                self.frames.jump(jump, &[node]);
                if jump != Jump::MayThrow {
                    self.fringe.clear();
                }
            }
        }
    }

    /// Pushes the steps for a node, in the order they are to happen.
    fn visit(&mut self, node: NodeId) {
        match self.node(node).kind {
            NodeKind::Identifier | NodeKind::Literal | NodeKind::FieldIdentifier => self.reach(node),
            // A type is evaluated where it is an argument: of a cast, of `instanceof`.
            NodeKind::TypeRef if self.node(node).order > 0 && self.parent_kind(node) == NodeKind::Call => {
                self.reach(node)
            }
            NodeKind::Call => self.visit_call(node),
            NodeKind::MethodRef | NodeKind::Unknown => {
                self.visit_children(node);
                self.steps.push(Step::Reach(node));
            }
            NodeKind::Return => {
                self.visit_children(node);
                self.steps
                    .extend([Step::Reach(node), Step::JumpFrom(node, Jump::Return)]);
            }
            NodeKind::Block => self.visit_block(node),
            NodeKind::JumpTarget => {
                self.steps.push(Step::Reach(node));
                self.visit_children(node);
            }
            NodeKind::ControlStructure => self.visit_control(node),
            _ => {}
        }
    }

    fn parent_kind(&self, node: NodeId) -> NodeKind {
        self.node(self.cpg.parents()[node as usize]).kind
    }

    fn visit_children(&mut self, node: NodeId) {
        self.steps.extend(self.shape.children(node).map(Step::Visit));
    }

    fn visit_role(&mut self, node: NodeId, order: u32) {
        let nodes = self.cpg.nodes();
        self.steps.extend(
            self.shape
                .children(node)
                .filter(|&child| nodes[child as usize].order == order)
                .map(Step::Visit),
        );
    }

    fn has_role(&self, node: NodeId, order: u32) -> bool {
        self.shape.children(node).any(|child| self.node(child).order == order)
    }

    fn visit_call(&mut self, node: NodeId) {
        match self.name(node) {
            "<operator>.logicalAnd" | "<operator>.logicalOr" => {
                self.visit_role(node, 1);
                self.steps.push(Step::Fork);
                self.visit_role(node, 2);
                self.steps.push(Step::Merge);
            }
            "<operator>.conditional" => {
                self.visit_role(node, 1);
                self.steps.push(Step::Fork);
                self.visit_role(node, 2);
                self.steps.push(Step::OtherBranch);
                self.visit_role(node, 3);
                self.steps.push(Step::Merge);
            }
            _ => self.visit_children(node),
        }
        self.steps.push(Step::Reach(node));
        if !self.name(node).starts_with("<operator>") {
            self.steps.push(Step::JumpFrom(node, Jump::MayThrow));
        }
    }

    fn visit_block(&mut self, block: NodeId) {
        let mut labels = 0;
        for child in self.shape.children(block) {
            if self.node(child).kind == NodeKind::JumpTarget {
                self.steps.extend([Step::Reach(child), Step::LabelOpen(child)]);
                labels += 1;
            } else {
                self.steps.push(Step::Visit(child));
            }
        }
        self.steps.extend(std::iter::repeat_n(Step::LabelClose, labels));
    }

    fn visit_control(&mut self, node: NodeId) {
        match self.name(node) {
            "IF" => {
                self.visit_role(node, 1);
                self.steps.push(Step::Fork);
                self.visit_role(node, 2);
                self.steps.push(Step::OtherBranch);
                self.visit_role(node, 3);
                self.steps.push(Step::Merge);
            }
            "WHILE" => {
                self.steps.push(Step::LoopOpen);
                self.visit_role(node, 1);
                self.steps.push(Step::LoopTest {
                    always: self.is_always(node, 1),
                });
                self.visit_role(node, 2);
                self.steps
                    .extend([Step::LoopContinue, Step::LoopBack(node), Step::LoopExit]);
                self.visit_role(node, 3);
                self.steps.push(Step::LoopClose);
            }
            "DO" => {
                self.steps.push(Step::LoopOpen);
                self.visit_role(node, 1);
                self.steps.push(Step::LoopContinue);
                self.visit_role(node, 2);
                let always = self.is_always(node, 2);
                self.steps.extend([
                    Step::LoopTest { always },
                    Step::LoopBack(node),
                    Step::LoopExit,
                    Step::LoopClose,
                ]);
            }
            "FOR" => {
                self.visit_role(node, 1);
                self.steps.push(Step::LoopOpen);
                self.visit_role(node, 2);
                self.steps.push(Step::LoopTest {
                    always: self.is_always(node, 2),
                });
                self.visit_role(node, 4);
                self.steps.push(Step::LoopContinue);
                self.visit_role(node, 3);
                self.steps
                    .extend([Step::LoopBack(node), Step::LoopExit, Step::LoopClose]);
            }
            "FOREACH" => {
                self.visit_role(node, 2);
                self.steps
                    .extend([Step::LoopOpen, Step::Reach(node), Step::LoopTest { always: false }]);
                self.visit_role(node, 3);
                self.steps
                    .extend([Step::LoopContinue, Step::LoopBack(node), Step::LoopExit]);
                self.visit_role(node, 4);
                self.steps.push(Step::LoopClose);
            }
            "SWITCH" => self.visit_switch(node, true),
            "MATCH" => self.visit_switch(node, false),
            "BREAK" => self.visit_jump(node, Jump::Break),
            "CONTINUE" => self.visit_jump(node, Jump::Continue),
            "YIELD" => {
                self.visit_children(node);
                self.steps
                    .extend([Step::Reach(node), Step::JumpFrom(node, Jump::Yield)]);
            }
            "THROW" => {
                self.visit_children(node);
                let thrown = self.thrown_type(node);
                self.steps
                    .extend([Step::Reach(node), Step::JumpFrom(node, Jump::Throw(thrown))]);
            }
            "ASSERT" => {
                self.visit_role(node, 1);
                self.steps.push(Step::Fork);
                self.visit_role(node, 2);
                self.steps
                    .extend([Step::Reach(node), Step::JumpFrom(node, Jump::Throw(None)), Step::Merge]);
            }
            "TRY" => self.visit_try(node),
            _ => self.visit_children(node),
        }
    }

    /// Whether a loop's condition is absent from a `for`, or the literal `true`.
    fn is_always(&self, control: NodeId, role: u32) -> bool {
        if !self.has_role(control, role) {
            return true;
        }
        let mut conditions = self
            .shape
            .children(control)
            .filter(|&child| self.node(child).order == role);
        conditions.any(|condition| {
            self.node(condition).kind == NodeKind::Literal && matches!(self.name(condition), "true" | "True")
        })
    }

    fn visit_jump(&mut self, node: NodeId, jump: fn(Option<NameId>) -> Jump) {
        let label = self.shape.child_of(self.cpg.nodes(), node, NodeKind::JumpTarget);
        let label = label.map(|label| self.node(label).name);
        self.steps
            .extend([Step::Reach(node), Step::JumpFrom(node, jump(label))]);
    }

    fn visit_switch(&mut self, node: NodeId, falls_through: bool) {
        self.visit_role(node, 1);
        self.steps.push(Step::SwitchOpen(node));
        let mut has_default = false;
        let (nodes, shape) = (self.cpg.nodes(), self.shape);
        let bodies = shape.children(node).filter(|&child| nodes[child as usize].order == 2);
        for part in bodies.flat_map(|body| shape.children(body)) {
            if self.node(part).kind != NodeKind::JumpTarget {
                self.steps.push(Step::Visit(part));
                continue;
            }
            has_default |= self.name(part) == "default";
            self.steps.push(Step::Case {
                target: part,
                falls_through,
            });
            let has_guard = shape.children(part).any(|child| shape.is_condition(child));
            self.visit_children(part);
            if has_guard {
                self.steps.push(Step::Guard);
            }
        }
        let is_statement = matches!(self.parent_kind(node), NodeKind::Block | NodeKind::ControlStructure);
        self.steps.push(Step::SwitchClose {
            falls_out: is_statement && !has_default,
        });
    }

    /// The name of the type in `throw new Type(…)`.
    fn thrown_type(&self, throw: NodeId) -> Option<NameId> {
        let nodes = self.cpg.nodes();
        let creation = self.shape.child_of(nodes, throw, NodeKind::Call)?;
        let typed = self.shape.child_of(nodes, creation, NodeKind::TypeRef)?;
        (self.node(typed).order == 0).then_some(self.node(creation).name)
    }

    fn visit_try(&mut self, node: NodeId) {
        self.steps.push(Step::TryOpen(node));
        let mut after_body = Vec::new();
        let mut finally = None;
        let mut otherwise = None;
        for child in self.shape.children(node) {
            match (self.node(child).kind, self.name(child)) {
                (NodeKind::ControlStructure, "CATCH") => after_body.push(child),
                (NodeKind::ControlStructure, "FINALLY") => finally = Some(child),
                (NodeKind::ControlStructure, "ELSE") => otherwise = Some(child),
                _ => self.steps.push(Step::Visit(child)),
            }
        }
        self.steps.push(Step::TryBodyEnd);
        if let Some(otherwise) = otherwise {
            self.steps.push(Step::TryElse);
            self.visit_children(otherwise);
            self.steps.push(Step::CatchEnd);
        }
        for catch in after_body {
            self.steps.push(Step::Catch(catch));
            self.visit_children(catch);
            self.steps.push(Step::CatchEnd);
        }
        match finally {
            Some(finally) => {
                self.steps.push(Step::Finally);
                self.visit_children(finally);
                self.steps.push(Step::FinallyEnd);
            }
            None => self.steps.push(Step::TryClose),
        }
    }

    /// What a `try` has for those who throw in it.
    fn try_parts(&self, node: NodeId) -> Try {
        let nodes = self.cpg.nodes();
        let mut parts = Try::default();
        for child in self.shape.children(node) {
            if self.node(child).kind != NodeKind::ControlStructure {
                continue;
            }
            match self.name(child) {
                "CATCH" => {
                    let variable = self.shape.child_of(nodes, child, NodeKind::Local).unwrap_or(child);
                    let types = self
                        .shape
                        .children(variable)
                        .filter(|&typed| nodes[typed as usize].kind == NodeKind::TypeRef);
                    let types: Vec<_> = types.map(|typed| nodes[typed as usize].name).collect();
                    let catches_all = |name: &NameId| {
                        let name = self.cpg.text(*name);
                        let simple = name.rsplit('.').next().unwrap_or(name);
                        matches!(simple, "Throwable" | "Exception" | "BaseException")
                    };
                    let all = types.is_empty() || types.iter().any(catches_all);
                    parts.add_catch(child, types, all);
                }
                "FINALLY" => parts.has_finally = true,
                _ => {}
            }
        }
        parts
    }
}
