//! Asking for snapshots: for many with one call, and for each by itself where that call came to nothing.
//!
//! **Invariants.**
//! 1. All of it ends by one moment, a request's time and the patience after it began: whoever waits may hold writers
//!    ([`PluginDriver::take_all`]).
//! 2. What fails a call is no order's own failure. Each is asked for by itself, after the pause that the plugin asked for;
//!    but one goes ahead, and where nobody answers it either, all are given up with it ([`PluginDriver::take_part`]).
//! 3. Two snapshots have two handles ([`distinct`]): what is deleted by one would be the other.

use std::{collections::BTreeMap, slice, time::Duration};

use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};
use hindcast_snapshotter::{
    cloud::{
        Limits,
        patience::{Fault, Patience},
    },
    driver::{Order, Taken},
};

use super::{AT_ONCE, PluginDriver};
use crate::{
    check::Answer,
    sort,
    wire::{self, Created, Method},
};

/// What one call came to: an answer for each of its orders, or none.
type Asked = Result<Vec<Result<Taken, Fault>>, Fault>;

impl PluginDriver {
    /// Asks for all of these; one answer for each, in their order.
    pub(super) async fn take_all(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        let until = self.until();
        let calls = orders.chunks(AT_ONCE).map(|part| self.take_part(part, until)).collect();
        let answers = self.patience().each(calls).await.into_iter().flatten().collect();
        distinct(&self.plugin.title(), orders, answers)
    }

    /// The moment by which what begins now has to end.
    pub(super) fn until(&self) -> Duration {
        let limits = &self.patience().limits;
        self.patience().now() + limits.request + limits.patience
    }

    /// What is left until a moment.
    pub(super) fn left(&self, until: Duration) -> Duration {
        until.saturating_sub(self.patience().now())
    }

    /// The patience until a moment: nothing more is asked that could not be answered in its whole time.
    pub(super) fn patience_until(&self, until: Duration) -> Patience {
        let all = &self.patience().limits;
        let left = self.left(until).saturating_sub(all.request);
        self.patience().with(Limits { patience: left.min(all.patience), ..all.clone() })
    }

    /// The orders of one call.
    async fn take_part(&self, orders: &[Order], until: Duration) -> Vec<Result<Taken>> {
        let fault = match self.ask(orders, until).await {
            Ok(answers) => {
                let takes = orders.iter().zip(answers).map(|(order, first)| self.take(order, Some(first), until));
                return self.patience().each(takes.collect()).await;
            }
            Err(fault) => fault,
        };
        let (first, rest) = match orders {
            [] => return Vec::new(),
            [order] => return vec![self.take(order, Some(Err(fault)), until).await],
            [first, rest @ ..] => (first, rest),
        };
        if let Some(pause) = fault.after() {
            self.patience().sleep(pause.min(self.left(until))).await;
        }
        let ahead = || self.ask(slice::from_ref(first), until);
        let first = match self.patience_until(until).ride(&of(first), ahead).await {
            Ok(mut answers) => self.take(first, answers.pop(), until).await,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return orders.iter().map(|order| Err(error.about(of(order)))).collect();
            }
            Err(error) => Err(error),
        };
        let rest = self.patience().each(rest.iter().map(|order| self.take(order, None, until)).collect()).await;
        std::iter::once(first).chain(rest).collect()
    }

    /// Asks for these orders with one call.
    async fn ask(&self, orders: &[Order], until: Duration) -> Asked {
        let what = match orders {
            [order] => of(order),
            _ => format!("{} snapshots", orders.len()),
        };
        let who = self.plugin.title();
        let left = self.left(until);
        if left.is_zero() {
            return Err(sort::late(&who, &what, Method::CREATE, None));
        }
        let request = wire::CreateRequest { orders: orders.iter().map(wire::Order::from).collect() };
        let asked = self.plugin.call_within(left, &what, Method::CREATE, request).await;
        let answered: wire::CreateResponse = asked?;
        let answer = Answer { who: &who, what: &what, method: Method::CREATE };
        answer.as_many(answered.outcomes.len(), orders.len())?;
        Ok(orders.iter().zip(answered.outcomes).map(|(order, outcome)| self.created(&who, order, outcome)).collect())
    }

    /// What became of one order.
    fn created(&self, who: &str, order: &Order, outcome: wire::CreateOutcome) -> Result<Taken, Fault> {
        let what = of(order);
        let answer = Answer { who, what: &what, method: Method::CREATE };
        match answer.there("outcome", outcome.outcome)? {
            Created::Failure(failure) => Err(sort::of_failure(who, &what, Method::CREATE, &failure)),
            Created::Taken(taken) => {
                let taken = self.taken(answer, taken)?;
                self.declared_by(answer, &taken.details)?;
                match taken.tag == order.tag {
                    true => Ok(taken),
                    false => {
                        Err(answer.wrong(format!("it bears the tag of {}, not of {}", taken.tag, order.tag)).into())
                    }
                }
            }
        }
    }

    /// One order: what a call came to already, and if that may pass or there was none, calls of its own.
    async fn take(&self, order: &Order, mut first: Option<Result<Taken, Fault>>, until: Duration) -> Result<Taken> {
        let ask = || {
            let first = first.take();
            async move {
                match first {
                    Some(first) => first,
                    None => self
                        .ask(slice::from_ref(order), until)
                        .await?
                        .pop()
                        .unwrap_or_else(|| Err(Error::internal(of(order), "one order had no answer").into())),
                }
            }
        };
        self.patience_until(until).ride(&of(order), ask).await
    }
}

/// What an order is about.
fn of(order: &Order) -> String {
    format!("snapshot of {}", order.volume.title())
}

/// Refuses every snapshot whose handle another one has.
fn distinct(who: &str, orders: &[Order], answers: Vec<Result<Taken>>) -> Vec<Result<Taken>> {
    let mut handles: BTreeMap<String, usize> = BTreeMap::new();
    for taken in answers.iter().flatten() {
        *handles.entry(taken.handle.clone()).or_default() += 1;
    }
    let one = |(order, answer): (&Order, Result<Taken>)| {
        let taken = answer?;
        match handles.get(&taken.handle) {
            Some(many) if *many > 1 => {
                let (what, method) = (of(order), Method::CREATE);
                let wrong = format!("{many} snapshots have the handle {}", taken.handle);
                Err(Answer { who, what: &what, method }.wrong(wrong))
            }
            _ => Ok(taken),
        }
    };
    orders.iter().zip(answers).map(one).collect()
}
