//! Two moments compared, as it may be shown: of which kinds both are known, which objects differ, and in what.
//!
//! **Invariants.** (1) A kind of which one moment is not known is named, and never told as added or removed.
//! (2) Differences of hidden values are told, the values are not.

use std::collections::BTreeMap;

use hindcast_journal::{
    Row,
    exact::Value,
    facts::{Discovery, Uncovered},
    fold::ObjectKey,
    parts::Micros,
    seal::Rules,
};
use hindcast_restorer::{
    Object, Protection, Range, View,
    diff::{self, Detail, Difference},
    plan::FieldChange,
};

use crate::{
    context::Context,
    failure::{Failure, Result},
    kinds,
    past::{self, Missing, Reading},
    question::Question,
    view::{self, Changed, Field, Last},
};

/// How much earlier than a moment its changes are looked for.
const SLACK: Micros = 5_000_000;

/// Two moments.
pub(crate) struct Compared<'q> {
    /// What is asked about.
    pub(crate) question: &'q Question,
    /// How much of an object is looked at.
    pub(crate) detail: Detail,
    /// The one moment.
    pub(crate) before: View,
    /// The other.
    pub(crate) after: View,
    /// The kinds that are compared.
    pub(crate) kinds: Vec<Discovery>,
}

/// The objects that differ and are shown, and how many more of each kind do that controllers made of others.
pub(crate) type Differing<'v> = (Vec<Difference<'v>>, BTreeMap<String, usize>);

impl<'q> Compared<'q> {
    /// Compares what both moments are known of; what makes the answer less than exact is noted.
    pub(crate) async fn new(
        context: &Context<'_>,
        past: &mut Reading<'_>,
        (question, detail): (&'q Question, Detail),
        (mut before, mut after): (View, View),
    ) -> Result<Self> {
        let kinds = comparable(context, past, question, &before, &after)?;
        let names: Vec<String> = kinds.iter().map(Discovery::kind_key).collect();
        for view in [&mut before, &mut after] {
            past.reserve_view(view, &kinds);
            let belongs = |row: &Row| names.contains(&row.kind_key()) && question.is_of(&row.namespace);
            view.objects.retain(|object| belongs(&object.row));
        }
        past.reserve_uncertain(|key| names.contains(&key.kind_key()) && question.wants(key));
        let unsure = past.timeline.align(&before.objects, &mut after.objects).await;
        past.reserve_unsure(&unsure);
        Ok(Self { question, detail, before, after, kinds })
    }

    /// Whether there are no objects at all, then or now.
    pub(crate) fn is_empty(&self) -> bool {
        self.before.objects.is_empty() && self.after.objects.is_empty()
    }

    /// What differs and is shown.
    pub(crate) fn select(&self) -> Differing<'_> {
        let labelled = |object: &Object| self.question.is_labelled(object.value.pointer("/metadata/labels"));
        let mut folded = BTreeMap::new();
        let mut shown = diff::objects(&self.before.objects, &self.after.objects, self.detail);
        shown.retain(|difference| {
            let sides = [difference.from, difference.to];
            if !sides.into_iter().flatten().any(labelled) {
                return false;
            }
            let counted = self.question.asked.is_none() && self.detail == Detail::Wanted && difference.is_derived();
            if let (true, Some(object)) = (counted, difference.object()) {
                let kind = kinds::named(&object.row.group, &object.row.resource);
                *folded.entry(kind).or_default() += 1;
            }
            !counted
        });
        (shown, folded)
    }

    /// The differences as they may be shown, each with the newest change that made it.
    pub(crate) async fn show(
        &self,
        past: &mut Reading<'_>,
        shown: &[Difference<'_>],
        show_secrets: bool,
    ) -> Result<Vec<Changed>> {
        let differ: Vec<ObjectKey> =
            shown.iter().filter_map(Difference::object).map(|o| ObjectKey::of(&o.row)).collect();
        let rows = self.before.objects.iter().chain(&self.after.objects).map(|object| &object.row);
        past.reserve_later(rows.filter(|row| differ.contains(&ObjectKey::of(row))));
        let newest = if shown.is_empty() { BTreeMap::new() } else { self.newest(past).await? };
        let mut objects = Vec::with_capacity(shown.len());
        for difference in shown {
            let mut changed = changed(past, difference, self.detail, show_secrets).await?;
            if let Some(changed) = &mut changed {
                changed.last = difference.object().and_then(|o| newest.get(&ObjectKey::of(&o.row)).cloned());
            }
            objects.extend(changed);
        }
        Ok(objects)
    }

    /// The newest change of each object between the moments that somebody meant; of status only or made by a controller
    /// where there is no other.
    async fn newest(&self, past: &mut Reading<'_>) -> Result<BTreeMap<ObjectKey, Last>> {
        let mut newest: BTreeMap<ObjectKey, (bool, Last)> = BTreeMap::new();
        let (before, after) = (&self.before.moment, &self.after.moment);
        let (first, last) = if before.time <= after.time { (before, after) } else { (after, before) };
        // A revision's time is that of its newest write; a little more does no harm, since the cuts decide.
        let range = Range { since: Some(first.time - SLACK), ..Range::default() };
        let history = past.timeline.history(&range, &self.question.scope()).await?;
        for hole in &history.holes {
            past.damaged(hole, None);
        }
        let between = |row: &&Row| last.cut.holds(row) && !first.cut.holds(row);
        let events = history.events.iter().filter(|event| event.completes.is_none());
        for row in events.map(|event| &event.row).filter(between) {
            let change = view::Change::new(row, past.hide());
            let told = Last { pos: row.pos, micros: row.time_hi, manager: row.manager.clone() };
            let meant = !change.is_quiet();
            let entry = newest.entry(ObjectKey::of(row)).or_insert((meant, told.clone()));
            if meant || !entry.0 {
                *entry = (meant, told);
            }
        }
        Ok(newest.into_iter().map(|(key, (_, last))| (key, last)).collect())
    }
}

/// The kinds that can be compared: at either moment all there was is known. The others are named, if they were asked
/// for or known at one of the moments.
fn comparable(
    context: &Context<'_>,
    past: &mut Reading<'_>,
    question: &Question,
    before: &View,
    after: &View,
) -> Result<Vec<Discovery>> {
    let mut all: BTreeMap<String, Discovery> = BTreeMap::new();
    for kind in before.discovery().chain(after.discovery()) {
        all.insert(kind.kind_key(), kind.clone());
    }
    if let Some(asked) = &question.asked {
        all = asked.kinds.iter().map(|kind| (kind.kind_key(), kind.clone())).collect();
    }
    let mut compared = Vec::new();
    let mut missing: BTreeMap<Micros, Vec<Missing>> = BTreeMap::new();
    for (key, kind) in all {
        match (unknown(before, &key), unknown(after, &key)) {
            (None, None) => compared.push(kind),
            (Some(_), Some(_)) if question.asked.is_none() => {}
            (Some(why), _) => missing.entry(before.moment.time).or_default().push(why),
            (None, Some(why)) => missing.entry(after.moment.time).or_default().push(why),
        }
    }
    let at = |time| {
        move |(kinds, why): (String, String)| (kinds, format!("not protected at {}: {why}", context.wall.show(time)))
    };
    let lines = missing.into_iter().flat_map(|(time, missing)| past::grouped(missing).into_iter().map(at(time)));
    for (kinds, reason) in lines {
        if compared.is_empty() && question.asked.is_some() {
            return Err(Failure::new(kinds, reason)
                .hint("this does not say that there were none; `hindcast status` shows what is protected"));
        }
        past.reserve("not-protected", format!("{kinds}: {reason}"));
    }
    Ok(compared)
}

/// Why it is not known which objects of a kind there were; a kind that the server did not have then had none.
fn unknown(view: &View, key: &str) -> Option<Missing> {
    let kind = view.kinds.get(key)?;
    if kind.discovery.resource.is_empty() || kind.discovery.gone {
        return None;
    }
    match view.protection(key) {
        Protection::Protected | Protection::LastKnown { .. } => None,
        Protection::NotProtected(Some(end)) if end.reason == Uncovered::Gone => None,
        Protection::NotProtected(end) => Some(Missing::new(&kind.discovery, end.as_ref())),
    }
}

/// A difference as it may be shown.
async fn changed(
    past: &Reading<'_>,
    difference: &Difference<'_>,
    detail: Detail,
    show_secrets: bool,
) -> Result<Option<Changed>> {
    let Some(object) = difference.object() else { return Ok(None) };
    let mut sides = [None, None];
    for (side, object) in sides.iter_mut().zip([difference.from, difference.to]) {
        if let Some(object) = object {
            *side = Some(detail.of(past.value(object, show_secrets).await?));
        }
    }
    let [mut from, mut to] = sides;
    if let (Some(old), Some(new)) = (difference.from, difference.to) {
        tell_apart(past.timeline.rules(), old, new, (&mut from, &mut to));
    }
    let changes = match (&from, &to) {
        (Some(from), Some(to)) => diff::fields(from, to).iter().map(Field::new).collect(),
        (from, to) => {
            vec![Field::new(&FieldChange { path: String::new(), from: from.clone(), to: to.clone() })]
        }
    };
    let row = &object.row;
    Ok(Some(Changed {
        kind: row.kind.clone(),
        group: row.group.clone(),
        resource: row.resource.clone(),
        namespace: row.namespace.clone(),
        name: row.name.clone(),
        change: difference.how.as_str(),
        changes,
        how: difference.how,
        sides: (from, to),
        last: None,
    }))
}

/// Hidden values that differ may look the same, where there is no key to hash them with: the new one then says that it
/// is another.
fn tell_apart(rules: &Rules, old: &Object, new: &Object, shown: (&mut Option<Value>, &mut Option<Value>)) {
    let (Some(from), Some(to)) = shown else { return };
    for path in rules.sealed_paths(&new.row.group, &new.row.resource, &new.value) {
        let differ = old.value.pointer(&path) != new.value.pointer(&path);
        if differ
            && from.pointer(&path) == to.pointer(&path)
            && let Some(value) = to.pointer_mut(&path)
        {
            let text = value.as_str().unwrap_or_default().trim_end_matches('>').to_owned();
            *value = Value::from(format!("{text}, another value>"));
        }
    }
}
