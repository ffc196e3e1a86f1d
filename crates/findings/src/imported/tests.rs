use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn imported(file: &Value) -> Vec<ImportedRun> {
    let roots = ["/github/workspace".to_owned()];
    import(file.to_string().as_bytes(), &SourceFiles::default(), &roots).unwrap()
}

fn run_of(rules: &Value, results: &Value) -> Value {
    json!({"version": "2.1.0", "runs": [
        {"tool": {"driver": {"name": "Scanner", "rules": rules}}, "results": results},
    ]})
}

fn results(run: &ImportedRun) -> &[Value] {
    run.results()
}

#[test]
fn what_is_not_a_sarif_file_is_an_error() {
    let runs = |runs: &Value| json!({"version": "2.1.0", "runs": runs}).to_string();
    let many = vec![json!({"name": "x"}); 101];
    let table = [
        ("", "is not a SARIF file: EOF while parsing a value"),
        ("[1]", "is not a SARIF file: it has no `runs`"),
        (r#"{"runs": {}}"#, "is not a SARIF file: it has no `runs`"),
        (
            r#"{"runs": []}"#,
            "is not a SARIF file: it has no `version`",
        ),
        (
            r#"{"version": "1.0.0", "runs": []}"#,
            "has the SARIF version 1.0.0; GitHub accepts 2.1.0 only",
        ),
        (
            &runs(&json!([1])),
            "is not accepted by GitHub: run 1 is not an object",
        ),
        (
            &runs(&json!([{"tool": {"driver": {"name": "a"}}}, {"tool": {"driver": {}}}])),
            "is not accepted by GitHub: run 2 does not name its tool (`tool.driver.name`)",
        ),
        (
            &runs(&json!([{"tool": {"driver": {"name": "a"}}, "results": {}}])),
            "is not accepted by GitHub: run 1 has `results` that are not a list",
        ),
        (
            &runs(&json!([{"tool": {"driver": {"name": "a"}, "extensions": many}}])),
            "is not accepted by GitHub: run 1 has 101 extensions of its tool, over the limit of 100",
        ),
    ];
    for (text, expected) in table {
        let error = import(text.as_bytes(), &SourceFiles::default(), &[]).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    let with_mark = "\u{feff}{\"version\": \"2.1.0\", \"runs\": []}";
    assert_eq!(
        import(with_mark.as_bytes(), &SourceFiles::default(), &[]),
        Ok(Vec::new())
    );
}

#[test]
fn a_result_gets_what_github_needs() {
    let rules = json!([{"id": "R1", "shortDescription": {"text": "About R1"},
        "messageStrings": {"default": {"text": "{0} is in {1}"}}, "defaultConfiguration": {"level": "error"}}]);
    let results_of = json!([
        {"ruleIndex": 0, "message": {"id": "default", "arguments": ["a", "b"]}},
        {"ruleId": "R1", "level": "note", "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": "/github/workspace/a.py"}, "region": {"startLine": 0, "endLine": -1, "startColumn": 0}}}]},
        {"ruleId": "R2", "message": {"markdown": "*x*"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "b.py"}}}]},
        {"ruleId": "R3"},
    ]);
    let runs = imported(&run_of(&rules, &results_of));
    let all = results(&runs[0]);
    let texts: Vec<_> = all.iter().map(|r| &r["message"]["text"]).collect();
    assert_eq!(texts, ["a is in b", "About R1", "*x*", "R3"]);
    let rules: Vec<_> = all.iter().map(|r| &r["ruleId"]).collect();
    assert_eq!(rules, ["R1", "R1", "R2", "R3"]);
    let place = |at: usize| &all[at]["locations"][0]["physicalLocation"];
    assert_eq!(place(0)["artifactLocation"]["uri"], "unknown");
    assert_eq!(
        *place(1),
        json!({"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 1, "endLine": 1, "startColumn": 1}})
    );
    assert_eq!(place(2)["region"]["startLine"], 1);
    assert_eq!(
        runs[0].levels.to_string(),
        "4 results (1 error, 2 warnings, 1 note)"
    );
    same(
        &runs[0].remarks,
        &[
            "2 results without a file; shown on a file `unknown`",
            "1 path made relative to the workspace",
            "4 fingerprints added",
        ],
    );
}

fn same(found: &[String], expected: &[&str]) {
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_finding_is_left_out() {
    let results_of = json!([
        {"ruleId": "A", "suppressions": [{"kind": "inSource"}]},
        {"ruleId": "B", "suppressions": [{"kind": "external", "status": "rejected"}]},
        {"ruleId": "C", "suppressions": []},
        {"ruleId": "D", "kind": "pass"},
        {"ruleId": "E", "kind": "fail"},
        7,
    ]);
    let runs = imported(&run_of(&json!([]), &results_of));
    let left: Vec<_> = results(&runs[0]).iter().map(|r| &r["ruleId"]).collect();
    assert_eq!(left, ["B", "C", "E"]);
    same(
        &runs[0].remarks[..3],
        &[
            "1 suppressed result left out",
            "1 check left out that passed or did not apply",
            "1 result left out: not an object",
        ],
    );
}

#[test]
fn the_worst_results_are_kept_where_there_are_too_many() {
    let rules = json!([
        {"id": "LOW", "properties": {"security-severity": "2.0"}},
        {"id": "BAD", "properties": {"security-severity": 9.8}},
    ]);
    let mut all: Vec<_> = (0..RESULTS)
        .map(|at| json!({"ruleId": "LOW", "message": {"text": at.to_string()}}))
        .collect();
    all.push(json!({"ruleId": "BAD"}));
    let runs = imported(&run_of(&rules, &all.into()));
    assert_eq!(results(&runs[0]).len(), RESULTS);
    assert_eq!(results(&runs[0])[0]["ruleId"], "BAD");
    assert!(runs[0].remarks[0].starts_with("1 result of the lowest severities left out"));
    let file: Value = serde_json::from_slice(&write(&[&runs[0]], 100)).unwrap();
    assert_eq!(file["runs"][0]["results"].as_array().unwrap().len(), 100);
    assert_eq!(runs[0].omitted(100), RESULTS - 100);
}

#[test]
fn results_without_end_do_not_fill_the_memory() {
    let rules = json!([{"id": "x".repeat(1 << 20), "name": "y".repeat(1 << 20)}]);
    let mut all = vec![json!({"ruleIndex": 0, "level": "note"}); 4 * RESULTS];
    all.push(json!({"ruleId": "BAD", "level": "error"}));
    let runs = imported(&run_of(&rules, &all.into()));
    let kept = results(&runs[0]);
    assert_eq!(kept.len(), RESULTS);
    assert_eq!(kept[0]["ruleId"], "BAD");
    // What a result gets from its rule is short.
    assert_eq!(kept[1]["message"]["text"].as_str().unwrap().len(), 1024);
    assert_eq!(kept[1].get("ruleId"), None);
    let start = format!(
        "{} results of the lowest severities left out",
        3 * RESULTS + 1
    );
    assert!(
        runs[0].remarks[0].starts_with(&start),
        "{:?}",
        runs[0].remarks
    );
    let values = "[".repeat(VALUES + 1);
    let error = import(values.as_bytes(), &SourceFiles::default(), &[]).unwrap_err();
    assert_eq!(error, "has more than 16000000 values");
}

#[test]
fn a_line_has_the_fingerprint_of_githubs_uploader() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a b.py"), "x = 1\ny = 2\n").unwrap();
    let source = SourceFiles::new(directory.path());
    let at = |uri: &str, line: u32, text: &str| {
        json!({"ruleId": "R", "message": {"text": text}, "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri}, "region": {"startLine": line}}}]})
    };
    let mut with_own = at("a%20b.py", 1, "own");
    with_own["partialFingerprints"] = json!({"primaryLocationLineHash": "own", "other/v1": "x"});
    let file = run_of(
        &json!([]),
        &json!([
            at("a b.py", 2, "one"),
            at("a%20b.py", 1, "two"),
            at("a b.py", 1, "three"),
            with_own
        ]),
    );
    let runs = import(file.to_string().as_bytes(), &source, &[]).unwrap();
    let prints: Vec<_> = results(&runs[0])
        .iter()
        .map(|r| {
            r["partialFingerprints"]["primaryLocationLineHash"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(prints[0], source.line_hash("a b.py", 2).unwrap());
    // Two of one rule on one line.
    assert_ne!(prints[1], prints[2]);
    assert_eq!(prints[3], "own");
    assert_eq!(results(&runs[0])[3]["partialFingerprints"]["other/v1"], "x");
}

#[test]
fn the_id_of_an_analysis_is_kept_or_set() {
    let mut file = run_of(&json!([]), &json!(null));
    assert_eq!(imported(&file)[0].id, None);
    file["runs"][0]["automationDetails"] = json!({"id": "own/1"});
    let mut runs = imported(&file);
    assert_eq!(runs[0].id.as_deref(), Some("own/1"));
    runs[0].set_id("other/".to_owned());
    let written: Value = serde_json::from_slice(&write(&[&runs[0]], RESULTS)).unwrap();
    assert_eq!(written["runs"][0]["automationDetails"]["id"], "other/");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(3)),
        Just(json!("a.py")),
        Just(json!("/github/workspace/b.py")),
        Just(json!("R1")),
    ];
    let names = prop_oneof![
        Just("uri"),
        Just("region"),
        Just("startLine"),
        Just("endLine"),
        Just("ruleId"),
        Just("message"),
        Just("text"),
        Just("artifactLocation"),
        Just("physicalLocation"),
        Just("locations"),
        Just("partialFingerprints"),
        Just("id"),
        Just("primaryLocationLineHash"),
        Just("suppressions"),
        Just("kind"),
        Just("codeFlows"),
        Just("rule"),
        Just("index"),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((names.clone(), inner), 0..5).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Map<_, _>>()
                    .into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_result_is_complete_and_recognized(list in prop::collection::vec(any_value(), 0..8)) {
        let runs = imported(&run_of(&json!([{"id": "R1"}]), &list.into()));
        let mut added = HashSet::new();
        for result in results(&runs[0]) {
            prop_assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
            let place = &result["locations"][0]["physicalLocation"];
            prop_assert!(place["artifactLocation"]["uri"].as_str().is_some_and(|uri| !uri.starts_with('/')));
            prop_assert!(place["region"]["startLine"].as_u64() >= Some(1));
            let print = result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap();
            let own = ["a.py", "/github/workspace/b.py", "R1"].contains(&print);
            prop_assert!(own || added.insert((result["ruleId"].to_string(), print.to_owned())));
        }
    }
}
