//! The window, against a set of what is open.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::window::Window;

proptest! {
    /// Whatever is sent or passed over, and in whatever order answers come, also twice and of nothing that was sent.
    #[test]
    fn done_is_what_stands_before_the_first_that_is_open(steps in prop::collection::vec((0..3_u8, 0..40_u64), 0..200)) {
        let mut window = Window::new(7);
        let (mut open, mut next, mut done) = (BTreeSet::new(), 8, 7);
        for (step, choice) in steps {
            match step {
                0 => {
                    window.sent(next, next as i64, 10);
                    open.insert(next);
                    next += 1;
                }
                1 => {
                    window.pass(next);
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
            prop_assert_eq!(window.open(), open.len());
            prop_assert_eq!(window.has_room(usize::MAX, 10 * open.len()), false);
            prop_assert!(window.has_room(usize::MAX, 10 * open.len() + 1));
        }
    }
}
