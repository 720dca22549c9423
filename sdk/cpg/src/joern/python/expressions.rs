//! Expressions. Each adds its own node at once, and what is below it later.

use super::{Lowering, Place, Work, strings};
use crate::joern::tree::{Item, ItemId};
use crate::{EdgeKind, NodeId, NodeKind};

/// What an expression becomes.
enum Form {
    /// A node of that kind, with nothing below.
    Leaf(NodeKind),
    /// A call of an operator by Joern's name, of its arguments in order.
    Operator(String),
    /// `a and b and c`: one call of all operands.
    Logical,
    Index,
    Format,
    /// Literals after one another.
    Strings,
    /// A format string with nothing to be put in.
    PlainFormat,
    /// Blocks:
    Chain,
    Dictionary,
    Comprehension,
    /// A call of what is named or computed, and one of the method of something.
    Call,
    MethodCall,
    /// The same, of something that is evaluated once, in a block.
    ComputedMethodCall,
    Nothing,
}

impl Lowering<'_> {
    fn form(&self, node: NodeId) -> Form {
        let name = self.source.name(node);
        match self.source.kind(node) {
            NodeKind::Literal => match &strings::split(self.source.raw(node))[..] {
                [only] if only.is_format => Form::PlainFormat,
                [_, _, ..] => Form::Strings,
                _ => Form::Leaf(NodeKind::Literal),
            },
            kind @ (NodeKind::Identifier | NodeKind::FieldIdentifier | NodeKind::MethodRef) => Form::Leaf(kind),
            NodeKind::TypeDecl => Form::Leaf(NodeKind::TypeRef),
            NodeKind::Unknown | NodeKind::ControlStructure | NodeKind::Import => Form::Leaf(NodeKind::Unknown),
            NodeKind::Call => match name.strip_prefix("<operator>.") {
                Some("yield" | "yieldFrom" | "slice" | "pattern") => Form::Leaf(NodeKind::Unknown),
                Some("listComprehension" | "setComprehension" | "dictComprehension" | "generator") => {
                    Form::Comprehension
                }
                // Joern takes `{}` for a set.
                Some("dictLiteral") if self.source.children(node).next().is_none() => {
                    Form::Operator(operator_name("setLiteral"))
                }
                Some("dictLiteral") => Form::Dictionary,
                Some("logicalAnd") if self.is_chain(node) => Form::Chain,
                Some("logicalAnd" | "logicalOr") => Form::Logical,
                Some("indexAccess") => Form::Index,
                Some("formatString") if self.is_string_list(node) => {
                    Form::Operator(operator_name("stringExpressionList"))
                }
                Some("formatString") => Form::Format,
                Some(operator) => Form::Operator(operator_name(operator)),
                None => self.call_form(node),
            },
            _ => Form::Nothing,
        }
    }

    fn call_form(&self, node: NodeId) -> Form {
        match self.receiver(node) {
            Some(receiver) if self.is_argument(node, receiver) => match self.source.kind(receiver) {
                NodeKind::Identifier => Form::MethodCall,
                _ => Form::ComputedMethodCall,
            },
            _ => Form::Call,
        }
    }

    /// What is called, or the object whose method is.
    fn receiver(&self, call: NodeId) -> Option<NodeId> {
        self.source
            .cpg
            .outgoing(call, EdgeKind::Receiver)
            .first()
            .map(|edge| edge.target)
    }

    /// `a < b < c`: the second comparison shares its left side with the first.
    fn is_chain(&self, node: NodeId) -> bool {
        self.source.name(node) == "<operator>.logicalAnd"
            && self.source.role(node, 2).iter().any(|&right| {
                self.source.kind(right) == NodeKind::Call
                    && self.source.name(right).starts_with("<operator>.")
                    && self.source.role(right, 1).is_empty()
                    && self.source.role(right, 2).len() == 1
            })
    }

    /// Puts an expression below a node, as its argument where an index is given.
    pub(super) fn expression(&mut self, parent: ItemId, argument: Option<u32>, node: NodeId) {
        let mut node = node;
        // What is awaited stands for itself.
        while self.source.kind(node) == NodeKind::Call
            && self.source.name(node) == "<operator>.await"
            && let Some(&awaited) = self.source.role(node, 1).first()
        {
            node = awaited;
        }
        let name = self.source.name(node);
        let item = match self.form(node) {
            Form::Nothing => return,
            Form::Leaf(kind) => {
                let code = match kind {
                    NodeKind::Identifier | NodeKind::FieldIdentifier => name.to_owned(),
                    NodeKind::MethodRef => format!("def {name}(...)"),
                    NodeKind::TypeRef => format!("class {name}(...)"),
                    NodeKind::Unknown => self.unknown_code(node),
                    _ => literal_code(self.source.raw(node)),
                };
                Item::new(kind, name, code)
            }
            Form::Operator(operator) => Item::new(NodeKind::Call, operator, ""),
            Form::Logical | Form::Index | Form::Format | Form::Call | Form::MethodCall => {
                Item::new(NodeKind::Call, name, "")
            }
            Form::PlainFormat => Item::new(NodeKind::Call, operator_name("formatString"), ""),
            Form::Strings => Item::new(NodeKind::Call, operator_name("stringExpressionList"), ""),
            Form::Chain | Form::Dictionary | Form::Comprehension | Form::ComputedMethodCall => {
                Item::new(NodeKind::Block, "", "")
            }
        };
        let is_leaf = !matches!(item.kind, NodeKind::Call | NodeKind::Block);
        let item = item.at(self.expression_at(node));
        let item = self.add(parent, Item { argument, ..item });
        if !is_leaf {
            self.work.push(Work::Parts(item, node));
        }
    }

    /// What begins with an operand in brackets is at that operand, a generator at its element.
    pub(super) fn expression_at(&self, node: NodeId) -> Place {
        let mut node = node;
        loop {
            let name = self.source.name(node);
            let inside = self.source.raw(node).strip_prefix('(');
            let has_brackets = matches!(name, "<operator>.tupleLiteral" | "<operator>.unpack");
            let Some(inside) = inside.filter(|_| !has_brackets) else {
                return self.source.at(node);
            };
            if name == "<operator>.generator" {
                let blanks = inside.len() - inside.trim_start().len();
                return self.source.place(self.source.span(node).start + 1 + blanks as u32);
            }
            match self
                .source
                .children(node)
                .min_by_key(|&child| self.source.span(child).start)
            {
                Some(first) => node = first,
                None => return self.source.at(node),
            }
        }
    }

    /// Strings after one another, of which some are format strings.
    fn is_string_list(&self, node: NodeId) -> bool {
        let first = self.source.children(node).next();
        first.is_some_and(|first| self.source.span(first).start == self.source.span(node).start)
    }

    /// Joern prints its own syntax of what it does not know; of a `yield` of a name, so does this.
    fn unknown_code(&self, node: NodeId) -> String {
        let ends = |node| {
            let (line, column) = self.source.at(node);
            let (last_line, behind) = self.source.place(self.source.span(node).end);
            format!("{line},{column},{last_line},{}", behind.saturating_sub(1))
        };
        let value = self.source.role(node, 1).first().copied();
        match value.filter(|&value| self.source.kind(value) == NodeKind::Identifier) {
            Some(value) if self.source.name(node) == "<operator>.yield" => {
                let name = self.source.name(value);
                format!("Yield(Some(Name({name},{})),{})", ends(value), ends(node))
            }
            // Its syntax has places, so that no two are the same.
            _ if self.source.kind(node) == NodeKind::Call => format!("{}@{}", self.source.code(node), ends(node)),
            _ => self.source.code(node),
        }
    }

    pub(super) fn expression_parts(&mut self, item: ItemId, node: NodeId) {
        let at = self.expression_at(node);
        match self.form(node) {
            Form::Operator(_) => {
                for (argument, order) in self.operands(node).into_iter().zip(1..) {
                    if self.source.kind(argument) == NodeKind::FieldIdentifier {
                        let name = self.source.name(argument);
                        self.add(
                            item,
                            Item::new(NodeKind::FieldIdentifier, name, name).at(at).argument(order),
                        );
                    } else {
                        self.expression(item, Some(order), argument);
                    }
                }
            }
            Form::PlainFormat => {
                let start = self.source.span(node).start;
                if let Some(string) = strings::split(self.source.raw(node)).first() {
                    self.plain_format(item, node, start, string);
                }
            }
            Form::Strings => {
                let start = self.source.span(node).start;
                for (string, order) in strings::split(self.source.raw(node)).iter().zip(1..) {
                    let at = self.source.place(start + string.whole.start as u32);
                    if string.is_format {
                        let format = self.add(item, Self::operator_item("formatString", at).argument(order));
                        self.plain_format(format, node, start, string);
                    } else {
                        let text = &self.source.raw(node)[string.whole.clone()];
                        self.add(item, Item::new(NodeKind::Literal, "", text).at(at).argument(order));
                    }
                }
            }
            Form::Logical => {
                for (operand, order) in self.logical_operands(node).into_iter().zip(1..) {
                    self.expression(item, Some(order), operand);
                }
            }
            Form::Index => self.index(item, node),
            Form::Format => {
                for (part, order) in self.operands(node).into_iter().zip(1..) {
                    if self.source.kind(part) == NodeKind::Literal {
                        self.expression(item, Some(order), part);
                    } else {
                        // The bracket before it.
                        let (line, column) = self.source.at(part);
                        let at = (line, column.saturating_sub(1));
                        let value = self.add(item, Self::operator_item("formattedValue", at).argument(order));
                        self.expression(value, Some(1), part);
                    }
                }
            }
            Form::Chain => self.first_of_chain(item, node),
            Form::Dictionary => self.dictionary(item, node),
            Form::Comprehension => self.comprehension(item, node),
            Form::Call => {
                if let Some(callee) = self.receiver(node) {
                    self.expression(item, None, callee);
                }
                self.arguments(item, node);
            }
            Form::MethodCall => {
                let Some(object) = self.receiver(node) else { return };
                let access = self.add(item, Self::operator_item("fieldAccess", at));
                self.expression(access, Some(1), object);
                let name = self.source.name(node);
                self.add(
                    access,
                    Item::new(NodeKind::FieldIdentifier, name, name).at(at).argument(2),
                );
                self.expression(item, Some(0), object);
                self.arguments(item, node);
            }
            Form::ComputedMethodCall => {
                let Some(object) = self.receiver(node) else { return };
                let name = self.unused("");
                let assigned = self.add(item, Self::operator_item("assignment", at));
                self.add(assigned, Self::name_item(&name, at).argument(1));
                self.expression(assigned, Some(2), object);
                let call = self.call_on_name(item, None, &name, self.source.name(node), at);
                self.arguments(call, node);
            }
            Form::Leaf(_) | Form::Nothing => {}
        }
    }

    /// The text of a format string.
    fn plain_format(&mut self, format: ItemId, node: NodeId, start: u32, string: &strings::Text) {
        let text = &self.source.raw(node)[string.content.clone()];
        if !text.is_empty() {
            let at = self.source.place(start + string.content.start as u32);
            self.add(format, Item::new(NodeKind::Literal, "", text).at(at).argument(1));
        }
    }

    /// The arguments in the order of their numbers, which is not always that of evaluation.
    fn operands(&self, node: NodeId) -> Vec<NodeId> {
        let mut found: Vec<NodeId> = self
            .source
            .children(node)
            .filter(|&child| self.source.order(child) > 0)
            .collect();
        found.sort_by_key(|&child| self.source.order(child));
        found
    }

    /// The operands of the same operator after one another; brackets keep them apart.
    fn logical_operands(&self, node: NodeId) -> Vec<NodeId> {
        let (name, start) = (self.source.name(node), self.source.span(node).start);
        let mut found = Vec::new();
        let mut left = node;
        loop {
            let [first, second] = [1, 2].map(|order| self.source.role(left, order).first().copied());
            found.extend(second);
            let Some(first) = first else { break };
            let is_same = self.source.kind(first) == NodeKind::Call
                && self.source.name(first) == name
                && self.source.span(first).start == start
                && !self.is_chain(first);
            if !is_same {
                found.push(first);
                break;
            }
            left = first;
        }
        found.reverse();
        found
    }

    /// `a[i, j]` has a tuple for an index.
    fn index(&mut self, item: ItemId, node: NodeId) {
        let operands = self.operands(node);
        let [base, indices @ ..] = &operands[..] else { return };
        self.expression(item, Some(1), *base);
        match indices {
            [index] => self.expression(item, Some(2), *index),
            [first, ..] => {
                let at = self.source.at(*first);
                let tuple = self.add(item, Self::operator_item("tupleLiteral", at).argument(2));
                for (&index, order) in indices.iter().zip(1..) {
                    self.expression(tuple, Some(order), index);
                }
            }
            [] => {}
        }
    }

    fn first_of_chain(&mut self, block: ItemId, node: NodeId) {
        let mut comparisons = Vec::new();
        let mut at = node;
        while self.is_chain(at) {
            let [left, right] = [1, 2].map(|order| self.source.role(at, order).first().copied());
            let (Some(left), Some(right)) = (left, right) else {
                return;
            };
            let operand = self.source.role(right, 2)[0];
            comparisons.push((self.source.name(right).to_owned(), operand));
            at = left;
        }
        let [left, right] = [1, 2].map(|order| self.source.role(at, order).first().copied());
        let (Some(left), Some(right)) = (left, right) else {
            return;
        };
        comparisons.reverse();
        let name = self.unused("");
        let compared = self.compare(block, self.source.name(at), right, &name);
        self.expression(compared.0, Some(1), left);
        let place = (self.tree.item(block).line, self.tree.item(block).column);
        self.add(compared.0, Self::name_item(&name, place).argument(2));
        self.work.push(Work::Chain(compared.1, comparisons, name));
    }

    /// The first of the comparisons that are left, with a variable on its left side.
    pub(super) fn chain(&mut self, parent: ItemId, rest: &[(String, NodeId)], left: &str) {
        let at = (self.tree.item(parent).line, self.tree.item(parent).column);
        match rest {
            [] => {}
            [(operator, right)] => {
                let comparison = self.add(parent, Item::new(NodeKind::Call, operator.as_str(), "").at(at));
                self.add(comparison, Self::name_item(left, at).argument(1));
                self.expression(comparison, Some(2), *right);
            }
            [(operator, right), rest @ ..] => {
                let name = self.unused("");
                let compared = self.compare(parent, operator, *right, &name);
                self.add(compared.0, Self::name_item(left, at).argument(1));
                self.add(compared.0, Self::name_item(&name, at).argument(2));
                self.work.push(Work::Chain(compared.1, rest.to_vec(), name));
            }
        }
    }

    /// `name = right`, then a comparison and a block for the next one, joined by `and`: these two.
    fn compare(&mut self, parent: ItemId, operator: &str, right: NodeId, name: &str) -> (ItemId, ItemId) {
        let at = (self.tree.item(parent).line, self.tree.item(parent).column);
        let assigned = self.add(parent, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(name, at).argument(1));
        self.expression(assigned, Some(2), right);
        let both = self.add(parent, Self::operator_item("logicalAnd", at));
        let comparison = self.add(both, Item::new(NodeKind::Call, operator, "").at(at).argument(1));
        let next = self.add(both, Item::new(NodeKind::Block, "", "").at(at).argument(2));
        (comparison, next)
    }

    /// `tmp0 = {}; tmp0[key] = value; tmp0.update(others); tmp0`
    fn dictionary(&mut self, block: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let name = self.unused("");
        let assigned = self.add(block, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(&name, at).argument(1));
        self.add(assigned, Self::operator_item("dictLiteral", at).argument(2));
        let parts: Vec<NodeId> = self.source.children(node).collect();
        let mut rest = &parts[..];
        while let [first, tail @ ..] = rest {
            if self.source.name(*first) == "<operator>.doubleStarredUnpack" {
                let call = self.call_on_name(block, None, &name, "update", at);
                for others in self.source.role(*first, 1) {
                    self.expression(call, Some(1), others);
                }
                rest = tail;
            } else if let [value, tail @ ..] = tail {
                let assigned = self.add(block, Self::operator_item("assignment", at));
                let element = self.add(assigned, Self::operator_item("indexAccess", at).argument(1));
                self.add(element, Self::name_item(&name, at).argument(1));
                self.expression(element, Some(2), *first);
                self.expression(assigned, Some(2), *value);
                rest = tail;
            } else {
                rest = tail;
            }
        }
        self.add(block, Self::name_item(&name, at));
    }

    /// What is passed, named arguments last; `**others` is not seen.
    fn arguments(&mut self, call: ItemId, node: NodeId) {
        let receiver = self.receiver(node);
        let mut plain = Vec::new();
        let mut named = Vec::new();
        let mut keyword = None;
        for child in self.source.children(node).filter(|&child| Some(child) != receiver) {
            let name = self.source.name(child);
            if self.source.order(child) == 0 {
                keyword = (self.source.kind(child) == NodeKind::FieldIdentifier).then_some(name);
            } else if name != "<operator>.doubleStarredUnpack" {
                match keyword.take() {
                    Some(keyword) => named.push((keyword, child)),
                    None => plain.push(child),
                }
            }
        }
        let mut order = 0;
        for argument in plain {
            order += 1;
            self.expression(call, Some(order), argument);
        }
        for (keyword, argument) in named {
            order += 1;
            let id = self.tree.items.len() as ItemId;
            self.expression(call, Some(order), argument);
            self.tree.keywords.insert(id, keyword.to_owned());
        }
    }
}

/// Joern doubles the `j` of imaginary numbers.
fn literal_code(raw: &str) -> String {
    let is_imaginary = raw.starts_with(|c: char| c.is_ascii_digit() || c == '.') && raw.ends_with(['j', 'J']);
    if is_imaginary {
        format!("{raw}j")
    } else {
        raw.to_owned()
    }
}

/// Joern's names of Python's own operators.
fn operator_name(operator: &str) -> String {
    let (prefix, name) = match operator {
        "floorDivision" => ("<operator>", "floorDiv"),
        "matrixMultiplication" => ("<operator>", "matMult"),
        "assignmentFloorDivision" => ("<operator>", "assignmentFloorDiv"),
        "assignmentMatrixMultiplication" => ("<operator>", "assignmentMatMult"),
        "assignmentAnd"
        | "assignmentOr"
        | "assignmentXor"
        | "assignmentShiftLeft"
        | "assignmentArithmeticShiftRight" => ("<operators>", operator),
        _ => ("<operator>", operator),
    };
    format!("{prefix}.{name}")
}
