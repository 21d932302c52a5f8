//! The one door to the past: a journal found and opened, and a moment of it answered honestly.
//!
//! **Words**: a *reservation* is what makes an answer less than exact (an open cut, a lost gap, an older answer, an
//! unprotected kind); it is named and turns the exit code into 3. A *note* is worth knowing and changes nothing.
//!
//! **Invariants.**
//! 1. Whatever T became is printed before the answer [`Reading::at`].
//! 2. A moment later than the journal knows is refused unless a stale answer was allowed; it is never answered with
//!    the newest state in silence.
//! 3. The bucket alone is enough: a kubeconfig only helps to see the last second.
//!
//! Not here: how the journal is read (`hindcast_restorer::Timeline`).

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use hindcast_journal::{
    Error, Journal, Moment, Parts, Past, Row,
    cut::{At, Hole, MAIN, Thinned, Uncertain},
    exact::Value,
    facts::{self, CoverEnd, Discovery, Gap},
    fold::{KindState, ObjectKey},
    parts::Micros,
    point::{Point, Points},
    row::Source,
    seal::Key,
    store::Patience,
};
use hindcast_restorer::{Bypassed, Object, Protection, Timeline, Unsure, View, ask};

use crate::{
    columns::span,
    context::Context,
    failure::{Exit, Failure, Result},
    keyfile, kinds,
    moment::T,
    names::{count, kind_name, object_name, some},
    redact::{self, Hide},
    store::{self, Access, Cache, Location},
    view, words,
};

pub(crate) mod close;
mod uncertain;

/// A moment that is longer ago is not taken for now without a word.
const RECENT: Micros = 5_000_000;

/// A journal, opened.
pub(crate) struct Reading<'a> {
    context: &'a Context<'a>,
    /// The reading library.
    pub(crate) timeline: Timeline,
    /// The journal itself.
    pub(crate) journal: Journal,
    /// What is less than exact about the answer.
    pub(crate) reservations: Vec<view::Warning>,
    /// Changes that may be before or after a moment that was asked for, until it is known which of them matter.
    uncertain: Vec<Uncertain>,
    /// Healed gaps that were met: kind and gap. They are told in one line, since a restart of the API server makes one
    /// of every kind.
    healed: Vec<(String, Gap)>,
    /// Whether a moment has to be known exactly, as a restore needs it: then no refusal offers less.
    pub(crate) exact: bool,
    /// Why the journal's writer was not asked for more, or that it did not answer.
    unasked: Option<Error>,
}

/// Opens the journal of the common options, one cluster of it; says whether webhooks of the cluster are switched off.
pub(crate) async fn open<'a>(context: &'a Context<'a>) -> Result<Reading<'a>> {
    let mut past = open_quietly(context).await?;
    past.tell_of_bypass(None).await;
    Ok(past)
}

/// The same, for whoever asks the cluster itself.
pub(crate) async fn open_quietly<'a>(context: &'a Context<'a>) -> Result<Reading<'a>> {
    let (location, cluster) = place(context, Access::Read).await?;
    open_cluster(context, &location, &cluster).await
}

/// The store, and whose journal it is, without reading any of it.
pub(crate) async fn place(context: &Context<'_>, access: Access) -> Result<(Location, String)> {
    let location = locate(context, access)?;
    let clusters = clusters(&context.parts, &location).await?;
    let cluster = choose(context, &location, &clusters).await?;
    Ok((location, cluster))
}

/// Opens the journal of one cluster.
pub(crate) async fn open_cluster<'a>(
    context: &'a Context<'a>,
    location: &Location,
    cluster: &str,
) -> Result<Reading<'a>> {
    let journal = Journal::open(location.store.clone(), &location.prefix, cluster, context.parts.clone());
    // Only what is shown is read around damage: what is removed, merged or kept never rests on it.
    let read = if context.common.around_damage { journal.clone().around_damage() } else { journal.clone() };
    let timeline = Timeline::open(&read, keys(context)?).await?;
    Ok(Reading {
        context,
        timeline,
        journal,
        reservations: Vec::new(),
        uncertain: Vec::new(),
        healed: Vec::new(),
        exact: false,
        unasked: None,
    })
}

/// The store that holds the journal.
pub(crate) fn locate(context: &Context<'_>, access: Access) -> Result<Location> {
    let common = &context.common.cache;
    let cache = common.cache.as_deref().map(|folder| Cache { folder, limit: common.cache_size });
    store::open_behind(cache, &named(context)?, access, &context.held.environment())
}

/// The journal as it was named, or the default one.
pub(crate) fn named(context: &Context<'_>) -> Result<String> {
    context.common.journal.clone().map_or_else(store::default_url, Ok)
}

/// The clusters that have a journal at the location; there is at least one.
pub(crate) async fn clusters(parts: &Parts, location: &Location) -> Result<Vec<String>> {
    let ask = || Journal::clusters(&*location.store, &location.prefix);
    let found = Patience::ask(parts, ask).await.map_err(|error| {
        // What the store itself refuses is about the journal, not about a name in it.
        let mut failure = Failure::from(error);
        failure.what = format!("journal {}", location.url);
        failure.hints.extend(store::remedy(&location.url).map(str::to_owned));
        failure
    })?;
    if found.is_empty() {
        return Err(Failure::new(format!("journal {}", location.url), "holds nothing yet").hint(
            "`hindcast run` with the same --journal writes it; check the bucket and prefix if it should be there",
        ));
    }
    Ok(found)
}

async fn choose(context: &Context<'_>, location: &Location, clusters: &[String]) -> Result<String> {
    let wanted = context.common.cluster.as_deref();
    let mut named = Vec::new();
    for uid in clusters {
        let alias = alias(context, location, uid).await?;
        let fits = wanted.is_none_or(|w| uid.starts_with(w) || alias.as_deref() == Some(w));
        named.push((uid, alias, fits));
    }
    let fitting: Vec<_> = named.iter().filter(|(.., fits)| *fits).collect();
    if let [(uid, ..)] = fitting.as_slice() {
        return Ok((*uid).clone());
    }
    let list = |all: &[(&String, Option<String>, bool)]| {
        let name = |(uid, alias, _): &(&String, Option<String>, bool)| match alias {
            Some(alias) => format!("{alias} ({uid})"),
            None => (*uid).clone(),
        };
        all.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let what = format!("journal {}", location.url);
    let reason = match wanted {
        Some(wanted) if fitting.is_empty() => format!("has no cluster `{wanted}`"),
        Some(wanted) => format!("has several clusters that begin with `{wanted}`"),
        None => "holds several clusters".to_owned(),
    };
    Err(Failure::new(what, reason).hint(format!("choose with --cluster: {}", list(&named))))
}

/// The name a person gave a cluster.
pub(crate) async fn alias(context: &Context<'_>, at: &Location, uid: &str) -> Result<Option<String>> {
    let journal = Journal::open(at.store.clone(), &at.prefix, uid, context.parts.clone());
    let newest = journal.store().newest_fact("alias").await?;
    let value = newest.and_then(|(_, bytes)| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    Ok(value.and_then(|v| v.get("alias").unwrap_or(&v).as_str().map(str::to_owned)))
}

/// The keys that open sealed values: of the file that was named, or of the default journal's where it exists.
pub(crate) fn keys(context: &Context<'_>) -> Result<Vec<Arc<Key>>> {
    let common = context.common;
    let Some(path) = keyfile::path(common.key_file.as_deref(), common.journal.as_deref())? else {
        return Ok(Vec::new());
    };
    let file = match &common.key_file {
        Some(_) => Some(keyfile::read_existing(&path)?),
        None => keyfile::read(&path)?,
    };
    Ok(file.into_iter().flat_map(|file| file.keys).map(Arc::new).collect())
}

impl Reading<'_> {
    /// The past at the moment that T is, closed if there is a way to close it; says on stderr what T became.
    pub(crate) async fn at(&mut self, t: &T, open: bool) -> Result<Past> {
        let t = &self.settled(t).await?;
        let at = t.question(open)?;
        let mut past = self.timeline.at(&at).await?;
        let moment = past.moment();
        let wants_more = match at {
            At::NowOpen => false,
            At::Now => moment.hole.is_none(),
            // Of a life of the counter that has ended no more will be known, however long one waits, nor of what cannot be read.
            _ if moment.hole.is_some() => false,
            _ => !moment.closed && moment.ended.is_empty(),
        };
        if wants_more {
            past = close::close(self, self.context, &at, past).await?;
        }
        self.judge(t, past.moment()).await?;
        self.say(past.moment());
        if *t == T::Now {
            self.say_age(past.moment());
        }
        Ok(past)
    }

    /// The recovery point of that name.
    pub(crate) async fn point(&self, name: &str) -> Result<Point> {
        Ok(Points::new(self.journal.store()).named(name).await?)
    }

    /// T with the cut of a recovery point in the place of its name, which is said.
    async fn settled(&self, t: &T) -> Result<T> {
        let (settled, point) = t.settled(self.journal.store()).await?;
        if let Some(point) = point {
            let shown = self.context.wall.show(point.time);
            self.context.printer.note(format!("point {} is of {shown}", point.about.name));
        }
        Ok(settled)
    }

    /// Says how old the state of now is, if it is not of now.
    fn say_age(&self, moment: &Moment) {
        let age = self.context.parts.clock.now() - moment.time;
        if age > RECENT {
            let age = span(age);
            self.context.printer.note(format!("note: that is {age} ago: nothing later is closed in the journal"));
        }
    }

    /// Refuses a moment that cannot be answered; notes what is less than exact about one that can.
    async fn judge(&mut self, t: &T, moment: &Moment) -> Result<()> {
        let wall = &self.context.wall;
        if let Some(hole) = &moment.hole {
            if self.exact || moment.cut.domains.is_empty() {
                return Err(hole.refused(shown(t, wall)).into());
            }
            self.damaged(hole, Some(moment.time));
            self.uncertain.extend(moment.uncertain.iter().cloned());
            return Ok(());
        }
        if moment.cut.domains.is_empty() || moment.before_start {
            let begin = self.begin().await?;
            return Err(match begin {
                Some(begin) => Failure::new(shown(t, wall), "is before the journal begins")
                    .hint(format!("it begins at {}", wall.show(begin))),
                None => Failure::new(format!("journal of {}", self.journal.cluster()), "has nothing protected yet")
                    .hint("`hindcast run` is to list the cluster once before anything can be read"),
            });
        }
        if let Some(known) = moment.beyond {
            let known = wall.show(known);
            if !self.context.common.allow_stale {
                let later = Failure::new(
                    shown(t, wall),
                    format!("is later than the journal knows: it is closed up to {known}"),
                )
                .hint("ask for an earlier moment, wait for `hindcast run` to catch up, or raise --wait");
                let later = match &self.unasked {
                    Some(unasked) => later.hint(words::unasked(unasked)),
                    None => later,
                };
                let stale = "--allow-stale answers from what there is (exit 3)";
                return Err(if self.exact { later } else { later.hint(stale) });
            }
            self.reserve("stale", format!("the journal is closed only up to {known}; this is what it knew then"));
        }
        if let Some(thinned) = &moment.thinned {
            self.thinned(&shown(t, wall), thinned)?;
        }
        self.uncertain.extend(moment.uncertain.iter().cloned());
        Ok(())
    }

    /// Names a part of the log that cannot be read and was gone around; what is answered is of a moment, if it is of one before it.
    pub(crate) fn damaged(&mut self, hole: &Hole, of: Option<Micros>) {
        let wall = &self.context.wall;
        let since = hole.since.map_or("the beginning".to_owned(), |since| wall.show_millis(since));
        let until = match hole.until {
            Some((until, _)) => format!("until {}", wall.show_millis(until)),
            None => "on, for no checkpoint stands behind it".to_owned(),
        };
        let proof = if hole.proven || hole.until.is_none() {
            ""
        } else {
            "; nothing proves that what is behind it follows from what is before"
        };
        let of = match of {
            Some(time) => format!("; this is the last that is known before it, of {}", wall.show_millis(time)),
            None => String::new(),
        };
        let text = format!(
            "lost interval from {since} {until}: {} of the log cannot be read ({}): what changed in it is not known{of}{proof}; `hindcast doctor` \
             says what helps",
            hole.what(),
            hole.why
        );
        self.reserve("damaged", text);
    }

    /// Tells which cut a moment of a time that was thinned out is answered by; refuses where the moment itself is needed.
    fn thinned(&mut self, what: &str, thinned: &Thinned) -> Result<()> {
        let wall = &self.context.wall;
        let [kept, next, whole] = [thinned.kept, thinned.next, thinned.whole].map(|time| wall.show(time));
        if !self.context.common.allow_stale {
            let refused = Failure::new(
                what,
                "is of a time that retention has thinned out: only some cuts of it are kept",
            )
            .hint(format!(
                "ask for {kept}, the cut before it, or {next}, the next; from {whole} on every moment can be had"
            ));
            let stale = "--allow-stale answers with the cut before it (exit 3)";
            return Err(if self.exact { refused } else { refused.hint(stale) });
        }
        let text = format!(
            "retention has thinned that time out; this is the cut that was kept of {kept}, and the next is of {next}: what changed in              between is not known"
        );
        self.reserve("thinned", text);
        Ok(())
    }

    /// Says that a part of the log that was asked for has expired: a reservation where its beginning was named.
    pub(crate) fn reserve_expired(&mut self, since: Option<Micros>) {
        let Some(expired) = self.timeline.expired() else { return };
        if since.is_some_and(|since| since > expired.whole) {
            return;
        }
        let (whole, base) = (self.context.wall.show_millis(expired.whole), expired.base);
        let text = format!(
            "the log goes back to {whole} (position {base}): what was before that, retention has let go; `get` and `show` still know the              cuts that are kept"
        );
        match since {
            Some(_) => self.reserve("expired", text),
            None => self.context.printer.note(format!("note: {text}")),
        }
    }

    /// `at 2026-11-01 14:01:00.000+01:00 = rev 812345 (closed)`
    fn say(&self, moment: &Moment) {
        let state = match (moment.closed, moment.beyond) {
            (true, _) => "closed",
            (false, None) if !moment.ended.is_empty() => "last known",
            (false, None) => "open",
            (false, Some(_)) => "stale",
        };
        let state = if moment.thinned.is_some() { "kept" } else { state };
        let state = if moment.hole.is_some() { "before what cannot be read" } else { state };
        let mut others = String::new();
        for (domain, point) in moment.cut.domains.iter().filter(|(domain, _)| *domain != MAIN) {
            let _ = write!(others, ", {domain} rev {}", point.rv);
        }
        let main = moment.cut.domains.get(MAIN);
        let life = main
            .filter(|p| p.incarnation > 0 || moment.ended.iter().any(|ended| ended.domain == MAIN))
            .map_or(String::new(), |p| format!("@{}", p.incarnation));
        self.context.printer.note(format!(
            "at {} = rev {}{life}{others} ({state})",
            self.context.wall.show(moment.time),
            moment.cut.rev()
        ));
    }

    /// When the first kind came under protection.
    async fn begin(&mut self) -> Result<Option<Micros>> {
        let kinds = self.kinds_ever().await?;
        Ok(kinds.values().flat_map(|kind| &kind.covers).map(|cover| cover.from_time).min())
    }

    /// The kinds that the journal has come to know since, whatever became of them.
    pub(crate) async fn kinds_ever(&mut self) -> Result<BTreeMap<String, KindState>> {
        Ok(ask::scope::kinds_ever(&mut self.timeline).await?)
    }

    /// Reads `KIND…` against the kinds of the moment, or else those that are known since.
    pub(crate) async fn asked(&mut self, past: &Past, kind: &str, name: Option<&str>) -> Result<kinds::Asked> {
        Ok(ask::scope::asked(&mut self.timeline, past, kind, name).await?)
    }

    /// Sorts the asked kinds by whether they were protected. All unprotected is a failure, some are a reservation.
    pub(crate) fn protected(&mut self, view: &View, asked: &[Discovery]) -> Result<Vec<Discovery>> {
        let (mut protected, mut missing) = (Vec::new(), Vec::new());
        for kind in asked {
            match view.protection(&kind.kind_key()) {
                Protection::Protected | Protection::LastKnown { .. } => protected.push(kind.clone()),
                Protection::NotProtected(end) => missing.push(Missing::new(kind, end.as_ref())),
            }
        }
        let at = self.context.wall.show(view.moment.time);
        let mut groups = grouped(missing).into_iter();
        if protected.is_empty() {
            let (kinds, why) = groups.next().unwrap_or_default();
            let mut failure = Failure::new(kinds, format!("not protected at {at}: {why}"));
            for (kinds, why) in groups {
                failure = failure.hint(format!("{kinds}: not protected either: {why}"));
            }
            return Err(failure.hint(
                "this does not say that there were none; `hindcast status` shows since when each kind is protected",
            ));
        }
        for (kinds, why) in groups {
            self.reserve("not-protected", format!("{kinds}: not protected at {at}: {why}"));
        }
        Ok(protected)
    }

    /// Names what a view lacks: an open cut and its lagging kinds, lost gaps; healed ones are noted.
    pub(crate) fn reserve_view(&mut self, view: &View, asked: &[Discovery]) {
        let moment = &view.moment;
        if !moment.ended.is_empty() {
            self.reserve_ended(view, asked);
        } else if !moment.closed && moment.beyond.is_none() {
            let asked: Vec<String> = asked.iter().map(Discovery::kind_key).collect();
            let (mine, others): (Vec<_>, Vec<_>) = view.lagging.iter().partition(|(key, _)| asked.contains(key));
            let behind: Vec<String> =
                mine.iter().chain(&others).map(|(key, rv)| format!("{} (seen to rev {rv})", kind_name(key))).collect();
            let text = match (behind.is_empty(), mine.is_empty()) {
                (true, _) => "the cut is open: not every kind has been seen up to it".to_owned(),
                (false, true) => {
                    format!("the cut is open; what was asked for has been seen up to it, but not {}", some(&behind))
                }
                (false, false) => format!("the cut is open; behind are {}", some(&behind)),
            };
            self.reserve("open-cut", text);
        }
        for kind in asked {
            for gap in view.gaps(&kind.kind_key()) {
                self.gap(&kinds::label(kind), &gap);
            }
        }
    }

    /// An object for an output: hidden, or opened where that was asked.
    pub(crate) async fn value(&self, object: &Object, show_secrets: bool) -> Result<Value> {
        if show_secrets {
            return Ok(self.timeline.reveal(object).await?);
        }
        Ok(redact::hidden(object, self.hide()))
    }

    /// What hides values in outputs.
    pub(crate) fn hide(&self) -> Hide<'_> {
        Hide::new(self.timeline.rules(), self.timeline.key().map(|key| &**key))
    }

    /// Names objects with values that are not stored: a reservation where values were asked for, else a note.
    pub(crate) fn reserve_values<'o>(&mut self, objects: impl IntoIterator<Item = &'o Object>, asked: bool) {
        let lacking = objects.into_iter().filter(|object| !object.unstored.is_empty());
        let names: Vec<String> = lacking.map(|object| object_name(&ObjectKey::of(&object.row))).collect();
        if names.is_empty() {
            return;
        }
        let text =
            format!("values of {} are not stored at that moment: there was no key, or none that worked", some(&names));
        if asked {
            self.reserve("values-not-stored", text);
        } else {
            self.context.printer.note(format!("note: {text}"));
        }
    }

    /// Names objects with values of which nobody can tell whether they differ.
    pub(crate) fn reserve_unsure(&mut self, unsure: &[Unsure]) {
        for stored in [false, true] {
            let names: Vec<String> =
                unsure.iter().filter(|one| one.stored == stored).map(|one| object_name(&one.key)).collect();
            if names.is_empty() {
                continue;
            }
            let text = match stored {
                false => format!("values of {} are not stored at one of the moments, so they may differ", some(&names)),
                true => format!(
                    "values of {} were sealed with two keys, so they may be equal where hashes differ; the key file with both tells",
                    some(&names)
                ),
            };
            self.reserve("values-not-compared", text);
        }
    }

    /// Names what is known of the last moments before the server's store was put back, each kind with its newest good one.
    fn reserve_ended(&mut self, view: &View, asked: &[Discovery]) {
        let wall = &self.context.wall;
        let last = |kind: &Discovery| match view.protection(&kind.kind_key()) {
            Protection::LastKnown { rv, time } => {
                Some(format!("{} up to {} (rev {rv})", kinds::label(kind), wall.show_millis(time)))
            }
            _ => None,
        };
        let known: Vec<String> = asked.iter().filter_map(last).collect();
        let when = match view.moment.ended.iter().filter_map(|ended| ended.next).min() {
            Some(next) => format!("was put back to an older copy before {}", wall.show_millis(next)),
            None => "was put back to an older copy".to_owned(),
        };
        let what = if known.is_empty() {
            "what was asked for has been seen up to that moment, but not every kind".to_owned()
        } else {
            format!("this is the last that is known, and later changes may be missing; known are {}", known.join(", "))
        };
        self.reserve("ended-life", format!("the server's store {when}: {what}"));
    }

    /// Names a gap: a lost one is a reservation, a healed one a note.
    pub(crate) fn gap(&mut self, kind: &str, gap: &Gap) {
        let wall = &self.context.wall;
        let when = format!("from {} to {}", wall.show(gap.time_from), wall.show(gap.time_to));
        if gap.grade == hindcast_journal::facts::Grade::Lost {
            let objects =
                if gap.unknown.is_empty() { String::new() } else { format!("; uncertain are {}", some(&gap.unknown)) };
            self.reserve(
                "lost-gap",
                format!("{kind}: lost interval {when}: changes may be missing ({}){objects}", gap.reason),
            );
        } else {
            self.healed.push((kind.to_owned(), gap.clone()));
        }
    }

    /// Versions among these that are known only as a later definition of their kind reads them are a reservation: they are not
    /// told exactly.
    pub(crate) fn reserve_later<'r>(&mut self, rows: impl IntoIterator<Item = &'r Row>) {
        let later = rows.into_iter().filter(|row| row.source == Source::HealedLater);
        let mut named: Vec<String> =
            later.map(|row| format!("{} {} at rev {}", kind_name(&row.kind_key()), row.name, row.rv)).collect();
        named.dedup();
        if !named.is_empty() {
            self.reserve(
                "later-definition",
                format!(
                    "recovered after the definition of the kind had changed, and read through the later one, whose defaults may stand in \
                     it and which may have dropped fields: {}",
                    some(&named)
                ),
            );
        }
    }

    /// One line for all healed gaps.
    fn tell_of_healed(&self) {
        let from = self.healed.iter().map(|(_, gap)| gap.time_from).min();
        let to = self.healed.iter().map(|(_, gap)| gap.time_to).max();
        let (Some(from), Some(to)) = (from, to) else { return };
        let mut kinds: Vec<String> = self.healed.iter().map(|(kind, _)| kind.clone()).collect();
        kinds.dedup();
        let versions: u64 = self.healed.iter().map(|(_, gap)| gap.recovered).sum();
        let wall = &self.context.wall;
        self.context.printer.note(format!(
            "note: healed between {} and {}: watches of {} were broken and {} recovered; objects both made and deleted meanwhile are not known",
            wall.show(from),
            wall.show(to),
            some(&kinds),
            count(versions as usize, "version"),
        ));
    }

    /// Says which webhooks an interrupted restore has left switched off, and how they are switched on: as the cluster shows it,
    /// or as the journal knows it now.
    pub(crate) async fn tell_of_bypass(&mut self, live: Option<&[Bypassed]>) {
        let known = match live {
            Some(live) => live.to_vec(),
            // What cannot be read is told by the answer itself.
            None => self.timeline.bypassed().await.unwrap_or_default(),
        };
        for off in &known {
            self.context.printer.warning(words::bypassed(off));
        }
    }

    /// Remembers a reservation.
    pub(crate) fn reserve(&mut self, code: &str, message: String) {
        let warning = view::Warning { code: code.to_owned(), message };
        if !self.reservations.contains(&warning) {
            self.reservations.push(warning);
        }
    }

    /// Prints the reservations; the exit code they make.
    pub(crate) fn finish(&self) -> Exit {
        self.tell_of_healed();
        for warning in &self.reservations {
            self.context.printer.warning(&warning.message);
        }
        if self.reservations.is_empty() { Exit::Done } else { Exit::Reserved }
    }

    /// As [`Reading::finish`], for an answer that ends otherwise than with 0; a reservation wins, but for the one that
    /// single changes may be before or after the moment: it makes no difference of none, and none of one.
    pub(crate) fn finish_with(&self, exit: Exit) -> Exit {
        let slight = self.reservations.iter().all(|reservation| reservation.code == uncertain::CODE);
        match self.finish() {
            Exit::Reserved if slight && exit != Exit::Done => exit,
            Exit::Done => exit,
            reserved => reserved,
        }
    }
}

/// Why a kind was not protected, in words.
pub(crate) fn why(end: Option<&CoverEnd>) -> String {
    end.map_or_else(|| "not yet at that moment".to_owned(), CoverEnd::words)
}

/// A kind that was not protected.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    kind: String,
    why: String,
    /// The same without what names the kind.
    shared: String,
}

impl Missing {
    pub(crate) fn new(kind: &Discovery, end: Option<&CoverEnd>) -> Self {
        let why = why(end);
        let shared = end.map_or_else(|| why.clone(), |end| end.shared(kind));
        Self { kind: kinds::label(kind), why, shared }
    }
}

/// Kinds that were not protected for the same reason, with that reason: an account with few rights is told of in one line,
/// not in one for each kind.
pub(crate) fn grouped(missing: Vec<Missing>) -> Vec<(String, String)> {
    let groups = facts::by_cause(missing.into_iter().map(|kind| (kind.shared, kind.why, kind.kind)));
    groups.into_iter().map(|(why, kinds)| (kinds.join(", "), why)).collect()
}

fn shown(t: &T, wall: &crate::moment::Wall) -> String {
    match t {
        T::Time(time) => wall.show(*time),
        T::Rev(rv, None) => format!("rev:{rv}"),
        T::Rev(rv, Some(incarnation)) => format!("rev:{rv}@{incarnation}"),
        T::Pos(pos) => format!("pos:{pos}"),
        T::Before(t) => format!("before:{}", shown(t, wall)),
        T::Now => "now".to_owned(),
        T::Point(name) => format!("point:{name}"),
    }
}
