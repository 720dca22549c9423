//! Expressions.

use super::{Lowering, Work};
use crate::joern::tree::{EMPTY, Item, ItemId};
use crate::{EdgeKind, NodeId, NodeKind};

impl Lowering<'_> {
    /// Puts an expression below a node, as its argument where an index is given.
    pub(super) fn expression(&mut self, parent: ItemId, argument: Option<u32>, node: NodeId) {
        let place = |item: Item| Item { argument, ..item };
        let (at, name) = (self.source.at(node), self.source.name(node));
        let plain = |kind, name: &str, code: String| place(Item::new(kind, name, code).at(at));
        match self.source.kind(node) {
            NodeKind::Identifier => self.identifier(parent, argument, node),
            NodeKind::Literal => {
                self.add(parent, plain(NodeKind::Literal, "", self.source.raw(node).to_owned()));
            }
            kind @ (NodeKind::FieldIdentifier | NodeKind::TypeRef) => {
                self.add(parent, plain(kind, name, self.source.code(node)));
            }
            NodeKind::MethodRef if name == "<lambda>" => {
                self.add(parent, place(Item::new(NodeKind::MethodRef, "", "<lambda>")));
            }
            NodeKind::MethodRef | NodeKind::ControlStructure | NodeKind::Unknown => {
                self.add(parent, plain(NodeKind::Unknown, "", self.source.code(node)));
            }
            NodeKind::Call if self.is_creation(node) => self.creation(parent, argument, node),
            NodeKind::Call => match name.strip_prefix("<operator>.") {
                Some("assignment") => {
                    self.assignment(parent, plain(NodeKind::Call, name, self.source.code(node)), node);
                }
                // The initial values of an array stand for its creation.
                Some("alloc") => {
                    let initial = self.source.children(node).find(|&child| {
                        self.source.kind(child) == NodeKind::Call
                            && self.source.name(child) == "<operator>.arrayInitializer"
                    });
                    let code = self.source.code(node);
                    let item = match initial {
                        Some(values) => {
                            Item::new(NodeKind::Call, "<operator>.arrayInitializer", code).at(self.source.at(values))
                        }
                        None => Item::new(NodeKind::Call, name, code),
                    };
                    let item = self.add(parent, place(item));
                    self.work.push(Work::Arguments(item, initial.unwrap_or(node)));
                }
                Some(operator) => {
                    // Joern's names of the two right shifts are exchanged, and some others written in another way.
                    let name = match operator {
                        "arithmeticShiftRight" => "<operator>.logicalShiftRight",
                        "logicalShiftRight" => "<operator>.arithmeticShiftRight",
                        "assignmentAnd" => "<operators>.assignmentAnd",
                        "assignmentOr" => "<operators>.assignmentOr",
                        "assignmentXor" => "<operators>.assignmentXor",
                        "assignmentShiftLeft" => "<operators>.assignmentShiftLeft",
                        "assignmentArithmeticShiftRight" => "<operators>.assignmentArithmeticShiftRight",
                        "assignmentLogicalShiftRight" => "<operators>.assignmentLogicalShiftRight",
                        _ => name,
                    };
                    let item = self.add(parent, plain(NodeKind::Call, name, self.source.code(node)));
                    self.work.push(Work::Arguments(item, node));
                }
                None => self.call(parent, argument, node),
            },
            _ => {}
        }
    }

    /// A name; that of a field is an access of `this`, or of the class.
    fn identifier(&mut self, parent: ItemId, argument: Option<u32>, node: NodeId) {
        let (at, name) = (self.source.at(node), self.source.name(node));
        let named = self
            .source
            .cpg
            .outgoing(node, EdgeKind::Ref)
            .first()
            .map(|edge| edge.target);
        match named {
            Some(member) if self.source.kind(member) == NodeKind::Member => {
                let base = if self.is_static_member(member) {
                    self.type_name(member)
                } else {
                    "this".to_owned()
                };
                let code = format!("{base}.{name}");
                let item = Item::new(NodeKind::Call, "<operator>.fieldAccess", code).at(at);
                let access = self.add(parent, Item { argument, ..item });
                self.add(
                    access,
                    Item::new(NodeKind::Identifier, base.as_str(), base.as_str())
                        .at(at)
                        .argument(1),
                );
                self.add(
                    access,
                    Item::new(NodeKind::FieldIdentifier, name, name).at(at).argument(2),
                );
            }
            _ => {
                let of_this = if name == "super" { "this" } else { name };
                let item = Item::new(NodeKind::Identifier, of_this, name).at(at);
                let item = self.add(parent, Item { argument, ..item });
                self.names.extend(named.map(|declaration| (item, declaration)));
            }
        }
    }

    fn is_static_member(&self, member: NodeId) -> bool {
        let is_static =
            |child: NodeId| self.source.kind(child) == NodeKind::Modifier && self.source.name(child) == "static";
        self.source.children(member).any(is_static)
    }

    fn type_name(&self, member: NodeId) -> String {
        self.source
            .cpg
            .parent(member)
            .map_or("", |parent| self.source.name(parent))
            .to_owned()
    }

    /// `new Type(…)`: a call in which a type stands behind that word.
    pub(super) fn is_creation(&self, node: NodeId) -> bool {
        let is_operator = self.source.name(node).starts_with("<operator>");
        if self.source.kind(node) != NodeKind::Call || is_operator {
            return false;
        }
        let Some(typed) = self.source.child_of(node, NodeKind::TypeRef) else {
            return false;
        };
        let before = (self.source.span(typed).start - self.source.span(node).start) as usize;
        let before = self.source.raw(node).get(..before).unwrap_or_default();
        before.trim_end().ends_with("new")
    }

    /// An assignment, and behind it the initialisation of an object that is made for it.
    pub(super) fn assignment(&mut self, parent: ItemId, item: Item, node: NodeId) {
        let item = self.add(parent, item);
        self.work.push(Work::Assignment(item, node));
        if let (Some(target), Some(value)) = self.sides(node)
            && self.is_made_for(target, value)
        {
            let name = self.source.name(target);
            let receiver = Item::new(NodeKind::Identifier, name, name)
                .at(self.source.at(target))
                .argument(0);
            let init = self.init(parent, value, receiver);
            let named = self.source.cpg.outgoing(target, EdgeKind::Ref).first();
            let receiver = self.tree.item(init).children[0];
            self.names.extend(named.map(|edge| (receiver, edge.target)));
        }
    }

    fn sides(&self, node: NodeId) -> (Option<NodeId>, Option<NodeId>) {
        let side = |order| self.source.role(node, order).first().copied();
        (side(1), side(2))
    }

    fn is_made_for(&self, target: NodeId, value: NodeId) -> bool {
        let is_field = |node| {
            let named = self.source.cpg.outgoing(node, EdgeKind::Ref).first();
            named.is_some_and(|edge| self.source.kind(edge.target) == NodeKind::Member)
        };
        // In brackets it is made on its own.
        self.is_creation(value)
            && self.source.kind(target) == NodeKind::Identifier
            && !is_field(target)
            && !self.is_enclosed(value)
    }

    fn is_enclosed(&self, node: NodeId) -> bool {
        let Some(parent) = self.source.cpg.parent(node) else {
            return false;
        };
        self.source.span(parent).end != self.source.span(node).end
    }

    pub(super) fn assignment_parts(&mut self, item: ItemId, node: NodeId) {
        let (Some(target), value) = self.sides(node) else {
            return;
        };
        self.expression(item, Some(1), target);
        match value {
            Some(value) if self.is_made_for(target, value) => {
                let made = Item::new(NodeKind::Call, "<operator>.alloc", self.source.code(value));
                self.add(item, made.at(self.source.at(value)).argument(2));
            }
            Some(value) => self.expression(item, Some(2), value),
            None => {}
        }
    }

    /// The call of a constructor on an object.
    fn init(&mut self, parent: ItemId, node: NodeId, receiver: Item) -> ItemId {
        let init = Item::new(NodeKind::Call, "<init>", self.source.code(node)).at(self.source.line(node));
        let init = self.add(parent, init);
        self.add(init, receiver);
        self.work.push(Work::Arguments(init, node));
        init
    }

    /// An object that is made within an expression: a block that makes it, initialises it, and names it.
    fn creation(&mut self, parent: ItemId, argument: Option<u32>, node: NodeId) {
        let at = self.source.at(node);
        let name = format!("$obj{}", self.objects);
        self.objects += 1;
        let block = Item::new(NodeKind::Block, "", EMPTY).at(at);
        let block = self.add(parent, Item { argument, ..block });
        let object = Item::new(NodeKind::Identifier, name.as_str(), name.as_str());
        let assigned = self.add(block, Item::new(NodeKind::Call, "<operator>.assignment", EMPTY));
        self.add(assigned, object.clone().argument(1));
        let made = Item::new(NodeKind::Call, "<operator>.alloc", self.source.code(node)).at(at);
        self.add(assigned, made.argument(2));
        self.init(block, node, object.clone().argument(0));
        self.add(block, object);
    }

    /// A call; without an object before its name, it is one of `this`.
    fn call(&mut self, parent: ItemId, argument: Option<u32>, node: NodeId) {
        let at = self.source.at(node);
        let name = self.source.name(node);
        if matches!(name, "this" | "super") {
            let item = Item::new(NodeKind::Call, "<init>", self.source.code(node)).at(at);
            let item = self.add(parent, Item { argument, ..item });
            self.add(item, Item::new(NodeKind::Identifier, "this", "this").argument(0));
            self.work.push(Work::Arguments(item, node));
            return;
        }
        let receiver = self.receiver(node);
        let code = self.source.code(node);
        let code = match receiver {
            Some(receiver) if !self.is_resolved(node) => {
                let behind = code.strip_prefix(self.source.code(receiver).as_str()).unwrap_or(&code);
                behind.find(name).map_or(behind, |start| &behind[start..]).to_owned()
            }
            _ => code,
        };
        let item = Item::new(NodeKind::Call, name, code).at(at);
        let item = self.add(parent, Item { argument, ..item });
        if receiver.is_none() && !self.is_known_static(node) {
            self.add(item, Item::new(NodeKind::Identifier, "this", "this").at(at).argument(0));
        }
        self.work.push(Work::Arguments(item, node));
    }

    /// Whether Joern can tell that a method without an object is static: one of this source, all arguments of known types.
    fn is_known_static(&self, call: NodeId) -> bool {
        let target = self
            .source
            .cpg
            .outgoing(call, EdgeKind::Call)
            .first()
            .map(|edge| edge.target);
        let mut arguments = self.source.children(call).filter(|&child| self.source.order(child) > 0);
        target.is_some_and(|method| self.is_static(method)) && arguments.all(|argument| self.is_typed(argument))
    }

    /// Receiver and arguments in order.
    pub(super) fn arguments(&mut self, item: ItemId, node: NodeId) {
        if self.is_format(node) {
            return self.format_arguments(item, node);
        }
        let is_creation = self.is_creation(node);
        let is_init = self.tree.item(item).name == "<init>";
        let children: Vec<NodeId> = self.source.children(node).collect();
        for child in children {
            let order = self.source.order(child);
            match self.source.kind(child) {
                NodeKind::Local => {
                    // The variable that `instanceof` binds is not seen, its type is.
                    if let Some(typed) = self.source.child_of(child, NodeKind::TypeRef) {
                        self.expression(item, Some(order), typed);
                    }
                }
                NodeKind::TypeRef if order == 0 || !self.takes_types(node) => {}
                NodeKind::TypeRef if self.source.name(node) == "<operator>.cast" => {
                    let typed = Item::new(NodeKind::TypeRef, "", self.source.code(child));
                    self.add(item, typed.at(self.source.at(node)).argument(order));
                }
                // `Type.class` is a field of a variable of that name.
                NodeKind::TypeRef if self.source.name(node) == "<operator>.fieldAccess" => {
                    let name = self.source.code(child);
                    let typed = Item::new(NodeKind::Identifier, name.as_str(), name.as_str());
                    self.add(item, typed.at(self.source.at(child)).argument(order));
                    self.add(
                        item,
                        Item::new(NodeKind::FieldIdentifier, "class", "class")
                            .at(self.source.at(node))
                            .argument(2),
                    );
                    return;
                }
                _ if order == 0 && (is_creation || is_init) => {}
                _ => self.expression(item, Some(order), child),
            }
        }
    }

    /// `String.format`, the one method with any number of arguments that a method alone can be known to call.
    fn is_format(&self, call: NodeId) -> bool {
        let is_string =
            |receiver| self.source.kind(receiver) == NodeKind::Identifier && self.source.name(receiver) == "String";
        let mut arguments = self.source.children(call).filter(|&child| self.source.order(child) > 0);
        self.source.kind(call) == NodeKind::Call
            && self.source.name(call) == "format"
            && self.receiver(call).is_some_and(is_string)
            && arguments.all(|argument| self.is_typed(argument))
    }

    /// What is behind the format is put into an array.
    fn format_arguments(&mut self, item: ItemId, node: NodeId) {
        let mut arguments = self.source.children(node);
        let (receiver, format) = (arguments.next(), arguments.next());
        let rest: Vec<NodeId> = arguments.collect();
        for (argument, order) in receiver.into_iter().chain(format).zip(0..) {
            self.expression(item, Some(order), argument);
        }
        let name = "<operator>.arrayInitializer";
        let array = Item::new(NodeKind::Call, name, name)
            .at(self.source.at(node))
            .argument(2);
        let array = self.add(item, array);
        for (argument, order) in rest.into_iter().zip(1..) {
            self.expression(array, Some(order), argument);
        }
    }

    fn takes_types(&self, node: NodeId) -> bool {
        matches!(
            self.source.name(node),
            "<operator>.cast" | "<operator>.instanceOf" | "<operator>.fieldAccess"
        )
    }
}
