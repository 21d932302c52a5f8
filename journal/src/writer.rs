//! The one writer of a journal: claims it, commits segments, stops when it is fenced.
//!
//! **Words**: to *claim* is to commit an empty segment under a new epoch; a writer is *fenced* when another has taken
//! its next name.
//!
//! **Invariants.**
//! 1. The name is the commit: a segment is durable when, and only when, its create is known to have won.
//! 2. Exactly one segment PUT is in flight: [`Writer::stage`] refuses while one is pending.
//! 3. No verdict without evidence: after "exists", a time-out or a reset the name is read back. Our own bytes mean
//!    committed, another's mean fenced, and if nothing is there the same bytes are sent again.
//! 4. After a create that took longer than [`STALL`], or followed a pause that long, the boundary and newer segments
//!    are checked before the segment counts as durable. An idle writer does so every minute, so two names are asked
//!    for, not a listing.
//! 5. What is written of segments beside them is of durable ones alone [`Writer::bundle`].
//! 6. A claim starts looking at the newest checkpoint or the boundary, whatever lies before them.
//!
//! Not here: when to cut a segment, retrying and buffering (the watcher).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;

use crate::{
    Change, Error, Journal, Position, Result, Row,
    bundle::{Bundle, Gathering},
    checkpoint::Manifest,
    error::ErrorKind,
    facts,
    journal::{End, Segment},
    parts::Micros,
    proof::{self, Gathered, Seal, Statement, Stretch},
    row::{ChainHash, Op},
    seal::{DataKeys, Key, Place},
    segment::{self, FrontierVector, Meta},
    store::Put,
};

/// Beyond this a create is not trusted on its own word.
pub const STALL: Duration = Duration::from_secs(30);

/// How many numbers are tried for a statement: another writer may take one.
const RIVALS: usize = 3;

/// How far back a starting writer looks for writers that take the journal from one another.
const FIGHT_WINDOW: Micros = 60_000_000;

/// How many changes of hands within that time make a fight.
const FIGHT_CHANGES: usize = 3;

/// Who writes: shown to whoever is fenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Host and process, and what makes it unique.
    pub writer: String,
    /// What restarts it: host and supervising process. Two of these taking turns is a fight.
    pub instance: String,
}

impl Identity {
    fn text(&self) -> String {
        format!("{} {}", self.writer, self.instance)
    }
}

/// A committed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durable {
    /// Its number.
    pub segment: u64,
    /// First position.
    pub first: Position,
    /// Last position.
    pub last: Position,
    /// Its size.
    pub bytes: u64,
}

/// A seal that is to be staged.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The row; `None` without a key.
    pub change: Option<Change>,
    /// The number of its statement, if it has one.
    pub statement: Option<u64>,
}

/// The fenced writer of one journal.
#[derive(Debug)]
pub struct Writer {
    journal: Journal,
    identity: Identity,
    keys: Option<Arc<DataKeys>>,
    epoch: u64,
    next: u64,
    last: Position,
    chain: ChainHash,
    frontier: FrontierVector,
    pending: Option<Pending>,
    agreed: bool,
    alive: Moment,
    /// The newest boundary known: number of the fact.
    boundary: u64,
    /// Its segments since the last seal that stated any.
    stretch: Stretch,
    /// The newest knock that is answered.
    knock: u64,
    /// Its segments since the last bundle, and that, if nobody has taken it yet.
    gathering: Gathering,
    bundle: Option<Bundle>,
    #[cfg(feature = "sabotage")]
    sabotage: Sabotage,
}

/// Ways to break the commit protocol on purpose, for the simulator to prove that it would notice.
#[cfg(feature = "sabotage")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// None: the protocol as it is.
    #[default]
    None,
    /// Take "exists" and time-outs for success without reading back.
    SkipReadBack,
    /// Take a segment for durable while its PUT is still in flight, so that the next one flies beside it.
    TwoInFlight,
    /// Go on after another epoch took the name.
    IgnoreEpoch,
}

#[derive(Debug)]
struct Pending {
    meta: Meta,
    bytes: Bytes,
    /// Kept for a bundle.
    rows: Option<Vec<Row>>,
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: Micros,
    monotonic: Duration,
}

enum Stands {
    Ours,
    Other(Box<Meta>),
}

impl Writer {
    /// Takes the journal over: newest wins. `keys` seal cells; without them no change may bring a cell to seal.
    pub async fn claim(journal: &Journal, identity: Identity, keys: Option<Arc<DataKeys>>) -> Result<Self> {
        Self::take_over(journal, identity, keys, |_| {}).await
    }

    /// As [`Writer::claim`], broken on purpose.
    #[cfg(feature = "sabotage")]
    pub async fn claim_with(
        journal: &Journal,
        identity: Identity,
        keys: Option<Arc<DataKeys>>,
        sabotage: Sabotage,
    ) -> Result<Self> {
        Self::take_over(journal, identity, keys, |writer| writer.sabotage = sabotage).await
    }

    async fn take_over(
        journal: &Journal,
        identity: Identity,
        keys: Option<Arc<DataKeys>>,
        prepare: impl Fn(&mut Self),
    ) -> Result<Self> {
        let (fact, boundary) = journal.boundary_fact().await?;
        let checkpoint = Manifest::read(journal).await?.checkpoints.last().map_or(0, |c| c.segment);
        let mut after = checkpoint.max(boundary.saturating_sub(1));
        loop {
            let tail = journal.end(after).await?;
            refuse_a_fight(journal, &tail, boundary, &identity).await?;
            after = tail.segment;
            let mut writer = Self::at(journal, identity.clone(), keys.clone(), tail);
            prepare(&mut writer);
            writer.boundary = fact;
            writer.stage(Vec::new(), writer.frontier.clone()).await?;
            match writer.commit().await {
                Ok(_) => return Ok(writer),
                // Another claimed or wrote at the same moment: look again, newest wins.
                Err(e) if e.kind() == ErrorKind::Fenced => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn at(journal: &Journal, identity: Identity, keys: Option<Arc<DataKeys>>, tail: End) -> Self {
        // The newest segment is mostly the seal at the end of the run before, which nobody has stated yet.
        let mut stretch = Stretch::before(tail.segment.max(1));
        if let Some(meta) = &tail.meta {
            stretch.push(meta);
        }
        Self {
            alive: now(journal),
            journal: journal.clone(),
            identity,
            keys,
            epoch: tail.epoch + 1,
            next: tail.segment + 1,
            last: tail.last,
            chain: tail.chain,
            frontier: tail.frontier,
            pending: None,
            agreed: false,
            boundary: 0,
            knock: tail.meta.as_ref().map_or(0, |meta| meta.knock()),
            stretch,
            gathering: Gathering::default(),
            bundle: None,
            #[cfg(feature = "sabotage")]
            sabotage: Sabotage::None,
        }
    }

    /// The epoch this writer holds.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the newest segment of this writer.
    pub fn segment(&self) -> u64 {
        self.next - 1
    }

    /// The position of the last durable row.
    pub fn last(&self) -> Position {
        self.last
    }

    /// How far each domain was known with the newest segment.
    pub fn frontier(&self) -> &FrontierVector {
        &self.frontier
    }

    /// The keys it seals with, the one for new values first.
    pub fn keys(&self) -> &[Arc<Key>] {
        self.keys.as_ref().map_or(&[], |keys| keys.keys())
    }

    /// From here on, frontiers come from clocks that were compared with one another, so none is later than the moment
    /// it becomes durable, whatever this machine's clock says when a segment is made. Before this call the frontier is
    /// the one that was taken over.
    pub fn agree_on_time(&mut self) {
        self.agreed = true;
    }

    /// The segments to come answer the knocks up to one.
    pub fn answer(&mut self, knock: u64) {
        self.knock = self.knock.max(knock);
    }

    /// The newest knock that is answered.
    pub fn answered(&self) -> u64 {
        self.knock
    }

    /// Whether a segment waits for [`Writer::commit`].
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Makes the next segment of `changes`: positions are given, cells sealed, the bytes fixed.
    pub async fn stage(&mut self, changes: Vec<Change>, frontier: FrontierVector) -> Result<()> {
        if self.pending.is_some() {
            return Err(Error::internal("the writer", "a segment is pending: commit it first"));
        }
        let first = self.last + 1;
        let mut rows = Vec::with_capacity(changes.len());
        for (pos, mut change) in (first..).zip(changes) {
            self.seal_cells(pos, &mut change).await?;
            rows.push(Row { pos, change });
        }
        let mut meta = Meta {
            role: "segment".to_owned(),
            cluster: self.journal.cluster().to_owned(),
            writer: self.identity.text(),
            epoch: self.epoch,
            segment: self.next,
            first,
            last: first,
            chain_before: self.chain,
            chain_after: self.chain,
            frontier,
            time: self.journal.parts().clock.now(),
            extra: self.extra(),
        };
        let bytes = segment::encode(&mut meta, &rows)?;
        let rows = self.gathering.wants(meta.segment).then_some(rows);
        self.pending = Some(Pending { meta, bytes, rows });
        Ok(())
    }

    /// What segments say beside what all files do.
    fn extra(&self) -> BTreeMap<String, String> {
        let clock = self.agreed.then(|| (segment::CLOCK.to_owned(), segment::AGREED.to_owned()));
        let knock = (self.knock > 0).then(|| (segment::KNOCK.to_owned(), self.knock.to_string()));
        clock.into_iter().chain(knock).collect()
    }

    /// Seals the log: a signed row of how far the chain has come, as a change to stage next. `None` without a key. What was
    /// gathered of files is written as its statement first; without that, or if the store does not take it now, the
    /// seal is of the rows alone.
    pub async fn seal(&mut self, domain: &str, rv: u64, gathered: Option<&Gathered>) -> Result<Sealed> {
        let Some(key) = self.keys.as_ref().and_then(|k| k.key()).cloned() else { return Ok(Sealed::default()) };
        let time = self.journal.parts().clock.now();
        let statement = match gathered {
            Some(gathered) => self.state(&key, time, gathered).await?,
            None => None,
        };
        let number = statement.as_ref().map(|(number, _)| *number);
        let at = (self.last, &self.chain);
        let seal = Seal::sign(&key, self.journal.cluster(), at, time, statement)?;
        let mut change = Change::new(Op::Seal, domain, 0, rv);
        (change.time_lo, change.time_hi, change.body) = (time, time, facts::body(&seal)?);
        if number.is_some() {
            self.stretch = Stretch::before(self.next);
        }
        Ok(Sealed { change: Some(change), statement: number })
    }

    /// Writes the statement of a seal; its number and digest. `None` if the store does not take it for now.
    async fn state(&self, key: &Key, time: Micros, gathered: &Gathered) -> Result<Option<(u64, String)>> {
        let store = self.journal.store();
        for number in (gathered.newest + 1..).take(RIVALS) {
            let statement = Statement {
                cluster: self.journal.cluster().to_owned(),
                number,
                pos: self.last,
                chain: segment::hex(&self.chain),
                time,
                key: key.name.clone(),
                print: key.fingerprint(),
                segments: Some(self.stretch.clone()).filter(|stretch| stretch.from <= stretch.to),
                facts: gathered.facts.clone(),
                whole: gathered.whole,
                files: gathered.files.clone(),
                gone: gathered.gone.clone(),
            };
            let file = statement.to_file(key)?;
            let path = store.layout().meta(proof::SEAL, number);
            match store.create(&path, file.clone()).await {
                Ok(Put::Created) => return Ok(Some((number, segment::sha256(&file)))),
                Ok(Put::Exists) => {}
                // The next seal states the same and more.
                Err(error) if error.kind().may_pass() => {
                    tracing::warn!(%error, "a seal is without its statement of files");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Finds the data keys for these changes' values and makes those that are missing. Returns the namespaces whose
    /// values cannot be sealed, each with the error; all other changes can be staged.
    pub async fn unsealable(&self, changes: &[Change]) -> Vec<(String, Error)> {
        let Some(keys) = &self.keys else { return Vec::new() };
        let mut asked: BTreeMap<String, (&str, Micros)> = BTreeMap::new();
        let has_values = |change: &&Change| change.cells.iter().any(|cell| !cell.secret.is_empty());
        for change in changes.iter().filter(has_values) {
            if let Some(key) = keys.key() {
                let id = DataKeys::id(&change.namespace, change.time_hi, key);
                asked.insert(id, (&change.namespace, change.time_hi));
            }
        }
        let mut out = Vec::new();
        for (namespace, time) in asked.into_values() {
            if let Err(error) = keys.ready(self.journal.store(), namespace, time).await {
                out.push((namespace.to_owned(), error));
            }
        }
        out
    }

    /// Whether values of a namespace can be sealed now.
    pub async fn can_seal(&self, namespace: &str) -> bool {
        let now = self.journal.parts().clock.now();
        match &self.keys {
            Some(keys) => keys.ready(self.journal.store(), namespace, now).await.is_ok(),
            None => true,
        }
    }

    /// Whether the store answers at all: if it does not, nothing can be said about a key in it.
    pub async fn store_answers(&self) -> bool {
        let store = self.journal.store();
        store.get_opt(&store.layout().meta("probe", 1)).await.is_ok()
    }

    async fn seal_cells(&self, pos: Position, change: &mut Change) -> Result<()> {
        if change.cells.is_empty() {
            return Ok(());
        }
        let key = change.key();
        let place = Place { cluster: self.journal.cluster(), key: &key, namespace: &change.namespace };
        for cell in &mut change.cells {
            (cell.pos, cell.rv) = (pos, change.rv);
            if cell.secret.is_empty() {
                continue;
            }
            let keys = self
                .keys
                .as_ref()
                .ok_or_else(|| Error::internal("the writer", "a value to seal came without a key"))?;
            keys.seal(self.journal.store(), place, cell, change.time_hi).await?;
        }
        Ok(())
    }

    /// Commits the staged segment. On an error that [may pass](ErrorKind::may_pass) call it again: the bytes stay the
    /// same. On [`ErrorKind::Fenced`] stop.
    pub async fn commit(&mut self) -> Result<Durable> {
        let Some(pending) = &self.pending else {
            return Err(Error::internal("the writer", "nothing is staged"));
        };
        let n = pending.meta.segment;
        let started = self.alive;
        match self.put(n, &pending.bytes).await? {
            Stands::Ours => {}
            Stands::Other(meta) => return Err(self.fenced(n, &meta)),
        }
        if stalled(&self.journal, started) {
            self.check_not_passed(n).await?;
        }
        let pending = self.pending.take().expect("it was there above, and only this method takes it");
        self.alive = now(&self.journal);
        let durable = Durable {
            segment: n,
            first: pending.meta.first,
            last: pending.meta.last,
            bytes: pending.bytes.len() as u64,
        };
        self.stretch.push(&pending.meta);
        if let Some(rows) = pending.rows {
            let segment = Segment { meta: pending.meta.clone(), rows: Arc::new(rows), bytes: durable.bytes };
            self.bundle = self.gathering.add(segment);
        }
        self.next = n + 1;
        self.last = pending.meta.last;
        self.chain = pending.meta.chain_after;
        self.frontier = pending.meta.frontier;
        Ok(durable)
    }

    /// The bundle that ends with the newest segment, if there is to be one: to be written beside whatever comes next.
    pub fn bundle(&mut self) -> Option<Bundle> {
        self.bundle.take()
    }

    async fn put(&self, n: u64, bytes: &Bytes) -> Result<Stands> {
        let store = self.journal.store();
        let path = store.layout().segment(n);
        #[cfg(feature = "sabotage")]
        if self.sabotage == Sabotage::TwoInFlight {
            let (store, bytes) = (store.clone(), bytes.clone());
            tokio::spawn(async move { while store.create(&path, bytes.clone()).await.is_err() {} });
            return Ok(Stands::Ours);
        }
        let doubt = match store.create(&path, bytes.clone()).await {
            Ok(Put::Created) => return Ok(Stands::Ours),
            Ok(Put::Exists) => None,
            Err(e) if e.kind().may_pass() => Some(e),
            Err(e) => return Err(e),
        };
        #[cfg(feature = "sabotage")]
        if self.sabotage == Sabotage::SkipReadBack {
            return Ok(Stands::Ours);
        }
        match store.get_opt(&path).await? {
            Some(found) if found == *bytes => Ok(Stands::Ours),
            #[cfg(feature = "sabotage")]
            Some(_) if self.sabotage == Sabotage::IgnoreEpoch => Ok(Stands::Ours),
            Some(found) => {
                let (meta, _) = segment::open(path.as_ref(), found)?;
                segment::check_cluster(path.as_ref(), self.journal.cluster(), &meta)?;
                Ok(Stands::Other(Box::new(meta)))
            }
            None => Err(doubt.unwrap_or_else(|| {
                Error::new(ErrorKind::Unavailable, path.to_string(), "stood there, and now does not")
            })),
        }
    }

    /// A writer that slept can create a name again that was deleted below the boundary: such a create is no commit.
    async fn check_not_passed(&mut self, n: u64) -> Result<()> {
        let store = self.journal.store();
        let newer = store.exists(&store.layout().segment(n + 1)).await?;
        let moved = store.exists(&store.layout().meta("boundary", self.boundary + 1)).await?;
        if !newer && !moved {
            return Ok(());
        }
        let (fact, boundary) = self.journal.boundary_fact().await?;
        if n < boundary || newer {
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("segment {n}"),
                format!("was written after a pause in which the journal went on (boundary {boundary})"),
            ));
        }
        // The same move is not looked at again and again.
        self.boundary = fact;
        Ok(())
    }

    fn fenced(&self, n: u64, by: &Meta) -> Error {
        Error::new(
            ErrorKind::Fenced,
            "the journal",
            format!(
                "fenced by {} with epoch {} at segment {n} (this writer holds epoch {})",
                by.writer, by.epoch, self.epoch
            ),
        )
        .with_hint("another `hindcast run` has taken this journal over; do not restart this one")
    }
}

fn now(journal: &Journal) -> Moment {
    let clock = &journal.parts().clock;
    Moment { wall: clock.now(), monotonic: clock.monotonic() }
}

/// Whether more than [`STALL`] has passed by either clock: the monotonic one stops during suspend, the wall clock
/// can be set back.
fn stalled(journal: &Journal, since: Moment) -> bool {
    let now = now(journal);
    let wall = now.wall - since.wall;
    wall > STALL.as_micros() as Micros || now.monotonic.saturating_sub(since.monotonic) > STALL
}

/// Who claimed the journal lately, by epoch, as far as segments of their own tell.
async fn recent_claims(journal: &Journal, tail: &End, boundary: u64) -> Result<Vec<(u64, String)>> {
    let now = journal.parts().clock.now();
    let low = tail.segment.saturating_sub(150).max(boundary);
    let mut segments = Box::pin(journal.read(low..tail.segment + 1));
    let mut claims: Vec<(u64, String)> = Vec::new();
    while let Some(segment) = segments.next().await {
        let meta = segment?.meta;
        let instance = meta.writer.split_once(' ').map_or("", |(_, i)| i).to_owned();
        // A segment from the future was made by another clock than ours: that is no fight.
        let recent = (now - meta.time).abs() <= FIGHT_WINDOW;
        if recent && claims.last().is_none_or(|(epoch, _)| *epoch != meta.epoch) {
            claims.push((meta.epoch, instance));
        }
    }
    Ok(claims)
}

/// Refuses to start if writers of several instances keep taking the journal from one another.
async fn refuse_a_fight(journal: &Journal, tail: &End, mut boundary: u64, identity: &Identity) -> Result<()> {
    let now = journal.parts().clock.now();
    if tail.epoch < FIGHT_CHANGES as u64 || (now - tail.time).abs() > FIGHT_WINDOW {
        return Ok(());
    }
    let mut claims = loop {
        match recent_claims(journal, tail, boundary).await {
            Ok(claims) => break claims,
            // Segments that were there when the boundary was read may be removed by now.
            Err(error) => match journal.boundary().await? {
                moved if moved > boundary => boundary = moved,
                _ => return Err(error),
            },
        }
    };
    claims.push((tail.epoch + 1, identity.instance.clone()));
    let changes = claims.iter().zip(claims.iter().skip(1)).filter(|((_, a), (_, b))| a != b).count();
    if changes < FIGHT_CHANGES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Fenced,
        "the journal",
        format!("changed hands {changes} times in the last minute; last held by {}", tail.writer),
    )
    .with_hint("two `hindcast run` are restarted against one journal: stop one of them, then start again in a minute"))
}
