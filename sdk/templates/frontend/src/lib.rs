//! A CPG front end for the core of Lua: the template to start another language from.
//!
//! Text becomes a tree (tree-sitter), the tree a flat table ([`Syntax`]), the table the nodes of the graph ([`lower`]), and
//! [`passes`] adds the edges. What has no case here becomes an `UNKNOWN` over its parts, and a note says how much that is.

mod lower;

use std::sync::LazyLock;

use transducer_frontend::cpg::{Cpg, CpgBuilder, passes};
use transducer_frontend::{FrontEnd, ParseError, ParseLimits, export_frontend};
use transducer_treesitter::{Insertions, ParserSlot, fields, kinds, report_damage};

/// Lua, as [`transducer_frontend`] wants it.
#[derive(Debug)]
pub struct LuaFrontEnd;

impl FrontEnd for LuaFrontEnd {
    const LANGUAGE: &'static str = "lua";
    const EXTENSIONS: &'static [&'static str] = &["lua"];
    const NAME: &'static str = "tree-sitter-lua 0.5";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn parse(source: &str, limits: &ParseLimits) -> Result<Cpg, ParseError> {
        limits.check_length(source.len())?;
        let budget = limits.budget();
        let tree = transducer_treesitter::with_parser(&PARSER, tree_sitter_lua::LANGUAGE, |parser| {
            transducer_treesitter::parse(parser, source, &budget)
        });
        let tree = tree.map_err(|error| error.told(limits))?;
        let syntax = Syntax::read(&tree, &GRAMMAR, source, &Insertions::default());
        let mut cpg = CpgBuilder::new(Self::LANGUAGE, source.len()).map_err(ParseError::failed)?;
        report_damage(&syntax, source, &mut cpg);
        lower::lower(source, &syntax, &mut cpg, &budget);
        passes::run(&mut cpg, &budget);
        cpg.finish().map_err(ParseError::failed)
    }
}

export_frontend!(LuaFrontEnd);

thread_local! {
    static PARSER: ParserSlot = const { ParserSlot::new(None) };
}

kinds! {
    /// The kinds of tree-sitter-lua that lowering tells apart.
    Kind {
        Arguments = "arguments",
        Assignment = "assignment_statement",
        Binary = "binary_expression",
        Block = "block",
        Break = "break_statement",
        Call = "function_call",
        Comment = "comment",
        Do = "do_statement",
        Else = "else_statement",
        Elseif = "elseif_statement",
        Empty = "empty_statement",
        Expressions = "expression_list",
        False = "false",
        Function = "function_declaration",
        FunctionValue = "function_definition",
        Identifier = "identifier",
        If = "if_statement",
        Nil = "nil",
        Number = "number",
        Parenthesized = "parenthesized_expression",
        Return = "return_statement",
        String = "string",
        True = "true",
        Unary = "unary_expression",
        Vararg = "vararg_expression",
        Variables = "variable_list",
        VariableDeclaration = "variable_declaration",
        While = "while_statement",
    }
}

fields! {
    /// The role of a syntax node in its parent.
    Field {
        Alternative = "alternative",
        Arguments = "arguments",
        Body = "body",
        Condition = "condition",
        Consequence = "consequence",
        Left = "left",
        Local = "local_declaration",
        Name = "name",
        Operand = "operand",
        Operator = "operator",
        Parameters = "parameters",
        Right = "right",
    }
}

type Syntax = transducer_treesitter::Syntax<Kind, Field>;

static GRAMMAR: LazyLock<transducer_treesitter::Grammar<Kind, Field>> = LazyLock::new(|| {
    // A string is one literal whatever it holds; of the tokens only operators tell anything.
    let is_kept = |text: &str| matches!(text, "and" | "or" | "not") || !text.contains(char::is_alphanumeric);
    transducer_treesitter::Grammar::new(&tree_sitter_lua::LANGUAGE.into(), |kind| kind == Kind::String, is_kept)
});
