//! The kinds and fields of tree-sitter-javascript that lowering tells apart.

use std::sync::LazyLock;

use transducer_treesitter::tree_sitter::Language;
use transducer_treesitter::{fields, kinds};

/// The concrete syntax of a source.
pub(crate) type Syntax = transducer_treesitter::Syntax<Kind, Field>;

kinds! {
    /// What a syntax node is.
    Kind {
        Arguments = "arguments",
        Array = "array",
        ArrayPattern = "array_pattern",
        ArrowFunction = "arrow_function",
        Assignment = "assignment_expression",
        AssignmentPattern = "assignment_pattern",
        AugmentedAssignment = "augmented_assignment_expression",
        Await = "await_expression",
        Binary = "binary_expression",
        Break = "break_statement",
        Call = "call_expression",
        Catch = "catch_clause",
        Class = "class",
        ClassBody = "class_body",
        ClassDeclaration = "class_declaration",
        ClassHeritage = "class_heritage",
        ClassStaticBlock = "class_static_block",
        Comment = "comment",
        ComputedPropertyName = "computed_property_name",
        Continue = "continue_statement",
        Decorator = "decorator",
        Do = "do_statement",
        Else = "else_clause",
        Empty = "empty_statement",
        EscapeSequence = "escape_sequence",
        Export = "export_statement",
        ExpressionStatement = "expression_statement",
        False = "false",
        FieldDefinition = "field_definition",
        Finally = "finally_clause",
        For = "for_statement",
        ForIn = "for_in_statement",
        FormalParameters = "formal_parameters",
        Function = "function_declaration",
        FunctionExpression = "function_expression",
        GeneratorFunction = "generator_function",
        GeneratorFunctionDeclaration = "generator_function_declaration",
        HashBangLine = "hash_bang_line",
        HtmlComment = "html_comment",
        Identifier = "identifier",
        If = "if_statement",
        Import = "import",
        ImportStatement = "import_statement",
        Labeled = "labeled_statement",
        Lexical = "lexical_declaration",
        Member = "member_expression",
        MetaProperty = "meta_property",
        MethodDefinition = "method_definition",
        New = "new_expression",
        Null = "null",
        Number = "number",
        Object = "object",
        ObjectAssignmentPattern = "object_assignment_pattern",
        ObjectPattern = "object_pattern",
        OptionalChain = "optional_chain",
        Pair = "pair",
        PairPattern = "pair_pattern",
        Parenthesized = "parenthesized_expression",
        PrivatePropertyIdentifier = "private_property_identifier",
        PropertyIdentifier = "property_identifier",
        Regex = "regex",
        RestPattern = "rest_pattern",
        Return = "return_statement",
        Sequence = "sequence_expression",
        ShorthandPropertyIdentifier = "shorthand_property_identifier",
        ShorthandPropertyIdentifierPattern = "shorthand_property_identifier_pattern",
        SpreadElement = "spread_element",
        StatementBlock = "statement_block",
        String = "string",
        StringFragment = "string_fragment",
        Subscript = "subscript_expression",
        Super = "super",
        SwitchStatement = "switch_statement",
        SwitchBody = "switch_body",
        SwitchCase = "switch_case",
        SwitchDefault = "switch_default",
        TemplateString = "template_string",
        TemplateSubstitution = "template_substitution",
        Ternary = "ternary_expression",
        This = "this",
        Throw = "throw_statement",
        True = "true",
        Try = "try_statement",
        Unary = "unary_expression",
        Undefined = "undefined",
        Update = "update_expression",
        Using = "using_declaration",
        Variable = "variable_declaration",
        VariableDeclarator = "variable_declarator",
        While = "while_statement",
        With = "with_statement",
        Yield = "yield_expression",
    }
}

impl Kind {
    pub(crate) fn is_comment(self) -> bool {
        matches!(self, Kind::Comment | Kind::HtmlComment | Kind::HashBangLine)
    }

    /// Neither a comment nor a token nor broken.
    pub(crate) fn is_operand(self) -> bool {
        !self.is_comment() && !matches!(self, Kind::Token | Kind::Error)
    }

    pub(crate) fn is_function_declaration(self) -> bool {
        matches!(self, Kind::Function | Kind::GeneratorFunctionDeclaration)
    }

    /// A function of any kind: `var` goes no further out.
    pub(crate) fn is_function(self) -> bool {
        self.is_function_declaration()
            || matches!(
                self,
                Kind::ArrowFunction
                    | Kind::ClassStaticBlock
                    | Kind::FunctionExpression
                    | Kind::GeneratorFunction
                    | Kind::MethodDefinition
            )
    }
}

fields! {
    /// The role of a syntax node in its parent.
    Field {
        Alias = "alias",
        Alternative = "alternative",
        Argument = "argument",
        Arguments = "arguments",
        Body = "body",
        Condition = "condition",
        Consequence = "consequence",
        Constructor = "constructor",
        Declaration = "declaration",
        Finalizer = "finalizer",
        Function = "function",
        Handler = "handler",
        Increment = "increment",
        Index = "index",
        Initializer = "initializer",
        Key = "key",
        Kind = "kind",
        Label = "label",
        Left = "left",
        Name = "name",
        Object = "object",
        Operator = "operator",
        Parameter = "parameter",
        Parameters = "parameters",
        Property = "property",
        Right = "right",
        Source = "source",
        Value = "value",
    }
}

/// What the ids of the grammar mean here.
pub(crate) type Grammar = transducer_treesitter::Grammar<Kind, Field>;

pub(crate) static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    let is_leaf = |kind| matches!(kind, Kind::String | Kind::Regex | Kind::MetaProperty);
    // Words, and the operators that tell calls apart.
    let is_kept = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            || !text.contains(['(', ')', '[', ']', '{', '}', ';', ','])
    };
    Grammar::new(&Language::new(tree_sitter_javascript::LANGUAGE), is_leaf, is_kept)
});
