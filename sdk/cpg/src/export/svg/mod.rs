//! A picture: SVG, laid out by the `layout-rs` crate.
//!
//! Boxes are statements, not nodes: a method of forty lines has several hundred nodes. Control flow decides where the boxes
//! stand and is drawn as the layout routes it; the other edges are bows at the sides of the boxes, in their own colours.

mod layout;
mod statements;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::layout::{Layout, Place, Route};
use self::statements::Statements;
use super::{colour, escaped_xml, on_one_line, short_code};
use crate::{Cpg, Edge, EdgeKind, NodeId, NodeKind};

/// Most boxes in one picture. A screen shows about fifty at a readable size; far beyond that nobody finds anything, and
/// the layout takes minutes.
pub const MAX_BOXES: usize = 300;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SvgError {
    /// More statements than a picture has room for.
    #[error(
        "{boxes} statements are too many for a picture, the limit is {limit}: choose one method, or another format"
    )]
    TooManyBoxes {
        /// Statements of the graph.
        boxes: usize,
        /// [`MAX_BOXES`].
        limit: usize,
    },
    /// Nothing that is ever evaluated, so nothing to draw.
    #[error("no method in the source has a body: there is no control flow to draw")]
    NoFlow,
}

// Sizes in pixels.
const FONT: f64 = 13.0;
const SMALL_FONT: f64 = 11.0;
/// Width of a character of a monospaced font, as a share of its size: that of all common ones, rounded up.
const CHARACTER: f64 = 0.602;
const BOX_HEIGHT: f64 = 26.0;
const BOX_PADDING: f64 = 10.0;
const LEGEND_ROW: f64 = 22.0;
const PAGE_MARGIN: f64 = 24.0;

/// What is neither control nor data flow.
const DASHED: &str = " stroke-dasharray=\"5 4\"";

/// The graph as an SVG image: boxes for statements, and the edges between them of the kinds given.
///
/// # Errors
/// [`SvgError`].
pub fn svg(cpg: &Cpg, source: &str, kinds: &[EdgeKind]) -> Result<String, SvgError> {
    let mut needed = kinds.to_vec();
    needed.push(EdgeKind::Cfg);
    let statements = Statements::new(cpg, &needed);
    let boxes = statements.nodes.len();
    if boxes == 0 {
        return Err(SvgError::NoFlow);
    }
    if boxes > MAX_BOXES {
        return Err(SvgError::TooManyBoxes {
            boxes,
            limit: MAX_BOXES,
        });
    }
    let labels: Vec<String> = statements.nodes.iter().map(|&node| label(cpg, source, node)).collect();
    let layout = Layout::new(cpg, &statements, &labels);
    Ok(Picture {
        cpg,
        source,
        statements: &statements,
        labels: &labels,
        layout: &layout,
        kinds,
    }
    .draw())
}

/// What a box says: the line, the word of the control structure whose part it is, and the code.
fn label(cpg: &Cpg, source: &str, node: NodeId) -> String {
    let data = &cpg.nodes()[node as usize];
    let code = short_code(cpg, source, node);
    let parent = cpg.parent(node).unwrap_or(0);
    match data.kind {
        NodeKind::Method => {
            let parameters: Vec<&str> = (cpg.outgoing(node, EdgeKind::Ast).iter())
                .filter(|edge| cpg.nodes()[edge.target as usize].kind == NodeKind::MethodParameterIn)
                .map(|edge| cpg.name(edge.target))
                .collect();
            format!("{}({})", cpg.name(node), parameters.join(", "))
        }
        NodeKind::MethodReturn => format!("exit of {}", cpg.name(parent)),
        // Of a structure that is itself a step (is there one more?), only the head.
        NodeKind::ControlStructure => {
            let first_line = data.span.text(source).and_then(|code| code.lines().next());
            let head = first_line.and_then(|line| line.split('{').next());
            format!("{}: {}", data.line, on_one_line(head.unwrap_or_default()))
        }
        _ => {
            let around = &cpg.nodes()[parent as usize];
            let is_condition = cpg
                .outgoing(parent, EdgeKind::Condition)
                .iter()
                .any(|edge| edge.target == node);
            let word = if is_condition && around.kind == NodeKind::ControlStructure {
                format!("{} ", cpg.name(parent).to_ascii_lowercase())
            } else {
                String::new()
            };
            format!("{}: {word}{code}", data.line)
        }
    }
}

/// Width of a line of text.
fn width(text: &str, font: f64) -> f64 {
    text.chars().count() as f64 * CHARACTER * font
}

struct Picture<'a> {
    cpg: &'a Cpg,
    source: &'a str,
    statements: &'a Statements,
    labels: &'a [String],
    layout: &'a Layout,
    kinds: &'a [EdgeKind],
}

impl Picture<'_> {
    fn draw(&self) -> String {
        let mut body = String::new();
        let mut frame = Frame::default();
        if self.kinds.contains(&EdgeKind::Cfg) {
            for route in &self.layout.routes {
                draw_route(&mut body, &mut frame, route);
            }
        }
        let bows = self.bows();
        for bow in &bows {
            bow.draw(&mut body, &mut frame);
        }
        for (place, index) in self.layout.places.iter().zip(0..) {
            self.draw_box(&mut body, &mut frame, *place, index);
        }
        let drawn: Vec<EdgeKind> = EdgeKind::ALL
            .iter()
            .copied()
            .filter(|kind| self.kinds.contains(kind) && self.statements.edges.iter().any(|edge| edge.kind == *kind))
            .collect();
        let legend = draw_legend(&mut frame, &drawn);
        let (left, top) = (frame.left - PAGE_MARGIN, frame.top - PAGE_MARGIN);
        let (width, height) = (frame.right - left + PAGE_MARGIN, frame.bottom - top + PAGE_MARGIN);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"{left:.0} {top:.0} {width:.0} {height:.0}\" font-family=\"monospace\" font-size=\"{FONT}\">"
        );
        let _ = writeln!(out, "<title>{}</title>", escaped_xml(&self.labels[0]));
        out.push_str(&markers(&drawn));
        let _ = writeln!(
            out,
            "<rect x=\"{left:.0}\" y=\"{top:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"white\"/>"
        );
        out.push_str(&body);
        out.push_str(&legend);
        out.push_str("</svg>\n");
        out
    }

    /// The edges that are no control flow; those with the same ends and kind share a bow.
    fn bows(&self) -> Vec<Bow> {
        let mut together: BTreeMap<(EdgeKind, NodeId, NodeId), Vec<&str>> = BTreeMap::new();
        let others = self.statements.edges.iter().filter(|edge| edge.kind != EdgeKind::Cfg);
        for edge in others {
            let Edge {
                kind, source, target, ..
            } = *edge;
            let labels = together.entry((kind, source, target)).or_default();
            labels.extend(Some(self.cpg.label(edge)).filter(|label| !label.is_empty()));
        }
        // Bows of one box leave it at different heights.
        let mut leaving: BTreeMap<NodeId, usize> = BTreeMap::new();
        let bows = together.into_iter().map(|((kind, source, target), labels)| {
            let number = leaving.entry(source).or_default();
            *number += 1;
            Bow {
                kind,
                from: self.layout.places[source as usize],
                to: self.layout.places[target as usize],
                label: labels.join(", "),
                number: *number,
            }
        });
        bows.collect()
    }

    fn draw_box(&self, out: &mut String, frame: &mut Frame, place: Place, index: usize) {
        let node = self.statements.nodes[index];
        let data = &self.cpg.nodes()[node as usize];
        let is_end = matches!(data.kind, NodeKind::Method | NodeKind::MethodReturn);
        let (fill, radius) = if is_end {
            ("#eeeeee", BOX_HEIGHT / 2.0)
        } else {
            ("#ffffff", 4.0)
        };
        let Place { left, top, width } = place;
        frame.hold(left, top);
        frame.hold(left + width, top + BOX_HEIGHT);
        let code = data.span.text(self.source).unwrap_or_default();
        let whole = escaped_xml(&code[..code.floor_char_boundary(super::CODE_BYTES)]);
        let text = escaped_xml(&self.labels[index]);
        let (x, y) = (left + BOX_PADDING, top + BOX_HEIGHT / 2.0 + FONT / 3.0);
        let _ = writeln!(
            out,
            "<g><title>{whole}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BOX_HEIGHT}\" \
             rx=\"{radius}\" fill=\"{fill}\" stroke=\"#333333\"/><text x=\"{x:.1}\" y=\"{y:.1}\" xml:space=\"preserve\">{text}</text></g>"
        );
    }
}

/// An edge beside the boxes: data on their right, the rest on their left.
struct Bow {
    kind: EdgeKind,
    from: Place,
    to: Place,
    label: String,
    /// Which of the bows of its box it is, from 1.
    number: usize,
}

impl Bow {
    fn draw(&self, out: &mut String, frame: &mut Frame) {
        let is_data = self.kind == EdgeKind::ReachingDef;
        // Starts below the middle and ends above it, so that what goes in is told from what goes out.
        let (y1, y2) = (self.from.middle() + 5.0, self.to.middle() - 5.0);
        let side = if is_data { 1.0 } else { -1.0 };
        let edge = |place: Place| if is_data { place.right() } else { place.left };
        let (x1, x2) = (edge(self.from), edge(self.to));
        // Longer ways bow out further, and each bow of a box a little further than the one before.
        let reach = 16.0 + (y2 - y1).abs().sqrt() * 4.0 + 7.0 * self.number as f64;
        let bend = if is_data { x1.max(x2) } else { x1.min(x2) } + side * reach;
        let (colour, kind) = (colour(self.kind), self.kind.name());
        let dash = if is_data { "" } else { DASHED };
        let _ = writeln!(
            out,
            "<path d=\"M {x1:.1} {y1:.1} C {bend:.1} {y1:.1}, {bend:.1} {y2:.1}, {x2:.1} {y2:.1}\" fill=\"none\" \
             stroke=\"{colour}\" stroke-width=\"1.4\"{dash} marker-end=\"url(#{kind})\"/>"
        );
        frame.hold(bend, y1);
        frame.hold(bend, y2);
        if !self.label.is_empty() {
            // In the middle of the curve.
            let (x, y) = ((x1 + 6.0 * bend + x2) / 8.0 + 2.0, (y1 + y2) / 2.0);
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\" font-size=\"{SMALL_FONT}\" stroke=\"white\" stroke-width=\"3\" \
                 paint-order=\"stroke\">{}</text>",
                escaped_xml(&self.label)
            );
            frame.hold(x + width(&self.label, SMALL_FONT), y);
        }
    }
}

fn draw_route(out: &mut String, frame: &mut Frame, route: &Route) {
    let path = match route.path.as_slice() {
        // From row to row: the layout's curve would bend back on itself.
        [(start, _), (_, end)] => format!("M {:.1} {:.1} L {:.1} {:.1}", start.x, start.y, end.x, end.y),
        [(start, bend), (control, point), rest @ ..] => {
            let mut path = format!(
                "M {:.1} {:.1} C {:.1} {:.1}, {:.1} {:.1}, {:.1} {:.1}",
                start.x, start.y, bend.x, bend.y, control.x, control.y, point.x, point.y
            );
            for (control, point) in rest {
                let _ = write!(
                    path,
                    " S {:.1} {:.1}, {:.1} {:.1}",
                    control.x, control.y, point.x, point.y
                );
            }
            path
        }
        _ => return,
    };
    for (_, point) in &route.path {
        frame.hold(point.x, point.y);
    }
    let (colour, kind) = (colour(EdgeKind::Cfg), EdgeKind::Cfg.name());
    let head = |is_there: bool, end: &str| match is_there {
        true => format!(" marker-{end}=\"url(#{kind})\""),
        false => String::new(),
    };
    let (first, last) = (head(route.heads.0, "start"), head(route.heads.1, "end"));
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{first}{last}/>"
    );
}

/// One arrow head a kind, in its colour.
fn markers(kinds: &[EdgeKind]) -> String {
    let mut out = String::from("<defs>");
    for kind in kinds {
        let (name, colour) = (kind.name(), colour(*kind));
        let _ = write!(
            out,
            "<marker id=\"{name}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" markerHeight=\"9\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto-start-reverse\"><path d=\"M 0 0 L 10 5 L 0 10 z\" fill=\"{colour}\"/></marker>"
        );
    }
    out.push_str("</defs>\n");
    out
}

/// Below the picture: a line and a name for each kind.
fn draw_legend(frame: &mut Frame, kinds: &[EdgeKind]) -> String {
    let mut out = String::new();
    let left = frame.left;
    for kind in kinds {
        frame.bottom += LEGEND_ROW;
        let (y, x1, x2) = (frame.bottom, left, left + 46.0);
        let (name, colour, what) = (kind.name(), colour(*kind), kind.describe());
        let dash = if matches!(kind, EdgeKind::Cfg | EdgeKind::ReachingDef) {
            ""
        } else {
            DASHED
        };
        let text = format!("{name}: {what}");
        let _ = writeln!(
            out,
            "<path d=\"M {x1:.1} {y:.1} L {x2:.1} {y:.1}\" stroke=\"{colour}\" stroke-width=\"2\"{dash} marker-end=\"url(#{name})\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{SMALL_FONT}\">{}</text>",
            x2 + 10.0,
            y + 4.0,
            escaped_xml(&text)
        );
        frame.hold(x2 + 10.0 + width(&text, SMALL_FONT), y);
    }
    out
}

/// The part of the plane that is drawn on.
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            left: f64::INFINITY,
            top: f64::INFINITY,
            right: f64::NEG_INFINITY,
            bottom: f64::NEG_INFINITY,
        }
    }
}

impl Frame {
    fn hold(&mut self, x: f64, y: f64) {
        self.left = self.left.min(x);
        self.top = self.top.min(y);
        self.right = self.right.max(x);
        self.bottom = self.bottom.max(y);
    }
}
