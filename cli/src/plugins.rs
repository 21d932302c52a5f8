//! The plugins that a command or `run` is told of.
//!
//! **Invariants.** (1) A command meets its plugins first, and does nothing if one cannot work. (2) `run` waits for none: one that
//! is down is named by the recovery points that would need it, and met when it is up. (3) No two have one address or one name:
//! a recovery point knows its drivers by their names ([`Plugin::beside`]).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hindcast_plugin::{Address, Health, Plugin, PluginDriver};
use hindcast_snapshotter::{cloud::Limits, driver::VolumeDriver};

use crate::{
    args::Plugins,
    context::Context,
    failure::{Failure, Result},
    view,
};

/// How long one that is looked at may take to answer.
const LOOK: Duration = Duration::from_secs(10);

/// How long they are waited for: hooks may hold writers meanwhile.
fn limits() -> Limits {
    Limits { request: Duration::from_secs(20), patience: Duration::from_secs(30), ..Limits::default() }
}

/// The plugins in the order given, beside one another.
fn named(context: &Context<'_>, plugins: &Plugins) -> Result<Vec<Arc<Plugin>>> {
    let mut named: Vec<Arc<Plugin>> = Vec::new();
    let mut addresses = BTreeSet::new();
    for address in &plugins.addresses {
        if !addresses.insert(address) {
            return Err(Failure::new(format!("--plugin {address}"), "is given twice").hint("leave one of them out"));
        }
        let plugin = Plugin::at(Address::parse(address)?, limits(), context.parts.clone());
        named.push(Arc::new(match named.first() {
            Some(first) => plugin.beside(first),
            None => plugin,
        }));
    }
    Ok(named)
}

fn drivers(plugins: Vec<Arc<Plugin>>) -> Vec<Arc<dyn VolumeDriver>> {
    plugins.into_iter().map(|plugin| Arc::new(PluginDriver::new(plugin)) as Arc<dyn VolumeDriver>).collect()
}

/// The drivers of plugins that can work, in the order given.
pub(crate) async fn connect(context: &Context<'_>, plugins: &Plugins) -> Result<Vec<Arc<dyn VolumeDriver>>> {
    let named = named(context, plugins)?;
    for plugin in &named {
        plugin.works().await?;
        if plugin.met().is_none_or(|met| met.volumes.is_none()) {
            return Err(Failure::new(plugin.title(), "takes no volumes")
                .hint(format!("`hindcast plugin check {}` says what it does", plugin.address())));
        }
    }
    Ok(drivers(named))
}

/// The drivers of plugins that are met when they are needed.
pub(crate) fn later(context: &Context<'_>, plugins: &Plugins) -> Result<Vec<Arc<dyn VolumeDriver>>> {
    named(context, plugins).map(drivers)
}

/// Who a plugin is, what it declares, and whether it can work.
pub(crate) async fn check(context: &Context<'_>, address: &str) -> Result<view::Plugin> {
    let limits = Limits { request: LOOK, ..limits() };
    let plugin = Plugin::at(Address::parse(address)?, limits, context.parts.clone());
    let met = plugin.meet().await?;
    let health = match plugin.health().await? {
        Health::Serving => "serving",
        Health::NotServing => "not serving",
        Health::Unknown => "unknown",
    };
    Ok(view::Plugin::new(address, &met, health))
}
