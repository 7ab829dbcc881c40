use std::collections::BTreeMap;

use super::*;
use crate::centrifuge::Dialect;
use crate::centrifuge::command::Request;

fn leaf<'a>(cmp: &'a str, val: &'a str, vals: &[&'a str]) -> FilterNode<'a> {
    let vals = vals.iter().map(|value| Cow::Borrowed(*value)).collect();
    FilterNode { key: "k".into(), cmp: cmp.into(), val: val.into(), vals, ..FilterNode::default() }
}

fn branch<'a>(op: &'a str, nodes: &[FilterNode<'a>]) -> FilterNode<'a> {
    FilterNode { op: op.into(), nodes: nodes.to_vec(), ..FilterNode::default() }
}

fn passes(node: &FilterNode<'_>, tags: &[(&str, &str)]) -> bool {
    let tags: BTreeMap<&str, &str> = tags.iter().copied().collect();
    node.check().unwrap().passes(|key| tags.get(key).copied())
}

/// Goal: each comparison, on a tag that passes, on one that does not, and on none.
#[test]
fn every_comparison_does_what_it_says() {
    for (node, passing, failing, without) in [
        (leaf("eq", "a", &[]), &["a"][..], &["b", "", "A", "aa"][..], false),
        (leaf("neq", "a", &[]), &["b", "", "A"], &["a"], true),
        (leaf("in", "", &["a", "b"]), &["a", "b"], &["c", "", "ab"], false),
        (leaf("nin", "", &["a", "b"]), &["c", "", "ab"], &["a", "b"], true),
        (leaf("ex", "", &[]), &["a", ""], &[], false),
        (leaf("nex", "", &[]), &[], &["a", ""], true),
        (leaf("sw", "مس", &[]), &["مسرح", "مس"], &["م", "رمس", ""], false),
        (leaf("ew", "ح", &[]), &["مسرح", "ح"], &["م", "", "حم"], false),
        (leaf("ct", "b", &[]), &["abc", "b"], &["ac", ""], false),
        (leaf("gt", "9.5", &[]), &["10", "9.51"], &["9.5", "9", "-10", "ten", ""], false),
        (leaf("gte", "9.5", &[]), &["10", "9.50"], &["9.49", "-10", "ten", ""], false),
        (leaf("lt", "9.5", &[]), &["9", "-10"], &["9.5", "10", "ten", ""], false),
        (leaf("lte", "9.5", &[]), &["9.50", "-10"], &["9.51", "10", "ten", ""], false),
        (leaf("gt", "many", &[]), &[], &["1", "many"], false),
    ] {
        assert_eq!(passes(&node, &[("other", "a")]), without, "{node:?} without the tag");
        for value in passing {
            assert!(passes(&node, &[("k", value)]), "{node:?} passes {value:?}");
        }
        for value in failing {
            assert!(!passes(&node, &[("k", value)]), "{node:?} stops {value:?}");
        }
    }
}

#[test]
fn branches_join_their_children() {
    let (yes, no) = (leaf("ex", "", &[]), leaf("nex", "", &[]));
    let cases = [
        (branch("and", &[yes.clone(), yes.clone()]), true),
        (branch("and", &[yes.clone(), no.clone()]), false),
        (branch("or", &[no.clone(), yes.clone()]), true),
        (branch("or", &[no.clone(), no.clone()]), false),
        (branch("not", std::slice::from_ref(&no)), true),
        (branch("not", std::slice::from_ref(&yes)), false),
        (branch("not", &[branch("or", &[no.clone(), branch("and", &[yes, no])])]), true),
    ];
    for (node, expected) in cases {
        assert_eq!(passes(&node, &[("k", "")]), expected, "{node:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let good = leaf("ex", "", &[]);
    let children = |number| branch("and", &vec![good.clone(); number]);
    let deep = |levels| (1..levels).fold(good.clone(), |node, _| branch("not", &[node]));
    let many = vec!["v"; VALUES_MAX + 1];
    for (node, fault) in [
        (
            FilterNode { op: "xor".into(), nodes: vec![good.clone()], ..Default::default() },
            FilterError::Operator,
        ),
        (FilterNode::default(), FilterError::Comparison),
        (leaf("is", "a", &[]), FilterError::Comparison),
        (FilterNode { key: "".into(), ..leaf("eq", "a", &[]) }, FilterError::NoKey),
        (leaf("eq", "", &[]), FilterError::Values),
        (leaf("gt", "1", &["2"]), FilterError::Values),
        (leaf("in", "", &[]), FilterError::Values),
        (leaf("nin", "a", &["a"]), FilterError::Values),
        (leaf("ex", "a", &[]), FilterError::Values),
        (leaf("nex", "", &["a"]), FilterError::Values),
        (leaf("in", "", &many), FilterError::TooManyValues),
        (branch("and", &[]), FilterError::Children),
        (branch("or", &[]), FilterError::Children),
        (branch("not", &[]), FilterError::Children),
        (branch("not", &[good.clone(), good.clone()]), FilterError::Children),
        (FilterNode { nodes: vec![good.clone()], ..good.clone() }, FilterError::Children),
        (FilterNode { key: "k".into(), ..branch("not", std::slice::from_ref(&good)) }, FilterError::Mixed),
        (FilterNode { cmp: "eq".into(), ..branch("not", std::slice::from_ref(&good)) }, FilterError::Mixed),
        (FilterNode { val: "a".into(), ..branch("not", std::slice::from_ref(&good)) }, FilterError::Mixed),
        (
            FilterNode { vals: vec!["a".into()], ..branch("not", std::slice::from_ref(&good)) },
            FilterError::Mixed,
        ),
        (branch("or", &[good.clone(), leaf("eq", "", &[])]), FilterError::Values),
        (children(NODES_MAX), FilterError::TooManyNodes),
        (deep(DEPTH_MAX + 1), FilterError::TooDeep),
    ] {
        assert_eq!(node.check(), Err(fault), "{node:?}");
    }
    assert!(children(NODES_MAX - 1).check().is_ok());
    assert!(deep(DEPTH_MAX).check().is_ok());
}

/// Goal: a tree of any size is read into little memory, and is refused as too large, not as malformed.
#[test]
fn excess_is_cut_off_while_reading() {
    let wide = branch("and", &vec![leaf("ex", "", &[]); 5_000]);
    let deep = (1..60).fold(leaf("ex", "", &[]), |node, _| branch("not", &[node]));
    for (node, fault) in [(wide, FilterError::TooManyNodes), (deep, FilterError::TooDeep)] {
        let request = crate::centrifuge::command::SubscribeRequest {
            filter: Some(Box::new(node)),
            ..Default::default()
        };
        let command = crate::centrifuge::Command { id: 1, request: Request::Subscribe(request) };
        for dialect in [Dialect::Json, Dialect::Protobuf] {
            let mut frame = Vec::new();
            dialect.write_command(&mut frame, &command);
            let read = dialect.commands(&frame).next().unwrap().unwrap();
            let Request::Subscribe(request) = read.request else { panic!("it is a subscribe") };
            let filter = request.filter.unwrap();
            assert!(count(&filter) <= NODES_MAX + 1);
            assert_eq!(filter.check(), Err(fault));
        }
    }
}

fn count(node: &FilterNode<'_>) -> usize {
    1 + node.nodes.iter().map(count).sum::<usize>()
}
