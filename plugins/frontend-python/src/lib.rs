//! The CPG front end for Python, over tree-sitter-python.
//!
//! [`PythonFrontEnd`] takes a whole file, a class, bare functions and methods at whatever indentation, statements, an
//! expression, or any of these half-typed: the text is read in the way that shows least damage (`reading`), its syntax lowered
//! to nodes (`lower`), and the edges that need no knowledge of Python are added by [`transducer_frontend::cpg::passes`].

mod indents;
mod lower;
mod reading;
mod repair;
mod syntax;

use transducer_frontend::cpg::{Cpg, CpgBuilder, Severity, Span, passes};
use transducer_frontend::{FrontEnd, ParseError, ParseLimits, export_frontend};
use transducer_treesitter::report_damage;

use crate::reading::Reading;

/// Python, as [`transducer_frontend`] wants it.
#[derive(Debug)]
pub struct PythonFrontEnd;

impl FrontEnd for PythonFrontEnd {
    const LANGUAGE: &'static str = "python";
    const EXTENSIONS: &'static [&'static str] = &["py", "pyi", "pyw"];
    const NAME: &'static str = "tree-sitter-python 0.25";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn parse(source: &str, limits: &ParseLimits) -> Result<Cpg, ParseError> {
        limits.check_length(source.len())?;
        let budget = limits.budget();
        let Reading { syntax, notes } = reading::read(source, &budget).map_err(|error| error.told(limits))?;
        let mut cpg = CpgBuilder::new(Self::LANGUAGE, source.len()).map_err(ParseError::failed)?;
        for note in notes {
            cpg.diagnostic(Severity::Note, Span::default(), 1, note);
        }
        report_damage(&syntax, source, &mut cpg);
        lower::lower(source, &syntax, &mut cpg, &budget);
        passes::run(&mut cpg, &budget);
        cpg.finish().map_err(ParseError::failed)
    }
}

export_frontend!(PythonFrontEnd);
