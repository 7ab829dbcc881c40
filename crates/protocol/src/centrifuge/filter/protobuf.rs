//! Filters as the Protobuf dialect writes them. Nodes are read level by level, each from its own bytes, so that what
//! lies past the bounds is never built.

use prost::Message;

use super::{DEPTH_MAX, FilterNode, NODES_MAX};

/// A node as it is written.
#[derive(Clone, PartialEq, Message)]
struct Form {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(string, tag = "3")]
    cmp: String,
    #[prost(string, tag = "4")]
    val: String,
    #[prost(string, repeated, tag = "5")]
    vals: Vec<String>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    nodes: Vec<Vec<u8>>,
}

/// Reads the filter of a subscribe request.
pub(in crate::centrifuge) fn read(message: &[u8]) -> Result<FilterNode<'static>, prost::DecodeError> {
    node(message, 1, &mut 0)
}

/// Writes a filter.
pub(in crate::centrifuge) fn write(node: &FilterNode<'_>) -> Vec<u8> {
    let form = Form {
        op: node.op.to_string(),
        key: node.key.to_string(),
        cmp: node.cmp.to_string(),
        val: node.val.to_string(),
        vals: node.vals.iter().map(ToString::to_string).collect(),
        nodes: node.nodes.iter().map(write).collect(),
    };
    form.encode_to_vec()
}

fn node(message: &[u8], depth: usize, nodes: &mut usize) -> Result<FilterNode<'static>, prost::DecodeError> {
    *nodes += 1;
    let form = Form::decode(message)?;
    let mut children = Vec::new();
    for child in &form.nodes {
        if depth > DEPTH_MAX || *nodes > NODES_MAX {
            break; // the check sees what is too much already
        }
        children.push(node(child, depth + 1, nodes)?);
    }
    Ok(FilterNode {
        op: form.op.into(),
        key: form.key.into(),
        cmp: form.cmp.into(),
        val: form.val.into(),
        vals: form.vals.into_iter().map(Into::into).collect(),
        nodes: children,
    })
}
