//! Settings that nobody reads: each is named, with the one that was meant.

use std::collections::BTreeSet;

use super::describe::{SettingField, Shape};
use super::tree::{FILE, Node, Raw, SettingOrigin, variable, within};
use crate::nearest::distance;

pub(super) fn in_section(root: &Node, section: &str, fields: &[SettingField], all: &[Vec<String>]) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(node) = root.get(section) {
        walk(node, &[section.to_owned()], fields, &mut unknown);
    }
    unknown.iter().map(|(path, node)| told(path, node, all)).collect()
}

/// Names the sections that are none of these.
pub(super) fn sections(root: &Node, names: &[String], all: &[Vec<String>]) -> Vec<String> {
    let Node::Table(table) = root else { return Vec::new() };
    let mut unknown = Vec::new();
    let strangers = table.iter().filter(|(name, _)| !names.contains(name));
    strangers.for_each(|(name, node)| each_leaf(node, std::slice::from_ref(name), &mut unknown));
    unknown.iter().map(|(path, node)| told(path, node, all)).collect()
}

type UnknownKeys<'n> = Vec<(Vec<String>, &'n Node)>;

fn walk<'n>(node: &'n Node, path: &[String], fields: &[SettingField], unknown: &mut UnknownKeys<'n>) {
    match node {
        Node::Table(table) => {
            for (name, node) in table {
                let path = within(path, name);
                let named = |name: &str| fields.iter().find(|field| field.name == name);
                let by_file = name.strip_suffix(FILE).and_then(named).filter(|field| field.shape.may_be_in_a_file());
                match named(name).or(by_file) {
                    Some(field) => inside(node, &path, &field.shape, unknown),
                    None => each_leaf(node, &path, unknown),
                }
            }
        }
        // A whole table in one variable.
        Node::Leaf(Raw::Text(text), origin) => {
            if let Some(table) = Node::inline(text, origin) {
                let mut inner = Vec::new();
                walk(&table, path, fields, &mut inner);
                unknown.extend(inner.into_iter().map(|(path, _)| (path, node)));
            }
        }
        Node::Leaf(Raw::Toml(_), _) => {}
    }
}

fn inside<'n>(node: &'n Node, path: &[String], shape: &Shape, unknown: &mut UnknownKeys<'n>) {
    match (shape, node) {
        (Shape::Table(fields), _) => walk(node, path, fields, unknown),
        (Shape::Map(shape), Node::Table(table)) => {
            table.iter().for_each(|(name, node)| inside(node, &within(path, name), shape, unknown));
        }
        (_, Node::Leaf(..)) => {}
        (Shape::Value(_) | Shape::OneOf(_) | Shape::Secret | Shape::List(_), Node::Table(_)) => {
            each_leaf(node, path, unknown)
        }
    }
}

fn each_leaf<'n>(node: &'n Node, path: &[String], leaves: &mut UnknownKeys<'n>) {
    match node {
        Node::Leaf(..) => leaves.push((path.to_vec(), node)),
        Node::Table(table) if table.is_empty() => leaves.push((path.to_vec(), node)),
        Node::Table(table) => {
            table.iter().for_each(|(name, node)| each_leaf(node, &within(path, name), leaves));
        }
    }
}

fn told(path: &[String], node: &Node, all: &[Vec<String>]) -> String {
    let by_variable = matches!(node, Node::Leaf(_, SettingOrigin::Variable(_)));
    let shown = |path: &[String]| if by_variable { variable(path) } else { path.join(".") };
    let (name, place) = match node {
        Node::Leaf(_, SettingOrigin::Variable(name)) => (name.to_string(), String::new()),
        Node::Leaf(_, SettingOrigin::File(file)) => (path.join("."), format!(" (in {file})")),
        Node::Leaf(_, SettingOrigin::Default) | Node::Table(_) => (path.join("."), String::new()),
    };
    // Of a known part another part's: it is spelt right, and stands in the wrong place.
    if all.iter().any(|known| known[0] == path[0]) {
        let others: Vec<&Vec<String>> = all.iter().filter(|known| known[1..] == path[1..]).collect();
        if let Some(first) = others.first() {
            let parts: BTreeSet<&str> = others.iter().map(|known| known[0].as_str()).collect();
            let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
            return format!("{name}{place} is no setting of {}, but one of {parts}, as {}", path[0], shown(first));
        }
    }
    let far = |known: &str| {
        let (name, known) = (name.to_lowercase(), known.to_lowercase());
        let plain = name.strip_suffix(FILE).unwrap_or(&name); // of what is no secret there is no file
        distance(&name, &known).min(distance(plain, &known))
    };
    let most = path.last().map_or(0, |field| field.len() / 3).max(2);
    let near = all.iter().map(|path| shown(path)).filter(|known| *known != name).min_by_key(|known| far(known));
    let near = near.filter(|known| far(known) <= most);
    let meant = near.map_or_else(String::new, |known| format!("; {known} is the nearest"));
    format!("{name}{place} is no setting{meant}")
}
