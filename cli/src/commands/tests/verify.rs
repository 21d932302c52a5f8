//! `verify`, as a terminal shows it.

use std::fs;

use super::{
    Done, Exit,
    journal::{CLUSTER, Stored, World},
    run, schema,
};

/// An answer with what differs from run to run taken out: chain values, times, sizes, keys' names.
fn shown(done: &Done) -> String {
    let mut out = String::new();
    for line in done.out.lines() {
        let words = line.split(' ').map(|word| {
            let hex = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_hexdigit());
            if word.split_once(':').is_some_and(|(_, chain)| hex(chain, 64)) {
                "<position>:<chain>"
            } else if word == CLUSTER.to_owned() + ":" {
                "<uid>:"
            } else if word.starts_with("20") && word.contains('-') {
                "<day>"
            } else if word.ends_with("+00:00") {
                "<time>"
            } else if word.starts_with("key-") {
                "<key>"
            } else {
                word
            }
        });
        out.push_str(&words.collect::<Vec<_>>().join(" "));
        out.push('\n');
    }
    let at = out.find(" files, ").map(|at| at + " files, ".len());
    let end = at.and_then(|at| Some(at + out.get(at..)?.find(" bytes")?));
    if let (Some(at), Some(end)) = (at, end) {
        out.replace_range(at..end, "<size>");
    }
    out
}

#[test]
fn a_whole_journal_is_said_to_be_whole_and_what_no_seal_vouches_for_is_named() {
    let world = World::sealed();
    let keys = world.key_file();
    let done = run(&world, &["verify", "--key-file", &keys]);
    assert_eq!(done.exit, Exit::Done, "{}{}", done.out, done.err);
    assert_eq!(
        shown(&done),
        "cluster <uid>: 7 files, <size> bytes
log: segments 1 to 5, up to position 33
1 other file, each as it was sealed
sealed up to position 32 at <day> <time> by key <key>
  to hold the log to this later: --known <position>:<chain>
unsealed, so it could have been altered, added or cut off: 0 rows, 1 segment; the newest segment has the seal itself
  of 2 segments before it the rows are sealed, but not who wrote them and how far they close the log
nothing is missing, late, foreign or altered, as far as that can be known
"
    );
    let json = run(&world, &["verify", "--key-file", &keys, "-o", "json"]);
    schema::check("verification", &json.out);
    // With the public key alone it is the same.
    let list: serde_json::Value =
        serde_json::from_str(&run(&world, &["key", "list", "-o", "json", "--key-file", &keys]).out).unwrap();
    let public = list["keys"][0]["publicKey"].as_str().unwrap();
    let done = run(&world, &["verify", "--public-key", public]);
    assert_eq!(done.exit, Exit::Done, "{}{}", done.out, done.err);
    // And held to what was told.
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let known = format!("{}:{}", json["sealed"]["position"], json["sealed"]["chain"].as_str().unwrap());
    assert_eq!(run(&world, &["verify", "--public-key", public, "--known", &known]).exit, Exit::Done);
    for (args, text) in [
        (["--known", "7"], "--known 7: is not a position and a chain value"),
        (["--public-key", "zz"], "public key `zz`: is not 32 bytes in hex"),
    ] {
        let done = run(&world, &[&["verify"][..], &args].concat());
        assert!(done.exit == Exit::Failed && done.err.contains(text), "{}", done.err);
    }
}

#[test]
fn without_a_key_or_a_seal_what_cannot_be_excluded_is_said() {
    let world = World::sealed();
    let done = run(&world, &["verify"]);
    assert_eq!(done.exit, Exit::Reserved, "{}{}", done.out, done.err);
    assert!(done.err.contains("warning: no signature was checked, since no key is at hand"), "{}", done.err);
    assert!(done.out.contains(", not checked\n"), "{}", done.out);
    let world = World::new(Stored::Dropped);
    let done = run(&world, &["verify", "--key-file", &world.key_file()]);
    assert_eq!(done.exit, Exit::Reserved, "{}{}", done.out, done.err);
    assert!(done.out.contains("sealed: nothing\n"), "{}", done.out);
    assert!(done.err.contains("warning: nothing of the log is sealed"), "{}", done.err);
    // By the key file of another journal nothing holds.
    let (world, other) = (World::sealed(), World::new(Stored::Sealed));
    let done = run(&world, &["verify", "--key-file", &other.key_file()]);
    assert_eq!(done.exit, Exit::Reserved, "{}{}", done.out, done.err);
    for text in
        ["no seal of the log holds by the keys at hand", "signatures by keys that are not at hand were not checked"]
    {
        assert!(done.err.contains(text), "{}", done.err);
    }
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let world = World::sealed();
    let keys = world.key_file();
    let segment = "wal/00000000000000000002.parquet";
    let mut bytes = fs::read(world.file(segment)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(world.file(segment), bytes).unwrap();
    let data_key = fs::read_dir(world.file("keys")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&data_key).unwrap();
    fs::write(world.file("notes.txt"), "x").unwrap();
    let done = run(&world, &["verify", "--key-file", &keys]);
    assert_eq!(done.exit, Exit::Differences, "{}{}", done.out, done.err);
    let from = done.out.find("\n\n").unwrap();
    let name = data_key.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        done.out[from + 2..].replace(&name, "<id>"),
        "missing  keys/<id>
  is not there, and was when it was sealed
  remedy: put the object back from a copy or an older version of the bucket
foreign  notes.txt
  is nothing that this version of Hindcast writes, and no reader reads it
  remedy: look at what it is, and move it away; a newer version may have written it
altered  wal/00000000000000000002.parquet
  was altered or damaged: its bytes do not have the digest it states
  remedy: restore this object from a copy of the bucket, or read a moment before it
"
    );
    let json = run(&world, &["verify", "--key-file", &keys, "-o", "json"]);
    assert_eq!(json.exit, Exit::Differences);
    schema::check("verification", &json.out);
    // Readers of the same journal refuse it; `verify` looks at all of it.
    assert_eq!(run(&world, &["status"]).exit, Exit::Failed);
}
