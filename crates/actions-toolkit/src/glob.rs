//! Globs of inputs.

use globset::{GlobBuilder, GlobMatcher};

/// Bytes of a glob. No path is longer (limits.h, `PATH_MAX`), and globset panics on one that regex has no room for.
const LENGTH: usize = 4096;

/// A glob of paths: `*` and `?` do not match `/`, `**` does.
///
/// # Errors
/// What is wrong with it, beginning with its text.
pub fn paths(text: &str) -> Result<GlobMatcher, String> {
    compile(text, true)
}

/// A glob of names: `*` matches any characters.
///
/// # Errors
/// As [`paths`].
pub fn names(text: &str) -> Result<GlobMatcher, String> {
    compile(text, false)
}

fn compile(text: &str, has_separators: bool) -> Result<GlobMatcher, String> {
    if text.len() > LENGTH {
        let start: String = text.chars().take(40).collect();
        return Err(format!("`{start}…` is longer than {LENGTH} bytes"));
    }
    let glob = GlobBuilder::new(text)
        .literal_separator(has_separators)
        .build();
    let glob = glob.map_err(|e| format!("`{text}`: {}", e.kind()))?;
    Ok(glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_of_paths_has_separators() {
        assert!(paths("a/*.xml").unwrap().is_match("a/b.xml"));
        assert!(!paths("a/*.xml").unwrap().is_match("a/b/c.xml"));
        assert!(names("a/*.xml").unwrap().is_match("a/b/c.xml"));
    }

    #[test]
    fn what_is_no_glob_is_an_error() {
        let error = paths("a[").unwrap_err();
        assert_eq!(error, "`a[`: unclosed character class; missing ']'");
        // As long as may be, of what takes the most room.
        for part in ["a", "?", "*", "**/", "[^a]", "{a,b}"] {
            assert!(paths(&part.repeat(LENGTH / part.len())).is_ok(), "{part}");
            let error = names(&part.repeat(LENGTH + 1)).unwrap_err();
            assert!(error.ends_with("is longer than 4096 bytes"), "{error}");
        }
    }
}
