//! Paths as URIs.

/// A path as a relative URI reference (RFC 3986): every segment percent-encoded, also the `:` that would
/// make the first one a scheme.
pub fn uri(path: &str) -> String {
    let segments = path
        .split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".");
    let mut out = String::with_capacity(path.len());
    for segment in segments {
        if !out.is_empty() {
            out.push('/');
        }
        encode(segment, &mut out);
    }
    if out.is_empty() {
        "unknown".to_owned()
    } else {
        out
    }
}

fn encode(segment: &str, out: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_become_relative_references() {
        let table = [
            ("app/requirements.txt", "app/requirements.txt"),
            ("a:b.txt", "a%3Ab.txt"),
            ("100%zz.txt", "100%25zz.txt"),
            ("/usr/lib/x y", "usr/lib/x%20y"),
            ("", "unknown"),
        ];
        for (path, expected) in table {
            assert_eq!(uri(path), expected);
        }
    }

    proptest! {
        #[test]
        fn any_path_becomes_a_valid_reference(path in ".{0,80}") {
            let uri = uri(&path);
            prop_assert!(!uri.is_empty() && !uri.starts_with('/'));
            prop_assert!(!uri.contains([':', ' ', '\\', '"']) && uri.is_ascii());
        }
    }
}
