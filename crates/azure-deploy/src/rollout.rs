//! The rollout of the workloads: watched until each is done, one has failed, or the time is up.

mod claims;
mod events;
mod evidence;
mod judge;
mod made_later;
mod nodes;
mod pods;
mod room;
mod status;
mod superseded;
mod wait;
mod watch;

pub(crate) use evidence::{Evidence, collect_all};
pub(crate) use superseded::{Superseded, find_superseded};
pub(crate) use wait::{Limits, wait};
