//! What a verified patch changes outside of this run: tags, the OpenVEX document, an issue, the Security tab.

pub(crate) mod code_scanning;
mod follow_original;
pub(crate) mod issue;
mod promote;
mod vex;

pub(crate) use follow_original::follow_original;
pub(crate) use promote::{Promoted, promote};
