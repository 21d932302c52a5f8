//! Data keys as they are kept: wrapped by keys of the key file, under names that say what they are.
//!
//! **Words**: the *id* of a data key is `<namespace>.<month>[-<number>].<key>`, and cells name it. Its *own file* `keys/<id>` is wrapped
//! by the key that the id ends with; a *copy* `keys/<id>.<key>` holds the same data key, wrapped by another one.
//!
//! **Invariants.** (1) What is wrapped opens only as the data key of its cluster and its id [`bound`]. (2) A name has three
//! parts or four, and no part has a dot in it: neither namespaces nor names of keys do [`split`].
//!
//! Not here: when data keys are made ([`super::DataKeys`]), and wrapped anew ([`crate::custody`]).

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Key,
    datakeys::{decrypt, encrypt},
};
use crate::{Error, Parts, Result};

#[derive(Serialize, Deserialize)]
struct WrappedKey {
    id: String,
    wrapped_by: String,
    /// The wrapping key's fingerprint; the oldest data keys have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print: Option<String>,
    wrapped: String,
}

/// The id that a name below `keys/` is of, and the key that it is a copy by, if it is one.
pub(crate) fn split(name: &str) -> Option<(&str, Option<&str>)> {
    let parts: Vec<&str> = name.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    match parts.as_slice() {
        [_, _, _] => Some((name, None)),
        [_, _, _, by] => Some((name.get(..name.len() - by.len() - 1)?, Some(by))),
        _ => None,
    }
}

/// The namespace, the month and the key that an id names; of what stands in no namespace, the first is empty.
pub(crate) fn parts_of(id: &str) -> Option<(&str, &str, &str)> {
    let mut parts = id.split('.');
    let (namespace, month, key) = (parts.next()?, parts.next()?, parts.next()?);
    let month = month.get(..7)?;
    Some((if namespace == CLUSTER { "" } else { namespace }, month, key))
}

/// What stands for the namespace of what is in none.
pub(super) const CLUSTER: &str = "_cluster";

/// The name of the copy of a data key by a key.
pub(crate) fn copy(id: &str, by: &Key) -> String {
    format!("{id}.{}", by.id())
}

fn bound(cluster: &str, id: &str) -> Vec<u8> {
    [cluster.as_bytes(), b"\0", id.as_bytes()].concat()
}

/// The file of a data key, wrapped by a key.
pub(crate) fn wrap(parts: &Parts, cluster: &str, id: &str, by: &Key, key: &[u8; 32]) -> Result<Bytes> {
    let wrapped = WrappedKey {
        id: id.to_owned(),
        wrapped_by: by.name.clone(),
        print: Some(by.fingerprint()),
        wrapped: base64::engine::general_purpose::STANDARD.encode(encrypt(parts, &by.wrap, &bound(cluster, id), key)?),
    };
    let bytes =
        serde_json::to_vec(&wrapped).map_err(|e| Error::internal("data key", "cannot be written").with_source(e))?;
    Ok(Bytes::from(bytes))
}

/// What a file `keys/<name>` of a data key holds, and which of the keys opens it. An error is
/// [`Invalid`](crate::error::ErrorKind::Invalid) where another key wrapped it, and [`Corrupt`](crate::error::ErrorKind::Corrupt) where it
/// is damaged.
pub(crate) fn unwrap(
    cluster: &str,
    id: &str,
    name: &str,
    keys: &[Arc<Key>],
    bytes: &[u8],
) -> Result<([u8; 32], usize)> {
    let what = format!("keys/{name}");
    let damaged = |reason: String| {
        Error::corrupt(&what, reason)
            .with_hint("put this object back from a copy of the bucket; what it sealed cannot be read without it")
    };
    let stored: WrappedKey = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
    let raw = base64::engine::general_purpose::STANDARD
        .decode(&stored.wrapped)
        .map_err(|e| damaged(format!("its wrapped key: {e}")))?;
    let bound = bound(cluster, id);
    let open = |key: &Arc<Key>| -> Option<[u8; 32]> { decrypt(&key.wrap, &bound, &raw)?.try_into().ok() };
    let opened = keys.iter().enumerate().find_map(|(at, key)| Some((open(key)?, at)));
    if let Some(opened) = opened {
        return Ok(opened);
    }
    let print = stored.print.as_deref();
    if print.is_some_and(|print| keys.iter().any(|key| key.fingerprint() == print)) {
        return Err(damaged("does not open with the key that wrapped it: altered".to_owned()));
    }
    let by = &stored.wrapped_by;
    if !keys.iter().any(|key| key.name == *by) {
        return Err(Error::invalid(what, format!("is wrapped by key \"{by}\", which the key file does not hold"))
            .with_hint("give the key file that `run` used, with --key-file or HINDCAST_KEY_FILE"));
    }
    Err(Error::invalid(what, format!("does not open with key \"{by}\" of the key file"))
        .with_hint("this is another key of the same name, or the file was altered"))
}

/// The name of the key that a file says it is wrapped by, with its fingerprint where it has one.
pub(crate) fn wrapped_by(bytes: &[u8]) -> Option<String> {
    let WrappedKey { wrapped_by, print, .. } = serde_json::from_slice(bytes).ok()?;
    Some(match print {
        Some(print) if !wrapped_by.ends_with(&format!("-{print}")) => format!("{wrapped_by}-{print}"),
        _ => wrapped_by,
    })
}
