//! Names of operators, as the CPG has them.

pub(super) const ASSERT: &str = "ASSERT";
pub(super) const ALLOC: &str = "<operator>.alloc";
pub(super) const ARRAY_INITIALIZER: &str = "<operator>.arrayInitializer";
pub(super) const ASSIGNMENT: &str = "<operator>.assignment";
pub(super) const CAST: &str = "<operator>.cast";
pub(super) const CONDITIONAL: &str = "<operator>.conditional";
pub(super) const FIELD_ACCESS: &str = "<operator>.fieldAccess";
pub(super) const INDEX_ACCESS: &str = "<operator>.indexAccess";
pub(super) const INSTANCE_OF: &str = "<operator>.instanceOf";
pub(super) const TEMPLATE: &str = "<operator>.formatString";

/// The call that a binary operator is; `None` for what broken code puts in its place.
pub(super) fn binary(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+" => "<operator>.addition",
        "-" => "<operator>.subtraction",
        "*" => "<operator>.multiplication",
        "/" => "<operator>.division",
        "%" => "<operator>.modulo",
        "&" => "<operator>.and",
        "|" => "<operator>.or",
        "^" => "<operator>.xor",
        "<<" => "<operator>.shiftLeft",
        ">>" => "<operator>.arithmeticShiftRight",
        ">>>" => "<operator>.logicalShiftRight",
        "&&" => "<operator>.logicalAnd",
        "||" => "<operator>.logicalOr",
        "==" => "<operator>.equals",
        "!=" => "<operator>.notEquals",
        "<" => "<operator>.lessThan",
        ">" => "<operator>.greaterThan",
        "<=" => "<operator>.lessEqualsThan",
        ">=" => "<operator>.greaterEqualsThan",
        _ => return None,
    })
}

/// The call that an assignment is.
pub(super) fn assignment(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "=" => ASSIGNMENT,
        "+=" => "<operator>.assignmentPlus",
        "-=" => "<operator>.assignmentMinus",
        "*=" => "<operator>.assignmentMultiplication",
        "/=" => "<operator>.assignmentDivision",
        "%=" => "<operator>.assignmentModulo",
        "&=" => "<operator>.assignmentAnd",
        "|=" => "<operator>.assignmentOr",
        "^=" => "<operator>.assignmentXor",
        "<<=" => "<operator>.assignmentShiftLeft",
        ">>=" => "<operator>.assignmentArithmeticShiftRight",
        ">>>=" => "<operator>.assignmentLogicalShiftRight",
        _ => return None,
    })
}

/// The call that a unary operator is.
pub(super) fn unary(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+" => "<operator>.plus",
        "-" => "<operator>.minus",
        "!" => "<operator>.logicalNot",
        "~" => "<operator>.not",
        _ => return None,
    })
}

/// The call that `++` or `--` is, before or after its operand.
pub(super) fn update(is_increment: bool, is_prefix: bool) -> &'static str {
    match (is_increment, is_prefix) {
        (true, true) => "<operator>.preIncrement",
        (true, false) => "<operator>.postIncrement",
        (false, true) => "<operator>.preDecrement",
        (false, false) => "<operator>.postDecrement",
    }
}
