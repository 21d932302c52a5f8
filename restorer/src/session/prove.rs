//! Whether the cluster itself says what the journal says: every protected object's uid and resourceVersion, at one
//! revision that is closed in the journal.
//!
//! **Words**: a list is *exact* if the server gives it at the very revision that is asked for, which it can as long as etcd keeps
//! that in its history (five minutes unless set otherwise).
//!
//! **Invariants.** (1) Nothing is written, and of objects only metadata is read. (2) It is gentle: one page of one kind at a time,
//! and a server that asks for fewer requests is waited for [`Asking::page`]. (3) What only the cluster told is no proof: nothing
//! is laid over what the journal holds [`Session::prove`]. (4) Both sides are of one revision, so what differs was recorded wrongly or not at
//! all, or was changed in one of the two since; it is never only late.

use std::{collections::BTreeMap, time::Duration};

use hindcast_cluster::{Api, Failure, Page, header::Header, path};
use hindcast_journal::{
    Moment, Parts, Result,
    cut::{At, CutPoint},
    facts::Discovery,
    fold::{Knowledge, Scope},
    row::Revision,
};

use super::Session;
use crate::Timeline;

/// Objects in a page.
const PAGE: usize = 500;

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often a page is asked for that the server is too busy for, and how long is waited between.
const TRIES: u32 = 6;
const WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What the cluster said beside the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The moment that both are of.
    pub moment: Moment,
    /// Kinds that were compared.
    pub kinds: u64,
    /// Objects of theirs in the cluster.
    pub objects: u64,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Kinds that could not be compared, by key, and why.
    pub unproven: Vec<(String, String)>,
}

/// An object of which the journal and the cluster say different things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Its kind's key.
    pub kind: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the journal has of it: uid and resourceVersion. Nothing if the journal misses it.
    pub journal: Option<(String, Revision)>,
    /// What the cluster has of it. Nothing if it is in the journal only.
    pub cluster: Option<(String, Revision)>,
}

/// How far it is: kinds done, and how many there are.
pub type Tell<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// A kind's objects in the journal: namespace and name, uid and revision.
type Held = BTreeMap<(String, String), (String, Revision)>;

impl Session {
    /// Compares the newest closed moment of the journal with the cluster's own lists at its revisions.
    pub async fn prove(&self, timeline: &mut Timeline, tell: Tell<'_>) -> Result<Proof> {
        timeline.forget_overlay().await?;
        timeline.refresh().await?;
        let past = timeline.at(&At::Now).await?;
        let moment = past.moment().clone();
        let state = past.state(&Scope::default()).await?.state;
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for (key, entry) in &state.objects {
            let place = (key.namespace.clone(), key.name.clone());
            let known = (entry.row.uid.clone(), entry.object_rv);
            held.entry(key.kind_key()).or_default().insert(place, known);
        }
        let kinds: Vec<Discovery> = state
            .kinds
            .into_values()
            .filter(|kind| !kind.discovery.resource.is_empty() && kind.known_at(&moment) == Knowledge::All)
            .map(|kind| kind.discovery)
            .filter(|kind| !kind.gone)
            .collect();
        drop((past, state.objects));
        let api = Api::single(self.parts.clone(), self.client.clone(), DEADLINE);
        let asking = Asking { api, parts: &self.parts };
        let mut proof = Proof { moment, kinds: 0, objects: 0, differences: Vec::new(), unproven: Vec::new() };
        let of = kinds.len() as u64;
        for (done, kind) in (0..).zip(&kinds) {
            tell(done, of);
            let key = kind.kind_key();
            let Some(point) = proof.moment.cut.domains.get(&kind.domain).copied() else { continue };
            let own = held.remove(&key).unwrap_or_default();
            match asking.compare(kind, point, own).await {
                Ok((objects, differences)) => {
                    proof.kinds += 1;
                    proof.objects += objects;
                    proof.differences.extend(differences);
                }
                Err(why) => proof.unproven.push((key, why)),
            }
        }
        tell(of, of);
        proof.differences.sort();
        Ok(proof)
    }
}

struct Asking<'a> {
    api: Api,
    parts: &'a Parts,
}

impl Asking<'_> {
    /// How many objects of a kind the cluster has at a point, and which of them the journal has otherwise.
    async fn compare(
        &self,
        kind: &Discovery,
        point: CutPoint,
        mut own: Held,
    ) -> Result<(u64, Vec<Difference>), String> {
        let collection = path::collection(&kind.group, &kind.version, "", &kind.resource);
        let (mut objects, mut differences) = (0, Vec::new());
        let difference = |(namespace, name): (String, String), journal, cluster| Difference {
            kind: kind.kind_key(),
            namespace,
            name,
            journal,
            cluster,
        };
        let mut next: Option<String> = None;
        loop {
            let mut query = path::page_query(PAGE, next.as_deref());
            if next.is_none() {
                query.push_str(&format!("&resourceVersion={}&resourceVersionMatch=Exact", point.rv));
            }
            let page = self.page(&collection, &query).await.map_err(|failure| why(&failure, point.rv))?;
            if page.rv != Some(point.rv) {
                return Err("its server does not list at a revision that is asked for".to_owned());
            }
            for item in &page.items {
                let header = Header::of(item);
                let Some(rv) = header.rv else { return Err("its revisions are not decimal numbers".to_owned()) };
                objects += 1;
                let place = (header.namespace, header.name);
                let there = (header.uid, rv);
                match own.remove(&place) {
                    Some(known) if known == there => {}
                    known => differences.push(difference(place, known, Some(there))),
                }
            }
            next = page.next;
            if next.is_none() {
                differences.extend(own.into_iter().map(|(place, known)| difference(place, Some(known), None)));
                return Ok((objects, differences));
            }
        }
    }

    /// A page, asked for again while the server is too busy or not there.
    async fn page(&self, collection: &str, query: &str) -> Result<Page, Failure> {
        let mut tries = 0;
        loop {
            let failure = match self.api.metadata(collection, query).await {
                Ok(page) => return Ok(page),
                Err(failure) => failure,
            };
            tries += 1;
            let wait = match &failure {
                Failure::Throttled(after) => after.unwrap_or(WAIT * (1 << tries)),
                Failure::Server(_) | Failure::Transport(_) => WAIT * (1 << tries),
                _ => return Err(failure),
            };
            if tries == TRIES {
                return Err(failure);
            }
            self.parts.clock.sleep(wait.min(LONGEST_WAIT)).await;
        }
    }
}

/// Why a kind could not be listed at a revision.
fn why(failure: &Failure, rv: Revision) -> String {
    match failure {
        Failure::Expired(_) => format!(
            "the server no longer has revision {rv}, up to which the journal is closed: its history reaches back five minutes"
        ),
        Failure::TooLarge(_) => {
            format!(
                "the server stands below revision {rv}, up to which the journal is closed: its store was put back since"
            )
        }
        failure => failure.to_string(),
    }
}
