//! What was not understood, in words.

use transducer_frontend::cpg::{CpgBuilder, Severity, Span};

use crate::{Field, Kind, Syntax};

/// Diagnostics of broken syntax that are told one by one: what a person reads. The rest is counted.
pub const DIAGNOSTICS_SHOWN: usize = 20;

/// Bytes of the source that a diagnostic repeats: enough to find the place.
const BYTES_SHOWN: usize = 60;

/// Says which parts of the source were not understood.
pub fn report_damage<K: Kind, F: Field>(syntax: &Syntax<K, F>, source: &str, cpg: &mut CpgBuilder) {
    if syntax.damage == 0 {
        return;
    }
    let mut found = 0;
    let mut node = 0;
    while let Some(part) = syntax.nodes.get(node) {
        let is_error = part.kind == K::ERROR;
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
            (false, line) => format!(
                "could not make sense of `{}`",
                &line[..line.floor_char_boundary(BYTES_SHOWN)]
            ),
        };
        cpg.diagnostic(Severity::Warning, span, part.line, message);
    }
    if found > DIAGNOSTICS_SHOWN {
        let message = format!("{} more places were not understood", found - DIAGNOSTICS_SHOWN);
        cpg.diagnostic(Severity::Warning, Span::default(), 1, message);
    }
}
