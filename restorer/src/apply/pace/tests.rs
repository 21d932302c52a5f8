//! The number of requests at once follows the server.

use std::time::Duration;

use futures::FutureExt as _;
use hindcast_journal::Parts;

use super::Pace;

#[test]
fn grows_while_quick_and_halves_once_a_burst() {
    let pace = Pace::new(Parts::system(), 8, 32);
    for _ in 0..100 {
        pace.answered(Duration::from_millis(5));
    }
    assert_eq!(pace.allowed(), 32, "never more than the most");
    for _ in 0..10 {
        pace.ease(Duration::ZERO);
    }
    assert_eq!(pace.allowed(), 16, "a burst of refusals counts once");
    pace.answered(Duration::from_millis(5));
    assert_eq!(pace.allowed(), 16, "after a warning it grows slowly");
}

#[test]
fn lets_no_more_in_than_allowed() {
    let pace = Pace::new(Parts::system(), 2, 4);
    let one = pace.enter().now_or_never().expect("there is room for one");
    let two = pace.enter().now_or_never().expect("and for another");
    assert!(pace.enter().now_or_never().is_none(), "not for a third");
    drop(one);
    assert!(pace.enter().now_or_never().is_some(), "there is when one has gone");
    drop(two);
}

#[tokio::test]
async fn a_retry_after_holds_everybody_back() {
    let pace = Pace::new(Parts::system(), 8, 8);
    pace.ease(Duration::from_mins(1));
    assert!(pace.enter().now_or_never().is_none());
}
