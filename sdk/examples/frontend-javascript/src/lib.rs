//! The CPG front end for JavaScript, over tree-sitter-javascript: an example of how a front end is written.
//!
//! A front end is four steps, a module each. The text is parsed in the way that shows least damage ([`reading`]), the parser's
//! tree becomes a table that is cheap to walk ([`syntax`]), its syntax is lowered to the nodes of the CPG ([`lower`]), and
//! [`transducer_frontend::cpg::passes`] adds the edges that need no knowledge of the language: control flow, dependence, data
//! flow. `sdk/FRONTENDS.md` is the guide to writing one.

mod lower;
mod reading;
mod syntax;

use transducer_frontend::cpg::{Cpg, CpgBuilder, Severity, Span, passes};
use transducer_frontend::{FrontEnd, ParseError, ParseLimits, export_frontend};

/// JavaScript, as [`transducer_frontend`] wants it.
#[derive(Debug)]
pub struct JavaScriptFrontEnd;

impl FrontEnd for JavaScriptFrontEnd {
    const LANGUAGE: &'static str = "javascript";
    const EXTENSIONS: &'static [&'static str] = &["js", "mjs", "cjs", "jsx"];
    const NAME: &'static str = "tree-sitter-javascript 0.25";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn parse(source: &str, limits: &ParseLimits) -> Result<Cpg, ParseError> {
        limits.check_length(source.len())?;
        let budget = limits.budget();
        let reading = reading::read(source, &budget).map_err(|error| error.told(limits))?;
        let mut cpg = CpgBuilder::new(Self::LANGUAGE, source.len()).map_err(ParseError::failed)?;
        if let Some(note) = &reading.note {
            cpg.diagnostic(Severity::Note, Span::default(), 1, note.as_str());
        }
        transducer_treesitter::report_damage(&reading.syntax, source, &mut cpg);
        lower::lower(source, &reading, &mut cpg, &budget);
        passes::run(&mut cpg, &budget);
        cpg.finish().map_err(ParseError::failed)
    }
}

export_frontend!(JavaScriptFrontEnd);
