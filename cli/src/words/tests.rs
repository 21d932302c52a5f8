use std::{fs, path::PathBuf};

use clap::CommandFactory as _;
use hindcast_restorer::rules;

use super::*;
use crate::args::Cli;

#[test]
fn every_permission_is_an_argument_of_a_restore() {
    let command = Cli::command();
    let restore = command.find_subcommand("restore").unwrap();
    let all = [
        Permission::ClusterScoped,
        Permission::System,
        Permission::Delete("apps/statefulsets".into()),
        Permission::Recreate,
        Permission::Restart,
        Permission::AcceptGap,
        Permission::RerunJobs,
        Permission::EmptyVolumes,
        Permission::BypassWebhooks,
    ];
    for permission in &all {
        let spelled = CommandLine.permission(permission);
        let flag = spelled.split(' ').next().unwrap();
        let is = |arg: &clap::Arg| arg.get_long().is_some_and(|long| format!("--{long}") == flag);
        assert!(restore.get_arguments().any(is), "{flag}");
    }
}

#[test]
fn deletes_name_the_resource_of_their_kind() {
    let spelled = |kind: &str| CommandLine.permission(&Permission::Delete(kind.into()));
    assert_eq!(spelled("/persistentvolumeclaims"), "--allow-delete persistentvolumeclaims");
    assert_eq!(spelled("apps/statefulsets"), "--allow-delete statefulsets");
    let cluster = "--allow-delete clusters.cluster.x-k8s.io";
    assert_eq!(spelled("cluster.x-k8s.io/clusters"), cluster, "a custom kind in full: several may have its name");
}

#[test]
fn what_is_said_of_flags_stays_word_for_word() {
    assert_eq!(reason(&Reason::PartOfMissing), "it is not there; with --path nothing is created");
    assert_eq!(reason(&Reason::PartOfAdded), "it was not there; with --path nothing is deleted");
    assert_eq!(
        reason(&Reason::WithinTheSecond(0)),
        "it was made within the second of 1970-01-01T00:00:00Z, so it may have been there at the moment asked for; ask for a position \
         or a revision, which have no such doubt: `hindcast log` shows them"
    );
    let reads = Note::KeepsOldValues { workload: "Deployment web".into(), reads: "ConfigMap app".into() };
    assert_eq!(
        note(&reads),
        "Deployment web reads ConfigMap app when its Pods start and its template stays: they keep the old values; --restart rolls them"
    );
    let ended = Note::BypassEnded("a, b".into());
    assert_eq!(note(&ended), "these webhooks were bypassed by --bypass-webhooks and are called again: a, b");
    for (remedy, words) in [
        (Remedy::Recreate, "--allow-recreate deletes and creates it again"),
        (Remedy::Webhook, "bring the webhook back, or give --bypass-webhooks"),
        (Remedy::Key, "give the key file that `run` used, with --key-file or HINDCAST_KEY_FILE"),
        (
            Remedy::AskAgain,
            "ask again in a moment, with --wait or a kubeconfig of the cluster; or ask for an earlier moment",
        ),
        (
            Remedy::PlanAgain { unchanged: true },
            "nothing was changed by it; plan again: `hindcast restore` with the same scope and --at",
        ),
        (Remedy::PlanAgain { unchanged: false }, "plan again: `hindcast restore` with the same scope and --at"),
        (Remedy::WhoseRecords, "--journal and --cluster say whose they are, --record-dir where else they were kept"),
        (
            Remedy::KeepElsewhere(Some("free some room".into())),
            "nothing was changed; --record-dir DIR keeps the record in a folder instead; free some room",
        ),
        (Remedy::Finish("7".into()), "finish it first: hindcast restore --resume 7"),
        (Remedy::RetryOrFinish("7".into()), "try again, or finish it first: hindcast restore --resume 7"),
    ] {
        assert_eq!(super::remedy(&remedy), words);
    }
}

#[test]
fn an_error_of_the_restorer_gets_its_remedy_spelled() {
    let error =
        hindcast_journal::Error::invalid("restore 7", "was interrupted").with_remedy(Remedy::Finish("7".into()));
    let failure = crate::failure::Failure::from(error);
    assert_eq!(failure.hints, ["finish it first: hindcast restore --resume 7"]);
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../restorer/RULES.md")
}

#[test]
fn the_document_is_the_table() {
    let written = fs::read_to_string(document()).unwrap_or_default();
    assert!(
        written == rules::markdown(&CommandLine),
        "restorer/RULES.md differs from the table; `cargo test -p hindcast-cli --lib -- --ignored write_the_document` writes it"
    );
}

#[test]
#[ignore = "writes the document that the_document_is_the_table compares with"]
fn write_the_document() {
    fs::write(document(), rules::markdown(&CommandLine)).unwrap();
}
