//! What Pods read and run as: `ConfigMaps`, Secrets, service accounts; and the certificates and tokens that programs put
//! there: to put an old one back is to break what works with the new one.

use hindcast_journal::exact::Value;

use super::{Anew, Changed, Family, Kind, Rule, Sides, Verdict};
use crate::{
    kept::{Fresh, Keeping, Row},
    permission::Widen,
    reason::Ruled,
};

/// `ConfigMaps`, by their kind key.
pub(crate) const CONFIG_MAPS: &str = "/configmaps";

/// Secrets, by their kind key.
pub(crate) const SECRETS: &str = "/secrets";

/// What Pods read.
const fn config(resource: &'static str, kind: &'static str) -> Kind {
    Kind {
        config: Some(kind),
        fixed: Some(content),
        anew: Anew::Freely,
        on_change: Some(old_content),
        ..Kind::configuration("", resource)
    }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind { spared: Some(root_certificates), keep: Some(trust), ..config("configmaps", "ConfigMap") },
        Kind { judge: Some(made), keep: Some(token_and_trust), immutable: &["/type"], ..config("secrets", "Secret") },
        Kind {
            spared: Some(default_account),
            stands: Some(|caller, key, _, sent| {
                Ok(sent.is_none() && caller.account() == Some((key.namespace.as_str(), key.name.as_str())))
            }),
            rows: &[TOKENS],
            ..Kind::configuration("", "serviceaccounts")
        },
    ],
    rules: &[
        Rule {
            id: "config-at-start",
            kinds: &[
                "/pods",
                "/configmaps",
                "/secrets",
                "apps/deployments",
                "apps/statefulsets",
                "apps/daemonsets",
                "apps/replicasets",
                "/replicationcontrollers",
                "batch/jobs",
                "batch/cronjobs",
            ],
            what: "Workloads that read changed configuration through their environment or a `subPath` are named; `{restart}` rolls them.",
            why: "Their Pods keep the old values until they start again. Files of volumes follow by themselves.",
        },
        Rule {
            id: "injected-trust",
            kinds: &["/configmaps", "/secrets"],
            what: "`data` of ConfigMaps and Secrets marked for injection of certificates (`true` where the mark asks for it) stays as it is live.",
            why: "A program writes the authorities of now into them.",
        },
        Rule {
            id: "account-token",
            kinds: &["/secrets"],
            what: "Token Secrets that the token controller made by itself are left alone.",
            why: "It makes them; an old token is not valid.",
        },
        Rule {
            id: "account-token-data",
            kinds: &["/secrets"],
            what: "Of a token Secret that somebody asked for, token, certificate, namespace and the account's uid stay as they are live; a new one gets them from the token controller.",
            why: "They belong to the account of now.",
        },
        Rule {
            id: "bootstrap-token",
            kinds: &["/secrets"],
            what: "Bootstrap tokens are left alone.",
            why: "They expire on purpose.",
        },
        Rule {
            id: "cert-manager-secret",
            kinds: &["/secrets"],
            what: "Secrets that cert-manager makes are left alone; a copy that somebody made of one is restored.",
            why: "An old certificate may be expired or revoked, and its key replaced.",
        },
        Rule {
            id: "external-secret",
            kinds: &["/secrets"],
            what: "Secrets that External Secrets, the Vault operator and their like make are left alone; a copy that somebody made of one is restored.",
            why: "The value of now is in the store they come from.",
        },
        Rule {
            id: "sealed-secret",
            kinds: &["/secrets"],
            what: "Secrets that Sealed Secrets makes are left alone.",
            why: "Put the SealedSecret back, and the Secret follows.",
        },
        Rule {
            id: "service-account-secrets",
            kinds: &["/serviceaccounts"],
            what: "References to generated token and registry Secrets stay as they are live; a new account gets its own.",
            why: "The old Secrets are gone.",
        },
        Rule {
            id: "default-service-account",
            kinds: &["/serviceaccounts"],
            what: "The ServiceAccount `default` is left alone.",
            why: "A controller makes it in every namespace.",
        },
        Rule {
            id: "root-ca",
            kinds: &["/configmaps"],
            what: "`kube-root-ca.crt` and its like are left alone.",
            why: "A controller puts the certificates of now into every namespace.",
        },
    ],
};

const TOKENS: Row = Row {
    rule: "service-account-secrets",
    places: &[
        "secrets [name=$name-token-*]",
        "secrets [name=$name-dockercfg-*]",
        "imagePullSecrets [name=$name-dockercfg-*]",
    ],
    owner: "the token controller",
    fresh: Fresh::Absent,
    quiet: false,
};

/// `ConfigMaps` that a controller puts into every namespace.
const ROOT_CERTIFICATES: &[&str] = &["istio-ca-root-cert", "kube-root-ca.crt", "openshift-service-ca.crt"];

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

/// Labels and annotations that such programs leave on the Secrets they make, with the value where it is always the same.
/// Those by which people ask a program for something are none of them.
const MARKS: &[(&str, Option<&str>, &str, &str)] = &[
    ("cert-manager.io/certificate-name", None, "cert-manager-secret", "cert-manager"),
    ("cert-manager.io/next-private-key", Some("true"), "cert-manager-secret", "cert-manager"),
    ("reconcile.external-secrets.io/managed", Some("true"), "external-secret", "External Secrets"),
    ("reconcile.external-secrets.io/created-by", None, "external-secret", "External Secrets"),
    ("reconcile.external-secrets.io/data-hash", None, "external-secret", "External Secrets"),
    ("secrets-store.csi.k8s.io/managed", Some("true"), "external-secret", "the Secrets Store driver"),
    ("operator.1password.io/item-version", None, "external-secret", "the 1Password operator"),
];

/// By this, people hand a Secret of theirs over to Sealed Secrets.
const HANDED_OVER: &str = "sealedsecrets.bitnami.com/managed";

/// Marks of `ConfigMap`s and Secrets whose certificates a program writes, with the value that asks for it.
const TRUST: &[(&str, Option<&str>, &str)] = &[
    ("config.openshift.io/inject-trusted-cabundle", Some("true"), "the cluster network operator"),
    ("service.beta.openshift.io/inject-cabundle", Some("true"), "the service CA operator"),
    ("service.beta.openshift.io/originating-service-name", None, "the service CA operator"),
    ("trust.cert-manager.io/bundle", None, "trust-manager"),
];

/// The value of a label or annotation.
pub(crate) fn mark<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    let metadata = value.get("metadata")?;
    ["labels", "annotations"].iter().find_map(|map| metadata.get(map)?.get(name)?.as_str())
}

/// A Secret's type.
fn sort(secret: &Value) -> &str {
    secret.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a Secret is a service account's token.
fn is_account_token(secret: &Value) -> bool {
    sort(secret) == "kubernetes.io/service-account-token"
}

/// Whether a service account's token was made by the token controller unasked.
fn is_automatic_token(secret: &Value) -> bool {
    let account = mark(secret, "kubernetes.io/service-account.name");
    let name = secret.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let suffix = account.and_then(|account| name.strip_prefix(account)?.strip_prefix("-token-"));
    is_account_token(secret)
        && suffix.is_some_and(|suffix| {
            suffix.len() == 5 && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// The rule about a Secret that a program makes, and the program: by its owner, or by a mark that the program left on it.
fn maker(sides: &Sides<'_>) -> Option<(&'static str, &'static str)> {
    let by_mark = |(name, value, ..): &&(&str, Option<&str>, &str, &str)| {
        sides.written_mark(name, |text| value.is_none_or(|value| value == text)).is_some()
    };
    let marked = || MARKS.iter().find(by_mark).map(|(_, _, rule, program)| (*rule, *program));
    let handed = || sides.mark(HANDED_OVER, |text| text == "true").map(|_| ("sealed-secret", "Sealed Secrets"));
    sides.each().find_map(maker_by_owner).or_else(marked).or_else(handed)
}

fn maker_by_owner(secret: &Value) -> Option<(&'static str, &'static str)> {
    let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array).unwrap_or_default();
    let groups = owners.iter().filter_map(|owner| owner.get("apiVersion")?.as_str()?.split_once('/'));
    let by_owner = groups.into_iter().find_map(|(group, _)| {
        MAKERS.iter().find(|(of, ..)| group == *of || group.strip_suffix(of).is_some_and(|head| head.ends_with('.')))
    });
    by_owner.map(|(_, rule, program)| (*rule, *program))
}

/// The program that writes the certificates of a `ConfigMap` or Secret, if one does.
fn trust_injector(value: &Value) -> Option<&'static str> {
    let fits = |(name, wanted, _): &&(&str, Option<&str>, &str)| {
        mark(value, name).is_some_and(|text| wanted.is_none_or(|wanted| wanted == text))
    };
    TRUST.iter().find(fits).map(|(.., program)| *program)
}

fn root_certificates(sides: &Sides<'_>) -> Option<Ruled> {
    let name = sides.name();
    ROOT_CERTIFICATES.contains(&name).then(|| Ruled::RootCa(name.to_owned()))
}

fn default_account(sides: &Sides<'_>) -> Option<Ruled> {
    (sides.name() == "default").then_some(Ruled::DefaultServiceAccount)
}

fn made(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    if sides.each().any(|secret| sort(secret) == "bootstrap.kubernetes.io/token") {
        return Some(Verdict::leave(Ruled::BootstrapToken));
    }
    if sides.each().any(is_automatic_token) {
        return Some(Verdict::leave(Ruled::AccountToken));
    }
    let (rule, program) = maker(sides)?;
    Some(Verdict::leave(Ruled::MadeSecret { rule, program }))
}

fn token_and_trust(of: &mut Keeping<'_>) {
    if of.any(is_account_token) {
        for pattern in
            ["metadata annotations kubernetes.io/service-account.uid", "data token", "data ca.crt", "data namespace"]
        {
            of.add_pattern(pattern, "account-token-data", "the token controller", Fresh::Absent, false);
        }
    }
    trust(of);
}

/// Certificates of an authority that a program writes into marked `ConfigMaps` and Secrets.
fn trust(of: &mut Keeping<'_>) {
    if let Some(owner) = of.values.iter().find_map(|value| trust_injector(value)) {
        of.add_pattern("data", "injected-trust", owner, Fresh::AsThen, false);
    }
}

/// Of an immutable one nothing changes but labels and annotations.
fn content(target: &Value, live: &Value) -> Vec<String> {
    if live.get("immutable").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    let fields = ["/data", "/binaryData", "/stringData", "/immutable"];
    let differs = |path: &&str| target.pointer(path) != live.pointer(path);
    fields.into_iter().filter(differs).map(str::to_owned).collect()
}

/// The kubelet reads an immutable one once; one that is made anew for another reason, as a Secret's type, it follows.
fn old_content(changed: &Changed<'_>) -> Vec<String> {
    let immutable = changed.live.is_some_and(|live| live.get("immutable").and_then(Value::as_bool) == Some(true));
    let said = "it is immutable: Pods that run keep the old content until they are restarted";
    (changed.recreate && immutable).then(|| said.to_owned()).into_iter().collect()
}
