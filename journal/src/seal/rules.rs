//! What is sealed: the places of an object whose values nobody reads without a key.
//!
//! **Words**: a *place* is `KIND:PATH` as `run --seal` takes it, a JSON pointer in which `*` stands for any member or
//! element; a *copy* of a value is what appliers leave in annotations ([`super::copies`]).
//!
//! What is sealed: everything under a Secret's `data` and `stringData`; Helm's release payloads in `ConfigMaps`; the
//! places of the policy; and in an object that has any of these, each annotation that is an applier's record, a packed
//! payload or a manifest's data, or that holds one of the object's own values in any spelling. Names and labels are
//! left alone: objects are found by them, and anyone who may list metadata can read them anyway.
//!
//! The places are kept in `meta/sealing/<n>`, so that every reader hides and every restore seals by the rules of the
//! newest writer, even what older rows hold in clear.
//!
//! **Invariants.** (1) A place whose value is already a placeholder counts as sealed, so the rules give the same answer
//! for an object in public form, in clear, and opened. (2) The paths are in order, none lies below another, and each is
//! there in the object. (3) A patch has no object to look at, so whatever could be a copy counts as one
//! [`Rules::in_patch`].

use std::{collections::BTreeSet, fmt};

use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{copies, escape_pointer, is_placeholder, pointer_tokens, unescape_pointer};
use crate::{Error, Journal, Result, exact, exact::Value, store::Put};

/// The number of this version's rules. A writer that finds another number in the journal reads sealed kinds again, so
/// that the newest versions are kept by the current rules.
pub const EDITION: u32 = 2;

/// The name of the fact that holds the places.
const FACT: &str = "sealing";

/// What is sealed in addition to Secrets and Helm's releases.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rules {
    places: Vec<Place>,
}

#[derive(Clone, PartialEq, Eq)]
struct Place {
    /// As it was given.
    word: String,
    group: String,
    resource: String,
    tokens: Vec<String>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words()).finish()
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for Rules {
    /// Places that this version cannot read, since a newer one wrote them differently, are left out.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        Ok(Self { places: words.iter().filter_map(|word| Place::parse(word).ok()).collect() })
    }
}

impl Place {
    fn parse(word: &str) -> Result<Self> {
        let refuse = |reason: &str| {
            Error::invalid(format!("`{}`", word.escape_debug()), reason).with_hint(
                "KIND:PATH, with the plural name and the group of a kind and a JSON pointer: configmaps:/data/password, \
                 widgets.example.com:/spec/users/*/token",
            )
        };
        let (kind, path) = word.split_once(':').ok_or_else(|| refuse("is not KIND:PATH"))?;
        let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c);
        if resource.is_empty() || !kind.bytes().all(plain) {
            return Err(refuse("does not begin with the plural name of a kind"));
        }
        let rest = path.strip_prefix('/').filter(|rest| !rest.is_empty());
        let rest = rest.ok_or_else(|| refuse("does not end with a JSON pointer to a field"))?;
        let tokens: Vec<String> = rest.split('/').map(unescape_pointer).collect();
        let first = tokens.first().map(String::as_str);
        let annotation = first == Some("metadata") && tokens.get(1).map(String::as_str) == Some("annotations");
        if matches!(first, Some("apiVersion" | "kind" | "*")) || (first == Some("metadata") && !annotation) {
            return Err(refuse("names what objects are found by, which is never sealed"));
        }
        Ok(Self { word: word.to_owned(), group: group.to_owned(), resource: resource.to_owned(), tokens })
    }
}

/// Where something is, relative to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// At it or below.
    Inside,
    /// Above it.
    Above,
    Beside,
}

/// A place of a patch: its tokens, and whether a map there shows its keys.
struct Field {
    tokens: Vec<String>,
    map: bool,
}

impl Field {
    fn new(pointer: &str) -> Self {
        Self { tokens: pointer_tokens(pointer), map: true }
    }

    fn stands(&self, at: &[String]) -> Stands {
        let fits = |(place, token): (&String, &String)| place == "*" || place == token;
        if !self.tokens.iter().zip(at).all(fits) {
            Stands::Beside
        } else if at.len() >= self.tokens.len() {
            Stands::Inside
        } else {
            Stands::Above
        }
    }
}

const ANNOTATIONS: [&str; 2] = ["metadata", "annotations"];

impl Rules {
    /// No places other than those that are always sealed.
    pub const NONE: Self = Self { places: Vec::new() };

    /// The rules with the places of a policy.
    pub fn parse(places: &[String]) -> Result<Self> {
        let mut places = places.iter().map(|word| Place::parse(word)).collect::<Result<Vec<_>>>()?;
        places.sort_by(|a, b| a.word.cmp(&b.word));
        places.dedup();
        Ok(Self { places })
    }

    /// Whether there are no places other than those that are always sealed.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The rules of a journal's newest writer.
    pub async fn read(journal: &Journal) -> Result<Self> {
        let Some((number, bytes)) = journal.store().newest_fact(FACT).await? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|e| Error::corrupt(format!("meta/{FACT}/{number}"), e.to_string()))
    }

    /// Makes them those of a journal.
    pub async fn write(&self, journal: &Journal) -> Result<()> {
        let bytes = serde_json::to_vec(self)
            .map_err(|e| Error::internal("what is sealed", "cannot be written").with_source(e))?;
        loop {
            let newest = journal.store().newest_fact(FACT).await?;
            let (number, stands) = newest.map_or((0, None), |(number, bytes)| (number, Some(bytes)));
            if stands.is_some_and(|stands| *stands == *bytes) || (number == 0 && self.places.is_empty()) {
                return Ok(());
            }
            let path = journal.store().layout().meta(FACT, number + 1);
            if journal.store().create(&path, Bytes::from(bytes.clone())).await? == Put::Created {
                return Ok(());
            }
        }
    }

    /// The places, as they were given.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.word.as_str())
    }

    /// The kinds in which the policy has sealed places, as group and plural name.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places.iter().map(|place| (place.group.as_str(), place.resource.as_str()))
    }

    /// Whether a kind can have sealed places at all; the quick test before parsing an object.
    pub fn may_seal(&self, group: &str, resource: &str) -> bool {
        (group.is_empty() && matches!(resource, "secrets" | "configmaps")) || self.is_named(group, resource)
    }

    /// Whether the policy has a place in objects of the kind.
    pub fn is_named(&self, group: &str, resource: &str) -> bool {
        self.of(group, resource).next().is_some()
    }

    fn of<'r>(&'r self, group: &'r str, resource: &'r str) -> impl Iterator<Item = &'r Place> {
        self.places.iter().filter(move |place| place.group == group && place.resource == resource)
    }

    /// The JSON pointers of an object's sealed values.
    pub fn sealed_paths(&self, group: &str, resource: &str, object: &Value) -> Vec<String> {
        self.sealed_in_any(group, resource, &[object])
    }

    /// The same for several versions of an object; an annotation of one may hold a value of another.
    pub fn sealed_in_any(&self, group: &str, resource: &str, versions: &[&Value]) -> Vec<String> {
        if !self.may_seal(group, resource) {
            return Vec::new();
        }
        let secret = group.is_empty() && resource == "secrets";
        let mut paths = Vec::new();
        let mut values = Vec::new();
        for version in versions {
            let own = self.fields(group, resource, version);
            values.extend(own.iter().flat_map(|path| plain(version, path, secret)));
            paths.extend(own);
        }
        if secret || self.is_named(group, resource) {
            let maps = versions.iter().filter_map(|version| version.pointer("/metadata/annotations")?.as_object());
            for (name, value) in maps.flat_map(exact::Object::iter) {
                let copy = value.as_str().is_some_and(|text| {
                    is_placeholder(text)
                        || copies::is_applier(name)
                        || copies::is_payload(text)
                        || copies::holds_any(text, &values)
                });
                if copy {
                    paths.push(annotation(name));
                }
            }
        }
        paths.sort_unstable();
        paths.dedup();
        outermost(&paths)
    }

    /// The places of an object that hold values of its own.
    fn fields(&self, group: &str, resource: &str, object: &Value) -> Vec<String> {
        let mut paths = Vec::new();
        if group.is_empty() && resource == "secrets" {
            for field in ["data", "stringData"] {
                leaves(object, field, &mut paths);
            }
        }
        if group.is_empty() && resource == "configmaps" && is_helm(object) {
            leaves(object, "data", &mut paths);
        }
        for place in self.of(group, resource) {
            expand(object, &place.tokens, String::new(), &mut paths);
        }
        paths
    }

    /// What has to be hidden in a value that a patch puts at `path`: JSON pointers into the value, `""` for all of it.
    /// `helm` says that the object is a Helm release; `doubt` says that the patch may hold copies in clear, so that
    /// every annotation of an object with sealed values counts as a copy.
    pub fn in_patch(
        &self,
        (group, resource): (&str, &str),
        path: &str,
        value: &Value,
        helm: bool,
        doubt: bool,
    ) -> Vec<String> {
        if !self.may_seal(group, resource) {
            return Vec::new();
        }
        let mut fields: Vec<Field> = match (group, resource, helm) {
            ("", "secrets", _) => vec![Field::new("/data"), Field::new("/stringData")],
            ("", "configmaps", true) => vec![Field::new("/data"), Field::new("/binaryData")],
            ("", "configmaps", false) => vec![Field::new("/data/release")],
            _ => Vec::new(),
        };
        fields.extend(self.of(group, resource).map(|place| Field { tokens: place.tokens.clone(), map: false }));
        let copies = (group.is_empty() && resource == "secrets") || self.is_named(group, resource);
        let mut out = Vec::new();
        let walk = Walk { fields: &fields, copies, doubt };
        walk.value(&pointer_tokens(path), String::new(), value, &mut out);
        out
    }
}

/// Looks through a value of a patch.
struct Walk<'a> {
    fields: &'a [Field],
    copies: bool,
    doubt: bool,
}

impl Walk<'_> {
    fn value(&self, at: &[String], below: String, value: &Value, out: &mut Vec<String>) {
        let stands: Vec<(Stands, &Field)> = self.fields.iter().map(|field| (field.stands(at), field)).collect();
        let inside = stands.iter().find(|(stands, _)| *stands == Stands::Inside);
        // The keys of a map of values are no secret, so it shows which values there are.
        let shows =
            |field: &Field| field.map && field.tokens.len() == at.len() && value.as_object().is_some() && at.len() == 1;
        match inside {
            Some((_, field)) if !shows(field) => {
                if !value.is_null() {
                    out.push(below);
                }
                return;
            }
            _ => {}
        }
        let annotations = self.copies && at.iter().map(String::as_str).eq(ANNOTATIONS);
        let above = |(stands, _): &(Stands, &Field)| *stands == Stands::Above;
        let deeper = inside.is_some()
            || stands.iter().any(above)
            || annotations
            || (self.copies && (at.is_empty() || at.iter().map(String::as_str).eq(["metadata"])));
        let one = self.copies && at.len() == 3 && at.iter().map(String::as_str).take(2).eq(ANNOTATIONS);
        if one {
            let name = at.last().map(String::as_str).unwrap_or_default();
            let copy = value.as_str().is_some_and(|text| {
                self.doubt || is_placeholder(text) || copies::is_applier(name) || copies::is_payload(text)
            });
            if copy {
                out.push(below);
            }
            return;
        }
        if !deeper {
            return;
        }
        let step = |token: &str| {
            let mut at = at.to_vec();
            at.push(token.to_owned());
            (at, format!("{below}/{}", escape_pointer(token)))
        };
        match value {
            Value::Object(members) => {
                for (name, value) in members.iter() {
                    let (at, below) = step(name);
                    self.value(&at, below, value, out);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    let (at, below) = step(&index.to_string());
                    self.value(&at, below, value, out);
                }
            }
            _ => {}
        }
    }
}

/// The JSON pointer of an annotation.
pub(crate) fn annotation(name: &str) -> String {
    format!("/metadata/annotations/{}", escape_pointer(name))
}

fn is_helm(object: &Value) -> bool {
    let owner = object.pointer("/metadata/labels/owner").or(object.pointer("/metadata/labels/OWNER"));
    owner.and_then(Value::as_str).is_some_and(|o| o.eq_ignore_ascii_case("helm") || o.eq_ignore_ascii_case("tiller"))
}

/// The pointers of the members of `field`, or of the field itself where it is not a map.
fn leaves(object: &Value, field: &str, paths: &mut Vec<String>) {
    match object.get(field) {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            paths.extend(members.keys().map(|k| format!("/{field}/{}", escape_pointer(k))));
        }
        Some(_) => paths.push(format!("/{field}")),
    }
}

/// The pointers that a place matches in a value.
fn expand(value: &Value, tokens: &[String], path: String, out: &mut Vec<String>) {
    let Some((token, rest)) = tokens.split_first() else {
        if !value.is_null() {
            out.push(path);
        }
        return;
    };
    let mut step = |name: &str, value: &Value| expand(value, rest, format!("{path}/{}", escape_pointer(name)), out);
    match value {
        Value::Object(members) if token == "*" => members.iter().for_each(|(name, value)| step(name, value)),
        Value::Object(members) => {
            if let Some(value) = members.get(token) {
                step(token, value);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                let index = index.to_string();
                if *token == "*" || *token == index {
                    step(&index, value);
                }
            }
        }
        _ => {}
    }
}

/// The values at a path as bytes, if they are in clear; for a Secret's `data`, decoded from base64.
fn plain(object: &Value, path: &str, secret: bool) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(value) = object.pointer(path) {
        collect(value, secret && path.starts_with("/data"), &mut out);
    }
    out
}

fn collect(value: &Value, encoded: bool, out: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if is_placeholder(text) => {}
        Value::String(text) => {
            let engine = base64::engine::general_purpose::STANDARD;
            let raw = encoded.then(|| engine.decode(text.as_bytes()).ok()).flatten();
            out.push(raw.unwrap_or_else(|| text.as_bytes().to_vec()));
        }
        Value::Number(number) => out.push(number.as_str().as_bytes().to_vec()),
        Value::Object(members) => members.iter().for_each(|(_, value)| collect(value, encoded, out)),
        Value::Array(elements) => elements.iter().for_each(|value| collect(value, encoded, out)),
        _ => {}
    }
}

/// The paths that lie below no other one.
fn outermost(paths: &[String]) -> Vec<String> {
    let all: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let above =
        |path: &str| path.match_indices('/').any(|(at, _)| at > 0 && path.get(..at).is_some_and(|p| all.contains(p)));
    paths.iter().filter(|path| !above(path)).cloned().collect()
}
