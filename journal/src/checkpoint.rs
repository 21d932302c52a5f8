//! Checkpoints: the full state at a closed cut, so that reads stay bounded; and the manifest that names them.
//!
//! **Words**: `fold_from` is the lowest position that holds a row beyond the cut: a reader loads the checkpoint, goes
//! on there, and skips what the checkpoint's cut holds. The *manifest* is the numbered list of live checkpoints.
//!
//! **Invariants.**
//! 1. A checkpoint stands at a closed cut and holds exactly the rows within it [`Checkpoint::write`].
//! 2. It is found only through the manifest, or the statement of an expiry that the manifest names, which are written after it; a
//!    file without an entry is never read.
//! 3. The manifest describes the file that stands at the position, whoever wrote it [`Checkpoint::write`]. What an
//!    earlier version said of it is compared with the file first [`Manifest::start`].
//! 4. There is one file per position: while no rows come, its entry moves on with the cut and the file stays
//!    [`Checkpoint::write`].
//! 5. Objects are sorted by namespace first, and the index names each row group's first key, so that one namespace or
//!    one object is read without the rest [`Checkpoint::load`].
//! 6. Its footer holds the counts of its state ([`Counts`], JSON in `hindcast.counts`), so that counting reads no
//!    object. Older checkpoints of format 1 lack them and are counted by folding; older versions ignore them.
//!
//! Not here: when to make one (`compactor`).

mod doubt;
mod expired;
mod file;
mod late;
mod manifest;
mod whole;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Journal, Position, Result, Row,
    counts::Counts,
    cut::{Cut, CutPoint},
    error::ErrorKind,
    fold::State,
    partly,
    parts::Micros,
    row::ChainHash,
    seal::Rules,
    segment::{self, FrontierVector, Meta},
    store::Put,
};

pub(crate) use self::manifest::is_landmark;
pub(crate) use self::{
    doubt::{Doubt, Doubts},
    file::CheckpointFile,
    whole::WholeCheckpoint,
};
pub use self::{
    expired::Expired,
    late::Late,
    manifest::{Manifest, Pruner},
};

/// Objects in a row group.
const GROUP: usize = 4096;

/// The metadata key of what is counted in a checkpoint's state.
const COUNTS: &str = "counts";

/// How long the rules of sealing are waited for.
const RULES_WITHIN: Duration = Duration::from_secs(5);

/// A point of a cut, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPoint {
    incarnation: u32,
    rv: u64,
    hi: Micros,
    /// Incarnation and revision of the newest row in it. The cut is that of what was seen, which may be further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<(u32, u64)>,
}

impl StoredPoint {
    fn proven(&self) -> CutPoint {
        let (incarnation, rv) = self.row.unwrap_or((self.incarnation, self.rv));
        CutPoint { incarnation, rv }
    }
}

/// One checkpoint, as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The position of the newest row it took in; its name.
    pub pos: Position,
    /// The segment of that row.
    pub segment: u64,
    /// The lowest position that holds a row beyond the cut.
    pub fold_from: Position,
    /// The segment that position is in.
    pub fold_from_segment: u64,
    /// Objects in it.
    pub objects: u64,
    /// Its size.
    pub bytes: u64,
    /// The size of its footer, and the footer's SHA-256: what a reader of a part checks before it parses.
    pub footer: (u64, String),
    domains: BTreeMap<String, StoredPoint>,
    /// The latest moment at which a kind was let go that may still be recovered later in the log.
    #[serde(default, rename = "left", skip_serializing_if = "Option::is_none")]
    pub(crate) let_go: Option<Micros>,
    /// Whether who described it had written or read the file that stands there. Earlier versions could describe a file
    /// of theirs that is not there, so what they say is compared with the file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read: bool,
}

/// Where a checkpoint's state was taken from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The closed cut.
    pub cut: Cut,
    /// Per domain the newest point that a row tells of, and by when everything in the cut was committed.
    pub proven: BTreeMap<String, (CutPoint, Micros)>,
    /// The newest segment looked at.
    pub segment: u64,
    /// The position of the newest row looked at.
    pub last: Position,
    /// The chain value after it.
    pub chain: ChainHash,
    /// The lowest position beyond the cut, and its segment.
    pub fold_from: (Position, u64),
    /// The latest moment at which a kind was let go that had not been taken up again.
    pub let_go: Option<Micros>,
    /// The frontier of the newest segment.
    pub frontier: FrontierVector,
}

impl Checkpoint {
    /// The cut it stands at.
    pub fn cut(&self) -> Cut {
        let point = |p: &StoredPoint| CutPoint { incarnation: p.incarnation, rv: p.rv };
        Cut { domains: self.domains.iter().map(|(d, p)| (d.clone(), point(p))).collect() }
    }

    /// An earlier version left a domain out of the cut if it was not closed just then, although its objects are in the
    /// state as of the checkpoint before. Such checkpoints are recognised by points that do not name their newest row.
    fn complete(&mut self, before: &Self) {
        if self.domains.values().all(|point| point.row.is_none()) {
            for (domain, point) in &before.domains {
                self.domains.entry(domain.clone()).or_insert(*point);
            }
        }
    }

    /// The newest point of one domain that a row in it proves, and by when that was committed.
    pub(crate) fn proven(&self, domain: &str) -> Option<(CutPoint, Micros)> {
        let stored = self.domains.get(domain)?;
        Some((stored.proven(), stored.hi))
    }

    /// The cut that its rows prove, which may be less far than the cut it stands at.
    pub(crate) fn proven_cut(&self) -> Cut {
        Cut { domains: self.domains.iter().map(|(d, p)| (d.clone(), p.proven())).collect() }
    }

    /// By when everything in it was committed.
    pub fn time(&self) -> Micros {
        self.domains.values().map(|p| p.hi).max().unwrap_or(0)
    }

    /// Writes the state at `origin`'s cut and names it in the manifest.
    pub async fn write(journal: &Journal, state: &State, origin: &Origin, writer: &str, epoch: u64) -> Result<Self> {
        let manifest = Manifest::read(journal).await?;
        if let Some(newest) = manifest.checkpoints.last().filter(|newest| newest.pos == origin.last) {
            let truth = match newest.in_truth(journal).await {
                Ok(truth) => Some(truth),
                // Its file is gone, and can be written again.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if let Some(same) = truth.and_then(|truth| truth.moved(origin)) {
                Manifest::add(journal, same.clone()).await?;
                return Ok(same);
            }
        }
        let (mut checkpoint, bytes) = Self::file(journal, state, origin, writer, epoch).await?;
        let path = journal.store().layout().checkpoint(checkpoint.pos);
        if journal.store().create(&path, bytes).await? == Put::Exists {
            let standing = Self::standing_for(journal, origin).await?;
            checkpoint = standing.moved(origin).unwrap_or(standing);
        }
        Manifest::add(journal, checkpoint.clone()).await?;
        Ok(checkpoint)
    }

    /// Writes the state at an origin's cut without naming it in the manifest. `None` if the position bears the checkpoint of another
    /// cut, or a file that is none.
    pub(crate) async fn write_apart(
        journal: &Journal,
        state: &State,
        origin: &Origin,
        writer: &str,
        epoch: u64,
    ) -> Result<Option<Self>> {
        let path = journal.store().layout().checkpoint(origin.last);
        if !journal.store().exists(&path).await? {
            let (checkpoint, bytes) = Self::file(journal, state, origin, writer, epoch).await?;
            if journal.store().create(&path, bytes).await? == Put::Created {
                return Ok(Some(checkpoint));
            }
        }
        match Self::standing_for(journal, origin).await {
            Ok(standing) => {
                let described = standing.moved(origin).unwrap_or(standing);
                Ok((described.cut() == origin.cut).then_some(described))
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads its file as a whole: it holds what this describes, and nothing in it is damaged.
    pub(crate) async fn prove(&self, journal: &Journal) -> Result<()> {
        let whole = WholeCheckpoint::read(journal, self.pos).await?;
        match whole.unlike(self) {
            None => Ok(()),
            Some(what) => {
                let path = journal.store().layout().checkpoint(self.pos);
                Err(Error::corrupt(path.to_string(), format!("is of {what} than was said of it")))
            }
        }
    }

    /// The checkpoint that stands at an origin's position, if it is one: whoever wrote the file may have died before it
    /// was in the manifest. It may be of an earlier cut, and it is described as what it says it is. A file that does not
    /// serve keeps its name, and there is no checkpoint at that position.
    async fn standing_for(journal: &Journal, origin: &Origin) -> Result<Self> {
        let path = journal.store().layout().checkpoint(origin.last);
        let hint = "move that file away: it takes the name of a checkpoint, which is left out";
        let found = Self::standing(journal, origin.last).await;
        let (standing, chain) =
            found.map_err(|e| if e.kind() == ErrorKind::Corrupt { e.with_hint(hint) } else { e })?;
        if chain != origin.chain {
            let error = Error::corrupt(path.to_string(), "is a checkpoint of another log: its chain value is another");
            return Err(error.with_hint(hint));
        }
        Ok(standing)
    }

    /// The file of the state at an origin's cut, and its description.
    async fn file(
        journal: &Journal,
        state: &State,
        origin: &Origin,
        writer: &str,
        epoch: u64,
    ) -> Result<(Self, Bytes)> {
        let counts = Self::counts_of(journal, state).await;
        let mut file = segment::FileBuilder::new(9)?;
        let mut index: Vec<[String; 4]> = Vec::new();
        let mut facts = 0;
        for rows in state.facts.chunks(GROUP) {
            file.group(rows)?;
            facts += 1;
        }
        let mut rows: Vec<Row> = Vec::with_capacity(GROUP.min(state.objects.len()));
        for (key, entry) in &state.objects {
            if rows.is_empty() {
                index.push([key.namespace.clone(), key.group.clone(), key.resource.clone(), key.name.clone()]);
            }
            rows.push(entry.checkpoint_row());
            if rows.len() == GROUP {
                file.group(&rows)?;
                rows.clear();
            }
        }
        file.group(&rows)?;
        let mut checkpoint = Self {
            pos: origin.last,
            segment: origin.segment,
            fold_from: origin.fold_from.0,
            fold_from_segment: origin.fold_from.1,
            objects: state.objects.len() as u64,
            bytes: 0,
            footer: (0, String::new()),
            domains: stored(origin),
            let_go: origin.let_go,
            read: true,
        };
        let meta = Meta {
            role: "checkpoint".to_owned(),
            cluster: journal.cluster().to_owned(),
            writer: writer.to_owned(),
            epoch,
            segment: origin.segment,
            first: 1,
            last: origin.last,
            chain_before: crate::row::chain_start(journal.cluster()),
            chain_after: origin.chain,
            frontier: origin.frontier.clone(),
            time: journal.parts().clock.now(),
            extra: counts
                .map(|counts| (COUNTS.to_owned(), json(&counts)))
                .into_iter()
                .chain([
                    ("cut".to_owned(), json(&checkpoint.domains)),
                    ("fold_from".to_owned(), checkpoint.fold_from.to_string()),
                    ("fold_from_segment".to_owned(), checkpoint.fold_from_segment.to_string()),
                    ("facts".to_owned(), facts.to_string()),
                    ("index".to_owned(), json(&index)),
                    ("groups".to_owned(), json(&file.groups()?)),
                ])
                .collect(),
        };
        let bytes = file.finish(&meta)?;
        checkpoint.bytes = bytes.len() as u64;
        checkpoint.footer = partly::footer(&bytes).unwrap_or_default();
        Ok((checkpoint, bytes))
    }

    /// The counts of a state, by the newest writer's rules. If those cannot be read, or not soon, the checkpoint is
    /// written without counts, so that it still serves every other reader.
    async fn counts_of(journal: &Journal, state: &State) -> Option<Counts> {
        let rules = journal.parts().timeout(RULES_WITHIN, Rules::read(journal)).await;
        let rules =
            rules.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "meta/sealing", "took too long to read")));
        match rules {
            Ok(rules) => Some(Counts::of(state, &rules).abridged()),
            Err(error) => {
                tracing::warn!(error = %Error::causes(&error), "a checkpoint is written without counts");
                None
            }
        }
    }

    /// The same file at a later cut, if no rows have come since. An idle journal still gets segments, and this spares a
    /// reader of the newest state from reading them all.
    fn moved(&self, origin: &Origin) -> Option<Self> {
        let whole = |fold_from: Position| fold_from == self.pos + 1;
        let idle = origin.last == self.pos && whole(self.fold_from) && whole(origin.fold_from.0);
        (idle && origin.segment > self.segment).then(|| Self {
            segment: origin.segment,
            fold_from_segment: origin.fold_from.1,
            domains: stored(origin),
            ..self.clone()
        })
    }
}

/// The points of an origin's cut.
fn stored(origin: &Origin) -> BTreeMap<String, StoredPoint> {
    let points = origin.cut.domains.iter().map(|(domain, point)| {
        let proven = origin.proven.get(domain);
        let row = proven.map(|(row, _)| (row.incarnation, row.rv));
        let hi = proven.map_or(0, |(_, hi)| *hi);
        (domain.clone(), StoredPoint { incarnation: point.incarnation, rv: point.rv, hi, row })
    });
    points.collect()
}

/// JSON of what always serialises: maps and lists of strings and numbers.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers serialise")
}
