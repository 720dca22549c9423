//! Names of operators, as the CPG has them.

pub(super) const ARRAY: &str = "<operator>.arrayInitializer";
pub(super) const ASSIGNMENT: &str = "<operator>.assignment";
pub(super) const AWAIT: &str = "<operator>.await";
pub(super) const COMMA: &str = "<operator>.expressionList";
pub(super) const CONDITIONAL: &str = "<operator>.conditional";
pub(super) const COMPUTED_KEY: &str = "<operator>.computedKey";
pub(super) const ELVIS: &str = "<operator>.elvis";
pub(super) const FIELD_ACCESS: &str = "<operator>.fieldAccess";
pub(super) const INDEX_ACCESS: &str = "<operator>.indexAccess";
pub(super) const OBJECT: &str = "<operator>.objectLiteral";
pub(super) const OPTIONAL_CHAIN: &str = "<operator>.optionalChain";
pub(super) const SPREAD: &str = "<operator>.spread";
pub(super) const TEMPLATE: &str = "<operator>.formatString";
pub(super) const UNPACK: &str = "<operator>.unpack";
pub(super) const YIELD: &str = "<operator>.yield";

/// The call that a binary operator is; `None` for what broken code puts in its place.
pub(super) fn binary(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+" => "<operator>.addition",
        "-" => "<operator>.subtraction",
        "*" => "<operator>.multiplication",
        "/" => "<operator>.division",
        "%" => "<operator>.modulo",
        "**" => "<operator>.exponentiation",
        "&" => "<operator>.and",
        "|" => "<operator>.or",
        "^" => "<operator>.xor",
        "<<" => "<operator>.shiftLeft",
        ">>" => "<operator>.arithmeticShiftRight",
        ">>>" => "<operator>.logicalShiftRight",
        "&&" => "<operator>.logicalAnd",
        "||" => "<operator>.logicalOr",
        "??" => ELVIS,
        "==" | "===" => "<operator>.equals",
        "!=" | "!==" => "<operator>.notEquals",
        "<" => "<operator>.lessThan",
        ">" => "<operator>.greaterThan",
        "<=" => "<operator>.lessEqualsThan",
        ">=" => "<operator>.greaterEqualsThan",
        "in" => "<operator>.in",
        "instanceof" => "<operator>.instanceOf",
        _ => return None,
    })
}

/// The call that an assignment with an operator is.
pub(super) fn augmented(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+=" => "<operator>.assignmentPlus",
        "-=" => "<operator>.assignmentMinus",
        "*=" => "<operator>.assignmentMultiplication",
        "/=" => "<operator>.assignmentDivision",
        "%=" => "<operator>.assignmentModulo",
        "**=" => "<operator>.assignmentExponentiation",
        "&=" => "<operator>.assignmentAnd",
        "|=" => "<operator>.assignmentOr",
        "^=" => "<operator>.assignmentXor",
        "<<=" => "<operator>.assignmentShiftLeft",
        ">>=" => "<operator>.assignmentArithmeticShiftRight",
        ">>>=" => "<operator>.assignmentLogicalShiftRight",
        "&&=" => "<operator>.assignmentLogicalAnd",
        "||=" => "<operator>.assignmentLogicalOr",
        "??=" => "<operator>.assignmentElvis",
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
        "typeof" => "<operator>.typeOf",
        "void" => "<operator>.void",
        "delete" => "<operator>.delete",
        _ => return None,
    })
}

/// The call that `++` or `--` is, before or after its operand.
pub(super) fn update(operator: &str, is_prefix: bool) -> &'static str {
    match (operator, is_prefix) {
        ("--", true) => "<operator>.preDecrement",
        ("--", false) => "<operator>.postDecrement",
        (_, true) => "<operator>.preIncrement",
        (_, false) => "<operator>.postIncrement",
    }
}
