//! Every row at least once and in order per key, whatever dies, and whenever.

use std::collections::BTreeMap;

use hindcast_journal::Position;

use super::{
    broker::{Broker, Faults, NONE},
    *,
};
use crate::{Bounds, Filter, Format, From, Metrics, Parts, Rewind, Settings, Topics, cursor, run};

pub(super) fn settings() -> Settings {
    Settings {
        name: "one".into(),
        topics: Topics { base: "t".into(), per_kind: false },
        format: Format::Structured,
        filter: Filter::default(),
        from: From::Beginning,
        rewind: Rewind::No,
        once: false,
        every: Duration::from_secs(20),
        bounds: Bounds { messages: 40, bytes: 1 << 20 },
    }
}

pub(super) fn parts(journal: &Journal, broker: &Broker, who: &str) -> Parts {
    Parts {
        journal: journal.clone(),
        target: Box::new(broker.clone()),
        holder: Holder { name: who.into(), instance: "one".into() },
        news: None,
        metrics: Metrics::default(),
    }
}

/// Writes versions of a few objects, for a while.
async fn load(journal: Journal, seed: u64, segments: u64) {
    let (mut writer, mut chance, mut rv) = (writer(&journal).await, Chance::new(seed), 1);
    for _ in 0..segments {
        let mut changes = Vec::new();
        for _ in 0..chance.below(12) {
            rv += 1;
            let op = [Op::Add, Op::Modify, Op::Delete][chance.below(3) as usize];
            let place = ["shop", "other"][chance.below(2) as usize];
            changes.push(change(op, place, &format!("n{}", chance.below(5)), rv));
        }
        if chance.one_in(5) {
            changes.push(Change::new(Op::Frontier, MAIN, 0, rv));
        }
        commit(&mut writer, changes).await;
        journal.parts().clock.sleep(Duration::from_millis(chance.below(2500))).await;
    }
}

/// Whether the broker has all that is wanted of the log, at least once, and in order per key; what a consumer keeps.
fn check(broker: &Broker, wanted: &[&Row], what: &str) {
    let mut seen: BTreeMap<String, Vec<Position>> = BTreeMap::new();
    for message in broker.written() {
        let kept = seen.entry(message.key).or_default();
        if kept.last().is_none_or(|last| message.position > *last) {
            kept.push(message.position);
        }
    }
    let mut should: BTreeMap<String, Vec<Position>> = BTreeMap::new();
    for row in wanted {
        let event = crate::Event::of(CLUSTER, row, &hindcast_journal::seal::Rules::NONE);
        should.entry(event.key).or_default().push(row.pos);
    }
    assert_eq!(seen, should, "{what}");
}

/// Everything up to the cursor is there.
async fn covered(journal: &Journal, broker: &Broker, filter: &Filter, what: &str) {
    let Some(fact) = cursor::read(journal, "one").await.unwrap() else { return };
    let written: std::collections::BTreeSet<Position> = broker.written().iter().map(|m| m.position).collect();
    for row in rows(journal).await.iter().filter(|row| row.pos <= fact.position && filter.takes(row)) {
        assert!(written.contains(&row.pos), "{what}: the cursor is at {}, and {} is nowhere", fact.position, row.pos);
    }
}

#[tokio::test(start_paused = true)]
async fn every_row_comes_in_order_whatever_fails_and_however_often_the_process_is_killed() {
    for seed in 0..12 {
        let journal = journal();
        let faults = Faults { connect: 3, lost: 60, late: 10, full: 15 };
        let broker = Broker::new(seed, faults);
        let filter = match seed % 3 {
            0 => Filter { namespaces: vec!["shop".into()], kinds: Vec::new() },
            _ => Filter::default(),
        };
        let settings = Settings { filter: filter.clone(), ..settings() };
        let mut chance = Chance::new(seed + 1000);
        let writing = tokio::spawn(load(journal.clone(), seed, 60));
        for life in 0..6 {
            let who = format!("life {life}");
            // Killed: nothing of it is left but what is written.
            let lives = Duration::from_millis(chance.below(40_000));
            let killed = journal.parts().clock.sleep(lives);
            tokio::select! {
                biased;
                () = killed => {}
                ended = run(settings.clone(), parts(&journal, &broker, &who), std::future::pending()) => {
                    panic!("seed {seed}: ended by itself: {ended:?}")
                }
            }
            covered(&journal, &broker, &filter, &format!("seed {seed}, {who}")).await;
        }
        writing.await.unwrap();
        broker.with(|state| state.faults = NONE);
        let stop = journal.parts().clock.sleep(Duration::from_mins(10));
        run(settings, parts(&journal, &broker, "the last"), stop).await.unwrap();
        let all = rows(&journal).await;
        let wanted: Vec<&Row> = all.iter().filter(|row| filter.takes(row)).collect();
        check(&broker, &wanted, &format!("seed {seed}"));
        let fact = cursor::read(&journal, "one").await.unwrap().unwrap();
        assert_eq!((fact.position, fact.trouble), (all.last().unwrap().pos, None), "seed {seed}");
        assert!(broker.with(|state| state.most) <= 40, "seed {seed}: more on the way than allowed");
    }
}

/// A target that takes no large message, and does not say so before: those alone come as pointers.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_comes_as_a_pointer_and_nothing_else_does() {
    let journal = journal();
    let mut writer = writer(&journal).await;
    let large = |rv: u64| Change {
        body: Body::Object(Bytes::from(format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000)))),
        ..change(Op::Add, "shop", "large", rv)
    };
    let mut changes: Vec<Change> = (1..160).map(|rv| change(Op::Add, "shop", &format!("n{}", rv % 7), rv)).collect();
    changes.insert(20, large(60));
    changes.insert(40, large(61));
    commit(&mut writer, changes).await;
    for seed in 0..10 {
        let broker = Broker::new(seed, Faults { late: 5, ..NONE });
        broker.with(|state| state.limit = 4000);
        let stop = journal.parts().clock.sleep(Duration::from_mins(5));
        let rewound = Settings { rewind: Rewind::Always, ..settings() };
        run(rewound, parts(&journal, &broker, &format!("seed {seed}")), stop).await.unwrap();
        let all = rows(&journal).await;
        check(&broker, &all.iter().collect::<Vec<_>>(), "with large ones");
        assert!(!broker.with(|state| state.alone), "seed {seed}: what is behind them goes together again");
        for message in broker.written() {
            let pointer = String::from_utf8_lossy(&message.value).contains("urn:hindcast:");
            assert_eq!(pointer, [21, 41].contains(&message.position), "{}", message.position);
        }
    }
}

/// A broker that is away for an hour: it is tried ever more seldom, the cursor says why, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn an_outage_is_told_and_ridden_out() {
    let journal = journal();
    let mut writer = writer(&journal).await;
    commit(&mut writer, (1..50).map(|rv| change(Op::Add, "shop", "web", rv)).collect()).await;
    let broker = Broker::new(1, Faults { connect: 1, ..NONE });
    let running = tokio::spawn({
        let stop = journal.parts().clock.sleep(Duration::from_mins(70));
        let (settings, parts) = (settings(), parts(&journal, &broker, "a"));
        async move { run(settings, parts, stop).await }
    });
    journal.parts().clock.sleep(Duration::from_hours(1)).await;
    let fact = cursor::read(&journal, "one").await.unwrap().unwrap();
    let trouble = fact.trouble.unwrap();
    assert_eq!((fact.position, trouble.reason.as_str()), (0, "the broker: is away"));
    assert!(trouble.since < EPOCH + 5_000_000, "{trouble:?}");
    let tried = broker.with(|state| {
        state.faults.connect = u64::MAX;
        state.connections
    });
    assert!((60..80).contains(&tried), "{tried} tries in an hour");
    running.await.unwrap().unwrap();
    check(&broker, &rows(&journal).await.iter().collect::<Vec<_>>(), "after an outage");
    assert_eq!(cursor::read(&journal, "one").await.unwrap().unwrap().trouble, None);
}

/// Two of one name: the older ends with a word, and what both wrote is in order for who ignores repetition.
#[tokio::test(start_paused = true)]
async fn of_two_processes_the_older_one_ends() {
    let journal = journal();
    let writing = tokio::spawn(load(journal.clone(), 3, 60));
    let broker = Broker::new(4, Faults { late: 10, ..NONE });
    let older = tokio::spawn(run(settings(), parts(&journal, &broker, "older"), std::future::pending()));
    journal.parts().clock.sleep(Duration::from_secs(10)).await;
    let stop = journal.parts().clock.sleep(Duration::from_mins(5));
    let newer = tokio::spawn(run(settings(), parts(&journal, &broker, "newer"), stop));
    let error = older.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), hindcast_journal::error::ErrorKind::Fenced);
    let since = journal.parts().clock.monotonic();
    assert!(since < Duration::from_secs(45), "after {since:?}");
    newer.await.unwrap().unwrap();
    writing.await.unwrap();
    check(&broker, &rows(&journal).await.iter().collect::<Vec<_>>(), "two at once");
}

/// Nothing is written to the store while nothing happens, and one cursor in so much time while much does.
#[tokio::test(start_paused = true)]
async fn the_cursor_costs_one_write_in_a_while_and_none_when_idle() {
    let journal = journal();
    let broker = Broker::new(5, NONE);
    let writing = tokio::spawn(load(journal.clone(), 5, 60));
    let stop = journal.parts().clock.sleep(Duration::from_hours(1));
    run(settings(), parts(&journal, &broker, "a"), stop).await.unwrap();
    writing.await.unwrap();
    let busy = 60 * 5 / 2 / 20;
    let (number, fact) = journal.store().newest_fact("cursor-one").await.unwrap().unwrap();
    assert!(number <= busy + 3, "{number} writes, {fact:?}");
}

/// In a cluster in which nothing happens a row a minute says so: that is no reason to write a file a minute for ever.
#[tokio::test(start_paused = true)]
async fn what_only_says_that_nothing_happened_has_the_cursor_written_once_an_hour() {
    let journal = journal();
    let broker = Broker::new(6, NONE);
    let running = tokio::spawn({
        let stop = journal.parts().clock.sleep(Duration::from_hours(26));
        let (settings, parts) = (settings(), parts(&journal, &broker, "a"));
        async move { run(settings, parts, stop).await }
    });
    let mut writer = writer(&journal).await;
    let newest = async || journal.store().newest_fact("cursor-one").await.unwrap().unwrap().0;
    // Not until the hour is over at which the next one is due.
    for minute in 0..24 * 60 - 30 {
        commit(&mut writer, vec![Change::new(Op::Frontier, MAIN, 0, minute + 1)]).await;
        journal.parts().clock.sleep(Duration::from_mins(1)).await;
    }
    let idle = newest().await;
    assert!((20..=26).contains(&idle), "{idle} files in a day");
    // The first that happens counts as soon as ever.
    commit(&mut writer, vec![change(Op::Add, "shop", "web", 2000)]).await;
    journal.parts().clock.sleep(Duration::from_secs(30)).await;
    assert_eq!(newest().await, idle + 1);
    let fact = cursor::read(&journal, "one").await.unwrap().unwrap();
    assert_eq!(fact.position, rows(&journal).await.last().unwrap().pos);
    running.await.unwrap().unwrap();
}

/// What is sealed from some day on is hidden from then on, though the connection is older.
#[tokio::test(start_paused = true)]
async fn a_place_that_is_named_later_is_hidden_from_then_on() {
    let journal = journal();
    let broker = Broker::new(7, NONE);
    let running = tokio::spawn({
        let stop = journal.parts().clock.sleep(Duration::from_mins(10));
        let (settings, parts) = (settings(), parts(&journal, &broker, "a"));
        async move { run(settings, parts, stop).await }
    });
    let mut writer = writer(&journal).await;
    commit(&mut writer, vec![change(Op::Add, "shop", "web", 7001)]).await;
    journal.parts().clock.sleep(Duration::from_mins(2)).await;
    let rules = hindcast_journal::seal::Rules::parse(&["pods:/spec/n".to_owned()]).unwrap();
    rules.write(&journal).await.unwrap();
    journal.parts().clock.sleep(Duration::from_mins(1)).await;
    commit(&mut writer, vec![change(Op::Add, "shop", "web", 7002)]).await;
    running.await.unwrap().unwrap();
    assert_eq!(broker.with(|state| state.connections), 1);
    let values: Vec<String> =
        broker.written().iter().map(|message| String::from_utf8_lossy(&message.value).into_owned()).collect();
    let [before, after] = values.as_slice() else { panic!("{values:?}") };
    assert!(before.contains(r#""n":7001"#), "{before}");
    assert!(!after.contains(r#""n":7002"#) && after.contains(r#""n":""#), "{after}");
}
