//! A reference to another machine, in the forms that kustomize knows (kustomize/api/internal/git/repospec.go).

use http_client::Url;

/// Paths of GitHub below a repository: of files, and of pages that show them.
const FILES: &[&str] = &["archive", "raw", "releases"];
const PAGES: &[&str] = &["blob", "tree"];
/// The host of files on `github.com`.
const RAW: &str = "raw.githubusercontent.com";
/// go-getter's prefix.
const GIT: &str = "git::";
/// Digits of a commit.
pub(super) const COMMIT: usize = 40;

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// A file with objects.
    File(Url),
    /// A directory of a repository on the GitHub of the run.
    Directory {
        repository: Repository,
        path: String,
    },
}

/// A repository at a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repository {
    pub(super) owner: String,
    pub(super) name: String,
    /// A tag, a commit, or any other ref.
    pub(super) version: String,
}

impl Reference {
    /// The reference `text`; `server` is the URL of GitHub's web pages.
    ///
    /// # Errors
    /// With what is wrong, and what would be right, without a user or a password.
    pub(super) fn parse(text: &str, server: &str) -> Result<Self, String> {
        let server = host(server);
        let shown = shown(text);
        let Parts {
            is_git,
            scheme,
            user,
            rest,
            query,
        } = Parts::new(text);
        if user.is_some_and(|user| !is_account(user)) {
            return Err(credentials(&shown));
        }
        let is_web = matches!(&*scheme, "http" | "https") && !is_git;
        if let Some(inside) = below(rest, &server) {
            let version = version(query);
            let parts: Vec<_> = inside.split('/').collect();
            let is_repository = version.is_some() || is_repository(inside);
            let kind = parts.get(2).copied().unwrap_or_default();
            if is_web && !is_repository && FILES.contains(&kind) {
                return file(text);
            }
            if is_web && !is_repository && PAGES.contains(&kind) {
                return Err(format!(
                    "`{shown}` is a web page; use `raw` in place of `{kind}` for a file, and a form such as `{server}/{}/{}//deploy?ref=v1.2.0` for a directory",
                    parts[0], parts[1]
                ));
            }
            return directory(&shown, inside, version);
        }
        let inside = rest.split_once('/').map_or("", |(_, inside)| inside);
        if is_web && !is_repository(inside) {
            return file(text);
        }
        Err(format!(
            "`{shown}` is not a repository on `{server}`, and is not fetched; check it out in an earlier step, such as by `actions/checkout` with `repository` and `path`, and refer to it by its path"
        ))
    }

    /// The reference `text` of a kustomization that was fetched: its author does not decide which other hosts this machine connects to.
    ///
    /// # Errors
    /// As [`Reference::parse`], and when it leads to another host than that of `server` and its files.
    pub(super) fn parse_fetched(text: &str, server: &str) -> Result<Self, String> {
        let host = host(server);
        let elsewhere = || {
            format!(
                "it is fetched, and refers elsewhere, to `{}`; a fetched base may only refer to repositories on `{host}`, and to their files by https",
                shown(text)
            )
        };
        // The error of an address elsewhere would say how it could be fetched.
        let Parts { user, rest, .. } = Parts::new(text);
        let is_secret = user.is_some_and(|user| !is_account(user));
        let is_here =
            below(rest, &host).is_some() || (host == "github.com" && below(rest, RAW).is_some());
        if !is_here && !is_secret {
            return Err(elsewhere());
        }
        let reference = Self::parse(text, server)?;
        match &reference {
            Self::File(url) if !is_file_of(url, &host) => Err(elsewhere()),
            _ => Ok(reference),
        }
    }

    /// Whether `text` would be fetched, if need be with a version.
    pub(super) fn is_fetchable(text: &str, server: &str) -> bool {
        let is_valid = |text: &str| Self::parse(text, server).is_ok();
        is_valid(text) || (!text.contains('?') && is_valid(&format!("{text}?ref=v1")))
    }
}

impl Repository {
    /// Whether its version is a commit, or is written as a version tag, which is not expected to move.
    pub(super) fn is_pinned(&self) -> bool {
        let version = &*self.version;
        let number = version.strip_prefix(['v', 'V']).unwrap_or(version);
        let number = number.split(['-', '+']).next().unwrap_or_default();
        let mut parts = number.split('.');
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        is_commit(version, COMMIT) || version.starts_with("refs/tags/") || parts.all(is_number)
    }
}

/// Whether `text` is a commit, or an abbreviation of one with at `least` so many digits.
pub(super) fn is_commit(text: &str, least: usize) -> bool {
    (least..=COMMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `text` for a message: without a user that may be a secret, or a query that may have one.
pub(super) fn shown(text: &str) -> String {
    const KNOWN: &[&str] = &["ref", "version", "timeout", "submodules"];
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let start = scheme_end(address);
    let (scheme, rest) = address.split_at(start);
    let end = match user_end(rest, start > 0) {
        Some(end) if is_account(&rest[..end - 1]) => 0,
        Some(end) => end,
        None => password_end(rest),
    };
    let mask = if end == 0 { "" } else { "***@" };
    let mut keys = query.split('&').map(|pair| pair.split('=').next());
    let query = match query {
        "" => String::new(),
        _ if keys.all(|key| key.is_some_and(|key| KNOWN.contains(&key))) => format!("?{query}"),
        _ => "?***".to_owned(),
    };
    format!("{scheme}{mask}{}{query}", &rest[end..])
}

/// What an address consists of.
struct Parts<'a> {
    /// Whether go-getter's `git::` is before it, which kustomize ignores.
    is_git: bool,
    /// In lower case; empty if there is none.
    scheme: String,
    /// The user, with a password if it has one.
    user: Option<&'a str>,
    /// The host, and what follows.
    rest: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn new(text: &'a str) -> Self {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = address.split_at(scheme_end(address));
        let is_git = scheme.starts_with(GIT);
        let scheme = scheme.strip_prefix(GIT).unwrap_or(scheme);
        let scheme = scheme.strip_suffix("://").unwrap_or(scheme);
        let (user, rest) = match user_end(rest, !scheme.is_empty()) {
            Some(end) => (Some(&rest[..end - 1]), &rest[end..]),
            None => (None, rest),
        };
        Self {
            is_git,
            scheme: scheme.to_ascii_lowercase(),
            user,
            rest,
            query,
        }
    }
}

// Where the user or the host of `address` starts.
fn scheme_end(address: &str) -> usize {
    let start = if address.starts_with(GIT) {
        GIT.len()
    } else {
        0
    };
    let is_scheme = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match address[start..].find("://") {
        Some(end) if is_scheme(&address[start..start + end]) => start + end + "://".len(),
        _ => start,
    }
}

// Where the host starts, if there is a user before it. A file may be called `app@v2.yaml`.
fn user_end(rest: &str, has_scheme: bool) -> Option<usize> {
    let authority = rest.split('/').next().unwrap_or_default();
    let end = authority.rfind('@')? + 1;
    let is_user = has_scheme || authority[..end].contains(':') || rest[end..].contains(['/', ':']);
    is_user.then_some(end)
}

// Where the host starts, if what is before it looks like a password with a `/`, in an address that is not one.
fn password_end(rest: &str) -> usize {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.split_once(':') {
        Some((_, port)) if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) => {
            rest.rfind('@').map_or(0, |end| end + 1)
        }
        _ => 0,
    }
}

// What a repository is cloned with by SSH, which is not a secret: `git@`, `org-1234@`.
fn is_account(user: &str) -> bool {
    let number = user.strip_prefix("org-").unwrap_or_default();
    user == "git" || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn credentials(shown: &str) -> String {
    format!(
        "`{shown}` has a user or a password, which are not used: a file is fetched without credentials, and a repository with `token`; remove them"
    )
}

fn file(text: &str) -> Result<Reference, String> {
    let shown = shown(text);
    let url: Url = text
        .parse()
        .map_err(|e| format!("`{shown}` is not a URL: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(credentials(&shown));
    }
    if !http_client::is_confidential(&url) {
        return Err(format!(
            "`{shown}` could be changed on the way to this machine; use https"
        ));
    }
    Ok(Reference::File(url))
}

// Whether `url` is a file of a repository on `server`, or of its host for files.
fn is_file_of(url: &Url, server: &str) -> bool {
    let host = authority(url).unwrap_or_default();
    url.scheme() == "https" && (host == server || (server == "github.com" && host == RAW))
}

// `inside` is what follows the host; `text` is for messages.
fn directory(text: &str, inside: &str, version: Option<String>) -> Result<Reference, String> {
    let invalid = || {
        format!(
            "`{text}` is not a directory of a repository; use a form such as `github.com/octo-org/app//deploy?ref=v1.2.0`"
        )
    };
    let (repository, path) = match inside.split_once("//") {
        Some(parts) => parts,
        // Without the mark, owner and name are the first two parts.
        None => match inside.match_indices('/').nth(1) {
            Some((end, _)) => (&inside[..end], &inside[end + 1..]),
            None => (inside, ""),
        },
    };
    let (owner, name) = repository.split_once('/').ok_or_else(invalid)?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let path: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    if !is_name(owner) || !is_name(name) || path.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(invalid());
    }
    let Some(version) = version else {
        return Err(format!(
            "`{text}` has no version, so that another one could be deployed at any time; add a tag or a commit, such as `?ref=v1.2.0`"
        ));
    };
    if !is_version(&version) {
        return Err(format!("`{text}`: `{version}` is not a tag or a commit"));
    }
    Ok(Reference::Directory {
        repository: Repository {
            owner: owner.to_owned(),
            name: name.to_owned(),
            version,
        },
        path: path.join("/"),
    })
}

// The host of `server`, with its port if it has one.
fn host(server: &str) -> String {
    let host = Url::parse(server).ok().and_then(|url| authority(&url));
    host.unwrap_or_else(|| "github.com".to_owned())
}

// The host of `url`, with its port if it has one.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

// What follows `host` in `rest`, which may be in the form of scp, `host:owner/name`.
fn below<'a>(rest: &'a str, host: &str) -> Option<&'a str> {
    let (start, inside) = rest.split_at_checked(host.len())?;
    let inside = inside.strip_prefix(['/', ':'])?;
    start.eq_ignore_ascii_case(host).then_some(inside)
}

// Whether `inside`, what follows a host, has a mark of a repository.
fn is_repository(inside: &str) -> bool {
    let mut parts = inside.split('/');
    inside.contains("//") || parts.any(|part| part == "_git" || part.strip_suffix(".git").is_some())
}

// `ref`, or its other name `version`. The time and the submodules are not for an archive.
fn version(query: &str) -> Option<String> {
    let url = Url::parse(&format!("https://example.com/?{query}")).ok()?;
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.into_owned())
    };
    value("ref").or_else(|| value("version"))
}

// Whether it can be the name of an account or a repository.
fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !matches!(name, "" | "." | "..") && name.chars().all(is_allowed)
}

// Whether it can be a ref (git-check-ref-format), as far as a URL needs it.
fn is_version(version: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_graphic() && !r"~^:?*[\".contains(c);
    version.chars().all(is_allowed)
        && version
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &str = "https://github.com";

    fn parsed(text: &str) -> String {
        match Reference::parse(text, GITHUB) {
            Ok(Reference::File(url)) => format!("file {url}"),
            Ok(Reference::Directory { repository, path }) => {
                let Repository {
                    owner,
                    name,
                    version,
                } = repository;
                format!("{owner} {name} {version} {path}")
            }
            Err(problem) => problem,
        }
    }

    #[test]
    fn references_are_read_as_kustomize_reads_them() {
        let table = [
            ("github.com/o/r//path?ref=v1", "o r v1 path"),
            ("https://github.com/o/r//path?ref=v1", "o r v1 path"),
            ("https://github.com/o/r.git//path?ref=v1", "o r v1 path"),
            ("https://github.com/o/r.git/path?ref=v1", "o r v1 path"),
            ("git@github.com:o/r//path?ref=v1", "o r v1 path"),
            ("git@github.com:o/r.git?ref=v1", "o r v1 "),
            ("git@github.com/o/r.git//a/b?ref=v1", "o r v1 a/b"),
            ("org-12345@github.com:o/r?ref=v1", "o r v1 "),
            ("ssh://git@github.com/o/r//path?ref=v1", "o r v1 path"),
            ("git::https://github.com/o/r//path?ref=v1", "o r v1 path"),
            ("git::git@github.com:o/r.git//path?ref=v1", "o r v1 path"),
            ("github.com/o/r/a/b?ref=v1", "o r v1 a/b"),
            ("GitHub.com/o/r/a/?ref=v1", "o r v1 a"),
            ("github.com:o/r//a?ref=v1", "o r v1 a"),
            ("http://github.com/o/r/a?ref=v1", "o r v1 a"),
            ("HTTPS://GITHUB.COM/o/r/a?ref=v1", "o r v1 a"),
            ("github.com/o/r?version=v1", "o r v1 "),
            ("github.com/o/r?version=v1&ref=v2", "o r v2 "),
            (
                "github.com/o/r//a?timeout=120&submodules=false&ref=release%2Fv1",
                "o r release/v1 a",
            ),
            (
                "github.com/o/r//a///b/?ref=refs/tags/v1",
                "o r refs/tags/v1 a/b",
            ),
            (
                "https://github.com/o/r/tree/main/a?ref=v1",
                "o r v1 tree/main/a",
            ),
            ("github.com/o/r.github.io//a?ref=v1", "o r.github.io v1 a"),
            (
                "https://github.com/o/r/releases/download/v1/install.yaml",
                "file https://github.com/o/r/releases/download/v1/install.yaml",
            ),
            (
                "https://github.com/o/r/raw/v1/a.yaml",
                "file https://github.com/o/r/raw/v1/a.yaml",
            ),
            (
                "https://raw.githubusercontent.com/o/r/v1/a.yaml",
                "file https://raw.githubusercontent.com/o/r/v1/a.yaml",
            ),
            (
                "https://example.com/api/files/raw?ref=v1",
                "file https://example.com/api/files/raw?ref=v1",
            ),
            ("http://127.0.0.1:80/a.yaml", "file http://127.0.0.1/a.yaml"),
        ];
        for (text, expected) in table {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_fetched_says_what_to_do() {
        let version = "has no version, so that";
        let elsewhere = "is not a repository on `github.com`, and is not fetched; check it out";
        let invalid = "is not a directory of a repository; use a form such as";
        let table = [
            ("github.com/o/r", version),
            ("github.com/o/r//path", version),
            ("github.com/o/r//path?ref=", version),
            ("https://github.com/o/r/path/a.yaml", version),
            ("git@github.com:o/r.git", version),
            ("github.com/o", invalid),
            ("github.com/o//r?ref=v1", invalid),
            ("github.com//r/path?ref=v1", invalid),
            ("github.com/o/r/x//path?ref=v1", invalid),
            ("github.com/o/r//../path?ref=v1", invalid),
            ("github.com/../r//path?ref=v1", invalid),
            (
                "github.com/o/r//path?ref=../../x",
                "is not a tag or a commit",
            ),
            ("github.com/o/r//path?ref=a%20b", "is not a tag or a commit"),
            (
                "https://github.com/o/r/blob/v1/a.yaml",
                "is a web page; use `raw`",
            ),
            (
                "https://github.com/o/r/tree/v1/a",
                "`github.com/o/r//deploy?ref=v1.2.0`",
            ),
            ("https://gitlab.com/o/r.git//path?ref=v1", elsewhere),
            ("https://gitlab.com/o/r//path?ref=v1", elsewhere),
            (
                "https://dev.azure.com/o/p/_git/r/path?version=v1",
                elsewhere,
            ),
            ("gitlab.com/o/r?ref=v1", elsewhere),
            ("git@gitlab.com:o/r.git?ref=v1", elsewhere),
            ("git::https://example.com/o/r", elsewhere),
            ("ssh://example.com/o/r?ref=v1", elsewhere),
            ("file:///o/r", elsewhere),
            ("github.com.example.com/o/r?ref=v1", elsewhere),
            ("http://example.com/a.yaml", "use https"),
            (
                "https://me:secret@example.com/a.yaml",
                "without credentials",
            ),
            ("https:///", "is not a URL"),
        ];
        for (text, expected) in table {
            let problem = parsed(text);
            assert!(problem.contains(expected), "{text}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn credentials_are_rejected_and_not_shown() {
        let credentials = "has a user or a password";
        let table = [
            (
                "https://x-access-token:secret@github.com/o/r//p?ref=v1",
                credentials,
            ),
            ("https://secret@github.com/o/r//p?ref=v1", credentials),
            ("git::https://a:secret@github.com/o/r?ref=v1", credentials),
            ("ssh://git:secret@github.com/o/r?ref=v1", credentials),
            ("ghp_secret@github.com/o/r//p?ref=v1", credentials),
            ("ghp-secret@github.com:o/r?ref=v1", credentials),
            ("a:secret@github.com:o/r?ref=v1", credentials),
            ("https://secret@gitlab.com/o/r.git?ref=v1", credentials),
            ("https://secret:x@example.com/a.yaml", credentials),
            ("https://a:se/secret@github.com/o/r", "is not a URL"),
            ("https:/a:secret@github.com/o/r", "is not a repository"),
            ("http://example.com/a.yaml?sig=secret", "use https"),
        ];
        for (text, expected) in table {
            for problem in [
                parsed(text),
                Reference::parse_fetched(text, GITHUB).unwrap_err(),
            ] {
                assert!(!problem.contains("secret"), "{problem}");
            }
            let problem = parsed(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn a_reference_is_shown_without_secrets() {
        let table = [
            (
                "git@github.com:o/r//p?ref=v1",
                "git@github.com:o/r//p?ref=v1",
            ),
            ("https://u:p@example.com/a", "https://***@example.com/a"),
            (
                "https://example.com/a@1/b.yaml",
                "https://example.com/a@1/b.yaml",
            ),
            (
                "https://example.com:8443/a@1",
                "https://example.com:8443/a@1",
            ),
            (
                "https://example.com/a?token=x&ref=v1",
                "https://example.com/a?***",
            ),
            (
                "github.com/o/r?version=v1&timeout=9",
                "github.com/o/r?version=v1&timeout=9",
            ),
            ("app@v2.yaml", "app@v2.yaml"),
            ("base/app@v2/a.yaml", "base/app@v2/a.yaml"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_fetched_base_refers_to_the_server_alone() {
        let table = [
            ("github.com/o/r//path?ref=v1", ""),
            ("git@github.com:o/r//path?ref=v1", ""),
            ("https://github.com/o/r/raw/v1/a.yaml", ""),
            ("https://raw.githubusercontent.com/o/r/v1/a.yaml", ""),
            (
                "http://raw.githubusercontent.com/o/r/v1/a.yaml",
                "use https",
            ),
            ("github.com/o/r", "has no version"),
            ("https://10.0.0.1/a.yaml", "refers elsewhere"),
            ("https://internal.example.com/a.yaml", "refers elsewhere"),
            ("https://github.com.example.com/a.yaml", "refers elsewhere"),
            ("http://127.0.0.1:80/a.yaml", "refers elsewhere"),
            ("http://localhost/a.yaml", "refers elsewhere"),
            ("https://gitlab.com/o/r.git?ref=v1", "refers elsewhere"),
            ("file:///etc", "refers elsewhere"),
        ];
        for (text, expected) in table {
            let problem = Reference::parse_fetched(text, GITHUB).err();
            let problem = problem.unwrap_or_default();
            assert!(problem.contains(expected), "{text}: {problem}");
            assert_eq!(problem.is_empty(), expected.is_empty(), "{text}: {problem}");
        }
        let raw = "https://raw.githubusercontent.com/o/r/v1/a.yaml";
        assert!(Reference::parse_fetched(raw, "https://ghe.example.com").is_err());
    }

    #[test]
    fn what_would_be_fetched_has_a_hint() {
        let table = [
            ("https://example.com/a.yaml", true),
            ("github.com/o/r", true),
            ("github.com/o/r//path?ref=v1", true),
            ("file:///etc", false),
            ("https://gitlab.com/o/r.git?ref=v1", false),
            ("git@gitlab.com:o/r", false),
            ("deploy@v2.yaml", false),
            ("https://a:b@github.com/o/r?ref=v1", false),
        ];
        for (text, expected) in table {
            assert_eq!(Reference::is_fetchable(text, GITHUB), expected, "{text}");
        }
    }

    #[test]
    fn versions_that_move_are_known() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let table = [
            (sha, true),
            ("v1", true),
            ("1.2.3", true),
            ("v1.2.3-rc.1", true),
            ("refs/tags/stable", true),
            ("main", false),
            ("release/v1", false),
            ("refs/heads/v1", false),
            ("v", false),
            ("v1-", true),
            ("1.x", false),
        ];
        for (version, expected) in table {
            let repository = Repository {
                owner: "o".into(),
                name: "r".into(),
                version: version.into(),
            };
            assert_eq!(repository.is_pinned(), expected, "{version}");
        }
    }

    #[test]
    fn the_server_is_that_of_the_run() {
        let parse = |text: &str, server: &str| Reference::parse(text, server).is_ok();
        let reference = "git@ghe.example.com:o/r//path?ref=v1";
        assert!(parse(reference, "https://ghe.example.com"));
        assert!(!parse(reference, GITHUB));
        assert!(!parse("github.com/o/r?ref=v1", "https://ghe.example.com"));
        assert!(parse(
            "ghe.example.com:8443/o/r?ref=v1",
            "https://ghe.example.com:8443/"
        ));
    }
}
