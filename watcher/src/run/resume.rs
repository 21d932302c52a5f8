//! Loads what the journal knows at its newest rows, so that watches go on from their cursors.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{
    Error, Journal, Reader, Writer,
    checkpoint::Late,
    cut::{CutPoint, MAIN},
    error::ErrorKind,
    facts::{Discovery, Uncovered},
    fold::{KindState, State},
    parts::Micros,
    row::Revision,
    store::Patience,
};
use tokio::sync::watch;

use crate::{
    Result, Status,
    clock::RevisionClock,
    core::{Core, Resumed, placed},
    forgotten::Forgotten,
    ha::Kept,
};

/// Where the status is published, and what leaves the Lease to others while the store is away.
type Told<'a> = (&'a watch::Sender<Arc<Status>>, Option<&'a Kept>);

/// Fills the core with the journal's newest state. Returns the number of the newest statement of what is forgotten.
pub(crate) async fn resume(core: &mut Core, journal: &Journal, writer: &Writer, told: Told<'_>) -> Result<u64> {
    let now = core.now();
    let (state, forgotten) = read(journal, now.hi, told).await?;
    core.late(Late::of(&state));
    lives(core, &state, writer);
    for (key, kind) in state.kinds {
        if kind.discovery.resource.is_empty() {
            tracing::debug!(kind = key, "the journal has facts about a kind that it does not describe");
            continue;
        }
        take(core, writer, kind, now.hi);
    }
    let mut undescribed = BTreeSet::new();
    for (key, entry) in state.objects {
        let name = placed(&key.namespace, &key.name);
        if !core.kinds.contains_key(&key.kind_key()) {
            undescribed.insert(key.kind_key());
            // A first list was cut short before its kind was described. What it brought must be known, or nobody would
            // ever tell that an object of it has gone since.
            core.describe(Discovery {
                group: entry.row.group.clone(),
                version: entry.row.version.clone(),
                resource: entry.row.resource.clone(),
                kind: entry.row.kind.clone(),
                domain: entry.row.domain.clone(),
                namespaced: !key.namespace.is_empty(),
                ..Discovery::default()
            });
        }
        if undescribed.contains(&key.kind_key()) && entry.row.incarnation < core.life(&entry.row.domain) {
            core.of_ended_life(&key.kind_key());
        }
        if entry.unstored().next().is_some() || forgotten.has(&entry) {
            core.lacks(&key.kind_key(), &name);
        }
        core.keep(&key.kind_key(), &name, entry.base(), None);
    }
    core.resume_kept(state.kept.as_ref());
    Ok(forgotten.newest)
}

/// The journal's newest state, however long the store takes: the journal is claimed, so nobody else protects the
/// cluster. A standby that reaches the store may claim it meanwhile.
async fn read(journal: &Journal, now: Micros, (told, kept): Told<'_>) -> Result<(State, Forgotten)> {
    let mut patience = Patience::new(journal.parts());
    let clock = &journal.parts().clock;
    let began = clock.monotonic();
    loop {
        let read = async {
            let mut reader = Reader::open(journal).await?;
            let state = reader.resume().await?;
            reader.doubt(now).await?;
            Ok::<_, Error>((state, Forgotten::read(journal).await?))
        };
        match read.await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let said = Error::causes(&error);
                tracing::warn!(error = said, hint = error.hint(), "the journal cannot be read yet; trying again");
                let reason = format!("waiting for the store: {said}");
                told.send_replace(Arc::new(Status { reason, ..Status::default() }));
                if let Some(kept) = kept {
                    kept.without_store(began, clock.monotonic());
                }
                patience.failed().await;
            }
            read => return Ok(read?),
        }
    }
}

/// In which life each domain is, how far it was closed, and since when that life is known.
fn lives(core: &mut Core, state: &State, writer: &Writer) {
    for (name, life) in &state.lives {
        core.domain(name).incarnation = *life;
    }
    for (name, point) in writer.frontier() {
        let domain = core.domain(name);
        domain.incarnation = domain.incarnation.max(point.incarnation);
        domain.resumed = Some((point.incarnation, point.rv, point.time));
    }
    // Even for a domain in which no kind is protected by now: if it comes back lower, it has been put back.
    for (name, point) in &state.reached.domains {
        let domain = core.domain(name);
        if domain.incarnation == point.incarnation {
            domain.shown = domain.shown.max(point.rv);
        }
    }
    for kind in state.kinds.values() {
        if let Some(point) = kind.covers.last().map(|cover| cover.from).max(kind.cursor) {
            let domain = core.domain(&kind.discovery.domain);
            domain.incarnation = domain.incarnation.max(point.incarnation);
        }
    }
    for kind in state.kinds.values() {
        let domain = core.domain(&kind.discovery.domain);
        let life = domain.incarnation;
        let begins = kind.covers.iter().filter(|cover| life > 0 && cover.from.incarnation == life);
        if let Some(born) = begins.map(|cover| cover.from_time).min() {
            domain.clock = RevisionClock::born(domain.clock.begin().map_or(born, |known| known.min(born)));
        }
    }
    // What the journal closed counts, whatever the clocks of that time say later.
    let now = core.now();
    for domain in core.domains.values_mut() {
        if let Some((_, rv, time)) =
            domain.resumed.filter(|(life, _, time)| *life == domain.incarnation && *time <= now.lo)
        {
            domain.clock.closed(rv, time);
        }
    }
    // The journal may have been left between the end of a life and the first row of the next.
    let mut ended: BTreeMap<&str, Revision> = BTreeMap::new();
    for kind in state.kinds.values() {
        let name = kind.discovery.domain.as_str();
        let end = kind.covers.last().and_then(|cover| cover.end.as_ref());
        if let Some((point, _, end)) = end
            && end.reason == Uncovered::Incarnation
            && point.incarnation == core.life(name)
        {
            let last = ended.entry(name).or_default();
            *last = point.rv.max(*last);
        }
    }
    for (name, last) in ended {
        core.next_life(name, last, 0, "");
    }
}

fn take(core: &mut Core, writer: &Writer, kind: KindState, now: Micros) {
    let incarnation = core.domain(&kind.discovery.domain).incarnation;
    let closed = writer.frontier().get(&kind.discovery.domain).copied();
    let current = kind.cursor.filter(|c| kind.is_covered() && c.incarnation == incarnation);
    // Every kind covered by the newest segment was seen up to its closed revision.
    let cursor = current.map(|cursor| match closed {
        Some(point) if point.incarnation == incarnation => cursor.rv.max(point.rv),
        _ => cursor.rv,
    });
    let end = kind.covers.last().and_then(|cover| cover.end.as_ref());
    let ended = end.map(|(_, _, end)| end.reason).or(kind.uncovered.as_ref().map(|end| end.reason));
    let ahead = kind.ahead.filter(|ahead| ahead.incarnation == incarnation).map(|ahead| ahead.rv);
    let older = end.map_or(incarnation > 0, |(point, ..)| point.incarnation < incarnation);
    let left = matches!(ended, Some(Uncovered::Incarnation | Uncovered::DomainChanged));
    let begun = kind.covers.last().map(|cover| (cover.from, cover.from_time));
    let of_life = |(point, _): &(CutPoint, Micros)| point.incarnation == incarnation;
    let proven = begun.into_iter().chain(kind.proven).filter(of_life).max();
    let differs = end.filter(|(point, _, end)| end.reason == Uncovered::Differs && point.incarnation == incarnation);
    let resumed = Resumed {
        ended: ended.filter(|_| cursor.is_none()),
        heard: closed.map_or(0, |point| point.time.min(now)),
        ahead: ahead.unwrap_or(0),
        // What is retained is of another counter, or of another life of it.
        reborn: cursor.is_none() && (older || left),
        proven: proven.map_or((0, 0), |(point, time)| (point.rv, time)),
        wrong_to: differs.filter(|_| cursor.is_none()).map_or(0, |(point, ..)| point.rv),
        cursor,
    };
    core.resume(kind.discovery, resumed);
}

/// The least cursor of the main domain's covered kinds: from here on time has to be read back.
pub(crate) fn oldest_cursor(core: &Core) -> Option<u64> {
    let covered = core.kinds.values().filter(|kind| kind.covered && kind.discovery.domain == MAIN);
    covered.map(|kind| kind.cursor).min()
}
