use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message as _;
use tonic::Code;

use super::*;
use crate::{
    fake::{self, DRIVER as OURS, Fake, Reply, limits, orders, short, snapshot, tag},
    wire::{CreateOutcome, CreateRequest, CreateResponse, Created, Failure, ListRequest, ListResponse, LookResponse},
};

/// How late a busy machine may be.
const BUSY: Duration = Duration::from_secs(8);

/// The orders of a call, by their index.
fn asked(message: &[u8]) -> Vec<u32> {
    let request = CreateRequest::decode(message).unwrap();
    request.orders.into_iter().map(|order| order.tag.unwrap().index).collect()
}

fn created(outcomes: impl IntoIterator<Item = wire::Taken>) -> Reply {
    let outcome = |taken| CreateOutcome { outcome: Some(Created::Taken(taken)) };
    Reply::of(CreateResponse { outcomes: outcomes.into_iter().map(outcome).collect() })
}

fn looked(taken: wire::Taken, stands: Stands) -> Reply {
    let standing = Some(wire::Standing { standing: Some(stands) });
    Reply::of(LookResponse { taken: Some(taken), standing })
}

fn ready(taken: wire::Taken) -> Reply {
    looked(taken, Stands::Ready(wire::Ready {}))
}

impl PluginDriver {
    /// How long that was ago.
    fn since(&self, begun: Duration) -> Duration {
        self.patience().now().saturating_sub(begun)
    }
}

fn taken(index: u32) -> Taken {
    Taken { handle: format!("snap-{index}"), ..Taken::bare(tag(index), "fake") }
}

fn refused<T: std::fmt::Debug>(answer: Result<T>, says: &str) {
    let error = answer.expect_err(says);
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains(says), "{says}: {error:?}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "no remedy: {error}");
}

#[tokio::test]
async fn a_snapshot_of_another_index_is_not_deleted() {
    let fake = Fake::start(|call, _| match call {
        "Look" => ready(wire::Taken { handle: "snap-0".into(), ..snapshot(1) }),
        _ => Reply::of(wire::DeleteResponse {}),
    });
    let driver = fake.driver().await;
    refused(driver.delete(&taken(0)).await, "it bears the tag of");
    assert_eq!(fake.asked("Delete"), 0);
}

#[tokio::test]
async fn two_snapshots_of_one_handle_are_refused() {
    let fake = Fake::start(|_, message| {
        let same = |index| wire::Taken { handle: "same".into(), ..snapshot(index) };
        created(asked(message).into_iter().map(|index| if index < 2 { same(index) } else { snapshot(index) }))
    });
    let mut answers = fake.driver().await.create(&orders(3)).await;
    assert_eq!(answers.pop().unwrap().unwrap().handle, "snap-2");
    for answer in answers {
        refused(answer, "2 snapshots have the handle same");
    }
}

#[tokio::test]
async fn one_bad_volume_fails_no_other_one_of_its_call() {
    let fake = Fake::start(|_, message| match asked(message) {
        bad if bad.contains(&1) => Reply::error(Code::InvalidArgument, "volume 1 is odd"),
        good => created(good.into_iter().map(snapshot)),
    });
    let driver = fake.driver().await;
    let answers = driver.create(&orders(4)).await;
    for (index, answer) in answers.into_iter().enumerate() {
        match (index, answer) {
            (1, answer) => {
                let error = answer.unwrap_err();
                assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("shop/data-1"), "{error}");
            }
            (index, answer) => assert_eq!(answer.unwrap().handle, format!("snap-{index}")),
        }
    }
    assert_eq!(fake.asked("Create"), 5, "one of all, and one of each");
}

#[tokio::test]
async fn the_pause_that_a_plugin_asks_for_is_made_before_each_is_asked_for_alone() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let fake = Fake::start(move |_, message| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::error(Code::ResourceExhausted, "slowly").with("hindcast-retry-after-ms", "300"),
        _ => created(asked(message).into_iter().map(snapshot)),
    });
    let driver = fake.driver().await;
    let begun = driver.patience().now();
    assert!(driver.create(&orders(3)).await.iter().all(std::result::Result::is_ok));
    assert!(driver.since(begun) >= Duration::from_millis(300), "{:?}", driver.since(begun));
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_plugin_that_hangs_holds_nobody_longer_than_one_deadline() {
    let fake = Fake::start(|_, _| Reply::never());
    let driver = fake.driver_within(short()).await;
    let begun = driver.patience().now();
    let answers = driver.create(&orders(250)).await;
    let bound = short().request + short().patience + BUSY;
    assert!(driver.since(begun) < bound, "{:?}", driver.since(begun));
    assert_eq!(answers.len(), 250);
    for (answer, order) in answers.into_iter().zip(orders(250)) {
        let error = answer.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains(&order.volume.title()), "{error}");
    }
    assert!(fake.asked("Create") < 12, "{} calls: each part is asked for once, and one of it", fake.asked("Create"));
    // It hangs from the second order on: what is done is kept, and the rest ends in time too.
    let fake = Fake::start(|_, message| match asked(message).as_slice() {
        [0] => created([snapshot(0)]),
        _ => Reply::never(),
    });
    let driver = fake.driver_within(short()).await;
    let begun = driver.patience().now();
    let answers = driver.create(&orders(60)).await;
    assert!(driver.since(begun) < bound, "{:?}", driver.since(begun));
    assert!(answers[0].is_ok() && answers[1..].iter().all(std::result::Result::is_err));
}

#[tokio::test]
async fn whether_a_volume_can_be_taken_is_asked_of_each_where_the_call_fails() {
    let fake = Fake::start(|_, message| {
        let request = wire::TakesRequest::decode(message).unwrap();
        match request.volumes.iter().any(|volume| volume.handle == "vol-1") {
            true => Reply::error(Code::InvalidArgument, "volume 1 is odd"),
            false => Reply::of(wire::TakesResponse { reasons: vec![String::new(); request.volumes.len()] }),
        }
    });
    let driver = fake.driver().await;
    let volumes: Vec<Volume> = orders(3).into_iter().map(|order| order.volume).collect();
    driver.consider(&volumes).await;
    assert_eq!((driver.takes(&volumes[0]), driver.takes(&volumes[2])), (Ok(()), Ok(())));
    let why = driver.takes(&volumes[1]).unwrap_err();
    assert!(why.contains("plugin fake") && why.contains("volume 1 is odd"), "{why}");
}

#[tokio::test]
async fn what_was_said_of_volumes_is_forgotten() {
    let fake = Fake::start(|_, message| {
        let many = wire::TakesRequest::decode(message).unwrap().volumes.len();
        Reply::of(wire::TakesResponse { reasons: vec!["full".into(); many] })
    });
    let driver = fake.driver().await;
    let volumes: Vec<Volume> = orders(2).into_iter().map(|order| order.volume).collect();
    driver.consider(&volumes[..1]).await;
    driver.consider(&volumes[1..]).await;
    assert!(driver.takes(&volumes[0]).is_err(), "somebody else may be about to ask");
    let later = driver.patience().now() + KEPT + Duration::from_secs(1);
    driver.considered().prune(later);
    assert_eq!(driver.considered().verdicts.len(), 0);
}

#[tokio::test]
async fn what_a_plugin_does_not_find_is_gone() {
    let fake = Fake::start(|_, _| Reply::error(Code::NotFound, "no such snapshot"));
    let driver = fake.driver().await;
    assert_eq!(driver.look(&taken(0)).await.unwrap().1, Standing::Gone);
    driver.delete(&taken(0)).await.unwrap();
    assert_eq!(fake.asked("Delete"), 0);
}

#[tokio::test]
async fn what_no_restore_could_use_failed() {
    let named = |name: Option<&str>| {
        let details = name.map(|name| ("driver".to_owned(), name.to_owned())).into_iter().collect();
        wire::Taken { details, ..snapshot(0) }
    };
    for (said, known, stands) in [
        (Some(OURS), None, Standing::Ready),
        (None, Some(OURS), Standing::Ready),
        (None, None, Standing::Failed(USELESS.to_owned())),
        (Some(""), None, Standing::Failed(USELESS.to_owned())),
    ] {
        let fake = Fake::start(move |_, _| ready(named(said)));
        let driver = fake.driver().await;
        let mut kept = taken(0);
        kept.details.extend(known.map(|name| ("driver".to_owned(), name.to_owned())));
        match driver.look(&kept).await {
            Ok((_, seen)) => assert_eq!(seen, stands, "{said:?} {known:?}"),
            Err(error) => assert_eq!(said, Some(""), "{error}"),
        }
    }
    // While it is not ready, it may still say so.
    let fake = Fake::start(move |_, _| looked(named(None), Stands::Cut(wire::Cut { percent: None })));
    assert_eq!(fake.driver().await.look(&taken(0)).await.unwrap().1, Standing::Cut(None));
}

#[tokio::test]
async fn details_are_few_all_of_them_together() {
    let more = |from: usize| (from..from + 40).map(|n| (format!("detail-{n}"), "x".to_owned()));
    let fake = Fake::start(move |_, _| {
        let mut seen = snapshot(0);
        seen.details.extend(more(0));
        ready(seen)
    });
    let driver = fake.driver().await;
    let mut kept = taken(0);
    driver.look(&kept).await.unwrap();
    kept.details.extend(more(40));
    refused(driver.look(&kept).await, "81 details, more than 64");
}

#[tokio::test]
async fn what_an_earlier_version_made_is_listed_and_not_kept() {
    let other = || {
        let details = [("driver".to_owned(), "earlier.example.com".to_owned())].into();
        wire::Taken { details, ..snapshot(0) }
    };
    let fake = Fake::start(move |call, message| match call {
        "List" => Reply::of(ListResponse { taken: vec![other()], next_page_token: String::new() }),
        "Look" => ready(other()),
        "Create" => created(asked(message).into_iter().map(|_| other())),
        _ => Reply::of(wire::DeleteResponse {}),
    });
    let driver = fake.driver().await;
    let found = driver.find("c", &tag(0).id).await.unwrap();
    assert_eq!(found.len(), 1);
    driver.delete(&found[0]).await.unwrap();
    assert_eq!(fake.asked("Delete"), 1);
    refused(driver.look(&found[0]).await, "which the plugin does not declare");
    refused(driver.create(&orders(1)).await.remove(0), "which the plugin does not declare");
}

#[tokio::test]
async fn a_listing_without_an_end_ends() {
    // Pages with nothing on them, each with another token.
    let fake = Fake::start(|_, message| {
        let token = ListRequest::decode(message).unwrap().page_token;
        let number: u64 = token.parse().unwrap_or(0);
        Reply::of(ListResponse { taken: vec![], next_page_token: (number + 1).to_string() })
    });
    let driver = fake.driver().await;
    let begun = driver.patience().now();
    let error = driver.all("c").await.unwrap_err();
    assert!(driver.since(begun) < limits().operation + BUSY, "{:?}", driver.since(begun));
    assert!(error.hint().is_some(), "{error}");
    // Pages that are full, each of other snapshots.
    let large = || ("large".to_owned(), "x".repeat(1000));
    let fake = Fake::start(move |_, message| {
        let token = ListRequest::decode(message).unwrap().page_token;
        let number: u32 = token.parse().unwrap_or(0);
        let mut one = snapshot(number);
        one.details.extend([large()]);
        let taken = (0..500).map(|n| wire::Taken { handle: format!("{number}-{n}"), ..one.clone() });
        Reply::of(ListResponse { taken: taken.collect(), next_page_token: (number + 1).to_string() })
    });
    let driver = fake.driver().await;
    let begun = driver.patience().now();
    let error = driver.all("c").await.unwrap_err();
    assert!(driver.since(begun) < limits().operation + BUSY, "{:?}", driver.since(begun));
    assert!(error.to_string().contains("plugin fake"), "{error}");
}

#[tokio::test]
async fn one_order_that_is_refused_is_told_as_its_own() {
    let fake = Fake::start(|_, message| {
        let outcome = |index| match index {
            0 => Created::Failure(Failure { code: Code::NotFound as u32, ..Failure::default() }),
            _ => Created::Taken(snapshot(index)),
        };
        let outcomes = asked(message).into_iter().map(|index| CreateOutcome { outcome: Some(outcome(index)) });
        Reply::of(CreateResponse { outcomes: outcomes.collect() })
    });
    let answers = fake.driver().await.create(&fake::orders(2)).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(answers[1].is_ok());
    assert_eq!(fake.asked("Create"), 1);
}
