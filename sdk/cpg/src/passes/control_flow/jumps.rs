//! Where jumps go: the loops, labels, switches and handlers around a place.

use crate::{NameId, NodeId};

/// A way to leave a place other than to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    Break(Option<NameId>),
    Continue(Option<NameId>),
    Yield,
    Return,
    /// Certainly an exception, of that type if it is known.
    Throw(Option<NameId>),
    /// Maybe an exception; the flow goes on as well.
    MayThrow,
}

/// What a `catch` takes besides the types that it names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Takes {
    /// Every `Exception`.
    pub(super) exceptions: bool,
    /// All that is thrown and is no `Exception`: see [`Try::exits`].
    pub(super) exits: bool,
}

impl Takes {
    pub(super) const EVERYTHING: Self = Self {
        exceptions: true,
        exits: true,
    };
}

/// One `catch`.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) control: NodeId,
    pub(super) types: Vec<NameId>,
    pub(super) takes: Takes,
    /// Whether it names an `Error` of Java, of which others may be subtypes.
    pub(super) names_error: bool,
    /// Whether it takes its part of a group of exceptions, and leaves the rest to the handlers after it.
    pub(super) of_group: bool,
}

impl Handler {
    fn names(&self, thrown: Option<NameId>) -> bool {
        thrown.is_some_and(|thrown| self.types.contains(&thrown))
    }
}

/// A `try`, and what was seen in it.
#[derive(Debug, Default)]
pub(super) struct Try {
    handlers: Vec<Handler>,
    /// Names of what is thrown and is no `Exception`: mostly it ends the program.
    pub(super) exits: Vec<NameId>,
    pub(super) has_finally: bool,
    /// Whether the protected part is over: handlers do not protect each other, but `finally` protects them.
    in_handlers: bool,
    /// What throws for certain in the protected part.
    throws: Vec<(NodeId, Option<NameId>)>,
    /// What may throw in it.
    may_throw: Vec<NodeId>,
    /// The operators in it, for when nothing in it is known to throw.
    operators: Vec<NodeId>,
    /// Where the parts end that end by themselves.
    ends: Vec<NodeId>,
    /// Where the handlers end that leave the rest of a group to others.
    group_ends: Vec<NodeId>,
    /// What jumps into `finally`, and where to after it.
    into_finally: Vec<NodeId>,
    after_finally: Vec<Jump>,
}

impl Try {
    pub(super) fn add_catch(&mut self, handler: Handler) {
        self.handlers.push(handler);
    }

    fn goes_on(&mut self, jump: Jump) {
        if !self.after_finally.contains(&jump) {
            self.after_finally.push(jump);
        }
    }

    fn catches_all(&self) -> bool {
        self.handlers.iter().any(|handler| handler.takes.exceptions)
    }

    /// The handler that surely takes an exception of a type.
    fn sure_handler(&self, thrown: Option<NameId>) -> Option<usize> {
        let is_exit = thrown.is_some_and(|thrown| self.exits.contains(&thrown));
        self.handlers.iter().position(|handler| {
            let takes = handler.takes;
            (if is_exit { takes.exits } else { takes.exceptions }) || handler.names(thrown)
        })
    }

    /// Whether a handler may take an exception of a type. The type may be a subtype of those that a handler names before the
    /// one that surely takes it, unless that one names it as well.
    fn may_take(&self, index: usize, thrown: Option<NameId>) -> bool {
        let is_exit = thrown.is_some_and(|thrown| self.exits.contains(&thrown));
        let may_be_subtype = !is_exit || self.handlers.get(index).is_some_and(|handler| handler.names_error);
        match self.sure_handler(thrown) {
            Some(sure) if index == sure => true,
            Some(sure) => index < sure && may_be_subtype && !self.handlers[sure].names(thrown),
            None => may_be_subtype,
        }
    }
}

#[derive(Debug)]
enum Kind {
    Loop {
        head: Option<NodeId>,
        exits: Vec<NodeId>,
        continues: Vec<NodeId>,
    },
    Label(NameId),
    Switch {
        selector: Vec<NodeId>,
        /// Whether it is an expression.
        has_value: bool,
    },
    Try(Box<Try>),
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    breaks: Vec<NodeId>,
}

/// What is open around the present place, innermost last.
#[derive(Debug, Default)]
pub(super) struct Frames {
    frames: Vec<Frame>,
    /// Loops whose first node is still to come: indices into `frames`.
    headless: Vec<usize>,
    /// Indices of the open `try`s, so that calls need not look for them.
    tries: Vec<usize>,
    /// `finally` parts that are being walked: where their ends go on to, and whether they also just end.
    finals: Vec<(Vec<Jump>, bool)>,
    /// What leaves the method.
    pub(super) exits: Vec<NodeId>,
}

impl Frames {
    fn push(&mut self, kind: Kind) {
        self.frames.push(Frame {
            kind,
            breaks: Vec::new(),
        });
    }

    /// A node is reached; calls and operators could fail.
    pub(super) fn reached(&mut self, node: NodeId, could_fail: bool) {
        for index in self.headless.drain(..) {
            if let Some(Frame {
                kind: Kind::Loop { head, .. },
                ..
            }) = self.frames.get_mut(index)
            {
                *head = Some(node);
            }
        }
        if let Some(&index) = self.tries.last()
            && could_fail
            && let Kind::Try(innermost) = &mut self.frames[index].kind
            && !innermost.in_handlers
        {
            innermost.operators.push(node);
        }
    }

    // Loops, labels and switches.

    pub(super) fn open_loop(&mut self) {
        self.headless.push(self.frames.len());
        self.push(Kind::Loop {
            head: None,
            exits: Vec::new(),
            continues: Vec::new(),
        });
    }

    pub(super) fn open_label(&mut self, label: NameId) {
        self.push(Kind::Label(label));
    }

    pub(super) fn open_switch(&mut self, selector: Vec<NodeId>, has_value: bool) {
        self.push(Kind::Switch { selector, has_value });
    }

    /// Whether what is innermost is a switch that is an expression.
    pub(super) fn is_in_value_switch(&self) -> bool {
        let innermost = self.frames.last().map(|frame| &frame.kind);
        matches!(innermost, Some(Kind::Switch { has_value: true, .. }))
    }

    pub(super) fn loop_head(&mut self) -> Option<NodeId> {
        let index = self.frames.len().checked_sub(1)?;
        self.headless.retain(|&headless| headless != index);
        match &self.frames[index].kind {
            Kind::Loop { head, .. } => *head,
            _ => None,
        }
    }

    pub(super) fn set_loop_exits(&mut self, fringe: Vec<NodeId>) {
        if let Some(Frame {
            kind: Kind::Loop { exits, .. },
            ..
        }) = self.frames.last_mut()
        {
            *exits = fringe;
        }
    }

    pub(super) fn take_loop_exits(&mut self) -> Vec<NodeId> {
        match self.frames.last_mut() {
            Some(Frame {
                kind: Kind::Loop { exits, .. },
                ..
            }) => std::mem::take(exits),
            _ => Vec::new(),
        }
    }

    pub(super) fn take_continues(&mut self) -> Vec<NodeId> {
        match self.frames.last_mut() {
            Some(Frame {
                kind: Kind::Loop { continues, .. },
                ..
            }) => std::mem::take(continues),
            _ => Vec::new(),
        }
    }

    /// What chooses among the cases of the innermost switch.
    pub(super) fn selector(&self) -> Vec<NodeId> {
        match self.frames.last() {
            Some(Frame {
                kind: Kind::Switch { selector, .. },
                ..
            }) => selector.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn add_to_selector(&mut self, failed: Vec<NodeId>) {
        if let Some(Frame {
            kind: Kind::Switch { selector, .. },
            ..
        }) = self.frames.last_mut()
        {
            selector.extend(failed);
        }
    }

    pub(super) fn add_breaks(&mut self, nodes: Vec<NodeId>) {
        if let Some(frame) = self.frames.last_mut() {
            frame.breaks.extend(nodes);
        }
    }

    /// Closes the innermost loop, label or switch, and gives what breaks out of it.
    pub(super) fn close(&mut self) -> Vec<NodeId> {
        self.frames.pop().map(|frame| frame.breaks).unwrap_or_default()
    }

    // Exceptions.

    pub(super) fn open_try(&mut self, parts: Try) {
        self.tries.push(self.frames.len());
        self.push(Kind::Try(Box::new(parts)));
    }

    fn innermost_try(&mut self) -> Option<&mut Try> {
        match self.frames.last_mut() {
            Some(Frame {
                kind: Kind::Try(innermost),
                ..
            }) => Some(innermost),
            _ => None,
        }
    }

    pub(super) fn end_try_body(&mut self, body: Vec<NodeId>) {
        let Some(this) = self.innermost_try() else { return };
        this.in_handlers = true;
        let operators = std::mem::take(&mut this.operators);
        if !this.handlers.is_empty() && this.may_throw.is_empty() && this.throws.is_empty() {
            // Why else the handlers? A division or an access it is then, or whatever comes last.
            this.may_throw = if operators.is_empty() { body.clone() } else { operators };
        }
        this.ends = body;
        let escaping: Vec<(NodeId, Option<NameId>)> = this
            .throws
            .iter()
            .copied()
            .filter(|(_, thrown)| this.sure_handler(*thrown).is_none())
            .collect();
        if this.has_finally && !this.catches_all() {
            let uncaught = this.may_throw.clone();
            this.into_finally.extend(uncaught);
            if !this.may_throw.is_empty() {
                this.goes_on(Jump::Throw(None));
            }
        }
        for (node, thrown) in escaping {
            self.jump(Jump::Throw(thrown), &[node]);
        }
    }

    /// What leads to a handler.
    pub(super) fn enter_catch(&mut self, control: NodeId) -> Vec<NodeId> {
        let Some(this) = self.innermost_try() else {
            return Vec::new();
        };
        let index = this
            .handlers
            .iter()
            .position(|handler| handler.control == control)
            .unwrap_or_default();
        let (before, from_here) = this.handlers.split_at(index);
        let exceptions_taken = before.iter().any(|handler| handler.takes.exceptions);
        let exits_taken = before.iter().any(|handler| handler.takes.exits);
        // After handlers that take everything, no other gets anything.
        if exceptions_taken && exits_taken {
            return Vec::new();
        }
        let gets_exits = from_here.first().is_some_and(|handler| {
            let names_exit = || handler.types.iter().any(|name| this.exits.contains(name));
            handler.takes.exits || handler.names_error || names_exit()
        });
        // Any call may throw what is no `Exception` (JLS 11.1.1).
        let may_throw = if !exceptions_taken || gets_exits {
            this.may_throw.as_slice()
        } else {
            &[]
        };
        let throws = this
            .throws
            .iter()
            .filter(|(_, thrown)| this.may_take(index, *thrown))
            .map(|&(node, _)| node);
        let mut leading: Vec<NodeId> = may_throw.iter().copied().chain(throws).collect();
        if from_here.first().is_some_and(|handler| handler.of_group) {
            leading.extend(&this.group_ends);
        }
        leading
    }

    /// The protected part ended without an exception: what comes next is not protected by the handlers.
    pub(super) fn take_ends(&mut self) -> Vec<NodeId> {
        self.innermost_try()
            .map(|this| std::mem::take(&mut this.ends))
            .unwrap_or_default()
    }

    pub(super) fn end_else(&mut self, fringe: Vec<NodeId>) {
        if let Some(this) = self.innermost_try() {
            this.ends.extend(fringe);
        }
    }

    pub(super) fn end_catch(&mut self, fringe: Vec<NodeId>) {
        if let Some(this) = self.innermost_try() {
            if this.handlers.iter().any(|handler| handler.of_group) {
                this.group_ends.extend(&fringe);
            }
            this.ends.extend(fringe);
        }
    }

    fn pop_try(&mut self) -> Option<Box<Try>> {
        self.innermost_try()?;
        self.tries.pop();
        match self.frames.pop()?.kind {
            Kind::Try(this) => Some(this),
            _ => None,
        }
    }

    pub(super) fn close_try(&mut self) -> Vec<NodeId> {
        sorted(self.pop_try().map(|this| this.ends).unwrap_or_default())
    }

    /// What leads into `finally`, which is no longer protected by its own `try`.
    pub(super) fn enter_finally(&mut self) -> Vec<NodeId> {
        let Some(this) = self.pop_try() else { return Vec::new() };
        let Try {
            mut ends,
            into_finally,
            after_finally,
            ..
        } = *this;
        self.finals.push((after_finally, !ends.is_empty()));
        ends.extend(into_finally);
        sorted(ends)
    }

    /// Sends the end of `finally` to wherever it was entered for; what is left goes on behind it.
    pub(super) fn end_finally(&mut self, fringe: Vec<NodeId>) -> Vec<NodeId> {
        let Some((jumps, goes_on)) = self.finals.pop() else {
            return fringe;
        };
        for jump in jumps {
            self.jump(jump, &fringe);
        }
        if goes_on { fringe } else { Vec::new() }
    }

    /// Sends nodes along a jump.
    pub(super) fn jump(&mut self, jump: Jump, from: &[NodeId]) {
        if jump == Jump::MayThrow {
            return self.may_throw(from);
        }
        let mut index = self.frames.len();
        while let Some(inner) = index.checked_sub(1) {
            index = inner;
            // A label names the loop that stands right below it.
            let is_labelled = |label: NameId, frames: &[Frame]| {
                let above = frames[..inner].iter().rev().map_while(|frame| match frame.kind {
                    Kind::Label(name) => Some(name),
                    _ => None,
                });
                above.into_iter().any(|name| name == label)
            };
            let labelled = match jump {
                Jump::Continue(Some(label)) => is_labelled(label, &self.frames),
                _ => false,
            };
            let Frame { kind, breaks } = &mut self.frames[inner];
            match (kind, jump) {
                (Kind::Loop { .. }, Jump::Break(None)) => return breaks.extend(from),
                (Kind::Loop { continues, .. }, Jump::Continue(None)) => return continues.extend(from),
                (Kind::Loop { continues, .. }, Jump::Continue(Some(_))) if labelled => return continues.extend(from),
                (Kind::Label(name), Jump::Break(Some(label))) if *name == label => return breaks.extend(from),
                (Kind::Switch { .. }, Jump::Break(None)) => return breaks.extend(from),
                (Kind::Switch { has_value: true, .. }, Jump::Yield) => return breaks.extend(from),
                (Kind::Try(this), jump) => {
                    if let (Jump::Throw(thrown), false, false) = (jump, this.in_handlers, this.handlers.is_empty()) {
                        return this.throws.extend(from.iter().map(|&node| (node, thrown)));
                    }
                    if this.has_finally {
                        this.into_finally.extend(from);
                        // Whatever was thrown, behind `finally` it is on its way out.
                        let jump = if matches!(jump, Jump::Throw(_)) {
                            Jump::Throw(None)
                        } else {
                            jump
                        };
                        return this.goes_on(jump);
                    }
                }
                _ => {}
            }
        }
        // Out of the method; broken code jumps to loops that are not there.
        self.exits.extend(from);
    }

    /// A call: to the handlers and the `finally` right around it. Where there is none, its exceptions are those of the whole
    /// method, which would double the edges of every method and tell nothing.
    fn may_throw(&mut self, from: &[NodeId]) {
        for &index in self.tries.iter().rev() {
            let Kind::Try(this) = &mut self.frames[index].kind else {
                continue;
            };
            if !this.in_handlers && (this.has_finally || !this.handlers.is_empty()) {
                this.may_throw.extend(from);
                if this.catches_all() || this.has_finally {
                    return;
                }
                // What no handler here takes may be for one further out.
                continue;
            }
            if this.has_finally {
                this.into_finally.extend(from);
                return this.goes_on(Jump::Throw(None));
            }
        }
    }
}

fn sorted(mut nodes: Vec<NodeId>) -> Vec<NodeId> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
