//! The steps of a deployment, in their order. Each takes what it needs and returns its result.

pub(crate) mod apply;
pub(crate) mod canary;
pub(crate) mod connect;
mod deferred;
mod depends;
pub(crate) mod deployment_record;
pub(crate) mod dry_run;
pub(crate) mod github_deployment;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod left_over;
pub(crate) mod preview;
pub(crate) mod push;
pub(crate) mod roll_back;
pub(crate) mod taken_over;
