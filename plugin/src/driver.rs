//! A plugin as a volume driver.
//!
//! What every driver promises ([`hindcast_snapshotter::driver`]) is the plugin's to keep; what of it can be seen from here
//! is held to:
//!
//! 1. The tag goes with the request that makes a snapshot, and what comes back must bear it.
//! 2. A call whose answer was lost is made again until the patience ends: the plugin, not memory, decides by the tag.
//! 3. What is listed is waited for as long as the plugin declares that it lists late; a page that is wrong is an error, never
//!    a shorter list (`listing`).
//! 4. Before a deletion the snapshot is looked at: one that bears another tag, or none, is refused here already, and the
//!    plugin is given the tag to refuse it by.
//! 5. Orders of one call fail one by one; where the call itself fails, each is asked for again by itself (`orders`).
//! 6. Each call has its deadline, and all repetitions of one thing have the patience's.
//! 7. A snapshot that no restore could use is none: one that is ready names the CSI driver that knows it
//!    ([`PluginDriver::look`](VolumeDriver::look)).
//!
//! Not here: which plugin takes which volume ([`hindcast_snapshotter::plan`]).

mod convert;
mod disks;
mod listing;
mod orders;

use std::{
    collections::{BTreeMap, HashMap},
    slice,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};
use hindcast_snapshotter::{
    cloud::{Limits, patience::Patience},
    driver::{Disks, Order, Standing, Tag, Taken, Volume, VolumeDriver},
};
use prost::Message;

use crate::{
    check::{Answer, said},
    line::Plugin,
    wire::{self, Method, Stands},
};

/// Volumes and orders of one call.
const AT_ONCE: usize = 100;
/// The detail that names the CSI driver which knows a snapshot by the same handle.
const DRIVER: &str = "driver";
/// What is said of a snapshot that names none.
const USELESS: &str = "no restore can make a volume of it: the plugin names no CSI driver";
/// How long it is remembered whether a volume can be taken: whoever asked plans meanwhile.
const KEPT: Duration = Duration::from_mins(10);
/// The longest reason that is told on.
const REASON: usize = 1000;

/// Takes snapshots by a plugin.
#[derive(Debug)]
pub struct PluginDriver {
    plugin: Arc<Plugin>,
    /// What a plugin is called that was never met.
    address: String,
    name: OnceLock<String>,
    considered: Mutex<Considered>,
}

/// Whether a volume can be taken, with the reason if not, and when that was said.
type Verdict = (Duration, std::result::Result<(), String>);

/// What the plugin said of volumes, by their driver and handle.
#[derive(Debug, Default)]
struct Considered {
    verdicts: HashMap<(String, String), Verdict>,
    /// Why it could not be asked the last time.
    trouble: Option<String>,
}

impl Considered {
    /// Forgets what was said long before.
    fn prune(&mut self, now: Duration) {
        self.verdicts.retain(|_, (said, _)| now.saturating_sub(*said) < KEPT);
    }
}

impl PluginDriver {
    /// The driver of a plugin; one that was not met yet is met when it is first asked.
    pub fn new(plugin: Arc<Plugin>) -> Self {
        let address = plugin.address().to_string();
        Self { plugin, address, name: OnceLock::new(), considered: Mutex::default() }
    }

    fn considered(&self) -> MutexGuard<'_, Considered> {
        self.considered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self) -> &Patience {
        &self.plugin.patience
    }

    /// A snapshot of an answer, which bears a tag.
    fn taken(&self, answer: Answer<'_>, taken: wire::Taken) -> Result<Taken> {
        let tag = convert::tag(answer, taken.tag.clone())?;
        let tag = answer.there("tag on a snapshot", tag)?;
        self.bearing(answer, tag, taken)
    }

    /// The same, of one whose tag was read.
    fn bearing(&self, answer: Answer<'_>, tag: Tag, taken: wire::Taken) -> Result<Taken> {
        convert::taken(answer, self.name(), tag, taken, self.patience().parts.clock.now())
    }

    /// That a snapshot is of no driver but those that the plugin declares: by it a restore takes the snapshot over, so it
    /// must not be another's.
    fn declared_by(&self, answer: Answer<'_>, details: &BTreeMap<String, String>) -> Result<()> {
        match details.get(DRIVER) {
            Some(driver) if !self.declares(driver) => {
                Err(answer.wrong(format!("a snapshot is of the driver {driver}, which the plugin does not declare")))
            }
            _ => Ok(()),
        }
    }

    fn declares(&self, driver: &String) -> bool {
        self.plugin.met().and_then(|met| Some(met.volumes.as_ref()?.drivers.contains(driver))).unwrap_or(false)
    }

    /// The snapshot of this handle as it stands; `None` if it is gone, or the plugin knows of none. One that bears another
    /// tag is refused.
    async fn seen(&self, what: &str, taken: &Taken) -> Result<Option<(wire::Taken, Standing)>> {
        let request = wire::LookRequest { taken: Some(taken.into()) };
        let look = || self.plugin.call::<_, wire::LookResponse>(what, Method::LOOK, request.clone());
        let answered = match self.patience().ride(what, look).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            answered => answered?,
        };
        let who = self.plugin.title();
        let answer = Answer { who: &who, what, method: Method::LOOK };
        let stands = answer.there("standing", answered.standing.and_then(|standing| standing.standing))?;
        let standing = match stands {
            Stands::Gone(_) => return Ok(None),
            Stands::Asked(_) => Standing::Asked,
            Stands::Ready(_) => Standing::Ready,
            Stands::Failed(failed) => {
                let reason = said(&failed.reason, REASON);
                Standing::Failed(if reason.is_empty() {
                    format!("{who} says that it failed, and not why")
                } else {
                    reason
                })
            }
            Stands::Cut(cut) => Standing::Cut(match cut.percent {
                None => None,
                Some(percent) if percent <= 100 => Some(percent as u8),
                Some(percent) => return Err(answer.wrong(format!("it is done to {percent} percent"))),
            }),
        };
        let seen = answer.there("snapshot that stands", answered.taken)?;
        if seen.handle != taken.handle {
            let other = said(&seen.handle, 100);
            return Err(answer.wrong(format!("it is asked about {}, and answers about {other}", taken.handle)));
        }
        match convert::tag(answer, seen.tag.clone())? {
            Some(tag) if tag == taken.tag => Ok(Some((seen, standing))),
            tag => Err(bears(what, tag.as_ref(), &taken.tag)),
        }
    }

    /// Has something deleted: what is not there is.
    async fn gone<Q, A>(&self, what: &str, method: Method, request: Q) -> Result<()>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let ask = || async {
            match self.plugin.call::<Q, A>(what, method, request.clone()).await {
                Err(fault) if fault.error().kind() == ErrorKind::NotFound => Ok(()),
                other => other.map(|_| ()),
            }
        };
        self.patience().ride(what, ask).await
    }

    /// Asks whether these can be taken, and keeps what is answered. An error is one of all.
    async fn ask_takes(&self, volumes: &[Volume]) -> Result<()> {
        let until = self.until();
        for part in volumes.chunks(AT_ONCE) {
            let refused = match self.reasons(part, until).await {
                Ok(reasons) => {
                    self.keep(part, reasons);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => error,
            };
            // What fails a call is no volume's own failure, unless it was of that one alone.
            if let [volume] = part {
                self.keep(slice::from_ref(volume), vec![refused.told()]);
                continue;
            }
            let alone = part.iter().map(|volume| self.reasons(slice::from_ref(volume), until)).collect();
            for (volume, reasons) in part.iter().zip(self.patience().each(alone).await) {
                match reasons {
                    Ok(reasons) => self.keep(slice::from_ref(volume), reasons),
                    Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                    Err(error) => self.keep(slice::from_ref(volume), vec![error.told()]),
                }
            }
        }
        Ok(())
    }

    /// Why each of these cannot be taken, by one call; empty where it can.
    async fn reasons(&self, volumes: &[Volume], until: Duration) -> Result<Vec<String>> {
        let what = "which volumes can be taken";
        let request = wire::TakesRequest { volumes: volumes.iter().map(wire::Volume::from).collect() };
        let ask = || {
            let left = self.left(until);
            self.plugin.call_within::<_, wire::TakesResponse>(left, what, Method::TAKES, request.clone())
        };
        // What waits for it is a person, or a schedule whose moment passes.
        let reasons = self.patience_until(until).ride(what, ask).await?.reasons;
        let who = self.plugin.title();
        Answer { who: &who, what, method: Method::TAKES }.as_many(reasons.len(), volumes.len())?;
        let named = |reason: String| match reason.is_empty() {
            true => reason,
            false => format!("plugin {}: {}", self.name(), said(&reason, REASON)),
        };
        Ok(reasons.into_iter().map(named).collect())
    }

    /// Keeps why each of these cannot be taken.
    fn keep(&self, volumes: &[Volume], reasons: Vec<String>) {
        let now = self.patience().now();
        let mut considered = self.considered();
        for (volume, reason) in volumes.iter().zip(reasons) {
            let verdict = if reason.is_empty() { Ok(()) } else { Err(reason) };
            considered.verdicts.insert((volume.driver.clone(), volume.handle.clone()), (now, verdict));
        }
    }

    /// Whether a volume's driver is one that the plugin declared; the reason if not.
    fn declared(&self, volume: &Volume) -> std::result::Result<(), String> {
        let Some(met) = self.plugin.met() else {
            let trouble = self.considered().trouble.clone();
            return Err(trouble.unwrap_or_else(|| format!("{} was not met yet", self.plugin.title())));
        };
        let Some(volumes) = &met.volumes else {
            return Err(format!("the plugin {} takes no volumes", met.name));
        };
        match volumes.drivers.contains(&volume.driver) {
            true => Ok(()),
            false => Err(format!(
                "its driver is {}, not one of the plugin {}'s: {}",
                volume.driver,
                met.name,
                volumes.drivers.join(", ")
            )),
        }
    }
}

#[async_trait]
impl VolumeDriver for PluginDriver {
    fn name(&self) -> &str {
        match (self.name.get(), self.plugin.met()) {
            (Some(name), _) => name,
            (None, Some(met)) => self.name.get_or_init(|| met.name.clone()),
            (None, None) => &self.address,
        }
    }

    async fn consider(&self, volumes: &[Volume]) {
        let now = self.patience().now();
        // Somebody else may be about to ask for what was answered him just now.
        self.considered().prune(now);
        let considered = match self.plugin.meet().await {
            Ok(_) => {
                let declared = volumes.iter().filter(|volume| self.declared(volume).is_ok());
                self.ask_takes(&declared.cloned().collect::<Vec<_>>()).await
            }
            Err(error) => Err(error),
        };
        let trouble = considered.err().map(|error| error.told());
        if let Some(trouble) = &trouble {
            tracing::warn!(error = trouble, "a plugin could not be asked about volumes");
        }
        self.considered().trouble = trouble;
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        self.declared(volume)?;
        let considered = self.considered();
        // What it said in an earlier life is not what it would say now.
        if let Some(trouble) = &considered.trouble {
            return Err(trouble.clone());
        }
        let verdict = considered.verdicts.get(&(volume.driver.clone(), volume.handle.clone()));
        verdict.map_or(Ok(()), |(_, verdict)| verdict.clone())
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        self.take_all(orders).await
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let what = format!("snapshot {}", taken.handle);
        let Some((seen, standing)) = self.seen(&what, taken).await? else {
            return Ok((taken.clone(), Standing::Gone));
        };
        let who = self.plugin.title();
        let answer = Answer { who: &who, what: &what, method: Method::LOOK };
        let seen = self.bearing(answer, taken.tag.clone(), seen)?;
        let mut details = taken.details.clone();
        details.extend(seen.details);
        answer.details(&details)?;
        self.declared_by(answer, &details)?;
        let standing = match standing {
            Standing::Ready if details.get(DRIVER).is_none_or(String::is_empty) => Standing::Failed(USELESS.to_owned()),
            standing => standing,
        };
        let size = if seen.size == 0 { taken.size } else { seen.size };
        let driver = taken.driver.clone();
        Ok((Taken { size, time: seen.time.or(taken.time), details, driver, ..seen }, standing))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let what = format!("snapshots of the recovery point {id}");
        let met = self.plugin.meet().await?;
        let settle = met.volumes.as_ref().map(|volumes| volumes.settle).unwrap_or_default();
        if settle.is_zero() {
            return self.list(&what, cluster, id).await;
        }
        let limits = Limits { settle, ..self.patience().limits.clone() };
        self.patience().with(limits).settled(|| self.list(&what, cluster, id)).await
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.list(&format!("snapshots of the cluster {cluster}"), cluster, "").await
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        let what = format!("deletion of the snapshot {}", taken.handle);
        if self.seen(&what, taken).await?.is_none() {
            return Ok(());
        }
        let request = wire::DeleteRequest { taken: Some(taken.into()) };
        self.gone::<_, wire::DeleteResponse>(&what, Method::DELETE, request).await
    }

    fn disks(&self) -> Option<&dyn Disks> {
        let makes = self.plugin.met()?.volumes.as_ref()?.disks;
        makes.then_some(self as &dyn Disks)
    }
}

/// Why a snapshot is left alone that bears another tag than it should.
fn bears(what: &str, borne: Option<&Tag>, tag: &Tag) -> Error {
    let borne = borne
        .map_or_else(|| "no tag".to_owned(), |borne| format!("the tag of {borne} of the cluster {}", borne.cluster));
    let reason = format!("it bears {borne}, not that of {tag} of the cluster {}", tag.cluster);
    Error::new(ErrorKind::Refused, what, reason)
        .with_hint("it is not ours to touch: delete it by hand if nobody needs it")
}

#[cfg(test)]
mod tests;
