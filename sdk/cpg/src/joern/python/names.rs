//! Every name that is not a parameter has a LOCAL in the block of its method; one that the method does not give a value has
//! another in the method around it, and so on.

use std::collections::{HashMap, HashSet};

use crate::NodeKind;
use crate::joern::tree::{Item, ItemId, Tree};

/// Declares the names of every method, and ties identifiers to them. Each method comes with the one around it.
pub(super) fn declare(tree: &mut Tree, methods: &[(ItemId, Option<ItemId>)]) {
    let mut free: HashMap<ItemId, Vec<String>> = HashMap::new();
    // Methods stand before those inside them.
    for &(method, around) in methods.iter().rev() {
        let inner = free.remove(&method).unwrap_or_default();
        let names = declare_method(tree, method, inner);
        if let Some(around) = around {
            free.entry(around).or_default().extend(names);
        }
    }
}

/// Gives the names that the method has from the one around it.
fn declare_method(tree: &mut Tree, method: ItemId, inner: Vec<String>) -> Vec<String> {
    let order = tree.pre_order(method);
    let mut declared: HashMap<String, ItemId> = HashMap::new();
    let mut own: HashSet<String> = HashSet::new();
    let mut body = None;
    for &child in &tree.item(method).children {
        match tree.item(child).kind {
            NodeKind::MethodParameterIn => {
                own.insert(tree.item(child).name.clone());
                declared.insert(tree.item(child).name.clone(), child);
            }
            NodeKind::Block => body = Some(child),
            _ => {}
        }
    }
    let Some(body) = body else { return inner };
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
        let is_given = item.argument == Some(1)
            && item
                .parent
                .is_some_and(|parent| tree.item(parent).name.contains(">.assignment"));
        let mut found = None;
        let mut above = item.parent;
        while let Some(block) = above.filter(|_| found.is_none() && !special.is_empty()) {
            found = special.get(&(block, name.clone())).copied();
            above = tree.item(block).parent;
        }
        if found.is_none() && is_given {
            own.insert(name.clone());
        }
        let found = match found.or_else(|| declared.get(&name).copied()) {
            Some(found) => found,
            None => declare_name(tree, body, &mut declared, name, at),
        };
        tree.items[id as usize].declaration = Some(found);
    }
    let at = (tree.item(body).line, tree.item(body).column);
    for name in inner {
        if !declared.contains_key(&name) {
            declare_name(tree, body, &mut declared, name, at);
        }
    }
    let is_free = |name: &String| !own.contains(name);
    let mut free: Vec<String> = declared.into_keys().filter(is_free).collect();
    free.sort_unstable();
    free
}

fn declare_name(
    tree: &mut Tree,
    body: ItemId,
    declared: &mut HashMap<String, ItemId>,
    name: String,
    at: (u32, u32),
) -> ItemId {
    let local = tree.add(body, Item::new(NodeKind::Local, name.as_str(), name.as_str()).at(at));
    declared.insert(name, local);
    local
}
