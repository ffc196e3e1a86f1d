use super::*;

/// A buffer that a log writes to and a test reads.
#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(on_runner: bool, write: impl FnOnce(&Log)) -> String {
    let buffer = Buffer::default();
    write(&Log::to(on_runner, false, buffer.clone()));
    buffer.text()
}

fn example(log: &Log) {
    let group = log.group("Scan `app:dev`");
    log.info("::set-env name=PATH::/evil");
    log.mask("s3cret");
    drop(group);
    let place = Location {
        file: "app/Dockerfile".into(),
        line: Some(3),
        end_line: None,
    };
    log.annotate(Level::Warning, Some(&place), "100% old,\nsay so");
    log.error("no daemon");
}

#[test]
fn on_the_runner_the_log_is_commands() {
    insta::assert_snapshot!(logged(true, example), @"
    ::group::Scan `app:dev`
    :\u{200b}:set-env name=PATH::/evil
    ::add-mask::s3cret
    ::endgroup::
    ::warning file=app/Dockerfile,line=3::100%25 old,%0Asay so
    ::error::no daemon
    ");
}

#[test]
fn on_a_terminal_the_log_is_text() {
    insta::assert_snapshot!(logged(false, example), @"
    ── Scan `app:dev`
    :\u{200b}:set-env name=PATH::/evil
    warning: app/Dockerfile:3: 100% old,
    say so
    error: no daemon
    ");
}

#[test]
fn the_commands_of_a_child_are_inert_until_the_guard_ends() {
    let text = logged(true, |log| log.stop_commands().raw("::error::from a tool"));
    let lines: Vec<_> = text.lines().collect();
    let token = lines[0].strip_prefix("::stop-commands::").unwrap();
    assert_eq!(
        lines[1..],
        ["::error::from a tool".to_owned(), format!("::{token}::")]
    );
}

#[test]
fn a_held_log_keeps_its_lines_together() {
    let buffer = Buffer::default();
    let log = Log::to(true, false, buffer.clone());
    let buffered = log.buffered();
    buffered.log().info("one");
    log.info("between");
    buffered.log().info("two");
    drop(buffered);
    assert_eq!(buffer.text(), "between\none\ntwo\n");
}
