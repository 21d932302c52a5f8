//! The repository: opened, filled, read, and cleared of what nobody keeps.
//!
//! The library of the format works in threads and waits there, so all of it is carried out beside the runtime; if it panics,
//! as it does where a disk is full, that is an error like any other.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytesize::ByteSize;
use hindcast_journal::{
    Error, Parts, Result,
    error::ErrorKind,
    parts::Micros,
    store::{Files, Store},
};
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, KeyOptions, LocalDestination, LsOptions, Open, OpenStatus, PruneOptions,
    RepositoryBackends, RepositoryOptions, RestoreOptions, SnapshotOptions, StringList,
    jiff::{Span, Timestamp, tz::TimeZone},
    repofile::{KeyFile, SnapshotFile, SnapshotId},
};
use serde::{Deserialize, Serialize};

use crate::{
    adopt::adopt,
    backend::{Bucket, convert},
    check::{Root, differences},
    key::Key,
    meter::{Bars, Meter},
    source::Tree,
};

type Opened = rustic_core::Repository<OpenStatus>;

/// How large packs are, in MiB, as `restic` has it: what a run that is killed may lose of its work.
const PACK: u64 = 16;

/// The tag of a snapshot that does not count yet.
const BEGUN: &str = "begun";

/// What a snapshot bears.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// The id of the recovery point.
    pub point: String,
    /// Its name.
    pub name: String,
    /// The volume's number in it.
    pub index: u32,
    /// `namespace/claim`. The newest snapshot of the same one is what a new one is compared with.
    pub claim: String,
}

impl Marks {
    fn tags(&self) -> [String; 3] {
        [format!("point:{}", self.point), format!("volume:{}", self.index), format!("name:{}", self.name)]
    }

    /// Whether a snapshot bears them; the name of the point is for people.
    fn are_on(&self, snapshot: &SnapshotFile) -> bool {
        let [point, volume, _] = self.tags();
        snapshot.tags.contains(&point) && snapshot.tags.contains(&volume)
    }

    fn of(snapshot: &SnapshotFile) -> Option<Self> {
        let tag = |name: &str| snapshot.tags.iter().find_map(|tag| tag.strip_prefix(name));
        let (point, index) = (tag("point:")?.to_owned(), tag("volume:")?.parse().ok()?);
        let name = tag("name:").unwrap_or_default().to_owned();
        Some(Self { point, name, index, claim: snapshot.label.clone() })
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its id, with which `restic` names it, too.
    pub id: String,
    /// What it bears.
    pub marks: Marks,
    /// When it was begun.
    pub time: Micros,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that the repository grew by for it.
    pub added: u64,
    /// What could not be read, with the reasons.
    pub missed: Vec<String>,
}

/// What stands in a snapshot's description.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Note {
    root: Root,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missed: Vec<String>,
}

impl Note {
    fn of(snapshot: &SnapshotFile) -> Option<Self> {
        serde_json::from_str(snapshot.description.as_deref()?).ok()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that stood there already.
    pub matched: u64,
    /// Entries of the target that are not in the snapshot; they are left.
    pub additional: u64,
    /// In what it is not what was kept.
    pub differs: Vec<String>,
}

/// What clearing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Bytes of packs that were removed.
    pub removed: u64,
    /// Bytes of packs that are marked and will be, when their grace is over.
    pub marked: u64,
    /// Bytes that snapshots use.
    pub used: u64,
}

/// A journal's repository of files.
#[derive(Debug, Clone)]
pub struct Repository {
    files: Files,
    cluster: String,
    keys: Vec<Key>,
    parts: Parts,
}

impl Repository {
    /// The one beside a journal. The newest key first, as in the key file; one is enough, if it has opened it before.
    pub fn new(store: &Store, keys: Vec<Key>) -> Self {
        let cluster = store.layout().root().filename().unwrap_or_default().to_owned();
        Self { files: Files::new(store), cluster, keys, parts: store.parts().clone() }
    }

    /// Keeps the tree below a folder: what the repository does not have yet is sent. If a snapshot bears these marks, it is
    /// that one.
    pub async fn backup(&self, source: &Path, marks: &Marks, meter: &Arc<Meter>) -> Result<Kept> {
        let what = format!("files of {}", marks.claim);
        let root = Root::of(source).map_err(|error| {
            Error::not_found(&what, format!("{}: {error}", source.display())).with_hint("check where it is mounted")
        })?;
        let (here, source, marks) = (self.clone(), source.to_owned(), marks.clone());
        self.beside(&what.clone(), meter, move |bucket, bars| here.keep(&what, &bucket, &bars, &source, root, &marks))
            .await
    }

    fn keep(&self, what: &str, bucket: &Bucket, bars: &Bars, source: &Path, root: Root, marks: &Marks) -> Result<Kept> {
        let failed = |error: Box<rustic_core::RusticError>| convert(what, &error);
        let repository = self.open(what, bucket, bars, true)?;
        if let Some(kept) = find(&repository, marks).map_err(failed)? {
            return Ok(kept);
        }
        let adopted = adopt(&repository, bucket, &options()).map_err(failed)?;
        if adopted > 0 {
            tracing::info!(packs = adopted, "packs of an earlier run that did not end are used");
        }
        let tree = Tree::new(source).map_err(failed)?;
        let missed = tree.missed.clone();
        let time = Timestamp::from_microsecond(self.parts.clock.now()).unwrap_or_default().to_zoned(TimeZone::UTC);
        let snapshot = SnapshotOptions::default()
            .host(self.cluster.clone())
            .label(marks.claim.clone())
            .time(time)
            .command("hindcast mover backup".to_owned())
            .description(Note { root, missed: Vec::new() }.text())
            .add_tags(&[marks.tags().join(","), BEGUN.to_owned()].join(","));
        let snapshot = snapshot.and_then(|options| options.to_snapshot()).map_err(failed)?;
        let options = BackupOptions::default().as_path(PathBuf::from("/"));
        let indexed = repository.to_indexed_ids().map_err(failed)?;
        let mut made = indexed.archive(&options, &tree, snapshot, &[source.to_owned()]).map_err(failed)?;
        // Now it is known what could not be read, and it counts from here on.
        made.remove_tags(&[BEGUN.parse::<StringList>().unwrap_or_default()]);
        made.description = Some(Note { root, missed: missed.all() }.text());
        indexed.save_snapshots(vec![made]).map_err(failed)?;
        let all = indexed.get_all_snapshots().map_err(failed)?;
        let begun = all.iter().filter(|snapshot| marks.are_on(snapshot) && snapshot.tags.contains(BEGUN));
        let begun: Vec<SnapshotId> = begun.map(|snapshot| snapshot.id).collect();
        indexed.delete_snapshots(&begun).map_err(failed)?;
        find(&indexed, marks)
            .map_err(failed)?
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, what, "it was kept, and is not there"))
    }

    /// Puts a snapshot back into a folder, with owners, modes, times and attributes. What stands there already with the same
    /// content is not written again; what is not in the snapshot stays.
    pub async fn restore(&self, id: &str, target: &Path, meter: &Arc<Meter>) -> Result<Restored> {
        let what = format!("files of the snapshot {id}");
        let (here, id, target) = (self.clone(), id.to_owned(), target.to_owned());
        self.beside(&what.clone(), meter, move |bucket, bars| {
            let repository = here.open(&what, &bucket, &bars, false)?;
            put_back(&what, repository, &id, &target)
        })
        .await
    }

    /// The snapshots, those of a point if one is named, oldest first.
    pub async fn list(&self, point: Option<&str>) -> Result<Vec<Kept>> {
        const WHAT: &str = "snapshots of files";
        let (here, point) = (self.clone(), point.map(str::to_owned));
        self.beside(WHAT, &Meter::new(self.parts.clone()), move |bucket, bars| {
            let Some(repository) = here.open_if_there(WHAT, &bucket, &bars)? else { return Ok(Vec::new()) };
            let all = repository.get_all_snapshots().map_err(|error| convert(WHAT, &error))?;
            let mut all: Vec<Kept> = all.iter().filter_map(kept).collect();
            all.retain(|kept| point.as_ref().is_none_or(|point| kept.marks.point == *point));
            all.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
            Ok(all)
        })
        .await
    }

    /// A snapshot, if it is there and counts.
    pub async fn one(&self, id: &str) -> Result<Option<Kept>> {
        let what = format!("files of the snapshot {id}");
        let (here, id) = (self.clone(), id.to_owned());
        self.beside(&what.clone(), &Meter::new(self.parts.clone()), move |bucket, bars| {
            let Some(repository) = here.open_if_there(&what, &bucket, &bars)? else { return Ok(None) };
            Ok(single(&repository, &what, &id)?.as_ref().and_then(kept))
        })
        .await
    }

    /// Has the newest key open it too, where files were kept; whether there are any.
    pub async fn admit(&self) -> Result<bool> {
        const WHAT: &str = "the repository of files";
        let here = self.clone();
        self.beside(WHAT, &Meter::new(self.parts.clone()), move |bucket, bars| {
            match here.open_if_there(WHAT, &bucket, &bars)? {
                None => Ok(false),
                Some(_) => here.open(WHAT, &bucket, &bars, true).map(|_| true),
            }
        })
        .await
    }

    /// Gives snapshots up; one that is not there is given up. What only they held goes with [`Repository::prune`].
    pub async fn forget(&self, ids: &[String]) -> Result<()> {
        const WHAT: &str = "snapshots of files that are given up";
        let parsed = ids.iter().map(|id| {
            id.parse::<SnapshotId>()
                .map_err(|_| Error::invalid(format!("snapshot {id}"), "is not 64 hexadecimal digits"))
        });
        let ids = parsed.collect::<Result<Vec<_>>>()?;
        let here = self.clone();
        self.beside(WHAT, &Meter::new(self.parts.clone()), move |bucket, bars| {
            let repository = here.open(WHAT, &bucket, &bars, false)?;
            repository.delete_snapshots(&ids).map_err(|error| convert(WHAT, &error))
        })
        .await
    }

    /// Gives up all that was kept of a volume of a point, also what was only begun.
    pub async fn give_up(&self, point: &str, index: u32) -> Result<()> {
        const WHAT: &str = "snapshots of files that are given up";
        let here = self.clone();
        let marks = Marks { point: point.to_owned(), index, ..Marks::default() };
        self.beside(WHAT, &Meter::new(self.parts.clone()), move |bucket, bars| {
            let failed = |error: Box<rustic_core::RusticError>| convert(WHAT, &error);
            let Some(repository) = here.open_if_there(WHAT, &bucket, &bars)? else { return Ok(()) };
            let all = repository.get_all_snapshots().map_err(failed)?;
            let ids: Vec<SnapshotId> = all.iter().filter(|found| marks.are_on(found)).map(|found| found.id).collect();
            repository.delete_snapshots(&ids).map_err(failed)
        })
        .await
    }

    /// Marks what no snapshot holds, and removes what was marked longer ago than the grace, which has to be longer than any
    /// run takes. Only one may clear at a time.
    pub async fn prune(&self, grace: Duration) -> Result<Pruned> {
        const WHAT: &str = "clearing of the repository of files";
        let here = self.clone();
        self.beside(WHAT, &Meter::new(self.parts.clone()), move |bucket, bars| {
            let failed = |error: Box<rustic_core::RusticError>| convert(WHAT, &error);
            let repository = here.open(WHAT, &bucket, &bars, false)?;
            let grace = Span::new().try_seconds(grace.as_secs() as i64).unwrap_or_default();
            let options = PruneOptions::default().keep_delete(grace);
            let plan = repository.prune_plan(&options).map_err(failed)?;
            let deleted = plan.stats.size_to_delete;
            let sizes = plan.stats.size_sum();
            let marked = deleted.keep + sizes.remove + sizes.repackrm + plan.stats.size_unref;
            let pruned = Pruned { removed: deleted.remove, marked, used: sizes.used };
            repository.prune(&options, plan).map_err(failed)?;
            Ok(pruned)
        })
        .await
    }

    /// Carries work out beside the runtime.
    async fn beside<T: Send + 'static>(
        &self,
        what: &str,
        meter: &Arc<Meter>,
        work: impl FnOnce(Bucket, Bars) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let bucket = Bucket::new(self.files.clone(), Arc::clone(&meter.line));
        let bars = Bars(Arc::clone(meter));
        tokio::task::spawn_blocking(move || work(bucket, bars)).await.unwrap_or_else(|error| {
            let Ok(said) = error.try_into_panic() else {
                return Err(Error::new(ErrorKind::Unavailable, what, "the process ends"));
            };
            let text = said.downcast_ref::<String>().cloned();
            let text = text.or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Error::new(ErrorKind::Refused, what, text.unwrap_or_else(|| "it broke off".to_owned())).with_hint(
                "check the room and the rights on both sides, then do it again: what is done is not done twice",
            ))
        })
    }

    /// Opens it; nothing if no files were ever kept.
    fn open_if_there(&self, what: &str, bucket: &Bucket, bars: &Bars) -> Result<Option<Opened>> {
        match self.open(what, bucket, bars, false) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens it; makes it, if it is not there and is to be.
    fn open(&self, what: &str, bucket: &Bucket, bars: &Bars, make: bool) -> Result<Opened> {
        let Some(newest) = self.keys.first() else {
            let error = Error::invalid(what, "the repository of files has no key");
            return Err(error.with_hint("name the journal's key file: --key-file, or HINDCAST_KEY_FILE"));
        };
        let failed = |error: Box<rustic_core::RusticError>| convert(what, &error);
        let fresh = || {
            let backends = RepositoryBackends::new(Arc::new(bucket.clone()), None);
            rustic_core::Repository::new_with_progress(&options(), &backends, bars.clone()).map_err(failed)
        };
        if fresh()?.config_id().map_err(failed)?.is_none() {
            if !make {
                return Err(Error::not_found(what, "no files were kept in this journal's folder"));
            }
            let config = ConfigOptions::default()
                .set_datapack_size(ByteSize::mib(PACK))
                .set_datapack_growfactor(0_u32)
                .set_treepack_size(ByteSize::mib(4))
                .set_treepack_growfactor(0_u32);
            let made = fresh()?.init(&Credentials::Masterkey(newest.master()), &KeyOptions::default(), &config);
            match made.map_err(failed) {
                Err(error) if error.kind() != ErrorKind::Fenced => return Err(error),
                // Another one was first: it is opened like any that is there.
                _ => {}
            }
        }
        let keys = key_files(&fresh()?, bucket).map_err(failed)?;
        let named = |key: &Key| keys.iter().any(|file| file.username == Some(key.print()));
        let masters = self.keys.iter().map(|key| Credentials::Masterkey(key.master()));
        let passwords = self.keys.iter().filter(|key| named(key)).map(|key| Credentials::Password(key.password()));
        for credentials in masters.chain(passwords) {
            let opened = match fresh()?.open(&credentials).map_err(failed) {
                Ok(opened) => opened,
                // Another key made it.
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => continue,
                Err(error) => return Err(error),
            };
            if make && !named(newest) {
                let bears = KeyOptions::default().hostname("hindcast".to_owned()).username(newest.print());
                opened.add_key(&newest.password(), &bears.with_created(true)).map_err(failed)?;
            }
            return Ok(opened);
        }
        let error = Error::invalid(what, "no key at hand opens the repository of files");
        Err(error.with_hint("give the key file that it was made with; keys are added to a key file, never taken out"))
    }
}

/// No cache: what moves data is a Pod of one run.
fn options() -> RepositoryOptions {
    RepositoryOptions::default().no_cache(true)
}

fn key_files<S>(repository: &rustic_core::Repository<S>, bucket: &Bucket) -> rustic_core::RusticResult<Vec<KeyFile>> {
    use rustic_core::{FileType, ReadBackend as _, repofile::KeyId};
    let ids = repository.list::<KeyId>()?;
    let read = ids.map(|id| bucket.read_full(FileType::Key, &id));
    let read = read.collect::<rustic_core::RusticResult<Vec<_>>>()?;
    Ok(read.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect())
}

/// The snapshot that bears these marks and counts.
fn find<S: Open>(repository: &rustic_core::Repository<S>, marks: &Marks) -> rustic_core::RusticResult<Option<Kept>> {
    let all = repository.get_all_snapshots()?;
    let mut found: Vec<Kept> = all.iter().filter(|snapshot| marks.are_on(snapshot)).filter_map(kept).collect();
    // Of several, which only runs at one time can have made, the first.
    found.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Ok(found.into_iter().next())
}

/// The snapshot of an id, read alone.
fn single(repository: &Opened, what: &str, id: &str) -> Result<Option<SnapshotFile>> {
    let failed = |error: Box<rustic_core::RusticError>| convert(what, &error);
    let id: SnapshotId = id.parse().map_err(|_| Error::invalid(what, "its id is not 64 hexadecimal digits"))?;
    let mut ids = repository.list::<SnapshotId>().map_err(failed)?;
    if !ids.any(|found| found == id) {
        return Ok(None);
    }
    let mut found = repository.get_snapshots(&[id.to_hex().as_str()]).map_err(failed)?;
    Ok(found.pop())
}

/// What is known of a snapshot; `None` of one that does not count or is not ours.
fn kept(snapshot: &SnapshotFile) -> Option<Kept> {
    if snapshot.tags.contains(BEGUN) {
        return None;
    }
    let summary = snapshot.summary.as_ref();
    Some(Kept {
        id: snapshot.id.to_hex().as_str().to_owned(),
        marks: Marks::of(snapshot)?,
        time: snapshot.time.timestamp().as_microsecond(),
        files: summary.map_or(0, |summary| summary.total_files_processed),
        bytes: summary.map_or(0, |summary| summary.total_bytes_processed),
        added: summary.map_or(0, |summary| summary.data_added_packed),
        missed: Note::of(snapshot)?.missed,
    })
}

fn put_back(what: &str, repository: Opened, id: &str, target: &Path) -> Result<Restored> {
    let failed = |error: Box<rustic_core::RusticError>| convert(what, &error);
    let snapshot = single(&repository, what, id)?;
    let snapshot = snapshot.ok_or_else(|| Error::not_found(what, "there is none of this id"))?;
    let repository = repository.to_indexed().map_err(failed)?;
    let root = repository.node_from_snapshot_and_path(&snapshot, "").map_err(failed)?;
    let entries = repository.ls(&root, &LsOptions::default().recursive(true)).map_err(failed)?;
    let refused = |error: Box<rustic_core::RusticError>| {
        let reason = format!("{}: {}", target.display(), Error::causes(&*error));
        Error::new(ErrorKind::Refused, what, reason)
    };
    let place = LocalDestination::new(&target.to_string_lossy(), true, false).map_err(refused)?;
    let mut options = RestoreOptions::default().numeric_id(true).verify_existing(true);
    let plan = repository.prepare_restore(&options, entries.clone(), &place, false).map_err(failed)?;
    let (written, matched) = (plan.restore_size, plan.matched_size);
    let additional = plan.stats.files.additional + plan.stats.dirs.additional;
    // Holes are left where nothing was: in a file that stands there already, what is under them would stay.
    if plan.stats.files.modify == 0 {
        options.sparse = serde_json::from_str("\"ByContent\"").ok();
    }
    repository.restore(plan, &options, entries.clone(), &place).map_err(failed)?;
    let mut differs = differences(target, entries).map_err(failed)?;
    differs.extend(Note::of(&snapshot).and_then(|note| note.root.set(target)));
    Ok(Restored { written, matched, additional, differs })
}
