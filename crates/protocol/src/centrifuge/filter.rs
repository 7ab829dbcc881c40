//! Filters over tags: a subscriber asks for some of a topic's publications only.
//!
//! A [`FilterNode`] is what a client wrote. [`FilterNode::check`] makes a [`Filter`] of it, which publications are
//! held against. Decoders stop one node, value or level past the bounds, so that the check sees the excess and
//! memory does not.

mod decimal;
pub(super) mod json;
pub(super) mod protobuf;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;

/// Nodes that a filter may have.
pub const NODES_MAX: usize = 32;
/// Levels that a filter may have.
pub const DEPTH_MAX: usize = 8;
/// Values that one `in` or `nin` may list.
pub const VALUES_MAX: usize = 128;

/// One node of a filter as a client wrote it: a branch (`op` over `nodes`) or a leaf (`cmp` on the tag `key`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterNode<'a> {
    /// `and`, `or`, `not`; empty for a leaf.
    pub op: Cow<'a, str>,
    /// The tag that a leaf looks at.
    pub key: Cow<'a, str>,
    /// How a leaf compares.
    pub cmp: Cow<'a, str>,
    /// With what.
    pub val: Cow<'a, str>,
    /// With which.
    pub vals: Vec<Cow<'a, str>>,
    /// What a branch joins.
    pub nodes: Vec<FilterNode<'a>>,
}

/// Why a filter is refused. Clients see a bad request (107).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// More than [`NODES_MAX`].
    #[error("the filter has more than {NODES_MAX} nodes")]
    TooManyNodes,
    /// More than [`DEPTH_MAX`].
    #[error("the filter has more than {DEPTH_MAX} levels")]
    TooDeep,
    /// More than [`VALUES_MAX`].
    #[error("a node lists more than {VALUES_MAX} values")]
    TooManyValues,
    /// An `op` that does not exist.
    #[error("a node has an unknown operator")]
    Operator,
    /// A `cmp` that does not exist.
    #[error("a leaf has an unknown comparison")]
    Comparison,
    /// A leaf without a key.
    #[error("a leaf names no tag")]
    NoKey,
    /// A leaf with too few or too many values for its comparison.
    #[error("a leaf has not the values that its comparison takes")]
    Values,
    /// A leaf with children, or a branch with fewer or more than it takes.
    #[error("a node has not the children that it takes")]
    Children,
    /// A branch that is a leaf, too.
    #[error("a branch has members of a leaf")]
    Mixed,
}

/// A filter that makes sense.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Tag(Box<str>, Test),
}

/// What a tag has to be. The negations hold for a missing tag, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Equal(Box<str>),
    NotEqual(Box<str>),
    In(Vec<Box<str>>),
    NotIn(Vec<Box<str>>),
    Exists,
    Missing,
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<str>),
    Greater(Box<str>),
    GreaterOrEqual(Box<str>),
    Less(Box<str>),
    LessOrEqual(Box<str>),
}

impl FilterNode<'_> {
    /// Checks the filter of which this is the root.
    ///
    /// # Errors
    /// [`FilterError`]: the first fault.
    pub fn check(&self) -> Result<Filter, FilterError> {
        let mut nodes = 0;
        self.node(1, &mut nodes).map(Filter)
    }

    fn node(&self, depth: usize, nodes: &mut usize) -> Result<Node, FilterError> {
        *nodes += 1;
        if *nodes > NODES_MAX {
            return Err(FilterError::TooManyNodes);
        }
        if depth > DEPTH_MAX {
            return Err(FilterError::TooDeep);
        }
        if self.op.is_empty() {
            return self.leaf();
        }
        let mixed = [&self.key, &self.cmp, &self.val].iter().any(|text| !text.is_empty());
        if mixed || !self.vals.is_empty() {
            return Err(FilterError::Mixed);
        }
        let children: Vec<Node> =
            self.nodes.iter().map(|child| child.node(depth + 1, nodes)).collect::<Result<_, _>>()?;
        match (&*self.op, children.len()) {
            ("and", 1..) => Ok(Node::All(children)),
            ("or", 1..) => Ok(Node::Any(children)),
            ("not", 1) => Ok(Node::Not(Box::new(children.into_iter().next().expect("there is one")))),
            ("and" | "or" | "not", _) => Err(FilterError::Children),
            _ => Err(FilterError::Operator),
        }
    }

    fn leaf(&self) -> Result<Node, FilterError> {
        if !self.nodes.is_empty() {
            return Err(FilterError::Children);
        }
        let test = match &*self.cmp {
            "eq" => Test::Equal(self.one()?),
            "neq" => Test::NotEqual(self.one()?),
            "in" => Test::In(self.several()?),
            "nin" => Test::NotIn(self.several()?),
            "ex" => self.none(Test::Exists)?,
            "nex" => self.none(Test::Missing)?,
            "sw" => Test::StartsWith(self.one()?),
            "ew" => Test::EndsWith(self.one()?),
            "ct" => Test::Contains(self.one()?),
            "gt" => Test::Greater(self.one()?),
            "gte" => Test::GreaterOrEqual(self.one()?),
            "lt" => Test::Less(self.one()?),
            "lte" => Test::LessOrEqual(self.one()?),
            _ => return Err(FilterError::Comparison),
        };
        if self.key.is_empty() {
            return Err(FilterError::NoKey);
        }
        Ok(Node::Tag((*self.key).into(), test))
    }

    fn one(&self) -> Result<Box<str>, FilterError> {
        if self.val.is_empty() || !self.vals.is_empty() {
            return Err(FilterError::Values);
        }
        Ok((*self.val).into())
    }

    fn several(&self) -> Result<Vec<Box<str>>, FilterError> {
        if self.vals.is_empty() || !self.val.is_empty() {
            return Err(FilterError::Values);
        }
        if self.vals.len() > VALUES_MAX {
            return Err(FilterError::TooManyValues);
        }
        Ok(self.vals.iter().map(|value| (**value).into()).collect())
    }

    fn none(&self, test: Test) -> Result<Test, FilterError> {
        let bare = self.val.is_empty() && self.vals.is_empty();
        if bare { Ok(test) } else { Err(FilterError::Values) }
    }
}

impl Filter {
    /// Whether a publication passes; `tag` gives the value of one of its tags.
    pub fn passes<'t>(&self, tag: impl Fn(&str) -> Option<&'t str>) -> bool {
        self.0.passes(&tag)
    }
}

impl Node {
    fn passes<'t>(&self, tag: &dyn Fn(&str) -> Option<&'t str>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.passes(tag)),
            Self::Any(nodes) => nodes.iter().any(|node| node.passes(tag)),
            Self::Not(node) => !node.passes(tag),
            Self::Tag(key, test) => test.passes(tag(key)),
        }
    }
}

impl Test {
    fn passes(&self, tag: Option<&str>) -> bool {
        let Some(tag) = tag else {
            return matches!(self, Self::NotEqual(_) | Self::NotIn(_) | Self::Missing);
        };
        let compared = |value: &str| decimal::compare(tag, value);
        match self {
            Self::Equal(value) => tag == &**value,
            Self::NotEqual(value) => tag != &**value,
            Self::In(values) => values.iter().any(|value| tag == &**value),
            Self::NotIn(values) => values.iter().all(|value| tag != &**value),
            Self::Exists => true,
            Self::Missing => false,
            Self::StartsWith(value) => tag.starts_with(&**value),
            Self::EndsWith(value) => tag.ends_with(&**value),
            Self::Contains(value) => tag.contains(&**value),
            Self::Greater(value) => compared(value) == Some(Ordering::Greater),
            Self::GreaterOrEqual(value) => compared(value).is_some_and(Ordering::is_ge),
            Self::Less(value) => compared(value) == Some(Ordering::Less),
            Self::LessOrEqual(value) => compared(value).is_some_and(Ordering::is_le),
        }
    }
}
