//! Where a cursor begins, whatever files hold the log, and whatever of it is gone.

use hindcast_journal::{
    Position, Reader,
    checkpoint::{Checkpoint, Manifest},
    error::ErrorKind,
    expiry::{Decision, Kept, decide},
    level::{HIGHEST, Merged},
    trim::Trim,
};

use super::{
    broker::{Broker, NONE},
    faults::{parts, settings},
    *,
};
use crate::{From, Rewind, Settings, cursor, run};

/// The moments that are asked for, after the first.
const TIMES: [Micros; 11] =
    [0, 1, 50_000, 101_000, 1_234_567, 150_000_000, 200_100_001, 250_500_000, 399_000_000, 399_900_999, 500_000_000];

/// Ten rows a segment, one segment a second, one row each 100 ms; segments without rows between; and a checkpoint every
/// hundred seconds, if there are to be any.
async fn log(journal: &Journal, checkpoints: bool) -> Vec<Checkpoint> {
    let mut writer = writer(journal).await;
    let mut made = Vec::new();
    for second in 0..400_u64 {
        journal.parts().clock.sleep(Duration::from_secs(1)).await;
        if second % 7 == 3 {
            commit(&mut writer, Vec::new()).await;
        }
        let rv = |n: u64| second * 1000 + n * 100 + 1;
        commit(&mut writer, (0..10).map(|n| change(Op::Add, "shop", &format!("{second}-{n}"), rv(n))).collect()).await;
        if checkpoints && second % 100 == 99 {
            let mut reader = Reader::open(journal).await.unwrap();
            let (state, origin) = reader.at_closed_cut().await.unwrap().unwrap();
            made.push(Checkpoint::write(journal, &state, &origin, "w", 1).await.unwrap());
        }
    }
    made
}

/// Leaves of most segments the merged files that hold them.
async fn trim(journal: &Journal) {
    let newest = journal.segments_after(0).await.unwrap().end - 1;
    for first in (1..newest - 90).step_by(90) {
        let segments = journal.segments(first..first + 90).await.unwrap();
        let merged = Merged::write(journal, HIGHEST, &segments).await.unwrap();
        assert!(Manifest::add_merged(journal, merged).await.unwrap());
    }
    let trim = Trim::plan(journal, Micros::MAX).await.unwrap().unwrap();
    assert!(trim.execute(journal).await.unwrap().segments > 350);
    assert!(!journal.store().exists(&journal.store().layout().segment(300)).await.unwrap());
}

async fn at(journal: &Journal, from: From) -> Position {
    from.cursor(journal).await.unwrap()
}

fn should(all: &[Row], time: Micros) -> Position {
    all.iter().find(|row| row.time_hi >= time).map_or(4000, |row| row.pos - 1)
}

#[tokio::test(start_paused = true)]
async fn a_moment_is_the_first_row_of_it_and_what_is_behind_that_trimmed_or_not() {
    for checkpoints in [false, true] {
        let journal = journal();
        for from in [From::Beginning, From::Now, From::Time(EPOCH), From::Position(1)] {
            assert_eq!(at(&journal, from).await, 0, "{from:?} of an empty journal");
        }
        log(&journal, checkpoints).await;
        let all = rows(&journal).await;
        for trimmed in [false, true] {
            if trimmed {
                trim(&journal).await;
            }
            assert_eq!(at(&journal, From::Beginning).await, 0);
            assert_eq!(at(&journal, From::Now).await, 4000);
            assert_eq!(at(&journal, From::Position(17)).await, 16);
            for time in TIMES.map(|time| EPOCH + time) {
                let (found, wanted) = (at(&journal, From::Time(time)).await, should(&all, time));
                assert_eq!(found, wanted, "{time}, checkpoints: {checkpoints}, trimmed: {trimmed}");
            }
        }
        assert_eq!(rows(&journal).await, all);
    }
}

/// What retention took is named, and nobody begins later than was said without being told; and the way on is taken once.
#[tokio::test(start_paused = true)]
async fn what_retention_took_is_refused_by_name_and_there_is_a_way_on() {
    let journal = journal();
    let broker = Broker::new(1, NONE);
    let checkpoints = log(&journal, true).await;
    let all = rows(&journal).await;
    // It was to publish all of it, and was not let.
    let old = cursor::Cursor::claim(&journal, "one", "a broker", &holder("a"), From::Beginning, &Rewind::No).await;
    assert_eq!(old.unwrap().position(), 0);
    trim(&journal).await;
    let base = checkpoints[1].clone();
    let (segment, whole) = (base.fold_from_segment, base.time());
    let base = Kept { checkpoint: base, exactly: Vec::new(), revision: false, why: vec!["base".to_owned()] };
    let decision = Decision { segment, base, kept: Vec::new(), behind: 0 };
    let first = decide(&journal, decision, None).await.unwrap().unwrap().to.pos;
    assert!((1000..=2001).contains(&first), "{first}");

    assert_eq!(at(&journal, From::Beginning).await, first - 1);
    assert_eq!(at(&journal, From::Position(first)).await, first - 1);
    for time in TIMES.map(|time| EPOCH + time).into_iter().chain([whole, whole + 1]) {
        match From::Time(time).cursor(&journal).await {
            Ok(found) => {
                assert!(time > whole);
                assert_eq!(found, should(&all, time), "{time}");
            }
            Err(error) => {
                assert!(time <= whole && error.kind() == ErrorKind::Invalid, "{error}");
                assert!(error.to_string().contains(&format!("begin at position {first}")), "{error}");
            }
        }
    }
    for position in [1, 2, first - 1] {
        let error = From::Position(position).cursor(&journal).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    // A new one that cannot begin where it was told ends, and says why.
    let named = Settings { name: "two".into(), from: From::Time(EPOCH), ..settings() };
    let error = run(named, parts(&journal, &broker, "a"), std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("the moment"), "{error}");

    // The old one is told where to go on, and how.
    let minutes = |n| journal.parts().clock.sleep(Duration::from_mins(n));
    run(settings(), parts(&journal, &broker, "a"), minutes(2)).await.unwrap();
    let fact = cursor::read(&journal, "one").await.unwrap().unwrap();
    let reason = fact.trouble.unwrap().reason;
    assert_eq!((fact.position, broker.written().len()), (0, 0));
    for part in ["was to go on at position 1,", &format!("--rewind --from {first}"), "a new word at `rewind:`"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    // As its file says it, at each start.
    let said = Settings { from: From::Position(first), rewind: Rewind::Once("on".into()), ..settings() };
    for life in ["b", "c"] {
        run(said.clone(), parts(&journal, &broker, life), minutes(2)).await.unwrap();
        let mut written: Vec<Position> = broker.written().iter().map(|message| message.position).collect();
        written.sort_unstable();
        assert_eq!(written, (first..=4000).collect::<Vec<_>>(), "{life}");
    }
    let fact = cursor::read(&journal, "one").await.unwrap().unwrap();
    assert_eq!((fact.position, fact.trouble), (4000, None));
}
