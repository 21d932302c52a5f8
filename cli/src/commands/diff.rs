//! `hindcast diff`: what differs between two moments.

use std::collections::BTreeMap;

use hindcast_journal::{
    Micros, Past, Row, Scope,
    exact::Value,
    facts::{Discovery, Uncovered},
    fold::ObjectKey,
    seal::Rules,
};
use hindcast_restorer::{
    Object, Protection, Range, View,
    diff::{self, Detail, Difference},
    plan::FieldChange,
};

use super::get;
use crate::{
    args::{self, Output},
    context::Context,
    failure::{Exit, Failure, Result},
    kinds::{self, Asked},
    kubeconfig::{self, Namespaces},
    moment,
    past::{self, Missing, Reading},
    render,
    selector::Selector,
    view::{self, Changed, Cut, Field, Gap, Last},
};

/// How much earlier than a moment its changes are looked for.
const SLACK: Micros = 5_000_000;

/// What is compared.
struct Question {
    asked: Option<Asked>,
    namespaces: Namespaces,
    selector: Selector,
    detail: Detail,
}

/// Answers `diff`.
pub(super) async fn run(context: &Context<'_>, args: &args::Diff) -> Result<Exit> {
    let wall = &context.wall;
    let (from, to) = (moment::parse(&args.from, wall)?, moment::parse(&args.to, wall)?);
    let selector = Selector::parse(args.selector.as_deref().unwrap_or_default())?;
    let mut past = past::open(context).await?;
    let then = past.at(&from, false).await?;
    let question = resolve(context, args, selector, &mut past, &then).await?;
    let mut before = View::of(&then, &question.scope()).await?;
    let mut after = View::of(&past.at(&to, false).await?, &question.scope()).await?;
    let compared = comparable(context, &mut past, &question, &before, &after)?;
    let names: Vec<String> = compared.iter().map(Discovery::kind_key).collect();
    for view in [&mut before, &mut after] {
        past.reserve_view(view, &compared);
        view.objects.retain(|object| names.contains(&object.row.kind_key()) && question.places(object));
    }
    let unsure = past.timeline.align(&before.objects, &mut after.objects).await;
    past.reserve_unsure(&unsure);
    let (shown, folded) = select(&question, &before, &after);
    let newest = newest(&mut past, &question, &before, &after, shown.is_empty()).await?;
    if let (true, Some(Asked { kinds, name: Some(name) })) = (shown.is_empty(), &question.asked)
        && before.objects.is_empty()
        && after.objects.is_empty()
    {
        let asked = Asked { kinds: kinds.clone(), name: Some(name.clone()) };
        return Err(get::not_found(context, &asked, name, &question.namespaces, &after));
    }
    let differ: Vec<ObjectKey> =
        shown.iter().filter_map(hindcast_restorer::diff::Difference::object).map(|o| ObjectKey::of(&o.row)).collect();
    let rows = before.objects.iter().chain(&after.objects).map(|object| &object.row);
    past.reserve_later(rows.filter(|row| differ.contains(&ObjectKey::of(row))));
    let mut objects = Vec::with_capacity(shown.len());
    for difference in &shown {
        let mut changed = changed(&past, difference, question.detail, args.show_secrets).await?;
        if let Some(changed) = &mut changed {
            changed.last = difference.object().and_then(|o| newest.get(&ObjectKey::of(&o.row)).cloned());
        }
        objects.extend(changed);
    }
    let total = folded.values().sum();
    let mut diff = view::Diff::new(Cut::of(&before), Cut::of(&after), objects, total);
    let exit = if diff.objects.is_empty() { Exit::Done } else { Exit::Differences };
    match context.common.output {
        Output::Json | Output::Yaml => {
            diff.gaps = Gap::of(&[&before, &after], names);
            diff.warnings.clone_from(&past.reservations);
            render::document(context.printer, context.common.output, &diff)?;
        }
        _ => {
            let times = [&before, &after].map(|view| wall.show_millis(view.moment.time));
            render::diff::print(context, &diff, (&times[0], &times[1]));
            if diff.objects.is_empty() {
                context.printer.note("no differences");
            }
        }
    }
    if let Some(text) = render::diff::folded(&folded) {
        context.printer.note(text);
    }
    Ok(past.finish_with(exit))
}

async fn resolve(
    context: &Context<'_>,
    args: &args::Diff,
    selector: Selector,
    past: &mut Reading<'_>,
    then: &Past,
) -> Result<Question> {
    let asked = match &args.kind {
        Some(kind) => Some(past.asked(then, kind, args.name.as_deref()).await?),
        None => None,
    };
    let named = asked.as_ref().is_some_and(|asked| asked.name.is_some());
    if named && args.place.all_namespaces {
        return Err(Failure::new("KIND/NAME -A", "a name is of one namespace")
            .hint("give the namespace with -n, or leave the name out"));
    }
    let namespaces = match &asked {
        Some(asked) => get::places(context, &asked.kinds, &args.place),
        None => kubeconfig::namespace(context, &args.place),
    };
    let detail = if args.all { Detail::All } else { Detail::Wanted };
    Ok(Question { asked, namespaces, selector, detail })
}

impl Question {
    /// Whether an object is in the namespaces asked for.
    fn places(&self, object: &Object) -> bool {
        let namespace = object.row.namespace.as_str();
        match &self.namespaces {
            Namespaces::One(one) => one == namespace || (self.asked.is_some() && namespace.is_empty()),
            Namespaces::All => true,
        }
    }
}

/// The newest change of each object between the moments that somebody meant; of status only or made by a controller
/// where there is no other.
async fn newest(
    past: &mut Reading<'_>,
    question: &Question,
    before: &View,
    after: &View,
    none: bool,
) -> Result<BTreeMap<ObjectKey, Last>> {
    let mut newest: BTreeMap<ObjectKey, (bool, Last)> = BTreeMap::new();
    let (first, last) = if before.moment.time <= after.moment.time { (before, after) } else { (after, before) };
    // A revision's time is that of its newest write; a little more does no harm, since the cuts decide.
    let range = Range { since: Some(first.moment.time - SLACK), ..Range::default() };
    if none {
        return Ok(BTreeMap::new());
    }
    let history = past.timeline.history(&range, &question.scope()).await?;
    let between = |row: &&Row| last.moment.cut.holds(row) && !first.moment.cut.holds(row);
    for row in history.events.iter().map(|event| &event.row).filter(between) {
        let change = view::Change::new(row, past.hide());
        let told = Last { pos: row.pos, micros: row.time_hi, manager: row.manager.clone() };
        let meant = !render::log::is_quiet(&change);
        let entry = newest.entry(ObjectKey::of(row)).or_insert((meant, told.clone()));
        if meant || !entry.0 {
            *entry = (meant, told);
        }
    }
    Ok(newest.into_iter().map(|(key, (_, last))| (key, last)).collect())
}

impl Question {
    /// What has to be read.
    fn scope(&self) -> Scope {
        let mut scope = match &self.asked {
            Some(asked) => get::scope(asked, &self.namespaces),
            None => Scope::default(),
        };
        if let (None, Namespaces::One(namespace)) = (&self.asked, &self.namespaces) {
            scope.namespace = Some(namespace.clone());
        }
        scope
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

/// What is shown, and how many of each kind are only counted.
fn select<'v>(
    question: &Question,
    before: &'v View,
    after: &'v View,
) -> (Vec<Difference<'v>>, BTreeMap<String, usize>) {
    let labelled = |object: &Object| {
        let labels = object.value.pointer("/metadata/labels");
        question.selector.matches(|key| labels?.get(key)?.as_str())
    };
    let mut folded = BTreeMap::new();
    let mut shown = diff::objects(&before.objects, &after.objects, question.detail);
    shown.retain(|difference| {
        let sides = [difference.from, difference.to];
        if !sides.into_iter().flatten().any(labelled) {
            return false;
        }
        let counted = question.asked.is_none() && question.detail == Detail::Wanted && difference.is_derived();
        if let (true, Some(object)) = (counted, difference.object()) {
            let kind = kinds::named(&object.row.group, &object.row.resource);
            *folded.entry(kind).or_default() += 1;
        }
        !counted
    });
    (shown, folded)
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
            *side = Some(detail.of(get::value(past, object, show_secrets).await?));
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
