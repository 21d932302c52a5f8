use bytes::Bytes;
use hindcast_journal::Parts;

use super::*;
use crate::{Settings, core::tests::core_with, timekeeper::Span};

const KEY: &str = "/things";

fn object(uid: &str, rv: Revision) -> Bytes {
    let metadata = format!(r#"{{"name":"o","uid":"{uid}","resourceVersion":"{rv}"}}"#);
    format!(r#"{{"apiVersion":"v1","kind":"Thing","metadata":{metadata}}}"#).into()
}

/// A core that covers things from 10 on, and has seen the object `o` with `u2` come at 20.
fn core() -> Core {
    let (mut core, _) = core_with(Parts::system(), Settings::default());
    let (resource, kind, domain) = ("things".to_owned(), "Thing".to_owned(), "main".to_owned());
    core.describe(Discovery { version: "v1".to_owned(), resource, kind, domain, ..Discovery::default() });
    core.begin_list(KEY);
    core.end_list(KEY, 10, Span { lo: 1, hi: 1 });
    assert_eq!(core.event(KEY, &Event::Added(object("u2", 20)), 0), Verdict::Go);
    core
}

#[test]
fn an_object_that_came_behind_a_bridges_beginning_and_went_before_its_end_is_found_to_be_gone() {
    let core = core();
    let version = |uid: &str, rv| Step::Version { rv, bytes: object(uid, rv) };
    let by = |steps: Option<Vec<Step>>| {
        let objects = steps.into_iter().map(|steps| ("o".to_owned(), Recovered { steps, complete: true })).collect();
        let bridge = Bridge { from: 10, to: 40, objects, ..Bridge::default() };
        let gone = gone(&core, KEY, &bridge, 20);
        gone.into_iter().map(|gone| (gone.uid.to_string(), gone.rv, gone.by)).collect::<Vec<_>>()
    };
    let found = |by: Revision| vec![("u2".to_owned(), 20_u64, by)];
    assert_eq!(by(None), found(40), "it stood at neither end");
    // The walk back from the end met the delete of the one before.
    assert_eq!(by(Some(vec![version("u1", 12), Step::Delete { rv: 15 }])), found(40));
    assert_eq!(by(Some(vec![Step::Delete { rv: 15 }, version("u3", 30)])), found(29));
    assert_eq!(by(Some(vec![Step::Delete { rv: 15 }, version("u2", 20)])), [], "it stands at the end");
    assert_eq!(by(Some(vec![version("u2", 20), Step::Delete { rv: 30 }])), [], "the bridge has its delete");
}
