//! Hosts: those of Services follow their namespace, any other ones the hosts and domains that are mapped.
//!
//! **Invariants.** (1) A host of a Service is one that says so: `….namespace.svc`, alone or before the cluster's domain; `a.b` is a
//! name like any other. (2) Of an address only the host is changed: scheme, user, port and path stay.

use super::Mapping;

/// The domain of a cluster that says no other.
const CLUSTER: &str = "cluster.local";

/// What hosts become.
pub(super) struct Hosts<'m> {
    mapping: &'m Mapping,
}

impl<'m> Hosts<'m> {
    pub(super) fn of(mapping: &'m Mapping) -> Self {
        Self { mapping }
    }

    /// `https://user@web.shop.svc:8443/path`, and any shorter.
    pub(super) fn address(&self, text: &str) -> Option<String> {
        let begin = text.find("://").map_or(0, |at| at + 3);
        let authority = text.get(begin..)?;
        let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
        let (authority, path) = authority.split_at_checked(end)?;
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        let (user, host) = authority.split_at_checked(user)?;
        // The host of a number and colons is one of IPv6, which names nothing.
        let (name, port) = host.split_at_checked(host.find(':').unwrap_or(host.len()))?;
        let to = self.host(name)?;
        Some(format!("{}{user}{to}{port}{path}", text.get(..begin)?))
    }

    fn host(&self, host: &str) -> Option<String> {
        let (name, root) = host.strip_suffix('.').map_or((host, ""), |name| (name, "."));
        let to = match self.service(name, 2) {
            Some(to) => Some(to),
            None if self.namespace_at(name).is_some() => None,
            None => self.outside(name),
        };
        to.filter(|to| to != name).map(|to| format!("{to}{root}"))
    }

    /// `shop.svc.cluster.local`
    pub(super) fn search(&self, domain: &str) -> Option<String> {
        self.service(domain, 1)
    }

    /// The host in the other namespace, with as many labels before `svc` at least.
    fn service(&self, host: &str, least: usize) -> Option<String> {
        let at = self.namespace_at(host).filter(|at| at + 1 >= least)?;
        let to = self.mapping.namespace(host.split('.').nth(at)?)?;
        let label = |(n, label)| if n == at { to } else { label };
        Some(host.split('.').enumerate().map(label).collect::<Vec<_>>().join("."))
    }

    /// Which label of a host within the cluster is its namespace.
    fn namespace_at(&self, host: &str) -> Option<usize> {
        let labels: Vec<&str> = host.split('.').collect();
        let domain = self.mapping.cluster_domain.as_deref().unwrap_or(CLUSTER);
        let svc = labels.iter().position(|label| *label == "svc")?;
        let behind = labels.get(svc + 1..)?.join(".");
        (behind.is_empty() || behind == domain).then_some(svc)?.checked_sub(1)
    }

    /// A host of the world.
    fn outside(&self, host: &str) -> Option<String> {
        let Mapping { hosts, domains, .. } = self.mapping;
        if let Some(to) = hosts.get(host) {
            return Some(to.clone());
        }
        // The longest domain comes first.
        let mut domain = host;
        loop {
            if let Some(to) = domains.get(domain) {
                return Some(format!("{}{to}", host.strip_suffix(domain)?));
            }
            domain = domain.split_once('.')?.1;
        }
    }
}
