//! The log, segment by segment, with everything that it proves.
//!
//! **Invariants.** (1) A segment that cannot be read is taken from a merged file that holds it; if there is none, what is behind
//! it is looked at all the same [`Log::substitute`]. (2) Of a merged file only what its segments say beside their rows is kept while
//! they are compared with it, the chain values among that, which fix the rows [`Log::open`]. (3) What a seal, a checkpoint or a merged
//! file says of positions or segments that are not there tells that the end of the log was cut off [`Log::end`], unless the log went on
//! since names were listed, which is looked at too [`Log::go_on`].

use std::collections::BTreeMap;

use futures::{Stream, StreamExt as _, stream};
use parquet::file::reader::FileReader as _;

use super::{
    Asked, Progress, Report, Sealed, Stage, Tell,
    beside::Live,
    inventory::Inventory,
    late,
    report::{Findings, Verdict},
    seals::{self, Statements},
    states::{States, Target},
};
use crate::{
    Journal, Position, Result, Row,
    checkpoint::WholeCheckpoint,
    error::ErrorKind,
    facts,
    journal::{Link, READ_AHEAD, Segment},
    level::Merged,
    parts::Micros,
    proof::{Checked, Seal, Stretch},
    row::{Op, chain_start, chain_step},
    segment::{self, Meta, hex},
};

/// How many segments are between two words of progress.
const TOLD_EVERY: u64 = 64;

/// A merged file whose segments are being met.
struct Open {
    name: String,
    first: u64,
    last: u64,
    /// What each of its segments says beside its rows, and its size.
    metas: Vec<(Meta, u64)>,
}

impl Open {
    /// What it says of a segment.
    fn said(&self, number: u64) -> Option<&(Meta, u64)> {
        self.metas.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// A position at which the chain value was stated.
struct Anchor {
    chain: String,
    /// By whom.
    by: String,
    /// Whether that is signed by a key at hand, or was told by who asks.
    sure: bool,
    /// When the statement was made, and the key, if it is one.
    made: Option<(Micros, String)>,
}

/// The walk through the log.
pub(super) struct Log<'a> {
    journal: &'a Journal,
    asked: &'a Asked,
    inventory: &'a Inventory,
    findings: &'a mut Findings,
    report: &'a mut Report,
    statements: Statements,
    live: &'a Live,
    /// The segment below which segments may be gone, by now.
    boundary: u64,
    /// Merged files that came since names were listed.
    later: Vec<(u64, u8, u64)>,
    /// What the next segment must follow from.
    link: Link,
    before: Option<Meta>,
    /// The first of the segments that are missing just now.
    missing: Option<u64>,
    open: Vec<Open>,
    /// The segments of a merged file that others are taken from.
    held: Vec<Segment>,
    anchors: BTreeMap<Position, Vec<Anchor>>,
    /// The stretches that statements are of, by first segment: the statement, and what it states.
    stretches: BTreeMap<u64, Vec<(u64, Stretch)>>,
    /// Those that have begun: the statement, what it states, and what was found.
    running: Vec<(u64, Stretch, Stretch)>,
    /// Segments in stretches that hold.
    stretched: u64,
    states: States,
}

/// The name of a segment.
pub(super) fn segment_name(number: u64) -> String {
    format!("wal/{number:020}.parquet")
}

/// The name of a merged file.
pub(super) fn merged_name(level: u8, first: u64, last: u64) -> String {
    format!("log/{level}/{first:020}-{last:020}.parquet")
}

/// The name of a checkpoint.
pub(super) fn checkpoint_name(pos: Position) -> String {
    format!("checkpoints/{pos:020}.parquet")
}

impl<'a> Log<'a> {
    pub(super) fn new(
        journal: &'a Journal,
        asked: &'a Asked,
        inventory: &'a Inventory,
        statements: Statements,
        live: &'a Live,
        findings: &'a mut Findings,
        report: &'a mut Report,
    ) -> Self {
        let mut anchors: BTreeMap<Position, Vec<Anchor>> = BTreeMap::new();
        let mut stretches: BTreeMap<u64, Vec<(u64, Stretch)>> = BTreeMap::new();
        for (number, stated) in &statements.all {
            let made = Some((stated.time, stated.key.clone()));
            let anchor = Anchor { chain: stated.chain.clone(), by: seals::name(*number), sure: stated.checked, made };
            anchors.entry(stated.pos).or_default().push(anchor);
            if let Some(stretch) = &stated.stretch {
                stretches.entry(stretch.from).or_default().push((*number, stretch.clone()));
            }
        }
        for (pos, chain, by, sure) in asked.held() {
            anchors.entry(pos).or_default().push(Anchor { chain, by, sure, made: None });
        }
        Self {
            journal,
            asked,
            inventory,
            findings,
            report,
            statements,
            live,
            boundary: live.boundary,
            later: Vec::new(),
            link: Link::default(),
            before: None,
            missing: None,
            open: Vec::new(),
            held: Vec::new(),
            anchors,
            stretches,
            running: Vec::new(),
            stretched: 0,
            states: States::default(),
        }
    }

    /// Looks at the whole log, and at what it proves.
    pub(super) async fn walk(mut self, tell: Tell<'_>) -> Result<()> {
        self.report.unchecked = std::mem::take(&mut self.statements.unknown);
        let merged = self.inventory.merged.iter();
        let first = self.inventory.segments.first().into_iter().chain(merged.clone().map(|m| m.0)).min();
        let last = merged.map(|m| m.2).chain([self.inventory.segments.last()]).max().unwrap_or(0);
        // What has expired and is still there is not looked at.
        let mut first = first.unwrap_or(1);
        if first > self.boundary.max(self.live.decided.begin()) {
            self.later = late::merged(self.journal, self.inventory).await?;
            for (begin, level, last) in self.later.clone() {
                let path = self.journal.store().layout().merged(level, begin, last);
                if begin < first && self.journal.store().exists(&path).await? {
                    first = begin;
                }
            }
        }
        let first = first.max(self.live.decided.begin());
        self.report.segments = (first, last);
        self.report.expired = self.live.decided.kept(self.journal, &self.inventory.checkpoints, self.findings).await?;
        let targets = self.targets().await?;
        self.left(first);
        self.states = States::new(targets, first, self.live.decided.base());
        self.begin(first);
        let mut read = std::pin::pin!(self.read(first..last + 1));
        while let Some((number, read)) = read.next().await {
            if number.is_multiple_of(TOLD_EVERY) || number == last {
                tell(Progress { stage: Stage::Log, done: number + 1 - first, of: last + 1 - first });
            }
            self.open(number).await?;
            let mut damaged = false;
            let found = match read {
                Ok(segment) => segment,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.findings.error(segment_name(number), &error);
                    damaged = true;
                    None
                }
                Err(error) => return Err(error),
            };
            let found = match found {
                Some(segment) if number < self.live.boundary => self.stray(segment).await?,
                found => found,
            };
            let raw = found.is_some();
            let found = match found {
                Some(segment) => Some(segment),
                None => self.substitute(number).await?,
            };
            self.note_missing(number, found.is_some() || damaged);
            match found {
                Some(segment) => self.take(&segment, raw).await?,
                None => self.states.broken(),
            }
            self.open.retain(|open| open.last > number);
        }
        self.note_missing(last + 1, true);
        let last = self.go_on(last).await?;
        self.end(last).await
    }

    /// Goes on behind the last segment that was listed, while something was made when the log went further.
    async fn go_on(&mut self, mut last: u64) -> Result<u64> {
        while self.cut_off(last).is_some() {
            let (segment, raw) = match self.journal.segment(last + 1).await {
                Ok(segment) => (segment, true),
                Err(error) if error.kind() == ErrorKind::NotFound => match self.substitute(last + 1).await? {
                    Some(segment) => (segment, false),
                    None => break,
                },
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.findings.error(segment_name(last + 1), &error);
                    break;
                }
                Err(error) => return Err(error),
            };
            last += 1;
            self.take(&segment, raw).await?;
            self.report.segments.1 = last;
        }
        Ok(last)
    }

    /// Reads segments, several at once; those that are not there are `None`. Above the boundary each is asked for, for it may have come
    /// while names were listed.
    fn read(&self, numbers: std::ops::Range<u64>) -> impl Stream<Item = (u64, Result<Option<Segment>>)> + use<> {
        let journal = self.journal.clone();
        let present: Vec<std::ops::Range<u64>> = self.inventory.segments.ranges(numbers.clone());
        let (mut at, boundary) = (0, self.live.boundary);
        let named = numbers.map(move |number| {
            while present.get(at).is_some_and(|range| range.end <= number) {
                at += 1;
            }
            (number, number >= boundary || present.get(at).is_some_and(|range| range.contains(&number)))
        });
        stream::iter(named)
            .map(move |(number, there)| {
                let journal = journal.clone();
                async move {
                    let read = match there {
                        true => journal.segment(number).await.map(Some),
                        false => Ok(None),
                    };
                    match read {
                        Err(error) if error.kind() == ErrorKind::NotFound => (number, Ok(None)),
                        read => (number, read),
                    }
                }
            })
            .buffered(READ_AHEAD)
    }

    /// How many files are there that need not be.
    fn left(&mut self, first: u64) {
        let Some(expired) = &mut self.report.expired else { return };
        let segments: u64 = self.inventory.segments.ranges(1..first).iter().map(|range| range.end - range.start).sum();
        let merged = self.inventory.merged.iter().filter(|(_, _, last)| *last < first).count() as u64;
        expired.left += segments + merged;
    }

    /// What the log begins with.
    fn begin(&mut self, first: u64) {
        let decided = self.live.decided.begin();
        if decided > 1 && first > decided {
            let reason = format!(
                "is missing, with all before segment {first}: the log is to begin with it, whatever has expired"
            );
            self.findings.nowhere(segment_name(decided), first - 1, reason);
        } else if first > 1 && first > self.live.boundary.max(decided) {
            let reason = format!("is missing, with all before segment {first}: the boundary says that it is there");
            self.findings.nowhere(segment_name(self.live.boundary.max(1)), first - 1, reason);
        }
        if let Some(anchors) = self.anchors.remove(&0) {
            let start = hex(&chain_start(self.journal.cluster()));
            for anchor in anchors.into_iter().filter(|anchor| anchor.chain != start) {
                self.findings.add(Verdict::Altered, anchor.by, "states another beginning of the log");
            }
        }
    }

    /// Notes segments that are nowhere: one finding for those that follow one another.
    fn note_missing(&mut self, number: u64, found: bool) {
        if !found {
            self.missing.get_or_insert(number);
            return;
        }
        let Some(from) = self.missing.take() else { return };
        let reason = match number - from {
            1 => "is missing: the rows of that time are unknown".to_owned(),
            more => format!("is missing, and so are the {} behind it: the rows of that time are unknown", more - 1),
        };
        self.findings.nowhere(segment_name(from), number - 1, reason);
    }

    /// Opens the merged files that begin with a segment.
    async fn open(&mut self, number: u64) -> Result<()> {
        let beginning: Vec<(u64, u8, u64)> =
            self.inventory.merged.range((number, 0, 0)..(number + 1, 0, 0)).copied().collect();
        for (first, level, last) in beginning {
            let name = merged_name(level, first, last);
            let (bytes, segments, merged, made) = match Merged::proven(self.journal, level, first..=last).await {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.findings.add(Verdict::Missing, name, "went away while it was looked at");
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let reason = error.thing_and_reason().1;
                    let verdict =
                        if reason.contains("belongs to cluster") { Verdict::Foreign } else { Verdict::Altered };
                    let remedy = "move it away: readers read its segments instead, while those are there";
                    self.findings.helped(verdict, name, reason, remedy);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if made != bytes && !alike(&name, &bytes, &made) {
                let reason =
                    "says what its segments say, but its index is not of its rows: readers of one object may miss some";
                self.findings.add(Verdict::Altered, &name, reason);
            }
            let named = self.live.merged.get(&(first, level, last));
            let size = bytes.len() as u64;
            if named.is_some_and(|n| (n.rows, n.made, n.bytes) != (merged.rows, merged.made, size)) {
                self.findings.add(Verdict::Altered, &name, "is another file than the manifest describes");
            }
            let metas = segments.iter().map(|segment| (segment.meta.clone(), segment.bytes)).collect();
            if (first..=last).any(|n| !self.inventory.segments.contains(n)) {
                self.held = segments;
            }
            self.open.push(Open { name, first, last, metas });
        }
        Ok(())
    }

    /// A segment, from a merged file that holds it.
    async fn substitute(&mut self, number: u64) -> Result<Option<Segment>> {
        let held = |held: &[Segment]| held.iter().find(|segment| segment.meta.segment == number).cloned();
        if let Some(segment) = held(&self.held) {
            self.tell_substituted(number).await?;
            return Ok(Some(segment));
        }
        let of = self.inventory.merged.iter().filter(|(first, _, last)| (*first..=*last).contains(&number));
        let open = |level, first, last| self.open.iter().any(|open| open.name == merged_name(level, first, last));
        let of: Vec<_> = of.copied().filter(|(first, level, last)| open(*level, *first, *last)).collect();
        if of.is_empty() && self.missing.is_none() {
            self.later = late::merged(self.journal, self.inventory).await?;
        }
        let later = self.later.iter().copied().filter(|(first, _, last)| (*first..=*last).contains(&number));
        for (first, level, last) in of.into_iter().chain(later.collect::<Vec<_>>()) {
            match Merged::read_named(self.journal, level, first..=last).await {
                Ok(segments) => {
                    self.held = segments;
                    self.tell_substituted(number).await?;
                    return Ok(held(&self.held));
                }
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A segment below the boundary, unless a merged file has another of its number: the merged file is what is read there, whatever
    /// a writer that slept through the removal has put into the free name since.
    async fn stray(&mut self, segment: Segment) -> Result<Option<Segment>> {
        let number = segment.meta.segment;
        let other = |open: &&Open| open.said(number).is_some_and(|(meta, _)| *meta != segment.meta);
        let Some(name) = self.open.iter().find(other).map(|open| open.name.clone()) else { return Ok(Some(segment)) };
        if self.substitute(number).await?.is_none_or(|held| held.meta == segment.meta) {
            return Ok(Some(segment));
        }
        let reason =
            format!("stands where segments may be removed, and says another thing than {name}, which is read there");
        let remedy = "move it away: no reader reads it; a writer that had lost the journal may have written it";
        self.findings.helped(Verdict::Late, segment_name(number), reason, remedy);
        Ok(None)
    }

    /// Below the boundary a merged file is all there need be of a segment.
    async fn tell_substituted(&mut self, number: u64) -> Result<()> {
        if number < self.boundary || self.inventory.segments.contains(number) {
            return Ok(());
        }
        self.boundary = late::boundary(self.journal, self.boundary).await?;
        if number >= self.boundary {
            let reason = "is not there; its rows are not lost, since a merged file holds them";
            self.findings.add(Verdict::Missing, segment_name(number), reason);
        }
        Ok(())
    }

    /// Looks at one segment.
    async fn take(&mut self, segment: &Segment, raw: bool) -> Result<()> {
        let number = segment.meta.segment;
        self.follow(&segment.meta);
        for open in self.open.iter().filter(|open| (open.first..=open.last).contains(&number)) {
            let said = open.said(number);
            let size = if raw { Some(segment.bytes) } else { said.map(|(_, bytes)| *bytes) };
            if said.is_none_or(|(meta, bytes)| *meta != segment.meta || Some(*bytes) != size) {
                let reason = format!("says another thing of segment {number} than {} does", segment_name(number));
                let remedy = "move it away: readers read its segments instead, while those are there";
                self.findings.helped(Verdict::Altered, &open.name, reason, remedy);
            }
        }
        self.anchor(segment);
        self.stretch(&segment.meta);
        for row in segment.rows.iter().filter(|row| row.op == Op::Seal) {
            self.seal(segment, row);
        }
        self.report.last = segment.meta.last;
        let first = segment.meta.first;
        self.states.meet(first);
        // Those that stand in a hole, or at its end.
        while let Some(target) = self.states.reached(first.saturating_sub(1)) {
            if target.pos + 1 == first {
                let at = (Some(segment.meta.chain_before), number);
                self.states.compare(self.journal, target, at, self.findings, self.report).await?;
            } else {
                self.states.passed(&target, self.findings, self.report);
            }
        }
        if let Err(error) = self.states.feed(segment) {
            self.findings.error(segment_name(number), &error);
        }
        while let Some(target) = self.states.reached(segment.meta.last) {
            let chain = (target.pos == segment.meta.last).then_some(segment.meta.chain_after);
            self.states.compare(self.journal, target, (chain, number), self.findings, self.report).await?;
        }
        self.before = Some(segment.meta.clone());
        Ok(())
    }

    /// Checks that a segment follows from the one before it.
    fn follow(&mut self, meta: &Meta) {
        let number = meta.segment;
        if self.before.is_none() {
            self.live.decided.begins(meta, self.findings);
        }
        match &self.before {
            None if number == 1 && (meta.first, meta.chain_before) != (1, chain_start(self.journal.cluster())) => {
                let reason = "does not begin the log: its position or chain value is not the first";
                self.findings.add(Verdict::Altered, segment_name(number), reason);
            }
            None => {}
            // Behind a hole only the positions can be compared.
            Some(before) if before.segment + 1 != number => {
                self.link = Link::default();
                if meta.first <= before.last {
                    let reason = format!(
                        "begins at position {}, though segment {} ends at {}",
                        meta.first, before.segment, before.last
                    );
                    self.findings.add(Verdict::Altered, segment_name(number), reason);
                }
            }
            Some(_) => {}
        }
        if let Err(error) = self.link.check(meta) {
            let reason = error.thing_and_reason().1;
            let late = self.before.as_ref().is_some_and(|before| meta.epoch < before.epoch);
            let verdict = if late { Verdict::Late } else { Verdict::Altered };
            let reason = format!("{reason}; it, or the one before it, is not what was written");
            self.findings.add(verdict, segment_name(number), reason);
            self.link = Link::default();
            // What is behind it is looked at by itself.
            let _ = self.link.check(meta);
        }
    }

    /// Compares the chain with what was stated of positions in a segment.
    fn anchor(&mut self, segment: &Segment) {
        let (first, last) = (segment.meta.first, segment.meta.last);
        let within: Vec<Position> = self.anchors.range(first.saturating_sub(1)..=last).map(|(pos, _)| *pos).collect();
        for pos in within {
            let Some(chain) = chain_at(segment, pos) else { continue };
            for anchor in self.anchors.remove(&pos).into_iter().flatten() {
                let by = anchor.by;
                if anchor.chain == chain {
                    // A statement says all that the row does that names it, which may have been cut off.
                    if let Some((time, key)) = anchor.made.filter(|_| anchor.sure || self.asked.trust.is_empty()) {
                        let (checked, chain) = (anchor.sure, anchor.chain);
                        let segment = segment.meta.segment + 1;
                        self.report.sealed = Some(Sealed { pos, chain, time, key, checked, segment });
                    }
                } else if anchor.sure {
                    let reason = format!(
                        "gives position {pos} another chain value than {by} does: a row up to there was altered"
                    );
                    self.findings.add(Verdict::Altered, segment_name(segment.meta.segment), reason);
                } else {
                    let reason = format!("states another chain value of position {pos} than the log has");
                    self.findings.add(Verdict::Altered, by, reason);
                }
            }
        }
    }

    /// Takes a segment into the stretches that are stated of it.
    fn stretch(&mut self, meta: &Meta) {
        let number = meta.segment;
        let beginning = self.stretches.remove(&number).into_iter().flatten();
        self.running.extend(beginning.map(|(statement, stated)| (statement, stated, Stretch::before(number))));
        let mut over = Vec::new();
        self.running.retain_mut(|(statement, stated, found)| {
            // A segment in the middle could not be read, which was said of it.
            if found.to + 1 != number {
                return false;
            }
            found.push(meta);
            if found.to < stated.to {
                return true;
            }
            over.push((*statement, stated.clone(), found.clone()));
            false
        });
        for (statement, stated, found) in over {
            if stated == found {
                self.stretched += stated.to + 1 - stated.from;
                continue;
            }
            let reason = format!(
                "or one before it, from segment {} on, says another thing beside its rows (who wrote it and when, how far it \
                 closes the log) than when {} was made",
                stated.from,
                seals::name(statement)
            );
            self.findings.add(Verdict::Altered, segment_name(number), reason);
        }
    }

    /// Checks a seal.
    fn seal(&mut self, segment: &Segment, row: &Row) {
        let own = segment_name(segment.meta.segment);
        let seal: Seal = match facts::read(row) {
            Ok(seal) => seal,
            Err(error) => return self.findings.error(own, &error),
        };
        if seal.pos + 1 != row.pos || chain_at(segment, seal.pos).as_ref() != Some(&seal.chain) {
            let reason = format!("has a seal at position {} that is not of the rows before it", row.pos);
            return self.findings.add(Verdict::Altered, own, reason);
        }
        let checked = seal.checked(self.journal.cluster(), &self.asked.trust);
        match checked {
            Checked::Holds => self.report.seals += 1,
            Checked::Not => {
                let error = seals::forged(&seal.key);
                let reason = format!("has a seal at position {} that {}", row.pos, error.thing_and_reason().1);
                return self.findings.helped(Verdict::Altered, own, reason, error.hint().unwrap_or_default());
            }
            Checked::Unknown => *self.report.unchecked.entry(seal.key.clone()).or_default() += 1,
        }
        if let (Some(number), Some(sha256)) = (seal.number, &seal.sha256) {
            self.statement(row.pos, number, sha256);
        }
        // What nobody at hand signed counts only where nothing can be checked.
        if checked == Checked::Holds || self.asked.trust.is_empty() {
            self.report.sealed = Some(Sealed {
                pos: seal.pos,
                chain: seal.chain,
                time: seal.time,
                key: seal.key,
                checked: checked == Checked::Holds,
                segment: segment.meta.segment,
            });
        }
    }

    /// Checks that the statement that a seal names is there.
    fn statement(&mut self, pos: Position, number: u64, sha256: &str) {
        let name = seals::name(number);
        match self.statements.all.get(&number) {
            Some(stated) if stated.sha256 == sha256 => {}
            Some(_) => {
                let reason = format!("is another than the one that the seal at position {pos} names");
                self.findings.add(Verdict::Altered, name, reason);
            }
            // If it is there it was found already.
            None if self.inventory.statements.contains(&number) => {}
            None => {
                let reason = format!("is not there, and the seal at position {pos} names it");
                self.findings.add(Verdict::Missing, name, reason);
            }
        }
    }

    /// The checkpoints that are to be compared, in their order: those that a manifest names, and those that none names and that are
    /// whole.
    async fn targets(&mut self) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        let base = self.live.decided.base().unwrap_or(0);
        for pos in &self.inventory.checkpoints {
            // It is kept, or it is to go.
            if *pos < base {
                continue;
            }
            if let Some(named) = self.live.checkpoints.get(pos) {
                targets.push(Target { pos: *pos, cut: named.cut(), named: Some(named.clone()) });
                continue;
            }
            match WholeCheckpoint::read(self.journal, *pos).await {
                Ok(whole) => targets.push(Target { pos: *pos, cut: whole.own.cut(), named: None }),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.findings.add(Verdict::Missing, checkpoint_name(*pos), "went away while it was looked at");
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.findings.error(checkpoint_name(*pos), &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(targets)
    }

    /// What was made when the log went further than to a segment.
    fn cut_off(&self, last: u64) -> Option<String> {
        let mut cut_off: Option<String> = None;
        for anchor in self.anchors.range(self.report.last + 1..).flat_map(|(_, anchors)| anchors) {
            if anchor.sure || self.asked.trust.is_empty() {
                cut_off.get_or_insert_with(|| anchor.by.clone());
            }
        }
        let stretched = self.stretches.keys().copied().filter(|from| *from > last);
        if let Some(by) = stretched.chain(self.running.iter().map(|(statement, ..)| *statement)).next() {
            cut_off.get_or_insert_with(|| format!("a seal's statement ({by})"));
        }
        for pos in self.states.ahead() {
            cut_off.get_or_insert_with(|| checkpoint_name(pos));
        }
        let named = self.live.checkpoints.values().filter(|named| named.segment > last).map(|named| named.pos);
        for pos in named {
            cut_off.get_or_insert_with(|| checkpoint_name(pos));
        }
        cut_off
    }

    /// What the end of the log says.
    async fn end(mut self, last: u64) -> Result<()> {
        let cut_off = self.cut_off(last);
        let states = std::mem::take(&mut self.states);
        if let Some(by) = cut_off {
            let reason = format!("is missing, and perhaps more behind it: {by} was made when the log went further");
            self.findings.add(Verdict::Missing, segment_name(last + 1), reason);
        }
        states.end(self.journal, self.findings, self.report).await?;
        let merged = self.inventory.merged.iter();
        let begin = self.live.decided.begin();
        let merged = merged.filter(|(_, _, last)| *last >= begin);
        let merged = merged.filter(|(first, level, last)| !self.findings.has(&merged_name(*level, *first, *last)));
        self.report.merged = merged.count() as u64;
        let sealed = self.report.sealed.as_ref().map_or((0, 0), |sealed| (sealed.pos + 1, sealed.segment));
        self.report.unsealed.rows = self.report.last.saturating_sub(sealed.0);
        let behind = if sealed.1 == 0 { last } else { (last + 1).saturating_sub(sealed.1) };
        self.report.unsealed.segments = behind;
        let (first, _) = self.report.segments;
        let before = if sealed.1 == 0 { 0 } else { sealed.1.saturating_sub(first) };
        self.report.unsealed.loose = before.saturating_sub(self.stretched);
        Ok(())
    }
}

/// The chain value at a position of a segment, or right before its first.
fn chain_at(segment: &Segment, pos: Position) -> Option<String> {
    let meta = &segment.meta;
    if pos == meta.last {
        return Some(hex(&meta.chain_after));
    }
    let rows = usize::try_from((pos + 1).checked_sub(meta.first)?).ok()?;
    let chain = segment.rows.get(..rows)?.iter().fold(meta.chain_before, |chain, row| chain_step(&chain, row));
    Some(hex(&chain))
}

/// Whether a merged file that another version made has the index that this one makes.
fn alike(name: &str, bytes: &bytes::Bytes, made: &bytes::Bytes) -> bool {
    let open = |bytes: &bytes::Bytes| segment::open(name, bytes.clone());
    let (Ok((own, reader)), Ok((made, _))) = (open(bytes), open(made)) else { return false };
    let whole = segment::groups_hold(bytes, &own, reader.num_row_groups());
    // Where each row group stands follows from how well they are compressed.
    let same = |(key, value): (&String, &String)| key == "groups" || own.extra.get(key).is_none_or(|own| own == value);
    whole
        && made.extra.iter().all(same)
        && Meta { extra: BTreeMap::new(), ..own } == Meta { extra: BTreeMap::new(), ..made }
}
