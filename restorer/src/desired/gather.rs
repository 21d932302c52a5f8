//! Gathering from the timeline: the objects at the moment, and what the journal knows of now.
//!
//! **Invariants.** (1) Only a closed cut is gathered: what is put back is what was, exactly; or the last that is known of
//! a life of the counter that ended, which each kind's protection says. (2) A value that the journal does not
//! have is never taken for one: its object is an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{
    Error, Moment, Past, Result,
    cut::{At, MAIN},
    exact::Value,
    facts::{Gap, Grade},
    fold::{KindState, ObjectKey, Scope},
    parts::Micros,
    row::Revision,
    seal,
};

use super::{Desired, Full, Known, Source, Wanted, needs};
use crate::{
    Object, Protection, Selection, Timeline, View,
    kinds::{
        self,
        crds::DEFINITIONS,
        volumes::{VOLUMES, is_claim, keeps_storage},
    },
    message::{Message, Remedy},
    selection::{Reach, What},
    timeline::present,
};

impl Desired {
    /// The objects of the selection at a moment of the timeline.
    pub async fn gather(timeline: &mut Timeline, past: &Past, selection: &Selection) -> Result<Self> {
        selection.selector()?;
        let moment = past.moment();
        known(moment)?;
        let view = View::of(past, &selection.scope()).await?;
        closed(&view, selection)?;
        let mut desired = Self {
            cluster: timeline.cluster().to_owned(),
            cut: moment.cut.clone(),
            time: moment.time,
            uncertain: !moment.uncertain.is_empty(),
            source: Source::Journal,
            objects: BTreeMap::new(),
            system: BTreeMap::new(),
            kinds: kinds(&view),
            definitions: None,
            later: BTreeMap::new(),
            created: BTreeMap::new(),
            touched: BTreeMap::new(),
            left: BTreeMap::new(),
            retained: BTreeSet::new(),
            scalers: BTreeMap::new(),
            around: crate::intent::Surroundings::default(),
            key: timeline.key().cloned(),
            older: timeline.keys().iter().skip(1).cloned().collect(),
            rules: timeline.rules().clone(),
        };
        let View { objects, .. } = view;
        if let What::Namespace(namespace) = &selection.what {
            let scope = needs::scope();
            let beside = View::of(past, &scope).await?.objects;
            let needed = needs::of(namespace, &objects, &beside);
            let belongs = |key: &ObjectKey| match selection.reach(key) {
                Reach::Itself => true,
                Reach::Beside => needed.contains(key),
                Reach::Named | Reach::Out => false,
            };
            desired.take(timeline, beside, belongs).await;
        }
        let (system, objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| selection.counts(&ObjectKey::of(&object.row)));
        desired.take(timeline, objects, |key| selection.reach(key) == Reach::Named).await;
        for object in system {
            let key = ObjectKey::of(&object.row);
            desired.system.insert(key, wanted(timeline, object).await);
        }
        if let What::Object { namespace, .. } = &selection.what {
            // Where the object's namespace is gone, it has to be created first.
            if !namespace.is_empty() && !desired.objects.is_empty() {
                let itself = View::of(past, &needs::itself(namespace)).await?.objects;
                desired.take(timeline, itself, |_| true).await;
            }
            desired.retained = retained(past, &desired).await?;
        }
        desired.definitions = definitions(past, &desired).await?;
        protected(&desired, selection)?;
        desired.scalers = scalers(past, selection).await?;
        desired.without_later(timeline, past).await?;
        Ok(desired)
    }

    /// Takes in what belongs to the selection. Of a whole cluster this is what most memory goes to, so nothing is held twice.
    async fn take(&mut self, timeline: &Timeline, objects: Vec<Object>, belongs: impl Fn(&ObjectKey) -> bool) {
        for object in objects {
            let key = ObjectKey::of(&object.row);
            if belongs(&key) {
                self.note_later(&key, object.row.source);
                self.objects.insert(key, wanted(timeline, object).await);
            }
        }
    }
}

impl Known {
    /// What the journal knows of now.
    pub(crate) async fn gather(timeline: &mut Timeline, selection: &Selection) -> Result<Self> {
        let now = timeline.at(&At::NowOpen).await?;
        let (mut present, mut kinds) = present(&now, &selection.scope()).await?;
        unread(now.moment(), &mut kinds);
        if let What::Namespace(namespace) = &selection.what {
            let itself = needs::itself(namespace);
            present.extend(self::present(&now, &itself).await?.0);
        }
        let closed = now.moment().frontier.get(MAIN).map_or(0, |point| point.time);
        Ok(Self { kinds, present, closed, moved: BTreeMap::new() })
    }
}

/// Where the newest part of the log cannot be read and was gone around, more may have happened to every kind since: as in any interval
/// that is lost.
fn unread(now: &Moment, kinds: &mut BTreeMap<String, KindState>) {
    let Some(hole) = &now.hole else { return };
    for kind in kinds.values_mut() {
        let Some(at) = now.cut.domains.get(&kind.discovery.domain) else { continue };
        let gap = Gap {
            from: at.rv,
            to: Revision::MAX,
            grade: Grade::Lost,
            time_from: hole.since.unwrap_or(now.time),
            time_to: hole.until.map_or(Micros::MAX, |(until, _)| until),
            reason: format!("{} of the log cannot be read", hole.what()),
            recovered: 0,
            unknown: Vec::new(),
            unknown_total: 0,
        };
        kind.gaps.push((at.incarnation, gap));
    }
}

/// Refuses a moment that the journal does not know.
fn known(moment: &Moment) -> Result<()> {
    if moment.before_start || moment.cut.domains.is_empty() {
        return Err(Error::invalid("the moment asked for", "is before the journal begins")
            .with_hint("`hindcast status` shows since when it is protected; ask for a later moment"));
    }
    if let Some(hole) = &moment.hole {
        return Err(hole.refused("the moment asked for"));
    }
    if moment.beyond.is_some() {
        return Err(Error::invalid("the moment asked for", "is later than the journal knows")
            .with_hint("ask for an earlier moment, or wait for `hindcast run` to catch up"));
    }
    moment.thinned.map_or(Ok(()), |thinned| Err(thinned.refused("the moment asked for")))
}

/// Refuses an open cut, where a kind that lags behind it is one that the selection can hold.
fn closed(view: &View, selection: &Selection) -> Result<()> {
    let moment = &view.moment;
    // Of a life that has ended no more will ever be known: what each kind was seen up to is a reservation of the plan.
    if moment.closed || !moment.ended.is_empty() {
        return Ok(());
    }
    let asked = |kind: &String| match selection.scope().kinds {
        None => true,
        Some(kinds) => kinds.contains(kind),
    };
    let behind: Vec<&str> =
        view.lagging.iter().filter(|(kind, _)| asked(kind)).map(|(kind, _)| kind.as_str()).collect();
    if behind.is_empty() && !view.lagging.is_empty() {
        return Ok(());
    }
    let names = behind.iter().take(3).map(|kind| kind.trim_start_matches('/')).collect::<Vec<_>>().join(", ");
    let rest = if behind.len() > 3 { ", …" } else { "" };
    let who = if behind.is_empty() { String::new() } else { format!(": {names}{rest} not seen up to it") };
    Err(Error::invalid("the moment asked for", format!("is not closed yet{who}")).with_remedy(Remedy::AskAgain))
}

/// Refuses a selection of one object of whose kind nothing is known then.
fn protected(desired: &Desired, selection: &Selection) -> Result<()> {
    let What::Object { kind, name, .. } = &selection.what else { return Ok(()) };
    let (group, resource) = kind.split_once('/').unwrap_or(("", kind));
    let why = match desired.kinds.get(kind) {
        Some((_, Protection::Protected | Protection::LastKnown { .. })) => return Ok(()),
        Some((_, Protection::NotProtected(Some(end)))) => end.reason.as_str(),
        Some((_, Protection::NotProtected(None))) | None => "not yet",
    };
    // Of a kind that was not even defined then there was nothing, which is known.
    let definition = format!("{resource}.{group}");
    let custom = group.contains('.') && !group.ends_with(".k8s.io");
    if custom && desired.definitions.as_ref().is_some_and(|all| !all.contains(&definition)) {
        return Ok(());
    }
    Err(Error::invalid(format!("{resource}/{name}"), format!("was not protected at the moment asked for ({why})"))
        .with_hint(
            "this does not say that it was not there; `hindcast status` shows since when each kind is protected",
        ))
}

fn kinds(view: &View) -> BTreeMap<String, (hindcast_journal::facts::Discovery, Protection)> {
    view.kinds
        .iter()
        .filter(|(_, kind)| !kind.discovery.resource.is_empty())
        .map(|(key, kind)| (key.clone(), (kind.discovery.clone(), view.protection(key))))
        .collect()
}

/// The names of the definitions of the moment, if they were protected.
async fn definitions(past: &Past, desired: &Desired) -> Result<Option<BTreeSet<String>>> {
    if desired.kinds.get(DEFINITIONS).is_none_or(|(_, protection)| *protection != Protection::Protected) {
        return Ok(None);
    }
    let scope = Scope { kinds: Some(vec![DEFINITIONS.to_owned()]), namespace: Some(String::new()), name: None };
    let (present, _) = present(past, &scope).await?;
    Ok(Some(present.into_keys().map(|key| key.name).collect()))
}

/// The volumes of claims whose storage outlives them.
async fn retained(past: &Past, desired: &Desired) -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for (_, wanted) in desired.objects.iter().filter(|(key, _)| is_claim(key)) {
        let Ok(claim) = &wanted.object else { continue };
        let Some(name) = claim.value.pointer("/spec/volumeName").and_then(Value::as_str) else { continue };
        let scope = Scope {
            kinds: Some(vec![format!("/{VOLUMES}")]),
            namespace: Some(String::new()),
            name: Some(name.to_owned()),
        };
        let volumes = View::of(past, &scope).await?.objects;
        out.extend(volumes.iter().filter(|volume| keeps_storage(&volume.value)).map(|_| name.to_owned()));
    }
    Ok(out)
}

/// What scaled objects in the selection's namespaces.
async fn scalers(past: &Past, selection: &Selection) -> Result<BTreeMap<ObjectKey, Arc<Full>>> {
    if selection.namespace().is_some_and(str::is_empty) {
        return Ok(BTreeMap::new());
    }
    let scope = Scope {
        kinds: Some(kinds::such(|kind| kind.scales.is_some()).collect()),
        namespace: selection.namespace().map(str::to_owned),
        name: None,
    };
    let objects = View::of(past, &scope).await?.objects;
    let full = |object: Object| {
        let key = ObjectKey::of(&object.row);
        (key, Arc::new(Full { value: object.value, managed: object.managed_fields }))
    };
    Ok(objects.into_iter().filter(|o| o.unreadable.is_none()).map(full).collect())
}

/// An object as it was, with its values opened if that is possible.
async fn wanted(timeline: &Timeline, mut object: Object) -> Wanted {
    let row = &object.row;
    let rv = object.value.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let mut wanted = Wanted {
        pos: row.pos,
        uid: row.uid.clone(),
        rv: rv.map_or_else(|| row.rv.to_string(), str::to_owned),
        object: Err(Message::default()),
        redact: Vec::new(),
    };
    if let Some(reason) = &object.unreadable {
        wanted.object = Err(format!("its bytes could not be read as JSON when they were recorded: {reason}").into());
        return wanted;
    }
    let mut redact = timeline.rules().sealed_paths(&row.group, &row.resource, &object.value);
    redact.extend(object.sealed.iter().cloned());
    redact.sort_unstable();
    redact.dedup();
    wanted.redact = redact;
    let opened =
        if object.sealed.is_empty() { Ok(std::mem::take(&mut object.value)) } else { timeline.reveal(&object).await };
    wanted.object = match opened.map(|value| wanted.without_meanwhile(&row.kind_key(), value)) {
        Ok(value) => match missing(&value, &wanted.redact) {
            Some(path) => {
                Err(format!("its values were not stored, since there was no key, or none that worked ({path})").into())
            }
            None => Ok(Arc::new(Full { value, managed: object.managed_fields.take() })),
        },
        Err(error) => {
            let said = Message::from(error.to_string());
            Err(match (error.remedy(), error.hint()) {
                (Some(remedy), _) => said.and(Remedy::clone(remedy).into()),
                (None, Some(hint)) => said.and(hint.into()),
                (None, None) => said,
            })
        }
    };
    wanted
}

/// The first place whose value the journal does not have.
fn missing<'p>(value: &Value, paths: &'p [String]) -> Option<&'p str> {
    let gone = |path: &&String| value.pointer(path).and_then(Value::as_str) == Some(seal::NOT_STORED);
    paths.iter().find(gone).map(String::as_str)
}
