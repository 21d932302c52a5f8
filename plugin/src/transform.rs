//! Items that a plugin changes, before they are restored.
//!
//! **Words**: an *item* is one object as it is to be restored, and the places of its values that are sealed in the journal.
//! A *stand-in* is a text of this call's own that takes the place of a sealed value.
//!
//! **Invariants.**
//! 1. A plugin is given items of the kinds that its transform declared, and no others.
//! 2. A transform that did not declare to need sealed values gets stand-ins, which are put back in the places that they were
//!    in. One that stands anywhere else afterwards is refused: a value would go where it is not sealed ([`put_back`]).
//! 3. What comes back is an object within bounds, of the same API version, kind, namespace, name and uid ([`identity`]).
//! 4. One item's failure is its own; an answer that cannot be matched with the items is everybody's.
//! 5. Items that were made ready for what the transform had declared are not sent to one that declares something else by
//!    now ([`unchanged`]).
//!
//! Not here: what becomes of the outcomes in a restore. Start reading at [`Plugin::transform`].

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
    exact::{self, Value},
};

use crate::{
    check::{Answer, Capabilities, Kind, Transform, said},
    line::Plugin,
    sort,
    wire::{self, Method, Transformed},
};

/// What one call carries at most: items, and bytes unless a single item has more.
const ITEMS: usize = 100;
const BYTES: usize = 2 << 20;
/// The largest object that comes back: more than any store of a cluster takes.
const LARGEST: usize = 4 << 20;
/// How often a patch may copy.
const COPIES: usize = 100;
/// The longest reason that is told on.
const REASON: usize = 1000;

/// An object as it is to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The object.
    pub object: Value,
    /// JSON pointers to its values that are sealed in the journal.
    pub sealed: Vec<String>,
}

/// What became of an item.
#[derive(Debug)]
pub enum Outcome {
    /// It stays as it is.
    Unchanged,
    /// The transform did not declare its kind: it was not sent.
    NotDeclared,
    /// What stands in its place.
    Changed(Value),
    /// It is not to be restored, and why.
    Dropped(String),
    /// It could not be transformed, or not be changed in this way.
    Failed(Error),
}

/// An item that is sent: what stands in for which of its sealed values.
struct Sent {
    at: usize,
    title: String,
    json: Vec<u8>,
    shown: Value,
    stand_ins: Vec<(String, String, Value)>,
}

impl Plugin {
    /// Has a transform of this plugin change items; one outcome for each, in their order.
    pub async fn transform(
        &self,
        name: &str,
        parameters: &BTreeMap<String, String>,
        items: &[Item],
    ) -> Result<Vec<Outcome>> {
        let met = self.meet().await?;
        let Some(transform) = met.transforms.iter().find(|transform| transform.name == name) else {
            let all: Vec<&str> = met.transforms.iter().map(|transform| transform.name.as_str()).collect();
            let hint = match all.is_empty() {
                true => "it has no transforms".to_owned(),
                false => format!("it has {}", all.join(", ")),
            };
            return Err(Error::not_found(format!("transform {name:?}"), format!("{} does not have it", self.title()))
                .with_hint(hint));
        };
        let mut outcomes: Vec<Outcome> = items.iter().map(|_| Outcome::NotDeclared).collect();
        let own =
            format!("{:016x}{:016x}", self.patience.parts.random.next_u64(), self.patience.parts.random.next_u64());
        let wanted =
            |(_, item): &(usize, &Item)| kind(&item.object).is_some_and(|kind| transform.kinds.contains(&kind));
        let sent: Vec<Sent> =
            items.iter().enumerate().filter(wanted).map(|(at, item)| send(at, item, transform, &own)).collect();
        for part in parts(&sent) {
            for (sent, outcome) in part.iter().zip(self.transform_part(transform, parameters, part, &own).await?) {
                if let Some(place) = outcomes.get_mut(sent.at) {
                    *place = outcome;
                }
            }
        }
        Ok(outcomes)
    }

    /// One call.
    async fn transform_part(
        &self,
        transform: &Transform,
        parameters: &BTreeMap<String, String>,
        part: &[Sent],
        own: &str,
    ) -> Result<Vec<Outcome>> {
        let what = format!("transform {} of {} items", transform.name, part.len());
        let request = wire::TransformRequest {
            transform: transform.name.clone(),
            parameters: parameters.clone(),
            items: part.iter().map(|sent| wire::Item { json: sent.json.clone() }).collect(),
        };
        let who = self.title();
        let fit = |met: &Capabilities| unchanged(&who, &what, transform, met);
        let limit = self.patience.limits.request;
        let ask =
            || self.call_if::<_, wire::TransformResponse>((limit, &fit), &what, Method::TRANSFORM, request.clone());
        let answered = self.patience.ride(&what, ask).await?;
        let answer = Answer { who: &who, what: &what, method: Method::TRANSFORM };
        answer.as_many(answered.outcomes.len(), part.len())?;
        let outcome = |(sent, outcome): (&Sent, wire::ItemOutcome)| {
            let answer = Answer { what: &sent.title, ..answer };
            outcome_of(answer, sent, outcome, own).unwrap_or_else(Outcome::Failed)
        };
        Ok(part.iter().zip(answered.outcomes).map(outcome).collect())
    }
}

/// That a plugin, which may have been met anew, declares a transform as it did when the items were made ready.
fn unchanged(who: &str, what: &str, transform: &Transform, met: &Capabilities) -> Result<()> {
    match met.transforms.contains(transform) {
        true => Ok(()),
        false => {
            let reason = format!("{who} was started again, and declares the transform {} otherwise", transform.name);
            Err(Error::new(ErrorKind::Refused, what, reason)
                .with_hint("transform the items again: they are made ready for what is declared now"))
        }
    }
}

/// The kind of an object; `None` of what is none.
fn kind(object: &Value) -> Option<Kind> {
    let version = object.get("apiVersion")?.as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Some(Kind { group: group.to_owned(), kind: object.get("kind")?.as_str()?.to_owned() })
}

/// What is to stay of an object.
fn identity(object: &Value) -> [(&'static str, Option<&Value>); 5] {
    ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name", "/metadata/uid"]
        .map(|pointer| (pointer, object.pointer(pointer)))
}

/// Makes an item ready to be sent.
fn send(at: usize, item: &Item, transform: &Transform, own: &str) -> Sent {
    let text = |pointer: &str| item.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let place = match text("/metadata/namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    let title = said(&format!("{} {place}{}", text("/kind"), text("/metadata/name")), 600);
    let mut shown = item.object.clone();
    let mut stand_ins = Vec::new();
    // What lies in a sealed value goes and comes back with it.
    let outer = outermost(&item.sealed);
    for (number, pointer) in outer.into_iter().enumerate().filter(|_| !transform.sealed_values) {
        let Some(value) = shown.pointer_mut(pointer) else { continue };
        // Like what a Secret's data are, so that a transform which reads them meets nothing strange.
        let stand_in = base64::engine::general_purpose::STANDARD.encode(format!("sealed {own} {number}"));
        stand_ins.push((
            pointer.to_owned(),
            stand_in.clone(),
            std::mem::replace(value, Value::from(stand_in.as_str())),
        ));
    }
    Sent { at, title, json: exact::to_canonical(&shown), shown, stand_ins }
}

/// Pointers, each once, without those that lie below another one.
fn outermost(pointers: &[String]) -> Vec<&str> {
    let all: BTreeSet<&str> = pointers.iter().map(String::as_str).collect();
    let above =
        |pointer: &str| pointer.match_indices('/').filter_map(|(at, _)| pointer.get(..at)).any(|of| all.contains(of));
    all.iter().copied().filter(|pointer| !above(pointer)).collect()
}

/// What one call carries: few enough, and small enough unless one alone is not.
fn parts(all: &[Sent]) -> Vec<&[Sent]> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, sent) in all.iter().enumerate() {
        if at > from && (at - from == ITEMS || bytes + sent.json.len() > BYTES) {
            parts.extend(all.get(from..at));
            (from, bytes) = (at, 0);
        }
        bytes += sent.json.len();
    }
    parts.extend(all.get(from..).filter(|rest| !rest.is_empty()));
    parts
}

/// What became of one item.
fn outcome_of(answer: Answer<'_>, sent: &Sent, outcome: wire::ItemOutcome, own: &str) -> Result<Outcome> {
    let parsed = |what: &str, bytes: &[u8]| {
        if bytes.len() > LARGEST {
            return Err(answer.wrong(format!("{what} of {} bytes, more than {LARGEST}", bytes.len())));
        }
        exact::parse(bytes).map_err(|error| answer.wrong(format!("{what} cannot be read: {error}")))
    };
    let mut object = match answer.there("outcome", outcome.outcome)? {
        Transformed::Unchanged(_) => return Ok(Outcome::Unchanged),
        Transformed::Dropped(dropped) => {
            let reason = said(&dropped.reason, REASON);
            let reason = if reason.is_empty() { "no reason is given".to_owned() } else { reason };
            return Ok(Outcome::Dropped(format!("{}: {reason}", answer.who)));
        }
        Transformed::Failure(failure) => {
            return Err(sort::of_failure(answer.who, answer.what, answer.method, &failure).into());
        }
        Transformed::Replaced(json) => parsed("an object", &json)?,
        Transformed::Patch(json) => {
            let patch = parsed("a patch", &json)?;
            patched(answer, &sent.shown, &patch)?
        }
    };
    if object.as_object().is_none() {
        return Err(answer.wrong("what comes back is no object"));
    }
    for ((pointer, before), (_, after)) in identity(&sent.shown).into_iter().zip(identity(&object)) {
        if before != after {
            let pointer = pointer.trim_start_matches('/').replace('/', ".");
            let reason = format!("{} changes {pointer}, and an item has to stay what it is", answer.who);
            return Err(Error::new(ErrorKind::Refused, answer.what, reason)
                .with_hint("leave the transform out, or use a version of the plugin that leaves it alone"));
        }
    }
    put_back(answer, sent, &mut object, own)?;
    match exact::to_canonical(&object).len() > LARGEST {
        true => Err(answer.wrong(format!("an object of more than {LARGEST} bytes"))),
        false if object == sent.original() => Ok(Outcome::Unchanged),
        false => Ok(Outcome::Changed(object)),
    }
}

/// An object with a patch applied. A patch of few bytes can copy an object into itself many times over: so each copy is
/// measured.
fn patched(answer: Answer<'_>, object: &Value, patch: &Value) -> Result<Value> {
    let unfit = |error: exact::PatchError| answer.wrong(format!("its patch does not fit: {error}"));
    let mut object = object.clone();
    let Some(operations) = patch.as_array() else {
        return exact::apply(&mut object, patch).map_err(unfit).map(|()| object);
    };
    let is_copy = |operation: &&Value| operation.get("op").and_then(Value::as_str) == Some("copy");
    let copies = operations.iter().filter(is_copy).count();
    if copies > COPIES {
        return Err(answer.wrong(format!("a patch that copies {copies} times, more than {COPIES}")));
    }
    for operation in operations {
        exact::apply(&mut object, &Value::Array(vec![operation.clone()])).map_err(unfit)?;
        if is_copy(&operation) && exact::to_canonical(&object).len() > LARGEST {
            return Err(answer.wrong(format!("an object of more than {LARGEST} bytes")));
        }
    }
    Ok(object)
}

impl Sent {
    /// The object as it was before anything stood in.
    fn original(&self) -> Value {
        let mut object = self.shown.clone();
        for (pointer, _, value) in &self.stand_ins {
            if let Some(place) = object.pointer_mut(pointer) {
                *place = value.clone();
            }
        }
        object
    }
}

/// Puts the sealed values back, and refuses an object in which a stand-in is anywhere but in its place.
fn put_back(answer: Answer<'_>, sent: &Sent, object: &mut Value, own: &str) -> Result<()> {
    let mut values = Vec::new();
    for (pointer, stand_in, value) in &sent.stand_ins {
        if let Some(place) = object.pointer_mut(pointer)
            && place.as_str() == Some(stand_in)
        {
            *place = Value::Null;
            values.push((pointer, value));
        }
    }
    let marks: Vec<&str> = sent.stand_ins.iter().map(|(_, stand_in, _)| stand_in.as_str()).chain([own]).collect();
    if !sent.stand_ins.is_empty() && holds(object, &marks) {
        return Err(answer.wrong("it moves a sealed value to another place"));
    }
    for (pointer, value) in values {
        if let Some(place) = object.pointer_mut(pointer) {
            *place = value.clone();
        }
    }
    Ok(())
}

/// Whether any text in a value, keys too, has one of these in it.
fn holds(value: &Value, marks: &[&str]) -> bool {
    let has = |text: &str| marks.iter().any(|mark| text.contains(mark));
    match value {
        Value::String(text) => has(text),
        Value::Array(all) => all.iter().any(|value| holds(value, marks)),
        Value::Object(object) => object.iter().any(|(key, value)| has(key) || holds(value, marks)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
