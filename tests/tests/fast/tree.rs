//! What stands in the checkout: its files, and what cargo says of its crates.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The folders of the crates, but for the one that stands inside another: the tests are the last.
pub(crate) const CRATES: [&str; 11] = [
    "journal",
    "watcher",
    "compactor",
    "snapshotter",
    "restorer",
    "mover",
    "plugin",
    "operator",
    "fanout",
    "cli",
    "tests",
];

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are in a workspace").to_owned()
}

/// Every file below a folder that has the given ending, in order.
pub(crate) fn files(below: &Path, ending: &str, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(below) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "node_modules" {
                files(&path, ending, into);
            }
        } else if name.ends_with(ending) {
            into.push(path);
        }
    }
}

/// The sources below a folder that are `wanted`, joined.
pub(crate) fn text_of(folder: &Path, wanted: impl Fn(&PathBuf) -> bool) -> String {
    let mut paths = Vec::new();
    files(folder, ".rs", &mut paths);
    let texts =
        paths.iter().filter(|path| wanted(path)).map(|path| fs::read_to_string(path).expect("a source is text"));
    texts.collect::<Vec<_>>().join("\n")
}

/// What cargo says of the crates, and unless told otherwise of all that they depend on here.
pub(crate) fn metadata(more: &[&str]) -> Value {
    let cargo = |command: &str| {
        let mut cargo = Command::new(command);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo
    };
    let version = cargo("rustc").arg("-vV").output().expect("there is a compiler");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("it says what it compiles for");
    let out = cargo(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
        .args(more)
        .output()
        .expect("cargo can be started");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("cargo tells in JSON")
}
