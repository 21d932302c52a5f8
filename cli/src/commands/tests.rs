//! Whole commands over a small journal in a folder: what is asked, answered, refused and hidden.

mod compact;
mod custody;
mod doctor;
mod expire;
mod golden;
mod journal;
pub(super) mod schema;
mod verify;

use clap::Parser as _;

use self::journal::{PLANTED, PLANTED_TEXT, Stored, World};
use crate::{
    args::Cli,
    failure::Exit,
    printer::{Printer, tests::Buffer},
};

/// What a command did: its exit code, standard output and standard error.
struct Done {
    exit: Exit,
    out: String,
    err: String,
}

/// Runs a command as from a shell, in UTC and far from any cluster.
fn run(world: &World, args: &[&str]) -> Done {
    let (out, err) = (Buffer::default(), Buffer::default());
    let printer = Printer::to(Box::new(out.clone()), Box::new(err.clone()));
    let kubeconfig = world.path("no-kubeconfig");
    let mut all = vec!["hindcast", "--tz", "UTC", "--wait", "10ms", "--kubeconfig", &kubeconfig];
    let url = world.url();
    all.extend(["--journal", &url]);
    all.extend(args);
    let cli = Cli::try_parse_from(all).unwrap_or_else(|e| panic!("{args:?}: {e}"));
    let exit = super::run(&cli, &printer).unwrap_or_else(|failure| {
        printer.failure(&failure);
        failure.exit
    });
    Done { exit, out: out.text(), err: err.text() }
}

#[test]
fn get_answers_as_it_was() {
    let world = World::new(Stored::Sealed);
    let done = run(&world, &["get", "deploy,cm", "-n", "shop", "--at", "rev:13"]);
    assert_eq!(done.exit, Exit::Done, "{}", done.err);
    assert_eq!(
        done.out,
        "NAME                  READY   UP-TO-DATE   AVAILABLE   AGE
deployment.apps/web   0/3     0            0           13s

NAME               DATA   AGE
configmap/config   1      13s
"
    );
    assert!(done.err.contains("at 2026-11-01 13:00:13.000+00:00 = rev 13 (closed)"), "{}", done.err);
    let earlier = run(&world, &["get", "deploy", "-n", "shop", "--at", "rev:11"]);
    assert!(earlier.out.contains("0/2"), "{}", earlier.out);
    let timed = run(&world, &["get", "deploy", "-n", "shop", "--at", "2026-11-01 13:00:13"]);
    assert_eq!(timed.out, run(&world, &["get", "deploy", "-n", "shop", "--at", "rev:13"]).out);
    assert!(timed.err.contains("at 2026-11-01 13:00:13.000+00:00 = rev 13 (closed)"), "{}", timed.err);
}

#[test]
fn get_by_label_by_name_and_of_all_namespaces() {
    let world = World::new(Stored::Sealed);
    let names = |args: &[&str]| {
        let all = [&["get", "-o", "name", "--at", "rev:14"], args].concat();
        run(&world, &all).out
    };
    assert_eq!(names(&["deploy", "-n", "shop", "-l", "app=web"]), "deployment.apps/web\n");
    assert_eq!(names(&["deploy", "-n", "shop", "-l", "app!=web"]), "");
    assert_eq!(names(&["deploy/web", "-n", "shop"]), "deployment.apps/web\n");
    assert_eq!(names(&["Deployment.apps", "web", "-n", "shop"]), "deployment.apps/web\n");
    assert_eq!(names(&["cm", "-A"]), "configmap/other\nconfigmap/config\n", "by namespace");
    let wide = run(&world, &["get", "cm", "-A", "--at", "rev:14"]);
    assert!(wide.out.starts_with("NAMESPACE     NAME     DATA   AGE\ndefault-not   other "), "{}", wide.out);
    let default = run(&world, &["get", "cm", "--at", "rev:14"]);
    assert_eq!((default.out.as_str(), default.exit), ("", Exit::Done));
    assert!(default.err.contains("namespace default"), "{}", default.err);
    assert!(default.err.contains("No resources found in default namespace"), "{}", default.err);
}

#[test]
fn show_and_lists_are_exact() {
    let world = World::new(Stored::Sealed);
    let yaml = run(&world, &["show", "cm/config", "-n", "shop", "--at", "rev:14"]);
    assert_eq!(yaml.exit, Exit::Done, "{}", yaml.err);
    assert!(yaml.out.contains("data:\n  big: \"1.10\"\n"), "{}", yaml.out);
    assert!(yaml.out.contains("  resourceVersion: \"12\"\n"), "{}", yaml.out);
    let json = run(&world, &["show", "widget/w", "-n", "shop", "--at", "rev:14", "-o", "json"]);
    assert!(json.out.contains("\"size\": 1.10\n"), "numbers are tokens: {}", json.out);
    let list = run(&world, &["get", "widgets", "-n", "shop", "--at", "rev:14", "-o", "yaml"]);
    assert!(list.out.starts_with("apiVersion: v1\nitems:\n- apiVersion: example.com/v1\n"), "{}", list.out);
    assert!(list.out.contains("size: 1.10\n"), "{}", list.out);
    let table = run(&world, &["get", "widgets", "-n", "shop", "--at", "rev:14"]);
    assert_eq!(table.out, "NAME   SIZE\nw      1.10\n", "a CRD's own columns");
}

#[test]
fn before_a_position_is_the_state_without_that_change() {
    let world = World::new(Stored::Sealed);
    let log = run(&world, &["log", "deploy/web", "-n", "shop", "--all"]);
    let line = log.out.lines().find(|l| l.contains("spec.replicas: 3")).expect(&log.out);
    let pos = line.split_whitespace().nth(2).unwrap();
    let with = run(&world, &["get", "deploy", "-n", "shop", "--at", &format!("pos:{pos}")]);
    let without = run(&world, &["get", "deploy", "-n", "shop", "--at", &format!("before:pos:{pos}")]);
    assert!(with.out.contains("0/3") && without.out.contains("0/2"), "{} {}", with.out, without.out);
    assert!(log.out.contains(&format!("just before: --at before:pos:{pos}")), "{}", log.out);
}

#[test]
fn what_was_not_there_or_not_protected_is_never_an_empty_answer() {
    let world = World::new(Stored::Sealed);
    let said = |args: &[&str], exit: Exit, text: &str| {
        let done = run(&world, args);
        assert_eq!(done.exit, exit, "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(text), "{args:?}: {}", done.err);
    };
    said(&["get", "deploy/nope", "-n", "shop", "--at", "rev:13"], Exit::Failed, "deployments.apps \"nope\"");
    said(&["show", "cm/gone", "-n", "shop", "--at", "rev:13"], Exit::Failed, "was not there in namespace shop");
    said(
        &["get", "lease", "-A", "--at", "rev:13"],
        Exit::Failed,
        "not protected at 2026-11-01 13:00:13.000+00:00: excluded",
    );
    said(&["log", "lease", "-n", "shop"], Exit::Failed, "not protected then: excluded");
    said(
        &["get", "deploy,lease", "-n", "shop", "--at", "rev:13"],
        Exit::Reserved,
        "leases.coordination.k8s.io: not protected",
    );
    said(&["get", "gadgets", "-n", "shop", "--at", "rev:13"], Exit::Failed, "not protected at");
    said(&["get", "widgts", "-n", "shop", "--at", "rev:13"], Exit::Failed, "did you mean widgets.example.com?");
    said(&["get", "cm/config", "-A", "--at", "rev:13"], Exit::Failed, "a name is of one namespace");
    said(&["get", "cm", "--at", "2020-01-01"], Exit::Failed, "is before the journal begins");
    said(&["get", "cm", "--at", "rev:99"], Exit::Failed, "is later than the journal knows");
    said(&["get", "cm", "--at", "rev:99", "--allow-stale"], Exit::Reserved, "the journal is closed only up to");
    said(&["get", "cm", "--at", "pos:999"], Exit::Failed, "position 999");
    said(&["get", "cm", "--at", "25:00"], Exit::Failed, "time `25:00`");
    said(&["show", "cm", "-n", "shop"], Exit::Failed, "show takes one object");
    said(&["log", "-o", "wide"], Exit::Failed, "only `get` has them");
    said(&["status", "--cluster", "nope"], Exit::Failed, "has no cluster `nope`");
    said(&["journal", "cat", "nope"], Exit::Failed, "`nope`");
}

#[test]
fn a_lost_gap_is_a_reservation_wherever_it_touches_the_answer() {
    let world = World::new(Stored::Sealed);
    let inside = run(&world, &["get", "widgets", "-n", "shop", "--at", "rev:17"]);
    assert_eq!(inside.exit, Exit::Reserved, "{}", inside.err);
    assert!(inside.err.contains("changes may be missing (too old); uncertain are shop/w"), "{}", inside.err);
    let shown = run(&world, &["show", "widget/w", "-n", "shop", "--at", "rev:17"]);
    assert_eq!(shown.exit, Exit::Reserved, "{}", shown.err);
    let other = run(&world, &["get", "cm", "-n", "shop", "--at", "rev:17"]);
    assert_eq!(other.exit, Exit::Done, "another kind is exact: {}", other.err);
    let after = run(&world, &["get", "widgets", "-n", "shop", "--at", "rev:19"]);
    assert_eq!(after.exit, Exit::Done, "{}", after.err);
    let log = run(&world, &["log", "widgets", "-n", "shop", "--since", "2026-11-01"]);
    assert_eq!(log.exit, Exit::Reserved, "{}", log.err);
    let status = run(&world, &["status"]);
    assert_eq!(status.exit, Exit::Done, "{}", status.err);
    assert!(status.out.contains("lost"), "{}", status.out);
}

#[test]
fn an_open_cut_names_what_lags() {
    let world = World::new(Stored::Sealed);
    let done = run(&world, &["get", "cm", "-n", "shop", "--open"]);
    assert_eq!(done.exit, Exit::Reserved, "{}", done.err);
    assert!(done.err.contains("= rev 21 (open)"), "{}", done.err);
    assert!(done.err.contains("warning: the cut is open"), "{}", done.err);
    assert!(done.err.contains("deployments.apps"), "{}", done.err);
    let closed = run(&world, &["get", "cm", "-n", "shop"]);
    assert_eq!(closed.exit, Exit::Done, "{}", closed.err);
    assert!(closed.err.contains("= rev 20 (closed)"), "now is the newest closed cut: {}", closed.err);
}

const EVERYTHING: [&[&str]; 21] = [
    &["status", "-v"],
    &["status", "-o", "json"],
    &["log", "-A", "--since", "2026-11-01", "--all"],
    &["log", "-A", "--since", "2026-11-01", "-o", "json"],
    &["log", "-A", "--since", "2026-11-01", "-o", "yaml"],
    &["log", "secret/db", "-n", "shop", "--all"],
    &["get", "secrets,cm", "-A"],
    &["get", "secrets,cm", "-A", "-o", "wide"],
    &["get", "secrets,cm", "-A", "-o", "json"],
    &["get", "secrets,cm", "-A", "-o", "yaml", "--at", "rev:15"],
    &["show", "secret/db", "-n", "shop"],
    &["show", "secret/db", "-n", "shop", "-o", "json", "--at", "rev:15"],
    &["diff", "-A", "--from", "rev:11", "--all"],
    &["diff", "secret/db", "-n", "shop", "--from", "rev:15", "--to", "rev:16"],
    &["diff", "-n", "shop", "--from", "rev:14", "-o", "json", "--all"],
    &["diff", "secrets,cm", "-A", "--from", "rev:15", "-o", "yaml"],
    &["blame", "secret/db", "-n", "shop", "--all"],
    &["blame", "secret/db", "-n", "shop", "-o", "json"],
    &["journal", "ls"],
    &["journal", "cat", "1-999"],
    &["journal", "cat", "1-999", "-o", "yaml"],
];

#[test]
fn no_secret_value_is_in_any_output() {
    for stored in [Stored::Sealed, Stored::Dropped, Stored::Plaintext] {
        let world = World::new(stored);
        let keys = world.key_file();
        for args in EVERYTHING {
            for with_key in [false, true] {
                let all = if with_key { [args, &["--key-file", &keys]].concat() } else { args.to_vec() };
                let done = run(&world, &all);
                assert_ne!(done.exit, Exit::Failed, "{all:?}: {}", done.err);
                for text in [&done.out, &done.err] {
                    for planted in [PLANTED, PLANTED_TEXT] {
                        assert!(!text.contains(planted), "{stored:?} {all:?}:\n{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn values_are_shown_when_asked_and_only_with_what_opens_them() {
    let world = World::new(Stored::Sealed);
    let keys = world.key_file();
    let show = ["show", "secret/db", "-n", "shop", "--show-secrets"];
    let without = run(&world, &show);
    assert_eq!(without.exit, Exit::Failed, "{}", without.err);
    assert!(without.err.contains("there is no key"), "{}", without.err);
    let with = run(&world, &[&show[..], &["--key-file", &keys]].concat());
    assert!(with.out.contains(PLANTED), "{}{}", with.out, with.err);
    let list = ["get", "secrets", "-n", "shop", "--show-secrets", "-o", "json", "--key-file", &keys];
    assert!(run(&world, &list).out.contains(PLANTED));
    let plain = World::new(Stored::Plaintext);
    assert!(run(&plain, &show).out.contains(PLANTED), "the scan above can find it");
    let redacted = run(&world, &["show", "secret/db", "-n", "shop"]);
    assert!(redacted.out.contains("<redacted 15 bytes hmac:"), "{}", redacted.out);
    assert!(redacted.err.contains("cannot be applied"), "{}", redacted.err);
}

#[test]
fn nothing_that_a_terminal_obeys_is_printed() {
    let world = World::new(Stored::Sealed);
    for args in EVERYTHING {
        let done = run(&world, args);
        for text in [&done.out, &done.err] {
            let bad = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
            assert_eq!(bad, None, "{args:?}:\n{text:?}");
        }
    }
    for output in ["json", "yaml"] {
        let shown = run(&world, &["show", "cm/config", "-n", "shop", "-o", output]);
        assert!(shown.out.contains(r"\u001b[2J\u009b"), "it is not lost: {}", shown.out);
    }
}

#[test]
fn log_shows_who_did_what_newest_first() {
    let world = World::new(Stored::Sealed);
    let done = run(&world, &["log", "-n", "shop", "--since", "2026-11-01"]);
    let positions: Vec<u64> =
        done.out.lines().skip(1).filter_map(|l| l.split_whitespace().nth(2)?.parse().ok()).collect();
    assert!(positions.len() > 3 && positions.is_sorted_by(|a, b| a > b), "{}", done.out);
    assert!(done.out.contains("kubectl-edit"), "{}", done.out);
    let limited = run(&world, &["log", "-A", "--since", "2026-11-01", "--limit", "2"]);
    assert_eq!(limited.out.lines().count(), 3, "{}", limited.out);
    assert!(limited.err.contains("the newest 2 of"), "{}", limited.err);
    let by_label = run(&world, &["log", "-A", "--since", "2026-11-01", "-l", "app=web"]);
    assert!(by_label.out.contains("deployments.apps/web") && !by_label.out.contains("configmaps"), "{}", by_label.out);
    let recent = run(&world, &["log", "-n", "shop"]);
    assert!(recent.err.contains("no changes in that time"), "an hour by default: {}", recent.err);
    let around = run(&world, &["log", "-n", "shop", "--around", "2026-11-01 13:00"]);
    assert!(around.out.contains("deployments.apps/web"), "{}", around.out);
}

#[test]
fn a_write_of_a_restore_is_the_restores_whole() {
    let world = World::new(Stored::Sealed);
    let log = |args: &[&str]| run(&world, &[&["log", "cm/config", "-n", "shop"], args].concat());
    let folded = log(&[]);
    let lines = |done: &Done| done.out.lines().filter(|line| line.contains("configmaps/config")).count();
    assert_eq!(lines(&folded), 2, "{}", folded.out);
    assert!(folded.out.contains("hindcast") && folded.out.contains("data.big: \"1.11\""), "{}", folded.out);
    let all = log(&["--all"]);
    assert_eq!(lines(&all), 3, "{}", all.out);
    let back = all.out.lines().find(|line| line.contains("gives the fields back to their owners: part of pos"));
    assert!(back.is_some_and(|back| back.contains(" hindcast ")), "{}", all.out);
    let json = log(&["-o", "json"]);
    let told: Vec<serde_json::Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["manager"], &told[0]["completes"]), (&"hindcast".into(), &told[1]["pos"]), "{}", json.out);
    assert_eq!(told[1]["manager"], "hindcast", "{}", json.out);
    let blame = run(&world, &["blame", "cm/config", "-n", "shop", "--all"]);
    let version = blame.out.lines().find(|line| line.contains("resourceVersion: \"18\"")).unwrap();
    assert!(version.contains("hindcast"), "{}", blame.out);
    let diff = run(&world, &["diff", "cm/config", "-n", "shop", "--from", "rev:14", "--to", "rev:19"]);
    assert!(diff.out.contains(&format!("by hindcast (pos {})", told[1]["pos"])), "{}", diff.out);
}

#[test]
fn a_kind_that_turned_is_told_and_its_namesakes_are_not_mixed() {
    let world = World::new(Stored::Sealed);
    let lines = |done: &Done| done.out.lines().filter(|line| line.contains("doodads.example.com/d")).count();
    let said = "doodads.example.com were namespaced until then, and are cluster-scoped from pos";
    let now = run(&world, &["log", "doodad/d"]);
    assert_eq!(lines(&now), 1, "{}", now.out);
    assert!(now.err.contains(said), "{}", now.err);
    assert!(now.err.contains("2 changes of those of then left out; -n NAMESPACE shows them"), "{}", now.err);
    let then = run(&world, &["log", "doodad/d", "-n", "shop"]);
    assert_eq!(lines(&then), 2, "{}", then.out);
    assert!(then.err.contains("1 change of those of now left out; without -n they are shown"), "{}", then.err);
    let elsewhere = run(&world, &["log", "doodad/d", "-n", "other"]);
    assert_eq!(lines(&elsewhere), 1, "as of any kind without namespaces: {}{}", elsewhere.out, elsewhere.err);
    let all = run(&world, &["log", "doodads", "-A", "--since", "2026-11-01"]);
    assert_eq!(lines(&all), 3, "{}", all.out);
    assert!(all.err.contains(said) && !all.err.contains("left out"), "{}", all.err);
}

#[test]
fn a_change_of_which_nobody_knows_whether_it_was_by_then_is_named_to_whom_it_matters() {
    let world = World::new(Stored::Sealed);
    let at = "2026-11-01 13:00:17";
    let said = "1 change may be before or after that moment (±2.0 s): configmaps shop/gone (position ";
    for (args, exit, told) in [
        (&["get", "cm", "-n", "shop", "--at", at][..], Exit::Reserved, true),
        (&["get", "cm/gone", "-n", "shop", "--at", at], Exit::Failed, true),
        (&["get", "deploy", "-n", "shop", "--at", at], Exit::Done, false),
        (&["get", "cm", "-n", "default-not", "--at", at], Exit::Done, false),
        (&["show", "cm/config", "-n", "shop", "--at", at], Exit::Done, false),
        (&["diff", "cm", "-n", "shop", "--from", "rev:11", "--to", at], Exit::Differences, true),
        (&["diff", "cm", "-n", "shop", "--from", "rev:18", "--to", "rev:18"], Exit::Done, false),
        (&["diff", "deploy", "-n", "shop", "--from", "rev:11", "--to", at], Exit::Differences, false),
    ] {
        let done = run(&world, args);
        assert_eq!((done.exit, done.err.contains(said)), (exit, told), "{args:?}: {}{}", done.out, done.err);
    }
}

#[test]
fn now_says_how_long_ago_it_is() {
    let world = World::new(Stored::Sealed);
    let now = run(&world, &["get", "cm", "-n", "shop"]);
    assert!(now.err.contains("note: that is ") && now.err.contains(" ago: nothing later is closed"), "{}", now.err);
    let then = run(&world, &["get", "cm", "-n", "shop", "--at", "rev:20"]);
    assert!(!then.err.contains("nothing later is closed"), "{}", then.err);
}

#[test]
fn diff_shows_what_became_of_each_object() {
    let world = World::new(Stored::Sealed);
    let done = run(&world, &["diff", "-n", "shop", "--from", "rev:11", "--to", "rev:14"]);
    assert_eq!(done.exit, Exit::Differences, "{}", done.err);
    insta::assert_snapshot!(done.out);
    let one = run(&world, &["diff", "deploy/web", "-n", "shop", "--from", "rev:11", "--to", "rev:14"]);
    assert!(one.out.contains("\n-  replicas: 2\n+  replicas: 3\n"), "{}", one.out);
    assert!(!one.out.contains("resourceVersion"), "{}", one.out);
    let all = run(&world, &["diff", "deploy/web", "-n", "shop", "--from", "rev:11", "--to", "rev:14", "--all"]);
    assert!(all.out.contains("+  resourceVersion: \"13\""), "{}", all.out);
    let back = run(&world, &["diff", "deploy/web", "-n", "shop", "--from", "rev:14", "--to", "rev:11"]);
    assert!(back.out.contains("\n-  replicas: 3\n+  replicas: 2\n"), "{}", back.out);
    let none = run(&world, &["diff", "deploy", "-n", "shop", "--from", "rev:13", "--to", "rev:14"]);
    assert_eq!((none.exit, none.out.as_str()), (Exit::Done, ""), "{}", none.err);
    assert!(none.err.contains("no differences"), "{}", none.err);
}

#[test]
fn diff_hides_secret_values_but_not_that_they_changed() {
    for stored in [Stored::Sealed, Stored::Plaintext] {
        let world = World::new(stored);
        let args = ["diff", "secret/db", "-n", "shop", "--from", "rev:15", "--to", "rev:16"];
        let done = run(&world, &args);
        assert_eq!(done.exit, Exit::Differences, "{}", done.err);
        assert!(done.out.contains("+  again: \"<redacted 15 bytes"), "{}", done.out);
        let keys = world.key_file();
        let shown = run(&world, &[&args[..], &["--show-secrets", "--key-file", &keys]].concat());
        assert!(shown.out.contains(&format!("+  again: {PLANTED}")), "{}{}", shown.out, shown.err);
    }
}

#[test]
fn diff_refuses_what_it_cannot_compare() {
    let world = World::new(Stored::Sealed);
    let said = |args: &[&str], exit: Exit, text: &str| {
        let done = run(&world, args);
        assert_eq!(done.exit, exit, "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(text), "{args:?}: {}", done.err);
    };
    let pair = ["--from", "rev:11", "--to", "rev:13"];
    said(&[&["diff", "lease", "-A"], &pair[..]].concat(), Exit::Failed, "not protected at");
    said(
        &[&["diff", "deploy,lease", "-A"], &pair[..]].concat(),
        Exit::Reserved,
        "leases.coordination.k8s.io: not protected",
    );
    said(&[&["diff", "deploy/web", "-A"], &pair[..]].concat(), Exit::Failed, "a name is of one namespace");
    said(&[&["diff", "deploy/nope", "-n", "shop"], &pair[..]].concat(), Exit::Failed, "was not there");
    said(&["diff", "cm", "-A", "--from", "2020-01-01"], Exit::Failed, "is before the journal begins");
    said(&["diff", "cm", "-A", "--from", "rev:11", "--to", "rev:99"], Exit::Failed, "is later than");
    said(&["diff", "widgets", "-A", "--from", "rev:17"], Exit::Reserved, "changes may be missing");
}

#[test]
fn blame_names_the_change_behind_each_line() {
    let world = World::new(Stored::Sealed);
    let done = run(&world, &["blame", "deploy/web", "-n", "shop", "--at", "rev:14"]);
    assert_eq!(done.exit, Exit::Done, "{}", done.err);
    insta::assert_snapshot!(done.out);
    let earlier = run(&world, &["blame", "deploy/web", "-n", "shop", "--at", "rev:11"]);
    assert!(!earlier.out.contains("kubectl-edit"), "{}", earlier.out);
    let hidden = run(&world, &["blame", "secret/db", "-n", "shop"]);
    assert!(hidden.out.contains("again: \"<redacted 15 bytes"), "{}", hidden.out);
    let nobody = run(&world, &["blame", "deploy/nope", "-n", "shop", "--at", "rev:14"]);
    assert_eq!(nobody.exit, Exit::Failed, "{}", nobody.err);
    let many = run(&world, &["blame", "deploy", "-n", "shop", "--at", "rev:14"]);
    assert!(many.err.contains("blame takes one object"), "{}", many.err);
}

#[test]
fn a_restore_is_never_guessed_and_never_of_another_cluster() {
    let world = World::new(Stored::Sealed);
    let said = |args: &[&str], text: &str| {
        let done = run(&world, args);
        assert_eq!(done.exit, Exit::Failed, "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(text), "{args:?}: {}", done.err);
        assert_eq!(done.out, "", "{args:?}");
    };
    for verb in ["plan", "restore"] {
        let at = ["--at", "rev:13"];
        said(&[&[verb], &at[..]].concat(), "what is put back is never guessed");
        said(&[&[verb, "deploy"], &at[..]].concat(), "a kind alone names no object");
        said(&[&[verb, "deploy/web", "-A"], &at[..]].concat(), "an object is of one namespace");
        said(&[&[verb, "-A", "--allow-stale"], &at[..]].concat(), "needs a moment that is known exactly");
        said(&[&[verb, "-n", "shop", "-A"], &at[..]].concat(), "are two scopes");
        said(&[verb, "-A", "--at", "25:00"], "time `25:00`");
        // There is no kubeconfig in this world.
        said(&[&[verb, "-A"], &at[..]].concat(), "kubeconfig");
    }
    said(&["restore", "--plan", "/nowhere"], "No such file");
    said(&["restore", "--resume", "x", "-A"], "a scope and its flags cannot be given beside it");
    said(&["restore", "--resume", "x", "--restart"], "a scope and its flags cannot be given beside it");
    said(&["undo", "x"], "kubeconfig");
}

#[test]
fn the_command_line_of_a_restore_is_strict() {
    for args in [
        &["restore", "-A"][..],
        &["plan", "-A"],
        &["restore", "-A", "--at", "now", "--resume", "x"],
        &["restore", "-A", "--at", "now", "--plan", "x"],
        &["restore", "-A", "--at", "now", "--no-wait", "--wait-rollout", "5m"],
        &["restore", "-A", "--at", "now", "--show-secrets"],
        &["undo"],
    ] {
        let all = [&["hindcast"], args].concat();
        assert!(Cli::try_parse_from(all).is_err(), "{args:?}");
    }
}

#[test]
fn rules_are_printed_whole_or_for_a_kind() {
    let world = World::new(Stored::Sealed);
    let all = run(&world, &["rules"]);
    assert_eq!(all.exit, Exit::Done, "{}", all.err);
    for rule in hindcast_restorer::rules::all() {
        assert!(all.out.contains(rule.id) && all.out.contains(rule.why), "{}: {}", rule.id, all.out);
    }
    schema::check("rules", &run(&world, &["rules", "-o", "json"]).out);
    let claims = run(&world, &["rules", "persistentvolumeclaim"]);
    assert!(claims.exit == Exit::Done && claims.out.len() < all.out.len(), "{}{}", claims.out, claims.err);
    assert_eq!(run(&world, &["rules", "pvc"]).out, claims.out);
    assert_eq!(run(&world, &["rules", "nothing"]).exit, Exit::Failed);
}

#[test]
fn documents_keep_to_their_schemas() {
    let world = World::new(Stored::Sealed);
    let keys = world.key_file();
    let status = run(&world, &["status", "-o", "json"]);
    schema::check("status", &status.out);
    let log = run(&world, &["log", "-A", "--since", "2026-11-01", "-o", "json"]);
    assert!(log.out.lines().count() > 5);
    log.out.lines().for_each(|line| schema::check("change", line));
    let rows = run(&world, &["journal", "cat", "1-999"]);
    assert!(rows.out.lines().count() > 10);
    rows.out.lines().for_each(|line| schema::check("row", line));
    for from in ["rev:11", "rev:17", "rev:20"] {
        schema::check("diff", &run(&world, &["diff", "-A", "-o", "json", "--from", from]).out);
    }
    schema::check("blame", &run(&world, &["blame", "secret/db", "-n", "shop", "-o", "json"]).out);
    schema::check("journalfiles", &run(&world, &["journal", "ls", "-o", "json"]).out);
    schema::check("keylist", &run(&world, &["key", "list", "-o", "json", "--key-file", &keys]).out);
}
