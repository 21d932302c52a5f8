//! No circle among the modules of a crate: what a module stands on does not stand on it.
//!
//! A module is a file or folder right below a crate's `src`; what it names of its crate by `crate::` it stands on. A name that
//! the crate's root hands on counts as of the module that it comes from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::tree::{CRATES, root, text_of};

/// The crates that have none: all that have modules to speak of, but for the tests themselves.
fn free() -> impl Iterator<Item = &'static str> {
    CRATES.into_iter().filter(|folder| *folder != "tests").chain(["watcher/cluster"])
}

/// The first words of what stands behind `crate::` in a source: of one path, or of each in braces.
fn stands_on(source: &str) -> BTreeSet<String> {
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let lines = source.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut out = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = code.get(at + "crate::".len()..).unwrap_or_default();
        let Some(inner) = rest.strip_prefix('{') else {
            out.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (at, c) in inner.char_indices() {
            if begins && !c.is_whitespace() {
                out.insert(word(inner.get(at..).unwrap_or_default()));
                begins = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ => {}
            }
        }
    }
    out.remove("");
    out
}

/// What the root of a crate hands on: name → module.
fn handed_on(root: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let flat = root.split_whitespace().collect::<Vec<_>>().join(" ");
    for statement in
        flat.split(';').filter_map(|s| s.split_once("use ").filter(|(before, _)| before.trim_end().ends_with("pub")))
    {
        let Some((module, names)) = statement.1.split_once("::") else { continue };
        let words = names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty());
        out.extend(words.map(|name| (name.to_owned(), module.to_owned())));
    }
    out
}

/// Module → modules of the same crate that it stands on.
fn modules(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let root = fs::read_to_string(src.join("lib.rs")).expect("a library");
    let handed = handed_on(&root);
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs::read_dir(src).expect("it has sources").flatten() {
        let path = entry.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !matches!(name.as_str(), "lib" | "main" | "bin" | "tests") {
            let production = |file: &PathBuf| {
                file.strip_prefix(src)
                    .is_ok_and(|below| !below.iter().any(|part| part == "tests" || part == "tests.rs"))
            };
            let text = match path.is_dir() {
                true => text_of(&path, production),
                // Right below the root `super` is another word for it.
                false => fs::read_to_string(&path).expect("a source is text").replace("super::", "crate::"),
            };
            texts.entry(name).or_default().push_str(&text);
        }
    }
    let names: BTreeSet<String> = texts.keys().cloned().collect();
    let of = |(name, text): (&String, &String)| {
        let on = stands_on(text).into_iter().map(|word| handed.get(&word).cloned().unwrap_or(word));
        (name.clone(), on.filter(|on| on != name && names.contains(on)).collect())
    };
    texts.iter().map(of).collect()
}

/// The modules that are left when those are taken away, again and again, that stand on none that is left or that none left
/// stands on: the circles, and what lies between two.
fn circles(mut modules: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let left: BTreeSet<String> = modules.keys().cloned().collect();
        let needed: BTreeSet<String> = modules.values().flatten().cloned().collect();
        let before = modules.len();
        modules.retain(|name, on| needed.contains(name) && on.iter().any(|on| left.contains(on)));
        let names: BTreeSet<String> = modules.keys().cloned().collect();
        for on in modules.values_mut() {
            on.retain(|on| names.contains(on));
        }
        if modules.len() == before {
            return modules;
        }
    }
}

#[test]
fn no_module_stands_on_what_stands_on_it() {
    for name in free() {
        let modules = modules(&root().join(name).join("src"));
        let found = circles(modules);
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn a_circle_is_found() {
    let source = "use crate::{\n    Error, b::{self, X},\n    c,\n};\nfn f() { crate::d::g() } // crate::e";
    assert_eq!(stands_on(source), ["Error", "b", "c", "d"].map(str::to_owned).into());
    let handed = handed_on("pub use b::{X, inner::Y};\npub(crate) use c::Z;\nmod b;\npub use d::W;");
    assert_eq!((handed.get("Y").map(String::as_str), handed.get("W").map(String::as_str)), (Some("b"), Some("d")));
    let graph = |edges: &[(&str, &[&str])]| {
        let edge = |(from, to): &(&str, &[&str])| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect());
        edges.iter().map(edge).collect::<BTreeMap<_, _>>()
    };
    assert!(circles(graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])).is_empty());
    let found = circles(graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])]));
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["b", "c"]);
}
