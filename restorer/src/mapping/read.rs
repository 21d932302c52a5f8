//! A mapping as people write it into a file, and what is refused of one wherever it comes from.
//!
//! ```yaml
//! namespaces: { shop: shop-test }
//! storageClasses: { fast: standard }
//! images: { docker.io: registry.example.com/hub }
//! hosts: { shop.example.com: shop.test.example.com }
//! domains: { example.com: example.org }
//! addresses: moved
//! set:
//!   - { path: spec.replicas, value: 1, kinds: deployments.apps, names: web-*, namespaces: shop, labels: app=web }
//! ```

use std::collections::BTreeMap;

use hindcast_journal::{Error, Result};

use super::{
    Addresses, Filter, Mapping, Set, images,
    yaml::{Place, Source},
};

/// What is wrong with a name.
type Wrong = fn(&str) -> Option<&'static str>;

pub(super) fn mapping(what: &str, text: &str) -> Result<Mapping> {
    let source = Source::read(what, text)?;
    let root = source.root();
    let fields = root.fields(&[
        "namespaces",
        "storageClasses",
        "images",
        "hosts",
        "domains",
        "clusterDomain",
        "addresses",
        "set",
    ])?;
    let names = |field: &str, wrong: Wrong| fields.get(field).map_or(Ok(BTreeMap::new()), |place| pairs(place, wrong));
    let cluster_domain = fields.get("clusterDomain").map(|place| one(place, wrong_domain)).transpose()?;
    Ok(Mapping {
        namespaces: names("namespaces", wrong_namespace)?,
        storage_classes: names("storageClasses", wrong_domain)?,
        images: names("images", images::wrong)?,
        hosts: names("hosts", wrong_host)?,
        domains: names("domains", wrong_domain)?,
        cluster_domain,
        addresses: fields.get("addresses").map(addresses).transpose()?.unwrap_or_default(),
        set: match fields.get("set") {
            Some(list) => list.items()?.iter().map(set).collect::<Result<_>>()?,
            None => Vec::new(),
        },
        modifiers: None,
    })
}

fn pairs(place: &Place<'_>, wrong: Wrong) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for (from, to) in place.entries()? {
        if let Some(reason) = wrong(from) {
            return Err(to.wrong(format!("{from:?}: {reason}"), HINT));
        }
        out.insert(from.to_owned(), one(&to, wrong)?);
    }
    Ok(out)
}

const HINT: &str = "write the old name, a colon, and the new name";

fn one(place: &Place<'_>, wrong: Wrong) -> Result<String> {
    let text = place.text()?;
    match wrong(&text) {
        Some(reason) => Err(place.wrong(format!("{text:?}: {reason}"), HINT)),
        None => Ok(text),
    }
}

fn addresses(place: &Place<'_>) -> Result<Addresses> {
    let text = place.text()?;
    let known = Addresses::NAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, which)| *which).ok_or_else(|| {
        let names = Addresses::NAMES.map(|(name, _)| name).join(", ");
        place.wrong(format!("there is no such choice as {text:?}"), format!("it is one of {names}"))
    })
}

fn set(place: &Place<'_>) -> Result<Set> {
    let fields = place.fields(&["path", "value", "kinds", "names", "namespaces", "labels"])?;
    let path = fields.get("path").ok_or_else(|| place.wrong("it says no path", "write `path: spec.replicas`"))?;
    // A value that is null says something: the place is taken out.
    let entries = place.entries()?;
    let value = entries.iter().find(|(name, _)| *name == "value").map(|(_, value)| value);
    let value = value.ok_or_else(|| place.wrong("it says no value", "write `value: …`; null takes the place out"))?;
    let texts = |field: &str| fields.get(field).map_or(Ok(Vec::new()), Place::texts);
    let only = Filter {
        kinds: texts("kinds")?,
        names: texts("names")?,
        namespaces: texts("namespaces")?,
        labels: fields.get("labels").map_or(Ok(String::new()), Place::text)?,
    };
    let set = Set { path: path.text()?, value: value.value()?, only };
    set.check().map_err(|e| path.wrong(e.to_string(), e.hint().unwrap_or_default()))?;
    Ok(set)
}

/// Refuses names that are none, wherever they come from.
pub(super) fn check(mapping: &Mapping) -> Result<()> {
    let names: [(&str, &BTreeMap<String, String>, Wrong); 5] = [
        ("namespace", &mapping.namespaces, wrong_namespace),
        ("storage class", &mapping.storage_classes, wrong_domain),
        ("image", &mapping.images, images::wrong),
        ("host", &mapping.hosts, wrong_host),
        ("domain", &mapping.domains, wrong_domain),
    ];
    for (what, names, wrong) in names {
        for name in names.iter().flat_map(|(from, to)| [from, to]) {
            if let Some(reason) = wrong(name) {
                return Err(Error::invalid(format!("{what} {name:?}"), reason).with_hint("map OLD:NEW"));
            }
        }
    }
    if let Some(reason) = mapping.cluster_domain.as_deref().and_then(wrong_domain) {
        return Err(Error::invalid("the cluster's domain", reason).with_hint("as in cluster.local"));
    }
    mapping.set.iter().try_for_each(Set::check)
}

/// What is wrong with the name of a namespace.
fn wrong_namespace(name: &str) -> Option<&'static str> {
    (!is_label(name)).then_some("it is no name of a namespace: small letters, digits and dashes between, 63 at most")
}

/// What is wrong with a domain, or with a name that is written like one.
fn wrong_domain(name: &str) -> Option<&'static str> {
    let is = name.len() <= 253 && name.split('.').all(is_label);
    (!is).then_some("it is not written as such a name is: small letters, digits and dashes, points between")
}

fn wrong_host(name: &str) -> Option<&'static str> {
    wrong_domain(name.strip_prefix("*.").unwrap_or(name))
}

fn is_label(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&label.len()) && label.chars().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}
