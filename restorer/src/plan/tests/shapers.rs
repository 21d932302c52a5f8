//! Between what shapes admission and what is admitted: a property over random plans.
//!
//! The model is by hand and knows nothing of the code's comparisons: a shaper is the set of requests that it stops.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::scene::{Scene, key};
use crate::{plan::Plan, selection::What};

/// A shaper, then and now: its object and the body it has, with the requests that it stops or changes.
#[derive(Debug, Clone)]
struct Shaper {
    what: &'static str,
    then: Option<(String, BTreeSet<u32>)>,
    now: Option<(String, BTreeSet<u32>)>,
}

fn sides(
    what: &'static str,
    side: impl Strategy<Value = (String, BTreeSet<u32>)> + Clone,
) -> impl Strategy<Value = Shaper> {
    let side = prop::option::of(side);
    (side.clone(), side).prop_map(move |(then, now)| Shaper { what, then, now })
}

/// Requests of one to six: those above the greatest are stopped, and those below the least.
fn range() -> impl Strategy<Value = Shaper> {
    let side = (1_u32..4, 0_u32..4).prop_map(|(min, more)| {
        let max = min + more;
        let body = format!(
            r#"{{"spec":{{"limits":[{{"type":"Container","max":{{"cpu":"{max}"}},"min":{{"cpu":"{min}"}}}}]}}}}"#
        );
        (body, (0..8).filter(|n| *n < min || *n > max).collect())
    });
    sides("LimitRange r", side)
}

/// Numbers of Pods, and beside them of configuration.
fn quota() -> impl Strategy<Value = Shaper> {
    let side = (1_u32..4, 1_u32..4).prop_map(|(pods, maps)| {
        let body = format!(r#"{{"spec":{{"hard":{{"pods":"{pods}","count/configmaps":"{maps}"}}}}}}"#);
        (body, (0..8).filter(|n| *n > pods).chain((10..18).filter(|n| *n > 10 + maps)).collect())
    });
    sides("ResourceQuota q", side)
}

/// What it is called for it may refuse, and does if it is down and that counts.
fn webhook() -> impl Strategy<Value = Shaper> {
    let side = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(fails, pods, maps)| {
        let rule = |on: bool, resource: &str| on.then(|| format!(r#"{{"resources":["{resource}"]}}"#));
        let rules: Vec<String> = [rule(pods, "pods"), rule(maps, "configmaps")].into_iter().flatten().collect();
        let policy = if fails { "Fail" } else { "Ignore" };
        let body =
            format!(r#"{{"webhooks":[{{"name":"a","failurePolicy":"{policy}","rules":[{}]}}]}}"#, rules.join(","));
        let called = [(pods, 1), (maps, 2)].into_iter().filter(|(on, _)| *on).map(|(_, n)| n);
        (body, called.flat_map(|n| if fails { vec![n, n + 10] } else { vec![n] }).collect())
    });
    sides("ValidatingWebhookConfiguration v", side)
}

fn binding() -> impl Strategy<Value = Shaper> {
    let side = any::<bool>().prop_map(|denies| {
        let action = if denies { "Deny" } else { "Warn" };
        let body = format!(r#"{{"spec":{{"policyName":"p","validationActions":["{action}"]}}}}"#);
        (body, (0..u32::from(denies)).collect())
    });
    sides("ValidatingAdmissionPolicyBinding b", side)
}

fn priority() -> impl Strategy<Value = Shaper> {
    let side = any::<bool>()
        .prop_map(|default| (format!(r#"{{"value":1,"globalDefault":{default}}}"#), (0..u32::from(default)).collect()));
    sides("PriorityClass p", side)
}

/// A namespace is always there.
fn namespace() -> impl Strategy<Value = Shaper> {
    let side = (0_u32..3).prop_map(|level| {
        let name = ["privileged", "baseline", "restricted"][level as usize];
        let body = format!(r#"{{"metadata":{{"labels":{{"pod-security.kubernetes.io/enforce":"{name}"}}}}}}"#);
        (body, (0..level).collect())
    });
    (side.clone(), side).prop_map(|(then, now)| Shaper { what: "Namespace shop", then: Some(then), now: Some(now) })
}

/// The shaper that is in force when an action of this wave is carried out; both where they run at once.
fn in_force<'s>(shaper: &'s Shaper, plan: &Plan, of: crate::plan::Wave) -> Vec<&'s Option<(String, BTreeSet<u32>)>> {
    let Some(action) = plan.actions.iter().find(|action| action.key == key(shaper.what)) else {
        return vec![&shaper.now];
    };
    match action.wave.cmp(&of) {
        std::cmp::Ordering::Less => vec![&shaper.then],
        std::cmp::Ordering::Equal => vec![&shaper.then, &shaper.now],
        std::cmp::Ordering::Greater => vec![&shaper.now],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_is_under_what_it_was_recorded_under_or_less(
        shapers in (range(), quota(), webhook(), binding(), priority(), namespace())
    ) {
        let shapers = [shapers.0, shapers.1, shapers.2, shapers.3, shapers.4, shapers.5];
        let mut scene = Scene::new(What::All)
            .then("Pod bare", "{}")
            .then("Deployment web", r#"{"spec":{"replicas":1}}"#)
            .now("Deployment web", r#"{"spec":{"replicas":2}}"#)
            .then("ServiceAccount runs", "{}")
            .then("Widget w", "{}");
        for shaper in &shapers {
            for (side, is_then) in [(&shaper.then, true), (&shaper.now, false)] {
                let Some((body, _)) = side else { continue };
                scene = if is_then { scene.then(shaper.what, body) } else { scene.now(shaper.what, body) };
            }
        }
        let plan = scene.plan().plan;
        let admitted = ["Pod bare", "Deployment web", "ServiceAccount runs", "Widget w"].map(key);
        let written: Vec<_> = plan.actions.iter().filter(|action| admitted.contains(&action.key)).collect();
        prop_assert_eq!(written.len(), admitted.len());
        for shaper in &shapers {
            let acted = plan.actions.iter().any(|action| action.key == key(shaper.what));
            let stops = |side: &Option<(String, BTreeSet<u32>)>| side.as_ref().map(|(_, stops)| stops.clone()).unwrap_or_default();
            prop_assert!(acted || shaper.then.as_ref().map(|s| &s.0) == shaper.now.as_ref().map(|s| &s.0), "{shaper:?}");
            // Namespaces are changed before what is in them, and after what is beside them.
            let of_hers = |action: &&&crate::plan::Action| shaper.what != "Namespace shop" || action.kind == "Pod";
            for action in written.iter().filter(of_hers) {
                for force in in_force(shaper, &plan, action.wave) {
                    let then = stops(&shaper.then);
                    prop_assert!(stops(force).is_subset(&then), "{} under {force:?}: {shaper:?}", action.kind);
                }
            }
        }
    }
}
