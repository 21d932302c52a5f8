//! A restore at the end of a run: a namespace goes back to an earlier revision, by a real session of
//! the restorer, and the simulated cluster is held against its own record of that revision.
//!
//! **What is checked**: every action of the plan is done; what was acted on is as it was; whatever else differs was
//! said to be left, is of a kind that was not protected then, or could not be known (born and gone inside a healed
//! gap); nothing outside of the namespace is written.
//!
//! **Words**: the *meaning* of an object is what people write in it: content, labels and annotations, without status
//! and what the server sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hindcast_journal::{Journal, cut::At, fold::Scope};
use hindcast_restorer::{
    Outcome, Plan, Protection, Records, Selection, Session, Timeline, View,
    apply::{Became, Settings},
    selection::What,
};
use kube::Client;
use object_store::path::Path;
use tokio::sync::watch;

use super::{
    api::{
        Server,
        state::{Event, Key, KindState},
    },
    check::{PREFIX, excused},
    json::Json,
    store::Bucket,
    world::Process,
};

/// The namespace that is restored.
const NAMESPACE: &str = "shop";

/// How long the server may take to say which cluster it is, and what is on its way into the bucket to arrive.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was restored: how many actions were done, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Restored {
    /// Actions done.
    pub done: usize,
    /// What must not be, and is.
    pub problems: Vec<String>,
}

/// Restores the namespace to a revision drawn from the seed.
pub async fn restore(server: &Server, bucket: &Bucket) -> Restored {
    let written = server.look(|state| {
        let kinds = state.kinds.values().filter(|ks| ks.kind.domain == 0);
        let mut all: Vec<u64> =
            kinds.flat_map(|ks| ks.events.iter().filter(|e| e.key.0 == NAMESPACE).map(|e| e.rv)).collect();
        all.sort_unstable();
        all
    });
    // In the later half, when what is written is protected in most seeds.
    let Some(rv) = server.world().draw(|rng| rng.pick(written.get(written.len() / 2..).unwrap_or_default()).copied())
    else {
        return Restored::default();
    };
    let process = Process::new("restorer", server.world());
    let journal = Journal::open(bucket.store(&process), &Path::from(PREFIX), &server.cluster(), process.parts());
    let before = server.revision();
    match carried_out(&journal, server.client(&process), rv).await {
        Err(error) => Restored { done: 0, problems: vec![format!("restoring {NAMESPACE} to {rv}: {error:#}")] },
        Ok(Carried { plan, outcome, then }) => {
            let done = outcome.count(Became::Done);
            server.world().note(format_args!("restored {NAMESPACE} to {rv}: {done} actions done"));
            let mut problems = Vec::new();
            held_against_the_record(server, (rv, before), (&plan, &outcome, &then), &mut problems);
            Restored { done, problems }
        }
    }
}

/// A restore that was carried out.
struct Carried {
    plan: Plan,
    outcome: Outcome,
    /// What the journal knows of the moment.
    then: View,
}

async fn carried_out(journal: &Journal, client: Client, rv: u64) -> anyhow::Result<Carried> {
    let selection = Selection::of(What::Namespace(NAMESPACE.to_owned()));
    let mut timeline = Timeline::open(journal, Vec::new()).await?;
    let session = Session::open(client, &timeline, PATIENCE, PATIENCE).await?;
    let past = timeline.at(&At::Rev { rv, incarnation: None, domain: None }).await?;
    let then = View::of(&past, &Scope::default()).await?;
    let prepared = session.plan(&mut timeline, &past, &selection).await?.prepared;
    let records = Records::of(&mut timeline, None).await?;
    let restore = session.begin(&records, prepared, &|_| {}).await?;
    let (_keep, cancel) = watch::channel(false);
    let outcome = restore.apply(&Settings::default(), &|_| {}, cancel).await?;
    Ok(Carried { plan: restore.prepared().plan.clone(), outcome, then })
}

fn held_against_the_record(
    server: &Server,
    (rv, before): (u64, u64),
    (plan, outcome, view): (&Plan, &Outcome, &View),
    problems: &mut Vec<String>,
) {
    let actions: BTreeMap<(String, Key), _> =
        plan.actions.iter().map(|a| ((a.key.kind_key(), (a.key.namespace.clone(), a.key.name.clone())), a)).collect();
    let left: BTreeSet<(String, Key)> =
        plan.left.iter().map(|l| (l.key.kind_key(), (l.key.namespace.clone(), l.key.name.clone()))).collect();
    for acted in &outcome.actions {
        if !matches!(acted.became, Became::Done | Became::Already) {
            let (kind, name) = (&acted.kind, &acted.key.name);
            problems.push(format!("{} {kind} {name} became {:?}: {:?}", word(acted.verb), acted.became, acted.message));
        }
    }
    server.look(|state| {
        let own = state.kinds.iter().filter(|(kind, ks)| ks.kind.domain == 0 && *kind != super::api::LEASES);
        for (kind, ks) in own {
            for event in ks.events.iter().filter(|e| e.rv > before && e.key.0 != NAMESPACE) {
                problems.push(format!("{kind} {:?} was written at {}, outside of {NAMESPACE}", event.key, event.rv));
            }
            if !matches!(view.protection(kind), Protection::Protected) {
                continue;
            }
            let gaps = view.kinds.get(kind).map_or(&[][..], |known| &known.gaps);
            let then = ks.at(rv);
            let now = ks.at(u64::MAX);
            let keys: BTreeSet<&Key> =
                then.keys().chain(now.keys()).copied().filter(|key| key.0 == NAMESPACE).collect();
            for key in keys {
                if then.get(key).is_some_and(|event| excused(ks, event, gaps)) {
                    continue;
                }
                let (then, now) = (then.get(key).map(|e| meaning(ks, e)), now.get(key).map(|e| meaning(ks, e)));
                let named = (kind.clone(), key.clone());
                let kept = actions.get(&named).map(|action| !action.kept.is_empty());
                if then != now && kept != Some(true) && (kept.is_some() || !left.contains(&named)) {
                    let verb = actions.get(&named).map(|action| word(action.verb));
                    let notes = (&plan.reservations, &plan.notes);
                    problems.push(format!(
                        "{kind} {} is {now:?} after a restore to {rv} ({verb:?}), not {then:?}; {notes:?}",
                        key.1
                    ));
                }
            }
        }
    });
}

fn word(verb: hindcast_restorer::plan::Verb) -> &'static str {
    use hindcast_restorer::plan::Verb;
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Recreate => "recreate",
        Verb::Delete => "delete",
    }
}

/// The meaning of an object, read through the schema in force.
fn meaning(ks: &KindState, event: &Event) -> String {
    let mut object = KindState::read(event, ks.schema());
    object.remove("status");
    let metadata = object.remove("metadata").unwrap_or(Json::Null);
    for field in ["labels", "annotations"] {
        if let Some(value) = metadata.get(field) {
            object.set(field, value.clone());
        }
    }
    // Nothing there and nothing in it mean the same.
    for field in ["labels", "annotations", "spec", "data"] {
        if object.get(field).is_some_and(|value| matches!(value, Json::Obj(fields) if fields.is_empty())) {
            object.remove(field);
        }
    }
    let mut out = String::new();
    object.exact(&mut out);
    out
}
