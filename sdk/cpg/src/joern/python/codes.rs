//! The texts of nodes, from those of their children.

use crate::NodeKind;
use crate::joern::tree::{ItemId, Tree};

/// Writes the text of every node that has none of its own, children before parents.
pub(super) fn write(tree: &mut Tree) {
    for method in tree.methods.clone() {
        for id in tree.pre_order(method).into_iter().rev() {
            if let Some(code) = code(tree, id) {
                tree.items[id as usize].code = code;
            }
        }
    }
}

fn code(tree: &Tree, id: ItemId) -> Option<String> {
    let item = tree.item(id);
    let of = |id: &ItemId| tree.item(*id).code.as_str();
    match item.kind {
        NodeKind::Block => {
            let is_body = item
                .parent
                .is_some_and(|parent| tree.item(parent).kind == NodeKind::Method);
            let parts = item
                .children
                .iter()
                .filter(|&&child| tree.item(child).kind != NodeKind::Local);
            let codes: Vec<&str> = parts.map(of).collect();
            Some(if is_body { String::new() } else { codes.join("\n") })
        }
        NodeKind::Return => Some(match item.children.first() {
            Some(value) => format!("return {}", of(value)),
            None => "return".to_owned(),
        }),
        NodeKind::Call => Some(call(tree, id)),
        _ => None,
    }
}

fn call(tree: &Tree, id: ItemId) -> String {
    let item = tree.item(id);
    let codes: Vec<&str> = item
        .children
        .iter()
        .map(|&child| tree.item(child).code.as_str())
        .collect();
    let operator = item
        .name
        .strip_prefix("<operator>.")
        .or_else(|| item.name.strip_prefix("<operators>."));
    let Some(operator) = operator else {
        return plain_call(tree, id);
    };
    if let Some(symbol) = infix(operator) {
        return codes.join(&format!(" {symbol} "));
    }
    match (operator, &codes[..]) {
        ("logicalNot", [operand]) => format!("not {operand}"),
        ("minus", [operand]) => format!("-{operand}"),
        ("plus", [operand]) => format!("+{operand}"),
        ("not", [operand]) => format!("~{operand}"),
        ("starredUnpack", [operand]) => format!("*{operand}"),
        ("fieldAccess", [base, field]) => format!("{base}.{field}"),
        ("indexAccess", [base, index]) => format!("{base}[{index}]"),
        ("conditional", [test, value, other]) => format!("{value} if {test} else {other}"),
        ("formattedValue", [value]) => format!("{{{value}}}"),
        ("formatString", parts) => format!("f\"{}\"", parts.concat()),
        ("stringExpressionList", parts) => parts.join(" "),
        ("tupleLiteral", [only]) => format!("({only},)"),
        ("tupleLiteral", parts) => format!("({})", parts.join(", ")),
        ("listLiteral", parts) => format!("[{}]", parts.join(", ")),
        ("setLiteral" | "dictLiteral", parts) => format!("{{{}}}", parts.join(", ")),
        ("assert", parts) => format!("assert {}", parts.join(", ")),
        ("delete", parts) => format!("del {}", parts.join(", ")),
        ("raise", []) => "raise".to_owned(),
        ("raise", parts) => format!("raise {}", parts.join(" from ")),
        ("pass", _) => "pass".to_owned(),
        _ => item.name.clone(),
    }
}

/// `called(arguments)`: the object that a method is called on is part of what is called.
fn plain_call(tree: &Tree, id: ItemId) -> String {
    let children = &tree.item(id).children;
    let Some((called, rest)) = children.split_first() else {
        return format!("{}()", tree.item(id).name);
    };
    let arguments = rest.iter().filter(|&&child| tree.item(child).argument != Some(0));
    let arguments = arguments.map(|child| {
        let code = &tree.item(*child).code;
        match tree.keywords.get(child) {
            Some(keyword) => format!("{keyword} = {code}"),
            None => code.clone(),
        }
    });
    let arguments: Vec<String> = arguments.collect();
    format!("{}({})", tree.item(*called).code, arguments.join(", "))
}

fn infix(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "addition" => "+",
        "subtraction" => "-",
        "multiplication" => "*",
        "matMult" => "@",
        "division" => "/",
        "floorDiv" => "//",
        "modulo" => "%",
        "exponentiation" => "**",
        "and" => "&",
        "or" => "|",
        "xor" => "^",
        "shiftLeft" => "<<",
        "arithmeticShiftRight" => ">>",
        "logicalAnd" => "and",
        "logicalOr" => "or",
        "equals" => "==",
        "notEquals" => "!=",
        "lessThan" => "<",
        "greaterThan" => ">",
        "lessEqualsThan" => "<=",
        "greaterEqualsThan" => ">=",
        "in" => "in",
        "notIn" => "not in",
        "is" => "is",
        "isNot" => "is not",
        "assignment" => "=",
        "assignmentPlus" => "+=",
        "assignmentMinus" => "-=",
        "assignmentMultiplication" => "*=",
        "assignmentMatMult" => "@=",
        "assignmentDivision" => "/=",
        "assignmentFloorDiv" => "//=",
        "assignmentModulo" => "%=",
        "assignmentExponentiation" => "**=",
        "assignmentAnd" => "&=",
        "assignmentOr" => "|=",
        "assignmentXor" => "^=",
        // Joern writes both shifts like this.
        "assignmentShiftLeft" | "assignmentArithmeticShiftRight" => "<<=",
        _ => return None,
    })
}
