//! The secrets of a run, and every text that leaves it without them.
//!
//! The runner masks the job log alone, and only the forms of a value that it has encoders for
//! (`Runner.Common/HostContext.cs`). Summaries, comments, issues, SARIF, outputs and files pass this one, and so does
//! the log.

mod environment;
mod forms;
mod json;
mod userinfo;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aho_corasick::{AhoCorasick, MatchKind};

use crate::Env;
use forms::Form;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// A shorter value would be found everywhere by chance, and takes seconds to guess.
const SHORTEST: usize = 4;

/// The secrets that are known so far. Cheap to clone; every clone knows the same.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    values: BTreeSet<String>,
    /// Made when it is needed.
    search: Option<Search>,
}

/// All forms of all secrets, ready to be searched for.
struct Search {
    /// The forms of each secret.
    secrets: Vec<Vec<Form>>,
    /// For each pattern of the automaton, the secrets that have a form that begins so.
    owners: Vec<Vec<usize>>,
    /// `None` when there are more forms than can be searched for.
    automaton: Option<AhoCorasick>,
}

impl Redactor {
    /// Know `value` from here on: each line of it, or, of a kubeconfig and of a document in JSON, the fields that are
    /// named like a secret. Values of less than 4 bytes, numbers of less than 8 digits and the words `true`, `false` and
    /// `null` are not searched for.
    pub(crate) fn learn(&self, value: &str) {
        let parts = environment::secrets_of_document(value)
            .unwrap_or_else(|| value.lines().map(|line| line.trim().to_owned()).collect());
        let mut known = self.known();
        for part in parts {
            if is_secret(&part) && known.values.insert(part) {
                known.search = None;
            }
        }
    }

    /// Know the secrets of the environment: variables that are named like one, and the passwords in URLs and proxies.
    pub(crate) fn learn_environment(&self, env: &Env) {
        for secret in environment::secrets(env) {
            self.learn(&secret);
        }
    }

    /// `text` without the secrets, in each form that they may have in it, and without the password of any URL.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        masked(text, &self.all_spans(text))
    }

    /// The same for the content of a file, which is text or not. A document in JSON stays one.
    pub fn redact_bytes<'a>(&self, content: &'a [u8]) -> Cow<'a, [u8]> {
        match std::str::from_utf8(content) {
            Ok(text) => match self.redact_text(text) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            Err(_) => {
                replaced(content, &self.spans(content)).map_or(Cow::Borrowed(content), Cow::Owned)
            }
        }
    }

    /// `content` without the secrets, as [`Redactor::redact_bytes`] makes it, for each place that takes nothing else: it is
    /// searched once for all of them.
    pub fn redacted(&self, content: Vec<u8>) -> Redacted {
        let changed = match self.redact_bytes(&content) {
            Cow::Owned(changed) => Some(changed),
            Cow::Borrowed(_) => None,
        };
        Redacted(changed.unwrap_or(content))
    }

    // A document in JSON, or any other text.
    fn redact_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let spans = self.all_spans(text);
        // Most documents have no secret, and to find that out they need not be parsed: what JSON escapes is among the forms,
        // and the strings with any other escape are few.
        if spans.is_empty() && !json::hides(text, |text| !self.all_spans(text).is_empty()) {
            return Cow::Borrowed(text);
        }
        let document = json::redacted(text, &spans, |text| self.redact(text));
        document.unwrap_or_else(|| masked(text, &spans))
    }

    // In the order in which they start.
    fn all_spans(&self, text: &str) -> Vec<(usize, usize)> {
        let mut spans = self.spans(text.as_bytes());
        let passwords = userinfo::passwords(text);
        if !passwords.is_empty() {
            spans.extend(passwords);
            spans.sort_unstable();
        }
        spans
    }

    // The ranges of bytes that are secret.
    fn spans(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut known = self.known();
        if known.values.is_empty() || text.is_empty() {
            return Vec::new();
        }
        let Known { values, search } = &mut *known;
        let search = search.get_or_insert_with(|| Search::of(values));
        search.spans(text)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Search {
    fn of(values: &BTreeSet<String>) -> Self {
        let secrets: Vec<Vec<Form>> = values.iter().map(|value| forms::of(value)).collect();
        let mut owners: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (secret, forms) in secrets.iter().enumerate() {
            for form in forms {
                owners.entry(form.recognized()).or_default().push(secret);
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(owners.keys());
        Self {
            owners: owners.into_values().collect(),
            automaton: automaton.ok(),
            secrets,
        }
    }

    fn spans(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let Some(automaton) = &self.automaton else {
            // Rather nothing than a secret.
            return vec![(0, text.len())];
        };
        let mut spans = Vec::new();
        for found in automaton.find_iter(text) {
            // The rest may be in another form than the beginning: escapes are nested in each other.
            let owners = self.owners[found.pattern().as_usize()].iter();
            let length = owners
                .flat_map(|secret| &self.secrets[*secret])
                .map(|form| form.common_prefix(&text[found.start()..]))
                .max();
            let end = found.end().max(found.start() + length.unwrap_or_default());
            spans.push((found.start(), end));
        }
        spans
    }
}

fn masked<'a>(text: &'a str, spans: &[(usize, usize)]) -> Cow<'a, str> {
    match replaced(text.as_bytes(), spans) {
        Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        None => Cow::Borrowed(text),
    }
}

// With a mask in the place of each of `spans`, which are in the order in which they start; one for those that touch or
// overlap. `None` if there are none.
fn replaced(text: &[u8], spans: &[(usize, usize)]) -> Option<Vec<u8>> {
    if spans.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut end = None;
    for &(start, after) in spans {
        let masked = end.unwrap_or_default();
        if end.is_none() || start > masked {
            out.extend_from_slice(&text[masked..start]);
            out.extend_from_slice(MASK.as_bytes());
        }
        end = Some(masked.max(after));
    }
    out.extend_from_slice(&text[end.unwrap_or_default()..]);
    Some(out)
}

/// Content without the secrets of the run.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted(Vec<u8>);

impl Redacted {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, as they are from here on.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redacted({} bytes)", self.0.len())
    }
}

fn is_secret(value: &str) -> bool {
    let is_number = value.bytes().all(|b| b.is_ascii_digit());
    let is_armor = value.starts_with("-----") && value.ends_with("-----");
    let shortest = if is_number { 8 } else { SHORTEST };
    value.len() >= shortest && !is_armor && !matches!(value, "true" | "false" | "null")
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.known().values.len())
    }
}

// Two texts are the same text whatever is secret in them.
impl PartialEq for Redactor {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Redactor {}

#[cfg(test)]
mod tests;
