//! The shortest front end that is one: a "language" of lines, a [`NodeKind::Block`] each.

use transducer_frontend::cpg::{BuildError, Cpg, CpgBuilder, NameId, NodeKind, NodeSpec, Span};
use transducer_frontend::{FrontEnd, ParseError, ParseLimits, export_frontend};

struct Lines;

impl FrontEnd for Lines {
    const LANGUAGE: &'static str = "lines";
    const EXTENSIONS: &'static [&'static str] = &["txt", "lines"];
    const NAME: &'static str = "lines";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn parse(source: &str, _limits: &ParseLimits) -> Result<Cpg, ParseError> {
        // A way to see from outside that a panic does not cross the boundary.
        assert!(!source.contains("PANIC"), "the source asked for it");
        graph(source).map_err(ParseError::failed)
    }
}

fn graph(source: &str) -> Result<Cpg, BuildError> {
    let mut builder = CpgBuilder::new(Lines::LANGUAGE, source.len())?;
    let mut start = 0;
    for (text, number) in source.split_inclusive('\n').zip(1..) {
        let end = start + text.len() as u32;
        let span = Span { start, end };
        let line = NodeSpec {
            kind: NodeKind::Block,
            span,
            line: number,
            order: number,
            name: NameId::EMPTY,
        };
        builder.add(0, line);
        start = end;
    }
    builder.finish()
}

export_frontend!(Lines);
