//! What shapes that which is admitted: quotas, ranges, webhooks, admission policies, the security labels of a namespace, and what
//! is a default for others.
//!
//! **Words**: a shaper as it stands is *stricter* than as it is to be, where it would refuse or change anything that it would not
//! then.
//!
//! **Invariant.** What cannot be compared counts as stricter: then it is as it was while the objects of the moment are written,
//! which were there beside it.

use hindcast_cluster::quantity::Quantity;
use hindcast_journal::exact::{Object, Value};

use super::text;
use crate::bypass::CONDITION;

/// Of the shaper as it is to be, if it is, and as it stands.
pub(super) type Stricter = fn(Option<&Value>, &Value) -> bool;

/// Members of a map; none where there is no map.
fn map<'v>(value: Option<&'v Value>, path: &str) -> impl Iterator<Item = (&'v str, &'v Value)> {
    value.and_then(|value| value.pointer(path)).and_then(Value::as_object).into_iter().flat_map(Object::iter)
}

fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.pointer(path).and_then(Value::as_array).unwrap_or_default()
}

fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(number.as_str()),
        _ => None,
    }
}

/// Whether a bound is lower, or whether that cannot be told.
fn lower(one: &Value, than: Option<&Value>) -> bool {
    match (quantity(one), than.and_then(quantity)) {
        (Some(one), Some(than)) => one < than,
        _ => Some(one) != than,
    }
}

/// Whether a bound is higher, or there is none to compare it with.
fn higher(one: &Value, than: Option<&Value>) -> bool {
    than.is_none_or(|than| lower(than, Some(one)))
}

/// A quota has a limit that it is not to have, or a lower one.
pub(super) fn quota(wanted: Option<&Value>, live: &Value) -> bool {
    let scoped = |path: &str| wanted.and_then(|wanted| wanted.pointer(path)) != live.pointer(path);
    wanted.is_none() || scoped("/spec/scopes") || scoped("/spec/scopeSelector") || limits_more(Some(live), wanted)
}

/// Whether a quota has a limit that another has not, or a lower one.
pub(super) fn limits_more(one: Option<&Value>, than: Option<&Value>) -> bool {
    let hard = |name: &str| map(than, "/spec/hard").find(|(limit, _)| *limit == name).map(|(_, limit)| limit);
    map(one, "/spec/hard").any(|(name, limit)| lower(limit, hard(name)))
}

/// A range has a bound that it is not to have, or a closer one, or another default.
pub(super) fn range(wanted: Option<&Value>, live: &Value) -> bool {
    let Some(wanted) = wanted else { return true };
    list(live, "/spec/limits").iter().any(|limit| {
        let same = |other: &&Value| text(other, "/type") == text(limit, "/type");
        let then = list(wanted, "/spec/limits").iter().find(same);
        let differs = |member: &str, stricter: fn(&Value, Option<&Value>) -> bool| {
            map(Some(limit), member).any(|(resource, bound)| {
                let then = map(then, member).find(|(name, _)| *name == resource).map(|(_, bound)| bound);
                stricter(bound, then)
            })
        };
        let other = |one: &Value, than: Option<&Value>| lower(one, than) || higher(one, than);
        differs("/max", lower)
            || differs("/maxLimitRequestRatio", lower)
            || differs("/min", higher)
            || differs("/default", other)
            || differs("/defaultRequest", other)
    })
}

/// Classes of which one may be given to what names none.
pub(super) fn default_class(wanted: Option<&Value>, live: &Value) -> bool {
    let is_default = |class: &Value| {
        map(Some(class), "/metadata/annotations")
            .any(|(name, value)| name.ends_with(".kubernetes.io/is-default-class") && value.as_str() == Some("true"))
    };
    is_default(live) && !wanted.is_some_and(is_default)
}

/// The priority of what names none.
pub(super) fn default_priority(wanted: Option<&Value>, live: &Value) -> bool {
    let is_default = |class: &Value| class.get("globalDefault").and_then(Value::as_bool) == Some(true);
    is_default(live) && !wanted.is_some_and(is_default)
}

/// How much Pod Security asks of the Pods of a namespace; what cannot be compared is its version.
fn enforced(namespace: &Value) -> (u8, &str) {
    let label = |name: &str| map(Some(namespace), "/metadata/labels").find(|(label, _)| *label == name);
    let text = |name: &str| label(name).and_then(|(_, value)| value.as_str());
    let level = match text("pod-security.kubernetes.io/enforce") {
        Some("restricted") => 2,
        Some("baseline") => 1,
        _ => 0,
    };
    (level, text("pod-security.kubernetes.io/enforce-version").unwrap_or_default())
}

/// Whether a namespace asks no more of its Pods now than it is to ask, and less of some.
pub(super) fn tightens(wanted: &Value, live: &Value) -> bool {
    let ((then, version), (now, live_version)) = (enforced(wanted), enforced(live));
    then > now && (now == 0 || version == live_version)
}

/// A configuration of webhooks calls one that it is not to call, or for more, or minds more if it does not answer.
pub(super) fn webhooks(wanted: Option<&Value>, live: &Value) -> bool {
    let Some(wanted) = wanted else { return true };
    list(live, "/webhooks").iter().any(|hook| {
        let same = |other: &&Value| text(other, "/name") == text(hook, "/name");
        let Some(then) = list(wanted, "/webhooks").iter().find(same) else { return true };
        minds(then, hook)
            || more(then, hook, "/rules")
            || conditions(then, hook)
            || differ(then, hook, &["failurePolicy", "rules", "matchConditions"])
    })
}

/// A policy refuses or changes more than it is to, or a binding applies it to more.
pub(super) fn policy(wanted: Option<&Value>, live: &Value) -> bool {
    let (Some(wanted), Some(live)) = (wanted.and_then(|wanted| wanted.get("spec")), live.get("spec")) else {
        return true;
    };
    let refuses = |spec: &Value| list(spec, "/validationActions").iter().any(|action| action.as_str() == Some("Deny"));
    minds(wanted, live)
        || more(wanted, live, "/validations")
        || more(wanted, live, "/mutations")
        || conditions(wanted, live)
        || (refuses(live) && !refuses(wanted))
        || differ(
            wanted,
            live,
            &["failurePolicy", "validations", "mutations", "matchConditions", "validationActions", "auditAnnotations"],
        )
}

/// Whether a failure stops a write now that is not to stop it.
fn minds(then: &Value, now: &Value) -> bool {
    // The server fills in `Fail`.
    text(now, "/failurePolicy") != "Ignore" && text(then, "/failurePolicy") == "Ignore"
}

/// Whether a list has an element now that it is not to have.
fn more(then: &Value, now: &Value, path: &str) -> bool {
    list(now, path).iter().any(|element| !list(then, path).contains(element))
}

/// Whether a condition is missing now that lets writes pass by.
fn conditions(then: &Value, now: &Value) -> bool {
    let ours = |condition: &Value| text(condition, "/name") == CONDITION;
    let off = list(now, "/matchConditions").iter().any(ours);
    !off && more(now, then, "/matchConditions")
}

/// Whether anything but these members differs, beside the authority, which is kept.
fn differ(then: &Value, now: &Value, but: &[&str]) -> bool {
    let rest = |value: &Value| {
        let mut value = value.clone();
        if let Some(members) = value.as_object_mut() {
            for name in but {
                members.remove(name);
            }
        }
        if let Some(client) = value.pointer_mut("/clientConfig").and_then(Value::as_object_mut) {
            client.remove("caBundle");
        }
        value
    };
    rest(then) != rest(now)
}
