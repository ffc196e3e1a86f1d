use std::time::Instant;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn path() -> Env {
    Env::from_pairs([
        ("PATH", "/usr/bin:/bin"),
        ("ACTIONS_RUNTIME_TOKEN", "t"),
        ("INPUT_TOKEN", "t"),
    ])
}

#[tokio::test]
async fn a_child_gets_only_its_own_variables() {
    let tool = Tool::new("env", &path()).env("TRIVY_CACHE_DIR", "/c");
    let done = tool.capture(&Log::sink(), "env").await.unwrap();
    let mut variables: Vec<_> = std::str::from_utf8(&done.stdout).unwrap().lines().collect();
    variables.sort_unstable();
    assert_eq!(variables, ["PATH=/usr/bin:/bin", "TRIVY_CACHE_DIR=/c"]);
}

#[tokio::test]
async fn an_exit_code_is_not_an_error_and_the_last_lines_are_kept() {
    let tool = Tool::new("sh", &path()).args(["-c", "echo out; echo E: no package >&2; exit 100"]);
    let done = tool.capture(&Log::sink(), "sh").await.unwrap();
    assert_eq!(
        (done.code(), done.ending().as_str()),
        (Some(100), "exit code 100")
    );
    assert_eq!(done.tail, ["E: no package"]);
}

#[tokio::test]
async fn a_tool_that_times_out_is_stopped() {
    let tool = Tool::new("sleep", &path())
        .arg("60")
        .timeout(Duration::from_millis(50));
    let error = tool.stream(&Log::sink(), "sleep").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sleep` timed out after 0 s and was stopped"
    );
}

// A process that has exited keeps its id until its parent waits for it.
fn is_running(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
    !matches!(state, None | Some("Z" | "X"))
}

// Waits for an event in another process.
async fn until<T>(what: &str, happened: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(done) = happened() {
            return done;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn processes_that_a_tool_started_are_stopped_with_it() {
    for left_at in ["its timeout", "the end of the step"] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        let tool = Tool::new("sh", &path())
            .args([
                "-c",
                "sleep 600 & echo $! > \"$0+\"; mv \"$0+\" \"$0\"; wait",
            ])
            .arg(&file)
            .timeout(HOUR);
        let log = Log::sink();
        let mut run = Box::pin(tool.stream(&log, "sh"));
        let child = tokio::select! {
            ended = &mut run => panic!("{ended:?}"),
            child = until("it starts", || std::fs::read_to_string(&file).ok()) => child,
        };
        let child = child.trim();
        assert!(is_running(child));
        if left_at == "its timeout" {
            tokio::time::pause();
            tokio::time::advance(HOUR).await;
            assert_eq!(
                run.await.unwrap_err().to_string(),
                "`sh` timed out after 3600 s and was stopped"
            );
            tokio::time::resume();
        } else {
            drop(run);
        }
        until(left_at, || (!is_running(child)).then_some(())).await;
    }
}

#[tokio::test]
async fn a_tool_that_prints_without_an_end_is_stopped() {
    // The other stream stays open: what counts is what is captured.
    let tool = Tool::new("sh", &path())
        .args(["-c", "exec yes"])
        .timeout(HOUR)
        .capture_limit(1_000_000);
    let error = tool.capture(&Log::sink(), "yes").await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "failed to read the output of `sh`: it printed more than 1 MiB to its standard output and was stopped"
    );
    let exact = Tool::new("head", &path())
        .args(["-c", "1000000", "/dev/zero"])
        .capture_limit(1_000_000);
    let done = exact.capture(&Log::sink(), "head").await.unwrap();
    assert_eq!((done.code(), done.stdout.len()), (Some(0), 1_000_000));
}

#[tokio::test]
async fn a_long_output_is_shown_in_part_and_its_end_is_kept() {
    let shown = Buffer::default();
    let log = Log::to(false, false, shown.clone());
    let tool = Tool::new("seq", &path()).arg("200003");
    let tool = tool.keep(|line| line.starts_with("1000"));
    let done = tool.stream(&log, "seq").await.unwrap();
    assert_eq!(done.tail.len(), TAIL);
    assert_eq!((&*done.kept[0], &*done.kept[1]), ("1000", "10000"));
    assert_eq!(done.kept.len(), 1 + 10 + 100);
    assert_eq!(done.tail.last().unwrap(), "200003");
    let text = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
    let last: Vec<_> = text.lines().rev().take(2).collect();
    let note = "… 3 more lines of output, which are not shown";
    assert_eq!(last, [note, "200000"]);

    // One line of 10 MB.
    let script = "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end";
    let tool = Tool::new("sh", &path()).args(["-c", script]);
    let done = tool.stream(&Log::sink(), "sh").await.unwrap();
    let [first, last] = &done.tail[..] else {
        panic!("{} lines", done.tail.len())
    };
    assert_eq!((first.len() < 70_000, last.as_str()), (true, "end"));
}

#[derive(Clone, Default)]
struct Buffer(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let error = Tool::new("no-such-tool", &path())
        .stream(&Log::sink(), "x")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to start `no-such-tool`; is it installed and in PATH?"
    );
}
