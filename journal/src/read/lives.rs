//! Which life of a domain's counter a question is about, and what is certain about a life that has ended.
//!
//! **Words**: see [`Life`] and [`Ended`]. A row is *torn* if a healing recorded it beyond the revision at which its
//! kind's protection ended with its life: its content was read from the next life.
//!
//! **Invariant.** All of it is derived from coverage: where protection began and ended, and in which life. A checkpoint
//! carries that, so nothing else has to be kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Reader, Until, is_end_of_life};
use crate::{
    Error, Result, Row,
    cut::{At, Cut, CutPoint, Ended, Life, MAIN},
    facts::Uncovered,
    fold::{KindState, Scope, State},
    journal::Segment,
    parts::{Micros, utc_millis},
    row::{Op, Revision},
    segment::{FrontierPoint, FrontierVector},
};

/// What the rows read so far say about lives.
#[derive(Debug, Default)]
pub(super) struct LivesRead {
    /// Domain and life → when it was first protected, for lives that began in what was read.
    begun: BTreeMap<(String, u32), Option<Micros>>,
    /// Kind and life → the revision at which its protection ended with the life.
    ends: BTreeMap<(String, u32), Revision>,
    /// Domain → the newest life that has begun, or that must follow one that has ended.
    newest: BTreeMap<String, u32>,
}

impl LivesRead {
    /// The moment before which nothing of the row's life belongs to any question about a time. `None`: no such moment.
    pub(super) fn since(&self, row: &Row) -> Option<Micros> {
        self.begun.get(&(row.domain.clone(), row.incarnation)).map(|since| since.unwrap_or(Micros::MAX))
    }

    /// Whether a life ended in what was read.
    pub(super) fn any_ended(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Whether a row was recorded in a life that had ended.
    pub(super) fn torn(&self, row: &Row) -> bool {
        !self.ends.is_empty()
            && row.op.is_object()
            && self.ends.get(&(row.kind_key(), row.incarnation)).is_some_and(|end| row.rv > *end)
    }
}

impl Reader {
    /// The lives in what has been read.
    pub(super) fn lives_read(&self) -> LivesRead {
        let mut lives = LivesRead::default();
        let start = self.start.as_ref().map(|start| start.cut()).unwrap_or_default();
        let life_at_start = |domain: &str| start.domains.get(domain).map_or(0, |point| point.incarnation);
        for row in self.rows() {
            if row.incarnation > life_at_start(&row.domain) {
                let since = lives.begun.entry((row.domain.clone(), row.incarnation)).or_default();
                if row.op == Op::CoverBegin {
                    *since = Some(since.map_or(row.time_hi, |since| since.min(row.time_hi)));
                }
            }
            let mut newest = row.incarnation;
            if is_end_of_life(row) {
                lives.ends.insert((row.kind_key(), row.incarnation), row.rv);
                newest += 1;
            }
            match lives.newest.get_mut(&row.domain) {
                Some(known) => *known = newest.max(*known),
                None => _ = lives.newest.insert(row.domain.clone(), newest),
            }
        }
        lives
    }

    /// The domains of the cut whose life ended before everything up to the cut had been seen, or before the time that
    /// was asked for.
    pub(super) fn ended(&self, lives: &LivesRead, cut: &Cut, asked: Option<Micros>) -> Vec<Ended> {
        let newest = |domain: &String| {
            let frontier =
                self.log.runs().last().and_then(|s| s.meta.frontier.get(domain)).map(|point| point.incarnation);
            lives.newest.get(domain).copied().max(frontier).unwrap_or(0)
        };
        let older = cut.domains.iter().filter(|(domain, point)| point.incarnation < newest(domain));
        let ended = older.filter_map(|(domain, point)| {
            let frontiers = self.log.runs().iter().filter_map(|segment| segment.meta.frontier.get(domain));
            let of_life = || frontiers.clone().filter(|f| f.incarnation == point.incarnation);
            let at_start = self.start.as_ref().and_then(|c| c.cut().domains.get(domain).copied());
            let at_start = at_start.is_some_and(|closed| closed.incarnation == point.incarnation && closed >= *point);
            let seen = of_life().any(|f| f.rv >= point.rv && asked.is_none_or(|time| f.time >= time));
            let begins = lives.begun.iter().filter(|((d, life), _)| d == domain && *life > point.incarnation);
            (!seen && (!at_start || asked.is_some())).then(|| Ended {
                domain: domain.clone(),
                incarnation: point.incarnation,
                known: of_life().map(|f| f.time).max().unwrap_or(0),
                next: begins.filter_map(|(_, since)| *since).min(),
                asked,
            })
        });
        ended.collect()
    }

    /// How far the log is closed. While nothing of the main domain is protected, as between two lives, it is how far
    /// that domain was closed before.
    pub(super) fn newest_closed(&self) -> FrontierVector {
        let mut frontier = self.frontier();
        if !frontier.contains_key(MAIN) {
            let read = || self.log.runs().iter().rev().find_map(|s| s.meta.frontier.get(MAIN)).copied();
            let before = || {
                let (_, time) = self.start.as_ref()?.proven(MAIN)?;
                let point = self.start.as_ref()?.cut().domains.get(MAIN).copied()?;
                Some(FrontierPoint { incarnation: point.incarnation, rv: point.rv, time })
            };
            frontier.extend(read().or_else(before).map(|last| (MAIN.to_owned(), last)));
        }
        frontier
    }

    /// The newest closed cut of what has been read.
    pub(super) fn newest_cut(&self) -> Cut {
        self.cut_at(&self.newest_closed(), self.log.runs())
    }

    /// The cut at a frontier, given the segments read up to it. A domain missing from the frontier has no protected
    /// kind, so there is nothing to wait for: everything read of it belongs to the cut, including the rows that let its
    /// kinds go. Between two lives the cut is what was closed of the one that ended.
    pub(super) fn cut_at(&self, frontier: &FrontierVector, read: &[Arc<Segment>]) -> Cut {
        let between = between_lives(read);
        let mut rest = self.start.as_ref().map(|start| start.cut()).unwrap_or_default().domains;
        for domain in &between {
            let closed = read.iter().rev().find_map(|segment| segment.meta.frontier.get(*domain));
            rest.extend(closed.map(|p| ((*domain).to_owned(), CutPoint { incarnation: p.incarnation, rv: p.rv })));
        }
        let rows = read.iter().flat_map(|segment| segment.rows.iter());
        for row in rows.filter(|row| !frontier.contains_key(&row.domain) && !between.contains(&*row.domain)) {
            let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
            let at = rest.entry(row.domain.clone()).or_insert(point);
            *at = point.max(*at);
        }
        rest.extend(Cut::of(frontier).domains);
        Cut { domains: rest }
    }

    /// Whether a life of a domain's counter has ended and nothing is known of the next one.
    pub(super) fn is_between_lives(&self) -> bool {
        let frontier = self.frontier();
        between_lives(self.log.runs()).iter().any(|domain| !frontier.contains_key(*domain))
    }

    /// The lives of a domain's counter that the journal knows, in order.
    pub async fn lives(&mut self, domain: &str) -> Result<Vec<Life>> {
        self.begin_newest().await?;
        self.load(&Until::End).await?;
        let nothing = Scope::nothing();
        let mut state = match &self.start {
            Some(checkpoint) => checkpoint.load(&self.journal, &nothing).await?,
            None => State::default(),
        };
        for row in self.rows().filter(|row| !row.op.is_object()) {
            state.apply(row, &nothing, None)?;
        }
        let of_domain = state.kinds.values().filter(|kind| kind.discovery.domain == domain);
        Ok(lives_of(of_domain))
    }

    /// The life a revision belongs to, when the question does not say. If it occurs in several, there is no guessing:
    /// that is an error.
    pub(super) async fn life_of(&mut self, rv: Revision, domain: &str) -> Result<u32> {
        let lives = self.lives(domain).await?;
        self.look_beyond(domain).await?;
        let newest = self.frontier().get(domain).map_or(0, |point| point.incarnation);
        if lives.len() < 2 {
            return Ok(newest.max(lives.first().map_or(0, |life| life.incarnation)));
        }
        let holds = |life: &&Life| life.from <= rv && life.to.is_none_or(|to| rv <= to);
        let holding: Vec<&Life> = lives.iter().filter(holds).collect();
        match holding.as_slice() {
            [life] => Ok(life.incarnation),
            [] => {
                // Beyond the newest life is later than the journal knows; a revision between two lives was never given
                // out.
                let next = lives.iter().find(|life| life.from > rv);
                let before = lives.iter().rev().find(|life| life.to.is_some_and(|to| to < rv));
                match (before, next) {
                    (Some(before), Some(next)) => Err(Error::not_found(
                        format!("rev:{rv}"),
                        format!(
                            "was not seen in any life of the counter: that of incarnation {} was seen up to {}, that of {} begins at {}",
                            before.incarnation, before.to.unwrap_or(0), next.incarnation, next.from
                        ),
                    )
                    .with_hint(format!("ask for a time, or for rev:{}@{}", before.to.unwrap_or(0), before.incarnation))),
                    (None, Some(next)) => Ok(next.incarnation),
                    _ => Ok(newest),
                }
            }
            several => {
                let mut choices = Vec::new();
                for life in several.iter().map(|life| life.incarnation).collect::<Vec<_>>() {
                    let question = At::Rev { rv, incarnation: Some(life), domain: Some(domain.to_owned()) };
                    let time = Box::pin(self.resolve(&question)).await?.time;
                    choices.push(format!("rev:{rv}@{life} ({})", utc_millis(time)));
                }
                Err(Error::invalid(
                    format!("rev:{rv}"),
                    format!(
                        "stands in {} lives of the counter, since the server's store was put back to an older copy",
                        choices.len()
                    ),
                )
                .with_hint(format!("say which is meant: {}", choices.join(" or "))))
            }
        }
    }
}

/// The domains in which a life has ended and nothing is known of the next one yet.
fn between_lives(read: &[Arc<Segment>]) -> BTreeSet<&str> {
    let mut ended: BTreeMap<&str, u32> = BTreeMap::new();
    let rows = read.iter().flat_map(|segment| segment.rows.iter());
    for row in rows.filter(|row| matches!(row.op, Op::CoverBegin | Op::CoverEnd)) {
        if is_end_of_life(row) {
            ended.insert(&row.domain, row.incarnation);
        } else if ended.get(&*row.domain).is_some_and(|life| row.incarnation > *life) {
            ended.remove(&*row.domain);
        }
    }
    ended.into_keys().collect()
}

/// The lives that kinds were protected in.
fn lives_of<'a>(kinds: impl Iterator<Item = &'a KindState>) -> Vec<Life> {
    let mut lives: BTreeMap<u32, Life> = BTreeMap::new();
    for cover in kinds.flat_map(|kind| &kind.covers) {
        let CutPoint { incarnation, rv } = cover.from;
        let fresh = Life { incarnation, from: rv, since: cover.from_time, to: None };
        let life = lives.entry(incarnation).or_insert(fresh);
        life.from = life.from.min(rv);
        life.since = life.since.min(cover.from_time);
        if let Some((end, ..)) = cover.end.as_ref().filter(|(_, _, why)| why.reason == Uncovered::Incarnation) {
            life.to = life.to.max(Some(end.rv));
        }
    }
    lives.into_values().collect()
}
