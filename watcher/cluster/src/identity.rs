//! Which cluster answers: the uid of the namespace kube-system, which is made with a cluster and never again.

/// Where the namespace is.
const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";

/// The uid of the cluster that answers; nothing if what answers does not say one.
pub async fn of(client: &kube::Client) -> Result<Option<String>, kube::Error> {
    let request = http::Request::get(KUBE_SYSTEM).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let object: serde_json::Value = client.request(request).await?;
    let uid = object.pointer("/metadata/uid").and_then(serde_json::Value::as_str).unwrap_or_default();
    Ok(Some(uid.to_owned()).filter(|uid| !uid.is_empty()))
}
