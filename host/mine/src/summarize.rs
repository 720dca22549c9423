//! Methods and the first sentence of their comment.

use std::collections::HashMap;

use transducer_cpg::NodeId;
use transducer_frontends::FrontEnds;

use crate::language::Language;
use crate::options::Options;
use crate::report::Dropped;
use crate::run::Draft;
use crate::unit::{Unit, parses_alone};
use crate::{docstring, javadoc, sentence};

/// A row for each method of the file, or why there is none.
pub(crate) fn rows(front_ends: &FrontEnds, unit: &Unit<'_>, options: &Options) -> Vec<(u32, Result<Draft, Dropped>)> {
    let javadocs = match unit.file.language {
        Language::Java => unit.javadocs(),
        Language::Python => HashMap::new(),
    };
    let row = |&method: &NodeId| {
        let row = row(front_ends, unit, options, method, javadocs.get(&method).copied());
        (unit.line(method), row)
    };
    unit.methods().iter().map(row).collect()
}

fn row(
    front_ends: &FrontEnds,
    unit: &Unit<'_>,
    options: &Options,
    method: NodeId,
    javadoc: Option<NodeId>,
) -> Result<Draft, Dropped> {
    let comment = match unit.file.language {
        Language::Java => javadoc,
        Language::Python => unit.docstring(method),
    };
    let comment = comment.ok_or(Dropped::NoComment)?;
    if unit.is_broken(method) {
        return Err(Dropped::SyntaxError);
    }
    unit.check_body(method)?;
    let written = unit.text_of(comment);
    let (paragraph, removed) = match unit.file.language {
        Language::Java => (javadoc::first_paragraph(written)?, None),
        Language::Python => {
            let value = docstring::value(written).ok_or(Dropped::OddDocstring)?;
            let lines = unit.docstring_lines(comment).ok_or(Dropped::OddDocstring)?;
            (
                docstring::first_paragraph(&value, unit.cpg.name(method))?,
                Some((lines, "")),
            )
        }
    };
    let target = sentence::first_sentence(&paragraph);
    sentence::check(&target, &options.target_words)?;
    let source = unit.cut(method, removed);
    if source.len() > options.max_source_bytes {
        return Err(Dropped::SourceTooLong);
    }
    if !parses_alone(front_ends, unit.file.language, &source) {
        return Err(Dropped::NotAlone);
    }
    Ok(Draft {
        source,
        target,
        line: unit.line(method),
        name: unit.full_name(method),
        test: None,
    })
}
