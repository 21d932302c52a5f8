use crate::api::{RestoreSpec, Target};

use super::*;

/// A restore of a generation, with conditions: which, how it stands, why, and of which generation that was said.
fn restore(mode: Mode, generation: i64, conditions: &[(&str, &str, &str, i64)]) -> Restore {
    let target = Target { namespace: "shop".to_owned(), ..Target::default() };
    let mut object = Restore::new("r", RestoreSpec { target, mode, ..RestoreSpec::default() });
    object.metadata.generation = Some(generation);
    object.metadata.uid = Some("6f0c3b1e-0000-4000-8000-000000000001".to_owned());
    let condition = |(kind, status, reason, of): &(&str, &str, &str, i64)| Condition {
        kind: (*kind).to_owned(),
        status: (*status).to_owned(),
        reason: (*reason).to_owned(),
        observed_generation: *of,
        ..Condition::default()
    };
    let conditions = conditions.iter().map(condition).collect();
    object.status = Some(RestoreStatus { conditions, ..RestoreStatus::default() });
    object
}

#[test]
fn what_is_through_is_not_begun_again() {
    for (mode, generation, conditions, over) in [
        (Mode::Plan, 1, &[][..], false),
        (Mode::Plan, 1, &[("Planned", "True", "Planned", 1)][..], true),
        // It was shown, and is to be done now.
        (Mode::Apply, 2, &[("Planned", "True", "Planned", 1)][..], false),
        (Mode::Apply, 2, &[("Planned", "True", "Planned", 2), ("Applied", "Unknown", "Applying", 2)][..], false),
        (Mode::Apply, 2, &[("Applied", "True", "Applied", 2)][..], true),
        (Mode::Apply, 3, &[("Applied", "False", "Partly", 2)][..], true),
        (Mode::Apply, 1, &[("Planned", "False", "Invalid", 1)][..], true),
        (Mode::Apply, 2, &[("Planned", "False", "Invalid", 1)][..], false),
        // These may pass.
        (Mode::Apply, 1, &[("Planned", "False", "NoServiceAccount", 1)][..], false),
        (Mode::Apply, 1, &[("Planned", "Unknown", "Queued", 1)][..], false),
    ] {
        assert_eq!(is_over(&restore(mode, generation, conditions)), over, "{mode:?} {generation} {conditions:?}");
    }
}

#[test]
fn an_object_has_one_record_whatever_its_status_says() {
    let (one, mut other) = (restore(Mode::Plan, 1, &[]), restore(Mode::Apply, 2, &[]));
    assert_eq!(id_of(&one), id_of(&other));
    other.metadata.uid = Some("6f0c3b1e-0000-4000-8000-000000000002".to_owned());
    assert_ne!(id_of(&one), id_of(&other));
}
