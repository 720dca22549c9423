//! Every name that is not a parameter has a LOCAL in the block of its method.

use std::collections::HashMap;

use crate::NodeKind;
use crate::joern::tree::{Item, ItemId, Tree};

/// Declares the names of every method, and ties identifiers to them.
pub(super) fn declare(tree: &mut Tree) {
    for method in tree.methods.clone() {
        declare_method(tree, method);
    }
}

fn declare_method(tree: &mut Tree, method: ItemId) {
    let order = tree.pre_order(method);
    let mut declared: HashMap<String, ItemId> = HashMap::new();
    let mut body = None;
    for &child in &tree.item(method).children {
        match tree.item(child).kind {
            NodeKind::MethodParameterIn => {
                declared.insert(tree.item(child).name.clone(), child);
            }
            NodeKind::Block => body = Some(child),
            _ => {}
        }
    }
    let Some(body) = body else { return };
    // What comprehensions and handlers declare holds below their block alone.
    let mut special: HashMap<(ItemId, String), ItemId> = HashMap::new();
    for &id in &order {
        let item = tree.item(id);
        if let (NodeKind::Local, Some(block)) = (item.kind, item.parent) {
            special.insert((block, item.name.clone()), id);
        }
    }
    for id in order {
        let item = tree.item(id);
        if item.kind != NodeKind::Identifier {
            continue;
        }
        let (name, at) = (item.name.clone(), (item.line, item.column));
        let mut found = None;
        let mut above = item.parent;
        while let Some(block) = above.filter(|_| found.is_none() && !special.is_empty()) {
            found = special.get(&(block, name.clone())).copied();
            above = tree.item(block).parent;
        }
        let found = match found.or_else(|| declared.get(&name).copied()) {
            Some(found) => found,
            None => {
                let local = tree.add(body, Item::new(NodeKind::Local, name.as_str(), name.as_str()).at(at));
                declared.insert(name, local);
                local
            }
        };
        tree.items[id as usize].declaration = Some(found);
    }
}
