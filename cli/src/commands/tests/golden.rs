//! A journal of format 1 as it was written once: every later version reads it, and says the same of it.
//!
//! It has segments of two writers, sealed values, a delete, a gap, a kind that turned, a checkpoint and a merged file.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::Path as FilePath};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hindcast_compactor as compactor;
use hindcast_journal::{
    Journal, Parts,
    checkpoint::Manifest,
    level::{HIGHEST, Merged},
};

use super::{
    journal::{Stored, World},
    run,
};
use crate::store::{self, Access};

/// File → its bytes, in base64.
const FILES: &str = include_str!("../../../../tests/golden/v1/journal.json");
/// Question → what is answered on standard output.
const ANSWERS: &str = include_str!("../../../../tests/golden/v1/journal-answers.json");

const CLUSTER: &str = "7385aaaa-0000-4000-8000-000000000001";
const KINDS: &str = "deploy,cm,secrets,widgets,doodads";

fn questions() -> Vec<String> {
    let mut all = vec!["journal cat pos:1-60 -o json".to_owned()];
    for rev in [11, 13, 15, 16, 18, 20] {
        all.push(format!("get {KINDS} -A --at rev:{rev} -o json"));
        all.push(format!("get secrets -A --at rev:{rev} -o json --show-secrets"));
    }
    all.push(format!("log {KINDS} -A --all --since 2026-11-01 -o json"));
    all.push("log cm/config -n shop --all -o json".to_owned());
    all.push("blame cm/config -n shop -o json".to_owned());
    all
}

fn answer(world: &World, question: &str) -> String {
    let key = world.key_file();
    let mut args: Vec<&str> = question.split(' ').collect();
    args.extend(["--key-file", &key]);
    let done = run(world, &args);
    assert!(!done.out.is_empty(), "{question}: {}", done.err);
    done.out
}

fn read(folder: &FilePath, below: &FilePath, out: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("it is a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => read(&path, below, out),
            path => {
                let name = path.strip_prefix(below).expect("it is below").display().to_string();
                out.insert(name, STANDARD.encode(std::fs::read(&path).expect("it is there")));
            }
        }
    }
}

#[test]
fn a_journal_of_format_1_reads_as_it_always_did() {
    let world = World::empty();
    let files: BTreeMap<String, String> = serde_json::from_str(FILES).expect("a map of files");
    for (name, bytes) in &files {
        let path = FilePath::new(&world.path("")).join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        std::fs::write(path, STANDARD.decode(bytes).expect("base64")).expect("it can be written");
    }
    std::fs::set_permissions(world.key_file(), std::fs::Permissions::from_mode(0o600)).expect("it is there");
    let answers: BTreeMap<String, String> = serde_json::from_str(ANSWERS).expect("a map of answers");
    let questions = questions();
    assert_eq!(answers.len(), questions.len());
    let ask = || {
        for question in &questions {
            assert_eq!(Some(&answer(&world, question)), answers.get(question), "{question}");
        }
    };
    ask();
    // Of what merged files hold, the segments themselves may be gone.
    for name in files.keys().filter(|name| name.contains("/wal/") && !name.ends_with("3.parquet")) {
        std::fs::remove_file(FilePath::new(&world.path("")).join(name)).expect("it is there");
    }
    ask();
}

#[test]
#[ignore = "writes what is read for ever: run it once for each format"]
fn write_the_golden() {
    let world = World::new(Stored::Sealed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let location = store::open(&world.url(), Access::Write).unwrap();
        let journal = Journal::open(location.store, &location.prefix, CLUSTER, Parts::system());
        compactor::execute(&journal, "w", 1).await.unwrap().checkpoint.expect("something is closed");
        let segments = journal.segments(1..3).await.unwrap();
        let merged = Merged::write(&journal, HIGHEST, &segments).await.unwrap();
        assert!(Manifest::add_merged(&journal, merged).await.unwrap());
        hindcast_journal::trim::Trim::plan(&journal, i64::MAX).await.unwrap().expect("it is merged");
    });
    let mut files = BTreeMap::new();
    let root = world.path("");
    read(FilePath::new(&root), FilePath::new(&root), &mut files);
    let boundary = format!("{}/meta/boundary/{:020}", prefix(&files), 1);
    files.insert(boundary.clone(), STANDARD.encode(br#"{"segment":3}"#));
    std::fs::create_dir_all(FilePath::new(&root).join(&boundary).parent().unwrap()).unwrap();
    std::fs::write(FilePath::new(&root).join(&boundary), br#"{"segment":3}"#).unwrap();
    let answers: BTreeMap<String, String> =
        questions().into_iter().map(|question| (question.clone(), answer(&world, &question))).collect();
    let folder = format!("{}/../tests/golden/v1", env!("CARGO_MANIFEST_DIR"));
    let text = |map: &BTreeMap<String, String>| serde_json::to_string_pretty(map).unwrap() + "\n";
    std::fs::write(format!("{folder}/journal.json"), text(&files)).unwrap();
    std::fs::write(format!("{folder}/journal-answers.json"), text(&answers)).unwrap();
}

/// The folder of the cluster, below the world's own.
fn prefix(files: &BTreeMap<String, String>) -> String {
    let segment = files.keys().find(|name| name.contains("/wal/")).expect("there is a segment");
    segment.split("/wal/").next().unwrap_or_default().to_owned()
}
