//! The fields that are nobody's intent, kind by kind. The rows say where; why is in `rules`, under the same id.
//!
//! **Words**: *fresh* says what a field is when the object is created and nothing stands live: left out, or as it was.
//!
//! **Invariant.** Every rule named here is in the table of `rules`.

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    Fresh, Kept, Scaler, ScalerSort, Surroundings, owners, pattern,
    place::{Place, Step},
};
use crate::{
    desired::Full,
    rules::{secrets, size},
};

mod rows;

use rows::ROWS;

/// Both sides of an object, and what is around it.
pub(super) struct Sides<'o> {
    pub(super) key: &'o ObjectKey,
    pub(super) kind: String,
    pub(super) wanted: Option<&'o Full>,
    pub(super) live: Option<&'o Full>,
    pub(super) around: &'o Surroundings,
    values: Vec<&'o Value>,
    out: Vec<Kept>,
}

impl<'o> Sides<'o> {
    pub(super) fn new(
        key: &'o ObjectKey,
        wanted: Option<&'o Full>,
        live: Option<&'o Full>,
        around: &'o Surroundings,
    ) -> Self {
        let values = live.into_iter().chain(wanted).map(|full| &full.value).collect();
        Self { key, kind: key.kind_key(), wanted, live, around, values, out: Vec::new() }
    }

    /// The kept places, the most telling rule first.
    pub(super) fn kept(mut self) -> Vec<Kept> {
        self.scaled();
        self.rows();
        self.finalizers();
        match self.kind.as_str() {
            "batch/jobs" => self.job(),
            "/pods" => self.pod(),
            "/services" => self.service(),
            "/persistentvolumeclaims" => self.claim(),
            "/persistentvolumes" => self.volume(),
            "/secrets" => self.secret(),
            "/configmaps" => self.config_map(),
            "rbac.authorization.k8s.io/clusterroles" => self.cluster_role(),
            _ => {}
        }
        self.ca_bundles();
        self.machines();
        self.out
    }

    fn add(&mut self, place: Place, rule: &'static str, owner: &str, fresh: Fresh, quiet: bool) {
        let mut sides = self.values.iter();
        let Some(path) = sides.find_map(|value| place.pointer(value)) else { return };
        if self.out.iter().any(|kept| place.is_in(&kept.place)) {
            return;
        }
        self.out.push(Kept { path, rule, owner: owner.to_owned(), place, fresh, quiet });
    }

    fn add_pattern(&mut self, pattern: &str, rule: &'static str, owner: &str, fresh: Fresh, quiet: bool) {
        for place in pattern::places(pattern, &self.key.name, &self.values) {
            self.add(place, rule, owner, fresh, quiet);
        }
    }

    fn rows(&mut self) {
        for row in ROWS {
            if row.kinds.is_empty() || row.kinds.contains(&self.kind.as_str()) {
                for pattern in row.places {
                    self.add_pattern(pattern, row.rule, row.owner, row.fresh, row.quiet);
                }
            }
        }
    }

    fn any(&self, test: impl Fn(&Value) -> bool) -> bool {
        self.values.iter().any(|value| test(value))
    }

    /// What autoscalers set.
    fn scaled(&mut self) {
        if let Some(scalers) = self.around.scaled.get(self.key) {
            let mut owner = words(scalers);
            let by_kubernetes = scalers.iter().any(|scaler| scaler.sort == ScalerSort::Horizontal);
            let at_zero = |side: &Full| side.value.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0);
            if self.live.is_some_and(at_zero) && !self.wanted.is_some_and(at_zero) && by_kubernetes {
                // A person would wait for it in vain.
                owner.push_str(", which does not scale up from 0: scale it by hand");
            }
            self.add_pattern("spec replicas", "hpa-replicas", &owner, Fresh::AsThen, false);
        }
        if let Some(owner) = self.around.resized.get(self.key).map(words) {
            for containers in ["containers", "initContainers"] {
                let pattern = format!("spec template spec {containers} [name] resources requests");
                self.add_pattern(&pattern, "vpa-requests", &owner, Fresh::AsThen, false);
            }
        }
    }

    /// Finalizers belong to the programs that clean up; a new object must not be born with those of a deletion.
    fn finalizers(&mut self) {
        if self.live.is_some() {
            self.add_pattern("metadata finalizers", "finalizers", "their controllers", Fresh::AsThen, false);
            return;
        }
        for deletion in ["foregroundDeletion", "orphan"] {
            let element = Step::Element(Value::from(deletion).to_string());
            let steps = vec![Step::Key("metadata".into()), Step::Key("finalizers".into()), element];
            self.add(Place::new(steps), "finalizers", "the garbage collector", Fresh::Absent, true);
        }
    }

    /// Selector and labels that the server makes of the Job's uid.
    fn job(&mut self) {
        if self.any(|job| job.pointer("/spec/manualSelector").and_then(Value::as_bool) == Some(true)) {
            return;
        }
        let owner = "the server";
        self.add_pattern("spec selector", "job-selector", owner, Fresh::Absent, true);
        for label in
            ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"]
        {
            for labels in ["spec template metadata labels", "metadata labels"] {
                self.add_pattern(&format!("{labels} {label}"), "job-selector", owner, Fresh::Absent, true);
            }
        }
        let tracking = "metadata annotations batch.kubernetes.io/job-tracking";
        self.add_pattern(tracking, "job-selector", owner, Fresh::Absent, true);
    }

    fn pod(&mut self) {
        let owner = "admission";
        let account = self.values.iter().find_map(|pod| pod.pointer("/spec/serviceAccountName")?.as_str());
        let token = format!("{}-token-*", account.unwrap_or("default"));
        for pattern in ["volumes", "containers [name] volumeMounts", "initContainers [name] volumeMounts"] {
            let pattern = format!("spec {pattern} [name={token}]");
            self.add_pattern(&pattern, "pod-placement", owner, Fresh::Absent, false);
        }
        let tolerations = "spec tolerations [key=node.kubernetes.io/*,operator,effect]";
        for place in pattern::places(tolerations, &self.key.name, &self.values) {
            let by_default = |value: &Value| place.get(value).is_none_or(defaulted);
            if self.values.iter().all(|value| by_default(value)) {
                self.add(place, "pod-placement", owner, Fresh::Absent, false);
            }
        }
    }

    /// Addresses and ports that were allocated, not asked for. What stands live is in use by clients.
    fn service(&mut self) {
        let Some(live) = self.live else { return };
        let headless = |full: &Full| full.value.pointer("/spec/clusterIP").and_then(Value::as_str) == Some("None");
        let asked = |steps: &[Step]| [self.wanted, Some(live)].into_iter().flatten().any(|full| asked_for(full, steps));
        let same_sort = self.wanted.is_none_or(|wanted| headless(wanted) == headless(live));
        let mut places = Vec::new();
        if same_sort && !asked(&keys(&["spec", "clusterIP"])) {
            for field in ["clusterIP", "clusterIPs", "ipFamilies"] {
                places.push((Place::within(keys(&["spec", field])), "service-cluster-ip"));
            }
        }
        let health = keys(&["spec", "healthCheckNodePort"]);
        if !asked(&health) {
            places.push((Place::within(health), "service-node-port"));
        }
        for (place, rule) in places {
            // Only what both have: an address that is there on one side alone comes or goes with what asked for it.
            let both = self.values.iter().all(|value| place.get(value).is_some_and(set));
            if both {
                self.add(place, rule, "the server", Fresh::AsThen, false);
            }
        }
    }

    fn claim(&mut self) {
        let owner = "the volume controllers";
        let volume = self.wanted.and_then(|claim| claim.value.pointer("/spec/volumeName")?.as_str());
        let there = volume.is_some_and(|volume| self.around.can_bind(volume, &self.key.namespace, &self.key.name));
        let fresh = if there { Fresh::AsThen } else { Fresh::Absent };
        self.add_pattern("spec volumeName", "pvc-volume", owner, fresh, false);
        self.grown("spec resources requests storage", "pvc-size");
    }

    fn volume(&mut self) {
        let owner = "the volume controllers";
        if self.live.is_some() {
            self.add_pattern("spec claimRef", "pv-claim", owner, Fresh::AsThen, false);
        }
        for field in ["!uid", "!resourceVersion"] {
            self.add_pattern(&format!("spec claimRef {field}"), "pv-claim", owner, Fresh::Absent, true);
        }
        self.grown("spec capacity storage", "pvc-size");
    }

    /// A size is kept where it would shrink.
    fn grown(&mut self, pattern: &str, rule: &'static str) {
        let (Some(wanted), Some(live)) = (self.wanted, self.live) else { return };
        for place in pattern::places(pattern, &self.key.name, &self.values) {
            let quantity = |full: &Full| place.get(&full.value).and_then(Value::as_str).and_then(size::parse);
            if quantity(live).zip(quantity(wanted)).is_some_and(|(live, wanted)| live > wanted) {
                self.add(place, rule, "a volume, which cannot shrink", Fresh::AsThen, false);
            }
        }
    }

    fn secret(&mut self) {
        if self.any(secrets::is_account_token) {
            for pattern in [
                "metadata annotations kubernetes.io/service-account.uid",
                "data token",
                "data ca.crt",
                "data namespace",
            ] {
                self.add_pattern(pattern, "account-token-data", "the token controller", Fresh::Absent, false);
            }
        }
        self.trust();
    }

    fn config_map(&mut self) {
        self.trust();
    }

    /// Certificates of an authority that a program writes into marked `ConfigMap`s and Secrets.
    fn trust(&mut self) {
        if self.any(|value| secrets::trust_injector(value).is_some()) {
            let owner = self.values.iter().find_map(|value| secrets::trust_injector(value)).unwrap_or_default();
            self.add_pattern("data", "injected-trust", owner, Fresh::AsThen, false);
        }
    }

    fn cluster_role(&mut self) {
        let judged = self.wanted.or(self.live);
        if judged.is_some_and(|role| role.value.get("aggregationRule").is_some_and(|rule| !rule.is_null())) {
            let owner = "the ClusterRole aggregation controller";
            self.add_pattern("rules", "aggregated-cluster-role", owner, Fresh::Absent, false);
        }
    }

    /// A certificate that stands live is the one that works; an old one cuts admission off.
    fn ca_bundles(&mut self) {
        let pattern = match self.kind.as_str() {
            "admissionregistration.k8s.io/mutatingwebhookconfigurations"
            | "admissionregistration.k8s.io/validatingwebhookconfigurations" => {
                "webhooks [name] clientConfig !caBundle"
            }
            "apiextensions.k8s.io/customresourcedefinitions" => "spec conversion webhook clientConfig !caBundle",
            "apiregistration.k8s.io/apiservices" => "spec !caBundle",
            _ => return,
        };
        for place in pattern::places(pattern, &self.key.name, &self.values) {
            if self.live.is_none_or(|live| place.get(&live.value).is_some_and(set)) {
                self.add(place, "ca-bundle", "whoever issues the certificate", Fresh::AsThen, false);
            }
        }
    }

    /// What machines alone own live; and what they owned then, unless a person has set it since. What was written
    /// through `scale` is left on either side.
    fn machines(&mut self) {
        let book = |side: Option<&Full>| {
            side.and_then(|full| full.managed.as_ref()).map(owners::of_machines).unwrap_or_default()
        };
        let live_book = self.live.filter(|live| live.managed.is_some());
        let set_since = |machine: &owners::Machine| {
            !machine.scaled && live_book.is_some_and(|live| machine.place.get(&live.value).is_some())
        };
        let then = book(self.wanted).into_iter().filter(|machine| !set_since(machine));
        let machines: Vec<_> = book(self.live).into_iter().chain(then).collect();
        let scaler = self.around.scaled.contains_key(self.key);
        for machine in machines {
            let place = machine.place;
            if !self.values.iter().all(|value| place.sound(value)) || never_by_book(&place) {
                continue;
            }
            if machine.by_hand && !scaler && self.asked_for_exactly(&place) {
                continue;
            }
            let rule = if machine.scaled { "scale-written" } else { "controller-written" };
            self.add(place, rule, &machine.owner, Fresh::AsThen, false);
        }
    }

    fn asked_for_exactly(&self, place: &Place) -> bool {
        let Some(asked) = &self.around.asked else { return false };
        self.values.iter().any(|value| place.pointer(value).as_ref() == Some(asked))
    }
}

/// Who an object belongs to is not said by a book: the references are mapped and judged by themselves.
fn never_by_book(place: &Place) -> bool {
    place.steps.starts_with(&keys(&["metadata", "ownerReferences"]))
}

fn keys(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| Step::Key((*name).to_owned())).collect()
}

fn words(scalers: &std::collections::BTreeSet<Scaler>) -> String {
    scalers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a field holds something.
fn set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Number(number) => number.as_str() != "0",
        _ => true,
    }
}

/// The tolerations that admission gives to every Pod that has none of its own.
fn defaulted(toleration: &Value) -> bool {
    let text = |field: &str| toleration.get(field).and_then(Value::as_str);
    matches!(text("key"), Some("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable"))
        && text("operator") == Some("Exists")
        && text("effect") == Some("NoExecute")
        && toleration.get("tolerationSeconds").and_then(Value::as_i64) == Some(300)
}

/// Whether somebody wrote an address or port that the server would have allocated: it is in the applied manifest, or
/// in the book of fields, which allocation never enters.
fn asked_for(full: &Full, steps: &[Step]) -> bool {
    let applied = full
        .value
        .pointer("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
        .and_then(Value::as_str)
        .and_then(|text| hindcast_journal::exact::parse(text.as_bytes()).ok());
    let in_manifest = applied.is_some_and(|manifest| Place::within(steps.to_vec()).get(&manifest).is_some_and(set));
    let persons =
        |managed: &Value| owners::entries(managed).iter().any(|entry| !entry.is_machine() && entry.has(steps));
    in_manifest || full.managed.as_ref().is_some_and(persons)
}

/// The ids of the rows.
#[cfg(test)]
pub(super) fn rules() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.rule)
}
