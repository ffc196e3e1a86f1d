use actions_toolkit::Workspace;

use super::*;

fn source_map() -> (tempfile::TempDir, SourceMap) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("app/board")).unwrap();
    std::fs::write(directory.path().join("app/board/page.py"), "").unwrap();
    let source_map = SourceMap {
        workspace: Workspace::new(directory.path()),
        context: directory.path().join("app"),
        workdir: "/srv".into(),
        module: None,
        index: crate::source_map::FileIndex::default(),
    };
    (directory, source_map)
}

fn cobertura(sources: &str, name: &str) -> String {
    format!(
        "<?xml version='1.0'?><!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'>\
         <coverage><sources>{sources}</sources><packages><package><classes><class filename='{name}'><methods/><lines>\
         <line number='1' hits='1'/><line number='2' hits='3' branch='true' condition-coverage='50% (1/2)'/>\
         <line number='4' hits='0'/><line number='5' hits='0'/></lines></class></classes></package></packages></coverage>"
    )
}

#[test]
fn the_change_is_that_of_the_two_percentages() {
    let coverage = |covered, total| Coverage {
        files: vec![FileCoverage {
            covered,
            total,
            ..FileCoverage::default()
        }],
        claimed: None,
    };
    let table = [
        ((1, 2), (1, 2), "±0.00"),
        ((2, 3), (1, 3), "+33.33"),
        ((9_000, 10_000), (9_052, 10_000), "-0.52"),
        ((1, 1), (0, 1), "+100.00"),
    ];
    for ((covered, total), (base, base_total), change) in table {
        let own = coverage(covered, total);
        assert_eq!(own.change(&coverage(base, base_total)), change);
    }
    let base = Coverage::totals(b"SF:a.js\nDA:1,1\nDA:2,0\nend_of_record\n").unwrap();
    assert_eq!(base.percent(), "50.00");
}

#[test]
fn both_formats_have_the_same_result() {
    let (_directory, source_map) = source_map();
    let json = r#"{"meta": {}, "totals": {"covered_lines": 2, "num_statements": 4}, "files": {"board/page.py": {"missing_lines": [5, 4], "executed_lines": [1, 2],
        "summary": {"covered_lines": 2, "num_statements": 4, "covered_branches": 1, "num_branches": 2}}}}"#;
    let table = [
        json.to_owned(),
        cobertura("<source>/srv</source>", "board/page.py"),
        cobertura("<source>/srv/board</source>", "page.py"),
        cobertura("<source/>", "board/page.py"),
    ];
    for report in table {
        let coverage = Coverage::parse(report.as_bytes(), &source_map).unwrap();
        let file = FileCoverage {
            path: "app/board/page.py".into(),
            covered: 3,
            total: 6,
            missing: vec![4, 5],
            executed: vec![1, 2],
        };
        assert_eq!(coverage.files, [file], "{report}");
        assert_eq!(coverage.percent(), "50.00");
        assert!(coverage.reaches(50.0) && !coverage.reaches(50.1));
    }
}

#[test]
fn lcov_is_read() {
    let (_directory, source_map) = source_map();
    let parse = |text: &str| Coverage::parse(text.as_bytes(), &source_map);
    let text = "TN:\nSF:/srv/board/page.py\nFN:1,f\nFNDA:1,f\nDA:1,1\nDA:2,3,abc=\nBRDA:2,0,jump to line 4,1\nBRDA:2,0,1,-\n\
                DA:4,0\nDA:5,-1\nLF:4\nLH:2\nBRF:2\nBRH:1\nend_of_record\n";
    let coverage = parse(text).unwrap();
    let file = FileCoverage {
        path: "app/board/page.py".into(),
        covered: 3,
        total: 6,
        missing: vec![4, 5],
        executed: vec![1, 2],
    };
    assert_eq!((&coverage.files[..], coverage.claimed), (&[file][..], None));
    // Another test of the same file.
    let both = format!(
        "{text}TN:b\nSF:/srv/board/page.py\nDA:4,1\nBRDA:2,0,1,2\nLF:1\nLH:1\nend_of_record\n"
    );
    let coverage = parse(&both).unwrap();
    assert_eq!((coverage.counts(), coverage.claimed), ((5, 6), None));
    let table = [
        ("SF:a\nDA:x,1\n", "not LCOV: line 2 is malformed"),
        ("TN:\nDA:1,1\n", "not LCOV: line 2 is malformed"),
        ("SF:a\nBRDA:1\n", "not LCOV: line 2 is malformed"),
        ("SF:a\nend_of_record\n", "it contains no lines of code"),
    ];
    for (text, problem) in table {
        assert_eq!(parse(text).unwrap_err(), problem, "{text}");
    }
}

#[test]
fn the_lower_of_two_totals_counts() {
    let (_directory, source_map) = source_map();
    let parse = |text: &str| Coverage::parse(text.as_bytes(), &source_map).unwrap();
    // As coverage.py writes it for two sources with an `app.py` each: one has replaced the other.
    let root = |attributes: &str| {
        format!(
            "<coverage {attributes}><sources><source>/a</source><source>/b</source></sources><packages><package name='.'>\
             <classes><class filename='app.py'><methods/><lines><line number='1' hits='1'/><line number='2' hits='1'/></lines>\
             </class></classes></package></packages></coverage>"
        )
    };
    let coverage = parse(&root(
        "lines-valid='4' lines-covered='2' branches-valid='0' branches-covered='0'",
    ));
    assert_eq!(coverage.percent(), "50.00");
    assert!(!coverage.reaches(90.0));
    assert_eq!(
        coverage.difference().unwrap(),
        "the coverage report counts 2 of 4 lines and branches, its files 2 of 2; the lower percentage counts"
    );
    let same = parse(&root(
        "lines-valid='2' lines-covered='2' branches-valid='9' branches-covered='9'",
    ));
    assert_eq!((same.percent().as_str(), same.claimed), ("100.00", None));
    for attributes in [
        "",
        "lines-valid='0' lines-covered='0'",
        "lines-valid='1' lines-covered='3'",
    ] {
        assert_eq!(parse(&root(attributes)).claimed, None, "{attributes}");
    }
    let json = r#"{"totals": {"covered_lines": 2, "num_statements": 8}, "files": {"a.py": {"summary": {"covered_lines": 2, "num_statements": 2}}}}"#;
    assert_eq!(parse(json).percent(), "25.00");
    // A total that is higher than the files does not count.
    let json = r#"{"totals": {"covered_lines": 9, "num_statements": 9}, "files": {"a.py": {"summary": {"covered_lines": 1, "num_statements": 2}}}}"#;
    let coverage = parse(json);
    assert_eq!(
        (coverage.percent().as_str(), coverage.difference().is_some()),
        ("50.00", true)
    );
    let lcov = parse("SF:a\nDA:1,1\nLF:2\nLH:1\nend_of_record\n");
    assert_eq!(lcov.percent(), "50.00");
}

#[test]
fn lines_of_methods_are_those_of_their_class() {
    let (_directory, source_map) = source_map();
    let report = |lines: &str| {
        format!(
            "<coverage><class filename='a.js'><methods><method><lines><line number='1' hits='1'/></lines></method></methods>{lines}</class></coverage>"
        )
    };
    let counts = |report: &str| {
        Coverage::parse(report.as_bytes(), &source_map)
            .unwrap()
            .counts()
    };
    assert_eq!(
        counts(&report("<lines><line number='2' hits='0'/></lines>")),
        (0, 1)
    );
    assert_eq!(counts(&report("")), (1, 1));
}

#[test]
fn an_invalid_report_is_rejected() {
    let (_directory, source_map) = source_map();
    let table = [
        ("", "not valid XML"),
        ("<html/>", "the root element is `html`, not `coverage`"),
        ("<coverage/>", "it contains no lines of code"),
        ("{\"files\": {}}", "it contains no lines of code"),
        ("{\"lines\": 3}", "not a JSON report of coverage.py"),
        (
            r#"{"files": {"a.py": {"summary": {"covered_lines": 3, "num_statements": 2}}}}"#,
            "it counts more covered lines or branches of `a.py` than there are",
        ),
        (
            r#"{"files": {"a.py": {"summary": {"covered_lines": 1, "num_statements": 9, "covered_branches": 3, "num_branches": 2}}}}"#,
            "it counts more covered lines or branches of `a.py` than there are",
        ),
        (
            r#"{"files": {"a.py": {"summary": {"covered_lines": 1, "num_statements": 18446744073709551615}}}}"#,
            "not a JSON report of coverage.py",
        ),
        (
            "<coverage><class filename='a'><line number='1'/></class></coverage>",
            "a `line` has no `number` or `hits`",
        ),
    ];
    for (text, problem) in table {
        let message = Coverage::parse(text.as_bytes(), &source_map).unwrap_err();
        assert!(message.starts_with(problem), "{text}: {message}");
    }
}

#[test]
fn only_complete_coverage_is_a_hundred_percent() {
    assert_eq!(percent(99_999, 100_000), "99.99");
    assert_eq!(percent(7, 7), "100.00");
    assert_eq!(percent(0, 0), "0.00");
    assert_eq!(ranges(&[3, 4, 5, 9, 11, 12]), "3-5, 9, 11-12");
    assert_eq!(ranges(&[]), "");
}

#[test]
fn very_large_counts_do_not_panic() {
    let (_directory, source_map) = source_map();
    let (most, last) = (u64::MAX, u32::MAX);
    let lines = format!(
        "<line number='{last}' hits='{most}'/><line number='{last}' hits='1' condition-coverage='50% (1/{last})'/>\
         <line number='1' hits='{most}' condition-coverage='50% ({most}/{most})'/>"
    );
    let report = format!("<coverage><class filename='a'>{lines}</class></coverage>");
    let coverage = Coverage::parse(report.as_bytes(), &source_map).unwrap();
    assert_eq!(coverage.counts(), (3, 2 + u64::from(last)));
    assert_eq!(percent(most, most), "100.00");
    assert_eq!(ranges(&[last, 1]), format!("{last}, 1"));
}

#[test]
fn structure_that_is_made_to_keep_a_parser_busy() {
    let (_directory, source_map) = source_map();
    let parse = |report: &str| Coverage::parse(report.as_bytes(), &source_map);
    let count = 200_000;
    let line = "<line number='1' hits='1'/>";
    for tag in ["class filename='a'", "package"] {
        let nested = format!("<coverage>{}", format!("<{tag}>{line}").repeat(count));
        let too_deep = "its elements are nested deeper than 100 levels";
        assert_eq!(parse(&nested).unwrap_err(), too_deep);
    }
    // Every file in every directory would be 40 billion lookups.
    let sources: Vec<_> = (0..count)
        .map(|i| format!("<source>/s{i}</source>"))
        .collect();
    let sources = sources.concat();
    let classes: Vec<_> = (0..count)
        .map(|i| format!("<class filename='{i}.py'>{line}</class>"))
        .collect();
    let classes = classes.concat();
    let report = format!("<coverage>{sources}{classes}</coverage>");
    assert_eq!(parse(&report).unwrap().counts(), (200_000, 200_000));
    let path = "a/".repeat(2000);
    let report = format!("<coverage><class filename='{path}'>{line}</class></coverage>");
    assert_eq!(parse(&report).unwrap().files[0].path, path);
}

#[test]
fn a_profile_of_go_counts_statements() {
    let profile = "mode: set\nexample.com/app/sum.go:3.24,4.12 1 1\nexample.com/app/sum.go:4.12,6.3 1 0\nexample.com/app/sum.go:7.2,7.14 2 1\nmode: set\nexample.com/app/sum.go:4.12,6.3 1 0\n";
    let coverage = Coverage::totals(profile.as_bytes()).unwrap();
    assert_eq!(
        (coverage.counts(), coverage.percent()),
        ((3, 4), "75.00".to_owned())
    );
    let file = &coverage.files[0];
    assert_eq!(
        (&file.missing[..], &file.executed[..]),
        (&[5, 6][..], &[3, 4, 7][..])
    );
    // What another package's tests execute is covered.
    let merged = format!("{profile}example.com/app/sum.go:4.12,6.3 1 2\n");
    assert_eq!(
        Coverage::totals(merged.as_bytes()).unwrap().percent(),
        "100.00"
    );
    for line in [
        "sum.go:3.24 1 1",
        "sum.go:9.1,3.1 1 1",
        "sum.go:1.1,4000000000.1 1 1",
        "sum.go:3.24,4.12 1",
        "sum.go:3.24,4.12 1 1 1",
    ] {
        let problem = Coverage::totals(format!("mode: set\n{line}\n").as_bytes());
        assert_eq!(
            problem.unwrap_err(),
            "not a profile of Go: line 2 is malformed",
            "{line}"
        );
    }
    assert_eq!(
        Coverage::totals(b"mode: set\n").unwrap_err(),
        "it contains no lines of code"
    );
}

#[test]
fn a_report_of_jacoco_has_lines_and_branches() {
    let report = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd"><report name="app"><sessioninfo id="vm-1" start="1" dump="2"/><group name="core"><package name="com/example"><class name="com/example/Sum" sourcefilename="Sum.java"><method name="sum" desc="(II)I" line="5"><counter type="LINE" missed="1" covered="2"/></method></class><sourcefile name="Sum.java"><line nr="5" mi="0" ci="2" mb="1" cb="1"/><line nr="6" mi="2" ci="0" mb="0" cb="0"/><line nr="8" mi="0" ci="4" mb="0" cb="0"/><counter type="LINE" missed="1" covered="2"/></sourcefile></package></group></report>"#;
    let coverage = Coverage::totals(report.as_bytes()).unwrap();
    assert_eq!(coverage.counts(), (3, 5));
    let file = &coverage.files[0];
    assert_eq!(file.path, "com/example/Sum.java");
    assert_eq!(
        (&file.missing[..], &file.executed[..]),
        (&[6][..], &[5, 8][..])
    );
}

#[test]
fn a_tracefile_of_node_is_read() {
    let report = include_bytes!("../../../tests/fixtures/reports/node.info");
    let coverage = Coverage::totals(report).unwrap();
    let sum = coverage
        .files
        .iter()
        .find(|file| file.path == "src/sum.js")
        .unwrap();
    assert_eq!(
        (sum.covered, sum.total, &sum.missing[..]),
        (6, 9, &[3, 4][..])
    );
}

#[test]
fn files_of_one_name_are_told_apart() {
    let totals = |report: &str| Coverage::totals(report.as_bytes()).unwrap();
    // Cobertura without totals: the package says which one it is.
    let package = |name: &str, hits: u32| {
        format!(
            "<package name='{name}'><classes><class filename='app.py'><lines><line number='1' hits='{hits}'/></lines></class></classes></package>"
        )
    };
    let cobertura =
        |packages: &str| format!("<coverage><packages>{packages}</packages></coverage>");
    let two = cobertura(&(package("api", 1) + &package("web", 0)));
    assert_eq!(totals(&two).counts(), (1, 2));
    let same = cobertura(&(package("api", 1) + &package("api", 0)));
    assert_eq!(totals(&same).counts(), (1, 1));
    // JaCoCo: the group does.
    let group = |name: &str, missed: u32, covered: u32| {
        format!(
            "<group name='{name}'><package name='a'><sourcefile name='Main.java'><line nr='3' mi='{missed}' ci='{covered}'/></sourcefile></package></group>"
        )
    };
    let jacoco = |inside: &str| format!("<report name='r'><sessioninfo/>{inside}</report>");
    let two = group("api", 0, 1) + &group("web", 1, 0);
    assert_eq!(totals(&jacoco(&two)).counts(), (1, 2));
    // And the report's own total is held against its files.
    let claimed = two + "<counter type='LINE' missed='3' covered='1'/>";
    let coverage = totals(&jacoco(&claimed));
    assert_eq!(
        (coverage.counts(), coverage.difference().is_some()),
        ((1, 4), true)
    );
    // LCOV of several packages in one file: their lines differ. Shards of one package have the same lines.
    let record = |path: &str, lines: &str| format!("TN:\nSF:{path}\n{lines}end_of_record\n");
    let (hit, missed) = ("DA:1,1\nDA:2,1\n", "DA:1,0\nDA:2,0\n");
    let other = "DA:1,0\nDA:3,0\n";
    let lcov = |path: &str, second: &str| totals(&(record(path, hit) + &record(path, second)));
    assert_eq!(lcov("src/index.js", other).counts(), (2, 4));
    assert_eq!(lcov("src/index.js", missed).counts(), (2, 2));
    // An absolute path is one file.
    assert_eq!(lcov("/app/a.h", other).counts(), (2, 3));
}

#[test]
fn counts_of_every_compiler_are_numbers() {
    let lcov = "\u{feff}SF:a.rs\nDA:1,18446744073709551615\nDA:2,-3\nend_of_record\n";
    assert_eq!(Coverage::totals(lcov.as_bytes()).unwrap().counts(), (1, 2));
    let cobertura = "<coverage><class filename='a'><line number='1' hits='-3'/><line number='2' hits='18446744073709551615'/></class></coverage>";
    let coverage = Coverage::totals(cobertura.as_bytes()).unwrap();
    assert_eq!(coverage.counts(), (1, 2));
}

#[test]
fn a_report_of_clover_is_named() {
    let clover = "<coverage generated='1'><project timestamp='1'><file name='/app/A.php'><line num='3' type='stmt' count='1'/></file></project></coverage>";
    let problem = Coverage::totals(clover.as_bytes()).unwrap_err();
    assert!(
        problem.starts_with("it is a report of Clover; "),
        "{problem}"
    );
}
