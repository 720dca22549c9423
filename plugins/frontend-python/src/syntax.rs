//! The kinds and fields of tree-sitter-python that lowering tells apart.

use std::sync::LazyLock;

use transducer_treesitter::tree_sitter::Language;
use transducer_treesitter::{fields, kinds};

/// The concrete syntax of a source.
pub(crate) type Syntax = transducer_treesitter::Syntax<Kind, Field>;

kinds! {
    /// What a syntax node is.
    Kind {
        AliasedImport = "aliased_import",
        ArgumentList = "argument_list",
        AsPattern = "as_pattern",
        AsPatternTarget = "as_pattern_target",
        Assert = "assert_statement",
        Assignment = "assignment",
        Attribute = "attribute",
        AugmentedAssignment = "augmented_assignment",
        Await = "await",
        Binary = "binary_operator",
        Block = "block",
        Boolean = "boolean_operator",
        Break = "break_statement",
        Call = "call",
        CaseClause = "case_clause",
        CasePattern = "case_pattern",
        Chevron = "chevron",
        ClassDefinition = "class_definition",
        ClassPattern = "class_pattern",
        Comment = "comment",
        Comparison = "comparison_operator",
        ComplexPattern = "complex_pattern",
        ConcatenatedString = "concatenated_string",
        Conditional = "conditional_expression",
        Continue = "continue_statement",
        Decorated = "decorated_definition",
        Decorator = "decorator",
        DefaultParameter = "default_parameter",
        Delete = "delete_statement",
        DictPattern = "dict_pattern",
        Dictionary = "dictionary",
        DictionaryComprehension = "dictionary_comprehension",
        DictionarySplat = "dictionary_splat",
        DictionarySplatPattern = "dictionary_splat_pattern",
        DottedName = "dotted_name",
        Elif = "elif_clause",
        Ellipsis = "ellipsis",
        Else = "else_clause",
        Except = "except_clause",
        Exec = "exec_statement",
        ExpressionList = "expression_list",
        ExpressionStatement = "expression_statement",
        False = "false",
        Finally = "finally_clause",
        Float = "float",
        For = "for_statement",
        ForIn = "for_in_clause",
        FormatExpression = "format_expression",
        FormatSpecifier = "format_specifier",
        FunctionDefinition = "function_definition",
        FutureImport = "future_import_statement",
        Generator = "generator_expression",
        Global = "global_statement",
        Identifier = "identifier",
        If = "if_statement",
        IfClause = "if_clause",
        Import = "import_statement",
        ImportFrom = "import_from_statement",
        Integer = "integer",
        Interpolation = "interpolation",
        KeywordArgument = "keyword_argument",
        KeywordPattern = "keyword_pattern",
        KeywordSeparator = "keyword_separator",
        Lambda = "lambda",
        LineContinuation = "line_continuation",
        List = "list",
        ListComprehension = "list_comprehension",
        ListPattern = "list_pattern",
        ListSplat = "list_splat",
        ListSplatPattern = "list_splat_pattern",
        Match = "match_statement",
        Module = "module",
        Named = "named_expression",
        None = "none",
        Nonlocal = "nonlocal_statement",
        Not = "not_operator",
        Pair = "pair",
        Parenthesized = "parenthesized_expression",
        ParenthesizedSplat = "parenthesized_list_splat",
        Pass = "pass_statement",
        PatternList = "pattern_list",
        PositionalSeparator = "positional_separator",
        Print = "print_statement",
        Raise = "raise_statement",
        Return = "return_statement",
        Set = "set",
        SetComprehension = "set_comprehension",
        Slice = "slice",
        SplatPattern = "splat_pattern",
        String = "string",
        StringContent = "string_content",
        StringEnd = "string_end",
        StringStart = "string_start",
        Subscript = "subscript",
        True = "true",
        Try = "try_statement",
        Tuple = "tuple",
        TuplePattern = "tuple_pattern",
        Type = "type",
        TypeAlias = "type_alias_statement",
        TypeConversion = "type_conversion",
        TypeParameters = "type_parameter",
        TypedDefaultParameter = "typed_default_parameter",
        TypedParameter = "typed_parameter",
        Unary = "unary_operator",
        UnionPattern = "union_pattern",
        While = "while_statement",
        WildcardImport = "wildcard_import",
        With = "with_statement",
        WithClause = "with_clause",
        WithItem = "with_item",
        Yield = "yield",
    }
}

impl Kind {
    /// A comprehension, or a generator: an expression with a scope of its own.
    pub(crate) fn is_comprehension(self) -> bool {
        matches!(
            self,
            Kind::DictionaryComprehension | Kind::Generator | Kind::ListComprehension | Kind::SetComprehension
        )
    }

    /// What has neither value nor effect.
    pub(crate) fn is_silent(self) -> bool {
        matches!(
            self,
            Kind::Comment
                | Kind::KeywordSeparator
                | Kind::LineContinuation
                | Kind::PositionalSeparator
                | Kind::StringEnd
                | Kind::StringStart
                | Kind::Token
                | Kind::TypeConversion
        )
    }
}

fields! {
    /// The role that a node plays in its parent.
    Field {
        Alias = "alias",
        Alternative = "alternative",
        Argument = "argument",
        Arguments = "arguments",
        Attribute = "attribute",
        Body = "body",
        Cause = "cause",
        Condition = "condition",
        Consequence = "consequence",
        Definition = "definition",
        Expression = "expression",
        Function = "function",
        Guard = "guard",
        Key = "key",
        Left = "left",
        ModuleName = "module_name",
        Name = "name",
        Object = "object",
        Operator = "operator",
        Operators = "operators",
        Parameters = "parameters",
        ReturnType = "return_type",
        Right = "right",
        Subject = "subject",
        Subscript = "subscript",
        Superclasses = "superclasses",
        Type = "type",
        TypeParameters = "type_parameters",
        Value = "value",
    }
}

/// The grammar's ids. Types are one piece, as is the text of a string; of the tokens, only operators are kept.
pub(crate) static GRAMMAR: LazyLock<transducer_treesitter::Grammar<Kind, Field>> = LazyLock::new(|| {
    let is_leaf = |kind| {
        matches!(
            kind,
            Kind::Type | Kind::StringContent | Kind::StringStart | Kind::StringEnd | Kind::TypeConversion
        )
    };
    let is_operator = |token: &str| {
        matches!(token, "and" | "or" | "in" | "is" | "is not" | "not in")
            || !token.starts_with(|first: char| {
                first.is_ascii_alphabetic()
                    || matches!(first, '(' | ')' | '[' | ']' | '{' | '}' | ',' | ':' | ';' | '.' | '_')
            })
            || token == ":="
    };
    transducer_treesitter::Grammar::new(&Language::new(tree_sitter_python::LANGUAGE), is_leaf, is_operator)
});
