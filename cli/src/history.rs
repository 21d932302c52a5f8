//! The part of the log that is asked for: `log`'s arguments as a range, and the changes that belong to it.

use std::collections::BTreeMap;

use hindcast_journal::{
    Position, Row,
    cut::At,
    facts::Discovery,
    fold::{KindState, Scope},
    parts::Micros,
};
use hindcast_restorer::{Event, Range};

use crate::{
    args::Log,
    context::Context,
    failure::{Failure, Result},
    kinds,
    kubeconfig::Namespaces,
    moment::{self, T},
    past::Reading,
    question::Question,
    selector::Selector,
    view::Change,
};

/// `--since` of who asks for nothing.
const RECENT: Micros = 3_600_000_000;

/// `--around`, to either side.
const AROUND: Micros = 300_000_000;

/// The part of the log that is asked for.
pub(crate) struct Part {
    /// When.
    pub(crate) range: Range,
    /// What has to be read.
    pub(crate) scope: Scope,
    /// What it is about.
    pub(crate) question: Question,
    positions: (Position, Position),
    /// The namespace that was asked for in so many words, or all of them.
    place: Option<Namespaces>,
}

/// What belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The changes, oldest first.
    pub(crate) changes: Vec<Change>,
    /// How many are left out since they are of objects of the scope that is not asked for, of a kind that had two: by what
    /// the kind is called, and whether those stood in namespaces.
    pub(crate) others: BTreeMap<(String, bool), usize>,
}

impl Part {
    /// What the arguments ask for.
    pub(crate) async fn new(context: &Context<'_>, args: &Log, past: &mut Reading<'_>) -> Result<Self> {
        let selector = Selector::parse(args.selector.as_deref().unwrap_or_default())?;
        let known = past.kinds_ever().await?.into_values().map(|kind| kind.discovery);
        let known: Vec<Discovery> = known.filter(|kind| !kind.resource.is_empty()).collect();
        let asked = match &args.kind {
            Some(kind) => Some(kinds::parse(kind, args.name.as_deref(), &known)?),
            None => None,
        };
        let question = Question::new(context, asked, &args.place, selector)?;
        let one = question.asked.as_ref().is_some_and(|asked| asked.name.is_some());
        let range = Range { labels: args.selector.is_some(), named: one, ..Range::default() };
        let place = match (&args.place.namespace, args.place.all_namespaces) {
            (Some(namespace), _) => Some(Namespaces::One(namespace.clone())),
            (None, true) => Some(Namespaces::All),
            (None, false) => None,
        };
        let mut part = Self { range, scope: question.scope(), question, positions: (0, Position::MAX), place };
        part.times(context, args, past).await?;
        Ok(part)
    }

    /// From when to when.
    async fn times(&mut self, context: &Context<'_>, args: &Log, past: &mut Reading<'_>) -> Result<()> {
        let wall = &context.wall;
        if let Some(around) = &args.around {
            let middle = time_of(past, &moment::parse(around, wall)?).await?;
            self.range.since = Some(middle - AROUND);
            self.range.until = Some(middle + AROUND);
        } else if let Some(since) = &args.since {
            let t = moment::parse(since, wall)?;
            if let T::Pos(pos) = t {
                self.positions.0 = pos;
            }
            self.range.since = Some(time_of(past, &t).await?);
        } else if self.question.asked.as_ref().is_none_or(|asked| asked.name.is_none()) {
            self.range.since = Some(wall.now.as_microsecond() - RECENT);
        }
        if let Some(until) = &args.until {
            let t = moment::parse(until, wall)?;
            if let T::Pos(pos) = t {
                self.positions.1 = pos;
            }
            self.range.until = Some(time_of(past, &t).await?);
        }
        Ok(())
    }

    /// Whether a kind was asked for.
    pub(crate) fn is_of(&self, kind_key: &str) -> bool {
        self.question.asked.as_ref().is_none_or(|asked| asked.kinds.iter().any(|kind| kind.kind_key() == kind_key))
    }

    /// The changes that were asked for, as views, oldest first.
    pub(crate) fn wanted(&self, past: &Reading<'_>, events: &[Event]) -> Wanted {
        let hide = past.hide();
        let labelled = |event: &Event| {
            let on = |labels: &Option<hindcast_journal::exact::Value>| {
                labels.is_some() && self.question.is_labelled(labels.as_ref())
            };
            !self.range.labels || on(&event.labels_before) || on(&event.labels_after)
        };
        let (first, last) = self.positions;
        let mut out = Wanted::default();
        for event in events {
            if !(first..=last).contains(&event.row.pos) || !labelled(event) {
                continue;
            }
            match self.stands(&event.row, events) {
                Stands::Within => out.changes.push(Change::of(event, hide)),
                Stands::Elsewhere => {}
                Stands::InAnotherScope => {
                    let kind = kinds::named(&event.row.group, &event.row.resource);
                    *out.others.entry((kind, !event.row.namespace.is_empty())).or_default() += 1;
                }
            }
        }
        out
    }

    /// How a row's object stands to what was asked for. Objects of a kind that stood in namespaces and stands in none now, or
    /// the other way round, are others, and are not told as one.
    fn stands(&self, row: &Row, events: &[Event]) -> Stands {
        let namespace = row.namespace.as_str();
        let mut asked = self.question.asked.iter().flat_map(|asked| &asked.kinds);
        let Some(kind) = asked.find(|kind| kind.kind_key() == row.kind_key()) else {
            return Stands::of(self.question.is_of(namespace) || namespace.is_empty());
        };
        if self.place == Some(Namespaces::All) {
            return Stands::Within;
        }
        match (kind.namespaced, namespace.is_empty()) {
            (true, false) => Stands::of(self.question.is_of(namespace)),
            (true, true) => Stands::InAnotherScope,
            (false, true) if self.is_of_then(kind, events) => Stands::InAnotherScope,
            (false, true) => Stands::Within,
            // Who names a namespace means the objects that stood in it.
            (false, false) => match &self.place {
                Some(Namespaces::One(one)) => Stands::of(one == namespace),
                _ => Stands::InAnotherScope,
            },
        }
    }

    /// Whether a namespace was named, and objects of a kind that stands in none now stood in it.
    fn is_of_then(&self, kind: &Discovery, events: &[Event]) -> bool {
        let Some(Namespaces::One(one)) = &self.place else { return false };
        let stood = |event: &Event| event.row.namespace == *one && event.row.kind_key() == kind.kind_key();
        !kind.namespaced && events.iter().any(stood)
    }

    /// A kind that was protected at no time of the range has no changes to show, which is not the same as none.
    pub(crate) fn check_protection(&self, past: &mut Reading<'_>, states: &BTreeMap<String, KindState>) -> Result<()> {
        let Some(asked) = &self.question.asked else { return Ok(()) };
        let since = self.range.since.unwrap_or(Micros::MIN);
        let until = self.range.until.unwrap_or(Micros::MAX);
        let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for kind in &asked.kinds {
            let state = states.get(&kind.kind_key());
            let covered = state.is_some_and(|state| {
                state
                    .covers
                    .iter()
                    .any(|c| c.from_time <= until && c.end.as_ref().is_none_or(|(_, end, _)| *end >= since))
            });
            if !covered {
                let end = state.and_then(|s| {
                    let before = s.covers.iter().rev().find(|c| c.from_time <= until);
                    before.and_then(|c| c.end.as_ref()).map(|(.., end)| end).or(s.uncovered.as_ref())
                });
                let why = end.map_or("not yet in that time", |end| end.reason.as_str());
                missing.entry(why).or_default().push(kinds::label(kind));
            }
        }
        let unprotected = missing.values().map(Vec::len).sum::<usize>();
        let lines = missing.into_iter().map(|(why, kinds)| (kinds.join(", "), format!("not protected then: {why}")));
        if unprotected == asked.kinds.len() {
            let (what, reason) = lines.into_iter().next().unwrap_or_default();
            return Err(Failure::new(what, reason)
                .hint("this does not say that nothing changed; `hindcast status` shows what is protected"));
        }
        for (kinds, reason) in lines.collect::<Vec<_>>() {
            past.reserve("not-protected", format!("{kinds}: {reason}"));
        }
        Ok(())
    }
}

/// How an object stands to what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It belongs to it.
    Within,
    /// It is another one.
    Elsewhere,
    /// It is of the kind, in the scope that is not asked for.
    InAnotherScope,
}

impl Stands {
    fn of(within: bool) -> Self {
        if within { Self::Within } else { Self::Elsewhere }
    }
}

/// The time of a moment, whichever way it was given.
async fn time_of(past: &mut Reading<'_>, t: &T) -> Result<Micros> {
    let at = match t {
        T::Point(name) => return Ok(past.point(name).await?.time),
        T::Time(time) => return Ok(*time),
        T::Before(t) => return Ok(Box::pin(time_of(past, t)).await? - 1),
        T::Now => At::NowOpen,
        T::Rev(rv, incarnation) => At::Rev { rv: *rv, incarnation: *incarnation, domain: None },
        T::Pos(pos) => At::Pos(*pos),
    };
    Ok(past.timeline.at(&at).await?.moment().time)
}
