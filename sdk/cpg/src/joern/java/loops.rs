//! The enhanced `for`: over an iterator, a `while` with calls of `hasNext` and `next`; over an array, a `for` with an index.

use super::{Lowering, Work};
use crate::joern::tree::{EMPTY, Item, ItemId};
use crate::{EdgeKind, NodeId, NodeKind};

/// A variable that Joern adds, or one of the source that is gone over itself.
struct Variable {
    name: String,
    declaration: Option<ItemId>,
}

impl Variable {
    fn used(&self, argument: u32) -> Item {
        Item::new(NodeKind::Identifier, self.name.as_str(), self.name.as_str())
            .naming(self.declaration)
            .argument(argument)
    }
}

/// Line, and no column.
type Place = (u32, u32);

fn operator(name: &str, code: impl Into<String>, at: Place) -> Item {
    Item::new(NodeKind::Call, format!("<operator>.{name}"), code).at(at)
}

impl Lowering<'_> {
    pub(super) fn for_each(&mut self, parent: ItemId, node: NodeId) {
        let Some(&iterated) = self.source.role(node, 2).first() else {
            return;
        };
        let line = self.source.line(node);
        let (control, sequence, index) = if self.is_array(iterated) {
            let sequence = self.array(parent, iterated, line);
            let control = self.add(parent, Item::new(NodeKind::ControlStructure, "FOR", EMPTY));
            let index = self.index(control, &sequence, line);
            (control, sequence, Some(index))
        } else {
            let sequence = self.iterator(parent, iterated, line);
            let control = Item::new(NodeKind::ControlStructure, "WHILE", "FOR").at(self.source.at(node));
            let control = self.add(parent, control);
            let test = self.add(control, Item::new(NodeKind::Call, "hasNext", EMPTY).at(line));
            self.add(test, sequence.used(0));
            (control, sequence, None)
        };

        let bodies = self.source.role(node, 3);
        let block = bodies.first().copied().filter(|&body| self.is_plain_block(body));
        let at = block.map_or(line, |block| self.source.at(block));
        let body = self.add(control, Item::new(NodeKind::Block, "", EMPTY).at(at));
        if let Some(variable) = self.source.child_of(node, NodeKind::Local) {
            self.element(body, variable, &sequence, index.as_ref(), line);
        }
        let statements = block.map_or(bodies, |block| self.source.children(block).collect());
        self.work.push(Work::Statements(body, statements));
    }

    fn added(&mut self, parent: ItemId, name: String, at: Place) -> Variable {
        let local = self.add(parent, Item::new(NodeKind::Local, name.as_str(), name.as_str()).at(at));
        Variable {
            name,
            declaration: Some(local),
        }
    }

    fn iterator_name(&mut self) -> String {
        self.iterators += 1;
        format!("$iterLocal{}", self.iterators - 1)
    }

    /// The array: a variable of the source, or one that takes the value of an expression.
    fn array(&mut self, parent: ItemId, iterated: NodeId, line: Place) -> Variable {
        let named = self.source.cpg.outgoing(iterated, EdgeKind::Ref).first();
        if let Some(&declaration) = named.and_then(|edge| self.declared.get(&edge.target)) {
            return Variable {
                name: self.source.name(iterated).to_owned(),
                declaration: Some(declaration),
            };
        }
        let at = self.source.at(iterated);
        let name = self.iterator_name();
        let array = self.added(parent, name, at);
        let assigned = self.add(parent, operator("assignment", "", line));
        self.add(assigned, array.used(1).at(at));
        self.expression(assigned, Some(2), iterated);
        array
    }

    fn iterator(&mut self, parent: ItemId, iterated: NodeId, line: Place) -> Variable {
        let name = self.iterator_name();
        let iterator = self.added(parent, name, line);
        let assigned = self.add(parent, operator("assignment", "", line));
        self.add(assigned, iterator.used(1).at(self.source.at(iterated)));
        let call = self.add(
            assigned,
            Item::new(NodeKind::Call, "iterator", EMPTY).at(line).argument(2),
        );
        self.expression(call, Some(0), iterated);
        iterator
    }

    /// The index of a loop over an array: its start, its test, its increment.
    fn index(&mut self, control: ItemId, array: &Variable, line: Place) -> Variable {
        let name = format!("$idx{}", self.indices);
        self.indices += 1;
        let index = self.added(control, name, line);
        let start = self.add(control, operator("assignment", format!("int {} = 0", index.name), line));
        self.add(start, index.used(1));
        self.add(start, Item::new(NodeKind::Literal, "", "0").at(line).argument(2));
        let length = format!("{}.length", array.name);
        let test = self.add(
            control,
            operator("lessThan", format!("{} < {length}", index.name), line),
        );
        self.add(test, index.used(1));
        let access = self.add(test, operator("fieldAccess", length, line).argument(2));
        self.add(access, array.used(1));
        let field = Item::new(NodeKind::FieldIdentifier, "length", "length").at(line);
        self.add(access, field.argument(2));
        let update = self.add(control, operator("postIncrement", format!("{}++", index.name), line));
        self.add(update, index.used(1));
        index
    }

    /// The loop's own variable, and the element that it is given.
    fn element(&mut self, body: ItemId, variable: NodeId, sequence: &Variable, index: Option<&Variable>, line: Place) {
        let own = self.added(body, self.source.name(variable).to_owned(), line);
        self.declared.extend(own.declaration.map(|local| (variable, local)));
        let assigned = self.add(body, operator("assignment", EMPTY, line));
        self.add(assigned, own.used(1));
        if let Some(index) = index {
            let access = self.add(assigned, operator("indexAccess", EMPTY, line).argument(2));
            self.add(access, sequence.used(1));
            self.add(access, index.used(2));
        } else {
            let next = self.add(assigned, Item::new(NodeKind::Call, "next", EMPTY).at(line).argument(2));
            self.add(next, sequence.used(0));
        }
    }
}
