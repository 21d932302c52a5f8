//! What the drivers of the clouds' disks and of plugins do, each against a server of this machine: the one suite of
//! `hindcast_tests::drivers`, and what is of one alone. Likewise the stores that a journal may be in, by `hindcast_tests::stores`; and SQL engines that read a
//! journal in place.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

/// The suite for one world, each promise a test by its name.
macro_rules! suite {
    ($world:expr) => {
        suite!(@each $world;
            a_snapshots_life, asked_twice_made_once, a_lost_answer_makes_no_second, every_request_fails_once,
            throttling_is_waited_for_within_bounds, a_volume_that_is_gone_fails_alone, refusals_name_their_remedy,
            a_foreign_snapshot_is_not_deleted, what_is_found_is_complete, disks_are_made_from_a_snapshot
        );
    };
    (@each $world:expr; $($name:ident),*) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            hindcast_tests::drivers::suite::$name(&$world).await
        }
    )*};
}

mod aws;
mod azure;
mod engines;
mod gcp;
mod plugin;
mod stores;
