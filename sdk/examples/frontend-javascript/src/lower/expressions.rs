//! Expressions.

use transducer_frontend::cpg::{NameId, NodeId, NodeKind};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaScriptLowering, Task, What, operators};
use crate::syntax::{Field, Kind};

impl JavaScriptLowering<'_> {
    /// Lowers an expression; `false` where the syntax is none.
    pub(super) fn expression(&mut self, id: SyntaxId, task: Task) -> bool {
        match self.syntax.kind(id) {
            Kind::Identifier
            | Kind::ShorthandPropertyIdentifier
            | Kind::ShorthandPropertyIdentifierPattern
            | Kind::This
            | Kind::Super
            | Kind::Import
            | Kind::MetaProperty => {
                self.leaf(NodeKind::Identifier, id, task);
            }
            Kind::PropertyIdentifier | Kind::PrivatePropertyIdentifier => {
                self.leaf(NodeKind::FieldIdentifier, id, task);
            }
            Kind::Number
            | Kind::String
            | Kind::StringFragment
            | Kind::EscapeSequence
            | Kind::Regex
            | Kind::True
            | Kind::False
            | Kind::Null
            | Kind::Undefined => {
                self.leaf(NodeKind::Literal, id, task);
            }
            Kind::Parenthesized | Kind::TemplateSubstitution => self.hand_on(id, task),
            Kind::Binary => match operators::binary(self.operator_of(id)) {
                Some(operator) => {
                    self.call_of(operator, id, &[Field::Left, Field::Right], task);
                }
                None => return false,
            },
            Kind::Unary => match operators::unary(self.operator_of(id)) {
                Some(operator) => self.call_of(operator, id, &[Field::Argument], task),
                None => return false,
            },
            Kind::Update => {
                let operator = self.syntax.field(id, Field::Operator);
                let is_prefix = operator < self.syntax.field(id, Field::Argument);
                let name = operators::update(self.operator_of(id), is_prefix);
                self.call_of(name, id, &[Field::Argument], task);
            }
            Kind::Assignment => self.assign(id, task),
            Kind::AugmentedAssignment => match operators::augmented(self.operator_of(id)) {
                Some(operator) => self.call_of(operator, id, &[Field::Left, Field::Right], task),
                None => return false,
            },
            Kind::Ternary => {
                let fields = [Field::Condition, Field::Consequence, Field::Alternative];
                self.call_of(operators::CONDITIONAL, id, &fields, task);
            }
            Kind::Await => self.call_over(operators::AWAIT, id, task),
            Kind::Yield => self.call_over(operators::YIELD, id, task),
            Kind::SpreadElement => self.call_over(operators::SPREAD, id, task),
            Kind::Sequence => self.call_over(operators::COMMA, id, task),
            Kind::Array => self.call_over(operators::ARRAY, id, task),
            Kind::ComputedPropertyName => self.call_over(operators::COMPUTED_KEY, id, task),
            Kind::TemplateString => self.call_over(operators::TEMPLATE, id, task),
            Kind::Object => self.object(id, task),
            Kind::Member | Kind::Subscript | Kind::Call => self.chain(id, task),
            Kind::New => self.new_object(id, task),
            _ => return false,
        }
        true
    }

    fn operator_of(&self, id: SyntaxId) -> &str {
        let operator = self.syntax.field(id, Field::Operator);
        operator.map(|operator| self.text(operator)).unwrap_or_default()
    }

    /// A call of an operator, its arguments the children in the fields given.
    fn call_of(&mut self, operator: &str, id: SyntaxId, fields: &[Field], task: Task) {
        let call = self.operator(task, operator, id);
        for child in self.syntax.children(id) {
            let field = self.syntax.node(child).field;
            match fields.iter().zip(1..).find(|(known, _)| **known == field) {
                Some((_, order)) => self.push(call, What::Node(child), order, Role::Argument),
                None => self.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// A call of an operator, its arguments all operands.
    fn call_over(&mut self, operator: &str, id: SyntaxId, task: Task) {
        let call = self.operator(task, operator, id);
        self.push_arguments(call, id);
    }

    /// The values are the arguments; before each stands its key.
    fn object(&mut self, id: SyntaxId, task: Task) {
        let call = self.operator(task, operators::OBJECT, id);
        let mut count = 0;
        for child in self.syntax.children(id) {
            let kind = self.syntax.kind(child);
            count += u32::from(kind.is_operand());
            if kind != Kind::Pair {
                let (order, role) = if kind.is_operand() {
                    (count, Role::Argument)
                } else {
                    (0, Role::Plain)
                };
                self.push(call, What::Node(child), order, role);
                continue;
            }
            let key = self.syntax.field(child, Field::Key);
            for part in self.syntax.children(child) {
                match self.syntax.node(part).field {
                    Field::Value => self.push(call, What::Value(part, key), count, Role::Argument),
                    _ => self.push(call, What::Node(part), 0, Role::Plain),
                }
            }
        }
    }

    /// A chain of fields, elements and calls; one with a `?.` in it is the argument of the node where it ends early.
    fn chain(&mut self, id: SyntaxId, task: Task) {
        let mut link = Some(id);
        let mut is_optional = false;
        while let Some(here) = link {
            is_optional |= self.is_optional(here);
            link = self.base_of(here);
        }
        if is_optional {
            let chain = self.operator(task, operators::OPTIONAL_CHAIN, id);
            self.push(chain, What::Link(id, Some(chain), false), 1, Role::Argument);
        } else {
            self.chain_link(id, None, task);
        }
    }

    /// What a link of a chain is a part of, or calls; parentheses end a chain.
    fn base_of(&self, link: SyntaxId) -> Option<SyntaxId> {
        let field = match self.syntax.kind(link) {
            Kind::Member | Kind::Subscript => Field::Object,
            Kind::Call => Field::Function,
            _ => return None,
        };
        self.syntax.field(link, field)
    }

    /// Whether the chain ends before this link where what it is made on is null.
    fn is_optional(&self, link: SyntaxId) -> bool {
        self.base_of(link).is_some() && self.syntax.child(link, Kind::OptionalChain).is_some()
    }

    pub(super) fn link(&mut self, id: SyntaxId, chain: Option<NodeId>, is_tested: bool, task: Task) {
        let mut id = id;
        let mut chain_here = chain;
        while let Some(inner) = self.operand(id).filter(|_| self.syntax.kind(id) == Kind::Parenthesized) {
            id = inner;
            chain_here = None;
        }
        let next = self.cpg.nodes().len();
        match (chain_here, self.base_of(id)) {
            (Some(_), Some(_)) => self.chain_link(id, chain, task),
            _ => self.node(id, task),
        }
        if let Some(chain) = chain.filter(|_| is_tested && self.cpg.nodes().len() > next) {
            self.condition(chain, next as NodeId);
        }
    }

    fn chain_link(&mut self, id: SyntaxId, chain: Option<NodeId>, task: Task) {
        let is_tested = self.is_optional(id);
        match self.syntax.kind(id) {
            Kind::Call => self.call(id, chain, task),
            kind => {
                let is_member = kind == Kind::Member;
                let name = if is_member {
                    operators::FIELD_ACCESS
                } else {
                    operators::INDEX_ACCESS
                };
                let call = self.operator(task, name, id);
                for child in self.syntax.children(id) {
                    match self.syntax.node(child).field {
                        Field::Object => self.push(call, What::Link(child, chain, is_tested), 1, Role::Argument),
                        Field::Property | Field::Index => self.push(call, What::Node(child), 2, Role::Argument),
                        _ if self.syntax.kind(child) == Kind::OptionalChain => {}
                        _ => self.push(call, What::Node(child), 0, Role::Plain),
                    }
                }
            }
        }
    }

    /// `f(x)`, `o.m(x)`, `` tag`text` ``.
    fn call(&mut self, id: SyntaxId, chain: Option<NodeId>, task: Task) {
        let is_tested = self.is_optional(id);
        let callee = self.syntax.field(id, Field::Function);
        let callee_kind = callee.map_or(Kind::Other, |callee| self.syntax.kind(callee));
        let named = match callee_kind {
            Kind::Member => callee.and_then(|callee| self.syntax.field(callee, Field::Property)),
            Kind::Identifier | Kind::Super | Kind::Import => callee,
            _ => None,
        };
        let name = named.map_or(NameId::EMPTY, |named| self.text_name(named));
        let call = self.add(task, NodeKind::Call, id, name);
        match (callee, callee_kind) {
            // `o.m?.(x)` looks at the method before it calls it.
            (Some(callee), Kind::Member) if !is_tested => {
                let is_tested = self.is_optional(callee);
                for child in self.syntax.children(callee) {
                    match self.syntax.node(child).field {
                        Field::Object => self.push(call, What::Link(child, chain, is_tested), 0, Role::Receiver),
                        Field::Property => {}
                        _ if self.syntax.kind(child) == Kind::OptionalChain => {}
                        _ => self.push(call, What::Node(child), 0, Role::Plain),
                    }
                }
            }
            (Some(_), Kind::Super | Kind::Import) | (None, _) => {}
            (Some(callee), _) => self.push(call, What::Link(callee, chain, is_tested), 0, Role::Callee),
        }
        if let Some(arguments) = self.syntax.field(id, Field::Arguments) {
            self.push_arguments(call, arguments);
        }
        self.push_strays(call, id);
    }

    /// `new Type(x)`: a call named by the type.
    fn new_object(&mut self, id: SyntaxId, task: Task) {
        let callee = self.syntax.field(id, Field::Constructor);
        let named = match callee.map(|callee| self.syntax.kind(callee)) {
            Some(Kind::Member) => callee.and_then(|callee| self.syntax.field(callee, Field::Property)),
            Some(Kind::Identifier) => callee,
            _ => None,
        };
        let name = named.map_or(NameId::EMPTY, |named| self.text_name(named));
        let call = self.add(task, NodeKind::Call, id, name);
        if let Some(callee) = callee {
            self.push(call, What::Node(callee), 0, Role::Callee);
        }
        if let Some(arguments) = self.syntax.field(id, Field::Arguments) {
            self.push_arguments(call, arguments);
        }
        self.push_strays(call, id);
    }
}
