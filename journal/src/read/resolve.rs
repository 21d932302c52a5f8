//! A question becomes a moment: a cut, and what is to be said of it.

use super::{RECOVERY, Reader, Until, is_end_of_life, lives::LivesRead};
use crate::{
    Error, Position, Result, Row,
    cut::{At, Cut, CutPoint, MAIN, Moment, Uncertain},
    parts::Micros,
    row::{Op, Source},
};

/// How many uncertain rows are named at most.
const UNCERTAIN: usize = 1000;

impl Reader {
    /// The moment a question becomes, with everything read that the answer needs.
    pub(super) async fn resolve(&mut self, at: &At) -> Result<Moment> {
        match at {
            At::Now => {
                self.begin_newest().await?;
                let cut = self.load_within(&Until::End, |reader| Ok(reader.newest_cut())).await?;
                let time = self.newest_closed().get(MAIN).map_or(0, |p| p.time);
                Ok(self.moment(&self.lives_read(), cut, time, None, None))
            }
            At::NowOpen => {
                self.begin_newest().await?;
                self.load(&Until::End).await?;
                let lives = self.lives_read();
                let (cut, time) = self.greatest(&lives, |_| true);
                let newest = self.rows().map(|row| row.time_hi);
                let closed = self.frontier();
                let newest = newest.chain(closed.values().map(|point| point.time)).max().unwrap_or(0);
                Ok(self.moment(&lives, cut, time.max(newest), None, None))
            }
            At::Time(time) => self.resolve_time(*time, false).await,
            At::BeforeTime(time) => self.resolve_time(*time, true).await,
            At::Rev { rv, incarnation, domain } => {
                self.resolve_rev(*rv, *incarnation, domain.as_deref().unwrap_or(MAIN)).await
            }
            At::Pos(pos) => self.resolve_pos(*pos, false).await,
            At::BeforePos(pos) => self.resolve_pos(*pos, true).await,
        }
    }

    async fn resolve_time(&mut self, time: Micros, before: bool) -> Result<Moment> {
        if !self.begin(|c| c.time() < time).await? {
            return self.kept_at(time, before).await;
        }
        self.load(&Until::Time(time)).await?;
        // What was recovered of a kind that had been let go stands later in the log, and counts.
        while self.latest_let_go().is_some_and(|time| !self.is_past(time + RECOVERY)) && self.read_on().await? {}
        let known_before = |hi: Micros| if before { hi < time } else { hi <= time };
        let lives = self.lives_read();
        let begun = |row: &Row| lives.since(row).is_none_or(known_before);
        let (cut, _) = self.greatest(&lives, |row| known_before(row.time_hi) && begun(row));
        let closed_time = self.newest_closed().values().map(|p| p.time).min();
        let beyond = match closed_time {
            Some(closed) if closed < time => Some(closed),
            None => Some(0),
            Some(_) => None,
        };
        let mut moment = self.moment(&lives, cut, time, beyond, Some(time));
        // A row within the cut was committed before the moment, whatever its own bounds say.
        let reach = |row: &&Row| {
            row.op.is_object()
                && row.time_lo <= time
                && !known_before(row.time_hi)
                && begun(row)
                && !moment.cut.holds(row)
        };
        let uncertain = self
            .rows()
            .filter(reach)
            // A list says of what it shows that it was there; that something is gone may have come true long before.
            .filter(|row| row.source != Source::List || row.op == Op::Delete)
            .take(UNCERTAIN)
            .map(|row| Uncertain {
                pos: row.pos,
                lo: row.time_lo,
                hi: row.time_hi,
                object: [&row.group, &row.resource, &row.namespace, &row.name].map(String::clone),
            })
            .collect();
        moment.uncertain = uncertain;
        moment.before_start = moment.cut.domains.is_empty();
        Ok(moment)
    }

    async fn resolve_rev(&mut self, rv: u64, incarnation: Option<u32>, domain: &str) -> Result<Moment> {
        let incarnation = match incarnation {
            Some(incarnation) => incarnation,
            None => self.life_of(rv, domain).await?,
        };
        let point = CutPoint { incarnation, rv };
        // A checkpoint at this very point may have taken in more of the other domains than was closed at that point.
        if !self.begin(|c| c.cut().domains.get(domain).is_some_and(|p| *p < point)).await? {
            return self.kept_at_point(domain, point).await;
        }
        let until = Until::Point(domain.to_owned(), point);
        let cut_at_point = |reader: &Self| {
            let read = reader.read_until(&until);
            let frontier = read.last().map(|segment| segment.meta.frontier.clone()).unwrap_or_default();
            let mut cut = reader.cut_at(&frontier, read);
            cut.domains.insert(domain.to_owned(), point);
            Ok(cut)
        };
        let cut = self.load_within(&until, cut_at_point).await?;
        // Finding out which life the revision belongs to may have read further: that is later than the question.
        let read = self.read_until(&until).len();
        self.log.truncate(read);
        let frontier = self.frontier();
        // The end of protection is written long after the revision at which it ended.
        let hi = |row: &Row| row.domain == domain && cut.holds(row) && row.op != Op::CoverEnd;
        let time = self.rows().filter(|r| hi(r)).map(|r| r.time_hi).max().unwrap_or(0);
        let at_start = self.start.as_ref().and_then(|start| start.proven(domain));
        let time = time.max(at_start.map_or(0, |(_, hi)| hi));
        let known = frontier.get(domain).map(|p| CutPoint { incarnation: p.incarnation, rv: p.rv });
        let lives = self.lives_read();
        let seen = self.greatest(&lives, |_| true).0.domains.get(domain).copied();
        let beyond = if known >= Some(point) || seen >= Some(point) {
            None
        } else {
            Some(frontier.get(domain).map_or(0, |p| p.time))
        };
        Ok(self.moment(&lives, cut, time, beyond, None))
    }

    async fn resolve_pos(&mut self, pos: Position, before: bool) -> Result<Moment> {
        if !self.begin(|c| c.pos < pos).await? {
            return Err(self.too_old(&format!("position {pos}")));
        }
        let cut = self.load_within(&Until::Pos(pos), |reader| Ok(reader.cut_of(pos, before)?.0)).await?;
        let row = self.cut_of(pos, before)?.1;
        if let Some(point) = cut.domains.get(&row.domain).copied() {
            self.load(&Until::Point(row.domain.clone(), point)).await?;
        }
        Ok(self.moment(&self.lives_read(), cut, row.time_hi, None, None))
    }

    /// The cut at the row of a position, or `before` it, and the row.
    fn cut_of(&self, pos: Position, before: bool) -> Result<(Cut, Row)> {
        let at = self.log.runs().iter().position(|s| s.meta.first <= pos && pos <= s.meta.last);
        let found = at.and_then(|at| {
            let read = self.log.runs().get(..=at)?;
            let segment = read.last()?;
            Some((read, segment, segment.rows.iter().find(|row| row.pos == pos)?.clone()))
        });
        let Some((read, segment, row)) = found else {
            let last = self.log.runs().last().map_or(0, |s| s.meta.last);
            return Err(Error::not_found(
                format!("position {pos}"),
                format!("is not in the journal; its last is {last}"),
            ));
        };
        let mut cut = self.cut_at(&segment.meta.frontier, read);
        let mut point = CutPoint { incarnation: row.incarnation, rv: row.rv };
        if row.source == Source::List || !row.op.is_object() {
            // Rows of a list carry old revisions: the row stands for the list's own.
            point = cut.domains.get(&row.domain).copied().unwrap_or(point).max(point);
        } else if before {
            point.rv = point.rv.saturating_sub(1);
        }
        cut.domains.insert(row.domain.clone(), point);
        Ok((cut, row))
    }

    /// The moment of a cut, judged by what has been read; `asked` is the time if the question named one.
    fn moment(
        &self,
        lives: &LivesRead,
        cut: Cut,
        time: Micros,
        beyond: Option<Micros>,
        asked: Option<Micros>,
    ) -> Moment {
        let frontier = self.newest_closed();
        let ended = self.ended(lives, &cut, asked);
        let closed = beyond.is_none() && !cut.domains.is_empty() && ended.is_empty() && cut.within(&frontier);
        Moment {
            before_start: cut.domains.is_empty(),
            cut,
            time,
            closed,
            beyond,
            uncertain: Vec::new(),
            frontier,
            thinned: None,
            ended,
            hole: None,
        }
    }

    /// Per domain the greatest revision that the rows accepted by `fits` show was reached, and the newest time among
    /// them.
    fn greatest(&self, lives: &LivesRead, fits: impl Fn(&Row) -> bool) -> (Cut, Micros) {
        let mut cut = self.start.as_ref().map(|start| start.proven_cut()).unwrap_or_default();
        let mut time = self.start.as_ref().map_or(0, |start| start.time());
        let mut take = |row: &Row| {
            let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
            let at = cut.domains.entry(row.domain.clone()).or_insert(point);
            *at = (*at).max(point);
            time = time.max(row.time_hi);
        };
        let counted = || self.rows().filter(|row| tells_revision(row) && !lives.torn(row) && fits(row));
        counted().filter(|row| row.op != Op::CoverEnd).for_each(&mut take);
        // In each life, protection cannot end before it has begun.
        let begun = |row: &&Row| lives.since(row).is_none_or(|since| since < Micros::MAX);
        if counted().any(|row| row.op != Op::CoverEnd) || self.start.is_some() {
            counted().filter(|row| row.op == Op::CoverEnd).filter(begun).for_each(&mut take);
        }
        (cut, time)
    }
}

/// Whether a row says by when its revision was committed. The end of a life does not: its time is the last moment at
/// which everything was known, which is before its revision's.
pub(super) fn tells_revision(row: &Row) -> bool {
    match row.op {
        Op::CoverBegin | Op::Gap => true,
        Op::CoverEnd => !is_end_of_life(row),
        op => op.is_object(),
    }
}
