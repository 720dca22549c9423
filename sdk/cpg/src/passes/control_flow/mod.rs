//! CFG: from the syntax tree of one method to the order in which its parts are evaluated.
//!
//! The tree is walked by a stack of steps, not by recursion. The `fringe` is the set of nodes after which the next node comes;
//! a node that nothing comes before (after a `return`, say) is kept, without predecessors.

mod jumps;
mod visit;

use super::shape::Shape;
use crate::{CpgBuilder, Node, NodeId, NodeKind};
use jumps::{Frames, Jump};

/// What an `ASSERT` throws.
pub(super) const ASSERTION_ERROR: &str = "AssertionError";

/// The control flow of one method.
#[derive(Default)]
pub(super) struct Flow {
    /// The nodes in order of evaluation as written: first the method, last its return (if the tree has one).
    pub(super) members: Vec<NodeId>,
    pub(super) edges: Vec<(NodeId, NodeId)>,
    /// Types declared in a block, each with the place in `members` of what is evaluated next.
    pub(super) declared: Vec<(u32, NodeId)>,
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
    /// Keeps an empty fringe aside.
    KeepNone,
    /// Adds the fringe to the one that was kept aside last.
    KeepAlso,
    /// Goes on from the fringe that was kept aside, and keeps the present one instead.
    OtherBranch,
    /// Goes on from both.
    Merge,
    LoopOpen,
    /// The condition was evaluated: the loop ends when it is false, unless it is always true.
    LoopTest {
        always: bool,
    },
    /// The condition is always false: nothing repeats.
    LoopEnds,
    /// `continue` comes here.
    LoopContinue,
    /// Back to the first node of the loop.
    LoopBack(NodeId),
    /// Here the loop ends by its condition. Its `else` is outside of it; what breaks is kept aside for what comes then.
    LoopExit,
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
        covers_all: bool,
    },
    /// A type is declared in a block.
    Declare(NodeId),
    TryOpen(NodeId),
    TryBodyEnd,
    TryElse,
    TryElseEnd,
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
            Step::KeepNone => self.kept.push(Vec::new()),
            Step::KeepAlso => {
                if let Some(kept) = self.kept.last_mut() {
                    kept.extend(&self.fringe);
                }
            }
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
            Step::LoopEnds => {
                let fringe = std::mem::take(&mut self.fringe);
                self.frames.set_loop_exits(fringe);
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
            Step::LoopExit => {
                self.fringe = self.frames.take_loop_exits();
                let breaks = self.frames.close();
                self.kept.push(breaks);
            }
            Step::LabelClose => {
                let breaks = self.frames.close();
                self.merge(breaks);
            }
            Step::LabelOpen(target) => {
                let label = self.node(target).name;
                self.frames.open_label(label);
            }
            Step::SwitchOpen(node) => {
                let has_value = self.has_value(node);
                self.frames.open_switch(std::mem::take(&mut self.fringe), has_value);
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
            Step::SwitchClose { covers_all } => {
                let selector = self.frames.selector();
                // One that has a value has one whatever is selected.
                let falls_out = !covers_all && !self.frames.is_in_value_switch();
                let breaks = self.frames.close();
                self.merge(breaks);
                if falls_out {
                    self.merge(selector);
                }
            }
            Step::Declare(declared) => self.flow.declared.push((self.flow.members.len() as u32, declared)),
            Step::TryOpen(node) => {
                let parts = self.try_parts(node);
                self.frames.open_try(parts);
            }
            Step::TryBodyEnd => {
                let body = std::mem::take(&mut self.fringe);
                self.frames.end_try_body(body);
            }
            Step::TryElse => self.fringe = self.frames.take_ends(),
            Step::TryElseEnd => {
                let ends = std::mem::take(&mut self.fringe);
                self.frames.end_else(ends);
            }
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
}
