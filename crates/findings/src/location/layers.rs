//! Which instruction of the Dockerfile made a layer.
//!
//! The image's history has one entry for each instruction and marks those that made no layer (OCI image
//! specification, `history[].empty_layer`); the text of the instruction differs by builder, and variables have their
//! values in it (BuildKit: `frontend/dockerfile/dockerfile2llb/convert.go`, `dispatchRun`, `dispatchCopy`,
//! `dispatchWorkdir`). Instructions whose text is the same in both are found by it; between those, the others are found by
//! their place. Two stages may have the same layers: then the settings decide, which make none.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use docker::{Dockerfile, Instruction};
use serde_json::Value;
use trivy::report::Metadata;

use super::Location;

/// Stages of which the image may be.
const STAGES: usize = 50;
/// Blanks in the values of build arguments, and one more.
const BLANKS: usize = 20;
/// Bytes of a command that may be compared once for each of these blanks.
const LONG: usize = 4096;
/// Options of a shell that are followed by a command, in one entry.
const SHELLS: usize = 3;

/// The layers of an image, located in a Dockerfile.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// The line of the `FROM` of the base image.
    pub(super) base: u32,
    /// By diff id; layers of the base image are not in it.
    pub(super) locations: HashMap<String, Location>,
    /// How many layers are found by the text of their instruction.
    pub(super) by_text: usize,
}

/// The layers in the Dockerfile at `path`, whose text is `text`: of the stage that the image is of.
pub(crate) fn locate(path: &str, text: &str, metadata: &Metadata) -> Layers {
    let file = Dockerfile::parse(text);
    let entries = entries(metadata);
    let settings = settings(metadata);
    let lines: Vec<&str> = text.lines().collect();
    let by_key = by_key(&entries);
    let located = file.chains().take(STAGES).map(|chain| {
        let makers: Vec<_> = chain
            .iter()
            .filter_map(|instruction| Maker::new(instruction, &lines))
            .collect();
        let found = find(&entries, &by_key, &makers);
        let matched = found.by_text + found.by_place;
        // A longer chain is not better: the image of an earlier stage has none of its layers.
        let missing = makers.iter().filter(|maker| !maker.is_optional).count();
        let score = 2 * found.by_text + matched;
        let score = score.saturating_sub(missing.saturating_sub(matched));
        ((score, common(&settings, &chain)), chain, makers, found)
    });
    // Of equal ones the last stage, which comes first.
    let best = located.reduce(|best, other| if other.0 > best.0 { other } else { best });
    let Some((_, chain, makers, found)) = best else {
        return Layers {
            base: 1,
            ..Layers::default()
        };
    };
    let mut locations = HashMap::new();
    for (entry, maker) in found.pairs {
        let instruction = makers[maker].instruction;
        let location = Location::new(path, instruction.line, instruction.end_line);
        locations.insert(entries[entry].diff_id.to_owned(), location);
    }
    Layers {
        base: chain.first().map_or(1, |from| from.line),
        locations,
        by_text: found.by_text,
    }
}

/// Instructions that set something in the image and make no layer.
const SETTINGS: [&str; 6] = ["CMD", "ENTRYPOINT", "ENV", "LABEL", "STOPSIGNAL", "USER"];

// The settings in the history.
fn settings(metadata: &Metadata) -> HashSet<String> {
    history(metadata)
        .iter()
        .filter(|entry| entry["empty_layer"] == Value::Bool(true))
        .filter_map(|entry| {
            let created_by = entry["created_by"].as_str()?;
            // As the builder before BuildKit has it.
            let legacy = created_by.split_once("#(nop)").map(|(_, setting)| setting);
            let setting = legacy.unwrap_or(created_by).trim();
            let (keyword, arguments) = setting.split_once(' ')?;
            setting_key(keyword, arguments)
        })
        .collect()
}

// `CMD ["a", "b"]` is `CMD ["a" "b"]` in the history, `CMD a b` is `CMD ["/bin/sh" "-c" "a b"]`, and `ENV A="b"` is `ENV A=b`.
fn setting_key(keyword: &str, arguments: &str) -> Option<String> {
    let keyword = SETTINGS.into_iter().find(|known| *known == keyword)?;
    let plain = arguments
        .replace(',', " ")
        .replace(['[', ']', '"', '\''], "");
    let plain = one_line(&plain);
    let plain = plain.strip_prefix("/bin/sh -c ").unwrap_or(&plain);
    Some(format!("{keyword} {plain}"))
}

// How many settings of `chain` the image has, and how few it lacks. One with a variable has its value there. Without any in
// the history, they decide nothing.
fn common(settings: &HashSet<String>, chain: &[&Instruction]) -> (usize, Reverse<usize>) {
    if settings.is_empty() {
        return (0, Reverse(0));
    }
    let own = chain
        .iter()
        .filter(|instruction| !instruction.body.contains('$'))
        .filter_map(|instruction| setting_key(&instruction.keyword, &instruction.body));
    let (present, missing): (Vec<_>, Vec<_>) = own.partition(|own| settings.contains(own));
    (present.len(), Reverse(missing.len()))
}

/// Keyword and arguments of an instruction, with single blanks.
type Key = (&'static str, String);

/// A layer and what the history has of it.
struct Entry<'a> {
    keyword: &'static str,
    /// The texts of instructions that may have made it.
    keys: Vec<Key>,
    /// Whether its text is that of the instruction.
    is_comparable: bool,
    diff_id: &'a str,
}

fn history(metadata: &Metadata) -> &[Value] {
    let history = metadata.image_config.pointer("/history");
    let history = history.and_then(Value::as_array);
    history.map(Vec::as_slice).unwrap_or_default()
}

// The layers, the base image's first.
fn entries(metadata: &Metadata) -> Vec<Entry<'_>> {
    let made: Vec<_> = history(metadata)
        .iter()
        .filter(|entry| entry["empty_layer"] != Value::Bool(true))
        .map(|entry| entry["created_by"].as_str().unwrap_or_default())
        .collect();
    // A base image may lack a part of its history.
    let made = made.into_iter().rev();
    let layers = made.zip(metadata.diff_ids.iter().rev());
    let mut entries: Vec<_> = layers
        .map(|(created_by, diff_id)| Entry::new(created_by, diff_id))
        .collect();
    entries.reverse();
    entries
}

impl<'a> Entry<'a> {
    // `RUN |1 A=b /bin/sh -c apt-get update # buildkit`, `/bin/sh -c apt-get update`, `COPY a b # buildkit`,
    // `/bin/sh -c #(nop) COPY dir:4fde… in /app `.
    fn new(created_by: &str, diff_id: &'a str) -> Self {
        let words: Vec<&str> = created_by.split_whitespace().collect();
        let words = words.strip_suffix(&["#", "buildkit"]).unwrap_or(&words);
        let (words, is_comparable) = match words {
            [_, "-c", "#(nop)", rest @ ..] => (rest, false),
            words => (words, true),
        };
        let (keyword, arguments) = match words {
            [keyword, rest @ ..] => match *keyword {
                "RUN" => ("RUN", rest),
                "COPY" => ("COPY", rest),
                "ADD" => ("ADD", rest),
                "WORKDIR" => ("WORKDIR", rest),
                _ => ("RUN", words),
            },
            [] => ("RUN", words),
        };
        let keys = match keyword {
            "RUN" => commands(arguments),
            _ => vec![without_options(arguments)],
        };
        Self {
            keyword,
            keys: keys.into_iter().map(|key| (keyword, key)).collect(),
            is_comparable,
            diff_id,
        }
    }
}

// The commands that may have run: after the build arguments, `|2 A=b C=d`, and after the shell. The value of an argument
// may have blanks, so that it is unknown where a command without a shell begins, and a shell any options.
fn commands(words: &[&str]) -> Vec<String> {
    let count = words.first().and_then(|word| word.strip_prefix('|'));
    let count = count.and_then(|count| count.parse::<usize>().ok());
    let arguments = count.map_or(0, |count| count.saturating_add(1));
    let length = words.iter().map(|word| word.len()).sum::<usize>();
    let starts = match count {
        Some(_) if length <= LONG => BLANKS,
        _ => 1,
    };
    let execs = (arguments..words.len()).map(|at| &words[at..]).take(starts);
    let is_shell = |word: &&str| {
        let letters = word
            .strip_prefix('-')
            .and_then(|word| word.strip_suffix('c'));
        letters.is_some_and(|letters| letters.chars().all(|c| c.is_ascii_alphabetic()))
    };
    let shells = (0..words.len()).filter(|at| is_shell(&words[*at]));
    let after = shells.map(|at| &words[at + 1..]).take(SHELLS);
    execs.chain(after).map(|words| words.join(" ")).collect()
}

fn without_options(words: &[&str]) -> String {
    let words = words.iter().skip_while(|word| word.starts_with("--"));
    words.copied().collect::<Vec<_>>().join(" ")
}

/// An instruction that makes a layer.
struct Maker<'a> {
    instruction: &'a Instruction,
    keyword: &'static str,
    /// Its text in the history, if that can be known.
    key: Option<Key>,
    /// Whether it may make no layer: the directory of a `WORKDIR` may exist.
    is_optional: bool,
}

impl<'a> Maker<'a> {
    fn new(instruction: &'a Instruction, lines: &[&str]) -> Option<Self> {
        let keyword = match instruction.keyword.as_str() {
            "RUN" => "RUN",
            "COPY" => "COPY",
            "ADD" => "ADD",
            "WORKDIR" => "WORKDIR",
            _ => return None,
        };
        let words: Vec<&str> = instruction.body.split(' ').collect();
        let body = without_options(&words);
        let exec = serde_json::from_str::<Vec<String>>(&body).ok();
        let exec = exec.map(|words| one_line(&words.join(" ")));
        let text = match (keyword, exec) {
            ("RUN", Some(exec)) => Some(exec),
            ("RUN", None) => Some(command(&body, instruction, lines)),
            // Variables are replaced by their values, and a heredoc is a file of its name.
            (_, exec) => exec
                .or(Some(body))
                .filter(|text| !text.contains(['$', '<', '"', '\'', '\\'])),
        };
        // A relative one is joined with the one before.
        let text = text.filter(|text| keyword != "WORKDIR" || text.starts_with('/'));
        Some(Self {
            instruction,
            keyword,
            key: text.map(|text| (keyword, text)),
            is_optional: keyword == "WORKDIR",
        })
    }
}

// The command of a `RUN` in the form of a shell.
fn command(body: &str, instruction: &Instruction, lines: &[&str]) -> String {
    if !body.contains("<<") || instruction.end_line == instruction.line {
        return body.to_owned();
    }
    let index = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
    let all = lines.get(index(instruction.line) - 1..index(instruction.end_line));
    let all = all.unwrap_or_default();
    let opening = all.iter().position(|line| line.contains("<<"));
    let below = all
        .get(opening.unwrap_or_default() + 1..)
        .unwrap_or_default();
    let name = body
        .strip_prefix("<<")
        .map(|name| name.trim_start_matches('-'));
    let name = name.map(|name| name.trim_matches(['"', '\'']));
    let is_whole = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match (name.filter(is_whole), below.split_last()) {
        (Some(name), Some((_, content))) => {
            if content
                .first()
                .is_some_and(|line| line.trim_start().starts_with("#!"))
            {
                return format!("/dev/pipes/{name}");
            }
            one_line(&content.join("\n"))
        }
        // The shell gets the whole.
        _ => one_line(&format!("{body}\n{}", below.join("\n"))),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// The entries by each of their keys, in order.
fn by_key<'a>(entries: &'a [Entry<'_>]) -> HashMap<&'a Key, Vec<usize>> {
    let mut by_key: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        for key in &entry.keys {
            by_key.entry(key).or_default().push(at);
        }
    }
    by_key
}

/// Pairs of an entry and a maker.
#[derive(Default)]
struct Found {
    pairs: Vec<(usize, usize)>,
    by_text: usize,
    by_place: usize,
}

// Both lists are a stranger's: neither is searched for every item of the other.
fn find(entries: &[Entry<'_>], by_key: &HashMap<&Key, Vec<usize>>, makers: &[Maker<'_>]) -> Found {
    // From the end: the base image's layers come first, and may have the same text.
    let mut bound = entries.len();
    let mut by_text = Vec::new();
    for (at, maker) in makers.iter().enumerate().rev() {
        let same = maker.key.as_ref().and_then(|key| by_key.get(key));
        let Some(same) = same else {
            continue;
        };
        let before = same.partition_point(|entry| *entry < bound);
        if let Some(entry) = before.checked_sub(1).map(|last| same[last]) {
            by_text.push((entry, at));
            bound = entry;
        }
    }
    let mut found = Found {
        by_text: by_text.len(),
        ..Found::default()
    };
    // Between two of them, and before the first and after the last.
    let mut end = (entries.len(), makers.len());
    for start in by_text.iter().copied().map(Some).chain([None]) {
        let from = start.map_or((0, 0), |(entry, maker)| (entry + 1, maker + 1));
        let is_first = start.is_none();
        let pairs = by_place(&entries[from.0..end.0], &makers[from.1..end.1], is_first);
        found.by_place += pairs.len();
        let absolute = pairs
            .into_iter()
            .map(|(entry, maker)| (from.0 + entry, from.1 + maker));
        found.pairs.extend(absolute);
        if let Some(start) = start {
            found.pairs.push(start);
            end = start;
        }
    }
    found
}

// The pairs of entries and makers between two that are known, if the keywords of all agree; before the first, entries are
// left over, which are the base image's.
fn by_place(entries: &[Entry<'_>], makers: &[Maker<'_>], is_first: bool) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut left = entries.len();
    for (at, maker) in makers.iter().enumerate().rev() {
        let last = left.checked_sub(1).map(|last| &entries[last]);
        match last {
            Some(entry) if entry.keyword == maker.keyword => {
                left -= 1;
                // Where both texts are known, they differ.
                if maker.key.is_none() || !entry.is_comparable {
                    pairs.push((left, at));
                }
            }
            _ if maker.is_optional => {}
            _ => return Vec::new(),
        }
    }
    if left > 0 && !is_first {
        return Vec::new();
    }
    pairs
}

#[cfg(test)]
mod tests;
