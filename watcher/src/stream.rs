//! One kind's stream: list, watch, resume, heal, for as long as the kind is served.
//!
//! **Words**: a *turn* is one attempt: it brings the kind under protection if it is not, then watches until the
//! watch ends. Whatever ends it, the next turn goes on from the cursor.
//!
//! **Invariants.** (1) A covered kind with a cursor is never listed while the server takes the cursor. (2) Pages of
//! two lists are never mixed: a 410 within a list begins it anew. (3) Nothing here stops for ever but by being
//! aborted: a failure is waited out. Not here: what an event becomes [`crate::core`], the walk of one object
//! [`crate::heal`].

mod kept;
mod overhear;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use hindcast_cluster::{
    Failure, Watch,
    discovery::{path, path_in},
    header::Header,
    lines::{self, Event},
    path::by_name,
};
use hindcast_journal::{
    cut::MAIN,
    facts::{Discovery, Uncovered},
    row::{Revision, Source},
};

pub(crate) use self::{kept::bring_kept, overhear::overhear};
use crate::{
    access::{Access, another_life},
    core::{Core, Healed, Known, Sighting, Verdict},
    domains,
    handle::Phase,
    heal::{History, Walk, defined, typed},
    life,
};

/// Objects that are walked before what was found of them is recorded.
const WALKED: usize = 64;
/// How often a list that expires half-way is begun anew before that counts as a failure.
const LIST_TRIES: u32 = 5;

/// How often it is checked whether a wait is over.
const LULL: Duration = Duration::from_secs(1);
/// How often a list checks whether there is room for its next page.
const CROWDED: Duration = Duration::from_millis(200);
/// A watch that ended is followed by the next within this long, or what that one brings first has waited too long to say when it
/// was committed.
const AT_ONCE: Duration = Duration::from_millis(200);
/// It takes longer than this to put a store back: the API server has to stop and start. A server that ends a watch has
/// sent a bookmark two seconds before.
const SWAP: Duration = Duration::from_secs(4);

/// Protects one kind until it is aborted. `broken` says why its cursor cannot be trusted, when that is known.
pub(crate) async fn protect(access: Arc<Access>, key: String, broken: Option<String>) {
    let mut stream = Stream::new(&access, &key, broken);
    access.core.lock().astray(&key);
    loop {
        let outcome = stream.turn().await;
        stream.conclude(outcome).await;
    }
}

struct Stream<'a> {
    access: &'a Access,
    key: &'a str,
    /// Why the cursor cannot be resumed from.
    broken: Option<String>,
    /// The revision of a list whose watch has not yet proved to follow on it, and the life it is of.
    listed: Option<(Revision, u32)>,
    /// The revision that the stream is catching up to; not known after an outage.
    caught_up: Option<Revision>,
    /// Whether its watch was opened since the newest outage or list.
    open: bool,
    /// When its newest watch ended as watches do, on the monotonic clock.
    ended: Option<Duration>,
    /// Failures in a row.
    failures: u32,
    /// Since when the API behind the kind fails, on the monotonic clock.
    down_since: Option<Duration>,
}

impl<'a> Stream<'a> {
    fn new(access: &'a Access, key: &'a str, broken: Option<String>) -> Self {
        Self {
            access,
            key,
            broken,
            listed: None,
            caught_up: None,
            open: false,
            ended: None,
            failures: 0,
            down_since: None,
        }
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        while self.access.core.lock().must_wait(self.key) {
            self.access.sleep(LULL).await;
        }
        domains::place(self.access, self.key).await?;
        let (kind, covered, cursor, start) = {
            let mut core = self.access.core.lock();
            let Some(kind) = core.kinds.get(self.key) else { return Ok(()) };
            let out = (kind.discovery.clone(), kind.covered, kind.cursor);
            let start = core.domain(&out.0.domain).caught_up;
            (out.0, out.1, out.2, start)
        };
        if cursor == 0 {
            self.open = false;
            // What is listed now is of the life that the server is in, whether or not anything in the domain has
            // noticed that.
            let doubted = self.access.core.lock().doubted(&kind.domain);
            life::confirm(self.access, &kind.domain, doubted).await?;
            self.list(&kind).await?;
        } else if !self.confirmed(&kind, covered).await? {
            return Ok(());
        } else if !covered || self.broken.is_some() {
            self.open = false;
            let reason = self.broken.clone().unwrap_or_else(|| "not protected in between".to_owned());
            self.heal(&kind, reason).await?;
        } else if self.caught_up.is_none() {
            let known = kind.domain == MAIN && self.failures == 0 && start > 0;
            self.caught_up = Some(if known { start } else { self.access.sample(&kind).await? });
            if !self.access.core.lock().kinds.get(self.key).is_some_and(|kind| kind.covered) {
                // The sample showed that revisions went backwards.
                return Ok(());
            }
        }
        self.watch(&kind).await
    }

    /// After an interval in which nobody watched: whether the cursor still belongs to the life that the server is in.
    async fn confirmed(&mut self, kind: &Discovery, covered: bool) -> Result<bool, Failure> {
        let (alive, doubted, stalled, now) = {
            let mut core = self.access.core.lock();
            core.beat();
            let alive = core.kinds.get(self.key).map_or(Duration::ZERO, |kind| kind.alive);
            (alive, core.doubted(&kind.domain), core.stalled_at, self.access.parts.clock.monotonic())
        };
        // Even a watch that ended properly may have done so long ago.
        let unbroken = covered && self.broken.is_none() && self.caught_up.is_some();
        // What was confirmed before it broke says nothing about the time in which it was silent.
        let since = if unbroken && now.saturating_sub(alive) < SWAP { stalled } else { alive.max(doubted) };
        life::confirm(self.access, &kind.domain, since).await?;
        Ok(self.access.core.lock().kinds.get(self.key).is_some_and(|kind| kind.cursor > 0))
    }

    /// Watches from the cursor until the watch ends.
    async fn watch(&mut self, kind: &Discovery) -> Result<(), Failure> {
        let access = self.access;
        let listed = self.listed.take();
        // What a standby held follows on the journal, not on a list.
        let kept = if listed.is_none() { self.bring_kept(kind).await } else { None };
        if self.broken.is_some() {
            return Ok(());
        }
        let cursor = access.core.lock().kinds.get(self.key).map(|k| k.cursor);
        let Some(cursor) = listed.map(|(list, _)| list).or(cursor) else { return Ok(()) };
        let limit = access.settings.watch_timeout;
        let seconds = (limit + access.jitter(limit / 5)).as_secs().max(1);
        let query = format!("resourceVersion={cursor}&timeoutSeconds={seconds}");
        let target = path(kind);
        let mut watch = match kept {
            Some(open) => open,
            None => {
                let watch = access.asked(&target, access.api.watch(&target, &query)).await?;
                access.core.lock().dated(&watch.when);
                watch
            }
        };
        self.down_since = None;
        let mut first = None;
        if let Some((list, life)) = listed {
            first = prove(access, &mut watch).await?;
            let mut core = access.core.lock();
            if !core.is_life(self.key, life) {
                return Ok(());
            }
            let at = core.now();
            core.end_list(self.key, list, at);
        }
        let late =
            self.ended.take().is_some_and(|ended| access.parts.clock.monotonic().saturating_sub(ended) > AT_ONCE);
        if !std::mem::replace(&mut self.open, true) || late {
            access.core.lock().opened(self.key);
        }
        {
            let mut core = access.core.lock();
            if core.kinds.get(self.key).is_none_or(|kind| !kind.covered) {
                // It was let go while the watch was opened.
                return Ok(());
            }
            core.watching(self.key);
        }
        let caught_up = self.caught_up.unwrap_or(Revision::MAX);
        let mut silent = true;
        loop {
            let line = match first.take() {
                Some(line) => line,
                None => match watch.line(access.settings.idle_timeout).await? {
                    Some(line) => line,
                    None => break,
                },
            };
            silent = false;
            access.core.lock().alive(self.key);
            let event = lines::event(&line)
                .ok_or_else(|| Failure::Server("the watch sent something that is not an event".to_owned()))?;
            if let Event::Error(status) = &event {
                return Err(Failure::of_event(status));
            }
            let verdict = access.core.lock().event(self.key, &event, caught_up);
            match verdict {
                Verdict::Go => (self.failures, self.down_since) = (0, None),
                Verdict::Stop => return Ok(()),
                Verdict::Broken(reason) => {
                    self.broken = Some(reason.to_owned());
                    return Ok(());
                }
                Verdict::Opaque => return Err(Failure::Opaque),
            }
        }
        self.ended = Some(access.parts.clock.monotonic());
        // The server ends a watch when its time is up, after a bookmark: nothing was missed that the next one would not
        // bring at once. One that ends without a word would be opened again in a tight loop.
        if silent {
            access.sleep(access.backoff(self.failures)).await;
            self.failures += 1;
        }
        Ok(())
    }

    /// What follows from how a turn ended.
    async fn conclude(&mut self, outcome: Result<(), Failure>) {
        let access = self.access;
        let reason = match &outcome {
            Ok(()) => "ended",
            Err(Failure::Expired(_)) => "expired",
            Err(Failure::Transport(_)) => "connection",
            Err(_) => "refused",
        };
        {
            let mut core = access.core.lock();
            core.metrics.restarts.with_label_values(&[reason]).inc();
            core.astray(self.key);
        }
        let Err(failure) = outcome else { return };
        tracing::debug!(kind = self.key, %failure, "the stream broke");
        let mut wait = access.backoff(self.failures);
        // A repeated failure is nothing new, and a refusal is no sign of another store.
        let news = self.failures == 0 && !matches!(failure, Failure::Forbidden(_) | Failure::NotFound(_));
        self.failures += 1;
        (self.caught_up, self.open) = (None, false);
        {
            let mut core = access.core.lock();
            core.trouble(self.key, &failure.to_string());
            if news {
                core.doubt(self.key);
            }
            core.phase(self.key, Phase::Resuming);
        }
        match failure {
            Failure::Expired(message) => {
                self.broken = Some(message);
                // The first time at once: history is being compacted away.
                wait = if self.failures > 1 { wait } else { Duration::ZERO };
            }
            Failure::Forbidden(message) => {
                access.core.lock().uncover(self.key, Uncovered::Forbidden, &message);
                wait = access.settings.forbidden_retry;
            }
            Failure::Throttled(after) => wait = after.unwrap_or(wait),
            Failure::Opaque => {
                access.core.lock().uncover(self.key, Uncovered::NotWatchable, &failure.to_string());
                wait = access.settings.discovery_every;
            }
            Failure::NotFound(message) => {
                let core = access.core.lock();
                core.hint_changed();
                if core.kinds.get(self.key).is_some_and(|k| k.ended == Some(Uncovered::ApiDown)) {
                    wait = access.settings.forbidden_retry;
                }
                drop(core);
                self.api_down(&message);
            }
            Failure::Server(message) => {
                let own = access.core.lock().kinds.get(self.key).is_some_and(|k| k.discovery.domain != MAIN);
                if own {
                    self.api_down(&message);
                }
            }
            // The next turn takes a sample, which tells whether revisions went backwards.
            Failure::TooLarge(_) | Failure::Transport(_) => {}
        }
        access.sleep(wait).await;
    }

    /// The API behind the kind answers with errors: after a while the kind counts as not protected.
    fn api_down(&mut self, message: &str) {
        let now = self.access.parts.clock.monotonic();
        let since = *self.down_since.get_or_insert(now);
        let mut limit = self.access.settings.api_down_after;
        // The main server takes a while after its start until it serves custom resources.
        if self.access.core.lock().kinds.get(self.key).is_some_and(|k| k.discovery.domain == MAIN) {
            limit *= 6;
        }
        let down = now.saturating_sub(since);
        if down >= limit {
            self.access.core.lock().uncover_since(self.key, Uncovered::ApiDown, message, down);
        }
    }

    /// The first list, or the list after a time without protection: the kind is covered from it on, once its watch
    /// is open.
    async fn list(&mut self, kind: &Discovery) -> Result<(), Failure> {
        self.access.core.lock().phase(self.key, Phase::Listing);
        for _ in 0..LIST_TRIES {
            self.access.core.lock().begin_list(self.key);
            let mut pages = Pages::new(self.access, kind);
            let ended = loop {
                match pages.next().await {
                    Ok(Some(items)) => {
                        for (header, bytes) in items {
                            let mut core = self.access.core.lock();
                            pages.check(&mut core, self.key, &header)?;
                            let at = core.now();
                            let seen = Sighting { header, bytes, source: Source::List, at, live: false };
                            core.listed(self.key, &seen, pages.rv);
                        }
                    }
                    other => break other,
                }
            };
            match ended {
                Err(Failure::Expired(_)) => {}
                Err(failure) => return Err(failure),
                Ok(_) => {
                    (self.broken, self.caught_up) = (None, Some(pages.rv));
                    self.listed = Some((pages.rv, pages.life));
                    return Ok(());
                }
            }
        }
        Err(Failure::Server("the list expires faster than it can be read".to_owned()))
    }

    /// Recovers what the broken watch did not bring.
    async fn heal(&mut self, kind: &Discovery, reason: String) -> Result<(), Failure> {
        self.access.core.lock().phase(self.key, Phase::Healing);
        for _ in 0..LIST_TRIES {
            match self.heal_once(kind, &reason).await {
                Err(Failure::Expired(_)) => {}
                Ok(rv) => {
                    (self.broken, self.caught_up) = (None, Some(rv));
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Server("the list expires faster than it can be read".to_owned()))
    }

    async fn heal_once(&self, kind: &Discovery, reason: &str) -> Result<Revision, Failure> {
        let access = self.access;
        let known = {
            let mut core = access.core.lock();
            core.begin_list(self.key);
            core.known(self.key)
        };
        let Some(mut known) = known else { return Ok(0) };
        let mut healing = Healing { access, kind, key: self.key, floor: AtomicU64::new(0), from: known.from, life: 0 };
        let mut outcome = Outcome::default();
        let mut pages = Pages::new(access, kind);
        let began = pages.life;
        while let Some(items) = pages.next().await? {
            if pages.first {
                if !access.core.lock().is_life(self.key, began) {
                    return Err(another_life());
                }
                if kind.domain == MAIN {
                    // Others may be doing the same, or waiting for it.
                    let mut reading = std::pin::pin!(access.read_leases(known.from, pages.rv));
                    while access.parts.timeout(LULL, &mut reading).await.is_none() {
                        access.core.lock().moved(self.key);
                    }
                }
            }
            healing.life = pages.life;
            let moved = healing.sort(items, &mut known.objects, &pages)?;
            healing.walk(moved, pages.rv, &mut outcome).await?;
        }
        let Known { from, heard, objects, torn } = known;
        let gone = objects.into_iter().map(|(name, known)| (name, Some(known), None)).collect();
        healing.walk(gone, pages.rv, &mut outcome).await?;
        // Which objects an interrupted healing could not follow is not known any more, unless the history says that it
        // could.
        let lost = torn && outcome.unknown.is_empty() && healing.is_forgotten().await?;
        let mut core = access.core.lock();
        if !core.is_life(self.key, pages.life) {
            return Err(another_life());
        }
        let healed = Healed {
            from,
            to: pages.rv,
            time_from: heard,
            time_to: core.now().hi,
            reason: if lost { format!("{reason}; its recovery was interrupted") } else { reason.to_owned() },
            recovered: outcome.recovered,
            unknown: outcome.unknown,
            lost,
            compared: true,
        };
        core.healed(self.key, healed);
        Ok(pages.rv)
    }
}

/// A watch that follows on a first list proves that the server takes it: a cache that was just built refuses lists
/// older than its own at once. Taken for a gap, every new kind would begin with one. Returns the first line, if one
/// came.
async fn prove(access: &Access, watch: &mut Watch) -> Result<Option<Bytes>, Failure> {
    const MOMENT: Duration = Duration::from_millis(250);
    let Some(line) = access.parts.timeout(MOMENT, watch.line(MOMENT * 2)).await else { return Ok(None) };
    let line = line?;
    match line.as_ref().and_then(lines::event) {
        Some(Event::Error(status)) => Err(Failure::of_event(&status)),
        _ => Ok(line),
    }
}

/// The pages of one consistent list.
struct Pages<'a> {
    access: &'a Access,
    kind: &'a Discovery,
    path: String,
    next: Option<String>,
    done: bool,
    /// Whether the page just returned was the first.
    first: bool,
    /// The list's revision, once a page was read.
    rv: Revision,
    /// The life of the counter in which it was begun.
    life: u32,
}

impl<'a> Pages<'a> {
    fn new(access: &'a Access, kind: &'a Discovery) -> Self {
        let life = access.core.lock().life(&kind.domain);
        Self { access, kind, path: path(kind), next: None, done: false, first: false, rv: 0, life }
    }

    /// The objects of the next page, with kind and version put in where the list leaves them out.
    async fn next(&mut self) -> Result<Option<Vec<(Header, Bytes)>>, Failure> {
        if self.done {
            return Ok(None);
        }
        let key = self.kind.kind_key();
        while self.access.core.lock().is_crowded() {
            self.access.core.lock().moved(&key);
            self.access.sleep(CROWDED).await;
        }
        let reached = self.access.core.lock().reached(&self.kind.domain);
        let page = self.access.page(&self.path, self.next.as_deref()).await?;
        let rv = page.rv.ok_or(Failure::Opaque)?;
        self.access.core.lock().moved(&key);
        self.first = self.rv == 0;
        if self.first {
            self.rv = rv;
            let put_back = self.access.core.lock().shown(&self.kind.domain, reached, rv, &page.when);
            self.life += u32::from(put_back.ok_or_else(another_life)?);
        }
        self.next = page.next;
        self.done = self.next.is_none();
        Ok(Some(page.items.into_iter().map(|item| typed(self.kind, item)).collect()))
    }

    /// Whether an object of the list may be recorded: that is so if it is of the life that the domain is in. If it
    /// cannot be, the next life begins.
    fn check(&self, core: &mut Core, key: &str, header: &Header) -> Result<(), Failure> {
        if !core.is_life(key, self.life) {
            return Err(another_life());
        }
        let Some(why) = core.contradiction(key, header) else { return Ok(()) };
        core.begin_life(&self.kind.domain, self.life, self.rv, &why);
        Err(another_life())
    }
}

/// Name, what is known of the object, and how the list shows it.
type Moved = (String, Option<(Box<str>, Revision)>, Option<Bytes>);

#[derive(Default)]
struct Outcome {
    recovered: u64,
    unknown: Vec<String>,
}

struct Healing<'a> {
    access: &'a Access,
    kind: &'a Discovery,
    key: &'a str,
    floor: AtomicU64,
    from: Revision,
    /// The life of the counter that the list is of.
    life: u32,
}

impl History for Healing<'_> {
    async fn at(&self, namespace: &str, name: &str, rv: Revision) -> Result<Option<Bytes>, Failure> {
        let path = path_in(self.kind, namespace);
        let page = self.access.exact(&path, &by_name(name), rv, self.from).await?;
        let Some((header, bytes)) = page.items.into_iter().next().map(|item| typed(self.kind, item)) else {
            return Ok(None);
        };
        // Beyond the cursor the history cannot hold an older version than the retained one.
        let contradicted = {
            let mut core = self.access.core.lock();
            core.moved(self.key);
            core.contradiction(self.key, &header).filter(|_| core.is_life(self.key, self.life))
        };
        if let Some(why) = contradicted {
            life::begin(self.access, self.kind, self.life, &why).await;
            return Err(another_life());
        }
        Ok(Some(bytes))
    }
}

impl Healing<'_> {
    /// Takes in what did not move and returns what did.
    fn sort(
        &mut self,
        items: Vec<(Header, Bytes)>,
        known: &mut BTreeMap<String, (Box<str>, Revision)>,
        pages: &Pages<'_>,
    ) -> Result<Vec<Moved>, Failure> {
        let mut moved = Vec::new();
        for (header, bytes) in items {
            pages.check(&mut self.access.core.lock(), self.key, &header)?;
            let name = crate::core::object_name(&header);
            let before = known.remove(&name);
            let same = before.as_ref().is_some_and(|(uid, rv)| **uid == *header.uid && Some(*rv) == header.rv);
            if same {
                let mut core = self.access.core.lock();
                let at = core.now();
                let seen = Sighting { header, bytes, source: Source::List, at, live: false };
                core.listed(self.key, &seen, pages.rv);
            } else {
                // Copied: a slice would keep its whole page in memory.
                moved.push((name, before, Some(Bytes::copy_from_slice(&bytes))));
            }
        }
        Ok(moved)
    }

    /// Whether the server has no history from the cursor on.
    async fn is_forgotten(&self) -> Result<bool, Failure> {
        match self.access.exact(&path(self.kind), "limit=1", self.from, self.from).await {
            Ok(_) => Ok(false),
            Err(Failure::Expired(_)) => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// Walks the objects that moved back to the cursor.
    async fn walk(&self, mut moved: Vec<Moved>, to: Revision, out: &mut Outcome) -> Result<(), Failure> {
        while !moved.is_empty() {
            let some = moved.drain(..moved.len().min(WALKED)).collect();
            self.walk_some(some, to, out).await?;
        }
        Ok(())
    }

    /// The same of a few, several at once.
    async fn walk_some(&self, moved: Vec<Moved>, to: Revision, out: &mut Outcome) -> Result<(), Failure> {
        let walks = moved.into_iter().map(async |(name, known, end)| {
            let (namespace, bare) = name.split_once('/').unwrap_or(("", &name));
            let known = known.as_ref().map(|(uid, rv)| (&**uid, *rv));
            let walk = Walk { namespace, name: bare, known, from: self.from, to, end };
            #[cfg(feature = "sabotage")]
            if self.access.settings.skip_heal {
                let found = walk.unwalked();
                return Ok((name, found));
            }
            let found = walk.run(self, &self.floor).await?;
            Ok::<_, Failure>((name, found))
        });
        let mut walks =
            std::pin::pin!(futures::stream::iter(walks).buffer_unordered(self.access.settings.heal_calls.max(1)));
        let mut walked = Vec::new();
        while let Some(found) = walks.next().await {
            walked.push(found?);
        }
        let defined = defined(&self.access.api, self.kind).await?;
        let mut core = self.access.core.lock();
        if !core.is_life(self.key, self.life) {
            return Err(another_life());
        }
        for (name, found) in walked {
            let complete = found.complete;
            out.recovered += core.recovered(self.key, &name, found, defined);
            out.unknown.extend((!complete).then_some(name));
        }
        Ok(())
    }
}
