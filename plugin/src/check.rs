//! What a plugin answers, checked before anything is made of it.
//!
//! **Words**: a *wrong answer* is one that no right plugin gives: another number of outcomes, another snapshot's tag, a text
//! that is too long or has control characters.
//!
//! **Invariants.** (1) No text of a plugin goes on without bounds, and none with a control character. (2) What identifies is
//! refused where it is wrong, never mended; what is only told to people is shortened ([`said`]).

use std::{collections::BTreeMap, fmt, time::Duration};

use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};
use hindcast_snapshotter::driver::OWN;

use crate::wire::{HandshakeResponse, Method, TransformCapability, VERSIONS, VolumeDriverCapability};

/// The remedy of a wrong answer.
pub(crate) const HINT: &str = "it is a mistake of the plugin: use another version of it, or tell those who make it";

/// The longest handle, detail, name of a driver, and version.
const HANDLE: usize = 1024;
const NAME: usize = 253;
/// How many details a snapshot may have, and drivers, transforms and kinds a plugin.
const MANY: usize = 64;
/// The longest time that a storage system may list its snapshots late.
const SETTLE: Duration = Duration::from_mins(10);

/// What a plugin declared when it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub plugin_version: String,
    /// The version of the protocol that is spoken with it.
    pub protocol: u32,
    /// What it takes, if it is a volume driver.
    pub volumes: Option<Volumes>,
    /// What it changes.
    pub transforms: Vec<Transform>,
}

/// The volumes that a plugin takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volumes {
    /// Names of their drivers.
    pub drivers: Vec<String>,
    /// Whether it makes disks from its snapshots.
    pub disks: bool,
    /// After how long a snapshot that was made is listed.
    pub settle: Duration,
}

/// A transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// Its name within the plugin.
    pub name: String,
    /// The kinds that it is given.
    pub kinds: Vec<Kind>,
    /// Whether it needs values that are sealed in the journal.
    pub sealed_values: bool,
}

/// A kind of items.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The API group, empty for the core's.
    pub group: String,
    /// As in an object's `kind`.
    pub kind: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.is_empty() {
            true => f.write_str(&self.kind),
            false => write!(f, "{}.{}", self.kind, self.group),
        }
    }
}

/// An answer, and what was asked: for the errors of what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// The plugin.
    pub(crate) who: &'a str,
    /// What it was asked about.
    pub(crate) what: &'a str,
    pub(crate) method: Method,
}

impl Answer<'_> {
    /// The error of a wrong answer.
    pub(crate) fn wrong(&self, reason: impl fmt::Display) -> Error {
        let reason = format!("{} answers {} wrongly: {reason}", self.who, self.method.name());
        Error::new(ErrorKind::Refused, self.what, reason).with_hint(HINT)
    }

    /// That there are as many as were asked for.
    pub(crate) fn as_many(&self, are: usize, asked: usize) -> Result<()> {
        match are == asked {
            true => Ok(()),
            false => Err(self.wrong(format!("{are} outcomes for {asked} that were asked for"))),
        }
    }

    /// That what must be there is.
    pub(crate) fn there<T>(&self, what: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(format!("there is no {what}")))
    }

    /// A text without control characters, of at most so many bytes.
    fn text(&self, what: &str, text: &str, longest: usize) -> Result<()> {
        if text.len() > longest {
            return Err(self.wrong(format!("{what} has {} bytes, more than {longest}", text.len())));
        }
        match text.contains(char::is_control) {
            true => Err(self.wrong(format!("{what} has control characters"))),
            false => Ok(()),
        }
    }

    /// A name in the storage system.
    pub(crate) fn handle(&self, handle: &str) -> Result<()> {
        if handle.is_empty() {
            return Err(self.wrong("a handle is empty"));
        }
        self.text("a handle", handle, HANDLE)
    }

    /// A zone, or none.
    pub(crate) fn zone(&self, zone: &str) -> Result<()> {
        self.text("a zone", zone, NAME)
    }

    /// Details of a snapshot.
    pub(crate) fn details(&self, details: &BTreeMap<String, String>) -> Result<()> {
        if details.len() > MANY {
            return Err(self.wrong(format!("{} details, more than {MANY}", details.len())));
        }
        details.iter().try_for_each(|(name, value)| {
            self.text("the name of a detail", name, NAME)?;
            self.text("a detail", value, HANDLE)
        })
    }

    /// A number of bytes.
    pub(crate) fn bytes(&self, bytes: u64) -> Result<()> {
        match bytes > 1 << 60 {
            true => Err(self.wrong(format!("{bytes} bytes are more than there are"))),
            false => Ok(()),
        }
    }

    /// A DNS label.
    fn label(&self, what: &str, text: &str) -> Result<()> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let ends = text.starts_with(plain) && text.ends_with(plain);
        match ends && text.len() <= 63 && text.chars().all(|c| plain(c) || c == '-') {
            true => Ok(()),
            false => Err(self.wrong(format!(
                "{what} is {:?}, and must be of small letters, digits and `-`, at most 63",
                said(text, 63)
            ))),
        }
    }

    /// What a plugin declares.
    pub(crate) fn capabilities(&self, met: HandshakeResponse) -> Result<Capabilities> {
        self.version(&met)?;
        self.label("its name", &met.name)?;
        if OWN.contains(&met.name.as_str()) {
            return Err(self.wrong(format!("its name is {}, which a driver of Hindcast's own has", met.name)));
        }
        self.text("its version", &met.plugin_version, NAME)?;
        if met.transforms.len() > MANY {
            return Err(self.wrong(format!("{} transforms, more than {MANY}", met.transforms.len())));
        }
        let volumes = met.volume_driver.map(|driver| self.volumes(driver)).transpose()?;
        let transforms: Vec<Transform> =
            met.transforms.into_iter().map(|one| self.transform(one)).collect::<Result<_>>()?;
        for (at, one) in transforms.iter().enumerate() {
            if transforms.iter().take(at).any(|before| before.name == one.name) {
                return Err(self.wrong(format!("two transforms are named {}", one.name)));
            }
        }
        if volumes.is_none() && transforms.is_empty() {
            return Err(self.wrong("it declares neither a volume driver nor a transform"));
        }
        Ok(Capabilities {
            name: met.name,
            plugin_version: met.plugin_version,
            protocol: met.version,
            volumes,
            transforms,
        })
    }

    fn version(&self, met: &HandshakeResponse) -> Result<()> {
        if VERSIONS.contains(&met.version) {
            return Ok(());
        }
        let list = |versions: &[u32]| versions.iter().take(MANY).map(u32::to_string).collect::<Vec<_>>().join(", ");
        let own = list(&VERSIONS);
        let theirs = match (met.version, met.versions.is_empty()) {
            (0, true) => "none that is offered".to_owned(),
            (0, false) => list(&met.versions),
            (chosen, _) => chosen.to_string(),
        };
        let reason = format!("{} speaks version {theirs} of the protocol, and Hindcast speaks {own}", self.who);
        let hint = format!("use a version of the plugin that speaks {own}, or another version of Hindcast");
        Err(Error::invalid(self.what, reason).with_hint(hint))
    }

    fn volumes(&self, driver: VolumeDriverCapability) -> Result<Volumes> {
        if driver.drivers.is_empty() || driver.drivers.len() > MANY {
            return Err(self.wrong(format!("it takes volumes of {} drivers, not of 1 to {MANY}", driver.drivers.len())));
        }
        for name in &driver.drivers {
            self.text("the name of a driver", name, NAME)?;
            if name.is_empty() {
                return Err(self.wrong("the name of a driver is empty"));
            }
        }
        let settle = Duration::from_millis(driver.settle_ms);
        if settle > SETTLE {
            return Err(self.wrong(format!("it lists snapshots after {} s, later than 600", settle.as_secs())));
        }
        Ok(Volumes { drivers: driver.drivers, disks: driver.disks, settle })
    }

    fn transform(&self, transform: TransformCapability) -> Result<Transform> {
        self.label("the name of a transform", &transform.name)?;
        let (name, many) = (&transform.name, transform.kinds.len());
        if many == 0 || many > MANY {
            return Err(self.wrong(format!("the transform {name} declares {many} kinds, not 1 to {MANY}")));
        }
        let kind = |kind: crate::wire::Kind| {
            let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
            let group = kind.group.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
            if !word(&kind.kind) || !group || kind.kind.len() > NAME || kind.group.len() > NAME {
                let shown = said(&format!("{}.{}", kind.kind, kind.group), NAME);
                return Err(self.wrong(format!("the transform {name} declares {shown:?}, which is no kind")));
            }
            Ok(Kind { group: kind.group, kind: kind.kind })
        };
        let kinds = transform.kinds.into_iter().map(kind).collect::<Result<_>>()?;
        Ok(Transform { name: transform.name, kinds, sealed_values: transform.sealed_values })
    }
}

/// A plugin's text as it is told to people: on one line, without control characters, at most so many of them.
pub(crate) fn said(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for c in text.chars().take(longest.saturating_mul(2)) {
        let c = if c.is_control() { ' ' } else { c };
        if c != ' ' || !(out.is_empty() || out.ends_with(' ')) {
            out.push(c);
        }
    }
    let mut short: String = out.trim_end().chars().take(longest).collect();
    if short.len() < out.trim_end().len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Answer<'static> = Answer { who: "plugin at x", what: "handshake", method: Method::HANDSHAKE };

    fn right() -> HandshakeResponse {
        HandshakeResponse {
            version: 1,
            versions: vec![1],
            name: "sample".into(),
            plugin_version: "1.0.0".into(),
            volume_driver: Some(VolumeDriverCapability {
                drivers: vec!["sample.example.com".into()],
                disks: true,
                settle_ms: 5,
            }),
            transforms: vec![TransformCapability {
                name: "relabel".into(),
                kinds: vec![crate::wire::Kind { group: "apps".into(), kind: "Deployment".into() }],
                sealed_values: false,
            }],
        }
    }

    #[test]
    fn what_a_plugin_declares_is_taken_only_if_it_is_right() {
        let met = ANSWER.capabilities(right()).unwrap();
        assert_eq!(met.transforms[0].kinds[0].to_string(), "Deployment.apps");
        let refused = |change: &dyn Fn(&mut HandshakeResponse), said: &str| {
            let mut met = right();
            change(&mut met);
            let error = ANSWER.capabilities(met).unwrap_err();
            assert!(error.to_string().contains(said) && error.hint().is_some(), "{said}: {error}");
        };
        for own in ["csi", "files", "move", "aws", "azure", "gcp"] {
            refused(&|met| met.name = own.into(), "Hindcast's own");
        }
        for name in ["", "A", "-a", "a/b", "\u{1b}[2J", &"a".repeat(64)] {
            refused(&|met| met.name = name.into(), "its name is");
        }
        refused(&|met| met.plugin_version = "a\n".into(), "control");
        refused(&|met| (met.volume_driver, met.transforms) = (None, vec![]), "neither");
        refused(&|met| met.volume_driver.as_mut().unwrap().drivers.clear(), "0 drivers");
        refused(&|met| met.volume_driver.as_mut().unwrap().settle_ms = u64::MAX, "later than 600");
        refused(&|met| met.transforms.push(met.transforms[0].clone()), "two transforms");
        refused(&|met| met.transforms[0].kinds.clear(), "0 kinds");
        refused(&|met| met.transforms[0].kinds[0].kind = "*".into(), "no kind");
    }

    #[test]
    fn another_version_of_the_protocol_is_named() {
        for (version, versions, said) in [(0, vec![2, 3], "2, 3"), (7, vec![], "7"), (0, vec![], "none")] {
            let error = ANSWER.capabilities(HandshakeResponse { version, versions, ..right() }).unwrap_err();
            assert!(error.to_string().contains(&format!("speaks version {said}")), "{error}");
            assert!(error.kind() == ErrorKind::Invalid && error.hint().is_some_and(|hint| hint.contains("speaks 1")));
        }
    }

    #[test]
    fn what_is_told_on_is_short_and_plain() {
        assert_eq!(said("a\r\n\u{7}b", 10), "a b");
        assert_eq!(said("aaaa", 3), "aaa…");
        assert_eq!(said("  ", 3), "");
    }
}
