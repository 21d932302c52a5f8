//! What is made sure of before an object is deleted to be created again.
//!
//! **Invariant.** Nothing is deleted whose creation the server would refuse to whoever is to make it, as far as it can be
//! asked; where it cannot, only what could be put back.

use hindcast_journal::exact;

use super::{
    Did, Job, Work,
    sent::{refusal, relax},
};
use crate::{
    apply::{
        rehearsal::{self, Rehearsed},
        request::{Ask, Reply},
    },
    kinds,
    message::Message,
    reason::Cause,
    rules,
};

/// How many things that the object itself still holds are taken out of what is tried.
const HELD: usize = 32;

impl Work<'_> {
    /// Refuses the delete of what could not be created again.
    pub(super) async fn rehearse(&self, job: &Job<'_>) -> Result<(), Did> {
        let Some(mut target) = job.bodies.target.clone() else {
            return Err(Did::refused(Cause::NoBody));
        };
        self.adopt(job, &mut target)?;
        if job.bodies.unsuspend {
            rules::suspend(&job.action.key.kind_key(), &mut target);
        }
        let mut said = Rehearsed::Unknown(rehearsal::SINGULAR.to_owned());
        for _ in 0..HELD {
            let random = self.link.parts.random.next_u64();
            let Some(question) = rehearsal::question(job.action, &target, random) else { break };
            let reply = self.try_out(job, &question.ask).await?;
            if reply.is_over_quota() {
                // Its own delete makes the room, unless there is none for anything.
                return self.has_quota(job).await;
            }
            said = rehearsal::judge(job.action, &question, &reply);
            // Ports and addresses that it holds itself are free when it is gone.
            if relax(job.action, &mut target, &reply).is_none() {
                break;
            }
        }
        match said {
            Rehearsed::Fine => Ok(()),
            Rehearsed::Refused(why) => Err(Did::refused(Message::from(Cause::NotCreatable).and(why))),
            // What grants rights could not be put back either by whoever may not grant them.
            Rehearsed::Unknown(why) if kinds::of(&job.action.key).escalation.is_some() => {
                Err(Did::refused(Message::from(Cause::Untried).and(why.into())))
            }
            Rehearsed::Unknown(_) => Ok(()),
        }
    }

    /// Sends a try. A webhook that refuses it is switched off as for the write itself, where that is allowed.
    async fn try_out(&self, job: &Job<'_>, ask: &Ask) -> Result<Reply, Did> {
        let reply = self.link.send(ask).await.map_err(|lost| Did::lost(&lost))?;
        if reply.is_success() || reply.is_over_quota() || !self.bypass(&reply).await {
            return Ok(reply);
        }
        self.send(job, ask).await
    }

    /// Whether the quotas let anything be created in the namespace once something is deleted there.
    async fn has_quota(&self, job: &Job<'_>) -> Result<(), Did> {
        let reply = self.link.send(&rehearsal::quotas(&job.action.key.namespace)).await;
        let reply = reply.map_err(|lost| Did::lost(&lost))?;
        if !reply.is_success() {
            return Err(refusal(job, "list resourcequotas", &reply));
        }
        let list = exact::parse(&reply.body).map_err(|e| Did::refused(format!("the server's answer: {e}")))?;
        match rehearsal::overdrawn(&list) {
            None => Ok(()),
            Some(quota) => Err(Did::refused(Message::from(Cause::NotCreatable).and(
                format!("more is used than quota {quota} allows, so that what is deleted has no room any more").into(),
            ))),
        }
    }
}
