//! What the garbage collector would take after a delete, looked for right before it.
//!
//! The plan looked as well; since then somebody may have made a child. All kinds that can hold one are listed as metadata, once
//! for all deletes that follow within a moment. A child that is born within that moment is not seen: there is no way to have
//! the server look itself.
//!
//! **Invariant.** An object is deleted only if all that would be collected after it is deleted by an action of its own, was
//! named by the plan as going along, or is made by machines.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use hindcast_cluster::{path, path::page_query, request::METADATA_LIST};
use hindcast_journal::{
    exact::{self, Object, Value},
    fold::ObjectKey,
};

use super::{Did, Job, Work, sent::refusal};
use crate::{
    apply::{
        conflict::{is_terminating, meta},
        request::Ask,
    },
    desired::Full,
    live::HeldIn,
    names,
    plan::Propagation,
    reason::Cause,
    references::references,
    rules,
};

/// How long what was listed is good for the deletes that follow; longer where it takes long to list.
const FRESH: Duration = Duration::from_secs(2);

/// How many times as long as it took.
const WORTH: u32 = 4;

/// How many objects a page holds.
const PAGE: usize = 500;

/// How many lists are asked for at once.
const AT_ONCE: usize = 8;

/// How often a list is begun anew whose pages expired.
const TRIES: u32 = 3;

/// Everything that has an owner, where the plan deletes something.
#[derive(Debug)]
pub(crate) struct Children {
    found: Vec<Child>,
    /// When they were listed, and until when that is good; on the monotonic clock.
    began: Duration,
    until: Duration,
}

#[derive(Debug)]
struct Child {
    key: ObjectKey,
    /// Its metadata alone.
    object: Full,
}

impl Work<'_> {
    /// Refuses the delete of what owns something that would go with it unasked.
    pub(super) async fn owns_nothing_else(&self, job: &Job<'_>) -> Result<(), Did> {
        let Some(before) = job.before() else { return Ok(()) };
        if self.prepared.places.is_empty() || job.action.propagation == Propagation::Orphan {
            return Ok(());
        }
        let taken =
            |children: &Children| taken(&children.found, meta(&before.value, "uid"), &self.going, &job.bodies.along);
        let asked = self.link.parts.clock.monotonic();
        if taken(&*self.children(job, None).await?).is_empty() {
            return Ok(());
        }
        // What was listed a moment ago may since have been let go of: nothing is refused for that.
        let taken = taken(&*self.children(job, Some(asked)).await?);
        if taken.is_empty() { Ok(()) } else { Err(Did::refused(Cause::Holds(taken))) }
    }

    /// What has owners, as it was listed a moment ago, or no earlier than `since`.
    async fn children(&self, job: &Job<'_>, since: Option<Duration>) -> Result<Arc<Children>, Did> {
        let mut known = self.children.lock().await;
        let began = self.link.parts.clock.monotonic();
        let fresh = |known: &&Arc<Children>| since.map_or(began < known.until, |since| since <= known.began);
        if let Some(children) = known.as_ref().filter(fresh) {
            return Ok(children.clone());
        }
        let lists = self.prepared.places.iter().map(|place| self.list(job, place));
        let lists: Vec<Vec<Child>> = stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await?;
        let ended = self.link.parts.clock.monotonic();
        let until = ended + FRESH.max(ended.saturating_sub(began) * WORTH);
        let children = Arc::new(Children { found: lists.into_iter().flatten().collect(), began, until });
        *known = Some(children.clone());
        Ok(children)
    }

    async fn list(&self, job: &Job<'_>, place: &HeldIn) -> Result<Vec<Child>, Did> {
        let path = path::collection(&place.group, &place.version, &place.namespace, &place.resource);
        let (mut out, mut next, mut tries) = (Vec::new(), None, 0);
        loop {
            let ask = Ask::get(format!("{path}?{}", page_query(PAGE, next.as_deref()))).accepting(METADATA_LIST);
            let reply = self.link.send(&ask).await.map_err(|lost| Did::lost(&lost))?;
            match reply.status {
                // There are none of what is not served any more.
                404 => return Ok(out),
                410 if tries < TRIES => {
                    tries += 1;
                    (out, next) = (Vec::new(), None);
                    continue;
                }
                _ if !reply.is_success() => return Err(refusal(job, "list", &reply)),
                _ => {}
            }
            let mut list = exact::parse(&reply.body).map_err(|e| Did::refused(format!("the server's answer: {e}")))?;
            let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
            out.extend(items.into_iter().filter_map(|item| child(place, &item)));
            match list.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(out),
            }
        }
    }
}

/// An item that has owners.
fn child(place: &HeldIn, item: &Value) -> Option<Child> {
    let metadata = item.get("metadata")?;
    metadata.get("ownerReferences")?;
    let value: Object = [("metadata", metadata.clone())].into_iter().collect();
    let object = Full { value: Value::Object(value), managed: None };
    let key = ObjectKey {
        namespace: meta(&object.value, "namespace").to_owned(),
        name: meta(&object.value, "name").to_owned(),
        ..place.key()
    };
    Some(Child { key, object })
}

/// What would be collected after the owner with this uid and is to stay, by name. `going` are the uids that go by actions,
/// `along` those of which the plan said that they go with it.
fn taken(children: &[Child], owner: &str, going: &BTreeSet<String>, along: &[String]) -> Vec<String> {
    let mut lost = BTreeSet::from([owner.to_owned()]);
    let mut taken = BTreeSet::new();
    loop {
        let before = lost.len();
        for child in children {
            let uid = meta(&child.object.value, "uid");
            let owners = references(&child.object.value);
            let is_lost = |uid: &str| lost.contains(uid);
            // Another owner keeps it, unless that goes as well.
            let kept = owners.iter().any(|of| !is_lost(&of.uid) && !going.contains(&of.uid));
            let settled = is_lost(uid) || going.contains(uid) || is_terminating(&child.object.value);
            if settled || kept || !owners.iter().any(|of| is_lost(&of.uid)) {
                continue;
            }
            let known = along.iter().any(|known| known == uid);
            if !known && !rules::is_made_by_machines(&child.key.kind_key(), &child.object) {
                taken.insert(names::object(&child.key));
            }
            lost.insert(uid.to_owned());
        }
        if lost.len() == before {
            return taken.into_iter().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(resource: &str, name: &str, owners: &[&str], more: &str) -> Child {
        let owners: Vec<String> =
            owners.iter().map(|uid| format!(r#"{{"kind":"X","name":"x","uid":"{uid}","controller":true}}"#)).collect();
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}","ownerReferences":[{}]{more}}}}}"#,
            owners.join(",")
        );
        let (group, resource) = resource.split_once('/').expect("a kind key");
        let place = HeldIn {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            namespace: "shop".into(),
            name: String::new(),
        };
        child(&place, &exact::parse(json.as_bytes()).expect("json")).expect("it has owners")
    }

    fn names(children: &[Child], going: &[&str], along: &[&str]) -> Vec<String> {
        let going = going.iter().map(|uid| (*uid).to_owned()).collect();
        let along: Vec<String> = along.iter().map(|uid| (*uid).to_owned()).collect();
        taken(children, "o", &going, &along)
    }

    #[test]
    fn a_child_that_no_plan_named_keeps_its_owner() {
        let map = |name, owners: &[&str]| one("/configmaps", name, owners, "");
        assert_eq!(names(&[map("born", &["o"])], &["o"], &[]), ["configmaps/born in shop"]);
        assert!(names(&[map("other", &["p"])], &["o"], &[]).is_empty());
        assert!(names(&[map("goes", &["o"])], &["o", "goes"], &[]).is_empty(), "it goes by its own action");
        assert!(names(&[map("named", &["o"])], &["o"], &["named"]).is_empty());
        assert!(names(&[map("two", &["o", "p"])], &["o"], &[]).is_empty(), "another owner keeps it");
        assert_eq!(names(&[map("two", &["o", "p"])], &["o", "p"], &[]).len(), 1, "that one goes as well");
        let going = one("/configmaps", "ends", &["o"], r#","deletionTimestamp":"2026-01-01T00:00:00Z""#);
        assert!(names(&[going], &["o"], &[]).is_empty());
    }

    #[test]
    fn what_machines_make_goes_along_but_not_what_else_it_owns() {
        let set = one("apps/replicasets", "set", &["o"], "");
        let pod = one("/pods", "pod", &["set"], "");
        assert!(names(&[pod, set], &["o"], &[]).is_empty());
        let set = one("apps/replicasets", "set", &["o"], "");
        let map = one("/configmaps", "map", &["set"], "");
        assert_eq!(names(&[map, set], &["o"], &[]), ["configmaps/map in shop"]);
    }
}
