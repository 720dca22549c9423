//! The kinds and fields of tree-sitter-java that lowering tells apart.

use std::sync::LazyLock;

use transducer_treesitter::tree_sitter::Language;
use transducer_treesitter::{fields, kinds};

/// The concrete syntax of a source.
pub(crate) type Syntax = transducer_treesitter::Syntax<Kind, Field>;

kinds! {
    /// What a syntax node is.
    Kind {
        Annotation = "annotation",
        AnnotationArguments = "annotation_argument_list",
        AnnotationElement = "annotation_type_element_declaration",
        AnnotationTypeBody = "annotation_type_body",
        AnnotationTypeDeclaration = "annotation_type_declaration",
        AnnotatedType = "annotated_type",
        ArgumentList = "argument_list",
        ArrayAccess = "array_access",
        ArrayCreation = "array_creation_expression",
        ArrayInitializer = "array_initializer",
        ArrayType = "array_type",
        Assert = "assert_statement",
        Assignment = "assignment_expression",
        Asterisk = "asterisk",
        Binary = "binary_expression",
        BinaryInteger = "binary_integer_literal",
        Block = "block",
        BlockComment = "block_comment",
        BooleanType = "boolean_type",
        Break = "break_statement",
        Cast = "cast_expression",
        CatchClause = "catch_clause",
        CatchParameter = "catch_formal_parameter",
        CatchType = "catch_type",
        Character = "character_literal",
        ClassBody = "class_body",
        ClassDeclaration = "class_declaration",
        ClassLiteral = "class_literal",
        CompactConstructor = "compact_constructor_declaration",
        Constant = "constant_declaration",
        ConstructorBody = "constructor_body",
        ConstructorDeclaration = "constructor_declaration",
        Continue = "continue_statement",
        DecimalFloat = "decimal_floating_point_literal",
        DecimalInteger = "decimal_integer_literal",
        Dimensions = "dimensions",
        DimensionsExpression = "dimensions_expr",
        Do = "do_statement",
        ElementArray = "element_value_array_initializer",
        ElementPair = "element_value_pair",
        EnhancedFor = "enhanced_for_statement",
        EnumBody = "enum_body",
        EnumBodyDeclarations = "enum_body_declarations",
        EnumConstant = "enum_constant",
        EnumDeclaration = "enum_declaration",
        ExplicitConstructorCall = "explicit_constructor_invocation",
        ExpressionStatement = "expression_statement",
        ExtendsInterfaces = "extends_interfaces",
        False = "false",
        Field = "field_declaration",
        FieldAccess = "field_access",
        FinallyClause = "finally_clause",
        FloatingType = "floating_point_type",
        For = "for_statement",
        FormalParameter = "formal_parameter",
        FormalParameters = "formal_parameters",
        GenericType = "generic_type",
        Guard = "guard",
        HexFloat = "hex_floating_point_literal",
        HexInteger = "hex_integer_literal",
        Identifier = "identifier",
        If = "if_statement",
        Import = "import_declaration",
        InferredParameters = "inferred_parameters",
        Instanceof = "instanceof_expression",
        IntegralType = "integral_type",
        InterfaceBody = "interface_body",
        InterfaceDeclaration = "interface_declaration",
        Labeled = "labeled_statement",
        Lambda = "lambda_expression",
        LineComment = "line_comment",
        LocalVariable = "local_variable_declaration",
        MarkerAnnotation = "marker_annotation",
        MethodDeclaration = "method_declaration",
        MethodInvocation = "method_invocation",
        MethodReference = "method_reference",
        Modifiers = "modifiers",
        Module = "module_declaration",
        Null = "null_literal",
        ObjectCreation = "object_creation_expression",
        OctalInteger = "octal_integer_literal",
        Package = "package_declaration",
        Parenthesized = "parenthesized_expression",
        Pattern = "pattern",
        Permits = "permits",
        Program = "program",
        ReceiverParameter = "receiver_parameter",
        RecordDeclaration = "record_declaration",
        RecordPattern = "record_pattern",
        RecordPatternBody = "record_pattern_body",
        RecordPatternComponent = "record_pattern_component",
        Resource = "resource",
        ResourceSpecification = "resource_specification",
        Return = "return_statement",
        ScopedIdentifier = "scoped_identifier",
        ScopedType = "scoped_type_identifier",
        SpreadParameter = "spread_parameter",
        StaticInitializer = "static_initializer",
        String = "string_literal",
        Super = "super",
        SuperInterfaces = "super_interfaces",
        Superclass = "superclass",
        Switch = "switch_expression",
        SwitchBlock = "switch_block",
        SwitchGroup = "switch_block_statement_group",
        SwitchLabel = "switch_label",
        SwitchRule = "switch_rule",
        Synchronized = "synchronized_statement",
        Template = "template_expression",
        Ternary = "ternary_expression",
        This = "this",
        Throw = "throw_statement",
        Throws = "throws",
        True = "true",
        Try = "try_statement",
        TryWithResources = "try_with_resources_statement",
        TypeArguments = "type_arguments",
        TypeBound = "type_bound",
        TypeIdentifier = "type_identifier",
        TypeList = "type_list",
        TypeParameter = "type_parameter",
        TypeParameters = "type_parameters",
        TypePattern = "type_pattern",
        Unary = "unary_expression",
        UnderscorePattern = "underscore_pattern",
        Update = "update_expression",
        VariableDeclarator = "variable_declarator",
        VoidType = "void_type",
        While = "while_statement",
        Yield = "yield_statement",
    }
}

impl Kind {
    pub(crate) fn is_comment(self) -> bool {
        matches!(self, Kind::LineComment | Kind::BlockComment)
    }

    pub(crate) fn is_type(self) -> bool {
        matches!(
            self,
            Kind::AnnotatedType
                | Kind::ArrayType
                | Kind::BooleanType
                | Kind::FloatingType
                | Kind::GenericType
                | Kind::IntegralType
                | Kind::ScopedType
                | Kind::TypeIdentifier
                | Kind::VoidType
        )
    }

    /// A declaration that stands on its own at the top of a file or in a class body; statements do not.
    pub(crate) fn is_declaration(self) -> bool {
        matches!(
            self,
            Kind::AnnotationElement
                | Kind::AnnotationTypeDeclaration
                | Kind::ClassDeclaration
                | Kind::CompactConstructor
                | Kind::Constant
                | Kind::ConstructorDeclaration
                | Kind::EnumDeclaration
                | Kind::Field
                | Kind::Import
                | Kind::InterfaceDeclaration
                | Kind::MethodDeclaration
                | Kind::Module
                | Kind::Package
                | Kind::RecordDeclaration
                | Kind::StaticInitializer
        )
    }
}

fields! {
    /// The role that a node plays in its parent.
    Field {
        Alternative = "alternative",
        Arguments = "arguments",
        Array = "array",
        Body = "body",
        Condition = "condition",
        Consequence = "consequence",
        Constructor = "constructor",
        Declarator = "declarator",
        Dimensions = "dimensions",
        Member = "field",
        Index = "index",
        Init = "init",
        Key = "key",
        Left = "left",
        Name = "name",
        Object = "object",
        Operand = "operand",
        Operator = "operator",
        Parameters = "parameters",
        Resources = "resources",
        Right = "right",
        Type = "type",
        TypeArguments = "type_arguments",
        Update = "update",
        Value = "value",
    }
}

pub(crate) static GRAMMAR: LazyLock<transducer_treesitter::Grammar<Kind, Field>> = LazyLock::new(|| {
    let is_kept =
        |token: &str| token.starts_with(|first: char| first.is_ascii_alphabetic()) || matches!(token, "++" | "--");
    // String literals are one piece here.
    let is_leaf = |kind| kind == Kind::String;
    transducer_treesitter::Grammar::new(&Language::new(tree_sitter_java::LANGUAGE), is_leaf, is_kept)
});
