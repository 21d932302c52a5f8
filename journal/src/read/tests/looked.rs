//! A moment that is looked for with little reading is the one that is found with all of it.

use object_store::ObjectStoreExt as _;

use super::{
    counted::Metered,
    merged::{merge, merge_half},
    random::World,
    *,
};
use crate::{
    level::{HIGHEST, Merged},
    trim::Trim,
};

/// What a question is answered with: the moment, and the state of some scopes.
type Said = Result<(Moment, Vec<String>), String>;

fn scopes() -> Vec<Scope> {
    let kinds = |kinds: &[&str]| Some(kinds.iter().map(|kind| (*kind).to_owned()).collect());
    vec![
        Scope::nothing(),
        Scope::default(),
        Scope { kinds: kinds(&["/widgets"]), ..Scope::default() },
        Scope { kinds: kinds(&["/widgets"]), namespace: Some("ns".into()), name: Some("a".into()) },
        Scope { kinds: kinds(&["/ws"]), namespace: Some("ns1".into()), name: Some("n1".into()) },
        Scope { namespace: Some("ns2".into()), ..Scope::default() },
    ]
}

async fn say(past: &crate::Past) -> Result<Vec<String>, String> {
    let mut said = Vec::new();
    for scope in scopes() {
        let answer = past.state(&scope).await.map_err(|error| Error::causes(&error))?;
        said.push(format!("{:?} {:?}", answer.lagging, answer.state));
    }
    let counts = past.counts(&crate::seal::Rules::default()).await.map_err(|error| Error::causes(&error))?;
    said.push(format!("{counts:?}"));
    Ok(said)
}

async fn found(journal: &Journal, question: &At, looked: bool) -> Said {
    let mut reader = Reader::open(journal).await.map_err(|error| Error::causes(&error))?;
    let past = match looked {
        true => reader.look(question).await,
        false => reader.at(question).await,
    };
    let past = past.map_err(|error| Error::causes(&error))?;
    Ok((past.moment().clone(), say(&past).await?))
}

/// Asks both ways; whether no more than outlines were read.
async fn ask(journal: &Journal, question: &At, what: &str) -> (Said, bool) {
    let (at, looked) = (found(journal, question, false).await, found(journal, question, true).await);
    match (&at, &looked) {
        (Ok((moment, states)), Ok((other, others))) => {
            assert_eq!(moment, other, "{what}: {question:?}");
            for (state, other) in states.iter().zip(others) {
                assert_eq!(state, other, "{what}: {question:?}");
            }
        }
        _ => assert_eq!(format!("{at:?}"), format!("{looked:?}"), "{what}: {question:?}"),
    }
    let mut reader = Reader::open(journal).await.expect("opens");
    let outlined = reader.look(question).await.is_ok_and(|past| past.is_outlined());
    (at, outlined)
}

fn time(world: &mut World) -> At {
    let time = world.dice.roll((world.now / 500) as u64 + 4) as i64 * 500;
    if world.dice.roll(3) == 0 { At::BeforeTime(time) } else { At::Time(time) }
}

/// Merges what stands between two segments, unless it meets what is merged already.
async fn merge_some(world: &mut World) {
    let last = world.writer.segment();
    let first = 1 + world.dice.roll(last);
    let end = (first + 3 + world.dice.roll(20)).min(last);
    let level = 1 + world.dice.roll(u64::from(HIGHEST) - 1) as u8;
    merge_half(&world.journal, level, first..=end, true).await;
}

async fn run(seed: u64, falls: bool) -> (usize, usize, usize) {
    let mut world = World::new(seed, falls).await;
    world.blur = [0, 900, 4000][(seed % 3) as usize];
    let (mut outlined, mut uncertain, mut closed) = (0, 0, 0);
    for round in 0..50 {
        for _ in 0..=world.dice.roll(9) {
            world.step();
        }
        world.flush().await;
        match world.dice.roll(6) {
            0 => world.checkpoint().await.expect("writes"),
            1 | 2 => merge_some(&mut world).await,
            3 => {
                let question = time(&mut world);
                let (said, was) = ask(&world.journal, &question, &format!("seed {seed}, round {round}")).await;
                outlined += usize::from(was);
                uncertain += said.map_or(0, |(moment, _)| moment.uncertain.len());
            }
            _ => {}
        }
    }
    let mut asked = Vec::new();
    for _ in 0..16 {
        let question = time(&mut world);
        let (said, was) = ask(&world.journal, &question, &format!("seed {seed}")).await;
        outlined += usize::from(was);
        closed += usize::from(said.as_ref().is_ok_and(|(moment, _)| moment.closed));
        uncertain += said.as_ref().map_or(0, |(moment, _)| moment.uncertain.len());
        asked.push((question, said));
    }
    // With all that can be in files of the highest level, and the segments gone, it is all the same.
    let last = world.writer.segment();
    let mut next = 1;
    while next < last {
        let end = (next + 2 + world.dice.roll(25)).min(last - 1);
        // What was merged before is taken in whole.
        let known = Manifest::read(&world.journal).await.expect("reads").merged;
        let end = known.iter().fold(end, |end, m| if m.first <= end { end.max(m.last) } else { end });
        let segments = world.journal.segments(next..end + 1).await.expect("reads");
        let merged = Merged::write(&world.journal, HIGHEST, &segments).await.expect("writes");
        assert!(Manifest::add_merged(&world.journal, merged).await.expect("writes"));
        next = end + 1;
    }
    if let Some(trim) = Trim::plan(&world.journal, Micros::MAX).await.expect("plans") {
        trim.execute(&world.journal).await.expect("removes");
    }
    for (question, said) in asked {
        let (again, was) = ask(&world.journal, &question, &format!("seed {seed}, trimmed")).await;
        outlined += usize::from(was);
        assert_eq!(format!("{said:?}"), format!("{again:?}"), "seed {seed}: {question:?} once segments are gone");
    }
    (outlined, uncertain, closed)
}

#[tokio::test]
async fn a_moment_is_the_same_however_little_is_read_to_find_it() {
    let (mut outlined, mut uncertain, mut closed) = (0, 0, 0);
    for seed in 0..9 {
        let counts = run(seed, seed % 4 == 3).await;
        (outlined, uncertain, closed) = (outlined + counts.0, uncertain + counts.1, closed + counts.2);
    }
    assert!(outlined >= 60, "only {outlined} were found in outlines");
    assert!(uncertain >= 10, "only {uncertain} rows may be before or after a moment");
    assert!(closed >= 60, "only {closed} moments are closed");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_keeps_nobody_from_a_moment() {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    let last = write(&journal, "ws", 4, 40).await.segment();
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_cut(&rev(30)).await.expect("reads").expect("closed");
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    let merged = merge(&journal, 2, 3..=last - 2).await;
    let path = journal.store().layout().merged(2, merged.first, merged.last);
    let whole = journal.store().get(&path).await.expect("it is there");
    let question = At::Time(90_000);
    let (before, outlined) = ask(&journal, &question, "whole").await;
    assert!(outlined && before.as_ref().is_ok_and(|(moment, _)| moment.closed));
    for at in (0..whole.len()).step_by(whole.len() / 12).chain([whole.len() - 9]) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 4;
        inner.put(&path, bytes.into()).await.expect("puts");
        let (said, _) = ask(&journal, &question, &format!("byte {at} of {}", whole.len())).await;
        assert_eq!(said, before);
    }
    // It goes away between the moment and the state at it.
    inner.put(&path, whole.into()).await.expect("puts");
    let mut reader = Reader::open(&journal).await.expect("opens");
    let past = reader.look(&question).await.expect("is found");
    inner.delete(&path).await.expect("deletes");
    assert_eq!(say(&past).await, before.map(|(_, said)| said));
}

#[tokio::test]
async fn a_second_question_reads_no_segment_again() {
    let store = Arc::new(Metered::default());
    let journal = Journal::open(store.clone(), &Path::from("p"), "uid-1", Parts::system());
    write(&journal, "ws", 4, 30).await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let first = reader.look(&At::Time(120_000)).await.expect("is found");
    assert!(store.requests("wal") > 20);
    let second = reader.look(&At::Time(100_000)).await.expect("is found");
    let open = reader.look(&At::Time(131_000)).await.expect("is found");
    assert!(store.requests("wal") <= 4, "only the newest are new");
    assert!(first.moment().cut.rev() == 120 && second.moment().cut.rev() == 100);
    assert!(open.moment().beyond.is_some());
    assert_eq!(second.state(&Scope::default()).await.expect("folds").state.objects.len(), 4);
}

#[tokio::test]
async fn an_object_of_a_moment_is_a_small_part_of_what_there_is() {
    let store = Arc::new(Metered::default());
    let journal = Journal::open(store.clone(), &Path::from("p"), "uid-1", Parts::system());
    let last = write(&journal, "ws", 300, 40).await.segment();
    for (first, end) in [(3, 10), (11, 20), (21, 30), (31, last - 1)] {
        merge(&journal, HIGHEST, first..=end).await;
    }
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_cut(&rev(500)).await.expect("reads").expect("closed");
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    let (before, outlined) = ask(&journal, &At::Time(11_000_000), "whole").await;
    assert!(outlined && before.is_ok());
    let scope = Scope { kinds: Some(vec!["/ws".into()]), namespace: Some("ns1".into()), name: Some("n1".into()) };
    store.requests("log");
    let past = Reader::open(&journal).await.expect("opens").look(&At::Time(11_000_000)).await.expect("is found");
    let state = past.state(&scope).await.expect("folds").state;
    assert_eq!(state.objects.len(), 1);
    assert_eq!(state.objects.values().next().map(|entry| entry.row.rv), Some(10_812));
    // Of each file its footer and its facts, of the one that the moment lies in the rest, and the object's rows.
    let requests = store.requests("log");
    assert!(requests <= 12, "{requests} requests of merged files");
}
