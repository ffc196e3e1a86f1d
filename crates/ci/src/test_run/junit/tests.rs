use super::*;

fn failed(message: &str, text: &str) -> Status {
    Status::Failed {
        message: message.into(),
        text: text.into(),
    }
}

fn flaky(message: &str, text: &str) -> Status {
    Status::Flaky {
        message: message.into(),
        text: text.into(),
    }
}

fn statuses(junit: &Junit) -> Vec<(&str, &Status)> {
    let tests = junit.tests.iter();
    tests.map(|test| (&*test.name, &test.status)).collect()
}

#[test]
fn one_test_of_each_status() {
    let table = [
        ("<testcase name='t'/>", Status::Passed),
        (
            "<testcase name='t'><system-out>FAILED</system-out></testcase>",
            Status::Passed,
        ),
        (
            "<testcase name='t'><skipped type='pytest.xfail' message='known'/></testcase>",
            Status::Skipped,
        ),
        (
            "<testcase name='t'><failure message='assert 1 == 2&#10;more'>E  assert</failure></testcase>",
            failed("assert 1 == 2", "E  assert"),
        ),
        (
            "<testcase name='t'><error message='no fixture'/></testcase>",
            failed("no fixture", ""),
        ),
        (
            "<testcase name='t'><failure><![CDATA[\n  a < b\nline 2\n]]></failure></testcase>",
            failed("a < b", "  a < b\nline 2"),
        ),
        (
            "<testcase name='t'><failure type='AssertionError'/></testcase>",
            failed("AssertionError", ""),
        ),
        (
            "<testcase name='t'><failure/></testcase>",
            failed("no message", ""),
        ),
        // A rerun that passed, and reruns of which none did.
        (
            "<testcase name='t'><flakyFailure message='x'>at a:1</flakyFailure><flakyError message='y'/></testcase>",
            flaky("x", "at a:1"),
        ),
        (
            "<testcase name='t'><failure message='x'/><rerunFailure message='y'/></testcase>",
            failed("x", ""),
        ),
        (
            "<testcase name='t'><rerunFailure message='y'/></testcase>",
            failed("y", ""),
        ),
        ("<testcase name='t' status='notrun'/>", Status::Skipped),
        ("<testcase name='t' status='DISABLED'/>", Status::Skipped),
        ("<testcase name='t' status='run'/>", Status::Passed),
        // Skipped and broken at once counts as broken.
        (
            "<testcase name='t'><skipped/><error message='teardown'/></testcase>",
            failed("teardown", ""),
        ),
    ];
    for (case, status) in table {
        let junit = Junit::parse(&format!("<testsuite>{case}</testsuite>")).unwrap();
        assert_eq!(junit.tests[0].status, status, "{case}");
    }
}

#[test]
fn counts_over_nested_suites() {
    let junit = Junit::parse(
        "<?xml version='1.0' encoding='utf-8'?><testsuites failures='1'><testsuite name='a' failures='1'>\
         <testcase name='1'/><testsuite name='b'><testcase name='2'><failure/></testcase></testsuite></testsuite>\
         <testsuite name='c'><testcase name='3'><skipped/></testcase>\
         <testcase name='4'><flakyError/></testcase></testsuite></testsuites>",
    );
    let counts = junit.unwrap().counts();
    assert_eq!(
        counts,
        Counts {
            total: 4,
            passed: 2,
            flaky: 1,
            failed: 1,
            skipped: 1
        }
    );
}

#[test]
fn lines_count_from_one() {
    let table = [
        ("pytest", "0", Some(1)),
        ("pytest", "11", Some(12)),
        ("jest", "11", Some(11)),
        ("jest", "x", None),
    ];
    for (suite, line, expected) in table {
        let text = format!(
            "<testsuite name='{suite}'><testcase classname='c' name='n' file='a.py' line='{line}' time='0.5'/></testsuite>"
        );
        let case = &Junit::parse(&text).unwrap().tests[0];
        assert_eq!((case.line, case.file.as_deref()), (expected, Some("a.py")));
        assert_eq!(case.full_name(), "c::n");
    }
}

#[test]
fn an_invalid_report_is_rejected() {
    let table = [
        ("", "not valid XML"),
        ("<testsuite><testcase name='cut", "not valid XML"),
        (
            "<html/>",
            "the root element is `html`, not `testsuites` or `testsuite`",
        ),
        (
            "<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite/>",
            "not valid XML",
        ),
        ("<testsuite/><testsuite/>", "not valid XML"),
        ("<testsuite></testsuites>", "not valid XML"),
        ("<testsuite/>text", "not valid XML"),
        ("<testsuite name=x/>", "not valid XML"),
        (
            "<testsuite><testcase name='&a;'/></testsuite>",
            "not valid XML",
        ),
        (
            "<testsuite name='s' errors='1' failures='1'><testcase name='t'/></testsuite>",
            "suite `s` counts 2 failures but names none",
        ),
    ];
    for (text, problem) in table {
        let message = Junit::parse(text).unwrap_err();
        assert!(message.starts_with(problem), "{text}: {message}");
    }
    assert_eq!(Junit::parse("<testsuites/>").unwrap().counts().total, 0);
    let all = "\u{feff}<?xml version='1.0'?>\n<!-- c --><?p i?>\n<x:testsuite xmlns:x='u'><x:testcase name='&lt;a&#33;'/></x:testsuite>\n";
    assert_eq!(Junit::parse(all).unwrap().tests[0].name, "<a!");
}

#[test]
fn reruns_of_pytest_are_one_test() {
    // As pytest 9 with pytest-rerunfailures writes it.
    let text = r#"<testsuites name="pytest tests"><testsuite name="pytest" failures="1" tests="3">
        <testcase classname="t" name="flaky" file="t.py" line="1" time="0.5" />
        <testcase classname="t" name="flaky" file="t.py" line="1" time="0.25" />
        <testcase classname="t" name="bad" file="t.py" line="4" time="0.125" />
        <testcase classname="t" name="bad" file="t.py" line="4"><failure message="assert 1 == 2">x</failure></testcase>
        <testcase classname="t" name="ok" file="t.py" line="6" /></testsuite></testsuites>"#;
    let junit = Junit::parse(text).unwrap();
    let bad = failed("assert 1 == 2", "x");
    assert_eq!(
        statuses(&junit),
        [
            ("flaky", &flaky("", "")),
            ("bad", &bad),
            ("ok", &Status::Passed)
        ]
    );
    let slowest: Vec<_> = junit
        .slowest(5)
        .iter()
        .map(|t| (&*t.name, t.seconds))
        .collect();
    assert_eq!(slowest, [("flaky", 0.75), ("bad", 0.125)]);
    assert_eq!(junit.flaky().count(), 1);
}

const XDIST: &str = include_str!("../../../tests/fixtures/reports/rerun-xdist.xml");
const SUBTESTS: &str = include_str!("../../../tests/fixtures/reports/subs-xdist.xml");
const TEARDOWN: &str = include_str!("../../../tests/fixtures/reports/plain-x2.xml");

#[test]
fn attempts_with_other_tests_between_them_are_one_test() {
    let junit = Junit::parse(XDIST).unwrap();
    let counts = Counts {
        total: 24,
        passed: 17,
        flaky: 2,
        failed: 5,
        skipped: 2,
    };
    assert_eq!(junit.counts(), counts);
    let failed: Vec<_> = junit.failed().map(|(test, ..)| &*test.name).collect();
    let expected = [
        "test_call_and_teardown",
        "test_ids[]]>]",
        "test_xpass_strict",
        "test_teardown_only",
        "test_subtests",
    ];
    assert_eq!(failed, expected);
    let flaky: Vec<_> = junit.flaky().map(|test| &*test.name).collect();
    assert_eq!(flaky, ["test_flaky_one", "test_flaky_two"]);

    let junit = Junit::parse(SUBTESTS).unwrap();
    assert_eq!((junit.counts().total, junit.counts().failed), (9, 0));
    let [test] = junit.flaky().collect::<Vec<_>>()[..] else {
        panic!("{junit:?}");
    };
    let Status::Flaky { message, text } = &test.status else {
        panic!("{test:?}");
    };
    assert_eq!(message, "assert 0 > 0");
    assert!(text.ends_with("test_f.py:12: AssertionError"), "{text}");
}

#[test]
fn the_first_failure_is_kept_and_the_teardown_follows_it() {
    let junit = Junit::parse(TEARDOWN).unwrap();
    let counts = junit.counts();
    assert_eq!((counts.total, counts.failed, counts.flaky), (24, 7, 0));
    let (test, message, traceback) = junit.failed().next().unwrap();
    assert_eq!(test.name, "test_call_and_teardown");
    assert_eq!(message, "AssertionError: the real reason");
    assert!(
        traceback.ends_with("test_many.py:17: AssertionError"),
        "{traceback}"
    );
    assert!(test.later.ends_with("test_many.py:14: RuntimeError"));
}

#[test]
fn one_name_is_one_test_only_where_the_producer_or_the_exit_code_says_so() {
    let case = |inside: &str| format!("<testcase name='t'>{inside}</testcase>");
    let (pass, fail) = (case(""), case("<failure message='x'/>"));
    let suite = |name: &str, cases: &str| format!("<testsuite name='{name}'>{cases}</testsuite>");
    let counts = |text: &str, code| {
        let counts = Junit::of_run(text, code).unwrap().counts();
        (counts.total, counts.failed, counts.flaky)
    };
    let retried = suite("go", &format!("{fail}{pass}"));
    // The command has retried it.
    assert_eq!(counts(&retried, 0), (1, 0, 1));
    // The command failed: two tests with parameters, of which one failed.
    assert_eq!(counts(&retried, 1), (2, 1, 0));
    // One that fails last has failed, whatever the command says.
    let failed = suite("go", &format!("{pass}{fail}"));
    assert_eq!(counts(&failed, 0), (2, 1, 0));
    let pytest = suite("pytest", &format!("{fail}{pass}"));
    assert_eq!(counts(&pytest, 1), (1, 0, 1));
    // `junit_suite_name` renames the suite, and another suite has other tests.
    let renamed = suite("backend", &format!("{fail}{pass}"));
    let two = format!("<testsuites name='pytest tests'>{renamed}{renamed}</testsuites>");
    assert_eq!(counts(&two, 1), (2, 0, 2));
}

#[test]
fn a_report_that_counts_more_than_it_names_says_so() {
    let text =
        "<testsuite name='s' failures='3'><testcase name='a'><failure/></testcase></testsuite>";
    let junit = Junit::parse(text).unwrap();
    let difference = "suite `s` counts 3 failures and names 1";
    assert_eq!(junit.difference.as_deref(), Some(difference));
    for text in [XDIST, SUBTESTS, TEARDOWN] {
        assert_eq!(Junit::parse(text).unwrap().difference, None);
    }
}

#[test]
fn go_names_each_test_once_so_that_a_rerun_is_no_other_test() {
    // As `gotestsum --rerun-fails` writes it; another test fails for good, so the command does.
    let text = r#"<testsuites tests="4" failures="3"><testsuite tests="4" failures="3" name="example.com/app">
        <properties><property name="go.version" value="go1.26.1 linux/amd64"></property></properties>
        <testcase classname="example.com/app" name="TestFlaky" time="0.5"><failure message="Failed" type="">a_test.go:9: x</failure></testcase>
        <testcase classname="example.com/app" name="TestBad" time="0"><failure message="Failed" type=""></failure></testcase>
        <testcase classname="example.com/app" name="TestFlaky" time="0.5"></testcase>
        <testcase classname="example.com/app" name="TestBad" time="0"><failure message="Failed" type=""></failure></testcase>
        </testsuite></testsuites>"#;
    let junit = Junit::of_run(text, 1).unwrap();
    let counts = junit.counts();
    assert_eq!((counts.total, counts.failed, counts.flaky), (2, 1, 1));
    // Without another failure, the command took the last attempt for no rerun (`-count=2`).
    let lines = text.lines().filter(|line| !line.contains("TestBad"));
    let alone = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(Junit::of_run(&alone, 1).unwrap().counts().failed, 1);
}

#[test]
fn a_rerun_of_surefire_has_its_trace_in_an_element() {
    let text = "<testsuite name='a.B'><testcase classname='a.B' name='t' time='1,024.5'>\n    <flakyFailure message='x' type='y'>\n      \
                <stackTrace><![CDATA[java.lang.AssertionError: x\n\tat a.B.t(B.java:3)]]></stackTrace>\n      \
                <system-out>noise</system-out></flakyFailure></testcase></testsuite>";
    let junit = Junit::parse(text).unwrap();
    let rerun = &junit.tests[0];
    assert_eq!(
        rerun.status,
        flaky("x", "java.lang.AssertionError: x\n\tat a.B.t(B.java:3)")
    );
    assert!((rerun.seconds - 1024.5).abs() < f64::EPSILON);
}

#[test]
fn a_test_that_is_run_several_times_is_not_flaky() {
    let case = |name: &str, failed: bool| {
        let failure = if failed { "<failure message='x'/>" } else { "" };
        format!("<testcase classname='p' name='{name}'>{failure}</testcase>")
    };
    let suite = |cases: &[String]| {
        let property = "<properties><property name='go.version' value='1.25'/></properties>";
        format!(
            "<testsuites><testsuite>{property}{}</testsuite></testsuites>",
            cases.concat()
        )
    };
    let failed = |text: &str| Junit::of_run(text, 1).unwrap().counts().failed;
    // `go test -count=2`: both run twice.
    let twice = [
        ("A", true),
        ("B", false),
        ("A", false),
        ("B", false),
        ("Bad", true),
    ];
    assert_eq!(
        failed(&suite(&twice.map(|(name, fails)| case(name, fails)))),
        2
    );
    // `gotestsum --rerun-fails`: only what failed.
    let again = [
        ("A", true),
        ("B", false),
        ("Bad", true),
        ("A", false),
        ("Bad", true),
    ];
    assert_eq!(
        failed(&suite(&again.map(|(name, fails)| case(name, fails)))),
        1
    );
}

#[test]
fn a_comma_in_a_time_separates_thousands_or_a_fraction() {
    for (time, expected) in [("1,024.5", 1024.5), ("0,005", 0.005), ("12", 12.0)] {
        let text = format!("<testsuite><testcase name='t' time='{time}'/></testsuite>");
        let seconds = Junit::parse(&text).unwrap().tests[0].seconds;
        assert!((seconds - expected).abs() < 1e-9, "{time}: {seconds}");
    }
}

#[test]
fn no_failure_is_lost() {
    let parse = |text: &str| Junit::parse(text).unwrap();
    // Several of one test, as GoogleTest writes them; or a test and its teardown.
    let several = "<testsuite><testcase name='t'><failure message='first'>a.cc:3\nfirst</failure>\
                   <failure message='second'>a.cc:4\nsecond</failure><error message='teardown'/></testcase></testsuite>";
    let junit = parse(several);
    let (test, message, _) = junit.failed().next().unwrap();
    assert_eq!(message, "first");
    assert_eq!(test.later, "\n\na.cc:4\nsecond\n\nteardown");
    // Of a suite, before its tests were loaded.
    let suite = "<testsuite name='s' errors='1'><error message='cannot load'/><testcase name='t'/></testsuite>";
    let junit = parse(suite);
    assert_eq!(junit.counts().failed, 1);
    let (test, message, _) = junit.failed().next().unwrap();
    assert_eq!((test.full_name().as_str(), message), ("s", "cannot load"));
    // The status alone.
    let status = "<testsuite failures='1'><testcase name='t' status='FAILED'/></testsuite>";
    let message = "the report has no more than the status `FAILED`";
    assert_eq!(statuses(&parse(status)), [("t", &failed(message, ""))]);
    // One suite does not name its failures, and another one does.
    let half = "<testsuites><testsuite name='a' errors='1'/><testsuite name='b' failures='1'><testcase name='t'><failure message='x'/>\
                </testcase></testsuite></testsuites>";
    let junit = parse(half);
    assert_eq!(junit.counts().failed, 1);
    let difference = "suite `a` counts 1 failures but names none";
    assert_eq!(junit.difference.as_deref(), Some(difference));
}

#[test]
fn the_reason_is_read_where_a_producer_has_it() {
    let table = [
        // PHPUnit.
        (
            "<failure type='E'>Tests\\SumTest::testAdds with data set #0 (1, 2)\nFailed asserting that 2 is 3.\n\n/app/tests/SumTest.php:9</failure>",
            "Failed asserting that 2 is 3.",
            "/app/tests/SumTest.php:9",
        ),
        // Only the message has the trace.
        (
            "<failure message='expected 3&#10;    at a.js:3:5'/>",
            "expected 3",
            "    at a.js:3:5",
        ),
        // Its own elements.
        (
            "<failure>\n  <message>expected 3</message>\n  <stack-trace>at A.B() in /a.cs:line 3</stack-trace></failure>",
            "expected 3",
            "at A.B() in /a.cs:line 3",
        ),
    ];
    for (failure, message, end) in table {
        let name = "testAdds with data set #0";
        let text = format!("<testsuite><testcase name='{name}'>{failure}</testcase></testsuite>");
        let junit = Junit::parse(&text).unwrap();
        let (_, actual, text) = junit.failed().next().unwrap();
        assert_eq!(actual, message);
        assert!(text.ends_with(end), "{text}");
    }
}

#[test]
fn a_test_has_the_file_of_its_suite() {
    // As mocha-junit-reporter writes it.
    let text = "<testsuite name='Sum' file='/app/test/sum.js'><testcase name='t'/><testcase name='u' file='b.js'/></testsuite>";
    let junit = Junit::parse(text).unwrap();
    let of_suite = Some("/app/test/sum.js");
    let files = junit.tests.iter();
    let files = files.map(|test| (test.file.as_deref(), test.suite_file.as_deref()));
    assert_eq!(
        files.collect::<Vec<_>>(),
        [(None, of_suite), (Some("b.js"), of_suite)]
    );
}

#[test]
fn several_reports_are_one() {
    let report = |inside: &str| {
        Junit::parse(&format!(
            "<testsuite><testcase name='t'>{inside}</testcase></testsuite>"
        ))
        .unwrap()
    };
    let mut junit = report("");
    junit.append(report("<failure message='x'/>"));
    junit.append(report("<skipped/>"));
    assert_eq!(
        statuses(&junit),
        [
            ("t", &Status::Passed),
            ("t", &failed("x", "")),
            ("t", &Status::Skipped)
        ]
    );
    let counts = junit.counts();
    assert_eq!((counts.total, counts.failed, counts.skipped), (3, 1, 1));
    assert_eq!(junit.new_failures(&report("")), ["t"]);
    let many = |count: usize| {
        let case = "<testcase name='t'><failure/></testcase>".repeat(count);
        Junit::parse(&format!(
            "<testsuite>{case}<testcase name='a'/></testsuite>"
        ))
        .unwrap()
    };
    let mut junit = many(KEPT);
    for _ in 0..9 {
        junit.append(many(KEPT));
    }
    assert_eq!(junit.counts().failed, 10 * KEPT);
    assert_eq!(junit.failed().count(), KEPT);
}

#[test]
fn a_failure_of_the_baseline_is_not_new() {
    let case = |name: &str, inside: &str| format!("<testcase name='{name}'>{inside}</testcase>");
    let report = |cases: &[String]| {
        Junit::parse(&format!("<testsuite>{}</testsuite>", cases.concat())).unwrap()
    };
    let base = report(&[case("old", "<failure/>"), case("broken", "")]);
    let head = report(&[
        case("old", "<failure/>"),
        case("broken", "<failure/>"),
        case("added", "<error/>"),
    ]);
    assert_eq!(head.new_failures(&base), ["broken", "added"]);
    assert!(base.new_failures(&base).is_empty());
}

#[test]
fn structure_that_is_made_to_keep_a_parser_busy() {
    // With a second pass for each suite, element or attribute, each of these takes minutes.
    let count = 50_000;
    let nested = |tag: &str| format!("<testsuite>{}", format!("<{tag}>").repeat(count));
    let too_deep = "its elements are nested deeper than 100 levels";
    for tag in ["testsuite failures='1'", "testcase", "a", "failure"] {
        assert_eq!(Junit::parse(&nested(tag)).unwrap_err(), too_deep);
    }
    let suites = "<testsuite failures='1'>".repeat(50) + &"</testsuite>".repeat(50);
    let wide = format!("<testsuites>{}</testsuites>", suites.repeat(count / 100));
    let problem = "suite `` counts 1 failures but names none";
    assert_eq!(Junit::parse(&wide).unwrap_err(), problem);

    let attributes: Vec<_> = (0..count).map(|i| format!(" a{i}=''")).collect();
    let attributes = attributes.concat();
    let namespaces: Vec<_> = (0..count).map(|i| format!(" xmlns:a{i}=''")).collect();
    let namespaces = namespaces.concat();
    for attributes in [attributes, namespaces] {
        let text = format!(
            "<testsuite{attributes}><testcase{attributes}><failure{attributes}/></testcase></testsuite>"
        );
        assert_eq!(Junit::parse(&text).unwrap().counts().failed, 1);
    }
    let references = format!(
        "<testsuite><testcase><failure>{}</failure></testcase></testsuite>",
        "&amp;".repeat(4 * count)
    );
    let junit = Junit::parse(&references).unwrap();
    let (_, message, text) = junit.failed().next().unwrap();
    assert!(message.len() < 5000 && text.len() < 70_000 && text.contains("bytes are left out"));
}

#[test]
fn of_many_tests_those_that_matter_are_kept_and_all_are_counted() {
    let case = |i: usize, inside: &str| {
        format!(
            "<testcase name='{i}' time='{}'>{inside}</testcase>",
            i % 50_000
        )
    };
    let of = |inside: &'static str| (0..50_000).map(move |i| case(i, inside));
    let cases = of("")
        .chain(of("<failure/>"))
        .chain(of("<flakyError/>"))
        .chain(of("<skipped/>"));
    let text = format!(
        "<testsuite>{}</testsuite>",
        cases.collect::<Vec<_>>().concat()
    );
    let junit = Junit::parse(&text).unwrap();
    let counts = Counts {
        total: 200_000,
        passed: 100_000,
        flaky: 50_000,
        failed: 50_000,
        skipped: 50_000,
    };
    assert_eq!(junit.counts(), counts);
    assert!(junit.tests.len() < 5 * KEPT, "{}", junit.tests.len());
    assert_eq!(
        (junit.failed().count(), junit.flaky().count()),
        (KEPT, KEPT)
    );
    assert_eq!(junit.slowest(1)[0].name, "49999");
    let base = format!(
        "<testsuite>{}</testsuite>",
        of("<failure/>").skip(7).collect::<Vec<_>>().concat()
    );
    let base = Junit::parse(&base).unwrap();
    assert_eq!(junit.new_failures(&base).len(), 7);
}

#[test]
fn what_is_kept_of_a_test_is_bounded() {
    let long = "x".repeat(100_000);
    let report = format!(
        "<testsuite><testcase classname='{long}' name='{long}' file='{long}'><failure message='{long}'>start{long}end</failure></testcase></testsuite>"
    );
    let junit = Junit::parse(&report).unwrap();
    let (test, message, traceback) = junit.failed().next().unwrap();
    assert!(test.full_name().len() < 9000 && message.len() < 5000);
    assert!(traceback.starts_with("start") && traceback.ends_with("end"));
    assert!(traceback.len() < 70_000);
    // Two tests that differ only beyond what is kept are two.
    let report = format!(
        "<testsuite name='pytest'><testcase name='{long}1'/><testcase name='{long}2'/></testsuite>"
    );
    assert_eq!(Junit::parse(&report).unwrap().counts().total, 2);
}
