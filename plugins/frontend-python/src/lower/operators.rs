//! Names of operators, as the CPG has them.

pub(super) const ASSERT: &str = "ASSERT";
pub(super) const ASSIGNMENT: &str = "<operator>.assignment";
pub(super) const AWAIT: &str = "<operator>.await";
pub(super) const CONDITIONAL: &str = "<operator>.conditional";
pub(super) const DELETE: &str = "<operator>.delete";
pub(super) const DICTIONARY: &str = "<operator>.dictLiteral";
pub(super) const DICTIONARY_SPLAT: &str = "<operator>.doubleStarredUnpack";
pub(super) const FIELD_ACCESS: &str = "<operator>.fieldAccess";
pub(super) const FORMAT: &str = "<operator>.formatString";
pub(super) const INDEX_ACCESS: &str = "<operator>.indexAccess";
pub(super) const LIST: &str = "<operator>.listLiteral";
pub(super) const LOGICAL_AND: &str = "<operator>.logicalAnd";
pub(super) const LOGICAL_NOT: &str = "<operator>.logicalNot";
pub(super) const LOGICAL_OR: &str = "<operator>.logicalOr";
pub(super) const PASS: &str = "<operator>.pass";
/// What a value is compared with by its shape; identifiers below it are given a part of the value.
pub(super) const PATTERN: &str = "<operator>.pattern";
pub(super) const SET: &str = "<operator>.setLiteral";
pub(super) const SLICE: &str = "<operator>.slice";
pub(super) const SPLAT: &str = "<operator>.starredUnpack";
pub(super) const TUPLE: &str = "<operator>.tupleLiteral";
/// What a value is taken apart into: what stands below it is given a part of the value.
pub(super) const UNPACK: &str = "<operator>.unpack";
pub(super) const YIELD: &str = "<operator>.yield";
pub(super) const YIELD_FROM: &str = "<operator>.yieldFrom";

/// The call that a binary operator is; `None` for what broken code puts in its place.
pub(super) fn binary(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+" => "<operator>.addition",
        "-" => "<operator>.subtraction",
        "*" => "<operator>.multiplication",
        "@" => "<operator>.matrixMultiplication",
        "/" => "<operator>.division",
        "//" => "<operator>.floorDivision",
        "%" => "<operator>.modulo",
        "**" => "<operator>.exponentiation",
        "&" => "<operator>.and",
        "|" => "<operator>.or",
        "^" => "<operator>.xor",
        "<<" => "<operator>.shiftLeft",
        ">>" => "<operator>.arithmeticShiftRight",
        "and" => LOGICAL_AND,
        "or" => LOGICAL_OR,
        _ => return None,
    })
}

/// The call that a comparison is; blanks inside the operator do not matter.
pub(super) fn comparison(operator: &str) -> &'static str {
    match operator {
        "==" => "<operator>.equals",
        "!=" | "<>" => "<operator>.notEquals",
        "<" => "<operator>.lessThan",
        ">" => "<operator>.greaterThan",
        "<=" => "<operator>.lessEqualsThan",
        ">=" => "<operator>.greaterEqualsThan",
        "in" => "<operator>.in",
        "is" => "<operator>.is",
        two_words if two_words.starts_with("is") => "<operator>.isNot",
        _ => "<operator>.notIn",
    }
}

/// The call that an augmented assignment is.
pub(super) fn augmented(operator: &str) -> &'static str {
    match operator {
        "+=" => "<operator>.assignmentPlus",
        "-=" => "<operator>.assignmentMinus",
        "*=" => "<operator>.assignmentMultiplication",
        "@=" => "<operator>.assignmentMatrixMultiplication",
        "/=" => "<operator>.assignmentDivision",
        "//=" => "<operator>.assignmentFloorDivision",
        "%=" => "<operator>.assignmentModulo",
        "**=" => "<operator>.assignmentExponentiation",
        "&=" => "<operator>.assignmentAnd",
        "|=" => "<operator>.assignmentOr",
        "^=" => "<operator>.assignmentXor",
        "<<=" => "<operator>.assignmentShiftLeft",
        ">>=" => "<operator>.assignmentArithmeticShiftRight",
        _ => ASSIGNMENT,
    }
}

/// The call that a unary operator is.
pub(super) fn unary(operator: &str) -> &'static str {
    match operator {
        "-" => "<operator>.minus",
        "~" => "<operator>.not",
        _ => "<operator>.plus",
    }
}
