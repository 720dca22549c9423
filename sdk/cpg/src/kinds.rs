//! Node and edge kinds: one table, from which the enums, their names and their documentation are made.

macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $value:literal, $spec:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[doc = $doc])+ $variant = $value,)+ }

        impl $name {
            /// Every kind, in the order of its number.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// The name in the CPG specification, such as `METHOD`.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $spec,)+ }
            }

            /// What the kind means, one line.
            pub const fn describe(self) -> &'static str {
                match self { $($name::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// The kind with this number, if there is one.
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value { $($value => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownKind;
            fn from_str(name: &str) -> Result<Self, UnknownKind> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| UnknownKind(name.to_owned()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.name()) }
        }
    };
}

/// A name that is no kind of this schema version.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no kind of CPG schema {version}", version = crate::SCHEMA_VERSION)]
pub struct UnknownKind(pub String);

kinds! {
    /// What a node is.
    NodeKind {
        /// The root: one source file or snippet.
        File = 0, "FILE";
        /// A package or namespace declaration.
        NamespaceBlock = 1, "NAMESPACE_BLOCK";
        /// An import.
        Import = 2, "IMPORT";
        /// A class, interface, enum, record or annotation type.
        TypeDecl = 3, "TYPE_DECL";
        /// A field of a type.
        Member = 4, "MEMBER";
        /// A method, constructor, initialiser, function or lambda. It is also the entry of its control flow.
        Method = 5, "METHOD";
        /// A formal parameter.
        MethodParameterIn = 6, "METHOD_PARAMETER_IN";
        /// The return value of a method. It is also the exit of its control flow.
        MethodReturn = 7, "METHOD_RETURN";
        /// A sequence of statements.
        Block = 8, "BLOCK";
        /// The declaration of a local variable.
        Local = 9, "LOCAL";
        /// A call, or an operator (whose name is then `<operator>.addition` and so on).
        Call = 10, "CALL";
        /// A use of a variable by name.
        Identifier = 11, "IDENTIFIER";
        /// The name of a field in a field access.
        FieldIdentifier = 12, "FIELD_IDENTIFIER";
        /// A literal.
        Literal = 13, "LITERAL";
        /// `if`, `while`, `for`, `switch`, `try`, `break`, `continue`, `throw` and the like.
        ControlStructure = 14, "CONTROL_STRUCTURE";
        /// A `return`.
        Return = 15, "RETURN";
        /// A label, or a `case` of a switch.
        JumpTarget = 16, "JUMP_TARGET";
        /// The mention of a type.
        TypeRef = 17, "TYPE_REF";
        /// The mention of a method, as in `List::size`.
        MethodRef = 18, "METHOD_REF";
        /// A type parameter.
        TypeParameter = 19, "TYPE_PARAMETER";
        /// `public`, `static`, `final` and the like.
        Modifier = 20, "MODIFIER";
        /// An annotation or decorator.
        Annotation = 21, "ANNOTATION";
        /// A comment.
        Comment = 22, "COMMENT";
        /// Whatever the schema has no kind for, and what the parser could not make sense of.
        Unknown = 23, "UNKNOWN";
    }
}

kinds! {
    /// What an edge says.
    EdgeKind {
        /// Syntax: parent to child.
        Ast = 0, "AST";
        /// Control may pass from the one straight to the other.
        Cfg = 1, "CFG";
        /// The source decides whether the target runs.
        Cdg = 2, "CDG";
        /// A value defined at the source may be used at the target (data dependence); the label is the variable.
        ReachingDef = 3, "REACHING_DEF";
        /// An identifier to its declaration.
        Ref = 4, "REF";
        /// A call to one of its arguments.
        Argument = 5, "ARGUMENT";
        /// A call to the object that it is called on.
        Receiver = 6, "RECEIVER";
        /// A control structure to its condition.
        Condition = 7, "CONDITION";
        /// A call to the method that it calls, where that stands in the same unit.
        Call = 8, "CALL";
        /// Immediate dominator to node, over CFG.
        Dominate = 9, "DOMINATE";
        /// Immediate post-dominator to node, over CFG.
        PostDominate = 10, "POST_DOMINATE";
        /// A token to the next token of the source: leaf to leaf.
        NextToken = 11, "NEXT_TOKEN";
    }
}
