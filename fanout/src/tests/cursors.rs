//! The cursor: claims, fences, and writes whose answer was lost.

use hindcast_journal::error::ErrorKind;

use super::*;
use crate::{
    From,
    cursor::{self, Cursor, Fact, Trouble},
};

async fn claim(journal: &Journal, name: &str, who: &str, begin: u64) -> hindcast_journal::Result<Cursor> {
    Cursor::claim(journal, name, "kafka topic t", &holder(who), From::Position(begin + 1), false).await
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
    let again = Cursor::claim(&journal, "one", "kafka topic t", &holder("b"), From::Position(4), true).await.unwrap();
    assert_eq!(again.position(), 3);
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
    let other = Cursor::claim(&journal, "one", "kafka topic u", &holder("a"), From::Beginning, false).await;
    let error = other.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is of kafka topic t, not of kafka topic u"), "{error}");
    for name in ["", "Upper", "a/b", "a_b", &"x".repeat(64)] {
        assert_eq!(claim(&journal, name, "a", 0).await.unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
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
