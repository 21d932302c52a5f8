//! A path that no object of the selection has, then or now: more likely it is misspelt than meant.
//!
//! **Invariants.** (1) Nothing is said to be nowhere that may be in an object which could not be had. (2) What is suggested
//! is the name of a field, never a value, and no field at or below a sealed place.

use hindcast_journal::{
    exact::Value,
    fold::ObjectKey,
    seal::{Rules, escape_pointer, is_within, pointer_tokens},
};

use super::narrow;
use crate::{Desired, Live, Selection, selection::Reach};

/// How deep a path is looked for under another beginning.
const DEPTH: usize = 6;

/// A path that is in no object of the selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nowhere {
    /// The path, as it was asked for.
    pub path: String,
    /// The nearest that there is, if any is near.
    pub nearest: Option<String>,
}

/// How far a suggestion is from what was asked: tokens that do not fit, then letters.
type Distance = (usize, usize);

/// Looks for the selection's path in all that is compared.
pub(crate) fn find(selection: &Selection, desired: &Desired, live: &Live) -> Option<Nowhere> {
    let path = selection.path.as_deref().filter(|path| !path.is_empty() && !desired.is_own())?;
    let mine = |key: &ObjectKey| selection.reach(key) != Reach::Out;
    let then = desired.objects.iter().filter(|(key, _)| mine(key)).map(|(key, wanted)| (key, wanted.object.as_ref()));
    let now = live.objects.iter().filter(|(key, _)| mine(key)).map(|(key, present)| (key, Ok(&present.object)));
    let mut all = Vec::new();
    for (key, object) in then.chain(now) {
        let object = &object.ok()?.value;
        if narrow::at(object, path).is_some() {
            return None;
        }
        all.push((key, object));
    }
    let near = all.iter().filter_map(|(key, object)| nearest(path, object, &sealed(&desired.rules, key, object))).min();
    (!all.is_empty()).then(|| Nowhere { path: path.to_owned(), nearest: near.map(|(_, path)| path) })
}

fn sealed(rules: &Rules, key: &ObjectKey, object: &Value) -> Vec<String> {
    rules.sealed_paths(&key.group, &key.resource, object)
}

/// The nearest path that an object has: with another name where the first does not fit, or the same under another beginning.
fn nearest(path: &str, object: &Value, sealed: &[String]) -> Option<(Distance, String)> {
    let tokens = pointer_tokens(path);
    let spelled =
        |tokens: &[String]| tokens.iter().map(|token| format!("/{}", escape_pointer(token))).collect::<String>();
    // As far as it fits; the whole of it does not.
    let fits = |count: &usize| narrow::at(object, &spelled(tokens.get(..*count).unwrap_or_default())).is_some();
    let fit = (0..tokens.len()).take_while(fits).last().unwrap_or(0);
    let head = spelled(tokens.get(..fit).unwrap_or_default());
    let (wrong, rest) = tokens.get(fit..)?.split_first()?;
    let hidden =
        |path: &str| narrow::pointer(object, path).is_none_or(|path| sealed.iter().any(|s| is_within(&path, s)));
    let here = narrow::at(object, &head).filter(|_| !hidden(&head)).and_then(Value::as_object);
    let like = |name: &str| {
        let letters = distance(wrong, name);
        (letters <= 1 + wrong.chars().count() / 3).then(|| (letters, name.to_owned()))
    };
    let other = here.and_then(|members| members.keys().filter_map(like).min()).map(|(letters, name)| {
        let named = format!("{head}/{}", escape_pointer(&name));
        let whole = format!("{named}{}", spelled(rest));
        let path = if narrow::at(object, &whole).is_some() && !hidden(&whole) { whole } else { named };
        ((tokens.len() - fit, letters), path)
    });
    let mut elsewhere = Vec::new();
    below(object, "", DEPTH, &mut |begin| {
        let whole = format!("{begin}{path}");
        if narrow::at(object, &whole).is_some() && !hidden(&whole) {
            elsewhere.push(((tokens.len() - fit, wrong.len() + begin.len()), whole));
        }
    });
    other.into_iter().chain(elsewhere).min()
}

/// Every map within maps, but for the outermost.
fn below(value: &Value, at: &str, depth: usize, visit: &mut dyn FnMut(&str)) {
    for (name, inner) in value.as_object().into_iter().flat_map(hindcast_journal::exact::Object::iter) {
        if depth > 0 && inner.as_object().is_some() {
            let at = format!("{at}/{}", escape_pointer(name));
            visit(&at);
            below(inner, &at, depth - 1, visit);
        }
    }
}

/// How many letters have to be added, dropped or changed; capitals are the same letters.
fn distance(one: &str, other: &str) -> usize {
    strsim::levenshtein(&one.to_lowercase(), &other.to_lowercase())
}
