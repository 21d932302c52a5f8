//! What is depended on is used, and may be used.
//!
//! Advisories need a network, and are looked up by `cargo deny` in the project's continuous integration (`.deny.toml`).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::tree::{metadata, root, text_of};

/// Licences that go with ours.
const LICENCES: [&str; 12] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What is depended on for the features that it turns on in others: the version of Kubernetes in kube, TLS in the
/// stores.
const FOR_FEATURES: [(&str, &str); 2] = [("hindcast-cluster", "k8s-openapi"), ("hindcast-cli", "reqwest")];

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// Whether a source names a crate: in a path, a macro or an attribute.
fn names(source: &str, package: &str) -> bool {
    let name = package.replace('-', "_");
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    source.match_indices(&name).any(|(at, _)| {
        let (before, after) = source.split_at(at);
        let after = after.get(name.len()..).unwrap_or_default();
        let used =
            after.starts_with("::") || after.starts_with(';') || after.starts_with(" as ") || after.starts_with('!');
        used && !part_of_word(before.chars().next_back())
    })
}

#[test]
fn what_is_depended_on_is_used() {
    let all = metadata(&["--no-deps"]);
    let mut unused = Vec::new();
    let mut taken = BTreeSet::new();
    for package in all["packages"].as_array().expect("there are packages") {
        let folder = Path::new(text(package, "manifest_path")).parent().expect("it is in a folder");
        let nested = |path: &PathBuf| {
            path.ancestors().take_while(|above| *above != folder).any(|above| above.join("Cargo.toml").exists())
        };
        let source = text_of(folder, |path| !nested(path));
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = text(dependency, "name");
            taken.insert(name.to_owned());
            if FOR_FEATURES.contains(&(text(package, "name"), name)) {
                continue;
            }
            if !names(&source, dependency["rename"].as_str().unwrap_or(name)) {
                unused.push(format!("{} depends on {name} and does not name it", text(package, "name")));
            }
        }
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
    let root = fs::read_to_string(root().join("Cargo.toml")).expect("there is one");
    let (_, shared) = root.split_once("[workspace.dependencies]\n").expect("versions are shared");
    let shared = shared.lines().take_while(|line| !line.starts_with('['));
    let shared = shared.filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    let left: Vec<&str> = shared.filter(|name| !taken.contains(*name)).collect();
    assert!(left.is_empty(), "the workspace names what nobody takes: {left:?}");
    assert!(
        names("use kube::Client;", "kube") && !names("use kube_runtime::x;", "kube") && !names("my_kube::x", "kube")
    );
}

/// Whether a licence expression leaves a choice that goes with ours.
fn is_fine(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    // None of the parentheses nests, and `AND` between them binds them all.
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                part.push(' ');
                part.push_str(word);
            }
        }
    }
    parts.push(part);
    parts.iter().all(|part| part.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn licences_go_with_ours() {
    let all = metadata(&[]);
    let foreign = |package: &&Value| !text(package, "name").starts_with("hindcast-");
    let packages = all["packages"].as_array().expect("there are packages");
    let wrong = packages.iter().filter(foreign).filter(|package| !is_fine(text(package, "license")));
    let wrong: Vec<String> = wrong.map(|p| format!("{}: {:?}", text(p, "name"), text(p, "license"))).collect();
    assert!(wrong.is_empty(), "licences that are not in the list:\n{}", wrong.join("\n"));
    assert!(is_fine("(MIT OR Apache-2.0) AND Unicode-3.0") && is_fine("GPL-3.0 OR MIT") && is_fine("MIT/Apache-2.0"));
    assert!(
        !is_fine("GPL-3.0") && !is_fine("MIT AND GPL-3.0") && !is_fine("(GPL-3.0 OR AGPL-3.0) AND MIT") && !is_fine("")
    );
}

#[test]
fn what_is_shipped_cannot_be_sabotaged() {
    let all = metadata(&["--no-deps"]);
    let mut turned_on = 0;
    for package in all["packages"].as_array().expect("there are packages") {
        let asked = package["dependencies"].as_array().into_iter().flatten();
        let asked = asked.flat_map(|dependency| dependency["features"].as_array().into_iter().flatten());
        let sabotaged = asked.filter(|feature| feature.as_str() == Some("sabotage")).count();
        let default =
            package["features"]["default"].as_array().is_some_and(|all| all.iter().any(|one| one == "sabotage"));
        let name = text(package, "name");
        assert!(!default && (sabotaged == 0 || name == "hindcast-tests"), "{name} turns faults on purpose on");
        turned_on += sabotaged;
    }
    assert_eq!(turned_on, 2, "the tests turn them on");
}
