//! What Joern assumes of operators: from which arguments values go to which.

/// The value that a call returns, as the target of a flow.
const RETURNED: i32 = -1;

/// Flows of an operator as pairs of argument numbers; `None` for calls of which everything is assumed.
fn flows(call: &str) -> Option<&'static [(i32, i32)]> {
    let operator = call
        .strip_prefix("<operator>.")
        .or_else(|| call.strip_prefix("<operators>."))?;
    Some(match operator {
        "addition" | "cast" | "elvis" => &[(1, RETURNED), (2, RETURNED)],
        "assignment" => &[(2, 1), (2, RETURNED)],
        "assignmentAnd"
        | "assignmentArithmeticShiftRight"
        | "assignmentDivision"
        | "assignmentExponentiation"
        | "assignmentLogicalShiftRight"
        | "assignmentMinus"
        | "assignmentModulo"
        | "assignmentMultiplication"
        | "assignmentOr"
        | "assignmentPlus"
        | "assignmentShiftLeft"
        | "assignmentXor" => &[(2, 1), (1, 1), (2, RETURNED)],
        "conditional" => &[(2, RETURNED), (3, RETURNED)],
        "fieldAccess" | "indexAccess" | "notNullAssert" | "addressOf" | "indirection" => &[(1, RETURNED)],
        "postDecrement" | "postIncrement" | "preDecrement" | "preIncrement" => &[(1, 1), (1, RETURNED)],
        "sizeOf" => &[],
        _ => return None,
    })
}

/// Whether a call uses the value of an argument.
pub(super) fn is_used(call: &str, argument: u32) -> bool {
    flows(call).is_none_or(|flows| flows.iter().any(|&(from, _)| from == argument as i32))
}

/// Whether a call gives an argument a new value.
pub(super) fn is_defined(call: &str, argument: u32) -> bool {
    flows(call).is_none_or(|flows| flows.iter().any(|&(_, to)| to == argument as i32))
}

/// Whether a call's own value comes of nothing that is passed to it.
pub(super) fn returns_nothing(call: &str) -> bool {
    flows(call).is_some_and(|flows| flows.iter().all(|&(_, to)| to != RETURNED))
}

/// Whether something goes from one argument to another of the same call.
pub(super) fn has_flow(call: &str, from: u32, to: u32) -> bool {
    flows(call).is_none_or(|flows| flows.contains(&(from as i32, to as i32)))
}

/// Calls that name a part of a variable: they neither define nor end anything, and are not drawn.
pub(super) fn is_member_access(call: &str) -> bool {
    matches!(call, "<operator>.fieldAccess" | "<operator>.indexAccess")
}
