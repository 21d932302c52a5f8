//! The window, against a set of what is open.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::window::Window;

proptest! {
    /// Whatever is sent or passed over, and in whatever order answers come, also twice and of nothing that was sent.
    #[test]
    fn done_is_what_stands_before_the_first_that_is_open(steps in prop::collection::vec((0..5_u8, 0..40_u64), 0..200)) {
        let mut window = Window::new(7);
        let (mut open, mut next, mut done) = (BTreeSet::new(), 8, 7);
        let (mut news, mut newest) = (BTreeSet::new(), 0);
        for (step, choice) in steps {
            match step {
                0 | 1 => {
                    window.sent(next, next as i64, 10, step == 1);
                    open.insert(next);
                    if step == 1 { news.insert(next); }
                    next += 1;
                }
                2 | 3 => {
                    window.pass(next, step == 3);
                    if step == 3 { news.insert(next); }
                    next += 1;
                }
                _ => {
                    let position = 8 + choice;
                    prop_assert_eq!(window.taken(position), open.remove(&position).then_some(position as i64));
                }
            }
            let should = open.first().map_or(next - 1, |first| first - 1);
            prop_assert_eq!(window.done(), should);
            prop_assert!(window.done() >= done, "it never goes back");
            done = window.done();
            // It is told of with what it is done with, and until the next news comes it stays.
            if news.iter().any(|at| (newest + 1..=done).contains(at)) {
                prop_assert!(!news.iter().any(|at| (window.news() + 1..=done).contains(at)), "{:?} up to {}", news, done);
                newest = window.news();
            }
            prop_assert_eq!(window.news(), newest);
            prop_assert!(newest <= done);
            prop_assert!(open.last().is_none_or(|last| window.last() >= *last) && window.last() < next);
            prop_assert_eq!(window.open(), open.len());
            prop_assert_eq!(window.has_room(usize::MAX, 10 * open.len()), false);
            prop_assert!(window.has_room(usize::MAX, 10 * open.len() + 1));
        }
    }
}
