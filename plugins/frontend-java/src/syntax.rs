//! The concrete syntax tree as a flat table in pre-order: read from tree-sitter once, then cheap to walk in any way.

use std::sync::LazyLock;

use tree_sitter::{Language, Tree};

/// Index of a node in a [`Syntax`].
pub(crate) type SyntaxId = usize;

macro_rules! named_kinds {
    ($($variant:ident = $name:literal,)+) => {
        /// What a syntax node is: the named kinds of tree-sitter-java that lowering tells apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($variant,)+
            /// A part that could not be parsed.
            Error,
            /// A named kind of no interest here.
            Other,
            /// A keyword or operator.
            Token,
        }

        impl Kind {
            fn of_named(name: &str) -> Self {
                match name { $($name => Kind::$variant,)+ _ => Kind::Other }
            }
        }
    };
}

named_kinds! {
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

macro_rules! fields {
    ($($variant:ident = $name:literal,)+) => {
        /// The role that a node plays in its parent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field { $($variant,)+ Other }

        impl Field {
            fn of(name: &str) -> Self {
                match name { $($name => Field::$variant,)+ _ => Field::Other }
            }
        }
    };
}

fields! {
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

/// One node of the concrete syntax.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyntaxNode {
    pub(crate) kind: Kind,
    pub(crate) field: Field,
    /// Put in where the source lacks it; its span is empty.
    pub(crate) missing: bool,
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// Line of the first byte, from 1.
    pub(crate) line: u32,
    /// One past the last node below this one.
    pub(crate) next: SyntaxId,
}

/// A parsed text, nodes in pre-order; node 0 is the whole of it.
#[derive(Debug, Default)]
pub(crate) struct Syntax {
    pub(crate) nodes: Vec<SyntaxNode>,
    /// Bytes in parts that could not be parsed, and tokens that had to be added: 0 for correct code.
    pub(crate) damage: usize,
}

/// Tells lines, asked for bytes in ascending order.
struct Lines<'a> {
    source: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str) -> Self {
        Self {
            source: source.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    /// The line of a byte, from 1.
    fn line_of(&mut self, byte: u32) -> u32 {
        let passed = self.source.get(self.at..byte as usize).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count() as u32;
        self.at = self.at.max(byte as usize);
        self.line
    }
}

/// What the ids of the grammar's kinds and fields mean here.
struct Grammar {
    kinds: Vec<Kind>,
    /// Whether tokens of a kind are kept: keywords and operators are, brackets and separators are not.
    kept_tokens: Vec<bool>,
    fields: Vec<Field>,
}

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    let language = Language::new(tree_sitter_java::LANGUAGE);
    let kind = |id| match language.node_kind_for_id(id) {
        Some(name) if language.node_kind_is_named(id) => Kind::of_named(name),
        _ => Kind::Token,
    };
    let kept = |id| {
        let name = language.node_kind_for_id(id).unwrap_or_default();
        name.starts_with(|first: char| first.is_ascii_alphabetic()) || matches!(name, "++" | "--")
    };
    let ids = 0..language.node_kind_count() as u16;
    let field = |id| language.field_name_for_id(id).map_or(Field::Other, Field::of);
    Grammar {
        kinds: ids.clone().map(kind).collect(),
        kept_tokens: ids.map(kept).collect(),
        fields: (0..=language.field_count() as u16).map(field).collect(),
    }
});

impl Syntax {
    /// Reads a tree, without recursion: source nests as deep as it likes. `in_source` says where in the source a byte of the
    /// parsed text is, which may have had text put in front, behind and between; what is all of that is missing in the source.
    pub(crate) fn read(tree: &Tree, source: &str, in_source: impl Fn(usize) -> usize) -> Self {
        let grammar = &*GRAMMAR;
        let mut lines = Lines::of(source);
        let mut cursor = tree.walk();
        let mut syntax = Syntax::default();
        let mut ancestors: Vec<SyntaxId> = Vec::new();
        loop {
            let node = cursor.node();
            let field = cursor
                .field_id()
                .map_or(Field::Other, |id| grammar.fields[usize::from(id.get())]);
            let kind = if node.is_error() {
                Kind::Error
            } else {
                grammar.kinds[usize::from(node.kind_id())]
            };
            let kept =
                kind != Kind::Token || field == Field::Operator || grammar.kept_tokens[usize::from(node.kind_id())];
            let place = |byte: usize| in_source(byte).min(source.len()) as u32;
            let (start, end) = (place(node.start_byte()), place(node.end_byte()));
            let is_put_in = start == end && node.child_count() == 0;
            let missing = node.is_missing() || is_put_in;
            if kind == Kind::Error && ancestors.last().is_none_or(|&id| syntax.nodes[id].kind != Kind::Error) {
                syntax.damage += (end - start) as usize;
            }
            syntax.damage += usize::from(node.is_missing() || kind == Kind::Error);
            let id = syntax.nodes.len();
            if kept || node.is_missing() {
                let line = lines.line_of(start);
                syntax.nodes.push(SyntaxNode {
                    kind,
                    field,
                    missing,
                    start,
                    end,
                    line,
                    next: id + 1,
                });
            }
            // String literals are one piece here.
            if kept && kind != Kind::String && cursor.goto_first_child() {
                ancestors.push(id);
                continue;
            }
            while !cursor.goto_next_sibling() {
                let Some(parent) = ancestors.pop() else { return syntax };
                syntax.nodes[parent].next = syntax.nodes.len();
                if !cursor.goto_parent() {
                    return syntax;
                }
            }
        }
    }

    pub(crate) fn node(&self, id: SyntaxId) -> &SyntaxNode {
        &self.nodes[id]
    }

    /// Whether nothing of it stands in the source.
    pub(crate) fn is_empty(&self, id: SyntaxId) -> bool {
        self.nodes[id].start == self.nodes[id].end
    }

    pub(crate) fn kind(&self, id: SyntaxId) -> Kind {
        self.nodes[id].kind
    }

    /// Children, in order.
    pub(crate) fn children(&self, id: SyntaxId) -> impl Iterator<Item = SyntaxId> + Clone + use<'_> {
        let end = self.nodes[id].next;
        let next = move |&child: &SyntaxId| Some(self.nodes[child].next).filter(|&next| next < end);
        std::iter::successors(Some(id + 1).filter(|&first| first < end), next)
    }

    /// The first child in a role.
    pub(crate) fn field(&self, id: SyntaxId, field: Field) -> Option<SyntaxId> {
        self.children(id).find(|&child| self.nodes[child].field == field)
    }

    /// The first child of a kind.
    pub(crate) fn child(&self, id: SyntaxId, kind: Kind) -> Option<SyntaxId> {
        self.children(id).find(|&child| self.nodes[child].kind == kind)
    }
}
