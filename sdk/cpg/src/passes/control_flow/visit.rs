//! Which steps each kind of node takes.

use super::jumps::{Handler, Jump, Takes, Try};
use super::{ASSERTION_ERROR, Builder, Step};
use crate::{NameId, NodeId, NodeKind};

/// What Python throws that is no `Exception`.
const PYTHON_EXITS: [&str; 3] = ["SystemExit", "KeyboardInterrupt", "GeneratorExit"];

/// What Java throws that is no `Exception`: the subclasses of `Error` in `java.lang`, and those that other packages throw most.
const JAVA_EXITS: [&str; 29] = [
    "AbstractMethodError",
    "AnnotationFormatError",
    "AssertionError",
    "BootstrapMethodError",
    "ClassCircularityError",
    "ClassFormatError",
    "CoderMalfunctionError",
    "Error",
    "ExceptionInInitializerError",
    "FactoryConfigurationError",
    "IOError",
    "IllegalAccessError",
    "IncompatibleClassChangeError",
    "InstantiationError",
    "InternalError",
    "LinkageError",
    "NoClassDefFoundError",
    "NoSuchFieldError",
    "NoSuchMethodError",
    "OutOfMemoryError",
    "ServiceConfigurationError",
    "StackOverflowError",
    "ThreadDeath",
    "UnknownError",
    "UnsatisfiedLinkError",
    "UnsupportedClassVersionError",
    "VerifyError",
    "VirtualMachineError",
    "ZipError",
];

impl Builder<'_> {
    /// Pushes the steps for a node, in the order they are to happen.
    pub(super) fn visit(&mut self, node: NodeId) {
        match self.node(node).kind {
            // The name of an argument is not evaluated.
            NodeKind::FieldIdentifier if self.node(node).order == 0 => {}
            NodeKind::Identifier | NodeKind::Literal | NodeKind::FieldIdentifier => self.reach(node),
            // A type is evaluated where it is an argument: of a cast, of `instanceof`.
            NodeKind::TypeRef if self.node(node).order > 0 && self.parent_kind(node) == NodeKind::Call => {
                self.reach(node);
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
            NodeKind::TypeDecl if self.node(node).order > 0 && self.parent_kind(node) == NodeKind::Call => {
                self.visit_children(node);
                self.steps.push(Step::Reach(node));
            }
            NodeKind::Annotation => self.visit_children(node),
            NodeKind::Import => {
                self.steps
                    .extend([Step::Reach(node), Step::JumpFrom(node, Jump::MayThrow)]);
                self.visit_children(node);
            }
            NodeKind::TypeDecl if self.parent_kind(node) == NodeKind::Block => self.steps.push(Step::Declare(node)),
            _ => {}
        }
        // What a call has a condition for is whether the rest of a chain is evaluated.
        if self.shape.is_condition(node) && self.parent_kind(node) == NodeKind::Call {
            self.steps.push(Step::KeepAlso);
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
            "<operator>.logicalAnd"
            | "<operator>.logicalOr"
            | "<operator>.elvis"
            | "<operator>.assignmentLogicalAnd"
            | "<operator>.assignmentLogicalOr"
            | "<operator>.assignmentElvis" => {
                self.visit_role(node, 1);
                self.steps.push(Step::Fork);
                self.visit_role(node, 2);
                self.steps.push(Step::Merge);
            }
            "<operator>.optionalChain" => {
                self.steps.push(Step::KeepNone);
                self.visit_children(node);
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
        let may_throw = match self.name(node) {
            // What is awaited may have failed, and whoever takes what is yielded may throw there.
            "<operator>.await" | "<operator>.yield" | "<operator>.yieldFrom" => true,
            name => !name.starts_with("<operator>"),
        };
        if may_throw {
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
                self.steps.push(Step::Merge);
            }
            "DO" => {
                self.steps.push(Step::LoopOpen);
                self.visit_role(node, 1);
                self.steps.push(Step::LoopContinue);
                self.visit_role(node, 2);
                let test = if self.is_never(node, 2) {
                    Step::LoopEnds
                } else {
                    Step::LoopTest {
                        always: self.is_always(node, 2),
                    }
                };
                self.steps
                    .extend([test, Step::LoopBack(node), Step::LoopExit, Step::Merge]);
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
                self.steps.extend([Step::LoopBack(node), Step::LoopExit, Step::Merge]);
            }
            "FOREACH" => {
                self.visit_role(node, 2);
                self.steps
                    .extend([Step::LoopOpen, Step::Reach(node), Step::LoopTest { always: false }]);
                self.visit_role(node, 1);
                self.visit_role(node, 3);
                self.steps
                    .extend([Step::LoopContinue, Step::LoopBack(node), Step::LoopExit]);
                self.visit_role(node, 4);
                self.steps.push(Step::Merge);
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
                let thrown = Jump::Throw(self.cpg.interned(ASSERTION_ERROR));
                self.steps
                    .extend([Step::Reach(node), Step::JumpFrom(node, thrown), Step::Merge]);
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
        self.is_literal(control, role, &["true", "True", "1"])
    }

    /// Whether a loop's condition is the literal `false`: `do … while (false)` runs once.
    fn is_never(&self, control: NodeId, role: u32) -> bool {
        self.is_literal(control, role, &["false", "False"])
    }

    fn is_literal(&self, control: NodeId, role: u32, names: &[&str]) -> bool {
        let mut children = self.shape.children(control);
        children.any(|child| {
            let node = self.node(child);
            node.order == role && node.kind == NodeKind::Literal && names.contains(&self.name(child))
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
        let mut covers_all = self.has_role(node, 3);
        let (nodes, shape) = (self.cpg.nodes(), self.shape);
        let is_body = |child: &NodeId| matches!(nodes[*child as usize].order, 2 | 3);
        for part in shape
            .children(node)
            .filter(is_body)
            .flat_map(|body| shape.children(body))
        {
            if self.node(part).kind != NodeKind::JumpTarget {
                self.steps.push(Step::Visit(part));
                continue;
            }
            covers_all |= self.name(part) == "default";
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
        self.steps.push(Step::SwitchClose { covers_all });
    }

    /// Whether a switch about to be entered is an expression, not a statement.
    pub(super) fn has_value(&self, switch: NodeId) -> bool {
        let parent = self.cpg.parents()[switch as usize];
        match self.node(parent).kind {
            NodeKind::Block => {
                // What an arm of another one comes to, if that one has a value.
                let around = self.cpg.parents()[parent as usize];
                self.name(around) == "MATCH" && self.frames.is_in_value_switch()
            }
            NodeKind::ControlStructure => {
                let is_operand = match self.name(parent) {
                    "YIELD" | "THROW" | "ASSERT" | "SYNCHRONIZED" => true,
                    "FOREACH" => self.node(switch).order == 2,
                    _ => false,
                };
                is_operand || self.shape.is_condition(switch)
            }
            NodeKind::Call | NodeKind::Return | NodeKind::MethodRef | NodeKind::JumpTarget => true,
            _ => false,
        }
    }

    /// The name of the type in `throw new Type(…)`, `raise Type(…)` and `raise Type`. What is thrown there could be a variable, or
    /// come from a function: their names are those of no type.
    fn thrown_type(&self, throw: NodeId) -> Option<NameId> {
        let thrown = self.shape.children(throw).find(|&child| self.node(child).order == 1)?;
        let is_named = matches!(self.node(thrown).kind, NodeKind::Call | NodeKind::Identifier);
        is_named.then_some(self.node(thrown).name)
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
            self.steps.push(Step::TryElseEnd);
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
    pub(super) fn try_parts(&self, node: NodeId) -> Try {
        let nodes = self.cpg.nodes();
        let is_java = self.cpg.language() == "java";
        let exits = if is_java { JAVA_EXITS.as_slice() } else { &PYTHON_EXITS };
        let mut parts = Try::default();
        parts
            .exits
            .extend(exits.iter().filter_map(|name| self.cpg.interned(name)));
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
                    let mut takes = if types.is_empty() {
                        Takes::EVERYTHING
                    } else {
                        Takes::default()
                    };
                    let mut names_error = false;
                    for &name in &types {
                        let name = self.cpg.text(name);
                        match name.rsplit('.').next().unwrap_or(name) {
                            "Throwable" | "BaseException" => takes = Takes::EVERYTHING,
                            "Exception" => takes.exceptions = true,
                            "Error" if is_java => takes.exits = true,
                            name => names_error |= is_java && name.ends_with("Error"),
                        }
                    }
                    let modifier = self.shape.child_of(nodes, child, NodeKind::Modifier);
                    let of_group = modifier.is_some_and(|modifier| self.name(modifier) == "*");
                    parts.add_catch(Handler {
                        control: child,
                        types,
                        takes,
                        names_error,
                        of_group,
                    });
                }
                "FINALLY" => parts.has_finally = true,
                _ => {}
            }
        }
        parts
    }
}
