//! What a status says of a plan and of what became of it. No value of any object stands there.

use std::collections::BTreeMap;

use hindcast_journal::{cut::MAIN, fold::ObjectKey};
use hindcast_restorer::{
    Outcome, Prepared,
    apply::{Acted, Became, Check, Verified},
    ask::{moment::rfc3339, paths},
    message::Words as _,
    plan::{Action, Verb},
    reason::Standing,
};
use serde::Serialize;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::plan::{Home, Plan};
use crate::{
    api::{Counts, Done, ObjectName, Planned, RestoreStatus, Verdict},
    words::InSpec,
};

/// How many objects a status names.
const SHOWN: usize = 100;

/// How many lines of what is left, and of notes.
const LINES: usize = 40;

/// The plan, in a status.
pub(super) fn planned(plan: &Plan, said: &BTreeMap<ObjectKey, Check>, home: &Home<'_>, status: &mut RestoreStatus) {
    let of = &plan.compared.prepared.plan;
    status.planned = Some(Planned {
        at: plan.at.clone(),
        revision: of.cut.domains.get(MAIN).map_or(0, |point| point.rv as i64),
        time: rfc3339(of.time),
        counts: counts(&plan.compared.prepared),
        digest: digest(&plan.compared.prepared),
    });
    let action = |action: &Action| {
        let check = said.get(&action.key);
        let (result, message) = match check {
            Some(Check::Refused(why)) => (Some("refused".to_owned()), Some(InSpec.message(why))),
            Some(Check::NotYet(why) | Check::Unknown(why)) => (None, Some(why.clone())),
            _ => (None, None),
        };
        Done { verb: word(&action.verb), object: name(&action.kind, &action.key), result, verified: None, message }
    };
    status.actions = of.actions.iter().take(SHOWN).map(action).collect();
    let left = of.left.iter().filter(|left| home.shows(&left.key)).map(|left| {
        let reason = InSpec.reason(&left.reason);
        let title = title(&left.kind, &left.key);
        match left.permission(&InSpec) {
            Some(permission) => format!("{title}: {reason} ({permission} does it)"),
            None => format!("{title}: {reason}"),
        }
    });
    status.left = left.take(LINES).collect();
    let reservations = of.reservations.iter().map(|reservation| format!("reservation: {reservation}"));
    let late = plan.compared.late.iter().map(|error| format!("the newest changes may not be known yet: {error}"));
    let notes = of.notes.iter().map(|note| InSpec.note(note));
    status.notes = reservations.chain(late).chain(notes).take(LINES).collect();
}

/// What became of it, in a status.
pub(super) fn outcome(outcome: &Outcome, status: &mut RestoreStatus) {
    let acted = |acted: &Acted| Done {
        verb: word(&acted.verb),
        object: name(&acted.kind, &acted.key),
        result: Some(word(&acted.became)),
        verified: acted.verified.as_ref().map(word),
        message: acted.message.as_ref().map(|message| InSpec.message(message)),
    };
    // What went wrong is told before what went right.
    let (bad, good): (Vec<&Acted>, Vec<&Acted>) = outcome.actions.iter().partition(|acted| !is_done(acted));
    status.actions = bad.into_iter().chain(good).take(SHOWN).map(acted).collect();
    status.notes.extend(outcome.notes.iter().map(|note| InSpec.note(note)));
    status.notes.dedup();
    status.notes.truncate(LINES);
}

/// Whether all was applied, and whether all is as it was wanted.
pub(super) fn verdicts(outcome: &Outcome) -> (Verdict, Verdict) {
    let all = outcome.actions.len();
    let done = outcome.actions.iter().filter(|acted| is_done(acted)).count();
    let worst = outcome.actions.iter().find(|acted| !is_done(acted));
    let applied = match worst {
        None => Verdict::yes("Applied", format!("{done} of {all} actions are done")),
        Some(acted) => {
            let why = acted.message.as_ref().map_or(String::new(), |message| format!(": {}", InSpec.message(message)));
            let reason = if done == 0 { reason(acted.became) } else { "Partly" };
            let title = title(&acted.kind, &acted.key);
            Verdict::no(reason, format!("{done} of {all} actions are done; {title} is {}{why}", word(&acted.became)))
        }
    };
    let verified = match outcome.is_whole() {
        true => Verdict::yes("Verified", format!("all of {all} objects were read back and are as they were")),
        false => {
            let late = outcome.rollouts.iter().find(|rollout| !rollout.ready);
            let late =
                late.map(|rollout| format!("{}/{} is not ready: {}", rollout.kind, rollout.name, rollout.message));
            let differs = outcome.actions.iter().find(|acted| is_done(acted) && acted.verified.is_some_and(is_other));
            let differs = differs.map(|acted| format!("{} is not as it was", title(&acted.kind, &acted.key)));
            Verdict::no("NotAll", differs.or(late).unwrap_or_else(|| applied.message.clone()))
        }
    };
    (applied, verified)
}

/// Why nothing of a plan can be done, if every action would be refused.
pub(super) fn refused(prepared: &Prepared, said: &BTreeMap<ObjectKey, Check>) -> Option<String> {
    let mut first = None;
    for action in &prepared.plan.actions {
        let Some(Check::Refused(why)) = said.get(&action.key) else { return None };
        first.get_or_insert_with(|| format!("{}: {}", title(&action.kind, &action.key), InSpec.message(why)));
    }
    first
}

/// What is said of a plan that has nothing to do.
pub(super) fn idle(prepared: &Prepared) -> Verdict {
    let plan = &prepared.plan;
    let open = |standing: Standing| matches!(standing, Standing::Wanting | Standing::Unable);
    let mut fields = plan.kept.iter().flat_map(|of| of.fields.iter().map(move |kept| (of, kept)));
    let left = plan.left.iter().find(|left| open(left.standing()));
    let left = left.map(|left| format!("{}: {}", title(&left.kind, &left.key), InSpec.reason(&left.reason)));
    let kept = fields.find(|(_, kept)| open(kept.standing));
    let kept = kept.map(|(of, kept)| {
        format!("{}: {} is {}'s", title(&of.kind, &of.key), paths::spell(&kept.field.path), kept.owner)
    });
    let unknown = plan.reservations.first().map(ToString::to_string);
    match left.or(kept).or(unknown) {
        Some(why) => Verdict::no("LeftAlone", format!("nothing was done, and not all is as it was: {why}")),
        None => Verdict::yes("NothingToDo", "all is as it was"),
    }
}

/// What tells a plan from another one.
pub(super) fn digest(prepared: &Prepared) -> String {
    let plan = &prepared.plan;
    let action = |action: &Action| {
        json!([
            word(&action.verb),
            action.key.kind_key(),
            action.key.namespace,
            action.key.name,
            action.live.as_ref().map(|live| (&live.uid, &live.hash)),
            action.wanted.as_ref().map(|wanted| &wanted.hash),
        ])
    };
    let actions: Vec<serde_json::Value> = plan.actions.iter().map(action).collect();
    format!("{:032x}", xxh3_128(json!([plan.cut.rev(), actions]).to_string().as_bytes()))
}

fn counts(prepared: &Prepared) -> Counts {
    let plan = &prepared.plan;
    let of = |verb: Verb| plan.actions.iter().filter(|action| action.verb == verb).count() as i64;
    Counts {
        create: of(Verb::Create),
        update: of(Verb::Update),
        recreate: of(Verb::Recreate),
        delete: of(Verb::Delete),
        left: plan.left.len() as i64,
        unchanged: plan.unchanged as i64,
    }
}

fn is_done(acted: &Acted) -> bool {
    matches!(acted.became, Became::Done | Became::Already)
}

fn is_other(verified: Verified) -> bool {
    matches!(verified, Verified::Different | Verified::ChangedByAdmission)
}

fn reason(became: Became) -> &'static str {
    match became {
        Became::Done | Became::Already => "Applied",
        Became::Conflict => "Conflict",
        Became::Refused => "Refused",
        Became::Failed => "Failed",
        Became::Skipped => "Skipped",
    }
}

fn name(kind: &str, key: &ObjectKey) -> ObjectName {
    ObjectName {
        kind: kind.to_owned(),
        group: key.group.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

fn title(kind: &str, key: &ObjectKey) -> String {
    match key.namespace.as_str() {
        "" => format!("{kind}/{}", key.name),
        namespace => format!("{kind}/{} -n {namespace}", key.name),
    }
}

/// A word as it is serialized everywhere else.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
