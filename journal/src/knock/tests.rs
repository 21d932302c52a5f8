use std::sync::Arc;

use object_store::{memory::InMemory, path::Path};

use super::*;
use crate::{
    Parts,
    segment::FrontierVector,
    writer::{Identity, Writer},
};

fn journal() -> Journal {
    Journal::open(Arc::new(InMemory::new()), &Path::default(), "uid", Parts::system())
}

#[tokio::test]
async fn readers_who_ask_at_once_share_a_knock_and_what_is_answered_is_removed() {
    let knocks = Knocks::of(&journal());
    assert_eq!(knocks.waiting(7).await.expect("it is asked"), 7);
    for _ in 0..3 {
        knocks.leave(8).await.expect("it is left, or was");
    }
    assert_eq!(knocks.waiting(7).await.expect("it is asked"), 8);
    assert_eq!(knocks.waiting(8).await.expect("it is asked"), 8);
    knocks.remove(8..=8).await.expect("it may be removed");
    knocks.remove(8..=8).await.expect("one that is gone is removed");
    // One that came too late, and one that waits.
    knocks.leave(8).await.expect("its name is free");
    knocks.leave(9).await.expect("its name is free");
    assert_eq!(knocks.sweep(8).await.expect("they may be removed"), 1);
    assert_eq!(knocks.waiting(8).await.expect("it is asked"), 9);
}

#[tokio::test]
async fn however_many_are_left_only_some_are_looked_for() {
    let knocks = Knocks::of(&journal());
    for number in 1..=100 {
        knocks.leave(number).await.expect("its name is free");
    }
    assert_eq!(knocks.waiting(0).await.expect("it is asked"), MOST);
    assert_eq!(knocks.waiting(90).await.expect("it is asked"), 100);
    assert_eq!(knocks.waiting(u64::MAX).await.expect("there is none"), u64::MAX);
}

#[tokio::test]
async fn the_log_says_which_knock_is_answered_and_the_next_writer_goes_on_from_there() {
    let journal = journal();
    let claim = async |who: &str| {
        let identity = Identity { writer: who.to_owned(), instance: who.to_owned() };
        Writer::claim(&journal, identity, None).await.expect("it is claimed")
    };
    let mut writer = claim("a").await;
    assert_eq!(writer.answered(), 0);
    let newest = async || {
        let numbers = journal.segments_after(0).await.expect("they are counted");
        journal.segment(numbers.end - 1).await.expect("it is there").meta
    };
    assert!(!newest().await.extra.contains_key(KNOCK), "nothing is said of what never was");
    for (knock, answered) in [(3, 3), (0, 3), (5, 5)] {
        writer.answer(knock);
        writer.stage(Vec::new(), FrontierVector::new()).await.expect("it is staged");
        writer.commit().await.expect("it is committed");
        assert_eq!((newest().await.knock(), writer.answered()), (answered, answered));
    }
    assert_eq!(claim("b").await.answered(), 5);
    assert_eq!(newest().await.knock(), 5);
}
