//! Rules of the tree that no compiler checks: who may import whom, that effects stay parts, that ARCHITECTURE.md is
//! true, and how files look.
//!
//! Each rule is a function from what was read to a list of complaints, and each is shown to fire on an offender.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::tree::{CRATES, files, metadata, root};

/// The crates whose code must be deterministic given its parts.
const LIBRARIES: [&str; 9] =
    ["journal", "watcher", "compactor", "snapshotter", "restorer", "mover", "plugin", "operator", "fanout"];

/// The crate that stands inside the folder of another, and is read with it: its name and its folder.
const NESTED: (&str, &str) = ("cluster", "watcher/cluster");

/// The sources of some top-level folders: path from the root, and text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in folders {
        files(&root().join(folder), ".rs", &mut paths);
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source is text");
        let name = path.strip_prefix(root()).expect("it is below the root");
        (name.to_string_lossy().into_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// What a crate's manifest depends on, without what only its own tests need.
struct Manifest {
    crates: BTreeSet<String>,
    /// Features that this manifest asks of a dependency.
    features: BTreeMap<String, Vec<String>>,
}

fn manifests() -> BTreeMap<String, Manifest> {
    let read = metadata(&["--no-deps"]);
    let packages = read["packages"].as_array().expect("metadata has packages");
    let of = |package: &serde_json::Value| {
        let mut manifest = Manifest { crates: BTreeSet::new(), features: BTreeMap::new() };
        for dependency in package["dependencies"].as_array().expect("a list") {
            if dependency["kind"] == "dev" {
                continue;
            }
            let name = dependency["name"].as_str().expect("a name").to_owned();
            let features = dependency["features"].as_array().expect("a list").iter();
            let features = features.filter_map(|f| Some(f.as_str()?.to_owned())).collect();
            manifest.features.insert(name.clone(), features);
            manifest.crates.insert(name);
        }
        manifest
    };
    let name = |package: &serde_json::Value| package["name"].as_str().expect("a name").to_owned();
    packages.iter().map(|p| (name(p), of(p))).collect()
}

/// Complaints about who imports whom, and about what the journal must not know.
fn wrong_imports(manifests: &BTreeMap<String, Manifest>) -> Vec<String> {
    let mut complaints = Vec::new();
    let all: Vec<&str> = LIBRARIES.into_iter().chain([NESTED.0, "cli"]).collect();
    for (name, manifest) in manifests {
        let allowed: &[&str] = match name.as_str() {
            "hindcast-journal" => &[],
            "hindcast-watcher" => &["journal", "cluster"],
            "hindcast-snapshotter" | "hindcast-restorer" => &["journal", "cluster", "mover"],
            "hindcast-plugin" => &["journal", "snapshotter"],
            // It makes objects of the cluster true by what the others do.
            "hindcast-operator" => &["journal", "compactor", "snapshotter", "restorer"],
            "hindcast-cli" => &all[..all.len() - 1],
            "hindcast-tests" => &all,
            _ => &["journal"],
        };
        for import in &manifest.crates {
            let Some(own) = import.strip_prefix("hindcast-") else { continue };
            if !allowed.contains(&own) {
                complaints.push(format!("{name} imports {import}"));
            }
        }
        if name == "hindcast-journal" {
            for alien in ["kube", "kube-runtime", "k8s-openapi", "clap", "axum", "hyper", "rdkafka", "anyhow"] {
                if manifest.crates.contains(alien) {
                    complaints.push(format!("{name} must not know {alien}"));
                }
            }
            for cloud in ["aws", "azure", "gcp", "http", "cloud"] {
                if manifest.features.get("object_store").is_some_and(|f| f.iter().any(|f| f == cloud)) {
                    complaints.push(format!("{name} takes object_store with {cloud}"));
                }
            }
        }
        if name != "hindcast-cli" && name != "hindcast-tests" {
            for edge in ["clap", "anyhow", "axum"] {
                if manifest.crates.contains(edge) {
                    complaints.push(format!("{name} names {edge}, which is for cli"));
                }
            }
        }
    }
    complaints
}

#[test]
fn imports_go_one_way() {
    let mut manifests = manifests();
    for name in LIBRARIES.into_iter().chain([NESTED.0]) {
        assert!(manifests.contains_key(&format!("hindcast-{name}")), "{name} is a crate");
    }
    none(&wrong_imports(&manifests));
    let journal = manifests.get_mut("hindcast-journal").expect("it is there");
    journal.crates.insert("hindcast-watcher".into());
    journal.crates.insert("kube".into());
    journal.features.entry("object_store".into()).or_default().push("aws".into());
    let cluster = manifests.get_mut("hindcast-cluster").expect("it is there");
    cluster.crates.insert("hindcast-watcher".into());
    assert_eq!(wrong_imports(&manifests).len(), 4, "the rule fires");
}

#[test]
fn the_workspace_gives_object_store_no_cloud() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let line = text.lines().find(|l| l.starts_with("object_store =")).expect("object_store is pinned");
    for cloud in ["aws", "azure", "gcp", "http"] {
        assert!(!line.contains(&format!("\"{cloud}\"")), "every crate would get {cloud}: {line}");
    }
}

#[test]
fn every_library_inherits_the_lints() {
    for name in LIBRARIES.iter().chain(&[NESTED.1, "cli", "tests"]) {
        let path = root().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&path).expect("a crate has a manifest");
        assert!(text.contains("[lints]\nworkspace = true"), "{name} does not inherit the lints");
    }
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    assert!(workspace.contains("disallowed_methods ="), "the deny-list is a lint of the workspace");
}

/// Complaints about a library source that goes round its parts.
fn impure(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let is_test = name.ends_with("/tests.rs") || name.contains("/tests/");
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let here = format!("{name}:{}", i + 1);
        if line.contains("disallowed_methods") {
            let near = lines.iter().skip(i).take(3).copied().collect::<Vec<_>>().join(" ");
            if !line.contains("expect(") && !near.contains("reason") {
                complaints.push(format!("{here}: disallowed_methods is allowed without `expect` and a reason"));
            }
        }
        if is_test || line.trim_start().starts_with("//") {
            continue;
        }
        // The macro picks a ready branch at random, from a source that no seed reaches.
        if line.contains("select!") && line.contains('{') {
            let next = lines.get(i + 1).map_or("", |l| l.trim());
            if next != "biased;" && !line.contains("biased;") {
                complaints.push(format!("{here}: select! without `biased;` draws from an unseeded source"));
            }
        }
    }
    complaints
}

#[test]
fn libraries_keep_to_their_parts() {
    let complaints = sources(&LIBRARIES).iter().flat_map(|(name, text)| impure(name, text)).collect::<Vec<_>>();
    none(&complaints);
    assert_eq!(impure("x.rs", "#[allow(clippy::disallowed_methods)]\nfn f() {}").len(), 1);
    assert_eq!(impure("x.rs", "tokio::select! {\n a = b => {}\n}").len(), 1);
}

/// Options of other programs' commands, which are told as they are typed: kubectl's, and those of Argo CD.
const FOREIGN_OPTIONS: [&str; 3] = ["--server-side", "--app-namespace", "--sync-policy"];

/// Complaints about options of the command line in a source that must not know any: outside of comments `--word` can
/// only stand in a text.
fn options(name: &str, text: &str) -> Vec<String> {
    if name.ends_with("/tests.rs") || name.contains("/tests/") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    for (i, line) in code {
        for (at, _) in line.match_indices("--") {
            let option: String =
                line[at..].chars().take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').collect();
            let word = option.trim_start_matches('-').starts_with(|c: char| c.is_ascii_lowercase());
            if word && !FOREIGN_OPTIONS.contains(&option.as_str()) {
                complaints.push(format!("{name}:{}: {option} is for cli/src/words.rs to spell", i + 1));
            }
        }
    }
    complaints
}

#[test]
fn the_restorer_knows_no_command_line() {
    let sources = sources(&["restorer/src"]);
    assert!(sources.len() > 20, "the sources were found");
    none(&sources.iter().flat_map(|(name, text)| options(name, text)).collect::<Vec<_>>());
    let offender =
        "/// `--fine`\nf(\"give --allow-delete KIND\");\ng(\"--path\");\nh(\"kubectl apply --server-side\");\n";
    assert_eq!(options("restorer/src/x.rs", offender).len(), 2, "the rule fires");
    assert!(options("restorer/src/x/tests.rs", offender).is_empty());
}

/// Compiles an offender per denied method with clippy and our own deny-list.
#[test]
fn the_deny_list_fires() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let manifest = "[package]\nname = \"offender\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
        [lints.clippy]\ndisallowed_methods = \"deny\"\n";
    let code = "//! Offends.\npub fn f() -> (std::time::SystemTime, std::time::Instant) {\n    \
        std::thread::sleep(std::time::Duration::ZERO);\n    let _ = std::env::var(\"X\");\n    \
        (std::time::SystemTime::now(), std::time::Instant::now())\n}\n";
    fs::create_dir(folder.path().join("src")).expect("it is empty");
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("it is ours");
    fs::write(folder.path().join("src/lib.rs"), code).expect("it is ours");
    fs::copy(root().join(".clippy.toml"), folder.path().join(".clippy.toml")).expect("there is a deny-list");
    let out = Command::new(env!("CARGO"))
        .args(["clippy", "--quiet", "--offline"])
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .env_remove("RUSTFLAGS")
        .current_dir(folder.path())
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!said.contains("no such command"), "install clippy: rustup component add clippy");
    assert!(!out.status.success(), "the offender compiles");
    for method in ["SystemTime::now", "Instant::now", "thread::sleep", "env::var"] {
        assert!(said.contains(&format!("`std::{}`", path_of(method))), "{method} is not denied:\n{said}");
    }
}

fn path_of(method: &str) -> String {
    let module = match method {
        "SystemTime::now" | "Instant::now" => "time::",
        _ => "",
    };
    format!("{module}{method}")
}

#[test]
fn the_deny_list_names_every_effect() {
    let text = fs::read_to_string(root().join(".clippy.toml")).expect("there is a deny-list");
    for path in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "tokio::time::sleep",
        "tokio::time::timeout",
        "tokio::time::interval",
        "jiff::Timestamp::now",
        "ring::rand::SystemRandom::new",
        "std::env::var",
    ] {
        assert!(text.contains(&format!("path = \"{path}\"")), "{path} is not denied");
    }
    for line in text.lines().filter(|l| l.contains("path =")) {
        assert!(line.contains("reason = \""), "without a reason: {line}");
    }
}

/// Complaints about how a source file looks.
fn untidy(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    // A unit test beside its module says what it is by its place.
    let beside = name.ends_with("/tests.rs") && name.contains("/src/");
    if !beside && !text.starts_with("//!") {
        complaints.push(format!("{name} does not open with //!"));
    }
    let library = LIBRARIES.iter().any(|l| name.starts_with(&format!("{l}/")));
    let lines = text.lines().count();
    if library && lines > 700 {
        complaints.push(format!("{name} has {lines} lines: split it by kind of thing"));
    }
    complaints
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    let all = sources(&CRATES);
    assert!(all.len() > 20, "the sources were found");
    none(&all.iter().flat_map(|(name, text)| untidy(name, text)).collect::<Vec<_>>());
    assert_eq!(untidy("journal/src/x.rs", "fn f() {}").len(), 1);
}

/// Where sleeps need no reason: the waits themselves, simulated time, which passes by sleeping alone, and the offenders
/// in this file.
const SLEEPERS: [&str; 3] = ["tests/src/until.rs", "tests/src/sim/", "tests/tests/fast/tidy.rs"];

/// Complaints about sleeps on the real clock without a comment on the line before that says why time itself is waited
/// for.
fn bare_sleeps(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let bare = lines.iter().enumerate().filter(|(i, line)| {
        let said =
            i.checked_sub(1).and_then(|before| lines.get(before)).is_some_and(|l| l.trim_start().starts_with("//"));
        let code = !line.trim_start().starts_with("//");
        code && !said && ["time::sleep", "thread::sleep"].iter().any(|sleep| line.contains(sleep))
    });
    let complain = |i: usize| format!("{name}:{}: wait for the condition with `until`, or say why time itself", i + 1);
    bare.map(|(i, _)| complain(i)).collect()
}

#[test]
fn nothing_sleeps_without_a_reason() {
    let sources = sources(&["tests"]);
    let looked_at = sources.iter().filter(|(name, _)| !SLEEPERS.iter().any(|s| name.starts_with(s)));
    none(&looked_at.flat_map(|(name, text)| bare_sleeps(name, text)).collect::<Vec<_>>());
    let offender = "std::thread::sleep(SOON);\n// The pace of the load.\nstd::thread::sleep(PACE);\n";
    assert_eq!(bare_sleeps("x.rs", offender).len(), 1, "the rule fires");
}

/// Names in back-ticks that look like paths or items, outside fenced blocks.
fn named(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            out.extend(line.split('`').skip(1).step_by(2).map(ToOwned::to_owned));
        }
    }
    out
}

/// Complaints about names that are nowhere in the tree.
fn untrue(text: &str, exists: &dyn Fn(&str) -> bool, defined: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in named(text) {
        let word = name.trim_end_matches("()");
        let simple = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c));
        if !simple || word.contains("//") {
            continue;
        }
        if word.contains("::") {
            let parts: Vec<&str> = word.split("::").collect();
            let (Some(first), Some(last)) = (parts.first(), parts.last()) else { continue };
            let own = LIBRARIES.contains(first) || [NESTED.0, "cli", "tests"].contains(first);
            if own && !defined(first, last) {
                complaints.push(format!("`{name}`: {last} is not defined in {first}"));
            }
        } else if let Some((top, _)) = word.split_once('/') {
            let own = LIBRARIES.contains(&top) || ["cli", "tests", "deploy", ".ci", ".cargo"].contains(&top);
            if own && !exists(word.trim_end_matches('/')) {
                complaints.push(format!("`{name}` is not in the tree"));
            }
        }
    }
    complaints
}

#[test]
fn architecture_is_true() {
    let path = root().join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).expect("ARCHITECTURE.md is at the root");
    let folders = CRATES.into_iter().map(|folder| (folder, folder)).chain([NESTED]);
    let code: BTreeMap<&str, String> =
        folders.map(|(name, folder)| (name, sources(&[folder]).into_iter().map(|(_, t)| t).collect())).collect();
    let exists = |path: &str| root().join(path).exists();
    let defined = |folder: &str, item: &str| {
        let text = code.get(folder).map_or("", String::as_str);
        let kinds = ["fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ", "mod ", "macro_rules! "];
        kinds.iter().any(|kind| text.contains(&format!("{kind}{item}")))
            || text.contains(&format!("    {item} {{"))
            || text.contains(&format!("    {item},"))
            || text.contains(&format!("    {item}("))
            || text.contains(&format!("    {item} ="))
    };
    none(&untrue(&text, &exists, &defined));
    let offender = "`journal/src/nowhere.rs` and `journal::Nothing::at_all` but not `cargo test`";
    assert_eq!(untrue(offender, &exists, &defined).len(), 2, "the rule fires");
    assert!(text.lines().count() <= 300, "ARCHITECTURE.md has at most 300 lines");
}

/// Words that say more of how the tree came to be than a reader needs, in pieces so that this file has none of them.
fn forbidden() -> Vec<String> {
    [
        ["/wo", "rk/"],
        ["/tm", "p/wt"],
        ["/tm", "p/target"],
        ["/ro", "ot/"],
        ["Clau", "de"],
        ["Anthro", "pic"],
        ["Chat", "GPT"],
        ["Copi", "lot"],
        ["TO", "DO"],
        ["FIX", "ME"],
        ["X", "XX:"],
    ]
    .iter()
    .map(|pieces| pieces.concat())
    .collect()
}

/// Complaints about forbidden words in a text.
fn unfit(name: &str, text: &str) -> Vec<String> {
    let words = forbidden();
    let lines = text.lines().enumerate();
    let bad = lines.flat_map(|(i, line)| {
        let found = words.iter().filter(move |word| line.contains(word.as_str()));
        found.map(move |word| format!("{name}:{}: {word}", i + 1))
    });
    bad.collect()
}

#[test]
fn nothing_in_the_tree_speaks_of_this_machine() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let names: Vec<String> = match listed {
        Ok(out) if out.status.success() => {
            String::from_utf8_lossy(&out.stdout).split('\0').map(ToOwned::to_owned).collect()
        }
        // An unpacked archive has no list; its files are all there is.
        _ => {
            let mut paths = Vec::new();
            files(&root(), "", &mut paths);
            paths.iter().filter_map(|p| Some(p.strip_prefix(root()).ok()?.to_string_lossy().into_owned())).collect()
        }
    };
    let mut complaints = Vec::new();
    for name in
        names.iter().filter(|name| !name.is_empty() && Path::new(name).extension().is_none_or(|end| end != "sum"))
    {
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        complaints.extend(unfit(name, &text));
    }
    none(&complaints);
    let offender = forbidden().concat();
    assert_eq!(unfit("x", &offender).len(), forbidden().len(), "the rule fires");
}
