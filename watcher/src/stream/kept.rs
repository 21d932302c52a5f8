//! What a standby held is brought to the core first, in a stream's first turn: the piece of history that the server may no
//! longer have. The watch that the standby had open then goes on.
//!
//! **Invariants.** (1) It is brought only to a kind that is covered, and only if it follows on the cursor: what is not newer
//! is dropped by the core, as of any watch. (2) It ends at the first hole: from there on the stream recovers what is missing
//! from the server's history. (3) Each event keeps the moment at which it was received, and none is taken for live. (4) What a bridge
//! tells is older than the cursor in part, and is left out; of what came since it begins and is gone at its end, the server's history
//! is asked [`gone`]. (5) Nothing of it counts as a proof: what is retained was not held against a list.

use hindcast_cluster::{
    Watch,
    discovery::path,
    header::Header,
    lines::{self, Event},
};
use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use hindcast_journal::{facts::Discovery, row::Revision};

use super::{CROWDED, Stream};
use crate::{
    access::Access,
    core::{Core, Healed, Verdict},
    ha::{Bridge, Held, Past, Taken},
    heal::{Recovered, Step, Walk},
};

/// Brings what was held of a kind that is not served any more.
pub(crate) async fn bring_kept(access: &Access, key: &str) {
    let kind = access.core.lock().kinds.get(key).map(|kind| kind.discovery.clone());
    if let Some(kind) = kind {
        Stream::new(access, key, None).bring_kept(&kind).await;
    }
}

impl Stream<'_> {
    /// Brings what a standby held of the kind; the open watch that goes on from there, if there is one.
    pub(super) async fn bring_kept(&mut self, kind: &Discovery) -> Option<Watch> {
        let (access, key) = (self.access, self.key);
        let Taken { ring, watch } = access.kept.as_ref()?.take(key, &path(kind)).await?;
        let follows = {
            let core = access.core.lock();
            core.kinds.get(key).is_some_and(|kind| kind.covered && kind.cursor > 0 && kind.cursor >= ring.from())
        };
        if !follows {
            tracing::debug!(kind = key, "what the standby held does not follow on what is committed");
            return None;
        }
        let mut brought = 0_u64;
        for held in ring.into_held() {
            while access.core.lock().is_crowded() {
                access.core.lock().moved(key);
                access.sleep(CROWDED).await;
            }
            match held {
                Held::Line(received, line) => {
                    let event = lines::event(&line).filter(|event| !matches!(event, Event::Error(_)))?;
                    match access.core.lock().held(key, &event, received) {
                        Verdict::Go => brought += 1,
                        Verdict::Broken(reason) => {
                            self.broken = Some(reason.to_owned());
                            return None;
                        }
                        Verdict::Stop | Verdict::Opaque => return None,
                    }
                }
                Held::Bridge(bridge) => {
                    let (cursor, gone) = {
                        let core = access.core.lock();
                        let cursor = core.kinds.get(key).map_or(0, |kind| kind.cursor);
                        (cursor, gone(&core, key, &bridge, cursor))
                    };
                    if cursor < bridge.from {
                        return None;
                    }
                    if cursor >= bridge.to {
                        continue;
                    }
                    let gone = self.walk_gone(kind, gone, cursor).await?;
                    let mut core = access.core.lock();
                    let (heard, opened) = (core.timekeeper.at(bridge.heard), core.timekeeper.at(bridge.opened));
                    core.domain(&kind.domain).clock.receipt(bridge.to, opened, false);
                    let (mut recovered, mut unknown) = (0, Vec::new());
                    // What was there before goes before another of its name comes.
                    for (name, found) in gone.into_iter().chain(bridge.objects) {
                        let complete = found.complete;
                        recovered += core.recovered(key, &name, found.after(cursor), bridge.defined);
                        unknown.extend((!complete).then_some(name));
                    }
                    // What did not move may read otherwise now: the definition, or the server, may be another.
                    core.look_again(key);
                    let healed = Healed {
                        from: cursor,
                        to: bridge.to,
                        time_from: heard.lo,
                        time_to: opened.hi,
                        reason: bridge.why,
                        recovered,
                        unknown,
                        lost: false,
                        compared: false,
                    };
                    core.healed(key, healed);
                    brought += recovered;
                }
                Held::Upto(rv, at) => access.core.lock().held_up_to(key, rv, at),
                Held::Hole => return None,
            }
        }
        tracing::debug!(kind = key, brought, open = watch.is_some(), "what was held while standing by is recorded");
        watch
    }

    /// Finds when objects went of which a bridge cannot know; `None` where the server gives no answer.
    async fn walk_gone(&self, kind: &Discovery, gone: Vec<Gone>, from: Revision) -> Option<Vec<(String, Recovered)>> {
        let history = Past { api: &self.access.api, kind };
        let (floor, mut out) = (AtomicU64::new(0), Vec::new());
        for Gone { name, uid, rv, by } in gone {
            let (namespace, bare) = name.split_once('/').unwrap_or(("", &name));
            let walk = Walk { namespace, name: bare, known: Some((&uid, rv)), from, to: by, end: None };
            let found = walk.run(&history, &floor).await.ok()?;
            out.push((name, found));
        }
        Some(out)
    }
}

/// An object that came behind the beginning of a bridge and was committed, so that the bridge was built without knowing it, and that
/// was gone by a revision.
struct Gone {
    name: String,
    uid: Box<str>,
    rv: Revision,
    by: Revision,
}

/// Those of a kind: they did not stand at the bridge's end, or another of their name did.
fn gone(core: &Core, key: &str, bridge: &Bridge, cursor: Revision) -> Vec<Gone> {
    let told: BTreeMap<&str, &Recovered> = bridge.objects.iter().map(|(name, found)| (name.as_str(), found)).collect();
    let Some(kind) = core.kinds.get(key) else { return Vec::new() };
    let born = kind.objects.iter().filter(|(_, entry)| entry.object_rv > bridge.from && entry.rv <= bridge.to);
    let by = |name: &str, uid: &str| match told.get(name) {
        None => Some(bridge.to),
        Some(found) => match found.steps.iter().find(|step| step.rv() > cursor) {
            Some(Step::Version { rv, bytes }) if Header::of(bytes).uid != *uid => Some(rv.saturating_sub(1)),
            // Found gone before the cursor, and there at it: it came again behind that, and went again.
            None if matches!(found.steps.last(), Some(Step::Delete { .. })) => Some(bridge.to),
            _ => None,
        },
    };
    let gone = born.filter_map(|(name, entry)| {
        let by = by(name, &entry.uid)?;
        Some(Gone { name: name.clone(), uid: entry.uid.clone(), rv: entry.object_rv, by })
    });
    gone.collect()
}

#[cfg(test)]
mod tests;
