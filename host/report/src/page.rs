//! The templates.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html as template};

use crate::diff::{Diff, Part};
use crate::{Example, MetricRow, Page};

const STYLE: &str = include_str!("page.css");

/// Nothing but the style and the pictures that are on the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page as an HTML document in UTF-8.
pub fn html(page: &Page<'_>) -> String {
    let document = template! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 dir="auto" { (page.title) }
                    @if !page.facts.is_empty() { (facts(page.facts)) }
                    @if !page.metrics.is_empty() { (metrics(page.metrics)) }
                    (examples(page.examples))
                }
            }
        }
    };
    document.into_string()
}

fn facts(facts: &[(String, String)]) -> Markup {
    template! {
        section aria-labelledby="facts" {
            h2 id="facts" { "What was evaluated" }
            table.facts {
                tbody {
                    @for (name, value) in facts {
                        tr {
                            th scope="row" { (name) }
                            td dir="auto" { (value) }
                        }
                    }
                }
            }
        }
    }
}

fn metrics(metrics: &[MetricRow]) -> Markup {
    template! {
        section aria-labelledby="metrics" {
            h2 id="metrics" { "Metrics" }
            table.metrics {
                thead {
                    tr {
                        th scope="col" { "Metric" }
                        th.number scope="col" { "Value" }
                        th.number scope="col" { "Interval" }
                        th scope="col" { "From 0 to 100" }
                    }
                }
                tbody {
                    @for row in metrics {
                        tr {
                            th scope="row" { (row.name) }
                            td.number { (number(row.value)) }
                            td.number {
                                @if let Some((low, high)) = interval(row) { (number(low)) " to " (number(high)) } @else { "–" }
                            }
                            td.scale { (bar(row)) }
                        }
                    }
                }
            }
        }
    }
}

/// One digit is what an interval leaves of a metric.
fn number(value: f64) -> String {
    if value.is_finite() {
        // Rounded before it is written, lest there be a negative zero.
        format!("{:.1}", (value * 10.0).round() / 10.0 + 0.0)
    } else {
        "–".to_owned()
    }
}

fn interval(row: &MetricRow) -> Option<(f64, f64)> {
    (row.low.is_finite() && row.high.is_finite()).then_some((row.low, row.high))
}

/// The value as a line and its interval as a box, hidden from screen readers: the numbers stand beside it.
fn bar(row: &MetricRow) -> Markup {
    let place = |value: f64| (value.clamp(0.0, 100.0) * 10.0).round() / 10.0;
    template! {
        svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.track x="0" y="4" width="100" height="4" {}
            @if let Some((low, high)) = interval(row) {
                @let (low, high) = (place(low), place(high));
                rect.interval x=(low) y="1" width=(format!("{:.1}", (high - low).max(0.0))) height="10" {}
            }
            @if row.value.is_finite() {
                // As a line, so that its width does not grow with the picture's.
                path.value d={ "M" (place(row.value)) " 0V12" } {}
            }
        }
    }
}

fn examples(examples: &[Example]) -> Markup {
    template! {
        section aria-labelledby="examples" {
            h2 id="examples" { "Examples" }
            @if examples.is_empty() {
                p { "There are no examples." }
            } @else {
                p.note {
                    "Words marked " del { "so" } " are in the reference only, words marked " ins { "so" }
                    " in the answer only."
                }
                @for (at, shown) in examples.iter().enumerate() { (example(at + 1, shown)) }
            }
        }
    }
}

fn example(number_shown: usize, example: &Example) -> Markup {
    let heading = format!("example-{number_shown}");
    let diff = Diff::new(&example.reference, &example.answer);
    let note = match (example.reference == example.answer, diff.same_words()) {
        (true, _) => Some("The answer is the reference."),
        (false, true) => Some("The answer differs from the reference in white space only."),
        (false, false) => None,
    };
    template! {
        article aria-labelledby=(heading) {
            h3 id=(heading) {
                (number_shown) ". " bdi { (example.id) } " "
                span.score { "score " (number(example.score)) }
            }
            h4 { "Input" }
            (text("Input", &example.source))
            @if let Some(svg) = &example.graph_svg {
                details {
                    summary { "Graph of the input" }
                    div.graph role="region" aria-label="Graph" tabindex="0" {
                        (graph(svg, &example.id))
                    }
                }
            }
            div.sides {
                div {
                    h4 { "Reference" }
                    (side(&diff.old, |text| template! { del { (text) } }))
                }
                div {
                    h4 { "Answer" }
                    (side(&diff.new, |text| template! { ins { (text) } }))
                }
            }
            @if let Some(note) = note { p.note { (note) } }
            @if example.generated != example.answer {
                details {
                    summary { "Generated text, as the LLM wrote it" }
                    (text("Generated text", &example.generated))
                }
            }
        }
    }
}

/// Code or other text as it is. What scrolls can be reached by the keyboard.
fn text(label: &str, text: &str) -> Markup {
    template! {
        @if text.is_empty() { (empty()) } @else {
            // HTML drops a line end that follows the tag: without this one it would drop the text's own.
            pre role="region" aria-label=(label) tabindex="0" { "\n" (text) }
        }
    }
}

fn side(parts: &[Part<'_>], marked: fn(&str) -> Markup) -> Markup {
    template! {
        @if parts.is_empty() { (empty()) } @else {
            div.text dir="auto" {
                @for part in parts {
                    @if part.shared { (part.text) } @else { (marked(part.text)) }
                }
            }
        }
    }
}

fn empty() -> Markup {
    template! { p.empty { "(empty)" } }
}

/// As an image and not as elements, because all graphs name their markers alike and names are the page's.
fn graph(svg: &str, id: &str) -> Markup {
    template! {
        img src={ "data:image/svg+xml;base64," (BASE64_STANDARD.encode(svg)) } alt={ "Graph of " (id) };
    }
}
