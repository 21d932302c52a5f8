//! Answers about a time of which only some cuts were kept.
//!
//! **Invariants.** (1) A moment before the base is answered from a kept cut alone, with nothing read behind it: what the log still has of
//! that time, until it is removed, changes no answer [`Reader::keep_to`]. (2) It is the answer exactly only where the statement says that
//! the cut is that of this very moment, or where a revision is the cut's own; any other answer says which cut it is of
//! [`Moment::thinned`]. (3) What is older than everything kept is an error that says what can be asked for.

use std::sync::Arc;

use super::{Reader, rows::Log};
use crate::{
    Error, Result,
    cut::{CutPoint, Moment, Thinned},
    expiry::{Kept, Statement},
    parts::{Micros, utc_millis},
    segment::{FrontierPoint, FrontierVector},
};

impl Reader {
    /// What was kept of the time before the base.
    async fn statement(&mut self) -> Result<Arc<Statement>> {
        if let Some(known) = &self.statement {
            return Ok(known.clone());
        }
        let Some(expired) = self.manifest.expired() else {
            return Err(Error::internal("the past", "is not thinned out"));
        };
        let statement = Arc::new(Statement::named(&self.journal, expired).await?);
        self.statement = Some(statement.clone());
        Ok(statement)
    }

    /// The answer to a time that was thinned out.
    pub(super) async fn kept_at(&mut self, time: Micros, before: bool) -> Result<Moment> {
        let statement = self.statement().await?;
        let exactly = |kept: &Kept| !before && kept.exactly.iter().any(|exactly| exactly.time == time);
        let reaches = |kept: &&Kept| if before { kept.time() < time } else { kept.time() <= time };
        let newest = || statement.kept.iter().filter(reaches).max_by_key(|kept| (kept.time(), kept.checkpoint.pos));
        let exact = statement.kept.iter().find(|kept| exactly(kept));
        let Some(kept) = exact.or_else(newest) else { return Err(self.too_old(&utc_millis(time))) };
        let mut moment = self.keep_to(kept, time, exact.is_none().then_some(&*statement));
        if exact.is_some() {
            let own = kept.exactly.iter().find(|exactly| exactly.time == time);
            moment.uncertain = own.map(|own| own.uncertain.clone()).unwrap_or_default();
            moment.time = time;
        }
        Ok(moment)
    }

    /// The answer to a revision of a domain that was thinned out.
    pub(super) async fn kept_at_point(&mut self, domain: &str, point: CutPoint) -> Result<Moment> {
        let statement = self.statement().await?;
        let own = |kept: &Kept| kept.cut().domains.get(domain).copied();
        let exactly = |kept: &&Kept| {
            own(kept) == Some(point) && ((kept.revision && domain == crate::cut::MAIN) || kept.cut().domains.len() == 1)
        };
        let exact = statement.kept.iter().rev().find(exactly);
        let reaches = |kept: &&Kept| own(kept).is_some_and(|own| own <= point);
        let newest = || statement.kept.iter().filter(reaches).max_by_key(|kept| (own(kept), kept.checkpoint.pos));
        let Some(kept) = exact.or_else(newest) else {
            return Err(self.too_old(&format!("rev:{}", point.rv)));
        };
        Ok(self.keep_to(kept, kept.time(), exact.is_none().then_some(&*statement)))
    }

    /// What cannot be answered, with what can.
    pub(super) fn too_old(&self, what: &str) -> Error {
        let Some(expired) = self.manifest.expired() else {
            return Error::internal(what, "is not in what was read");
        };
        Error::not_found(what, "is of a time of which nothing was kept: retention has let it go").with_hint(format!(
            "the oldest moment that is kept is {}; from {} on every moment is answered, and the log goes back to position {}",
            utc_millis(expired.oldest),
            utc_millis(expired.whole),
            expired.first
        ))
    }

    /// Goes to a kept cut, behind which nothing is read, for a moment that is not before it; `of` is the statement if the moment is not
    /// the cut's own.
    fn keep_to(&mut self, kept: &Kept, asked: Micros, of: Option<&Statement>) -> Moment {
        self.start = Some(Arc::new(kept.checkpoint.clone()));
        self.log = Log::new(&self.journal, &self.manifest);
        // The next question begins anew.
        self.started = false;
        // It is known to have been so until the last moment that it is exactly the answer to.
        let until = kept.exactly.iter().map(|exactly| exactly.time).filter(|time| *time <= asked).max();
        let (cut, time) = (kept.cut(), until.unwrap_or(kept.time()));
        let closed = |point: &CutPoint| FrontierPoint { incarnation: point.incarnation, rv: point.rv, time };
        let frontier: FrontierVector = cut.domains.iter().map(|(domain, p)| (domain.clone(), closed(p))).collect();
        let whole = self.manifest.expired().map_or(time, |expired| expired.whole);
        let next = |statement: &Statement| {
            let later = statement.kept.iter().filter(|other| other.time() > kept.time()).map(Kept::moment);
            later.filter(|moment| *moment > asked.max(time)).min().unwrap_or(whole)
        };
        Moment {
            before_start: cut.domains.is_empty(),
            cut,
            time,
            closed: true,
            beyond: None,
            uncertain: Vec::new(),
            frontier,
            thinned: of.map(|statement| Thinned { kept: time, next: next(statement), whole }),
            ended: Vec::new(),
            hole: None,
        }
    }
}
