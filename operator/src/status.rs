//! Writing down how an object stands, and nothing where nothing changed.

use hindcast_journal::{Error, Result, error::ErrorKind};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Who writes.
const MANAGER: &str = "hindcast";

/// The API of the namespace of an object.
pub(crate) fn api_of<K>(client: &Client, object: &K) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), &object.namespace().unwrap_or_default())
}

/// Writes the status of an object if it is another one than before. What is not said any more is taken out.
pub(crate) async fn write<K, S>(client: &Client, object: &K, old: Option<&S>, new: &S) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize + PartialEq,
{
    if old == Some(new) {
        return Ok(());
    }
    let json =
        |status: Option<&S>| serde_json::to_value(status).map_err(|e| Error::internal("the status", e.to_string()));
    // An object of the same name that came since has another uid, and is refused.
    let patch = json!({
        "metadata": {"uid": object.uid()},
        "status": difference(&json(old)?, &json(Some(new))?),
    });
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let api: Api<K> = api_of(client, object);
    match api.patch_status(&object.name_any(), &params, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        // It is gone, or another one.
        Err(error) if is(&error, 404) || is(&error, 409) => Ok(()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// The merge patch (RFC 7386) that makes one value of another.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
    let changed = changed.map(|(key, value)| {
        let patch = from.get(key).map_or_else(|| value.clone(), |from| difference(from, value));
        (key.clone(), patch)
    });
    Value::Object(gone.chain(changed).collect())
}

/// Whether the server answered with a code.
pub(crate) fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// An answer that was none.
pub(crate) fn unavailable(error: &kube::Error) -> Error {
    let hint = is(error, 403).then_some("the account of `hindcast run` needs the rights of deploy/rbac.yaml");
    let error = Error::new(ErrorKind::Unavailable, "the API server", Error::causes(error));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_any_more_is_taken_out() {
        let from = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1]});
        let to = json!({"a": 1, "b": {"d": 3}, "e": [2]});
        assert_eq!(difference(&from, &to), json!({"b": {"c": null, "d": 3}, "e": [2]}));
        assert_eq!(difference(&Value::Null, &to), to);
    }
}
