//! Bodies in a record: batches of what each action replaces and sends.
//!
//! **Invariants.** (1) A body comes back token for token: it is kept as its canonical text. (2) A sealed value opens only in
//! the record, object and side it was sealed for.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hindcast_journal::{
    Error, Result,
    exact::{self, Value},
    fold::ObjectKey,
    row::Cell,
    seal::{self, Place, Secrets},
};
use serde::{Deserialize, Serialize};

use super::{FORMAT, Record, known_format, number};
use crate::{
    desired::Full,
    intent::Surroundings,
    json,
    live::HeldIn,
    message::{Message, Remedy},
    plan::{Action, Bodies, OwnerRef, Prepared},
};

/// How hard batches are compressed: objects of a kind resemble each other, so that little effort goes far.
const LEVEL: i32 = 3;

/// The most that one batch may unpack to; more is no batch of ours.
const LARGEST: usize = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Batch {
    format: u32,
    /// In the first batch only: it is of the whole plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    around: Option<Surroundings>,
    /// The same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<HeldIn>,
    actions: Vec<Stored>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "json::key")]
    key: ObjectKey,
    before: Option<Body>,
    target: Option<Body>,
    /// The managedFields of the moment.
    managed: Option<String>,
    owners: Vec<Owner>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<HeldIn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    along: Vec<String>,
    unsuspend: bool,
    redact: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    at: usize,
    #[serde(with = "json::key")]
    owner: ObjectKey,
}

/// An object: in public form, with its sealed values beside.
#[derive(Serialize, Deserialize)]
struct Body {
    object: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cells: Vec<Sealed>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    path: String,
    key: String,
    secret: String,
}

/// Everything that the batches of a record hold.
#[derive(Default)]
pub(super) struct All {
    pub(super) bodies: BTreeMap<ObjectKey, Bodies>,
    pub(super) around: Surroundings,
    pub(super) places: Vec<HeldIn>,
}

/// The actions whose values cannot be recorded, and why.
pub(super) fn unrecorded(prepared: &Prepared, secrets: &Secrets) -> BTreeMap<ObjectKey, Message> {
    if !matches!(secrets, Secrets::Dropped) {
        return BTreeMap::new();
    }
    let why = "its values cannot be recorded, so that this could not be undone: there is no key";
    let why = Message::from(why).and(Remedy::Key.into());
    let rules = &prepared.around.rules;
    let holds = |key: &ObjectKey, value: &Value| !rules.sealed_paths(&key.group, &key.resource, value).is_empty();
    prepared
        .bodies
        .iter()
        .filter(|(key, b)| {
            !b.redact.is_empty()
                || b.before.as_ref().is_some_and(|b| holds(key, &b.value))
                || b.target.as_ref().is_some_and(|t| holds(key, t))
        })
        .map(|(key, _)| (key.clone(), why.clone()))
        .collect()
}

/// The bytes of one batch.
pub(super) async fn batch(
    record: &Record,
    prepared: &Prepared,
    secrets: &Secrets,
    actions: &[&Action],
    first: bool,
) -> Result<Bytes> {
    let mut out = Batch {
        format: FORMAT,
        around: first.then(|| prepared.around.clone()),
        places: if first { prepared.places.clone() } else { Vec::new() },
        actions: Vec::with_capacity(actions.len()),
    };
    for action in actions {
        let Some(bodies) = prepared.bodies.get(&action.key) else { continue };
        let keep = !record.unrecorded.contains_key(&action.key);
        let before = bodies.before.as_deref().filter(|_| keep);
        let before = match before {
            Some(full) => Some(
                pack(record, secrets, (&action.key, "before"), &full.value, full.managed.as_ref(), &bodies.redact)
                    .await?,
            ),
            None => None,
        };
        let target = match bodies.target.as_ref().filter(|_| keep) {
            Some(value) => Some(pack(record, secrets, (&action.key, "target"), value, None, &bodies.redact).await?),
            None => None,
        };
        out.actions.push(Stored {
            key: action.key.clone(),
            before,
            target,
            managed: bodies.managed.as_ref().map(text),
            owners: bodies.owners.iter().map(|o| Owner { at: o.at, owner: o.owner.clone() }).collect(),
            held: bodies.held.clone(),
            along: bodies.along.clone(),
            unsuspend: bodies.unsuspend,
            redact: bodies.redact.clone(),
        });
    }
    let json = serde_json::to_vec(&out).expect("strings always serialise");
    let packed = zstd::bulk::compress(&json, LEVEL)
        .map_err(|e| Error::internal("a batch of pre-images", "cannot be compressed").with_source(e))?;
    Ok(Bytes::from(packed))
}

fn text(value: &Value) -> String {
    String::from_utf8(exact::to_canonical(value)).expect("canonical bytes are UTF-8")
}

/// What a value of one side of an object is bound to.
fn bound(record: &Record, key: &ObjectKey, side: &str) -> String {
    let ObjectKey { namespace, group, resource, name } = key;
    format!("restores/{}/{side}/{group}/{resource}/{namespace}/{name}", record.id)
}

async fn pack(
    record: &Record,
    secrets: &Secrets,
    (key, side): (&ObjectKey, &str),
    value: &Value,
    managed: Option<&Value>,
    redact: &[String],
) -> Result<Body> {
    let mut public = value.clone();
    let mut paths = record.rules.sealed_paths(&key.group, &key.resource, value);
    // An annotation may hold a value of the other side.
    paths.extend(redact.iter().filter(|path| value.pointer(path).is_some()).cloned());
    paths.sort_unstable();
    paths.dedup();
    // One within another would be put back where that one is still hidden.
    let within = |path: &String| paths.iter().any(|outer| outer != path && seal::is_within(path, outer));
    let paths: Vec<String> = paths.iter().filter(|path| !within(path)).cloned().collect();
    let bound = bound(record, key, side);
    let place = Place { cluster: &record.plan.cluster, key: &bound, namespace: &key.namespace };
    let mut cells = Vec::new();
    for mut cell in seal::publish(&mut public, &paths, secrets) {
        record.keys.seal(&record.store, place, &mut cell, record.began).await?;
        cells.push(Sealed { path: cell.path, key: cell.key_id, secret: STANDARD.encode(&cell.secret) });
    }
    Ok(Body { object: text(&public), managed: managed.map(text), cells })
}

async fn unpack(record: &Record, key: &ObjectKey, side: &str, body: Body) -> Result<Full> {
    let bound = bound(record, key, side);
    let corrupt = |why: String| Error::corrupt(bound.clone(), why);
    let parse = |text: &str| exact::parse_canonical(text.as_bytes()).map_err(|e| corrupt(e.to_string()));
    let mut value = parse(&body.object)?;
    let managed = body.managed.as_deref().map(parse).transpose()?;
    let place = Place { cluster: &record.plan.cluster, key: &bound, namespace: &key.namespace };
    for cell in body.cells {
        if !record.keys.can_open() {
            return Err(Error::invalid(format!("the values of {bound}"), "are sealed, and there is no key")
                .with_remedy(Remedy::Key));
        }
        let secret = STANDARD.decode(&cell.secret).map_err(|e| corrupt(e.to_string()))?;
        let sealed = Cell { path: cell.path, key_id: cell.key, pos: 0, rv: 0, secret: Bytes::from(secret) };
        let plain = record.keys.open(&record.store, place, &sealed).await?;
        if let Some(place) = value.pointer_mut(&sealed.path) {
            *place = plain;
        }
    }
    Ok(Full { value, managed })
}

/// Reads all batches of a record.
pub(super) async fn read_all(record: &Record) -> Result<All> {
    let folder = record.store.layout().restores().join(record.id.as_str());
    let listed = record.store.list(&folder, None).await?;
    let mut out = All::default();
    for found in listed {
        if found.path.filename().and_then(|name| number(name, "pre-")).is_none() {
            continue;
        }
        let what = found.path.as_ref();
        let bytes = record.store.get(&found.path).await?;
        let json = zstd::bulk::decompress(&bytes, unpacked(&bytes))
            .map_err(|e| Error::corrupt(what, format!("does not unpack: {e}")))?;
        let batch: Batch = serde_json::from_slice(&json)
            .map_err(|e| Error::corrupt(what, format!("is no batch of pre-images: {e}")))?;
        known_format(what, batch.format)?;
        if let Some(around) = batch.around {
            out.around = around;
        }
        out.places.extend(batch.places);
        for stored in batch.actions {
            let (key, bodies) = read(record, stored).await?;
            out.bodies.insert(key, bodies);
        }
    }
    Ok(out)
}

/// How much a batch unpacks to, by its own header.
fn unpacked(bytes: &[u8]) -> usize {
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    size.map_or(LARGEST, |size| usize::try_from(size).unwrap_or(LARGEST)).min(LARGEST)
}

async fn read(record: &Record, stored: Stored) -> Result<(ObjectKey, Bodies)> {
    let key = stored.key;
    let before = match stored.before {
        Some(body) => Some(Arc::new(unpack(record, &key, "before", body).await?)),
        None => None,
    };
    let target = match stored.target {
        Some(body) => Some(unpack(record, &key, "target", body).await?.value),
        None => None,
    };
    let managed = stored.managed.map(|text| exact::parse_canonical(text.as_bytes())).transpose();
    let managed = managed.map_err(|e| Error::corrupt(bound(record, &key, "managed"), e.to_string()))?;
    let owners = stored.owners.into_iter().map(|o| OwnerRef { at: o.at, owner: o.owner }).collect();
    let Stored { held, along, unsuspend, redact, .. } = stored;
    let bodies = Bodies { target, managed, before, owners, held, along, unsuspend, redact };
    Ok((key, bodies))
}
