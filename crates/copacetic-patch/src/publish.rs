//! What a verified patch changes outside of this run: tags, the OpenVEX document, an issue, the Security tab, the
//! record of where it is stored.

pub(crate) mod code_scanning;
mod follow_original;
pub(crate) mod issue;
mod left_behind;
pub(crate) mod patched_index;
mod promote;
pub(crate) mod provenance;
pub(crate) mod referrer;
mod replaced_tag;
pub(crate) mod storage_record;
pub(crate) mod tags;
pub(crate) mod vex;

pub(crate) use follow_original::{Followed, follow_index, follow_original};
pub(crate) use left_behind::left_behind;
pub(crate) use promote::{Promoted, Pushed, now, promote, push_content};
pub(crate) use replaced_tag::check_tag;
