//! What damage means: for each file that [`crate::verify`] names, what it is, what it covers, what cannot be answered for want of it
//! and what still can, and what helps.
//!
//! **Words**: an *ailment* is a finding with that; its [`Harm`] is what it does to answers. A [`Hole`] is a part of the log that no file
//! has any more.
//!
//! **Invariants.** (1) Nothing is written. (2) Whether something is lost is found by reading, as readers that go around damage read
//! ([`crate::read`]), and never taken from what a file is [`diagnose`]. (3) Every finding has an ailment.
//!
//! Not here: whether a file is what it must be ([`crate::verify`]); making anything anew, which the compactor and `trim.rs` do.

mod words;

use std::collections::BTreeSet;

use crate::{
    Error, Journal, Position, Result,
    checkpoint::{Checkpoint, Manifest},
    cut::{Hole, MAIN},
    error::ErrorKind,
    layout::Layout,
    parts::Micros,
    read,
    row::Revision,
    seal::wrapped,
    verify::{self, Asked, Finding, Report, Tell, Verdict},
};

/// What a file of a journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sort {
    /// A segment.
    Segment(u64),
    /// Segments once more, as a bundle of the newest (level 0) or merged.
    Merged(u8, u64, u64),
    /// The state at a cut.
    Checkpoint(Position),
    /// A numbered fact: its name, and its number.
    Fact(String, u64),
    /// A wrapped data key.
    Key(String),
    /// A recovery point's: its name, and which.
    Point(String, String),
    /// A restore's: its id, and which.
    Restore(String, String),
    /// Nothing that the journal writes.
    Stranger,
}

impl Sort {
    /// What a name below the cluster's folder is.
    fn of(name: &str) -> Self {
        let path = object_store::path::Path::from(name);
        let parts: Vec<&str> = name.split('/').collect();
        match (parts.as_slice(), Layout::number(&path)) {
            (["wal", _], Some(number)) => Self::Segment(number),
            (["log", _, _], _) => match Layout::numbers(name) {
                Some((level, first, last)) => Self::Merged(level, first, last),
                None => Self::Stranger,
            },
            (["checkpoints", _], Some(pos)) => Self::Checkpoint(pos),
            (["meta", fact, _], Some(number)) => Self::Fact((*fact).to_owned(), number),
            (["keys", id], _) => Self::Key((*id).to_owned()),
            (["points", name, which], _) => Self::Point((*name).to_owned(), (*which).to_owned()),
            (["restores", id, which], _) => Self::Restore((*id).to_owned(), (*which).to_owned()),
            _ => Self::Stranger,
        }
    }

    /// Whether it follows from other files, so that nothing of the past is in it alone while those are there.
    pub fn is_derived(&self) -> bool {
        matches!(self, Self::Merged(..) | Self::Checkpoint(_))
            || matches!(self, Self::Fact(fact, _) if fact == "manifest")
    }
}

/// What an ailment does to answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Nothing: every answer is what it would be.
    Nothing,
    /// Answers are what they would be, but less is proven.
    Proof,
    /// Nothing is lost, but readers refuse some answers until it is put right; around the damage they give them.
    Refused,
    /// The file can be read and says another thing than what vouches for it: answers that rest on it cannot be trusted.
    Doubt,
    /// Something cannot be answered by anything that is left.
    Lost,
}

impl Harm {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Proof => "proof",
            Self::Refused => "refused",
            Self::Doubt => "doubt",
            Self::Lost => "lost",
        }
    }
}

/// What a file covers, each from and to, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Covers {
    /// Segments.
    pub segments: Option<(u64, u64)>,
    /// Positions.
    pub positions: Option<(Position, Position)>,
    /// Revisions of the main domain.
    pub revisions: Option<(Revision, Revision)>,
    /// Time.
    pub times: Option<(Micros, Micros)>,
}

/// A finding, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailment {
    /// What was found.
    pub finding: Finding,
    /// What the file is.
    pub sort: Sort,
    /// The same in words.
    pub what: String,
    /// What it covers.
    pub covers: Covers,
    /// What it does to answers.
    pub harm: Harm,
    /// What cannot be answered for want of it; empty if that is nothing.
    pub lost: String,
    /// What can all the same.
    pub stands: String,
    /// What helps, the best first.
    pub remedies: Vec<String>,
}

/// All that is damaged, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was found.
    pub report: Report,
    /// Parts of the log that no file has, in order.
    pub holes: Vec<Hole>,
    /// An ailment for each finding, the worst first.
    pub ailments: Vec<Ailment>,
}

impl Diagnosis {
    /// The worst that any ailment does to answers.
    pub fn harm(&self) -> Harm {
        self.ailments.iter().map(|ailment| ailment.harm).max().unwrap_or(Harm::Nothing)
    }
}

/// What is known of the journal beside the findings.
struct Chart<'a> {
    journal: &'a Journal,
    report: &'a Report,
    holes: &'a [Hole],
    /// The newest manifest, and the pages that it goes on from; why there is none that can be read.
    manifest: Result<(Manifest, BTreeSet<u64>), Error>,
    /// Checkpoints that are live, oldest first, as far as manifests can be read.
    live: Vec<Checkpoint>,
    /// Names that something was found of.
    found: BTreeSet<&'a str>,
    /// The segments that are there.
    there: BTreeSet<u64>,
    /// The files of data keys that are there, by name.
    keys: BTreeSet<String>,
    boundary: u64,
}

/// Looks at every file of a journal, and says of what is wrong what it means. Only a store that gives no answer is an error.
pub async fn diagnose(journal: &Journal, asked: &Asked, tell: Tell<'_>) -> Result<Diagnosis> {
    let report = verify::verify(journal, asked, tell).await?;
    if report.findings.is_empty() {
        return Ok(Diagnosis { report, holes: Vec::new(), ailments: Vec::new() });
    }
    let manifest = chain_of_manifests(journal).await?;
    let there = journal.names_after(0).await?;
    let holes = {
        let known = manifest.as_ref().map(|(manifest, _)| manifest.clone()).unwrap_or_default();
        read::holes(journal, &known, &suspects(&report, &there)).await?
    };
    let live = match &manifest {
        Ok((manifest, _)) => damaged_or(manifest.live(journal).await)?.unwrap_or_else(|_| manifest.checkpoints.clone()),
        Err(_) => Vec::new(),
    };
    let boundary = damaged_or(journal.boundary().await)?.unwrap_or(1);
    let found = report.findings.iter().map(|finding| finding.file.as_str()).collect();
    let listed = journal.store().list(&journal.store().layout().data_keys(), None).await?;
    let keys = listed.iter().filter_map(|found| found.path.filename()).map(str::to_owned).collect();
    let chart = Chart { journal, report: &report, holes: &holes, manifest, live, found, there, keys, boundary };
    let mut ailments = Vec::new();
    for finding in &report.findings {
        ailments.push(chart.ailment(finding).await?);
    }
    ailments.sort_by(|a, b| b.harm.cmp(&a.harm).then_with(|| a.finding.file.cmp(&b.finding.file)));
    Ok(Diagnosis { report, holes, ailments })
}

/// An error of damage as a value; any other is one.
fn damaged_or<T>(read: Result<T>) -> Result<Result<T, Error>> {
    match read {
        Err(error) if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => Err(error),
        read => Ok(read),
    }
}

/// The newest manifest, and the numbers of those that it goes on from, as far as they can be read.
async fn chain_of_manifests(journal: &Journal) -> Result<Result<(Manifest, BTreeSet<u64>), Error>> {
    let newest = match damaged_or(Manifest::read(journal).await)? {
        Ok(newest) => newest,
        Err(error) => return Ok(Err(error)),
    };
    let mut pages = BTreeSet::from([newest.number]);
    let mut next = newest.continues();
    while let Some(number) = next.filter(|number| pages.first().is_none_or(|first| number < first)) {
        pages.insert(number);
        next = damaged_or(Manifest::page(journal, number).await)?.ok().and_then(|page| page.continues());
    }
    Ok(Ok((newest, pages)))
}

/// The segments of which nobody may have anything, in order.
fn suspects(report: &Report, there: &BTreeSet<u64>) -> Vec<u64> {
    let mut out = BTreeSet::new();
    for finding in report.findings.iter().filter(|finding| finding.verdict != Verdict::Late) {
        match Sort::of(&finding.file) {
            Sort::Segment(number) => _ = out.insert(number),
            Sort::Merged(_, first, last) if last <= report.segments.1 => {
                out.extend((first..=last).filter(|number| !there.contains(number)));
            }
            _ => {}
        }
    }
    out.into_iter().collect()
}

impl Chart<'_> {
    async fn ailment(&self, finding: &Finding) -> Result<Ailment> {
        let sort = Sort::of(&finding.file);
        let read = match &sort {
            Sort::Segment(_) | Sort::Checkpoint(_) => true,
            Sort::Key(name) => wrapped::split(name).is_some(),
            _ => false,
        };
        let stranger = finding.verdict == Verdict::Foreign && !read;
        let sort = if stranger && !finding.reason.contains("belongs to cluster") { Sort::Stranger } else { sort };
        let mut ailment = Ailment {
            finding: finding.clone(),
            what: words::what(&sort),
            sort: sort.clone(),
            covers: Covers::default(),
            harm: Harm::Nothing,
            lost: String::new(),
            stands: "every answer is what it would be without this".to_owned(),
            remedies: vec![finding.remedy.clone()],
        };
        match &sort {
            Sort::Segment(number) => self.segment(*number, &mut ailment).await?,
            Sort::Merged(level, first, last) => self.merged((*level, *first, *last), &mut ailment),
            Sort::Checkpoint(pos) => self.checkpoint(*pos, &mut ailment),
            Sort::Fact(fact, number) => self.fact(fact, *number, &mut ailment),
            Sort::Key(name) => words::key(self.same_key(name), &mut ailment),
            Sort::Point(name, which) => words::point(name, which, &mut ailment),
            Sort::Restore(id, which) => words::restore(id, which, &mut ailment),
            Sort::Stranger => words::stranger(&mut ailment),
        }
        Ok(ailment)
    }

    /// The hole that some of these segments are in.
    fn hole(&self, first: u64, last: u64) -> Option<&Hole> {
        self.holes.iter().find(|hole| hole.segments.0 <= last && first <= hole.segments.1)
    }

    async fn segment(&self, number: u64, ailment: &mut Ailment) -> Result<()> {
        ailment.covers.segments = Some((number, number));
        if ailment.finding.verdict == Verdict::Late {
            words::late(ailment);
            return Ok(());
        }
        if let Some(hole) = self.hole(number, number) {
            ailment.covers = covers(hole);
            words::lost(hole, self.is_newest(hole), ailment);
            return Ok(());
        }
        match damaged_or(self.journal.segment(number).await)? {
            Ok(segment) => {
                let meta = segment.meta;
                ailment.covers.positions = Some((meta.first, meta.last)).filter(|(first, last)| first <= last);
                ailment.covers.revisions = meta.frontier.get(MAIN).map(|point| (point.rv, point.rv));
                words::doubted(ailment);
            }
            Err(_) => words::held_elsewhere(number < self.boundary, ailment),
        }
        Ok(())
    }

    fn merged(&self, (level, first, last): (u8, u64, u64), ailment: &mut Ailment) {
        ailment.covers.segments = Some((first, last));
        if let Ok((manifest, _)) = &self.manifest
            && let Some(named) = manifest.merged.iter().find(|m| (m.level, m.first, m.last) == (level, first, last))
        {
            ailment.covers.positions = Some(named.rows).filter(|(first, last)| first <= last);
            ailment.covers.times = Some(named.made);
        }
        match self.hole(first, last) {
            Some(hole) => {
                words::lost(hole, self.is_newest(hole), ailment);
            }
            None if (first..=last).all(|number| self.there.contains(&number)) => words::of_segments(level, ailment),
            None => words::held_elsewhere(true, ailment),
        }
    }

    /// Another file of the same data key of which nothing was found.
    fn same_key(&self, name: &str) -> Option<&str> {
        let (id, _) = wrapped::split(name)?;
        let same = |other: &&String| {
            wrapped::split(other).is_some_and(|(of, _)| of == id)
                && !self.found.contains(format!("keys/{other}").as_str())
        };
        self.keys.iter().filter(|other| *other != name).find(same).map(String::as_str)
    }

    /// Whether nothing stands behind a hole that a process could go on from.
    fn is_newest(&self, hole: &Hole) -> bool {
        self.live.last().is_none_or(|newest| newest.fold_from_segment <= hole.segments.1)
    }

    fn checkpoint(&self, pos: Position, ailment: &mut Ailment) {
        ailment.covers.positions = Some((pos, pos));
        let base = self.manifest.as_ref().ok().and_then(|(manifest, _)| manifest.expired()).map(|expired| expired.base);
        let Some(at) = self.live.iter().position(|c| c.pos == pos) else {
            return words::unnamed_checkpoint(base.is_some_and(|base| pos < base), ailment);
        };
        let whole = |c: &&Checkpoint| !self.found.contains(format!("checkpoints/{:020}.parquet", c.pos).as_str());
        let Some(own) = self.live.get(at) else { return };
        let next = self.live.iter().skip(at + 1).find(whole);
        let before = self.live.iter().take(at).rfind(whole);
        ailment.covers.segments = Some((own.segment, own.segment));
        ailment.covers.revisions = Some((own.cut().rev(), own.cut().rev()));
        ailment.covers.times = Some((own.time(), next.map_or(own.time(), Checkpoint::time)));
        let served = before.is_some() || base.is_none();
        words::checkpoint((own.time(), next.map(Checkpoint::time)), served, at + 1 == self.live.len(), ailment);
    }

    fn fact(&self, fact: &str, number: u64, ailment: &mut Ailment) {
        let of_manifest = || match &self.manifest {
            Err(_) => words::Page::Newest,
            Ok((newest, _)) if newest.number <= number => words::Page::Newest,
            Ok((_, pages)) if pages.contains(&number) => words::Page::Earlier,
            Ok(_) => words::Page::Past,
        };
        match fact {
            "manifest" => words::manifest(of_manifest(), ailment),
            "seal" => words::seal(self.report.sealed.is_some(), ailment),
            other => words::fact(other, ailment),
        }
    }
}

/// What a hole covers.
fn covers(hole: &Hole) -> Covers {
    Covers {
        segments: Some(hole.segments),
        positions: hole.positions.1.map(|last| (hole.positions.0, last)).filter(|(first, last)| first <= last),
        revisions: hole
            .revisions
            .0
            .zip(hole.revisions.1)
            .map(|(before, behind)| (before.saturating_add(1), behind))
            .filter(|(first, last)| first <= last),
        times: hole.since.zip(hole.until.map(|(until, _)| until)),
    }
}
