//! The memory of containers.

use std::num::NonZeroU16;

use actions_toolkit::BadInput;

/// Megabytes that Docker requires (docs.docker.com/engine/containers, "Resource constraints").
const LEAST: u16 = 6;

const MEBIBYTE: i64 = 1024 * 1024;

/// So many `megabytes`, as Docker takes them.
pub(crate) fn bytes(megabytes: u16) -> i64 {
    i64::from(megabytes) * MEBIBYTE
}

/// The value of the input `name`, in megabytes.
///
/// # Errors
/// When it is too little for any container.
pub(super) fn megabytes(name: &str, value: NonZeroU16) -> Result<u16, BadInput> {
    if value.get() < LEAST {
        let problem = format!("is {value}; Docker requires {LEAST} MB");
        return Err(BadInput::new(name, problem));
    }
    Ok(value.get())
}
