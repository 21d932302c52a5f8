//! Why an object that was not there then may be deleted now, or why not.
//!
//! Absence is no evidence: a kind that was excluded, forbidden or not there yet looks empty. **Invariant.** An object is
//! deleted only if its kind was protected at the cut and without a break until now, no `lost` gap of the kind ends after the
//! cut, no life of the server's counter ended in between, and the journal itself holds the object as there now, with the uid
//! that is live; or if the restore that is undone created it.

use hindcast_journal::{
    cut::CutPoint,
    facts::{CoverEnd, Grade},
    fold::{KindState, ObjectKey},
    parts::Micros,
};

use super::judge::Why;
use crate::{
    Desired, Known, Protection,
    desired::Evidence,
    kinds::crds::DEFINITIONS,
    live::Present,
    reason::Reason,
    selection::{Permission, Widen},
};

/// The evidence in words.
pub(super) fn of(
    key: &ObjectKey,
    live: &Present,
    desired: &Desired,
    known: &Known,
    widen: &Widen,
) -> Result<String, Why> {
    let uid = live.uid.as_str();
    if let Evidence::Created(id) = desired.source.evidence() {
        return match desired.created.get(key) {
            Some(created) if created == uid => Ok(format!("restore {id} created it (uid {uid})")),
            Some(_) => Err(Reason::NotCreated { restore: id.to_owned(), uid: Some(uid.to_owned()) }.into()),
            None => Err(Reason::NotCreated { restore: id.to_owned(), uid: None }.into()),
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
            return Err(Reason::KnownUntil(*known).into());
        }
        Some((_, Protection::NotProtected(why))) => return Err(unprotected(why.as_ref())),
        None => return Err(unprotected(None)),
    }
    let Some(point) = desired.cut.domains.get(&state.discovery.domain) else { return Err(unprotected(None)) };
    throughout(state, *point, desired.time)?;
    if let Some((from, to)) = lost(state, *point).filter(|_| !widen.allows(&Permission::AcceptGap)) {
        return Err(Reason::Lost(from, to).unless(Permission::AcceptGap));
    }
    if let Some(created) = live.object.created().filter(|created| desired.uncertain && *created <= desired.time) {
        return Err(Reason::WithinTheSecond(created).into());
    }
    present(key, uid, known)
}

fn unprotected(end: Option<&CoverEnd>) -> Why {
    Reason::NotProtected(end.cloned()).into()
}

/// Whether a kind has been protected from a point on until now, without an end.
fn throughout(kind: &KindState, point: CutPoint, time_then: Micros) -> Result<(), Why> {
    let Some(last) = kind.covers.last() else { return Err(unprotected(kind.uncovered.as_ref())) };
    if let Some((_, at, end)) = &last.end {
        return Err(Reason::NotProtectedSince(*at, end.clone()).into());
    }
    if last.from < point || (last.from == point && last.from_time <= time_then) {
        return Ok(());
    }
    let broken = kind.covers.iter().rev().nth(1).and_then(|cover| cover.end.as_ref());
    let reason = match broken {
        Some((_, at, end)) => Reason::NotProtectedBetween(*at, last.from_time, end.clone()),
        None => Reason::ProtectedSince(last.from_time),
    };
    Err(reason.into())
}

/// The times of a lost gap that ends after a point.
fn lost(kind: &KindState, point: CutPoint) -> Option<(Micros, Micros)> {
    let after = |(incarnation, gap): &&(u32, hindcast_journal::facts::Gap)| {
        gap.grade == Grade::Lost && CutPoint { incarnation: *incarnation, rv: gap.to } > point
    };
    kind.gaps.iter().find(after).map(|(_, gap)| (gap.time_from, gap.time_to))
}

fn present(key: &ObjectKey, uid: &str, known: &Known) -> Result<String, Why> {
    let Some((seen, pos)) = known.present.get(key) else {
        return Err(Reason::NotSeen(known.closed).into());
    };
    if seen != uid {
        return Err(Reason::AnotherSeen { known: seen.clone(), live: uid.to_owned() }.into());
    }
    Ok(format!("it was not there then, and the journal saw it come since: uid {uid}, newest position {pos}"))
}
