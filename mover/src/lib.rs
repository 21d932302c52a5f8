//! Copies the files of volumes into a repository in the bucket, and back.
//!
//! **Words**: the *repository* is one for each journal, in the format of `restic`, version 2: what is in it is
//! encrypted, compressed and kept once, however many snapshots hold it. Its objects stand under `files/` of the journal's
//! folder. A *kept* tree is a snapshot of it, which bears its [`Marks`]: the point, the volume's number there, the
//! claim. A *pack* is an object of many pieces of files.
//!
//! **Invariants.**
//! 1. The repository has a key of its own, which derives from the journal's key file ([`Key`]) and opens nothing else;
//!    `restic` opens it with [`Key::password`].
//! 2. Asked twice, kept once: what bears the same point and number is given, not made again.
//! 3. Nothing is claimed that was not read: each file that could not be is named in what is kept ([`Kept::missed`]), and
//!    until that is written the snapshot is marked as begun and counts for nothing.
//! 4. A run that was killed costs what was on its way: the packs it left are taken into the index by the next (`adopt`).
//! 5. What is put back is compared with what was kept; each difference is named ([`Restored::differs`]).
//! 6. Runs may overlap, and with them one clearing ([`Repository::prune`]), which removes nothing younger than its grace.
//!
//! Not here: of which claim, and when; the Pods that move are only written down ([`pod`]). The clock of the format's library is its own: the moments that it
//! writes decide nothing here.
//!
//! Start reading at [`Repository::backup`].

mod adopt;
mod backend;
mod check;
mod key;
mod meter;
pub mod pod;
mod repository;
mod source;

pub use self::{
    key::Key,
    meter::{Meter, Report},
    repository::{Kept, Marks, Pruned, Repository, Restored},
};
