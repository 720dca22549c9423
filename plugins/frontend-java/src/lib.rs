//! The CPG front end for Java, over tree-sitter-java.
//!
//! [`JavaFrontEnd`] takes a whole file, a class, bare methods, statements, an expression, or any of these half-typed: the
//! text is read in the way that shows least damage (`reading`), its syntax lowered to nodes (`lower`), and the edges that
//! need no knowledge of Java are added by [`transducer_frontend::cpg::passes`].

mod lower;
mod mend;
mod reading;
mod syntax;

use transducer_frontend::cpg::{Cpg, CpgBuilder, Severity, Span, passes};
use transducer_frontend::{FrontEnd, ParseError, ParseLimits, export_frontend};
use transducer_treesitter::{DIAGNOSTICS_SHOWN, report_damage};

use crate::mend::Note;
use crate::reading::Reading;

/// Java, as [`transducer_frontend`] wants it.
#[derive(Debug)]
pub struct JavaFrontEnd;

impl FrontEnd for JavaFrontEnd {
    const LANGUAGE: &'static str = "java";
    const EXTENSIONS: &'static [&'static str] = &["java"];
    const NAME: &'static str = "tree-sitter-java 0.23";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn parse(source: &str, limits: &ParseLimits) -> Result<Cpg, ParseError> {
        limits.check_length(source.len())?;
        let budget = limits.budget();
        let Reading { syntax, tops, notes } = reading::read(source, &budget).map_err(|error| error.told(limits))?;
        let mut cpg = CpgBuilder::new(Self::LANGUAGE, source.len()).map_err(ParseError::failed)?;
        report_notes(&notes, source, &mut cpg);
        report_damage(&syntax, source, &mut cpg);
        lower::lower(source, &syntax, &tops, &mut cpg, &budget);
        passes::run(&mut cpg, &budget);
        cpg.finish().map_err(ParseError::failed)
    }
}

export_frontend!(JavaFrontEnd);

/// Says what was changed in the source to understand it.
fn report_notes(notes: &[Note], source: &str, cpg: &mut CpgBuilder) {
    for Note { at, text } in notes.iter().take(DIAGNOSTICS_SHOWN) {
        let line = source.as_bytes()[..*at].iter().filter(|&&byte| byte == b'\n').count() as u32 + 1;
        let at = *at as u32;
        cpg.diagnostic(Severity::Note, Span { start: at, end: at }, line, text.as_str());
    }
    if let Some(more) = notes.len().checked_sub(DIAGNOSTICS_SHOWN).filter(|&more| more > 0) {
        cpg.diagnostic(
            Severity::Note,
            Span::default(),
            1,
            format!("{more} more places were mended"),
        );
    }
}
