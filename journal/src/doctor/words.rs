//! What an ailment means, in words.
//!
//! **Invariant.** Each says what cannot be answered, what can, and what to do, in this order, and claims nothing that was not found by
//! reading.

use super::{Ailment, Harm, Sort};
use crate::{
    cut::Hole,
    parts::{Micros, utc_millis},
    verify::Verdict,
};

/// What helps where an object is not what was written.
const COPY: &str = "put the object back: an older version of it, where the bucket keeps versions, or a copy from a replica or a backup of \
                    the bucket";
/// What is read where readers go around damage.
const AROUND: &str = "until then read with --around-damage";

/// What a file is.
pub(super) fn what(sort: &Sort) -> String {
    match sort {
        Sort::Segment(number) => format!("segment {number} of the log"),
        Sort::Merged(0, first, last) => format!("the bundle of segments {first} to {last}"),
        Sort::Merged(level, first, last) => {
            let of = match level {
                1 => "five minutes",
                2 => "an hour",
                _ => "a day",
            };
            format!("the merged file of {of}, segments {first} to {last}")
        }
        Sort::Checkpoint(pos) => format!("the checkpoint at position {pos}: the whole state at a cut"),
        Sort::Fact(fact, number) => match fact.as_str() {
            "manifest" => format!("manifest {number}: which checkpoints and merged files there are"),
            "boundary" => format!("boundary {number}: from which segment on the log has segments of its own"),
            "seal" => format!("the statement of seal {number}"),
            "expiry" => format!("the statement of expiry {number}: what retention keeps of the past"),
            "sealing" => format!("sealing {number}: which places are sealed beside Secrets"),
            "alias" => format!("alias {number}: the name of the cluster"),
            "custody" => format!("the statement of custody {number}: which data keys were wrapped anew or forgotten"),
            "points" => format!("points {number}: what the ids of recovery points begin with"),
            other => format!("{other} {number}"),
        },
        Sort::Key(id) => format!("data key {id}: what values of one namespace and month are sealed with, wrapped"),
        Sort::Point(name, _) => format!("a part of recovery point {name}"),
        Sort::Restore(id, _) => format!("a part of the record of restore {id}"),
        Sort::Stranger => "nothing that the journal writes".to_owned(),
    }
}

/// A part of the log that no file has.
pub(super) fn lost(hole: &Hole, newest: bool, ailment: &mut Ailment) {
    ailment.harm = Harm::Lost;
    let time = |time: Option<Micros>| time.map(utc_millis);
    let what = hole.what();
    ailment.lost = match (hole.rows(), time(hole.since), time(hole.until.map(|(until, _)| until))) {
        (_, None, Some(until)) => format!("{what}: no moment before {until}"),
        (_, None, None) => format!("{what}: no moment at all"),
        (_, Some(since), Some(until)) => format!("{what}: no moment after {since} and before {until}"),
        (_, Some(since), None) => format!("{what}: no moment after {since}"),
    };
    if hole.rows() == Some(0) {
        ailment.lost.push_str("; but no row is in it, so no change of the cluster is lost");
    }
    let behind = match (time(hole.until.map(|(until, _)| until)), hole.proven) {
        (Some(until), true) => {
            format!("from {until} on everything is known again, and the chain value of the checkpoint there proves it")
        }
        (Some(until), false) => format!(
            "from {until} on everything is known again by the checkpoint there, but nothing proves that the rows between belong to it"
        ),
        (None, _) => "behind it changes are known one by one, and no state before the next checkpoint".to_owned(),
    };
    ailment.stands = match time(hole.since) {
        Some(since) => format!("everything up to {since}; {behind}"),
        None => behind,
    };
    ailment.remedies = vec![
        COPY.to_owned(),
        "read on either side of it with --around-damage: answers in between are of the last moment before it, and say so; `log` shows the \
         changes behind it"
            .to_owned(),
    ];
    if newest {
        ailment.remedies.push(
            "`hindcast run` cannot start behind it until the object is back, or a checkpoint stands behind it; one that runs goes on, and \
             makes that"
                .to_owned(),
        );
    }
}

/// A segment that a writer left which had lost the journal.
pub(super) fn late(ailment: &mut Ailment) {
    ailment.remedies = vec!["move it away when there is time: no reader takes it".to_owned()];
}

/// What can be read, and contradicts what vouches for it.
pub(super) fn doubted(ailment: &mut Ailment) {
    ailment.harm = Harm::Doubt;
    ailment.lost =
        "whatever rests on it cannot be trusted from there on, up to the next checkpoint that is as it was sealed"
            .into();
    ailment.stands =
        "everything before it; readers that find the contradiction refuse, with or without --around-damage".into();
    ailment.remedies = vec![
        COPY.to_owned(),
        "find out who could write to the bucket: a file does not become another readable one by itself".to_owned(),
    ];
}

/// Of which another file has the same.
pub(super) fn held_elsewhere(below: bool, ailment: &mut Ailment) {
    ailment.stands =
        "nothing is lost: another file has the same segments, and proves itself by its chain values".into();
    if below {
        return;
    }
    ailment.harm = Harm::Refused;
    ailment.lost = "readers that meet it may refuse; around the damage they answer all, exactly".into();
    ailment.remedies = vec![COPY.to_owned(), AROUND.to_owned()];
}

/// A merged file whose segments are there.
pub(super) fn of_segments(level: u8, ailment: &mut Ailment) {
    ailment.stands =
        "nothing is lost: its segments are all there, and readers read those instead, with a few more requests".into();
    ailment.remedies = vec![match level {
        0 => "nothing need be done: it goes with its segments, and nothing is made of it".to_owned(),
        3 => "nothing need be done: before its segments are removed it is read again and made anew of them; `hindcast compact` does that when \
              it is due"
            .to_owned(),
        _ => "nothing need be done: the file of the next level is made of the segments; `hindcast compact` does that when it is due".to_owned(),
    }];
}

/// A checkpoint that no manifest names.
pub(super) fn unnamed_checkpoint(kept: bool, ailment: &mut Ailment) {
    if !kept {
        ailment.stands = "every answer is what it would be: no manifest names it, so nobody reads it".into();
        ailment.remedies = vec!["move it away when there is time".to_owned()];
        return;
    }
    ailment.harm = Harm::Lost;
    ailment.lost =
        "the cut that retention kept there, if it kept it: of a time that was thinned out there is nothing else".into();
    ailment.stands = "every other cut that is kept, and every moment since the base".into();
    ailment.remedies = vec![COPY.to_owned()];
}

/// A checkpoint that readers begin with.
pub(super) fn checkpoint((own, next): (Micros, Option<Micros>), served: bool, newest: bool, ailment: &mut Ailment) {
    let until = next.map_or("the next checkpoint is made".to_owned(), utc_millis);
    let own = utc_millis(own);
    if !served {
        ailment.harm = Harm::Lost;
        ailment.lost = format!("moments from {own} until {until}: retention has let the log before it go");
        ailment.stands = "everything from the next checkpoint on, and the cuts that retention kept".into();
        ailment.remedies = vec![COPY.to_owned()];
        return;
    }
    ailment.harm = Harm::Refused;
    ailment.lost =
        format!("readers of moments from {own} until {until} refuse; around the damage they answer all, exactly");
    ailment.stands =
        "nothing is lost: an earlier checkpoint, or the beginning of the log, with more of the log gives the same"
            .into();
    ailment.remedies = vec![
        COPY.to_owned(),
        format!(
            "{AROUND}, which begins with an earlier one and takes longer; the compactor's next checkpoint needs nothing of it"
        ),
    ];
    if newest {
        ailment.remedies.push("`hindcast run` cannot start until it is back: it begins with the newest; one that runs goes on, and makes the next".to_owned());
    }
}

/// Which manifest.
pub(super) enum Page {
    /// The one that counts.
    Newest,
    /// One that it goes on from.
    Earlier,
    /// One that nothing names any more.
    Past,
}

/// A manifest.
pub(super) fn manifest(page: Page, ailment: &mut Ailment) {
    match page {
        Page::Past => {
            ailment.stands = "every answer is what it would be: a later one counts, and does not go on from it".into();
            ailment.remedies = vec!["nothing need be done".to_owned()];
        }
        Page::Earlier => {
            ailment.harm = Harm::Refused;
            ailment.lost = "the checkpoints that it and those before it name: moments of that time are refused".into();
            ailment.stands = "every moment since the oldest checkpoint that later manifests name; the rows of that time are there, in segments \
                              and merged files".into();
            ailment.remedies = vec![COPY.to_owned()];
        }
        Page::Newest => {
            ailment.harm = Harm::Refused;
            ailment.lost =
                "every answer is refused, and neither `hindcast run` nor `hindcast compact` can start".into();
            ailment.stands =
                "nothing of the past is in it alone: the log, the checkpoints and the merged files are what they are"
                    .into();
            ailment.remedies = vec![
                COPY.to_owned(),
                "else move it away: the manifest before it counts then, answers take longer, and the compactor names new files in the next; what it \
                 alone said of intervals that were found to be lost later, and of what has expired, is said no more"
                    .to_owned(),
            ];
        }
    }
}

/// The statement of a seal.
pub(super) fn seal(sealed: bool, ailment: &mut Ailment) {
    ailment.harm = Harm::Proof;
    ailment.lost = "what it alone vouched for: files beside the log, up to the next seal".into();
    ailment.stands = match sealed {
        true => {
            "every answer, and the proof of the log by the seals in its rows and by the other statements".to_owned()
        }
        false => "every answer; but no seal of the log holds".to_owned(),
    };
    ailment.remedies = vec![COPY.to_owned(), "`hindcast run` seals everything anew within the hour".to_owned()];
}

/// Any other numbered fact.
pub(super) fn fact(fact: &str, ailment: &mut Ailment) {
    let (harm, lost, stands) = match fact {
        "boundary" => (
            Harm::Refused,
            "if it is the newest, every answer is refused and `hindcast run` cannot start",
            "nothing of the past is in it",
        ),
        "expiry" => (
            Harm::Lost,
            "which cuts retention kept: moments of the time that was thinned out cannot be found",
            "every moment since the base, which the manifest names; the kept checkpoints themselves are there",
        ),
        "sealing" => (
            Harm::Refused,
            "if it is the newest, readers refuse: nobody knows what outputs must hide",
            "nothing of the past is in it; `hindcast run --seal` with the same places writes the next",
        ),
        "custody" => (
            Harm::Doubt,
            "which data keys were forgotten, and which files of them were rightly removed: values that are forgotten are called damaged, and \
             data keys that were to be made no more may be made again",
            "every answer that needs no sealed value",
        ),
        "alias" => (Harm::Nothing, "", "every answer; the cluster is named by its uid"),
        "points" => (
            Harm::Refused,
            "recovery points cannot be made: their ids begin with what it says",
            "every answer, and every recovery point that was made",
        ),
        _ => (Harm::Nothing, "", "every answer is what it would be"),
    };
    (ailment.harm, ailment.lost, ailment.stands) = (harm, lost.to_owned(), stands.to_owned());
    ailment.remedies = vec![COPY.to_owned()];
}

/// A file of a data key; the `same` data key may be in another.
pub(super) fn key(same: Option<&str>, ailment: &mut Ailment) {
    if ailment.finding.verdict == Verdict::Foreign {
        ailment.lost = "that it is forgotten: whoever has this file and the key file opens what it sealed".into();
        ailment.stands =
            "every answer is what it would be: no reader that has seen the statement opens anything with it".into();
        return;
    }
    if let Some(same) = same {
        ailment.harm = Harm::Proof;
        ailment.lost = "one of the files of this data key, for whoever has only the key that wrapped it".into();
        ailment.stands =
            format!("every answer, for whoever has the key that wrapped keys/{same}: it holds the same data key");
        ailment.remedies = vec![COPY.to_owned()];
        return;
    }
    ailment.harm = Harm::Lost;
    ailment.lost = "the values that were sealed with it: of Secrets of one namespace and month, and of places that are sealed beside them".into();
    ailment.stands = "everything else of these objects: their names, labels, the names of their values, and which of them changed when".into();
    ailment.remedies = vec![
        COPY.to_owned(),
        "values from now on are sealed with another one, which `hindcast run` makes when it starts".to_owned(),
    ];
}

/// A part of a recovery point.
pub(super) fn point(name: &str, which: &str, ailment: &mut Ailment) {
    ailment.remedies = vec![COPY.to_owned()];
    if which != "point" || ailment.finding.verdict == Verdict::Foreign {
        ailment.stands =
            "every answer, and what was made of the point; it says how the point was made, or that it goes".into();
        return;
    }
    ailment.harm = Harm::Lost;
    ailment.lost = format!("which volume snapshots recovery point {name} has: volumes cannot be restored from it");
    ailment.stands =
        "the objects of that moment, by time or revision; the snapshots themselves, which bear the point's id as a tag"
            .into();
    ailment.remedies.push("make a new one: `hindcast point create`".to_owned());
}

/// A part of a restore's record.
pub(super) fn restore(id: &str, which: &str, ailment: &mut Ailment) {
    ailment.harm = Harm::Lost;
    ailment.lost = match which {
        "plan" => format!("what restore {id} was to do: it can be neither resumed nor undone"),
        which if which.starts_with("pre-") => {
            format!("some of what restore {id} replaced: an undo cannot put that back")
        }
        _ => format!("what became of restore {id} in part: an undo or a resumption refuses"),
    };
    ailment.stands = "every answer: the journal itself has what was there before, so `hindcast restore --at` the moment before it does the same".into();
    ailment.remedies = vec![COPY.to_owned()];
}

/// What the journal does not write.
pub(super) fn stranger(ailment: &mut Ailment) {
    ailment.stands = "every answer is what it would be: no reader takes it".into();
}
