//! The network of one node: a bridge with an address for the node and a range for its Pods.
//!
//! Invariants:
//! - No two nodes have the same bridge or range: a range is leased by a file lock, as ports are.
//! - A bridge goes away with its owner however that ends, and one that was left is replaced.
//!
//! Pods reach the node and one another; nothing leads out of the range.

use super::super::build::cache_dir;
use super::super::process::Janitor;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Where the Debian package of plugins puts them.
const PLUGINS: &str = "/usr/lib/cni";

/// A bridge and its range.
#[derive(Debug)]
pub(super) struct Network {
    number: u8,
    // In the order of dropping: the bridge goes before another may take the range.
    _janitor: Janitor,
    _lock: File,
}

impl Network {
    /// Makes the bridge.
    pub(super) fn new() -> Result<Self> {
        for plugin in ["bridge", "host-local", "loopback"] {
            ensure!(
                Path::new(PLUGINS).join(plugin).is_file(),
                "the network plugin {PLUGINS}/{plugin} is missing, which Pods get their network from\n\
                 hint: apt-get install containernetworking-plugins"
            );
        }
        let locks = cache_dir()?.join("networks");
        fs::create_dir_all(&locks)?;
        for number in 1..=250 {
            let lock = File::create(locks.join(number.to_string()))?;
            if lock.try_lock().is_ok() {
                let script =
                    r#"for again in 1 2 3 4 5; do ip link del "$1" && exit; ip link show "$1" || exit; sleep 1; done"#;
                let janitor = Janitor::new(script, [bridge(number)])?;
                let network = Self { number, _janitor: janitor, _lock: lock };
                network.raise()?;
                return Ok(network);
            }
        }
        bail!("250 nodes of the testbed have a network already");
    }

    fn raise(&self) -> Result<()> {
        let bridge = bridge(self.number);
        // Of a node that could not clean up, such as when the machine was switched off; usually there is none.
        let _ = ip(&["link", "del", &bridge]);
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", self.address()), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])
    }

    /// The node's address in it.
    pub(super) fn address(&self) -> String {
        format!("10.240.{}.1", self.number)
    }

    /// How a Pod is connected to it: what is to be written into the folder of such settings. The addresses that are
    /// taken are noted in `state`.
    pub(super) fn settings(&self, state: &Path) -> String {
        let range = json!({ "subnet": format!("10.240.{}.0/24", self.number), "gateway": self.address() });
        json!({
            "cniVersion": "1.0.0",
            "name": "testbed",
            "plugins": [{
                "type": "bridge",
                "bridge": bridge(self.number),
                "isGateway": true,
                "ipMasq": false,
                "ipam": { "type": "host-local", "dataDir": state, "ranges": [[range]] },
            }],
        })
        .to_string()
    }

    /// The folder of the plugins.
    pub(super) fn plugins() -> &'static str {
        PLUGINS
    }
}

fn bridge(number: u8) -> String {
    format!("hindcast{number}")
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(args)
        .output()
        .context("running `ip`, which makes the node's bridge\nhint: apt-get install iproute2")?;
    ensure!(output.status.success(), "`ip {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
