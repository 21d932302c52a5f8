//! Why an object that was not there then may be deleted now, or why not.
//!
//! Absence is no evidence: a kind that was excluded, forbidden or not there yet looks empty. **Invariant.** An object is
//! deleted only if its kind was protected at the cut and without a break until now, no `lost` gap of the kind ends after the
//! cut, no life of the server's counter ended in between, and the journal itself holds the object as there now, with the uid
//! that is live; or if the restore that is undone created it.

use hindcast_journal::{
    Micros,
    cut::CutPoint,
    facts::{CoverEnd, Grade},
    fold::{KindState, ObjectKey},
};

use crate::{
    Desired, Known, Protection,
    desired::{DEFINITIONS, Source},
    live::Present,
    selection::Widen,
};

/// Why an object is not deleted: code, reason, and the flag that would do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) code: &'static str,
    pub(super) reason: String,
    pub(super) flag: Option<&'static str>,
}

fn missing(code: &'static str, reason: String) -> Missing {
    Missing { code, reason, flag: None }
}

/// The evidence in words.
pub(super) fn of(
    key: &ObjectKey,
    live: &Present,
    desired: &Desired,
    known: &Known,
    widen: &Widen,
) -> Result<String, Missing> {
    let uid = live.uid.as_str();
    if let Source::Undo(id) = &desired.source {
        return match desired.created.get(key) {
            Some(created) if created == uid => Ok(format!("restore {id} created it (uid {uid})")),
            Some(_) => Err(missing(
                "no-evidence",
                format!("restore {id} created one of this name, but this is another (uid {uid})"),
            )),
            None => Err(missing("no-evidence", format!("restore {id} did not create it"))),
        };
    }
    let kind = key.kind_key();
    let Some(state) = known.kinds.get(&kind) else { return Err(unprotected(None)) };
    // Of a kind that was not even defined then there was nothing; what has to be known of it is when it was defined.
    let undefined = desired.was_undefined(&state.discovery);
    let state = if undefined { known.kinds.get(DEFINITIONS).unwrap_or(state) } else { state };
    match desired.kinds.get(&kind) {
        _ if undefined => {}
        Some((_, Protection::Protected)) => {}
        Some((_, Protection::LastKnown { time: known, .. })) => {
            let why = format!(
                "its kind is known only up to {}, when the server's store was put back, so that it was not there is not proven",
                time(*known)
            );
            return Err(missing("not-protected", why));
        }
        Some((_, Protection::NotProtected(why))) => return Err(unprotected(why.as_ref())),
        None => return Err(unprotected(None)),
    }
    let Some(point) = desired.cut.domains.get(&state.discovery.domain) else { return Err(unprotected(None)) };
    throughout(state, *point, desired.time)?;
    if let Some((from, to)) = lost(state, *point).filter(|_| !widen.accept_gap) {
        return Err(Missing {
            code: "lost-gap",
            reason: format!(
                "changes of its kind from {} to {} are lost, so it may have been there at the moment asked for",
                time(from),
                time(to)
            ),
            flag: Some("--accept-gap"),
        });
    }
    if let Some(created) = created(live).filter(|created| desired.uncertain && *created <= desired.time) {
        return Err(missing(
            "no-evidence",
            format!(
                "it was made within the second of {}, so it may have been there at the moment asked for; ask for a position or a \
                 revision, which have no such doubt: `hindcast log` shows them",
                time(created)
            ),
        ));
    }
    present(key, uid, known)
}

/// When an object was made, by its own stamp, which is cut to a second.
fn created(live: &Present) -> Option<Micros> {
    let stamp = live.object.value.pointer("/metadata/creationTimestamp")?.as_str()?;
    Some(stamp.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}

fn unprotected(why: Option<&CoverEnd>) -> Missing {
    let why = why.map_or_else(|| "not yet".to_owned(), reason);
    missing("not-protected", format!("its kind was not protected then ({why}), so that it was not there is not proven"))
}

/// Why a kind was not protected, in words.
pub(super) fn reason(end: &CoverEnd) -> String {
    if end.detail.is_empty() {
        end.reason.as_str().to_owned()
    } else {
        format!("{}: {}", end.reason.as_str(), end.detail)
    }
}

/// Whether a kind has been protected from a point on until now, without an end.
fn throughout(kind: &KindState, point: CutPoint, time_then: Micros) -> Result<(), Missing> {
    let Some(last) = kind.covers.last() else { return Err(unprotected(kind.uncovered.as_ref())) };
    if let Some((_, at, end)) = &last.end {
        let why = format!(
            "its kind is not protected since {} ({}), so what became of it is not known",
            time(*at),
            reason(end)
        );
        return Err(missing("not-protected", why));
    }
    if last.from < point || (last.from == point && last.from_time <= time_then) {
        return Ok(());
    }
    let broken = kind.covers.iter().rev().nth(1).and_then(|cover| cover.end.as_ref());
    let why = match broken {
        Some((_, at, end)) => {
            format!("its kind was not protected from {} to {} ({})", time(*at), time(last.from_time), reason(end))
        }
        None => format!("its kind is protected only since {}", time(last.from_time)),
    };
    Err(missing("not-protected", format!("{why}, so that it was not there is not proven")))
}

/// The times of a lost gap that ends after a point.
fn lost(kind: &KindState, point: CutPoint) -> Option<(Micros, Micros)> {
    let after = |(incarnation, gap): &&(u32, hindcast_journal::facts::Gap)| {
        gap.grade == Grade::Lost && CutPoint { incarnation: *incarnation, rv: gap.to } > point
    };
    kind.gaps.iter().find(after).map(|(_, gap)| (gap.time_from, gap.time_to))
}

fn present(key: &ObjectKey, uid: &str, known: &Known) -> Result<String, Missing> {
    let Some((seen, pos)) = known.present.get(key) else {
        let why = format!(
            "the journal has not seen it yet: it is closed up to {}; plan again in a moment",
            time(known.closed)
        );
        return Err(missing("no-evidence", why));
    };
    if seen != uid {
        let why = format!(
            "the journal knows another object of this name (uid {seen}), not this one (uid {uid}); plan again in a moment"
        );
        return Err(missing("no-evidence", why));
    }
    Ok(format!("it was not there then, and the journal saw it come since: uid {uid}, newest position {pos}"))
}

/// A moment as it is written in reasons: UTC, to the second.
pub(super) fn time(micros: Micros) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| micros.to_string(), |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
