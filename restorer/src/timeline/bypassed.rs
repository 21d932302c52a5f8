//! Webhooks that a restore has left switched off, as the journal knows them now.

use hindcast_journal::{Result, cut::At, fold::Scope};

use super::{Timeline, View};
use crate::bypass::{Bypassed, CONFIGURATIONS, GROUP};

impl Timeline {
    /// The webhooks that a restore has switched off by what the journal knows of now.
    pub async fn bypassed(&mut self) -> Result<Vec<Bypassed>> {
        let now = self.at(&At::NowOpen).await?;
        let kinds = CONFIGURATIONS.iter().map(|(resource, _)| format!("{GROUP}/{resource}")).collect();
        let scope = Scope { kinds: Some(kinds), namespace: Some(String::new()), name: None };
        let found = View::of(&now, &scope).await?.objects;
        let kind =
            |resource: &str| CONFIGURATIONS.iter().find(|(name, _)| *name == resource).map_or("", |(_, kind)| kind);
        Ok(found.iter().flat_map(|object| Bypassed::of(kind(&object.row.resource), &object.value)).collect())
    }
}
