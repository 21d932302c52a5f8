//! The durable cursor of a target: numbered facts in the journal's own folder, `meta/cursor-NAME/<n>`.
//!
//! Why in the bucket, and not in Kafka. (1) Whoever asks `hindcast status` sees how far each target is, and why it is
//! not further, with the bucket alone. (2) Its create-if-absent is a fence that every store here has been held to: who
//! claims a name takes the next number, and the older process finds its own next one taken. (3) It is the same for any
//! target. Offsets of a consumer group expire when nobody commits for a week; a compacted topic has to be made, kept
//! compacted and allowed by whoever runs the brokers; a header in the newest message goes with the topic's retention, and
//! is another's where topics are shared. What it costs: the right to create below `meta/`, and one PUT per
//! [`crate::Settings::every`] while events flow (a minute: 0.22 dollars a month at most), one an hour while nothing comes
//! but frontiers, none while nothing does. So a killed process repeats at most that much. Facts that are not the newest are
//! never read again; they stay, since nothing here needs the right to remove.
//!
//! What Kafka holds may be more than the cursor says, after a death; that is published again, with the same ids. It is
//! never less, unless Kafka lost what it had acknowledged, or the topic was made anew: then the cursor can be moved back
//! ([`Rewind`]).
//!
//! **Words**: the *holder* is the process that published last; to *claim* is to become that.
//!
//! **Invariants.** (1) A fact is written once; the newest number is the value. (2) Newest claim wins: the older holder
//! fails with [`ErrorKind::Fenced`] at its next write or look [`Cursor::check`], so that two do not publish side by side
//! for long. (3) After a failure nobody knows whether the fact stands: the next write meets it and knows it by its holder
//! [`Cursor::write`]. (4) A name stays with what it was first used for: another topic under the same name would begin in
//! the middle [`Cursor::claim`]. (5) Three changes of hands within a minute are a fight, and a starter stays out of it.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use hindcast_journal::{
    Error, Journal, Position, Result,
    error::ErrorKind,
    layout::{self, CURSORS, LONGEST_CURSOR},
    parts::Micros,
    store::Put,
};
use serde::{Deserialize, Serialize};

use crate::start::From;

/// How far back a starter looks for others that take the cursor from one another, and how many make a fight.
const FIGHT_WINDOW: Micros = 60_000_000;
const FIGHT_CHANGES: usize = 3;

/// How often a holder looks whether it still is one, while it publishes.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// Everything up to here was acknowledged.
    pub position: Position,
    /// What it is the cursor of.
    pub target: String,
    /// Who wrote it: host and process, and what makes it unique.
    pub holder: String,
    /// What restarts the holder.
    #[serde(default)]
    pub instance: String,
    /// When.
    pub time: Micros,
    /// Since when the target does not take events, and why; `None` while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// When it changed hands lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hands: Vec<Micros>,
    /// The word that it was last put elsewhere for ([`Rewind::Once`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound: Option<String>,
}

/// Whether a cursor that there is is put to where a new one would begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rewind {
    /// It goes on from where it stands.
    #[default]
    No,
    /// At each claim.
    Always,
    /// At the first claim with this word, which the cursor remembers: so it can stand in a file.
    Once(String),
}

impl Rewind {
    fn moves(&self, before: &Fact) -> bool {
        match self {
            Self::No => false,
            Self::Always => true,
            Self::Once(word) => before.rewound.as_ref() != Some(word),
        }
    }
}

/// What keeps a target from taking events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    pub since: Micros,
    /// What it is, with its remedy.
    pub reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
}

/// Who publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Host and process, and what makes it unique.
    pub name: String,
    /// What restarts it.
    pub instance: String,
}

/// The cursor, held.
#[derive(Debug)]
pub struct Cursor {
    journal: Journal,
    what: String,
    number: u64,
    fact: Fact,
    written: Duration,
    looked: Duration,
}

/// Refuses a name that no cursor can have.
pub fn check_name(name: &str) -> Result<()> {
    if layout::is_cursor_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!("the name `{}`", name.escape_debug()), "is not a name for a cursor")
        .with_hint(format!("1 to {LONGEST_CURSOR} lower-case letters, digits and hyphens")))
}

fn parse<'a, T: Deserialize<'a>>(what: &str, number: u64, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::corrupt(format!("meta/{what}/{number}"), e.to_string()))
}

/// The newest fact of a cursor, if there is one.
pub async fn read(journal: &Journal, name: &str) -> Result<Option<Fact>> {
    let what = layout::cursor(name);
    match journal.store().newest_fact(&what).await? {
        Some((number, bytes)) => parse(&what, number, &bytes).map(Some),
        None => Ok(None),
    }
}

/// The names of all cursors of a journal.
pub async fn names(journal: &Journal) -> Result<Vec<String>> {
    let Some((newest, _)) = journal.store().newest_fact(CURSORS).await? else { return Ok(Vec::new()) };
    let mut names = BTreeSet::new();
    for number in 1..=newest {
        let path = journal.store().layout().meta(CURSORS, number);
        if let Some(bytes) = journal.store().get_opt(&path).await? {
            names.insert(parse::<Named>(CURSORS, number, &bytes)?.name);
        }
    }
    Ok(names.into_iter().collect())
}

impl Cursor {
    /// Takes a cursor over, newest wins; a new one stands before where it is to begin, and an old one is put there too if
    /// `rewind` says so.
    pub async fn claim(
        journal: &Journal,
        name: &str,
        target: &str,
        holder: &Holder,
        begin: From,
        rewind: &Rewind,
    ) -> Result<Self> {
        check_name(name)?;
        let what = layout::cursor(name);
        let clock = &journal.parts().clock;
        loop {
            let newest = journal.store().newest_fact(&what).await?;
            let (number, before) = match newest {
                Some((number, bytes)) => (number, Some(parse::<Fact>(&what, number, &bytes)?)),
                None => {
                    enter(journal, name).await?;
                    (0, None)
                }
            };
            let now = clock.now();
            if let Some(before) = &before {
                same_target(name, before, target)?;
                refuse_a_fight(name, before, holder, now)?;
            }
            let position = match &before {
                Some(before) if !rewind.moves(before) => before.position,
                _ => begin.cursor(journal).await?,
            };
            let mut hands: Vec<Micros> = before.as_ref().map_or_else(Vec::new, |before| before.hands.clone());
            hands.retain(|at| now - at < FIGHT_WINDOW);
            if before.as_ref().is_some_and(|before| before.instance != holder.instance) {
                hands.push(now);
            }
            let rewound = match rewind {
                Rewind::Once(word) => Some(word.clone()),
                _ => before.as_ref().and_then(|before| before.rewound.clone()),
            };
            let fact = Fact {
                position,
                target: target.to_owned(),
                holder: holder.name.clone(),
                instance: holder.instance.clone(),
                time: now,
                trouble: before.and_then(|before| before.trouble),
                hands,
                rewound,
            };
            let at = clock.monotonic();
            let (journal, what) = (journal.clone(), what.clone());
            let mut cursor = Self { journal, what, number, fact, written: at, looked: at };
            match cursor.put(cursor.fact.clone()).await {
                Ok(()) => return Ok(cursor),
                // Another claimed or wrote at the same moment: look again, newest wins.
                Err(error) if error.kind() == ErrorKind::Fenced => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Up to where everything was acknowledged, as it is written.
    pub fn position(&self) -> Position {
        self.fact.position
    }

    /// What kept the target from taking events, as it is written.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.fact.trouble.as_ref()
    }

    /// How long ago it was written, or that was tried.
    pub fn age(&self) -> Duration {
        self.journal.parts().clock.monotonic().saturating_sub(self.written)
    }

    /// Writes how far the target is. One that failed is not repeated before it is due again.
    pub async fn write(&mut self, position: Position, trouble: Option<Trouble>) -> Result<()> {
        let clock = &self.journal.parts().clock;
        self.written = clock.monotonic();
        let fact = Fact { position, trouble, time: clock.now(), ..self.fact.clone() };
        self.put(fact).await
    }

    /// Looks, once in a while, whether another holds it by now.
    pub async fn check(&mut self) -> Result<()> {
        let now = self.journal.parts().clock.monotonic();
        if now.saturating_sub(self.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.looked = now;
        let next = self.journal.store().layout().meta(&self.what, self.number + 1);
        if self.journal.store().exists(&next).await? { self.meet().await } else { Ok(()) }
    }

    /// Creates the next number, or finds out who did.
    async fn put(&mut self, fact: Fact) -> Result<()> {
        loop {
            let path = self.journal.store().layout().meta(&self.what, self.number + 1);
            let bytes = serde_json::to_vec(&fact)
                .map_err(|e| Error::internal("a cursor", "cannot be written as JSON").with_source(e))?;
            if self.journal.store().create(&path, Bytes::from(bytes)).await? == Put::Created {
                self.number += 1;
                self.looked = self.journal.parts().clock.monotonic();
                self.fact = fact;
                return Ok(());
            }
            self.meet().await?;
            if self.fact == fact {
                return Ok(());
            }
        }
    }

    /// Reads what stands at the next number: our own, of a write whose answer was lost, or another's.
    async fn meet(&mut self) -> Result<()> {
        let number = self.number + 1;
        let bytes = self.journal.store().get(&self.journal.store().layout().meta(&self.what, number)).await?;
        let stands: Fact = parse(&self.what, number, &bytes)?;
        if stands.holder != self.fact.holder {
            let name = layout::cursor_name(&self.what).unwrap_or(&self.what);
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("the fan-out `{name}`"),
                format!("{} took it over: it publishes from here on", stands.holder),
            )
            .with_hint("one process publishes under a name; another name begins another cursor"));
        }
        (self.number, self.fact) = (number, stands);
        Ok(())
    }
}

/// Adds a name to those that are known.
async fn enter(journal: &Journal, name: &str) -> Result<()> {
    while !names(journal).await?.iter().any(|known| known == name) {
        let number = journal.store().newest_fact(CURSORS).await?.map_or(0, |(number, _)| number);
        let path = journal.store().layout().meta(CURSORS, number + 1);
        let named = serde_json::to_vec(&Named { name: name.to_owned() })
            .map_err(|e| Error::internal("a cursor's name", "cannot be written as JSON").with_source(e))?;
        journal.store().create(&path, Bytes::from(named)).await?;
    }
    Ok(())
}

fn same_target(name: &str, before: &Fact, target: &str) -> Result<()> {
    if before.target == target {
        return Ok(());
    }
    Err(Error::invalid(
        format!("the fan-out `{name}`"),
        format!("is of {}, not of {target}: it would begin at position {}", before.target, before.position + 1),
    )
    .with_hint("give this one a name of its own"))
}

fn refuse_a_fight(name: &str, before: &Fact, holder: &Holder, now: Micros) -> Result<()> {
    let lately = before.hands.iter().filter(|at| now - **at < FIGHT_WINDOW).count();
    if lately < FIGHT_CHANGES || before.instance == holder.instance {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Fenced,
        format!("the fan-out `{name}`"),
        format!("changed hands {lately} times within a minute, the last to {}", before.holder),
    )
    .with_hint("several processes publish under this name and take it from one another: leave one of them"))
}
