//! Why something that differs is left alone, and why an action was not done ([`Cause`]): as data, so that nobody has to read a text to know.
//!
//! **Words**: a reason has a *code*, a rule's id or a name of its own, by which plans are counted and grouped.
//!
//! **Invariants.** (1) Nothing is decided by the text of a reason. (2) The texts here know no command line: what may be
//! allowed is a [`Permission`](crate::selection::Permission) beside the reason, and whoever calls spells it. (3) A reason
//! that was read from a record is [`Reason::Told`]: what people were told then, and nothing else.

use std::fmt;

use hindcast_journal::{Position, facts::CoverEnd, fold::ObjectKey, parts::Micros};

use crate::{
    ending::Ending,
    names::{object, some},
    said::Message,
};

mod loss;
mod ruled;
mod standing;

pub use loss::Loss;
pub use ruled::Ruled;
pub use standing::Standing;

pub use crate::said::Cause;

/// Why something that differs is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A rule says so.
    Rule(Ruled),
    /// It is the cluster's own.
    System,
    /// It is cluster-scoped, and what was asked for is this namespace.
    ClusterScoped(String),
    /// Its volume, which is cluster-scoped, would have to be given to it.
    ReleasedVolume(String),
    /// A part of the object was asked for, and there is no object now.
    PartOfMissing,
    /// A part of the object was asked for, and there was no object then.
    PartOfAdded,
    /// There is no such part in it now.
    NoPart(String),
    /// Objects of this Kind cannot be listed.
    Unlisted(String),
    /// Objects of a Kind may not be read.
    Forbidden {
        /// The Kind.
        kind: String,
        /// The server's words.
        said: String,
    },
    /// Objects of a Kind could not be read.
    Unread {
        /// The Kind.
        kind: String,
        /// What happened.
        said: String,
    },
    /// This Kind is not served now.
    NotServed(String),
    /// The version that it was recorded in is not served now.
    VersionGone {
        /// That version.
        version: String,
        /// What the server has.
        served: Vec<String>,
        /// The change of the kind's definition that took it away, where that is known.
        since: Option<Moved>,
    },
    /// It was recorded in one version and is read in another.
    OtherVersion {
        /// The version then.
        then: String,
        /// The version now.
        now: String,
    },
    /// It is being deleted already, once these finalizers are done.
    Terminating(Vec<String>),
    /// Its namespace is being deleted.
    NamespaceEnds(Ending),
    /// Its kind was namespaced then and is not now, or the other way round.
    ScopeChanged {
        /// The Kind.
        kind: String,
        /// Whether it was namespaced then.
        namespaced_then: bool,
    },
    /// Older objects of its kind cannot be put back.
    OlderStay {
        /// The Kind.
        kind: String,
        /// The version that they were recorded in.
        version: String,
    },
    /// Its namespace is not there.
    NoNamespace(String),
    /// Somebody else touched it since the restore that is undone.
    Since(Touched),
    /// Others changed these since the restore that is undone: places, and who it was as far as that is known.
    ChangedBy(Vec<String>),
    /// Its values cannot be opened.
    Sealed(Message),
    /// The object of the moment cannot be had.
    Unreadable(Message),
    /// It gives whoever restores their rights: who that is.
    CallersRights(String),
    /// It may be what gives whoever restores their rights, and that cannot be known: why.
    CallerUnknown(String),
    /// It would destroy what no undo brings back.
    Destroys(Loss),
    /// What runs on it cannot be stopped and started again: why.
    InUse(String),
    /// No recovery point up to the moment has a snapshot of it; or why that cannot be used.
    NoSnapshot(Option<String>),
    /// The volume it had is not there for it any more.
    VolumeTaken(String),
    /// These fields cannot be changed while the object lives.
    NeedsRecreate(Vec<String>),
    /// What the plan leaves alone would go with it.
    HoldsOthers(Vec<String>),
    /// What it holds was not read.
    HoldsUnread,
    /// It goes with its owner.
    GoesWithOwner(ObjectKey),
    /// It goes with its namespace.
    GoesWithNamespace(String),
    /// It goes with the definition of its kind.
    GoesWithDefinition(String),
    /// The restore that is undone created another of its name.
    NotCreated {
        /// The restore.
        restore: String,
        /// The uid of the one that is there, where the restore created another.
        uid: Option<String>,
    },
    /// Its kind was not protected at the moment.
    NotProtected(Option<CoverEnd>),
    /// Its kind was not protected at the moment, and it was made since.
    MadeUnprotected(Option<CoverEnd>),
    /// Its kind is known only up to then.
    KnownUntil(Micros),
    /// Its kind is not protected since then.
    NotProtectedSince(Micros, CoverEnd),
    /// Its kind was not protected in between.
    NotProtectedBetween(Micros, Micros, CoverEnd),
    /// Its kind is protected only since then.
    ProtectedSince(Micros),
    /// Changes of its kind in between are lost.
    Lost(Micros, Micros),
    /// It was made within the second of the moment.
    WithinTheSecond(Micros),
    /// The journal, closed up to then, has not seen it yet.
    NotSeen(Micros),
    /// The journal knows another object of its name.
    AnotherSeen {
        /// The uid that the journal knows.
        known: String,
        /// The uid that is live.
        live: String,
    },
    /// As it was written down; only its texts are known.
    Told {
        /// The code.
        code: String,
        /// The reason.
        text: String,
        /// What would allow it, as it was spelled.
        permission: Option<String>,
        /// How it stood to what was asked for.
        standing: Standing,
    },
}

/// A change of a definition after which a version was not served any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The definition.
    pub definition: String,
    /// The position of the change.
    pub pos: Position,
    /// When it was.
    pub time: Micros,
}

/// What somebody did to an object since the restore that is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// It was created again.
    Created,
    /// It was deleted.
    Deleted,
    /// It was changed.
    Changed,
}

impl Reason {
    /// Its code: a rule's id, `no-evidence`, `destroys-data`, `not-protected`, `cluster-scoped`, ….
    pub fn code(&self) -> &str {
        match self {
            Self::Rule(rule) => rule.id(),
            Self::System => "system",
            Self::ClusterScoped(_) | Self::ReleasedVolume(_) => "cluster-scoped",
            Self::PartOfMissing | Self::PartOfAdded | Self::NoPart(_) => "path",
            Self::Unlisted(_)
            | Self::NotServed(_)
            | Self::VersionGone { .. }
            | Self::OtherVersion { .. }
            | Self::OlderStay { .. } => "not-served",
            Self::ScopeChanged { .. } => "scope-changed",
            Self::Forbidden { .. } => "forbidden",
            Self::Unread { .. } | Self::Unreadable(_) => "unreadable",
            Self::Terminating(_) | Self::NamespaceEnds(_) => "terminating",
            Self::NoNamespace(_) => "no-namespace",
            Self::Since(_) | Self::ChangedBy(_) => "changed-since",
            Self::Sealed(_) => "sealed",
            Self::CallersRights(_) | Self::CallerUnknown(_) => "callers-rights",
            Self::InUse(_) | Self::NoSnapshot(_) | Self::VolumeTaken(_) => "pvc-swap",
            Self::Destroys(loss) => loss.rule(),
            Self::NeedsRecreate(_) => "needs-recreate",
            Self::HoldsOthers(_) | Self::HoldsUnread => "holds-others",
            Self::GoesWithOwner(_) | Self::GoesWithNamespace(_) | Self::GoesWithDefinition(_) => "owned",
            Self::NotCreated { .. } | Self::WithinTheSecond(_) | Self::NotSeen(_) | Self::AnotherSeen { .. } => {
                "no-evidence"
            }
            Self::NotProtected(_)
            | Self::MadeUnprotected(_)
            | Self::KnownUntil(_)
            | Self::NotProtectedSince(..)
            | Self::NotProtectedBetween(..)
            | Self::ProtectedSince(_) => "not-protected",
            Self::Lost(..) => "lost-gap",
            Self::Told { code, .. } => code,
        }
    }
}

impl From<Ruled> for Reason {
    fn from(rule: Ruled) -> Self {
        Self::Rule(rule)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNPROVEN: &str = "so that it was not there is not proven";
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::System => f.write_str("it is the cluster's own"),
            Self::ClusterScoped(namespace) => {
                write!(f, "it is cluster-scoped: others than namespace {namespace} may depend on it")
            }
            Self::ReleasedVolume(volume) => write!(
                f,
                "its volume {volume} still belongs to the claim that was deleted; giving it to the new one changes the volume, which is cluster-scoped"
            ),
            Self::PartOfMissing => f.write_str("it is not there; of a part nothing is created"),
            Self::PartOfAdded => f.write_str("it was not there; of a part nothing is deleted"),
            Self::NoPart(part) => write!(f, "there is no place {part} in it now"),
            Self::Unlisted(kind) => write!(f, "{kind} objects cannot be listed"),
            Self::Forbidden { kind, said } => {
                write!(f, "{kind} objects may not be read, so nothing is done to them: {said}")
            }
            Self::Unread { kind, said } => {
                write!(f, "{kind} objects could not be read, so nothing is done to them: {said}")
            }
            Self::NotServed(kind) => write!(f, "{kind} is not served now"),
            Self::VersionGone { version, served, since } => {
                write!(
                    f,
                    "it was recorded in a version that is gone: {version} is not served; the server has {}",
                    served.join(", ")
                )?;
                let Some(Moved { definition, pos, time: at }) = since else { return Ok(()) };
                write!(
                    f,
                    "; definition {definition} stopped serving it at {} (position {pos}): put it back as it was before that first",
                    time(*at)
                )
            }
            Self::ScopeChanged { kind, namespaced_then } => {
                let scope = |namespaced: bool| if namespaced { "namespaced" } else { "cluster-scoped" };
                let (then, now) = (scope(*namespaced_then), scope(!*namespaced_then));
                write!(f, "{kind} was {then} then and is {now} now: one of its name is another object")
            }
            Self::OlderStay { kind, version } => write!(
                f,
                "{kind} objects of the moment cannot be put back, as {version} is not served now; newer ones are not deleted before that"
            ),
            Self::OtherVersion { then, now } => write!(f, "it was recorded as {then} and is read as {now}"),
            Self::Terminating(finalizers) if finalizers.is_empty() => f.write_str("it is being deleted already"),
            Self::Terminating(finalizers) => write!(
                f,
                "it is being deleted already, and goes once its finalizers are done: {}",
                finalizers.join(", ")
            ),
            Self::NamespaceEnds(ending) => ending.fmt(f),
            Self::NoNamespace(namespace) => write!(f, "there is no namespace {namespace}"),
            Self::Since(Touched::Created) => f.write_str("it was created again since the restore"),
            Self::Since(Touched::Deleted) => f.write_str("it was deleted since the restore"),
            Self::Since(Touched::Changed) => f.write_str("it was changed since the restore"),
            Self::ChangedBy(places) => write!(f, "it was changed since the restore: {}", some(places)),
            Self::Sealed(message) | Self::Unreadable(message) => message.fmt(f),
            Self::CallersRights(user) => {
                write!(f, "it gives {user}, who restores, their rights: have it restored by somebody else")
            }
            Self::CallerUnknown(why) => write!(
                f,
                "it may be what gives whoever restores their rights, and whether it is cannot be known: {why}"
            ),
            Self::InUse(why) => write!(f, "its data cannot be replaced: {why}"),
            Self::NoSnapshot(None) => {
                f.write_str("its data stay as they are: no recovery point up to the moment has a snapshot of it")
            }
            Self::NoSnapshot(Some(why)) => write!(f, "its data stay as they are: {why}"),
            Self::VolumeTaken(volume) => write!(f, "volume {volume}, which it had, is not there for it any more"),
            Self::Destroys(loss) => loss.fmt(f),
            Self::NeedsRecreate(fields) => write!(
                f,
                "{} cannot be changed while the object lives: it has to be deleted and created again",
                fields.join(", ")
            ),
            Self::HoldsOthers(others) => {
                write!(f, "what this plan leaves alone would go with it: {}", some(others))
            }
            Self::HoldsUnread => f.write_str("what it holds was not read, and would go with it"),
            Self::GoesWithOwner(owner) => write!(f, "it goes with its owner {}", object(owner)),
            Self::GoesWithNamespace(name) => write!(f, "it goes with its namespace {name}"),
            Self::GoesWithDefinition(name) => write!(f, "it goes with its definition {name}"),
            Self::NotCreated { restore, uid: Some(uid) } => {
                write!(f, "restore {restore} created one of this name, but this is another (uid {uid})")
            }
            Self::NotCreated { restore, uid: None } => write!(f, "restore {restore} did not create it"),
            Self::NotProtected(end) => {
                write!(f, "its kind was not protected then ({}), {UNPROVEN}", why_not(end.as_ref()))
            }
            Self::MadeUnprotected(end) => write!(
                f,
                "it was made since, but its kind was not protected then ({}): an older one of its name may be lost",
                why_not(end.as_ref())
            ),
            Self::KnownUntil(known) => write!(
                f,
                "its kind is known only up to {}, when the server's store was put back, {UNPROVEN}",
                time(*known)
            ),
            Self::NotProtectedSince(at, end) => write!(
                f,
                "its kind is not protected since {} ({}), so what became of it is not known",
                time(*at),
                why_not(Some(end))
            ),
            Self::NotProtectedBetween(from, to, end) => write!(
                f,
                "its kind was not protected from {} to {} ({}), {UNPROVEN}",
                time(*from),
                time(*to),
                why_not(Some(end))
            ),
            Self::ProtectedSince(from) => {
                write!(f, "its kind is protected only since {}, {UNPROVEN}", time(*from))
            }
            Self::Lost(from, to) => write!(
                f,
                "changes of its kind from {} to {} are lost, so it may have been there at the moment asked for",
                time(*from),
                time(*to)
            ),
            Self::WithinTheSecond(created) => write!(
                f,
                "it was made within the second of {}, so it may have been there at the moment asked for; ask for a position or a \
                 revision, which have no such doubt",
                time(*created)
            ),
            Self::NotSeen(closed) => write!(
                f,
                "the journal has not seen it yet: it is closed up to {}; plan again in a moment",
                time(*closed)
            ),
            Self::AnotherSeen { known, live } => write!(
                f,
                "the journal knows another object of this name (uid {known}), not this one (uid {live}); plan again in a moment"
            ),
            Self::Told { text, .. } => f.write_str(text),
        }
    }
}

/// Why a kind was not protected, in words.
pub(crate) fn why_not(end: Option<&CoverEnd>) -> String {
    match end {
        None => "not yet".to_owned(),
        Some(end) if end.detail.is_empty() => end.reason.as_str().to_owned(),
        Some(end) => format!("{}: {}", end.reason.as_str(), end.detail),
    }
}

/// A moment as it is written in reasons: UTC, to the second.
pub(crate) fn time(micros: Micros) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| micros.to_string(), |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// How long a time is, as people say it: in whole seconds, the two greatest units.
pub(crate) fn distance(micros: Micros) -> String {
    let seconds = micros.max(0).unsigned_abs() / 1_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
