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

use crate::mend::Note;
use crate::reading::Reading;
use crate::syntax::{Kind, Syntax};

/// Diagnostics of broken syntax that are told one by one: what a person reads. The rest is counted.
const DIAGNOSTICS_SHOWN: usize = 20;

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

/// Says which parts of the source were not understood.
fn report_damage(syntax: &Syntax, source: &str, cpg: &mut CpgBuilder) {
    if syntax.damage == 0 {
        return;
    }
    let mut found = 0;
    let mut node = 0;
    while let Some(part) = syntax.nodes.get(node) {
        let is_error = part.kind == Kind::Error;
        // What an error holds is part of it.
        node = if is_error { part.next } else { node + 1 };
        if !is_error && !part.missing {
            continue;
        }
        found += 1;
        if found > DIAGNOSTICS_SHOWN {
            continue;
        }
        let span = Span {
            start: part.start,
            end: part.end,
        };
        let text = span.text(source).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let message = match (part.missing, line) {
            (true, _) => "something is missing here".to_owned(),
            (false, "") => "could not make sense of this".to_owned(),
            (false, line) => format!("could not make sense of `{}`", &line[..line.floor_char_boundary(60)]),
        };
        cpg.diagnostic(Severity::Warning, span, part.line, message);
    }
    if found > DIAGNOSTICS_SHOWN {
        let message = format!("{} more places were not understood", found - DIAGNOSTICS_SHOWN);
        cpg.diagnostic(Severity::Warning, Span::default(), 1, message);
    }
}
