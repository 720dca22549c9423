//! What Joern's type solver knows of a method that stands alone: primitive types, `java.lang`, and arrays.

use super::Lowering;
use crate::{EdgeKind, NodeId, NodeKind};

/// Types that need no import.
const KNOWN: &[&str] = &[
    "boolean",
    "byte",
    "char",
    "double",
    "float",
    "int",
    "long",
    "short",
    "Boolean",
    "Byte",
    "Character",
    "CharSequence",
    "Class",
    "Comparable",
    "Double",
    "Enum",
    "Error",
    "Exception",
    "Float",
    "IllegalArgumentException",
    "IllegalStateException",
    "Integer",
    "Iterable",
    "Long",
    "Math",
    "NullPointerException",
    "Number",
    "Object",
    "Runnable",
    "RuntimeException",
    "Short",
    "String",
    "StringBuffer",
    "StringBuilder",
    "System",
    "Thread",
    "Throwable",
];

/// Methods that `StringBuilder` has of a class that is not public, where the solver does not look.
const INHERITED: &[&str] = &["capacity", "charAt", "length", "setCharAt", "setLength", "substring"];

impl Lowering<'_> {
    /// Whether an expression is known to be an array.
    pub(super) fn is_array(&self, node: NodeId) -> bool {
        self.type_of(node).is_some_and(|typed| typed.ends_with("[]"))
    }

    /// The type of an expression, as far as it can be told: simple, without type arguments.
    pub(super) fn type_of(&self, node: NodeId) -> Option<String> {
        match self.source.kind(node) {
            NodeKind::Identifier => {
                let declaration = self.source.cpg.outgoing(node, EdgeKind::Ref).first()?.target;
                self.declared_type(declaration)
            }
            NodeKind::Literal => Some(literal_type(&self.source.code(node)).to_owned()),
            NodeKind::Call => match self.source.name(node).strip_prefix("<operator>.") {
                Some(operator) => self.operator_type(operator, node),
                None => self.returned_type(node),
            },
            _ => None,
        }
    }

    fn operator_type(&self, operator: &str, node: NodeId) -> Option<String> {
        let typed = self.source.child_of(node, NodeKind::TypeRef);
        match operator {
            "alloc" => Some(format!("{}[]", self.source.code(typed?))),
            "cast" => Some(self.source.code(typed?)),
            "fieldAccess" => {
                let [base, field] = [1, 2].map(|order| self.source.role(node, order).first().copied());
                let is_length = self.source.name(field?) == "length" && self.is_array(base?);
                is_length.then(|| "int".to_owned())
            }
            _ => None,
        }
    }

    fn declared_type(&self, declaration: NodeId) -> Option<String> {
        let typed = self.source.child_of(declaration, NodeKind::TypeRef)?;
        let code = self.source.code(typed);
        let bare = code.split('<').next().unwrap_or_default();
        let dimensions = code.matches("[]").count() + usize::from(code.ends_with("..."));
        let element = bare.trim_end_matches("...").trim_end_matches("[]").trim();
        let after_name = self.source.code(declaration).ends_with("[]");
        let is_parameter = self.source.kind(declaration) == NodeKind::MethodParameterIn;
        // The array type of a parameter is kept although its elements may be unknown.
        (is_parameter || KNOWN.contains(&element) || element.starts_with("java."))
            .then(|| format!("{element}{}", "[]".repeat(dimensions + usize::from(after_name))))
    }

    /// What a few methods of `String` return.
    fn returned_type(&self, call: NodeId) -> Option<String> {
        let typed = self.type_of(self.receiver(call)?)?;
        let returned = match (typed.as_str(), self.source.name(call)) {
            ("String", "toCharArray") => "char[]",
            ("String", "getBytes") => "byte[]",
            ("String", "split") => "String[]",
            ("String", "trim" | "substring" | "replace" | "replaceAll" | "toLowerCase" | "toUpperCase" | "concat") => {
                "String"
            }
            ("String" | "StringBuilder" | "StringBuffer", "toString") => "String",
            ("String", "length") | ("String" | "StringBuilder" | "StringBuffer", "indexOf" | "lastIndexOf") => "int",
            ("String", "charAt") => "char",
            ("StringBuilder" | "StringBuffer", "append" | "insert" | "reverse") => typed.as_str(),
            (any, "getClass") if is_known(any) => "Class",
            (any, "hashCode") if is_known(any) => "int",
            (any, "equals") if is_known(any) => "boolean",
            _ => return None,
        };
        Some(returned.to_owned())
    }

    /// Whether Joern could find the method that is called, and prints what stands before its name.
    pub(super) fn is_resolved(&self, call: NodeId) -> bool {
        let Some(receiver) = self.receiver(call) else {
            return false;
        };
        let name = self.source.name(receiver);
        if INHERITED.contains(&self.source.name(call)) && self.type_of(receiver).as_deref() == Some("StringBuilder") {
            return false;
        }
        match self.source.kind(receiver) {
            NodeKind::Identifier if self.source.cpg.outgoing(receiver, EdgeKind::Ref).is_empty() => {
                KNOWN.contains(&name)
            }
            NodeKind::Identifier => self.is_typed(receiver),
            NodeKind::Call => !name.starts_with("<operator>") && self.is_typed(receiver),
            _ => false,
        }
    }

    /// Whether the type of an expression is known in full.
    pub(super) fn is_typed(&self, node: NodeId) -> bool {
        self.type_of(node).is_some_and(|typed| is_known(&typed))
    }

    /// What a method is called on.
    pub(super) fn receiver(&self, call: NodeId) -> Option<NodeId> {
        let is_value = |child: &NodeId| self.source.kind(*child) != NodeKind::TypeRef;
        self.source.role(call, 0).into_iter().find(is_value)
    }
}

fn is_known(typed: &str) -> bool {
    let element = typed.trim_end_matches("[]");
    KNOWN.contains(&element) || element.starts_with("java.") || element == "null"
}

fn literal_type(code: &str) -> &'static str {
    match code.as_bytes() {
        [b'"', ..] => "String",
        [b'\'', ..] => "char",
        b"true" | b"false" => "boolean",
        b"null" => "null",
        [.., b'l' | b'L'] => "long",
        _ => "int",
    }
}
