//! Filters as the JSON dialect writes them. Nodes are read level by level, each from its own text, so that what lies
//! past the bounds is never built.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{DEPTH_MAX, FilterNode, NODES_MAX};

/// Reads the filter of a subscribe request.
pub(in crate::centrifuge) fn read<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<FilterNode<'a>>>, D::Error> {
    let raw = Option::<&'a RawValue>::deserialize(deserializer)?;
    raw.map(|raw| node(raw, 1, &mut 0).map(Box::new).map_err(serde::de::Error::custom)).transpose()
}

/// A node as it is written.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Form<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    cmp: Cow<'a, str>,
    #[serde(borrow)]
    val: Cow<'a, str>,
    #[serde(borrow)]
    vals: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    nodes: Vec<&'a RawValue>,
}

fn node<'a>(raw: &'a RawValue, depth: usize, nodes: &mut usize) -> serde_json::Result<FilterNode<'a>> {
    *nodes += 1;
    let form: Form<'a> = serde_json::from_str(raw.get())?;
    let mut children = Vec::new();
    for child in form.nodes {
        if depth > DEPTH_MAX || *nodes > NODES_MAX {
            break; // the check sees what is too much already
        }
        children.push(node(child, depth + 1, nodes)?);
    }
    Ok(FilterNode {
        op: form.op,
        key: form.key,
        cmp: form.cmp,
        val: form.val,
        vals: form.vals,
        nodes: children,
    })
}
