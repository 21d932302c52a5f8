//! What stands between a write and the server: webhooks, admission policies, aggregated APIs.

use hindcast_journal::exact::Value;

use super::{Family, Kind, Rule, Sides, Turn, shapers};
use crate::{bypass::lifted, reason::Ruled};

/// What is true of all that the group has.
const ADMISSION: Kind =
    Kind { turn: Turn::Admission, stricter: Some(shapers::policy), ..Kind::group("admissionregistration.k8s.io") };

const fn webhooks(resource: &'static str) -> Kind {
    Kind {
        resource,
        ca_bundle: Some("webhooks [name] clientConfig !caBundle"),
        adjust: Some(side_effects),
        meanwhile: Some(lifted),
        stricter: Some(shapers::webhooks),
        ..ADMISSION
    }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        ADMISSION,
        webhooks("mutatingwebhookconfigurations"),
        webhooks("validatingwebhookconfigurations"),
        Kind {
            spared: Some(automanaged),
            ca_bundle: Some("spec !caBundle"),
            turn: Turn::ApiServices,
            solo: Some(|_| false),
            ..Kind::of("apiregistration.k8s.io", "apiservices")
        },
    ],
    rules: &[
        Rule {
            id: "ca-bundle",
            kinds: &[
                "admissionregistration.k8s.io/mutatingwebhookconfigurations",
                "admissionregistration.k8s.io/validatingwebhookconfigurations",
                "apiextensions.k8s.io/customresourcedefinitions",
                "apiregistration.k8s.io/apiservices",
            ],
            what: "`caBundle` stays as it is live; the plan says so. Where there is none live, the one of then is put back.",
            why: "It is renewed. An old authority put back is an outage of admission in the whole cluster.",
        },
        Rule {
            id: "webhooks-last",
            kinds: &[
                "admissionregistration.k8s.io/mutatingwebhookconfigurations",
                "admissionregistration.k8s.io/validatingwebhookconfigurations",
            ],
            what: "Webhook configurations and admission policies come after everything that they could stop; one that is stricter now than it was, or was not there, gives way before that.",
            why: "Their own Pods may not be running yet; and what was recorded without them would be refused or changed.",
        },
        Rule {
            id: "webhook-bypass",
            kinds: &[
                "admissionregistration.k8s.io/mutatingwebhookconfigurations",
                "admissionregistration.k8s.io/validatingwebhookconfigurations",
            ],
            what: "With `{bypass-webhooks}`, webhooks that stop the restore are disabled first, which is said, and put back at the end.",
            why: "A webhook whose server is down refuses every write.",
        },
        Rule {
            id: "webhook-bypassed-then",
            kinds: &[
                "admissionregistration.k8s.io/mutatingwebhookconfigurations",
                "admissionregistration.k8s.io/validatingwebhookconfigurations",
            ],
            what: "A configuration that a restore had switched off at the moment is put back switched on.",
            why: "That it was off was an earlier restore's doing for a while, and nobody's intent.",
        },
        Rule {
            id: "webhook-side-effects",
            kinds: &[
                "admissionregistration.k8s.io/mutatingwebhookconfigurations",
                "admissionregistration.k8s.io/validatingwebhookconfigurations",
            ],
            what: "`sideEffects` other than `None` and `NoneOnDryRun` becomes `None` when a configuration is created.",
            why: "The server accepts no other by now.",
        },
        Rule {
            id: "api-services-last",
            kinds: &["apiregistration.k8s.io/apiservices"],
            what: "APIServices come last.",
            why: "The server behind one may not be running yet, and discovery waits for it.",
        },
        Rule {
            id: "automanaged-api-service",
            kinds: &["apiregistration.k8s.io/apiservices"],
            what: "APIServices that the label `kube-aggregator.kubernetes.io/automanaged` gives to the server (`true`, `onstart`) are left alone.",
            why: "The server registers its own groups, and those of each definition.",
        },
    ],
};

fn automanaged(sides: &Sides<'_>) -> Option<Ruled> {
    // As the server's two registrations say: of definitions, and of its own groups.
    let by_server = |text: &str| matches!(text, "true" | "onstart");
    let mark = sides.mark("kube-aggregator.kubernetes.io/automanaged", by_server);
    mark.map(|_| Ruled::AutomanagedApiService)
}

fn side_effects(body: &mut Value) -> Vec<String> {
    let mut out = Vec::new();
    let webhooks = body.get_mut("webhooks").and_then(Value::as_array_mut);
    for webhook in webhooks.into_iter().flatten().filter_map(Value::as_object_mut) {
        let effects = webhook.get("sideEffects").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !matches!(effects.as_str(), "None" | "NoneOnDryRun") {
            let name = webhook.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            webhook.insert("sideEffects", Value::from("None"));
            out.push(format!("sideEffects {effects:?} of webhook {name} is no longer accepted: None instead"));
        }
    }
    out
}
