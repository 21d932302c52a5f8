//! Secrets and certificates that a program makes: to put an old one back is to break what works with the new one.

use hindcast_journal::exact::Value;

/// API groups whose controllers make Secrets, with the rule about them and the program in words.
const MAKERS: &[(&str, &str, &str)] = &[
    ("cert-manager.io", "cert-manager-secret", "cert-manager"),
    ("external-secrets.io", "external-secret", "External Secrets"),
    ("kubernetes-client.io", "external-secret", "External Secrets"),
    ("secrets.hashicorp.com", "external-secret", "the Vault secrets operator"),
    ("onepassword.com", "external-secret", "the 1Password operator"),
    ("secrets-store.csi.x-k8s.io", "external-secret", "the Secrets Store driver"),
    ("bitnami.com", "sealed-secret", "Sealed Secrets"),
];

/// Labels and annotations that such programs leave on the Secrets they make.
const MARKS: &[(&str, &str, &str)] = &[
    ("cert-manager.io/certificate-name", "cert-manager-secret", "cert-manager"),
    ("controller.cert-manager.io/fao", "cert-manager-secret", "cert-manager"),
    ("cert-manager.io/next-private-key", "cert-manager-secret", "cert-manager"),
    ("reconcile.external-secrets.io/managed", "external-secret", "External Secrets"),
    ("reconcile.external-secrets.io/created-by", "external-secret", "External Secrets"),
    ("reconcile.external-secrets.io/data-hash", "external-secret", "External Secrets"),
    ("secrets-store.csi.k8s.io/managed", "external-secret", "the Secrets Store driver"),
    ("operator.1password.io/item-path", "external-secret", "the 1Password operator"),
    ("sealedsecrets.bitnami.com/managed", "sealed-secret", "Sealed Secrets"),
    ("sealedsecrets.bitnami.com/cluster-wide", "sealed-secret", "Sealed Secrets"),
];

/// Marks of `ConfigMap`s and Secrets whose certificates a program writes.
const TRUST: &[(&str, &str)] = &[
    ("config.openshift.io/inject-trusted-cabundle", "the cluster network operator"),
    ("service.beta.openshift.io/inject-cabundle", "the service CA operator"),
    ("service.beta.openshift.io/originating-service-name", "the service CA operator"),
    ("trust.cert-manager.io/bundle", "trust-manager"),
];

/// The value of a label or annotation.
pub(crate) fn mark<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    let metadata = value.get("metadata")?;
    ["labels", "annotations"].iter().find_map(|map| metadata.get(map)?.get(name)?.as_str())
}

/// A Secret's type.
pub(crate) fn sort(secret: &Value) -> &str {
    secret.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a Secret is a service account's token.
pub(crate) fn is_account_token(secret: &Value) -> bool {
    sort(secret) == "kubernetes.io/service-account-token"
}

/// Whether a service account's token was made by the token controller unasked.
pub(crate) fn is_automatic_token(secret: &Value) -> bool {
    let account = mark(secret, "kubernetes.io/service-account.name");
    let name = secret.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let suffix = account.and_then(|account| name.strip_prefix(account)?.strip_prefix("-token-"));
    is_account_token(secret)
        && suffix.is_some_and(|suffix| {
            suffix.len() == 5 && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// The rule and the program that a Secret is made by, if it is made by one.
pub(crate) fn maker(secret: &Value) -> Option<(&'static str, &'static str)> {
    let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array).unwrap_or_default();
    let groups = owners.iter().filter_map(|owner| owner.get("apiVersion")?.as_str()?.split_once('/'));
    let by_owner = groups.into_iter().find_map(|(group, _)| {
        MAKERS.iter().find(|(of, ..)| group == *of || group.strip_suffix(of).is_some_and(|head| head.ends_with('.')))
    });
    let by_mark = || MARKS.iter().find(|(name, ..)| mark(secret, name).is_some());
    by_owner.or_else(by_mark).map(|(_, rule, program)| (*rule, *program))
}

/// The program that writes the certificates of a `ConfigMap` or Secret, if one does.
pub(crate) fn trust_injector(value: &Value) -> Option<&'static str> {
    TRUST.iter().find(|(name, _)| mark(value, name).is_some_and(|text| text != "false")).map(|(_, program)| *program)
}
