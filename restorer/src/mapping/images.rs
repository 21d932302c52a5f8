//! Images by what their full names begin with.
//!
//! **Invariants.** (1) `nginx` is `docker.io/library/nginx`, and is mapped as such. (2) Whole parts are compared: `ghcr.io/acme` is
//! no beginning of `ghcr.io/acme-eu/web`. (3) Tag and digest stay as they are, so that what runs is what ran.

use std::collections::BTreeMap;

/// The registry of images that name none.
const HUB: &str = "docker.io";

/// The other name of an image, where it has one.
pub(super) fn map(images: &BTreeMap<String, String>, image: &str) -> Option<String> {
    if images.is_empty() || image.is_empty() {
        return None;
    }
    let (name, version) = image.split_at_checked(version_at(image))?;
    let full = full(name);
    // The longest wins.
    let mut begin = full.as_str();
    loop {
        let to = images.iter().find(|(from, _)| self::full_prefix(from) == begin).map(|(_, to)| to);
        if let Some(to) = to {
            let mapped = format!("{}{}{version}", to.trim_end_matches('/'), full.strip_prefix(begin)?);
            return (mapped != image && mapped != format!("{full}{version}")).then_some(mapped);
        }
        begin = begin.rsplit_once('/')?.0;
    }
}

/// Where tag and digest begin.
fn version_at(image: &str) -> usize {
    let name = image.find('@').unwrap_or(image.len());
    let last = image.get(..name).and_then(|name| name.rfind('/')).map_or(0, |at| at + 1);
    image.get(last..name).and_then(|name| name.find(':')).map_or(name, |at| last + at)
}

/// The name with its registry.
fn full(name: &str) -> String {
    match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => {
            let registry = if registry == "index.docker.io" { HUB } else { registry };
            let library = if registry == HUB && !path.contains('/') { "library/" } else { "" };
            format!("{registry}/{library}{path}")
        }
        Some(_) => format!("{HUB}/{name}"),
        None => format!("{HUB}/library/{name}"),
    }
}

/// What images are mapped by, with its registry.
fn full_prefix(from: &str) -> String {
    let from = from.trim_end_matches('/');
    match from.split_once('/') {
        None if is_registry(from) => from.to_owned(),
        _ => full(from),
    }
}

fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

/// What is wrong with a name that images are to be mapped by, or to.
pub(super) fn wrong(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches('/');
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains("://") {
        return Some("it is no registry and no name of an image");
    }
    // Without a slash, digits behind a colon are a port.
    let version = name.get(version_at(name)..).unwrap_or_default();
    let port = !name.contains('/') && version.len() > 1 && version.chars().skip(1).all(|c| c.is_ascii_digit());
    (!version.is_empty() && !port).then_some("it has a tag or a digest, which stay as they are")
}
