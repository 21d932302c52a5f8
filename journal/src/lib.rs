//! The truth: an append-only log in a bucket, and how to fold it.

pub mod exact;
