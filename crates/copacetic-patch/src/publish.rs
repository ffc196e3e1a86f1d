//! What a verified patch changes outside of this run: tags, the OpenVEX document, an issue, the Security tab.

pub(crate) mod code_scanning;
mod follow_original;
pub(crate) mod issue;
pub(crate) mod patched_index;
mod promote;
pub(crate) mod referrer;
pub(crate) mod tags;
pub(crate) mod vex;

pub(crate) use follow_original::{follow_index, follow_original};
pub(crate) use promote::{Promoted, now, promote, push_content};
