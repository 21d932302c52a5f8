//! What is answered after the past was thinned out: what was answered before, or what was kept, and that it is that.

use object_store::ObjectStoreExt as _;

use super::{
    merged::{merge, told},
    *,
};
use crate::{
    expiry::{self, Decision, Exactly, Kept, Left, Statement},
    level::HIGHEST,
};

const SOON: std::time::Duration = std::time::Duration::ZERO;

/// How a state is compared: each object's revision and form.
fn forms(state: &State) -> Vec<(u64, String)> {
    state.objects.values().map(|e| (e.row.rv, datum(e))).collect()
}

async fn checkpoint_at(journal: &Journal, question: &At) -> Checkpoint {
    let mut reader = Reader::open(journal).await.expect("opens");
    let (state, origin) = reader.at_cut(question).await.expect("reads").expect("closed");
    Checkpoint::write(journal, &state, &origin, "w", 1).await.expect("writes")
}

async fn cut(journal: &Journal, question: &At) -> (Checkpoint, Vec<crate::cut::Uncertain>) {
    let mut reader = Reader::open(journal).await.expect("opens");
    reader.write_cut(question, ("w", 1)).await.expect("reads").expect("closed")
}

fn kept(checkpoint: Checkpoint, why: &str) -> Kept {
    Kept { checkpoint, exactly: Vec::new(), revision: false, why: vec![why.to_owned()] }
}

/// A journal with four objects of 40 rounds, three days of merged files, and three checkpoints.
async fn world() -> (Arc<InMemory>, Journal, Vec<Checkpoint>) {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    write(&journal, "ws", 4, 40).await;
    for numbers in [1..=12, 13..=22, 23..=33] {
        merge(&journal, HIGHEST, numbers).await;
    }
    let mut checkpoints = Vec::new();
    for rv in [50, 105, 150] {
        checkpoints.push(checkpoint_at(&journal, &rev(rv)).await);
    }
    (inner, journal, checkpoints)
}

/// What is kept of the time before the second checkpoint: two moments and a recovery point.
async fn decision(journal: &Journal, base: &Checkpoint) -> Decision {
    let mut all = Vec::new();
    for time in [15_000, 40_995] {
        let (checkpoint, uncertain) = cut(journal, &At::Time(time)).await;
        all.push(Kept { exactly: vec![Exactly { time, uncertain }], ..kept(checkpoint, "hourly") });
    }
    let (checkpoint, _) = cut(journal, &rev(77)).await;
    all.push(Kept { revision: true, ..kept(checkpoint, "point p") });
    Decision { segment: 23, base: kept(base.clone(), "base"), kept: all, behind: 0 }
}

/// What is answered at every revision, and at moments on and beside those of commits.
async fn ask(journal: &Journal) -> BTreeMap<String, (Moment, Vec<(u64, String)>)> {
    let mut out = BTreeMap::new();
    for n in 11..=170 {
        let time = n * 1000;
        for question in [rev(n as u64), At::Time(time), At::Time(time - 5), At::BeforeTime(time)] {
            let mut reader = Reader::open(journal).await.expect("opens");
            let Ok(past) = reader.at(&question).await else { continue };
            let state = past.state(&Scope::default()).await.expect("folds").state;
            out.insert(format!("{question:?}"), (past.moment().clone(), forms(&state)));
        }
    }
    out
}

#[tokio::test]
async fn what_is_kept_is_answered_and_nothing_else_is_taken_for_it() {
    let (inner, journal, checkpoints) = world().await;
    let base = &checkpoints[1];
    let before = ask(&journal).await;
    let whole_log = told(&journal, i64::MIN, &Scope::default()).await;
    let decision = decision(&journal, base).await;
    assert_eq!(decision.kept.iter().map(Kept::time).collect::<Vec<_>>(), [15_000, 40_000, 77_000]);
    assert_eq!(decision.kept[1].exactly[0].uncertain.len(), 1, "revision 41 may be before or after");
    assert_eq!(ask(&journal).await, before, "making cuts changes nothing");
    let mut old = Reader::open(&journal).await.expect("opens");
    old.at(&rev(60)).await.expect("reads");
    let statement =
        expiry::decide(&journal, decision.clone(), Some(&key())).await.expect("decides").expect("it is first");
    assert_eq!(statement.to.pos, 4 * 20 + 3, "two facts before the rows, and four rows a segment");
    assert_eq!(expiry::decide(&journal, decision, None).await.expect("looks"), None, "another was first");

    let check = async |journal: &Journal| {
        let after = ask(journal).await;
        let (mut same, mut instead) = (0, 0);
        for (question, (moment, forms)) in &before {
            let Some((now, left)) = after.get(question) else { continue };
            match now.thinned {
                None => {
                    let told = |m: &Moment| (m.cut.clone(), m.time, m.closed, m.uncertain.clone(), m.beyond);
                    assert_eq!((told(now), left), (told(moment), forms), "{question}");
                    same += 1;
                }
                Some(thinned) => {
                    assert!(
                        now.closed && thinned.kept <= moment.time && moment.time <= thinned.next,
                        "{question}: {now:?}"
                    );
                    let of = format!("{:?}", At::Time(thinned.kept));
                    assert_eq!(left, &before[&of].1, "{question} is answered by {of}");
                    instead += 1;
                }
            }
        }
        // From the base on all is answered; before it two moments and one revision, and the base's own.
        assert!(same > 4 * 65 && instead > 4 * 85, "{same} {instead}");
        for question in [rev(77), At::Time(15_000), At::Time(40_995), rev(106), At::Time(105_995), rev(105), rev(15)] {
            assert_eq!(
                after.get(&format!("{question:?}")).map(|(moment, _)| moment.thinned),
                Some(None),
                "{question:?}"
            );
        }
        for question in [rev(14), At::Time(14_995), At::BeforeTime(15_000)] {
            let mut reader = Reader::open(journal).await.expect("opens");
            let error = reader.at(&question).await.expect_err("nothing was kept");
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("1970-01-01T00:00:00.015Z") && hint.contains("1970-01-01T00:00:00.105Z"), "{hint}");
            // The next question is answered all the same.
            assert!(reader.at(&At::Now).await.expect("reads").moment().closed);
        }
    };
    let asked = after_pos(&journal).await;
    check(&journal).await;
    // Whoever read by the manifest before still can.
    for rv in [12, 60, 120] {
        let past = old.at(&rev(rv)).await.expect("reads");
        let state = past.state(&Scope::default()).await.expect("folds").state;
        assert_eq!(
            (past.moment(), forms(&state)),
            (&before[&format!("{:?}", rev(rv))].0, before[&format!("{:?}", rev(rv))].1.clone())
        );
    }
    assert_eq!(
        expiry::sweep(&journal, std::time::Duration::from_mins(15), true).await.expect("waits"),
        Left::default()
    );
    let left = expiry::sweep(&journal, SOON, false).await.expect("looks");
    assert_eq!((left.segments, left.files, left.checkpoints), (22, 2, 1));
    check(&journal).await;
    // A crash in the middle of removing: any part may be gone.
    let halfway = Journal::open(Arc::new(inner.fork()), &Path::from("p"), "uid-1", Parts::system());
    for number in (1..23).step_by(3) {
        halfway.store().remove(&halfway.store().layout().segment(number)).await.expect("removes");
    }
    check(&halfway).await;
    assert_eq!(expiry::sweep(&halfway, SOON, true).await.expect("removes").segments, 14);
    assert_eq!(expiry::sweep(&journal, SOON, true).await.expect("removes"), left);
    assert_eq!(expiry::sweep(&journal, SOON, true).await.expect("looks"), Left::default());
    for journal in [&journal, &halfway] {
        check(journal).await;
        assert_eq!(after_pos(journal).await, asked, "what follows the log sees the same");
        // The log since the beginning is that since the base.
        let told = told(journal, i64::MIN, &Scope::default()).await;
        let rows: Vec<_> = whole_log.0.iter().filter(|row| row.rv > 105).cloned().collect();
        assert_eq!((told.0, told.1, told.2), (rows, whole_log.1.clone(), whole_log.2));
        Writer::claim(journal, identity("later"), None).await.expect("claims");
    }
}

/// The first position that comes of the log from each on.
async fn after_pos(journal: &Journal) -> Vec<Option<Position>> {
    let mut out = Vec::new();
    for pos in 0..=160 {
        let first = match journal.tail(pos).await {
            Ok(mut tail) => tail.ready().await.expect("reads").map(|run| run.meta.first.max(pos)),
            Err(error) => {
                assert!(error.hint().is_some_and(|hint| hint.contains("go on from position 83")), "{error}");
                assert!((2..83).contains(&pos), "{pos}");
                None
            }
        };
        out.push(first);
    }
    assert_eq!((out[0], out[1], out[83], out[84]), (Some(83), Some(83), Some(83), Some(84)));
    out
}

#[tokio::test]
async fn what_a_crash_left_of_a_decision_is_finished_and_a_later_one_stands_behind_it() {
    let (inner, journal, checkpoints) = world().await;
    let decision = decision(&journal, &checkpoints[1]).await;
    let manifest = Manifest::read(&journal).await.expect("reads");
    let first = expiry::decide(&journal, decision.clone(), None).await.expect("decides").expect("it is first");
    let newest = Manifest::read(&journal).await.expect("reads");
    assert_eq!((newest.number, newest.count()), (manifest.number + 1, 3 - 1 + 3), "one went, three came");
    // It dies right before the manifest.
    inner.delete(&journal.store().layout().meta("manifest", newest.number)).await.expect("it is there");
    assert_eq!(expiry::sweep(&journal, SOON, true).await.expect("looks"), Left::default(), "nothing goes before that");
    let (expired, statement) = expiry::settle(&journal).await.expect("settles").expect("there is one");
    assert_eq!((expired.number, &statement), (1, &first));
    assert_eq!(Manifest::read(&journal).await.expect("reads"), newest);
    // The manifest of a version that does not know of it loses it; a statement brings it back.
    let path = journal.store().layout().meta("manifest", newest.number + 1);
    let mut json: serde_json::Value = serde_json::from_slice(
        &journal.store().get(&journal.store().layout().meta("manifest", newest.number)).await.unwrap(),
    )
    .expect("json");
    json.as_object_mut().expect("an object").remove("expired");
    inner.put(&path, json.to_string().into()).await.expect("puts");
    assert_eq!(expiry::settle(&journal).await.expect("settles").map(|(expired, _)| expired.number), Some(1));
    // Merging and checkpoints carry it on, whatever pages turn.
    merge(&journal, 1, 34..=37).await;
    checkpoint_at(&journal, &At::Now).await;
    assert_eq!(Manifest::read(&journal).await.expect("reads").expired(), newest.expired());

    // A later one lets go of a cut, and moves on.
    let base = &checkpoints[2];
    let mut later = Decision { segment: 34, base: kept(base.clone(), "base"), kept: first.kept.clone(), behind: 1 };
    later.kept.remove(0);
    let unknown = Decision { kept: vec![kept(checkpoints[0].clone(), "x")], ..later.clone() };
    let error = expiry::decide(&journal, unknown, None).await.expect_err("it was let go");
    assert!(error.to_string().contains("let go"), "{error}");
    let far = Decision { segment: 41, ..later.clone() };
    assert!(expiry::decide(&journal, far, None).await.expect_err("the base needs it").to_string().contains("needs"));
    let second = expiry::decide(&journal, later, Some(&key())).await.expect("decides").expect("it is first");
    assert!(second.follows(&first) && second.from == first.to && second.number == 2);
    expiry::sweep(&journal, SOON, true).await.expect("removes");
    let questions = [At::Time(40_995), rev(77), At::Time(105_000), rev(155), At::Now];
    for question in questions {
        let (moment, state) = at(&journal, question.clone(), &Scope::default()).await;
        assert!(moment.closed && !state.objects.is_empty(), "{question:?}");
    }
    let mut reader = Reader::open(&journal).await.expect("opens");
    reader.at(&At::Time(15_000)).await.expect_err("it was let go");
    // What is damaged is told by name, and nothing is guessed.
    let path = journal.store().layout().meta("expiry", 2);
    inner.put(&path, "{}\n{}\n".into()).await.expect("puts");
    let error = Reader::open(&journal).await.expect("opens").at(&rev(77)).await.expect_err("it is damaged");
    assert!(error.to_string().contains("meta/expiry/"), "{error}");
    at(&journal, rev(155), &Scope::default()).await;
}

#[tokio::test]
async fn a_statement_is_its_signers_alone() {
    let (_, journal, checkpoints) = world().await;
    let decision = decision(&journal, &checkpoints[1]).await;
    let statement = expiry::decide(&journal, decision, Some(&key())).await.expect("decides").expect("it is first");
    let file = journal.store().get(&journal.store().layout().meta("expiry", 1)).await.expect("it is there");
    let trust = crate::proof::Trust::new(&[key()], Vec::new()).expect("keys");
    let read = |file: &[u8]| Statement::read("x", "uid-1", file, &trust);
    assert_eq!(read(&file).expect("reads"), (statement, expiry::Signed::Holds));
    for at in 0..file.len() {
        let mut other = file.to_vec();
        other[at] ^= 1;
        let found = read(&other).map(|(_, signed)| signed);
        assert!(!matches!(found, Ok(expiry::Signed::Holds)), "byte {at} is another");
    }
    let first = file.iter().position(|byte| *byte == b'\n').expect("two lines");
    let bare = [&file[..=first], b"{}\n"].concat();
    assert_eq!(read(&bare).expect("reads").1, expiry::Signed::Not, "who names a key has to sign");
}
