//! Recovery points in the bucket: a named closed cut, and the snapshots of volumes that were taken around it.
//!
//! **Words.** A point is *begun* when its intent is durable, *frozen* when its volumes are about to be asked for, *made*
//! when it says what it has. Its *id* is drawn when it is begun and is what its snapshots bear. Who works at a point
//! *holds* it for a while.
//!
//! **Format.** Under `points/<name>/`, each JSON, written once, create-if-absent:
//!
//! | object | says | when |
//! |---|---|---|
//! | `begin` | [`Begin`]: id, scope, what is to be taken and which hooks will run | before anything is done |
//! | `hold-<n>` | [`Hold`]: who works at it and until when; the newest number is the value | from then on, renewed |
//! | `frozen` | [`Frozen`]: the revision before its volumes | after the pre-hooks, before any driver is asked |
//! | `point` | [`Point`]: the point itself | when it is made, also if it failed |
//! | `delete` | [`Deletion`]: who wants it gone, and why | before its snapshots are deleted |
//! | `deleted` | that nothing of it is left in any storage system | after that |
//!
//! **Invariants.**
//! 1. What a driver is asked for is in `begin`: nothing is made that the bucket does not know of [`Points::begin`].
//! 2. The first `point` is the point: who comes second reads what stands ([`Points::make`]).
//! 3. A name belongs to one point until that one's snapshots are gone and its objects are removed [`Points::remove`],
//!    `deleted` last: a folder that holds it holds no point.
//! 4. A hold is taken by creating the next number, so two never have it at once; one that has run out can be taken
//!    [`Points::hold`].
//! 5. Listing tells names and stages without reading one object [`Points::list`].
//!
//! Not here: making or deleting one (`snapshotter`), what restores make of it (`restorer`), which are kept.

mod name;
mod objects;
mod volume;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::objects::SKEW;
pub use self::{
    name::{LATEST, check_name},
    objects::{
        About, Begin, Deletion, Frozen, Hold, Hook, Left, OnError, Phase, Point, PointScope, PointState, PointVolume,
        Ran, Volumes,
    },
    volume::{Group, Mounted, Order, Tag, Taken, Volume, tags},
};
use crate::{
    Error, Result,
    error::ErrorKind,
    parts::Micros,
    store::{Put, Store},
};

/// The format of what is written here.
pub const FORMAT: u32 = 1;

/// Points read at once.
const AT_ONCE: usize = 16;

/// How far a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Being made.
    Begun,
    /// Being made; its volumes may have been asked for.
    Frozen,
    /// Made.
    Made,
    /// Its snapshots are being deleted.
    Deleting,
    /// Nothing of it is left but some of its objects.
    Deleted,
}

/// A point in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub stage: Stage,
    /// The number of the newest hold.
    pub hold: u64,
}

/// What tells a journal's points from those of another journal of the same cluster: half of each id.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Own {
    points: String,
}

/// The points of a journal.
#[derive(Debug, Clone)]
pub struct Points {
    store: Store,
}

impl Points {
    /// Those in the folder of a journal.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// An id for a new point. It begins with what is this journal's own, drawn with its first point and kept as
    /// `meta/points/1`: two journals may protect one cluster, and neither may take the other's snapshots for leaks.
    pub async fn draw(&self) -> Result<String> {
        let random = self.store.parts().random.next_u64();
        if let Some(own) = self.own_ids().await? {
            return Ok(format!("{own}{random:016x}"));
        }
        let own = Own { points: format!("{:016x}", self.store.parts().random.next_u64()) };
        let json = serde_json::to_vec(&own).map_err(|e| Error::internal("meta/points/1", e.to_string()))?;
        self.store.create(&self.store.layout().meta("points", 1), Bytes::from(json)).await?;
        // Another process may have been first: what stands counts.
        let own = self.own_ids().await?;
        let own = own.ok_or_else(|| Error::not_found("meta/points/1", "was removed while it was written"))?;
        Ok(format!("{own}{random:016x}"))
    }

    /// What the ids of this journal's points begin with; `None` as long as it never had one.
    pub async fn own_ids(&self) -> Result<Option<String>> {
        let path = self.store.layout().meta("points", 1);
        let Some(bytes) = self.store.get_opt(&path).await? else { return Ok(None) };
        let own: Own = serde_json::from_slice(&bytes).map_err(|e| Error::corrupt(path.to_string(), e.to_string()))?;
        if own.points.len() != 16 || !own.points.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::corrupt(path.to_string(), "is not what tells this journal's points from others'"));
        }
        Ok(Some(own.points))
    }

    /// All of them, by name.
    pub async fn list(&self) -> Result<Vec<Listed>> {
        let folder = self.store.layout().points();
        let mut all: BTreeMap<String, Listed> = BTreeMap::new();
        for found in self.store.list(&folder, None).await? {
            let Some(mut below) = found.path.prefix_match(&folder) else { continue };
            let (Some(name), Some(object), None) = (below.next(), below.next(), below.next()) else { continue };
            let name = name.as_ref().to_owned();
            let fresh = Listed { name: name.clone(), stage: Stage::Begun, hold: 0 };
            let listed = all.entry(name).or_insert(fresh);
            let stage = match object.as_ref() {
                "frozen" => Stage::Frozen,
                "point" => Stage::Made,
                "delete" => Stage::Deleting,
                "deleted" => Stage::Deleted,
                _ => Stage::Begun,
            };
            listed.stage = listed.stage.max(stage);
            listed.hold = listed.hold.max(hold_number(&found.path).unwrap_or(0));
        }
        Ok(all.into_values().collect())
    }

    /// Those that are made and not being deleted, oldest moment first. One that cannot be read is an error beside the
    /// others, never a reason to have none.
    pub async fn made(&self) -> Result<(Vec<Point>, Vec<Error>)> {
        let listed = self.list().await?;
        let made = listed.into_iter().filter(|point| point.stage == Stage::Made);
        let read = made.map(async |listed| self.read(&listed.name).await);
        let mut stream = stream::iter(read).buffered(AT_ONCE);
        let (mut points, mut errors) = (Vec::new(), Vec::new());
        while let Some(read) = stream.next().await {
            match read {
                Ok(Some(point)) => points.push(point),
                // It was deleted since it was listed.
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => errors.push(error),
                Err(error) => return Err(error),
            }
        }
        points.sort_by(|a, b| (a.about.began, &a.about.name).cmp(&(b.about.began, &b.about.name)));
        Ok((points, errors))
    }

    /// The point of that name, if it is made.
    pub async fn read(&self, name: &str) -> Result<Option<Point>> {
        check_name(name)?;
        self.parsed(name, "point").await
    }

    /// The point that a name is a moment of: its own, or with [`LATEST`] the newest one that is complete, or the newest at all
    /// that can be restored from; behind a schedule and a slash, of that schedule.
    pub async fn named(&self, name: &str) -> Result<Point> {
        let schedule = match name.rsplit_once('/') {
            None if name == LATEST => None,
            Some((schedule, LATEST)) => Some(schedule),
            _ => return self.own(name).await,
        };
        let (points, mut errors) = self.made().await?;
        let of = |point: &&Point| point.is_usable() && schedule.is_none_or(|schedule| point.about.schedule == schedule);
        let newest = points.iter().filter(of).max_by_key(|point| (point.state, point.time));
        if let Some(newest) = newest {
            return Ok(newest.clone());
        }
        if let Some(error) = errors.pop() {
            return Err(error);
        }
        let reason = match schedule {
            Some(schedule) => format!("no recovery point of the schedule {schedule} was made yet"),
            None => "no recovery point was made yet".to_owned(),
        };
        Err(Error::not_found(format!("point:{name}"), reason).with_hint("`hindcast point list` shows what there is"))
    }

    async fn own(&self, name: &str) -> Result<Point> {
        let listed = self.list().await?;
        let what = format!("point:{name}");
        let missing =
            |reason: &str| Err(Error::not_found(&what, reason).with_hint("`hindcast point list` shows what there is"));
        check_name(name)?;
        let Some(found) = listed.iter().find(|listed| listed.name == name) else {
            let near = listed.iter().map(|listed| listed.name.as_str()).filter(|known| known.starts_with(name)).take(3);
            let near: Vec<&str> = near.collect();
            return match near.is_empty() {
                true => missing("there is no recovery point of that name"),
                false => missing(&format!("there is no recovery point of that name; there is {}", near.join(", "))),
            };
        };
        match found.stage {
            Stage::Begun | Stage::Frozen => missing("is being made"),
            Stage::Deleting | Stage::Deleted => missing("is being deleted"),
            Stage::Made => match self.read(name).await? {
                None => missing("was deleted just now"),
                Some(point) if !point.is_usable() => {
                    let why = point.missing.first().map_or("nothing is known of why", String::as_str);
                    missing(&format!("failed: {why}"))
                }
                Some(point) => Ok(point),
            },
        }
    }

    /// Writes the intent of a point; the name must be free.
    pub async fn begin(&self, begin: &Begin) -> Result<()> {
        check_name(&begin.about.name)?;
        // What is left of a deleted one of that name would be read as that point's.
        let folder = self.store.layout().points().join(begin.about.name.as_str());
        let stands = self.store.list(&folder, None).await?;
        if stands.is_empty() && self.write(&begin.about.name, "begin", begin).await? == Put::Created {
            return Ok(());
        }
        let own = self.intent(&begin.about.name).await?;
        if own.is_some_and(|stands| stands.about.id == begin.about.id) {
            // The answer to the first try was lost.
            return Ok(());
        }
        Err(Error::invalid(format!("point {}", begin.about.name), "there is a recovery point of that name")
            .with_hint("choose another name, or delete that one first"))
    }

    /// The intent of a point.
    pub async fn intent(&self, name: &str) -> Result<Option<Begin>> {
        self.parsed(name, "begin").await
    }

    /// Says what the cluster had come to, before the first volume is asked for. What stands, stands.
    pub async fn freeze(&self, name: &str, frozen: &Frozen) -> Result<Frozen> {
        self.first(name, "frozen", frozen).await
    }

    /// What the cluster had come to, if that was said.
    pub async fn frozen(&self, name: &str) -> Result<Option<Frozen>> {
        self.parsed(name, "frozen").await
    }

    /// Makes the point, and gives the one that stands: another process may have been first.
    pub async fn make(&self, point: &Point) -> Result<Point> {
        self.first(&point.about.name, "point", point).await
    }

    /// Says that a point is to go; from then on it is none.
    pub async fn condemn(&self, name: &str, deletion: &Deletion) -> Result<Deletion> {
        self.first(name, "delete", deletion).await
    }

    /// Why a point goes, if it does.
    pub async fn condemned(&self, name: &str) -> Result<Option<Deletion>> {
        self.parsed(name, "delete").await
    }

    /// Says that nothing of a point is left in any storage system, and removes its objects. A store that does not let
    /// them be removed keeps them, and the name stays taken.
    pub async fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let time = self.store.parts().clock.now();
        self.write(name, "deleted", &Deletion { time, why: String::new() }).await?;
        let folder = self.store.layout().points().join(name);
        let last = self.path(name, "deleted");
        let all = self.store.list(&folder, None).await?;
        let others = all.into_iter().map(|listed| listed.path).filter(|path| *path != last);
        let removed = async {
            let removals = stream::iter(others.map(async |path| self.store.remove(&path).await));
            removals.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
            self.store.remove(&last).await
        };
        match removed.await {
            Err(error) if error.kind() == ErrorKind::Denied => Ok(()),
            done => done,
        }
    }

    /// Takes hold of a point for a while. `None` if another process has it.
    pub async fn hold(&self, name: &str, by: &str, during: Duration) -> Result<Option<Hold>> {
        let folder = self.store.layout().points().join(name);
        loop {
            let listed = self.store.list(&folder, None).await?;
            let number = listed.iter().filter_map(|listed| hold_number(&listed.path)).max().unwrap_or(0);
            if number > 0 {
                let newest: Option<Hold> = self.parsed(name, &hold_name(number)).await?;
                let now = self.store.parts().clock.now();
                if newest.is_some_and(|hold| hold.by != by && hold.lasts(now)) {
                    return Ok(None);
                }
            }
            // Another process may take the number first; then its hold counts.
            if let Some(held) = self.take(name, by, number + 1, during).await? {
                return Ok(Some(held));
            }
        }
    }

    /// Renews a hold for a while. `None` if it was lost: it had run out, and another process has taken it.
    pub async fn renew(&self, name: &str, hold: &Hold, during: Duration) -> Result<Option<Hold>> {
        let number = hold.number + 1;
        if let Some(held) = self.take(name, &hold.by, number, during).await? {
            return Ok(Some(held));
        }
        // The answer to an earlier try may have been lost.
        let stands: Option<Hold> = self.parsed(name, &hold_name(number)).await?;
        Ok(stands.filter(|stands| stands.by == hold.by).map(|stands| Hold { number, ..stands }))
    }

    /// Creates a hold of that number, unless one stands.
    async fn take(&self, name: &str, by: &str, number: u64, during: Duration) -> Result<Option<Hold>> {
        let until = self.store.parts().clock.now().saturating_add(during.as_micros() as Micros);
        let hold = Hold { by: by.to_owned(), until, number };
        Ok((self.write(name, &hold_name(number), &hold).await? == Put::Created).then_some(hold))
    }

    /// Whether the intent of a point stands.
    pub async fn is_there(&self, name: &str) -> Result<bool> {
        self.store.exists(&self.path(name, "begin")).await
    }

    /// Lets go of a point that `by` holds.
    pub async fn release(&self, name: &str, hold: &Hold) -> Result<()> {
        let free = Hold { by: hold.by.clone(), until: 0, number: hold.number + 1 };
        self.write(name, &hold_name(free.number), &free).await.map(|_| ())
    }

    /// Whether nobody holds a point whose newest hold has that number.
    pub async fn is_free(&self, name: &str, hold: u64) -> Result<bool> {
        if hold == 0 {
            // Between the intent and the first hold is a moment; a process that died in it leaves none.
            let begun = self.intent(name).await?.map_or(0, |begin| begin.about.began);
            return Ok(begun.saturating_add(2 * SKEW) < self.store.parts().clock.now());
        }
        let newest: Option<Hold> = self.parsed(name, &hold_name(hold)).await?;
        let now = self.store.parts().clock.now();
        Ok(newest.is_none_or(|hold| !hold.lasts(now)))
    }

    fn path(&self, name: &str, object: &str) -> Path {
        self.store.layout().points().join(name).join(object)
    }

    async fn write(&self, name: &str, object: &str, value: &impl Serialize) -> Result<Put> {
        let path = self.path(name, object);
        let json = serde_json::to_vec_pretty(value)
            .map_err(|e| Error::internal(path.to_string(), "cannot be written").with_source(e))?;
        self.store.create(&path, Bytes::from(json)).await
    }

    /// Writes an object unless it stands, and gives what stands.
    async fn first<T: Serialize + DeserializeOwned + Clone>(&self, name: &str, object: &str, value: &T) -> Result<T> {
        check_name(name)?;
        if self.write(name, object, value).await? == Put::Created {
            return Ok(value.clone());
        }
        let stands = self.parsed(name, object).await?;
        stands.ok_or_else(|| Error::not_found(format!("point {name}"), "was removed while it was written"))
    }

    async fn parsed<T: DeserializeOwned>(&self, name: &str, object: &str) -> Result<Option<T>> {
        let path = self.path(name, object);
        let Some(bytes) = self.store.get_opt(&path).await? else { return Ok(None) };
        #[derive(Deserialize)]
        struct Format {
            #[serde(default = "first_format")]
            format: u32,
        }
        let refused = |e: serde_json::Error| {
            Error::corrupt(path.to_string(), format!("is not what is written there: {e}"))
                .with_hint("restore this object from a copy of the bucket, or delete the recovery point")
        };
        let format: Format = serde_json::from_slice(&bytes).map_err(refused)?;
        if format.format > FORMAT {
            let reason = format!("is of format {}, this version reads up to {FORMAT}", format.format);
            return Err(Error::corrupt(path.to_string(), reason).with_hint("use a newer version of Hindcast"));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(refused)
    }
}

fn first_format() -> u32 {
    FORMAT
}

fn hold_name(number: u64) -> String {
    format!("hold-{number:06}")
}

fn hold_number(path: &Path) -> Option<u64> {
    path.filename()?.strip_prefix("hold-")?.parse().ok()
}
