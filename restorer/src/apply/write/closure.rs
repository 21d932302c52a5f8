//! What the garbage collector would take after a delete, looked for right before it.
//!
//! The plan looked as well; since then somebody may have made a child. All kinds that can hold one are listed as metadata, once
//! for all deletes that follow within a moment. A child that is born within that moment is not seen: there is no way to have
//! the server look itself.
//!
//! **Invariant.** An object is deleted only if all that would be collected after it is deleted by an action of its own and
//! stands as the plan looked at it, was named by the plan as going along, or is made by machines. What is to be created again
//! goes by its own action alone: where that was refused, it still stands, and its owner stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

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
#[derive(Debug, Default)]
pub(crate) struct Children {
    found: Vec<Child>,
    /// Which of them name an owner, by its uid.
    of: BTreeMap<String, Vec<usize>>,
    /// When they were listed, and until when that is good; on the monotonic clock.
    began: Duration,
    until: Duration,
}

#[derive(Debug)]
struct Child {
    key: ObjectKey,
    /// The uids of its owners.
    owners: Vec<String>,
    /// Its metadata alone.
    object: Full,
}

/// An object that the plan deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goes {
    /// To create it again.
    pub(crate) again: bool,
    /// The revision that the plan looked at.
    pub(crate) rv: String,
}

/// What would be collected after an owner, and by no action.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    /// What is to stay, by name.
    stays: BTreeSet<String>,
    /// What goes by an action of its own, and was written since the plan looked at it.
    written: BTreeSet<ObjectKey>,
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.stays.is_empty() && self.written.is_empty()
    }
}

impl Work<'_> {
    /// Refuses the delete of what owns something that would go with it unasked.
    pub(super) async fn owns_nothing_else(&self, job: &Job<'_>) -> Result<(), Did> {
        let Some(before) = job.before() else { return Ok(()) };
        if self.prepared.places.is_empty() || job.action.propagation == Propagation::Orphan {
            return Ok(());
        }
        let taken = |children: &Children| children.taken(meta(&before.value, "uid"), &self.going, &job.bodies.along);
        let asked = self.link.parts.clock.monotonic();
        if taken(&*self.children(job, None).await?).is_empty() {
            return Ok(());
        }
        // What was listed a moment ago may since have been let go of: nothing is refused for that.
        let Taken { mut stays, written } = taken(&*self.children(job, Some(asked)).await?);
        for key in &written {
            if self.is_changed(key).await? {
                stays.insert(names::object(key));
            }
        }
        if stays.is_empty() { Ok(()) } else { Err(Did::refused(Cause::Holds(stays.into_iter().collect()))) }
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
        let children = Arc::new(Children { began, until, ..Children::of(lists.into_iter().flatten()) });
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

impl<'a> Work<'a> {
    /// Whether an object that goes by its own action is no more what the plan looked at: that action would leave it.
    async fn is_changed(&'a self, key: &ObjectKey) -> Result<bool, Did> {
        let action = self.actions.get(key);
        let Some(child) = action.and_then(|action| self.job(action)) else { return Ok(true) };
        let Some(now) = self.read(&child).await? else { return Ok(false) };
        let same = |before: &Full| {
            meta(&before.value, "uid") != meta(&now.value, "uid")
                || child.ground.differences(before, &now, None).is_empty()
        };
        Ok(!child.before().is_some_and(same) && self.released(&child, &now).is_none())
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
    let owners = references(&object.value).into_iter().map(|owner| owner.uid).collect();
    Some(Child { key, owners, object })
}

impl Children {
    fn of(found: impl Iterator<Item = Child>) -> Self {
        let mut children = Self { found: found.collect(), ..Self::default() };
        for (at, child) in children.found.iter().enumerate() {
            for owner in &child.owners {
                children.of.entry(owner.clone()).or_default().push(at);
            }
        }
        children
    }

    /// What would be collected after the owner with this uid. `going` are the uids that go by actions, `along` those of which
    /// the plan said that they go with it.
    fn taken(&self, owner: &str, going: &BTreeMap<String, Goes>, along: &[String]) -> Taken {
        let mut taken = Taken::default();
        let mut lost = BTreeSet::from([owner]);
        let mut next = vec![owner];
        while let Some(owner) = next.pop() {
            for child in self.of.get(owner).into_iter().flatten().filter_map(|at| self.found.get(*at)) {
                let uid = meta(&child.object.value, "uid");
                // Another owner keeps it, unless that goes as well: then it is looked at again when that is lost.
                let kept = child.owners.iter().any(|of| !lost.contains(of.as_str()) && !going.contains_key(of));
                if kept || lost.contains(uid) || is_terminating(&child.object.value) {
                    continue;
                }
                match going.get(uid) {
                    Some(Goes { again: false, rv }) if meta(&child.object.value, "resourceVersion") == rv => continue,
                    Some(Goes { again: false, .. }) => {
                        taken.written.insert(child.key.clone());
                        continue;
                    }
                    Some(Goes { again: true, .. }) => {
                        taken.stays.insert(names::object(&child.key));
                        continue;
                    }
                    None => {}
                }
                let known = along.iter().any(|known| known == uid);
                if !known && !rules::is_made_by_machines(&child.key.kind_key(), &child.object) {
                    taken.stays.insert(names::object(&child.key));
                }
                lost.insert(uid);
                next.push(uid);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(resource: &str, name: &str, owners: &[&str], more: &str) -> Child {
        let owners: Vec<String> =
            owners.iter().map(|uid| format!(r#"{{"kind":"X","name":"x","uid":"{uid}","controller":true}}"#)).collect();
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}","resourceVersion":"7","ownerReferences":[{}]{more}}}}}"#,
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

    fn goes(again: bool) -> Goes {
        Goes { again, rv: "7".into() }
    }

    fn names<const N: usize>(children: [Child; N], going: &[&str], along: &[&str]) -> Vec<String> {
        let going = going.iter().map(|uid| ((*uid).to_owned(), goes(false))).collect();
        let along: Vec<String> = along.iter().map(|uid| (*uid).to_owned()).collect();
        let taken = Children::of(children.into_iter()).taken("o", &going, &along);
        assert!(taken.written.is_empty(), "{taken:?}");
        taken.stays.into_iter().collect()
    }

    #[test]
    fn a_child_that_no_plan_named_keeps_its_owner() {
        let map = |name, owners: &[&str]| one("/configmaps", name, owners, "");
        assert_eq!(names([map("born", &["o"])], &["o"], &[]), ["configmaps/born in shop"]);
        assert!(names([map("other", &["p"])], &["o"], &[]).is_empty());
        assert!(names([map("goes", &["o"])], &["o", "goes"], &[]).is_empty(), "it goes by its own action");
        assert!(names([map("named", &["o"])], &["o"], &["named"]).is_empty());
        assert!(names([map("two", &["o", "p"])], &["o"], &[]).is_empty(), "another owner keeps it");
        assert_eq!(names([map("two", &["o", "p"])], &["o", "p"], &[]).len(), 1, "that one goes as well");
        let going = one("/configmaps", "ends", &["o"], r#","deletionTimestamp":"2026-01-01T00:00:00Z""#);
        assert!(names([going], &["o"], &[]).is_empty());
    }

    #[test]
    fn what_machines_make_goes_along_but_not_what_else_it_owns() {
        let set = one("apps/replicasets", "set", &["o"], "");
        let pod = one("/pods", "pod", &["set"], "");
        assert!(names([pod, set], &["o"], &[]).is_empty());
        let set = one("apps/replicasets", "set", &["o"], "");
        let map = one("/configmaps", "map", &["set"], "");
        assert_eq!(names([map, set], &["o"], &[]), ["configmaps/map in shop"]);
    }

    #[test]
    fn what_goes_by_its_own_action_has_to_stand_as_the_plan_saw_it() {
        let taken = |again: bool, rv: &str| {
            let going = BTreeMap::from([("c".to_owned(), Goes { again, rv: rv.to_owned() })]);
            Children::of(std::iter::once(one("/configmaps", "c", &["o"], ""))).taken("o", &going, &[])
        };
        assert!(taken(false, "7").is_empty());
        // Its own delete would leave what somebody has changed: it is looked at.
        let written = taken(false, "6").written;
        assert_eq!(written.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["c"]);
        // It was to be created again, and was not: nothing would bring it back.
        assert_eq!(taken(true, "7").stays, BTreeSet::from(["configmaps/c in shop".to_owned()]));
    }

    #[test]
    fn two_owners_that_go_take_what_each_alone_would_keep() {
        let chain = [
            one("/configmaps", "below", &["set", "other"], ""),
            one("apps/replicasets", "set", &["o"], ""),
            one("apps/replicasets", "other", &["set"], ""),
        ];
        assert_eq!(names(chain, &[], &[]), ["configmaps/below in shop"]);
    }

    /// A cluster of 10,000 owners with a child each: every delete looks at its own.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "this measures the machine")]
    fn looking_before_each_of_many_deletes_stays_cheap() {
        let many = 10_000;
        let owners: Vec<String> = (0..many).map(|n| format!("o{n}")).collect();
        let found: Vec<Child> =
            owners.iter().map(|owner| one("/configmaps", &format!("of-{owner}"), &[owner], "")).collect();
        let children = Children::of(found.into_iter());
        let going = BTreeMap::new();
        let began = std::time::Instant::now();
        assert!(owners.iter().all(|owner| children.taken(owner, &going, &[]).stays.len() == 1));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}: it looks at all children each time");
    }
}
