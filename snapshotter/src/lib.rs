//! Recovery points: volume snapshots and where in the journal they fall. Nothing of it exists yet; the crate
//! stands here so that the data's path is visible in the tree.
