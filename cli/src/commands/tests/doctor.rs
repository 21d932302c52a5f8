//! `doctor`, and answers around damage, as a terminal shows them.

use std::fs;

use super::{
    Done, Exit,
    journal::{CLUSTER, World},
    run, schema,
};

/// A journal whose segment with the first rows is damaged, and one whose newest is.
fn damaged(name: &str) -> World {
    let world = World::sealed();
    let mut bytes = fs::read(world.file(name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(world.file(name), bytes).unwrap();
    world
}

fn shown(done: &Done) -> String {
    done.out.replace(CLUSTER, "<uid>")
}

#[test]
fn of_a_whole_journal_nothing_is_said_but_that() {
    let world = World::sealed();
    let done = run(&world, &["doctor", "--key-file", &world.key_file()]);
    assert_eq!(done.exit, Exit::Done, "{}{}", done.out, done.err);
    assert_eq!(
        shown(&done),
        "cluster <uid>: 7 files, the log up to position 33
nothing is missing, late, foreign or altered, as far as that can be known
"
    );
    let json = run(&world, &["doctor", "--key-file", &world.key_file(), "-o", "json"]);
    schema::check("diagnosis", &json.out);
    assert!(json.out.contains(r#""harm": "nothing""#), "{}", json.out);
}

#[test]
fn what_damage_means_is_said_file_by_file() {
    let world = damaged("wal/00000000000000000003.parquet");
    let keys = world.key_file();
    fs::write(world.file("notes.txt"), "x").unwrap();
    let data_key = fs::read_dir(world.file("keys")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&data_key).unwrap();
    let done = run(&world, &["doctor", "--key-file", &keys]);
    assert_eq!(done.exit, Exit::Differences, "{}{}", done.out, done.err);
    let name = data_key.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        shown(&done).replace(&name, "<id>"),
        "cluster <uid>: 7 files, the log up to position 33
something is lost unless it is put back
hole  segment 3, positions 30 to 32
  nothing is provable from 2026-11-01 13:00:20.000+00:00 to no end yet

missing  keys/<id>
  what: data key <id>: what values of one namespace and month are sealed with, wrapped
  why: is not there, and was when it was sealed
  lost: the values that were sealed with it: of Secrets of one namespace and month, and of places that are sealed beside them
  stands: everything else of these objects: their names, labels, the names of their values, and which of them changed when
  remedy: put the object back: an older version of it, where the bucket keeps versions, or a copy from a replica or a backup of the bucket
  remedy: values from now on are sealed with another one, which `hindcast run` makes when it starts

altered  wal/00000000000000000003.parquet
  what: segment 3 of the log
  why: was altered or damaged: its bytes do not have the digest it states
  covers: segment 3, positions 30 to 32
  lost: segment 3, positions 30 to 32: no moment after 2026-11-01T13:00:20.000Z
  stands: everything up to 2026-11-01T13:00:20.000Z; behind it changes are known one by one, and no state before the next checkpoint
  remedy: put the object back: an older version of it, where the bucket keeps versions, or a copy from a replica or a backup of the bucket
  remedy: read on either side of it with --around-damage: answers in between are of the last moment before it, and say so; `log` shows the changes behind it
  remedy: `hindcast run` cannot start behind it until the object is back, or a checkpoint stands behind it; one that runs goes on, and makes that

foreign  notes.txt
  what: nothing that the journal writes
  why: is nothing that this version of Hindcast writes, and no reader reads it
  stands: every answer is what it would be: no reader takes it
  remedy: look at what it is, and move it away; a newer version may have written it
"
    );
    let json = run(&world, &["doctor", "--key-file", &keys, "-o", "json"]);
    assert_eq!(json.exit, Exit::Differences);
    schema::check("diagnosis", &json.out);
    let yaml = run(&world, &["doctor", "--key-file", &keys, "-o", "yaml"]);
    assert!(yaml.out.contains("kind: Diagnosis\n"), "{}", yaml.out);
}

#[test]
fn around_damage_readers_answer_and_say_what_is_missing() {
    let world = damaged("wal/00000000000000000003.parquet");
    // By itself a reader refuses, and says what helps.
    let done = run(&world, &["get", "cm", "-n", "shop"]);
    assert_eq!(done.exit, Exit::Failed, "{}{}", done.out, done.err);
    assert!(done.err.contains("`hindcast doctor` says what is damaged"), "{}", done.err);
    assert!(done.err.contains("--around-damage"), "{}", done.err);
    // What is before the damage is answered as ever, with it and without.
    let at = ["--at", "2026-11-01T13:00:19Z"];
    let done = run(&world, &[&["get", "cm", "-n", "shop"][..], &at].concat());
    let around = run(&world, &[&["get", "cm", "-n", "shop", "--around-damage"][..], &at].concat());
    assert_eq!((around.exit, &around.out), (done.exit, &done.out), "{} {}", done.err, around.err);
    assert!(!around.err.contains("lost interval from 2026-11-01 13:00:20"), "{}", around.err);
    // What is behind it is answered by the last that is known before, which is said.
    for args in [&["get", "cm", "-n", "shop", "-o", "json"][..], &["show", "cm/config", "-n", "shop"], &["status"]] {
        let done = run(&world, &[args, &["--around-damage"]].concat());
        assert!(matches!(done.exit, Exit::Reserved | Exit::Done), "{args:?}: {}{}", done.out, done.err);
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains("segment 3, positions 30 to 32"), "{args:?}: {said}");
    }
    // The log tells of both sides, and of what is between them.
    let done = run(&world, &["log", "-A", "--since", "2026-11-01", "--around-damage"]);
    assert_eq!(done.exit, Exit::Reserved, "{}{}", done.out, done.err);
    assert!(done.err.contains("-- segment 3, positions 30 to 32 cannot be read: "), "{}", done.err);
    assert!(done.out.contains("configmaps") || done.out.contains("cm/"), "{}", done.out);
    let done = run(&world, &["plan", "-n", "shop", "--at", "now", "--around-damage"]);
    assert_eq!(done.exit, Exit::Failed, "{}{}", done.out, done.err);
}
