//! The plan, decision by decision: a [`Scene`](scene::Scene) of small objects then and now, and what is planned.

mod caller;
mod dependents;
mod fields;
mod filling;
mod graphs;
mod holders;
mod leave;
mod moved;
mod narrow;
mod order;
mod owners;
mod rules;
mod scene;
mod sealed;
mod shapers;
mod told;
mod verbs;
