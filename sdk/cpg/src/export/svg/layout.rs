//! Where the boxes stand and the arrows of the control flow run: found by the `layout-rs` crate.

use std::collections::BTreeMap;

use layout::core::base::Orientation;
use layout::core::format::{ClipHandle, RenderBackend};
use layout::core::geometry::{Point, Position};
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;

use super::statements::Statements;
use super::{BOX_HEIGHT, BOX_PADDING, FONT, width};
use crate::{Cpg, EdgeKind, NodeId, NodeKind};

/// Free space around a box, where arrows run.
const BOX_MARGIN: f64 = 18.0;
/// Free space between methods.
const METHOD_MARGIN: f64 = 56.0;

fn element(label: &str) -> Element {
    let size = Point::new(width(label, FONT) + 2.0 * BOX_PADDING, BOX_HEIGHT);
    let mut element = Element::create(
        ShapeKind::new_box(""),
        StyleAttr::simple(),
        Orientation::TopToBottom,
        size,
    );
    element.pos = Position::new(Point::zero(), size, Point::zero(), Point::splat(BOX_MARGIN));
    element
}

/// Where a box stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
}

impl Place {
    fn of(position: Position) -> Self {
        let (top_left, bottom_right) = position.bbox(false);
        Self {
            left: top_left.x,
            top: top_left.y,
            width: bottom_right.x - top_left.x,
        }
    }

    pub(super) fn right(self) -> f64 {
        self.left + self.width
    }

    pub(super) fn middle(self) -> f64 {
        self.top + BOX_HEIGHT / 2.0
    }
}

/// Where everything stands: the methods one below the other, each laid out by its control flow.
pub(super) struct Layout {
    /// Of the statement with the same index.
    pub(super) places: Vec<Place>,
    pub(super) routes: Vec<Route>,
}

impl Layout {
    pub(super) fn new(cpg: &Cpg, statements: &Statements, labels: &[String]) -> Self {
        let mut methods: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (&node, place) in statements.nodes.iter().zip(0..) {
            methods.entry(method_around(cpg, node)).or_default().push(place);
        }
        let mut layout = Self {
            places: vec![Place::default(); labels.len()],
            routes: Vec::new(),
        };
        let mut top = 0.0;
        for members in methods.values() {
            top = layout.add(statements, labels, members, top) + METHOD_MARGIN;
        }
        layout
    }

    /// Lays out one method below `top`, and tells where it ends.
    fn add(&mut self, statements: &Statements, labels: &[String], members: &[usize], top: f64) -> f64 {
        let mut graph = VisualGraph::new(Orientation::TopToBottom);
        let handles: BTreeMap<usize, _> = members
            .iter()
            .map(|&member| (member, graph.add_node(element(&labels[member]))))
            .collect();
        for edge in statements.edges.iter().filter(|edge| edge.kind == EdgeKind::Cfg) {
            let ends = (
                handles.get(&(edge.source as usize)),
                handles.get(&(edge.target as usize)),
            );
            if let (Some(&source), Some(&target)) = ends {
                graph.add_edge(Arrow::default(), source, target);
            }
        }
        let mut routes = Routes::default();
        graph.do_it(false, false, false, &mut routes);
        let mut placed: Vec<(usize, Place)> = (handles.iter())
            .map(|(&member, &handle)| (member, Place::of(graph.pos(handle))))
            .collect();
        let highest = placed.iter().map(|(_, place)| place.top).fold(f64::INFINITY, f64::min);
        let down = top - highest;
        let mut bottom = top;
        for (member, place) in &mut placed {
            place.top += down;
            bottom = bottom.max(place.top + BOX_HEIGHT);
            self.places[*member] = *place;
        }
        for mut route in routes.arrows {
            for (control, point) in &mut route.path {
                control.y += down;
                point.y += down;
            }
            self.routes.push(route);
        }
        bottom
    }
}

/// The method that a statement belongs to; the entry and the exit of one belong to it as well.
fn method_around(cpg: &Cpg, node: NodeId) -> NodeId {
    let mut around = node;
    while cpg.nodes()[around as usize].kind != NodeKind::Method
        && let Some(parent) = cpg.parent(around)
    {
        around = parent;
    }
    around
}

/// An arrow as the layout routes it.
pub(super) struct Route {
    /// Pairs of a control point and a point; the first is a point and the control point behind it.
    pub(super) path: Vec<(Point, Point)>,
    /// Whether the arrow points at the start and at the end of the path.
    pub(super) heads: (bool, bool),
}

/// Takes the arrows out of a layout; the boxes are drawn without its help.
#[derive(Default)]
struct Routes {
    arrows: Vec<Route>,
}

impl RenderBackend for Routes {
    fn draw_rect(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>, _: Option<ClipHandle>) {}
    fn draw_line(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>) {}
    fn draw_circle(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>) {}
    fn draw_text(&mut self, _: Point, _: &str, _: &StyleAttr) {}
    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        _dashed: bool,
        heads: (bool, bool),
        _look: &StyleAttr,
        _properties: Option<String>,
        _text: &str,
    ) {
        self.arrows.push(Route {
            path: path.to_vec(),
            heads,
        });
    }
    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}
