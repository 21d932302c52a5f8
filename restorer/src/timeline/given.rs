//! Which writes give the fields of a restore back to their owners.
//!
//! A restore writes an object, and then its managedFields alone. The row of the second write changes nothing that
//! anybody sees, and the managers that its entries name are those of then: none of them wrote now. It is a part of the
//! restore's own write.
//!
//! **Invariant.** A write is taken for one only if it changes nothing but managedFields, and follows a write of a restore to
//! the same object: on that very version, or within [`SOON`] where its row names nobody.

use std::collections::BTreeMap;

use hindcast_journal::{
    Position, Row,
    parts::Micros,
    row::{Body, Op, Revision},
};

use crate::names::MANAGER;

/// How long a restore may take between the two writes of an object.
const SOON: Micros = 60_000_000;

/// The writes of restores whose fields have not been given back yet: uid → revision, time and position.
#[derive(Debug, Default)]
pub(super) struct Given(BTreeMap<String, (Revision, Micros, Position)>);

impl Given {
    /// Takes in a row about an object; the position of the restore's write that it completes, if it does.
    pub(super) fn step(&mut self, row: &Row) -> Option<Position> {
        let alone = matches!(&row.body, Body::Patch(patch) if patch.as_ref() == b"[]") && row.managed_fields.is_some();
        if row.op == Op::Delete {
            self.0.remove(&row.uid);
        } else if row.manager == MANAGER && !alone {
            self.0.insert(row.uid.clone(), (row.rv, row.time_hi, row.pos));
        } else if alone {
            let (rv, time, pos) = *self.0.get(&row.uid)?;
            let follows = row.base_rv == Some(rv) || (row.manager.is_empty() && row.time_lo <= time + SOON);
            self.0.remove(&row.uid);
            return follows.then_some(pos);
        }
        None
    }

    /// Names the restore in the row of such a write.
    pub(super) fn sign(row: &mut Row) {
        MANAGER.clone_into(&mut row.change.manager);
        "Update".clone_into(&mut row.change.manager_op);
        row.change.subresource.clear();
    }
}
