//! The walls of the house: which crate may use which (`docs/ARCHITECTURE.md`), checked over `cargo metadata`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which of our own crates each may use outside of its tests.
const ARROWS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("protocol", &["domain"]),
    ("service", &["domain"]),
    ("store", &["domain"]),
    ("streams", &["domain"]),
    ("hub", &["domain", "protocol", "service", "streams"]),
    ("api", &["domain", "service", "store"]),
    ("workers", &["domain", "service", "store", "streams"]),
    ("munadi", &["api", "domain", "hub", "service", "store", "streams", "workers"]),
    ("loadtest", &["domain", "protocol", "service"]),
    ("testkit", &["domain"]),
];

/// What each room is alone in using, tests included. A name stands for its family: `sqlx` for `sqlx-core`, too.
const OWNED: [(&str, &[&str]); 2] = [
    (
        "store",
        &[
            "sea-orm",
            "sea-query",
            "sea-schema",
            "sqlx",
            "rusqlite",
            "diesel",
            "tokio-postgres",
            "libsqlite3-sys",
        ],
    ),
    ("streams", &["fred", "redis", "redis-protocol"]),
];

/// What reaches outside of the process; not in `domain` and `protocol`, however deep.
const IO: [&str; 12] = [
    "async-std",
    "axum",
    "fred",
    "hyper",
    "lettre",
    "mio",
    "reqwest",
    "sea-orm",
    "socket2",
    "sqlx",
    "tokio",
    "tungstenite",
];

/// The roles: they meet in the store and in the streams, never in code.
const ROLES: [&str; 3] = ["hub", "api", "workers"];

/// Who depends on whom.
#[derive(Debug, Clone, Default)]
struct Graph {
    /// Our own crates: what each names in its manifest, and whether for tests alone.
    manifests: BTreeMap<String, BTreeSet<(String, Use)>>,
    /// Every crate: what it is built from.
    built_from: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Always,
    Tests,
}

#[test]
fn the_walls_stand() {
    assert_eq!(breaches(&workspace()), [""; 0]);
}

#[test]
fn every_breach_is_seen() {
    let table = [
        ("domain", "tokio", Use::Always, "domain is built from tokio"),
        ("protocol", "hyper-util", Use::Always, "protocol is built from hyper"),
        ("domain", "store", Use::Tests, "domain uses store"),
        ("store", "streams", Use::Always, "store uses streams"),
        ("api", "sqlx-core", Use::Always, "api uses sqlx-core, which belongs to store"),
        ("workers", "sea-orm", Use::Tests, "workers uses sea-orm, which belongs to store"),
        ("hub", "fred", Use::Always, "hub uses fred, which belongs to streams"),
        ("hub", "store", Use::Always, "hub uses store"),
        ("hub", "api", Use::Tests, "hub uses api"),
        ("api", "workers", Use::Always, "api uses workers"),
        ("loadtest", "hub", Use::Always, "loadtest uses hub"),
        ("munadi", "testkit", Use::Always, "munadi uses testkit"),
        ("testkit", "store", Use::Always, "testkit uses store"),
        ("unheard-of", "domain", Use::Always, "unheard-of has no place in the house"),
    ];
    let mut sound = workspace();
    sound.built_from.insert("hyper-util".to_owned(), BTreeSet::from(["hyper".to_owned()]));
    for (from, to, kind, expected) in table {
        let mut graph = sound.clone();
        graph.manifests.entry(from.to_owned()).or_default().insert((to.to_owned(), kind));
        graph.built_from.entry(from.to_owned()).or_default().insert(to.to_owned());
        let found = breaches(&graph);
        assert!(found.iter().any(|breach| breach.starts_with(expected)), "{from} -> {to}: {found:?}");
    }
}

/// Every arrow that goes through a wall, in words.
fn breaches(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (name, uses) in &graph.manifests {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
            found.push(format!("{name} has no place in the house"));
            continue;
        };
        for (used, kind) in uses {
            if is_ours(used) && !may_use(name, used, *kind, allowed) {
                found.push(format!("{name} uses {used} ({kind:?})"));
            }
            for (owner, family) in OWNED {
                if name != owner && family.iter().any(|known| is_of(used, known)) {
                    found.push(format!("{name} uses {used}, which belongs to {owner}"));
                }
            }
        }
    }
    for pure in ["domain", "protocol"] {
        let parts = closure(graph, pure);
        found.extend(
            IO.iter().filter(|io| parts.contains(**io)).map(|io| format!("{pure} is built from {io}")),
        );
    }
    found
}

fn may_use(name: &str, used: &str, kind: Use, allowed: &[&str]) -> bool {
    match kind {
        Use::Always => allowed.contains(&used),
        // tests may stand on more, but a role's tests not on another role, and what is pure not on what is not
        Use::Tests => {
            allowed.contains(&used)
                || used == "testkit"
                || !(ROLES.contains(&used) || ["domain", "protocol"].contains(&name))
        }
    }
}

fn is_ours(name: &str) -> bool {
    ARROWS.iter().any(|(known, _)| *known == name)
}

fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn closure<'a>(graph: &'a Graph, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(name) = next.pop() {
        if seen.insert(name) {
            next.extend(graph.built_from.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    seen
}

fn workspace() -> Graph {
    let metadata = MetadataCommand::new().other_options(["--locked".to_owned()]).exec().unwrap();
    let mut graph = Graph::default();
    for package in metadata.workspace_packages() {
        let uses = package.dependencies.iter().map(|dependency| {
            let kind = if dependency.kind == DependencyKind::Development { Use::Tests } else { Use::Always };
            (dependency.name.clone(), kind)
        });
        graph.manifests.insert(package.name.to_string(), uses.collect());
    }
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (package.id.clone(), package.name.to_string())).collect();
    for node in metadata.resolve.unwrap().nodes {
        let parts = node
            .deps
            .iter()
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        let parts = parts.map(|dependency| names[&dependency.pkg].clone());
        graph.built_from.entry(names[&node.id].clone()).or_default().extend(parts);
    }
    graph
}
