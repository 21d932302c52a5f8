//! How the command line spells what the restorer says: permissions as flags, reasons, notes and remedies as sentences.
//!
//! The restorer knows no arguments. **Invariant.** What may be allowed has its flag here and nowhere else beside `args`, and
//! each of them is an argument that is there (`tests`).

use hindcast_journal::{Error, error::ErrorKind, knock::Knocks};
use hindcast_restorer::{
    Bypassed,
    apply::Check,
    message::{Message, Note, Remedy, Words},
    reason::{Moved, Reason, Ruled},
    rules::is_built_in,
    selection::Permission,
};

use crate::paths;

#[cfg(test)]
mod tests;

/// The words of the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandLine;

/// What to do where values are sealed and there is no key.
const KEY: &str = "give the key file that `run` used, with --key-file or HINDCAST_KEY_FILE";

impl Words for CommandLine {
    fn permission(&self, permission: &Permission) -> String {
        match permission {
            Permission::ClusterScoped => "--with-cluster-scoped",
            Permission::System => "--include-system",
            Permission::Delete(kind) => {
                // A word of several kinds means the built-in one: others are named in full.
                let (group, resource) = kind.split_once('/').unwrap_or(("", kind));
                let group = if is_built_in(group) { String::new() } else { format!(".{group}") };
                return format!("--allow-delete {resource}{group}");
            }
            Permission::Recreate => "--allow-recreate",
            Permission::Restart => "--restart",
            Permission::AcceptGap => "--accept-gap",
            Permission::RerunJobs => "--rerun-jobs",
            Permission::EmptyVolumes => "--allow-empty-volumes",
            Permission::BypassWebhooks => "--bypass-webhooks",
        }
        .to_owned()
    }

    fn remedy(&self, remedy: &Remedy) -> String {
        let flag = |permission: Permission| self.permission(&permission);
        let finish = |id: &str| format!("finish it first: hindcast restore --resume {id}");
        match remedy {
            Remedy::Recreate => format!("{} deletes and creates it again", flag(Permission::Recreate)),
            Remedy::Webhook => format!("bring the webhook back, or give {}", flag(Permission::BypassWebhooks)),
            Remedy::Key => KEY.to_owned(),
            Remedy::AskAgain => {
                "ask again in a moment, with --wait or a kubeconfig of the cluster; or ask for an earlier moment"
                    .to_owned()
            }
            Remedy::PlanAgain { unchanged } => {
                let again = "plan again: `hindcast restore` with the same scope and --at";
                if *unchanged { format!("nothing was changed by it; {again}") } else { again.to_owned() }
            }
            Remedy::WhoseRecords => {
                "--journal and --cluster say whose they are, --record-dir where else they were kept".to_owned()
            }
            Remedy::KeepElsewhere(more) => {
                let elsewhere = "nothing was changed; --record-dir DIR keeps the record in a folder instead";
                more.as_ref().map_or_else(|| elsewhere.to_owned(), |more| format!("{elsewhere}; {more}"))
            }
            Remedy::Finish(id) => finish(id),
            Remedy::RetryOrFinish(id) => format!("try again, or {}", finish(id)),
            Remedy::LogIn
            | Remedy::Rights { .. }
            | Remedy::Escalation(_)
            | Remedy::QuotaRoom
            | Remedy::NotHere { .. } => remedy.to_string(),
        }
    }

    fn reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::PartOfMissing => "it is not there; with --path nothing is created".to_owned(),
            Reason::PartOfAdded => "it was not there; with --path nothing is deleted".to_owned(),
            Reason::Rule(Ruled::EmptyClaim { volume, retained: true, .. }) => {
                format!("{reason}; that is: hindcast restore pv/{volume} --at the same moment")
            }
            Reason::VersionGone { since: Some(moved), .. } => {
                let Moved { definition, pos, .. } = moved;
                format!("{reason}: hindcast restore crd/{definition} --at before:pos:{pos}")
            }
            Reason::WithinTheSecond(_) => format!("{reason}: `hindcast log` shows them"),
            Reason::Sealed(message) | Reason::Unreadable(message) => self.message(message),
            reason => reason.to_string(),
        }
    }

    fn part(&self, path: &str) -> String {
        format!("--path {path}")
    }

    fn note(&self, note: &Note) -> String {
        match note {
            Note::KeepsOldValues { .. } => format!("{note}; {} rolls them", self.permission(&Permission::Restart)),
            Note::BypassEnded(list) => {
                let flag = self.permission(&Permission::BypassWebhooks);
                format!("these webhooks were bypassed by {flag} and are called again: {list}")
            }
            Note::System(_) => format!("{note}; {} takes them in", self.permission(&Permission::System)),
            Note::StillBypassed { restore, .. } => {
                format!("{note}: hindcast restore --resume {restore}")
            }
            Note::SwitchesOn { .. } | Note::Interrupted { .. } | Note::Filled { .. } | Note::Unbound { .. } => {
                note.to_string()
            }
            Note::Text(text) => text.clone(),
        }
    }
}

/// Webhooks that a restore has switched off, and what switches them on.
pub(crate) fn bypassed(off: &Bypassed) -> String {
    let Bypassed { kind, configuration, restore, .. } = off;
    match restore {
        Some(id) => format!(
            "webhooks are switched off by restore {id}: {off}; if it was interrupted, `hindcast restore --resume {id}` finishes it and \
             switches them on, `hindcast undo {id}` switches them on and takes it back"
        ),
        None => format!(
            "webhooks are switched off by a restore: {off}; if it was interrupted, finish it with `hindcast restore --resume ID`, or take \
             the match condition hindcast-bypass out: kubectl edit {} {configuration}",
            kind.to_lowercase()
        ),
    }
}

/// A reason in the words of the command line.
pub(crate) fn reason(reason: &Reason) -> String {
    CommandLine.reason(reason)
}

/// A note.
pub(crate) fn note(note: &Note) -> String {
    CommandLine.note(note)
}

/// A message.
pub(crate) fn message(message: &Message) -> String {
    CommandLine.message(message)
}

/// A remedy.
pub(crate) fn remedy(remedy: &Remedy) -> String {
    CommandLine.remedy(remedy)
}

/// What the server said to a dry run: `ok`, `not kept: …`, `refused: …`, `not yet: …`, `can't be checked: …`.
pub(crate) fn check(check: &Check) -> String {
    match check {
        Check::Fine => "ok".to_owned(),
        Check::NotKept(fields) => {
            format!("not kept: {}", fields.iter().map(|f| paths::spell(f)).collect::<Vec<_>>().join(", "))
        }
        Check::Refused(why) => format!("refused: {}", message(why)),
        Check::NotYet(why) => format!("not yet: {why}"),
        Check::Unknown(why) => format!("can't be checked: {why}"),
    }
}

/// Why the journal's writer said no more than the journal has, and what would make it.
pub(crate) fn unasked(why: &Error) -> String {
    match why.kind() {
        ErrorKind::Denied => "`hindcast run` is asked for more by a knock, which this reader may not leave: give it the right to create \
                              meta/knock/* below the cluster's folder, or name the address of `hindcast run` with --run-address"
            .to_owned(),
        _ if why.to_string() == Knocks::unanswered().to_string() => {
            "`hindcast run` was asked for more and has not answered: it does not run, cannot reach the store or the cluster, or many ask it"
                .to_owned()
        }
        _ => format!("`hindcast run` could not be asked for more: {}", Error::causes(why)),
    }
}
