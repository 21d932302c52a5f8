//! Keeping the Delta Lake table of merged files, which SQL engines read.
//!
//! **Invariant.** What the table names is not removed: a removal asks the table first, once that is as the manifest says
//! [`Register::lets_go`]. Where it cannot be asked, nothing is removed.
//!
//! Not here: what the table is (`hindcast_journal::delta`).

use hindcast_journal::{
    Journal, Result,
    delta::{Commit, Table},
};
use tokio::sync::Mutex;

/// The table, for whoever merges and for whoever removes.
#[derive(Debug)]
pub(crate) struct Register {
    table: Mutex<Table>,
    /// Whether it is kept. One that is not, and stands since it once was, still has its say when something is removed.
    kept: bool,
}

impl Register {
    /// A table that was not read yet.
    pub(crate) fn new(kept: bool) -> Self {
        Self { table: Mutex::default(), kept }
    }

    /// Makes it what the manifest says, if it is kept; `all` looks at every file.
    pub(crate) async fn follow(&self, journal: &Journal, all: bool) -> Result<Option<Commit>> {
        match self.kept {
            true => self.table.lock().await.follow(journal, all).await,
            false => Ok(None),
        }
    }

    /// Whether it names no file that ends below a segment: none that has expired.
    pub(crate) async fn lets_expire(&self, journal: &Journal, below: u64) -> Result<bool> {
        // Files of days alone do not come up again but if all are looked at.
        Ok(!self.as_the_manifest_says(journal, true, |table| table.holds_below(below)).await?)
    }

    /// Whether it names no file of a lower level that ends below a segment.
    pub(crate) async fn lets_go(&self, journal: &Journal, below: u64) -> Result<bool> {
        Ok(!self.as_the_manifest_says(journal, false, |table| below > table.free_below()).await?)
    }

    /// Whether something is so of the table, if there is one.
    async fn as_the_manifest_says(&self, journal: &Journal, all: bool, so: impl Fn(&Table) -> bool) -> Result<bool> {
        if !self.kept && !Table::stands(journal).await? {
            return Ok(false);
        }
        let mut table = self.table.lock().await;
        table.follow(journal, all).await?;
        Ok(so(&table))
    }
}
