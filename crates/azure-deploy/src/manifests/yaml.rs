//! YAML as kubectl reads it: sigs.k8s.io/yaml makes JSON of what go-yaml 2 reads, which is YAML 1.1. The keys too: `on`, `no` and
//! `y` are `true` and `false` unless they are quoted, `0x1F` is `31`, and `null` is rejected.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The key whose value is merged into its mapping. To the parser a quoted one is the same, which no field of Kubernetes is.
const MERGE: &str = "<<";
/// A float with a smaller or larger exponent is written with it (Go, `strconv.FormatFloat` with `g`).
const PLAIN_EXPONENTS: std::ops::Range<i32> = -4..6;

/// Every document of `text` that is not empty.
///
/// # Errors
/// When it is not YAML, or has a key that kubectl rejects, or twice.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        // Keys may be equal only as kubectl reads them, and go-yaml merges in the order of the keys.
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_saphyr::MergeKeyPolicy::AsOrdinary,
    };
    let documents: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options)?;
    Ok(documents.into_iter().map(|Node(value)| value).collect())
}

/// A node of a document.
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Self)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (mut fields, mut own) = (Map::new(), BTreeSet::new());
        while let Some(key) = entries.next_key_seed(Key(&own))? {
            let Node(value) = entries.next_value()?;
            if key == MERGE {
                merge(&mut fields, value).map_err(A::Error::custom)?;
                continue;
            }
            fields.insert(key.clone(), value);
            own.insert(key);
        }
        Ok(fields.into())
    }
}

// Of several mappings, the first one that has a key counts; a key of the mapping itself counts if it comes later.
fn merge(fields: &mut Map<String, Value>, merged: Value) -> Result<(), &'static str> {
    const INVALID: &str = "`<<` merges a mapping, or a list of mappings, and nothing else";
    match merged {
        Value::Object(merged) => fields.extend(merged),
        Value::Array(list) => {
            for merged in list.into_iter().rev() {
                let Value::Object(merged) = merged else {
                    return Err(INVALID);
                };
                fields.extend(merged);
            }
        }
        _ => return Err(INVALID),
    }
    Ok(())
}

/// A key of a mapping that has these keys.
struct Key<'a>(&'a BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = deserializer.deserialize_any(KeyVisitor)?;
        if self.0.contains(&key) {
            return Err(D::Error::custom(format!("duplicate mapping key: {key}")));
        }
        Ok(key)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a boolean as the key of a mapping")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
        Ok(float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<String, E> {
        Ok(value.to_owned())
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Err(E::custom(
            "a key is empty or `null`, which is not a key; put it in quotes",
        ))
    }
}

// Of 32 bits, as sigs.k8s.io/yaml writes the key.
fn float(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the precision that a key has for kubectl"
    )]
    let value = value as f32;
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !PLAIN_EXPONENTS.contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // By `kubectl annotate --local --output=json`, 1.32.
    #[test]
    fn keys_are_read_as_kubectl_reads_them() {
        let table = [
            ("on", "true"),
            ("Yes", "true"),
            ("y", "true"),
            ("TRUE", "true"),
            ("off", "false"),
            ("N", "false"),
            ("1", "1"),
            ("01", "1"),
            ("017", "15"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("1_000", "1000"),
            ("+12", "12"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("123456789012345678901", "1.2345679e+20"),
            ("1.5e-7", "1.5e-07"),
            ("2001-01-01", "2001-01-01"),
            ("1:30", "1:30"),
            ("'on'", "on"),
            ("\"1\"", "1"),
            ("!!str on", "on"),
            ("!!int \"7\"", "7"),
            ("app.ini", "app.ini"),
            ("\"\"", ""),
        ];
        let mut problems = Vec::new();
        for (key, expected) in table {
            let read = documents(&format!("data:\n  {key}: v\n"));
            let read = read.map(|mut documents| documents.remove(0));
            let expected = json!({"data": {expected: "v"}});
            if !read.as_ref().is_ok_and(|read| *read == expected) {
                problems.push(format!("{key}: {read:?}, not {expected}"));
            }
        }
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn what_is_merged_counts_in_the_order_of_the_keys() {
        let table = [
            ("{<<: {a: 1}, a: 2}", json!({"a": 2})),
            ("{a: 2, <<: {a: 1, b: 3}}", json!({"a": 1, "b": 3})),
            ("{<<: [{a: 1}, {a: 2, c: 3}]}", json!({"a": 1, "c": 3})),
            ("{<<: {a: 1}, <<: {b: 2}}", json!({"a": 1, "b": 2})),
            ("{<<: {on: 1}, 'true': 2}", json!({"true": 2})),
        ];
        for (text, expected) in table {
            let read = documents(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(read, [expected], "{text}");
        }
        let anchors = "base: &b {on: x}\ndata:\n  <<: *b\n  k: v\n";
        let read = documents(anchors).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(read[0]["data"], json!({"true": "x", "k": "v"}));
    }

    #[test]
    fn a_key_that_is_none_or_twice_there_is_an_error_with_its_line() {
        let table = [
            ("a: 1\nb:\n  ~: x\n", "line 3", "a key is empty or `null`"),
            (
                "a: 1\nb:\n  null: x\n",
                "line 3",
                "a key is empty or `null`",
            ),
            ("a: 1\n[b]: x\n", "line 2", "as the key of a mapping"),
            (
                "a:\n  on: 1\n  'true': 2\n",
                "line 3",
                "duplicate mapping key: true",
            ),
            (
                "a:\n  1: x\n  0x1: y\n",
                "line 3",
                "duplicate mapping key: 1",
            ),
            ("a: 1\na: 2\n", "line 2", "duplicate mapping key: a"),
            ("a:\n  <<: x\n", "", "`<<` merges a mapping"),
        ];
        for (text, line, problem) in table {
            let error = documents(text).map_err(|e| e.to_string()).unwrap_err();
            let first = error.lines().next().unwrap_or_default();
            assert!(first.contains(line), "{text}: {error}");
            assert!(first.contains(problem), "{text}: {error}");
        }
    }
}
