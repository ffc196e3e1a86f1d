//! YAML as GitHub's runner and Compose read it: `yes`, `on` and `y` are texts, as YAML 1.2 has it.

use serde::de::DeserializeOwned;

/// Read the one document of `text`.
///
/// # Errors
/// When it is not YAML, or of another shape: one line, with the place.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        // The following lines are a drawing for a terminal.
        let error = e.to_string();
        let line = error.lines().next().unwrap_or_default();
        line.trim_start_matches("error: ").to_owned()
    })
}
