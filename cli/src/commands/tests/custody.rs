//! Keys that come and go: what is wrapped anew opens with the new key alone, and values that are forgotten with none.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hindcast_journal::{
    Journal, Parts,
    custody::forget::{self, Asked},
    fold::ObjectKey,
    parts::{BoxFuture, Clock, SystemClock},
    seal::KeyFile,
};

use super::{
    PLANTED_TEXT,
    journal::{CLUSTER, PLANTED, Stored, World},
    run, schema,
};
use crate::{
    failure::Exit,
    keyfile,
    store::{self, Access},
};

/// A clock that nobody waits by.
#[derive(Debug, Default)]
struct Hasty(SystemClock);

impl Clock for Hasty {
    fn now(&self) -> i64 {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // The limit of a request is no wait.
        if duration < Duration::from_secs(20) { Box::pin(std::future::ready(())) } else { self.0.sleep(duration) }
    }
}

/// A key file with one of the keys of another: 0 is the newest.
fn only(world: &World, name: &str, at: usize) -> String {
    let all = keyfile::read_existing(&PathBuf::from(world.key_file())).unwrap();
    let text = KeyFile { keys: vec![all.keys[at].clone()] }.to_text();
    let path = world.path(name);
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn files(world: &World, folder: &str) -> Vec<String> {
    let found = std::fs::read_dir(world.file(folder)).into_iter().flatten();
    let mut names: Vec<String> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn shown(world: &World, key: &str) -> super::Done {
    run(world, &["show", "secret/db", "-n", "shop", "--at", "rev:16", "--show-secrets", "--key-file", key])
}

#[test]
fn after_a_rewrap_the_older_key_may_go() {
    let world = World::sealed();
    let key = world.key_file();
    let status = run(&world, &["key", "status", "--key-file", &key]);
    assert_eq!(status.exit, Exit::Done, "{}", status.err);
    assert!(status.out.contains("seals new values"), "{}", status.out);
    let nothing = run(&world, &["key", "rewrap", "--plan", "--key-file", &key]);
    assert_eq!(nothing.exit, Exit::Done, "{}{}", nothing.out, nothing.err);

    run(&world, &["key", "init", "--key-file", &key]);
    let (new, old) = (only(&world, "new.json", 0), only(&world, "old.json", 1));
    let status = run(&world, &["key", "status", "--key-file", &key]);
    assert!(status.out.contains("yes: `hindcast key rewrap` wraps 1 data key anew"), "{}", status.out);
    assert_eq!(shown(&world, &new).exit, Exit::Failed);
    let plan = run(&world, &["key", "rewrap", "--plan", "--key-file", &key]);
    assert_eq!(plan.exit, Exit::Differences, "{}", plan.err);
    assert!(plan.out.contains(": 1 of 1 data key\n") && files(&world, "keys").len() == 1, "{}", plan.out);
    let json = run(&world, &["key", "rewrap", "--plan", "-o", "json", "--key-file", &key]);
    schema::check("keyrewrapping", &json.out);

    let done = run(&world, &["key", "rewrap", "-o", "json", "--key-file", &key]);
    assert_eq!(done.exit, Exit::Done, "{}", done.err);
    schema::check("keyrewrapping", &done.out);
    assert_eq!(files(&world, "keys").len(), 2);
    assert!(shown(&world, &new).out.contains(PLANTED), "{}", shown(&world, &new).err);
    assert!(shown(&world, &old).out.contains(PLANTED), "its own file is still there");
    let status = run(&world, &["key", "status", "--key-file", &key]);
    assert!(status.out.contains("no: the newest opens the same"), "{}", status.out);
    assert!(status.err.contains("its seals can be: --public-key "), "{}", status.err);
    schema::check("keystatus", &run(&world, &["key", "status", "-o", "json", "--key-file", &key]).out);

    // What the older key signed is checked by its public key, and nothing is missing or foreign.
    let public = status.err.split("--public-key ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let verified = run(&world, &["verify", "--key-file", &new, "--public-key", public, "-o", "json"]);
    assert!(
        verified.out.contains("\"findings\": []") && verified.out.contains("\"checked\": true"),
        "{}",
        verified.out
    );

    let asked = run(&world, &["key", "rewrap", "--remove-old", "--key-file", &key]);
    assert_eq!((asked.exit, files(&world, "keys").len()), (Exit::Failed, 2), "{}", asked.err);
    let gone = run(&world, &["key", "rewrap", "--remove-old", "--yes", "--key-file", &key]);
    assert_eq!(gone.exit, Exit::Done, "{}", gone.err);
    assert!(gone.out.contains("removed: 1 file that older keys wrapped"), "{}", gone.out);
    assert!(shown(&world, &new).out.contains(PLANTED));
    let closed = shown(&world, &old);
    assert!(closed.exit == Exit::Failed && closed.err.contains("which the key file does not hold"), "{}", closed.err);
    let verified = run(&world, &["verify", "--key-file", &key, "-o", "json"]);
    assert!(verified.out.contains("\"findings\": []"), "{}", verified.out);
    assert_eq!(files(&world, "meta/custody").len(), 2);
}

#[test]
fn keys_that_do_not_open_are_left_as_they_are_and_named() {
    let world = World::new(Stored::Sealed);
    let other = world.path("other.json");
    run(&world, &["key", "init", "--key-file", &other]);
    let done = run(&world, &["key", "rewrap", "--key-file", &other]);
    assert_eq!(done.exit, Exit::Partly, "{}{}", done.out, done.err);
    assert!(done.err.contains("left as it is: keys/shop."), "{}", done.err);
    let status = run(&world, &["key", "status", "--key-file", &other]);
    assert!(status.err.contains("alone opens 1 data key of this journal"), "{}", status.err);
    let unnamed = run(&world, &["key", "status"]);
    assert!(unnamed.exit == Exit::Failed && unnamed.err.contains("--key-file"), "{}", unnamed.err);
    assert!(!done.out.contains(PLANTED_TEXT));
}

#[test]
fn what_is_to_be_forgotten_is_shown_first_and_asked_for() {
    let world = World::sealed();
    let key = world.key_file();
    let untold = run(&world, &["forget", "--key-file", &key]);
    assert!(untold.exit == Exit::Failed && untold.err.contains("--cluster-scoped"), "{}", untold.err);
    let plan = run(&world, &["forget", "-n", "shop", "--plan", "--key-file", &key]);
    assert_eq!(plan.exit, Exit::Differences, "{}", plan.err);
    assert!(
        plan.out.contains("sealed values of namespace shop: 1 data key in 1 file, 1 object with values"),
        "{}",
        plan.out
    );
    assert!(
        plan.out.contains("secrets shop/db") && plan.err.contains("is sealed anew by `hindcast run`"),
        "{}",
        plan.err
    );
    let args = ["forget", "secret/db", "-n", "shop", "--reason", "leaked", "--plan", "-o", "json", "--key-file", &key];
    let json = run(&world, &args);
    assert_eq!(json.exit, Exit::Differences, "{}", json.err);
    schema::check("forgetting", &json.out);
    assert!(json.out.contains("\"object\": \"/secrets/shop/db\""), "{}", json.out);
    let unasked = run(&world, &["forget", "-n", "shop", "--key-file", &key]);
    assert!(unasked.exit == Exit::Failed && unasked.err.contains("no terminal to confirm on"), "{}", unasked.err);
    let other = run(&world, &["forget", "-n", "elsewhere", "--key-file", &key]);
    assert!(other.exit == Exit::Done && other.err.contains("nothing to forget"), "{}{}", other.out, other.err);
    assert_eq!((files(&world, "keys").len(), files(&world, "meta/custody").len()), (1, 0));
    assert!(shown(&world, &key).out.contains(PLANTED));
}

#[test]
fn what_is_forgotten_is_said_to_be_and_all_else_reads_as_before() {
    let world = World::sealed();
    let key = world.key_file();
    let before = run(&world, &["show", "secret/db", "-n", "shop", "--at", "rev:16"]);
    let keys = keyfile::read_existing(&PathBuf::from(&key)).unwrap().keys;
    let asked = Asked {
        namespace: "shop".into(),
        object: Some(ObjectKey {
            namespace: "shop".into(),
            group: String::new(),
            resource: "secrets".into(),
            name: "db".into(),
        }),
        reason: Some("leaked".into()),
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let location = store::open(&world.url(), Access::Write).unwrap();
        let parts = Parts { clock: Arc::new(Hasty::default()), ..Parts::system() };
        let journal = Journal::open(location.store, &location.prefix, CLUSTER, parts);
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        let plan = forget::plan(&journal, &keys, &asked).await.unwrap();
        forget::apply(&journal, &keys, &asked, &plan, "host/1").await.unwrap().unwrap();
    });
    assert_eq!(files(&world, "keys"), [""; 0]);
    let closed = shown(&world, &key);
    assert_eq!(closed.exit, Exit::Failed);
    assert!(closed.err.contains("was forgotten on 20") && closed.err.contains(" by host/1"), "{}", closed.err);
    let after = run(&world, &["show", "secret/db", "-n", "shop", "--at", "rev:16"]);
    assert_eq!((after.exit, &after.out), (before.exit, &before.out), "{}", after.err);
    let verified = run(&world, &["verify", "--key-file", &key, "-o", "json"]);
    assert!(verified.out.contains("\"findings\": []"), "{}", verified.out);
    let status = run(&world, &["key", "status", "--key-file", &key]);
    assert!(status.out.contains("by host/1: secrets shop/db, 1 data key (leaked)"), "{}", status.out);
    schema::check("keystatus", &run(&world, &["key", "status", "-o", "json", "--key-file", &key]).out);
    let again = run(&world, &["forget", "secret/db", "-n", "shop", "--key-file", &key]);
    assert!(again.exit == Exit::Done && again.err.contains("nothing to forget"), "{}{}", again.out, again.err);
}
