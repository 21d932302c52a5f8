//! Whether the server still is the one that the journal knows: checked after every interval in which its store could
//! have been put back to an older copy, before anything is followed, healed or closed beyond what was known.
//!
//! A revision alone does not show it: a store that was put back may have overtaken the old cursor, or may have been
//! made to skip beyond it. So the server is asked for what stood *at* the cursors (`Exact` lists, metadata only) of a
//! sample of kinds, and that must be what is retained. Where the history is gone, lists of now are compared with it:
//! they can only contradict.
//!
//! **Invariants.** (1) [`confirm`] costs at most [`KINDS`] lists of [`PAGE`] objects' metadata and [`OBJECTS`] reads of
//! one, twice that where the history is gone, and one list of one object; streams that broke together share it. (2) A
//! failed answer is evidence of nothing, and the question is asked again; a kind that does not answer holds up the
//! others for as long as it takes to let it go, and no longer once it has been astray for that long. (3) Only a
//! contradiction, or a leap of revisions that no cluster can write, begins a new life [`Core::begin_life`]. What
//! differs only outside the sample is noticed by the lists that follow, page by page, or not at all.
//!
//! [`Core::begin_life`]: crate::core::Core::begin_life

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use hindcast_cluster::{
    Failure, Page,
    discovery::{path, path_in},
    header::Header,
    path::by_name,
};
use hindcast_journal::{facts::Discovery, row::Revision};

use crate::{
    access::Access,
    core::{Witness, contradicts, object_name},
};

/// Kinds in a sample.
const KINDS: usize = 24;
/// Objects on the page of each.
const PAGE: usize = 100;
/// Objects beyond their kind's page that are asked for by name, the newest.
const OBJECTS: usize = 16;
/// At most this many of them from one kind.
const PER_KIND: usize = 4;
/// Questions at once.
const AT_ONCE: usize = 8;
/// Longest wait for one answer, and for the first of each.
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(2);
/// More revisions than any cluster writes during an outage that its history was lost in, and the most that one can
/// write per second in addition.
const LEAP: Revision = 100_000_000;
const WRITES: Revision = 50_000;

/// What the sample showed.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Objects are in the server's history as they are retained, the newest of them at that revision.
    Same(Revision),
    /// Nothing that could be compared.
    Nothing,
    /// Something that cannot be of the same life.
    Another(String),
}

/// Makes sure that a domain is in the life that the journal knows, unless that was done after `since` on the monotonic
/// clock. If it is not, its new life has begun when this returns.
pub(crate) async fn confirm(access: &Access, domain: &str, since: Duration) -> Result<(), Failure> {
    let turn = access.confirmed.of(domain);
    let mut confirmed = turn.lock().await;
    if confirmed.is_some_and(|began| began >= since) {
        return Ok(());
    }
    let began = access.parts.clock.monotonic();
    let (life, sample) = {
        let mut core = access.core.lock();
        let sample = core.witnesses(domain, KINDS, 2 * PAGE, PER_KIND);
        (core.life(domain), sample.into_iter().map(Arc::new).collect::<Vec<_>>())
    };
    if let Some((kind, why)) = examine(access, life, &sample).await? {
        begin(access, &kind, life, &why).await;
    }
    *confirmed = Some(began);
    Ok(())
}

/// Begins a new life of a kind's domain, as long as it is in `life` still. The store may have been put back after the
/// lists that are known of, so another list shows where the new life stands.
pub(crate) async fn begin(access: &Access, kind: &Discovery, life: u32, why: &str) {
    let list = access.parts.timeout(PATIENCE, access.sample(kind)).await;
    let list = list.and_then(Result::ok).unwrap_or(0);
    access.core.lock().begin_life(&kind.domain, life, list, why);
}

/// A kind that answers, and what shows that there is a new life, if anything does.
async fn examine(
    access: &Access,
    life: u32,
    sample: &[Arc<Witness>],
) -> Result<Option<(Arc<Discovery>, String)>, Failure> {
    let mut failed = None;
    let mut list = None;
    for witness in sample {
        match access.parts.timeout(PATIENCE, access.sample(&witness.kind)).await {
            Some(Ok(rv)) => {
                list = Some((rv, witness));
                break;
            }
            Some(Err(failure)) => failed = Some(failure),
            None => failed = Some(Failure::Transport("no answer in time".to_owned())),
        }
    }
    let Some((list, asked)) = list else {
        // In a domain without a kind that is followed there is nothing to confirm.
        return failed.map_or(Ok(None), Err);
    };
    if !access.core.lock().is_life(&asked.kind.kind_key(), life) {
        // The list itself showed that revisions went back.
        return Ok(None);
    }
    let mut told = ask(access, sample, true).await?;
    if told == Told::Nothing {
        told = ask(access, sample, false).await?;
        let now = access.core.lock().now().lo;
        if told == Told::Nothing && leapt(sample, list, now) {
            told = Told::Another(format!("revisions leapt to {list}, and the history before is compacted"));
        }
    }
    Ok(match told {
        Told::Another(why) => Some((asked.kind.clone(), why)),
        Told::Same(agreed) => {
            access.core.lock().confirmed(&asked.kind.domain, life, agreed);
            None
        }
        Told::Nothing => None,
    })
}

/// Whether revisions have leapt further than a cluster can write in that time.
fn leapt(sample: &[Arc<Witness>], list: Revision, now: hindcast_journal::parts::Micros) -> bool {
    // A lease is as old as its newest write, not as the newest revision seen.
    let newest = sample.iter().filter(|witness| witness.is_followed()).max_by_key(|witness| witness.cursor);
    newest.is_some_and(|newest| {
        let seconds = u64::try_from((now - newest.heard) / 1_000_000).unwrap_or(0);
        list.saturating_sub(newest.cursor) > LEAP.saturating_add(seconds.saturating_mul(WRITES))
    })
}

/// One question of a sample.
enum Question {
    Page(Arc<Witness>),
    Object(Arc<Witness>, String, (Box<str>, Revision)),
}

/// Asks for the sample: at the cursors from the server's history, or as it is now. A copy of the store has the history
/// up to the newest object that is found in it as it is retained; a question about a newer one that failed is asked
/// again.
async fn ask(access: &Access, sample: &[Arc<Witness>], exact: bool) -> Result<Told, Failure> {
    // If changes beyond the cursor were recorded, the state at it is unknown; about now the kind says as much as any.
    let usable = || sample.iter().filter(|witness| !exact || !witness.torn);
    let paged = usable().filter(|witness| witness.is_followed());
    let mut questions: Vec<Question> = paged.cloned().map(Question::Page).collect();
    let named = usable().filter(|witness| witness.last.is_some()).flat_map(|witness| {
        let newest = witness.newest.iter().cloned();
        newest.map(|(name, known)| Question::Object(witness.clone(), name, known))
    });
    questions.extend(named.take(OBJECTS));
    let monotonic = || access.parts.clock.monotonic();
    let (until, mut limit) = (monotonic() + access.settings.stuck_after, ANSWER);
    let (mut agreed, mut heard) = (0, questions.is_empty());
    loop {
        let within = limit;
        let answers = questions.into_iter().map(|question| async move {
            let answer = access.parts.timeout(within, put(access, &question, exact)).await;
            (question, answer)
        });
        let mut answers = std::pin::pin!(futures::stream::iter(answers).buffer_unordered(AT_ONCE));
        let mut failed = Vec::new();
        while let Some((question, answer)) = answers.next().await {
            heard |= !matches!(answer, Some(Err(Failure::Transport(_))) | None);
            match answer {
                Some(Ok(page)) => match question.judge(&page, exact) {
                    Ok(newest) => agreed = newest.max(agreed),
                    Err(why) => return Ok(Told::Another(why)),
                },
                None
                | Some(Err(Failure::Transport(_) | Failure::Server(_) | Failure::Opaque | Failure::Throttled(_))) => {
                    failed.push(question);
                }
                // Compacted, forbidden or not served: no evidence.
                Some(Err(_)) => {}
            }
        }
        let worth = |question: &Question| question.newest() > agreed && !question.witness().astray;
        questions = failed.into_iter().filter(worth).collect();
        limit = until.saturating_sub(monotonic()).min(PATIENCE);
        if questions.is_empty() || limit.is_zero() {
            break;
        }
        access.sleep(access.backoff(0)).await;
    }
    if !heard {
        return Err(Failure::Transport("none of the questions was answered".to_owned()));
    }
    Ok(if exact && agreed > 0 { Told::Same(agreed) } else { Told::Nothing })
}

async fn put(access: &Access, question: &Question, exact: bool) -> Result<Page, Failure> {
    let (witness, mut query, target) = match question {
        Question::Page(witness) => (witness, format!("limit={PAGE}"), path(&witness.kind)),
        Question::Object(witness, name, _) => {
            let (namespace, bare) = name.split_once('/').unwrap_or(("", name.as_str()));
            (witness, by_name(bare), path_in(&witness.kind, namespace))
        }
    };
    if exact {
        query.push_str(&format!("&resourceVersion={}&resourceVersionMatch=Exact", witness.cursor));
    }
    access.asked(&path(&witness.kind), access.api.metadata(&target, &query)).await
}

impl Question {
    fn witness(&self) -> &Witness {
        match self {
            Self::Page(witness) | Self::Object(witness, ..) => witness,
        }
    }

    /// The newest revision that an answer can confirm.
    fn newest(&self) -> Revision {
        match self {
            Self::Page(witness) => {
                let known = witness.objects.values().map(|(_, rv)| *rv);
                known.filter(|rv| *rv <= witness.cursor).max().unwrap_or(0)
            }
            Self::Object(_, _, (_, rv)) => *rv,
        }
    }

    /// The newest revision of what agrees with what is retained, 0 if nothing does; or what contradicts it.
    fn judge(&self, page: &Page, exact: bool) -> Result<Revision, String> {
        let headers: Vec<Header> = page.items.iter().map(|item| Header::of(item)).collect();
        match self {
            Self::Page(witness) => compare(witness, &headers, page.next.is_none(), exact),
            Self::Object(witness, name, (uid, rv)) => {
                let (key, known) = (witness.kind.kind_key(), (&**uid, *rv));
                let Some(found) = headers.first() else { return absent(&key, name, known, exact, witness.cursor) };
                match contradicts(&key, name, Some(known), found, witness.cursor) {
                    Some(why) => Err(why),
                    None => Ok(found.rv.filter(|found_rv| **uid == *found.uid && rv == found_rv).unwrap_or(0)),
                }
            }
        }
    }
}

/// Compares a page with what is retained: the newest revision of what agrees, or what contradicts. `whole` if no page
/// follows.
fn compare(witness: &Witness, page: &[Header], whole: bool, exact: bool) -> Result<Revision, String> {
    let key = witness.kind.kind_key();
    let cursor = witness.cursor;
    let known_to = |name: &str| witness.last.as_deref().is_none_or(|last| name <= last);
    let mut agreed = 0;
    let mut shown = std::collections::BTreeSet::new();
    for header in page {
        let name = object_name(header);
        if !known_to(&name) {
            continue;
        }
        let known = witness.objects.get(&name).map(|(uid, rv)| (uid.as_ref(), *rv));
        if let Some(why) = contradicts(&key, &name, known, header, cursor) {
            return Err(why);
        }
        let same = known.filter(|(uid, rv)| **uid == *header.uid && Some(*rv) == header.rv);
        agreed = same.map_or(agreed, |(_, rv)| rv.max(agreed));
        shown.insert(name);
    }
    let end = page.last().map(object_name);
    let listed = |name: &str| whole || end.as_deref().is_some_and(|end| name <= end);
    for (name, (uid, rv)) in &witness.objects {
        if listed(name) && !shown.contains(name) {
            absent(&key, name, (uid, *rv), exact, cursor)?;
        }
    }
    Ok(agreed)
}

/// Judges the absence of a retained object. In a list of now it only means that the object was deleted.
fn absent(
    key: &str,
    name: &str,
    (uid, rv): (&str, Revision),
    exact: bool,
    cursor: Revision,
) -> Result<Revision, String> {
    if exact && rv <= cursor && !uid.is_empty() {
        return Err(format!("{key} {name} was seen at revision {rv}, and the history at {cursor} does not have it"));
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
