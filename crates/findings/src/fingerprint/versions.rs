//! Versions in names of files and in messages, which an update changes.

use std::cmp::Ordering;
use std::net::Ipv4Addr;

/// What follows the numbers of a version, in lower case; digits may follow: `rc1`, `Final`, `jre8`.
const QUALIFIERS: &[&str] = &[
    "a",
    "alpha",
    "android",
    "b",
    "beta",
    "build",
    "c",
    "cr",
    "deb",
    "dev",
    "el",
    "fc",
    "final",
    "ga",
    "git",
    "incubating",
    "jbossorg",
    "jdk",
    "jre",
    "m",
    "p",
    "post",
    "pre",
    "preview",
    "r",
    "rc",
    "redhat",
    "release",
    "snapshot",
    "sp",
    "sr",
    "ubuntu",
];
/// Extensions of files and directories whose names end in a version, also in one without a dot: `guava-31.jar`.
const ARTIFACTS: &[&str] = &[
    "dist-info",
    "ear",
    "egg",
    "egg-info",
    "gemspec",
    "hpi",
    "jar",
    "nupkg",
    "par",
    "war",
    "whl",
];

/// `path` without the versions that it spells out: `own`, that of the package, and those of what it is in.
///
/// `lib/python3.12/site-packages/jinja2-3.1.2.dist-info` is `lib/python/site-packages/jinja2.dist-info`.
pub(super) fn path_without_versions(path: &str, own: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        // `conda-meta/openssl-3.0.1-h7f8727e_0.json` ends in the build.
        let segment = match segments.last().map(String::as_str) {
            Some("conda-meta") => segment
                .split_once(&format!("-{own}-"))
                .map_or_else(|| segment.to_owned(), |(name, _)| format!("{name}.json")),
            _ => without(segment, own),
        };
        segments.push(remove(&without_whole(&segment), |_| true));
    }
    segments.join("/")
}

/// `message` without what changes with a version or from day to day: tags and digests of images, versions, counts.
///
/// Other numbers stay: two ports are two findings. An IPv4 address is not a version.
pub(super) fn stable_message(message: &str) -> String {
    let words: Vec<_> = message.split_whitespace().collect();
    let stable = words.iter().enumerate().map(|(at, word)| {
        let is_count = word.bytes().all(|byte| byte.is_ascii_digit());
        if is_count && words.get(at + 1).is_some_and(|next| UNITS.contains(next)) {
            return String::new();
        }
        let is_version = |version: &str| version.parse::<Ipv4Addr>().is_err();
        remove(without_tag(word), is_version)
    });
    stable.collect::<Vec<_>>().join(" ")
}

/// What is counted in messages of checks, `There are 2 duplicate CMD instructions`.
const UNITS: &[&str] = &["day(s)", "days", "duplicate", "regions", "times"];

// `'node` of `'node:22'`, `app` of `app@sha256:…`. A tag has a digit or is `latest`; a port is followed by a path.
fn without_tag(word: &str) -> &str {
    let word = word.split_once("@sha256:").map_or(word, |(name, _)| name);
    let start = word.rfind('/').map_or(0, |slash| slash + 1);
    match word[start..].split_once(':') {
        Some((name, tag))
            if !name.is_empty()
                && !tag.contains(':')
                && (tag.starts_with("latest") || tag.contains(|c: char| c.is_ascii_digit())) =>
        {
            &word[..start + name.len()]
        }
        _ => word,
    }
}

/// The order of two texts in which numbers count as such: `app-9.5.jar` is before `app-10.0.jar`.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (first, rest) = first_part(left);
        let (other, other_rest) = first_part(right);
        let order = compare_parts(first, other);
        if order.is_ne() {
            return order;
        }
        (left, right) = (rest, other_rest);
    }
    // One may be longer, or they differ in leading zeros.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    if !(is_number(a) && is_number(b)) {
        return a.cmp(b);
    }
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn is_number(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

// The number that `text` starts with, or what is before its first number, and the rest.
fn first_part(text: &str) -> (&str, &str) {
    let is_number = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != is_number);
    text.split_at(end.unwrap_or(text.len()))
}

// `segment` without the version `own`, and without what separates it from the name.
fn without(segment: &str, own: &str) -> String {
    if !own.contains(|c: char| c.is_ascii_digit()) {
        return segment.to_owned();
    }
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find(own) {
        let (before, after) = (&rest[..at], &rest[at + own.len()..]);
        // `.2` of `1.2` is not the version 2.
        let name = before.strip_suffix('.').unwrap_or_default();
        let starts = before.is_empty() && out.is_empty()
            || before.ends_with(['-', '_', '@'])
            || before.ends_with('.') && !name.ends_with(|c: char| c.is_ascii_digit());
        let mut next = after.chars();
        let ends = match next.next() {
            Some('.') => !next.next().is_some_and(|c| c.is_ascii_digit()),
            next => !next.is_some_and(char::is_alphanumeric),
        };
        if starts && ends {
            out.push_str(before.strip_suffix(SEPARATORS).unwrap_or(before));
        } else {
            out.push_str(&rest[..at + own.len()]);
        }
        rest = after;
    }
    out + rest
}

const SEPARATORS: [char; 4] = ['-', '_', '@', '.'];

// `guava-31.jar` is `guava.jar`.
fn without_whole(segment: &str) -> String {
    let Some((stem, extension)) = segment.rsplit_once('.') else {
        return segment.to_owned();
    };
    match stem.rsplit_once(['-', '@']) {
        Some((name, version))
            if !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_digit())
                && ARTIFACTS.contains(&extension) =>
        {
            format!("{name}.{extension}")
        }
        _ => segment.to_owned(),
    }
}

// `text` without numbers with dots, `1.2.3-rc1`, for which `is_version`, and without what separates them from a name.
fn remove(text: &str, is_version: impl Fn(&str) -> bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let in_number = at > 0 && bytes[at - 1].is_ascii_digit();
        let length = if in_number { 0 } else { version(&bytes[at..]) };
        if length == 0 || !is_version(&text[at..at + length]) {
            let end = text.ceil_char_boundary(at + length.max(1));
            out.push_str(&text[at..end]);
            at = end;
            continue;
        }
        if let Some(name) = out.strip_suffix(SEPARATORS) {
            out.truncate(name.len());
        }
        at += length;
    }
    out
}

// The bytes of the version that `text` starts with: numbers with dots, then qualifiers.
fn version(text: &[u8]) -> usize {
    let start = usize::from(text.first().is_some_and(|byte| matches!(byte, b'v' | b'V')));
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        from + count
    };
    let mut end = digits(start);
    let mut numbers = usize::from(end > start);
    while numbers > 0 && text.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
        numbers += 1;
    }
    if numbers < 2 {
        return 0;
    }
    loop {
        let separated = matches!(text.get(end), Some(b'.' | b'-' | b'_' | b'+' | b'~'));
        let from = end + usize::from(separated);
        let rest = text.get(from..).unwrap_or_default();
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic());
        let word = String::from_utf8_lossy(&rest[..letters.count()]).to_lowercase();
        let until = digits(from + word.len());
        let is_end = !text.get(until).is_some_and(u8::is_ascii_alphanumeric);
        // `1.1.1t`: a letter of the version itself.
        let is_qualifier =
            QUALIFIERS.contains(&&*word) || !separated && word.len() == 1 || word.is_empty();
        if until == from || !is_end || !is_qualifier {
            return end;
        }
        end = until;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_no_versions() {
        let table = [
            (
                "usr/lib/python3.12/site-packages/jinja2-3.1.2.dist-info/METADATA",
                "3.1.2",
                "usr/lib/python/site-packages/jinja2.dist-info/METADATA",
            ),
            (
                "usr/lib/python3/dist-packages/PyYAML.egg-info",
                "6.0",
                "usr/lib/python3/dist-packages/PyYAML.egg-info",
            ),
            (
                "usr/lib/python2.7/site-packages/setuptools-0.9.8-py2.7.egg-info/PKG-INFO",
                "0.9.8",
                "usr/lib/python/site-packages/setuptools-py.egg-info/PKG-INFO",
            ),
            (
                "srv/shop-1.0.war/WEB-INF/lib/log4j-core-2.14.0.jar",
                "2.14.0",
                "srv/shop.war/WEB-INF/lib/log4j-core.jar",
            ),
            ("app/log4j-1.2-api-2.jar", "2", "app/log4j-api.jar"),
            ("app/guava-31.1-jre.jar", "31.1-jre", "app/guava.jar"),
            ("app/guava-r09.jar", "r09", "app/guava.jar"),
            ("app/guava-18.jar", "18", "app/guava.jar"),
            (
                "app/netty-4.1.50.Final-linux-x86_64.jar",
                "4.1.50.Final",
                "app/netty-linux-x86_64.jar",
            ),
            ("app/a-1.0-SNAPSHOT.jar", "", "app/a.jar"),
            (
                "var/lib/gems/2.5.0/specifications/activesupport-6.0.2.1.gemspec",
                "6.0.2.1",
                "var/lib/gems//specifications/activesupport.gemspec",
            ),
            (
                "app/node_modules/.pnpm/express@4.18.0_react@18.2.0/node_modules/express/package.json",
                "4.18.0",
                "app/node_modules/.pnpm/express_react/node_modules/express/package.json",
            ),
            (
                "app/node_modules/x/package.json",
                "1.0.0",
                "app/node_modules/x/package.json",
            ),
            (
                "opt/conda/conda-meta/openssl-1.1.1t-h7f8727e_0.json",
                "1.1.1t",
                "opt/conda/conda-meta/openssl.json",
            ),
            ("usr/lib/libx.so.1.2.3", "", "usr/lib/libx.so"),
            ("usr/local/go1.22.1/bin/go", "1.22.1", "usr/local/go/bin/go"),
            ("srv/worker-2/bin/app", "", "srv/worker-2/bin/app"),
            ("srv/ü-1.2/x", "", "srv/ü/x"),
        ];
        for (path, own, expected) in table {
            assert_eq!(path_without_versions(path, own), expected, "{path}");
        }
    }

    #[test]
    fn a_message_has_no_versions_and_keeps_its_other_numbers() {
        let table = [
            (
                "Specify a tag in the 'FROM' statement for image 'node:22'",
                "Specify a tag in the 'FROM' statement for image 'node",
            ),
            (
                "image registry:5000/team/app:1.2-rc1 is untrusted",
                "image registry:5000/team/app is untrusted",
            ),
            ("app@sha256:0123 is old", "app is old"),
            (
                "unsupported Python version (3.8). Use Python 3.12 or higher",
                "unsupported Python version (). Use Python or higher",
            ),
            (
                "'--no-cache' is missed: apk add curl=7.88.1-r1",
                "'--no-cache' is missed: apk add curl=",
            ),
            (
                "There are 3 duplicate CMD instructions",
                "There are duplicate CMD instructions",
            ),
            (
                "should have been rotated 91 day(s) ago",
                "should have been rotated day(s) ago",
            ),
            (
                "Port 22 is open to 10.0.0.0/8",
                "Port 22 is open to 10.0.0.0/8",
            ),
            (
                "'runAsUser' > 10000 in namespace: default",
                "'runAsUser' > 10000 in namespace: default",
            ),
            ("arn:aws:s3:::b1", "arn:aws:s3:::b1"),
        ];
        for (message, expected) in table {
            let stable = stable_message(message);
            let expected: Vec<_> = expected.split_whitespace().collect();
            let stable: Vec<_> = stable.split_whitespace().collect();
            assert_eq!(stable, expected, "{message}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let sorted = [
            "",
            "9",
            "9.0",
            "9.5",
            "10.0",
            "app-1.0.war/x-2.14.0.jar",
            "app-1.0.war/x-2.14.1.jar",
            "app-1.0.war/x-2.100.jar",
            "app-2.0.war/x-1.0.jar",
            "b01",
            "b1",
            "b1a",
        ];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&other), "{a} {b}");
            }
        }
    }

    fn any_version() -> impl Strategy<Value = String> {
        let qualifier = "(|-SNAPSHOT|\\.Final|rc[1-9]|\\.post1|-[1-9]|\\.RELEASE|-beta\\.2|[a-f])";
        (r"[0-9]{1,3}(\.[0-9]{1,3}){1,3}", qualifier).prop_map(|(numbers, end)| numbers + &end)
    }

    proptest! {
        #[test]
        fn a_path_is_the_same_in_every_version(name in "[a-z][a-z0-9]{0,8}(-[a-z]{1,8})?", one in any_version(), other in any_version(), python in "3\\.[0-9]{1,2}", war in any_version()) {
            let paths = |version: &str| [
                format!("usr/lib/python{python}/site-packages/{name}-{version}.dist-info/METADATA"),
                format!("srv/shop-{war}.war/WEB-INF/lib/{name}-{version}.jar"),
                format!("gems/specifications/{name}-{version}.gemspec"),
                format!("node_modules/.pnpm/{name}@{version}/node_modules/{name}/package.json"),
            ];
            for (a, b) in paths(&one).iter().zip(paths(&other)) {
                prop_assert_eq!(path_without_versions(a, &one), path_without_versions(&b, &other));
                // Also without knowing it, as of what a package is in.
                prop_assert_eq!(path_without_versions(a, ""), path_without_versions(&b, ""));
            }
        }

        #[test]
        fn the_order_is_total(a in "[01a.]{0,6}", b in "[01a.]{0,6}", c in "[01a.]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn any_text_is_handled(path in ".{0,60}", own in ".{0,6}") {
            let once = path_without_versions(&path, &own);
            prop_assert!(once.len() <= path.len() + 5);
            stable_message(&path);
        }
    }
}
