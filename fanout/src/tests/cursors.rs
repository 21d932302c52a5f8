//! The cursor: claims, fences, and writes whose answer was lost.

use hindcast_journal::{error::ErrorKind, verify};

use super::*;
use crate::{
    From,
    cursor::{self, Cursor, Fact, Rewind, Trouble},
};

async fn claim(journal: &Journal, name: &str, who: &str, begin: u64) -> hindcast_journal::Result<Cursor> {
    Cursor::claim(journal, name, "kafka topic t", &holder(who), From::Position(begin + 1), &Rewind::No).await
}

#[tokio::test(start_paused = true)]
async fn it_begins_where_it_is_told_once_and_goes_on_from_what_was_written() {
    let journal = journal();
    let mut first = claim(&journal, "one", "a", 41).await.unwrap();
    assert_eq!(first.position(), 41);
    let trouble = Trouble { since: 5, reason: "away".into() };
    first.write(50, Some(trouble.clone())).await.unwrap();
    assert_eq!(claim(&journal, "two", "a", 7).await.unwrap().position(), 7);
    assert_eq!(cursor::names(&journal).await.unwrap(), ["one", "two"]);

    let second = claim(&journal, "one", "b", 0).await.unwrap();
    assert_eq!((second.position(), second.trouble()), (50, Some(&trouble)));
    let again = async |rewind: Rewind, to: u64| {
        let from = From::Position(to + 1);
        Cursor::claim(&journal, "one", "kafka topic t", &holder("b"), from, &rewind).await.unwrap().position()
    };
    assert_eq!(again(Rewind::Always, 9).await, 9);
    // A word counts once, until there is another.
    let once = |word: &str| Rewind::Once(word.into());
    assert_eq!(again(once("first"), 4).await, 4);
    assert_eq!(again(once("first"), 6).await, 4);
    assert_eq!(again(Rewind::No, 6).await, 4);
    assert_eq!(again(once("first"), 6).await, 4);
    assert_eq!(again(once("second"), 3).await, 3);
    assert_eq!(cursor::read(&journal, "one").await.unwrap().unwrap().position, 3);
    assert_eq!(cursor::read(&journal, "none").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn the_older_holder_is_fenced_when_it_writes_and_when_it_looks() {
    let journal = journal();
    let mut first = claim(&journal, "one", "a", 0).await.unwrap();
    let mut second = claim(&journal, "one", "b", 0).await.unwrap();
    // Looking is not asked of the store at every turn.
    first.check().await.unwrap();
    journal.parts().clock.sleep(Duration::from_secs(16)).await;
    let error = first.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("b took it over"), "{error}");
    assert_eq!(first.write(9, None).await.unwrap_err().kind(), ErrorKind::Fenced);
    second.check().await.unwrap();
    second.write(4, None).await.unwrap();
    assert_eq!(cursor::read(&journal, "one").await.unwrap().unwrap().position, 4);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_known_again() {
    let journal = journal();
    let mut cursor = claim(&journal, "one", "a", 0).await.unwrap();
    // What it wrote stands there, though it was told of a failure.
    let stands = Fact {
        position: 20,
        target: "kafka topic t".into(),
        holder: "a".into(),
        instance: "of a".into(),
        time: EPOCH,
        trouble: None,
        hands: Vec::new(),
        rewound: None,
    };
    let path = journal.store().layout().meta("cursor-one", 2);
    journal.store().create(&path, serde_json::to_vec(&stands).unwrap().into()).await.unwrap();
    journal.parts().clock.sleep(Duration::from_secs(16)).await;
    cursor.check().await.unwrap();
    assert_eq!(cursor.position(), 20);
    cursor.write(30, None).await.unwrap();
    assert_eq!(cursor::read(&journal, "one").await.unwrap().unwrap().position, 30);
}

#[tokio::test(start_paused = true)]
async fn a_name_stays_with_its_target_and_is_one() {
    let journal = journal();
    claim(&journal, "one", "a", 12).await.unwrap();
    let other = Cursor::claim(&journal, "one", "kafka topic u", &holder("a"), From::Beginning, &Rewind::No).await;
    let error = other.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is of kafka topic t, not of kafka topic u"), "{error}");
    for name in ["", "Upper", "a/b", "a_b", &"x".repeat(64)] {
        assert_eq!(claim(&journal, name, "a", 0).await.unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
}

/// Cursors belong to a journal: who looks at every file of it takes none for a stranger's.
#[tokio::test(start_paused = true)]
async fn whoever_verifies_the_journal_knows_cursors_by_their_names() {
    let journal = journal();
    let mut writer = writer(&journal).await;
    commit(&mut writer, vec![change(Op::Add, "shop", "web", 1)]).await;
    let mut cursor = claim(&journal, "kafka-past", "a", 0).await.unwrap();
    cursor.write(1, None).await.unwrap();
    claim(&journal, "two", "a", 0).await.unwrap();
    let verify = async || {
        let report = verify::verify(&journal, &verify::Asked::default(), &|_| ()).await.unwrap();
        report.findings.into_iter().map(|finding| finding.file).collect::<Vec<_>>()
    };
    assert_eq!(verify().await, Vec::<String>::new());
    // What only looks like one is.
    let strangers =
        ["cursor-Two/00000000000000000001", "cursor-two/1", "cursor-/00000000000000000001", "cursors/first"];
    for name in strangers {
        let path = journal.store().layout().root().clone().join("meta");
        let path = name.split('/').fold(path, Path::join);
        journal.store().create(&path, Bytes::from_static(b"{}")).await.unwrap();
    }
    let mut should: Vec<String> = strangers.iter().map(|name| format!("meta/{name}")).collect();
    should.sort();
    assert_eq!(verify().await, should);
}

#[tokio::test(start_paused = true)]
async fn two_that_are_restarted_by_turns_are_told_apart_from_one_that_crashes() {
    let journal = journal();
    for _ in 0..9 {
        claim(&journal, "one", "a", 0).await.unwrap();
    }
    for who in ["b", "a", "b"] {
        claim(&journal, "one", who, 0).await.unwrap();
    }
    let error = claim(&journal, "one", "a", 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("changed hands 3 times"), "{error}");
    journal.parts().clock.sleep(Duration::from_mins(2)).await;
    claim(&journal, "one", "a", 0).await.unwrap();
}
