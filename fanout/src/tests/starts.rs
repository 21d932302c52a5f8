//! Where a cursor begins.

use super::*;
use crate::From;

#[tokio::test(start_paused = true)]
async fn a_moment_is_the_first_row_of_it_and_what_is_behind_that() {
    let journal = journal();
    for from in [From::Beginning, From::Now, From::Time(EPOCH), From::Position(1)] {
        assert_eq!(from.cursor(&journal).await.unwrap(), 0, "{from:?} of an empty journal");
    }
    let mut writer = writer(&journal).await;
    // Ten rows a segment, one segment a second, one row each 100 ms; and segments without rows between.
    for second in 0..400_u64 {
        journal.parts().clock.sleep(Duration::from_secs(1)).await;
        if second % 7 == 3 {
            commit(&mut writer, Vec::new()).await;
        }
        let rv = |n: u64| second * 1000 + n * 100 + 1;
        commit(&mut writer, (0..10).map(|n| change(Op::Add, "shop", &format!("{second}-{n}"), rv(n))).collect()).await;
    }
    let at = async |from: From| from.cursor(&journal).await.unwrap();
    assert_eq!(at(From::Beginning).await, 0);
    assert_eq!(at(From::Now).await, 4000);
    assert_eq!(at(From::Position(17)).await, 16);
    let all = rows(&journal).await;
    for time in [0, 1, 50_000, 101_000, 1_234_567, 399_000_000, 399_900_999, 399_901_000, 500_000_000] {
        let time = EPOCH + time;
        let should = all.iter().find(|row| row.time_hi >= time).map_or(4000, |row| row.pos - 1);
        assert_eq!(at(From::Time(time)).await, should, "{time}");
    }
}
