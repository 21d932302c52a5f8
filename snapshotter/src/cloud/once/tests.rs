use futures::FutureExt as _;

use super::*;

#[tokio::test]
async fn one_at_a_time_asks_for_a_name_and_names_are_forgotten() {
    let once = Once::default();
    let first = once.turn("a").await;
    assert!(once.turn("a").now_or_never().is_none(), "somebody asks for it");
    assert!(once.turn("b").now_or_never().is_some(), "another name");
    drop(first);
    assert!(once.turn("a").now_or_never().is_some());
    assert_eq!(once.0.lock().unwrap().len(), 1, "what nobody holds is forgotten");
}
