//! Why an application is not healthy, or does not stop, as far as its container shows it.

use std::time::Duration;

use actions_toolkit::text;
use docker::{Container, ImageConfig};

use super::application::PIDS;
use crate::request::Smoke;

/// Of a look into the container.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Ports that a message names.
const PORTS: usize = 5;
/// Bytes of a name in a message.
const NAME: usize = 200;
/// How runtimes say that they have no more memory (Node.js, the JVM, Python, Linux), in lower case.
const MEMORY: &[&str] = &[
    "heap out of memory",
    "java.lang.outofmemoryerror",
    "memoryerror",
    "cannot allocate memory",
];
/// And that no more threads or processes can be started.
const THREADS: &[&str] = &[
    "can't start new thread",
    "unable to create native thread",
    "unable to create new native thread",
    "pthread_create failed",
    "failed to create new os thread",
    "fork: retry",
    "can't fork",
    "cannot fork",
];
/// The state of a socket that listens (`include/net/tcp_states.h` of Linux).
const LISTEN: &str = "0A";

/// A signal that stops a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) name: String,
    /// 0 if it is not known.
    number: u32,
}

impl Signal {
    /// That of `STOPSIGNAL`, by name or number; SIGTERM by default.
    pub(super) fn of(stop_signal: &str) -> Self {
        // signal(7), for x86 and ARM.
        const NUMBERS: &[(&str, u32)] = &[
            ("HUP", 1),
            ("INT", 2),
            ("QUIT", 3),
            ("ILL", 4),
            ("TRAP", 5),
            ("ABRT", 6),
            ("BUS", 7),
            ("FPE", 8),
            ("KILL", 9),
            ("USR1", 10),
            ("SEGV", 11),
            ("USR2", 12),
            ("PIPE", 13),
            ("ALRM", 14),
            ("TERM", 15),
            ("STKFLT", 16),
            ("CHLD", 17),
            ("CONT", 18),
            ("STOP", 19),
            ("TSTP", 20),
            ("TTIN", 21),
            ("TTOU", 22),
            ("URG", 23),
            ("XCPU", 24),
            ("XFSZ", 25),
            ("VTALRM", 26),
            ("PROF", 27),
            ("WINCH", 28),
            ("IO", 29),
            ("PWR", 30),
            ("SYS", 31),
            ("RTMIN+3", 37),
        ];
        let text = match stop_signal.trim() {
            "" => "SIGTERM".to_owned(),
            text => text.to_ascii_uppercase(),
        };
        if let Ok(number) = text.parse() {
            let name = NUMBERS.iter().find(|(_, known)| *known == number);
            return Self {
                name: name.map_or(text, |(name, _)| format!("SIG{name}")),
                number,
            };
        }
        let short = text.strip_prefix("SIG").unwrap_or(&text);
        let number = NUMBERS.iter().find(|(name, _)| *name == short);
        let number = number.map(|(_, number)| *number);
        Self {
            name: format!("SIG{short}"),
            number: number.or_else(|| real_time(short)).unwrap_or(0),
        }
    }
}

// `RTMIN`, `RTMIN+1` to `RTMAX`, as Docker numbers them (github.com/moby/sys, `signal`).
fn real_time(name: &str) -> Option<u32> {
    let (first, offset) = match name.strip_prefix("RTMIN") {
        Some(offset) => (34_i64, offset),
        None => (64, name.strip_prefix("RTMAX")?),
    };
    let offset = match offset {
        "" => 0,
        offset if offset.starts_with(['+', '-']) => offset.parse().ok()?,
        _ => return None,
    };
    let number = first.checked_add(offset)?;
    u32::try_from(number)
        .ok()
        .filter(|number| (34..=64).contains(number))
}

/// The first process of a container, which gets the signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FirstProcess {
    /// A shell with a command line, which does not pass signals on.
    Shell,
    /// A shell that runs this script, and does not pass them on, either.
    Script(String),
    /// Anything else; also a program that a shell has become.
    Program,
}

impl FirstProcess {
    // Each of its words ends with a zero byte (proc_pid_cmdline(5)).
    fn new(command_line: &str) -> Self {
        let mut words = command_line.split('\0');
        if !is_shell(words.next().unwrap_or_default()) {
            return Self::Program;
        }
        while let Some(word) = words.next() {
            match word {
                // Of `pipefail` and others.
                "-o" | "+o" | "-O" => {
                    words.next();
                }
                _ if word.starts_with("--") || word.is_empty() => {}
                _ if word.starts_with('-') && word.ends_with('c') => return Self::Shell,
                _ if word.starts_with(['-', '+']) => {}
                script => return Self::Script(text::cut(script, NAME).to_owned()),
            }
        }
        Self::Shell
    }

    /// What the command of the image says, where the process can't be seen.
    pub(super) fn of_image(config: &ImageConfig) -> Self {
        if is_shell_form(config) {
            Self::Shell
        } else {
            Self::Program
        }
    }
}

fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or_default();
    matches!(name, "sh" | "bash" | "ash" | "dash")
}

/// The first process of the container, and whether it handles `signal`; `None` if that can't be seen.
pub(super) async fn first_process(
    container: &Container,
    signal: &Signal,
) -> Option<(FirstProcess, Option<bool>)> {
    let both = read(container, &["cat", "/proc/1/cmdline", "/proc/1/status"]).await?;
    let (command_line, status) = both.rsplit_once("\0Name:")?;
    let process = FirstProcess::new(command_line);
    Some((process, is_caught(status, signal)))
}

// `SigCgt` is a mask of the signals that are handled, in hex digits (proc_pid_status(5)).
fn is_caught(status: &str, signal: &Signal) -> Option<bool> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let bit = signal.number.checked_sub(1).filter(|bit| *bit < 64)?;
    Some(mask >> bit & 1 == 1)
}

// Whether the command of the image is run by a shell.
fn is_shell_form(config: &ImageConfig) -> bool {
    let command: Vec<_> = config.entrypoint.iter().chain(&config.cmd).collect();
    match command[..] {
        [shell, option, script, ..] => {
            is_shell(shell)
                && option.starts_with('-')
                && option.ends_with('c')
                && !script.trim_start().starts_with("exec ")
        }
        _ => false,
    }
}

// The exit code of a process that a signal ends is 128 plus the signal's number.
pub(super) fn stop_problem(
    code: i64,
    timeout: Duration,
    signal: &Signal,
    process: &FirstProcess,
    handles: Option<bool>,
) -> Option<String> {
    let Signal { name, number } = signal;
    if code == 0 || *number > 0 && code == 128 + i64::from(*number) {
        return None;
    }
    if code != 137 {
        return Some(format!(
            "the application exited with code {code} after {name}, not with 0"
        ));
    }
    let hint = match (process, handles) {
        (FirstProcess::Shell, _) => {
            "use the exec form of `CMD`, so that it receives the signal".to_owned()
        }
        (FirstProcess::Script(script), _) => format!(
            "its first process is the script `{script}`, which does not pass the signal on: start the application with `exec` there"
        ),
        (FirstProcess::Program, Some(false)) => format!(
            "its first process has no handler for {name}, without which Linux ignores the signal there: handle it, start the \
             application with an init (`tini`), or set `STOPSIGNAL` to a signal that it handles"
        ),
        (FirstProcess::Program, Some(true)) => {
            format!(
                "it handles {name}, and needs longer: raise `stop-timeout`, or let it end sooner"
            )
        }
        (FirstProcess::Program, None) => format!("let it handle {name}"),
    };
    Some(format!(
        "the application was killed because it was still running {} after {name}; {hint}",
        text::seconds(timeout)
    ))
}

/// What may be the cause of a problem.
pub(super) async fn hint(
    container: &Container,
    smoke: &Smoke,
    port: Option<u16>,
    lines: &[String],
) -> Option<String> {
    if container.is_out_of_memory().await {
        return Some(format!(
            "it was killed for lack of memory; it has {} MB, as `smoke-memory` says",
            smoke.memory
        ));
    }
    if let Some(hint) = of_log(lines, smoke.memory) {
        return Some(hint);
    }
    of_sockets(&sockets(container).await?, port?)
}

// Languages have the messages of the system in their own case.
pub(super) fn of_log(lines: &[String], memory: u16) -> Option<String> {
    let lines: Vec<_> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
    let contains = |texts: &[&str]| {
        let mut lines = lines.iter();
        lines.any(|line| texts.iter().any(|text| line.contains(text)))
    };
    if contains(&["read-only file system"]) {
        Some(
            "its root file system is read-only, as in production; write only to `/tmp`, or set `smoke-read-only: false`"
                .to_owned(),
        )
    } else if contains(THREADS) {
        Some(format!(
            "it may have {PIDS} processes and threads; let it start fewer of them"
        ))
    } else if contains(MEMORY) {
        // Of a runtime that keeps to the limit, which is not killed.
        Some(format!(
            "it ran out of memory; it has {memory} MB, as `smoke-memory` says"
        ))
    } else if contains(&["operation not permitted"]) {
        Some("it has no capabilities, as in production; it must not need any".to_owned())
    } else {
        None
    }
}

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) port: u16,
    /// Whether only the container itself reaches it.
    pub(crate) is_local: bool,
}

/// What listens in the container; `None` if that can't be seen.
pub(crate) async fn sockets(container: &Container) -> Option<Vec<Socket>> {
    let tables = read(container, &["cat", "/proc/net/tcp", "/proc/net/tcp6"]).await?;
    Some(listening(&tables))
}

// Columns: sl local_address rem_address st …; an address is in hex digits, `0100007F:1F90` (proc_net_tcp(5)).
fn listening(tables: &str) -> Vec<Socket> {
    let sockets = tables.lines().filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (Some(local), _, Some(LISTEN)) = (columns.next(), columns.next(), columns.next())
        else {
            return None;
        };
        let (address, number) = local.split_once(':')?;
        // 127.0.0.0/8, where Docker's own DNS server listens too, the same as IPv6, and ::1; words are in the machine's byte order.
        let v4 = address.strip_prefix("0000000000000000FFFF0000");
        let is_v4 = address.len() == 8 || v4.is_some();
        let is_local =
            is_v4 && address.ends_with("7F") || address == "00000000000000000000000001000000";
        let port = u16::from_str_radix(number, 16).ok()?;
        Some(Socket { port, is_local })
    });
    sockets.collect()
}

fn of_sockets(sockets: &[Socket], port: u16) -> Option<String> {
    let mut others = Vec::new();
    let mut is_local = false;
    for socket in sockets {
        if socket.port == port {
            if !socket.is_local {
                return None;
            }
            is_local = true;
        } else if !socket.is_local && !others.contains(&socket.port) {
            others.push(socket.port);
        }
    }
    if is_local {
        return Some(format!(
            "it listens on 127.0.0.1:{port}, where only the container itself reaches it; let it listen on 0.0.0.0"
        ));
    }
    others.sort_unstable();
    let ports: Vec<_> = others.iter().take(PORTS).map(u16::to_string).collect();
    match &ports[..] {
        [] => None,
        [other] => Some(format!("it listens on port {other}; set `port: {other}`")),
        _ => Some(format!(
            "it listens on the ports {}; set `port`",
            ports.join(", ")
        )),
    }
}

// Standard output of a command in the container; `None` if it does not run, or the image does not have it.
async fn read(container: &Container, command: &[&str]) -> Option<String> {
    let exec = container.exec(command);
    let done = tokio::time::timeout(TIMEOUT, exec).await.ok()?.ok()?;
    (!done.stdout.is_empty()).then_some(done.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_show_where_an_application_listens() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let row = |local: &str, state: &str| {
            format!("   0: {local} 00000000:0000 {state} 00000000:00000000\n")
        };
        let hint = |rows: &[(&str, &str)]| {
            let rows = rows.iter().map(|(local, state)| row(local, state));
            of_sockets(
                &listening(&(head.to_owned() + &rows.collect::<String>())),
                8000,
            )
        };
        assert_eq!(hint(&[]), None);
        assert_eq!(hint(&[("00000000:1F40", "0A")]), None);
        assert!(
            hint(&[("0100007F:1F40", "0A")])
                .unwrap()
                .contains("127.0.0.1:8000")
        );
        // A connection is not a listener, and Docker's DNS is on a loopback address.
        assert_eq!(
            hint(&[("0100007F:1F40", "01"), ("0B00007F:9C40", "0A")]),
            None
        );
        let other = "it listens on port 5000; set `port: 5000`";
        assert_eq!(hint(&[("00000000:1388", "0A")]).as_deref(), Some(other));
        let both = "it listens on the ports 80, 5000; set `port`";
        let rows = [
            ("00000000:1388", "0A"),
            ("00000000000000000000000000000000:0050", "0A"),
        ];
        assert_eq!(hint(&rows).as_deref(), Some(both));
        assert_eq!(listening("a b c\n"), []);
    }

    #[test]
    fn a_signal_has_a_name_and_a_number() {
        let table = [
            ("", "SIGTERM", 15),
            ("SIGINT", "SIGINT", 2),
            ("quit", "SIGQUIT", 3),
            ("15", "SIGTERM", 15),
            ("SIGRTMIN+3", "SIGRTMIN+3", 37),
            ("rtmin", "SIGRTMIN", 34),
            ("SIGRTMAX-1", "SIGRTMAX-1", 63),
            ("SIGRTMAX+1", "SIGRTMAX+1", 0),
            ("SIGPWR", "SIGPWR", 30),
            ("13", "SIGPIPE", 13),
            ("64", "64", 64),
            ("SIGX", "SIGX", 0),
        ];
        for (text, name, number) in table {
            let signal = Signal::of(text);
            assert_eq!((signal.name.as_str(), signal.number), (name, number));
        }
        let term = Signal::of("");
        let status =
            |mask: &str| format!("Name:\tpython\nSigIgn:\t0000000001001000\nSigCgt:\t{mask}\n");
        assert_eq!(is_caught(&status("0000000000004002"), &term), Some(true));
        assert_eq!(is_caught(&status("0000000000000002"), &term), Some(false));
        assert_eq!(is_caught("Name:\tx\n", &term), None);
        assert_eq!(
            is_caught(&status("0000000000004002"), &Signal::of("SIGX")),
            None
        );
    }

    #[test]
    fn what_does_not_stop_gets_the_hint_that_fits() {
        let problem = |code, signal: &str, process: &FirstProcess, handles| {
            stop_problem(
                code,
                Duration::from_secs(10),
                &Signal::of(signal),
                process,
                handles,
            )
        };
        let script = FirstProcess::Script("/start.sh".to_owned());
        let (shell, program) = (FirstProcess::Shell, FirstProcess::Program);
        assert_eq!(problem(0, "", &program, None), None);
        assert_eq!(problem(143, "", &program, None), None);
        assert_eq!(problem(130, "SIGINT", &program, None), None);
        assert_eq!(
            problem(143, "SIGINT", &program, None).unwrap(),
            "the application exited with code 143 after SIGINT, not with 0"
        );
        let killed =
            "the application was killed because it was still running 10 seconds after SIGTERM; ";
        for (process, handles, hint) in [
            (&shell, Some(true), "use the exec form of `CMD`"),
            (
                &script,
                Some(true),
                "its first process is the script `/start.sh`",
            ),
            (
                &program,
                Some(false),
                "its first process has no handler for SIGTERM",
            ),
            (&program, Some(true), "it handles SIGTERM, and needs longer"),
            (&program, None, "let it handle SIGTERM"),
        ] {
            let text = problem(137, "", process, handles).unwrap();
            assert!(text.starts_with(&format!("{killed}{hint}")), "{text}");
        }
    }

    #[test]
    fn the_first_process_is_what_runs_and_not_what_was_declared() {
        let script = |name: &str| FirstProcess::Script(name.to_owned());
        let table: [(&[&str], FirstProcess); 9] = [
            // A shell becomes its only command.
            (&["python", "app.py"], FirstProcess::Program),
            (
                &["/bin/sh", "-c", "python app.py; true"],
                FirstProcess::Shell,
            ),
            (&["bash", "-lc", "a && b"], FirstProcess::Shell),
            (
                &["/bin/bash", "-o", "pipefail", "-c", "a | b"],
                FirstProcess::Shell,
            ),
            (&["/bin/sh", "/entrypoint.sh"], script("/entrypoint.sh")),
            (
                &["/bin/bash", "-e", "start.sh", "-c", "x"],
                script("start.sh"),
            ),
            (&["sh"], FirstProcess::Shell),
            (
                &["/sbin/tini", "--", "sh", "-c", "x"],
                FirstProcess::Program,
            ),
            (&[], FirstProcess::Program),
        ];
        for (words, expected) in table {
            let line = words
                .iter()
                .flat_map(|word| [word, "\0"])
                .collect::<String>();
            assert_eq!(FirstProcess::new(&line), expected, "{words:?}");
        }
    }

    #[test]
    fn a_shell_that_execs_is_not_in_the_way() {
        let config = |command: &[&str]| ImageConfig {
            cmd: command.iter().map(ToString::to_string).collect(),
            ..ImageConfig::default()
        };
        assert!(is_shell_form(&config(&["/bin/sh", "-c", "python app.py"])));
        assert!(is_shell_form(&config(&["bash", "-lc", "python app.py"])));
        assert!(!is_shell_form(&config(&[
            "/bin/sh",
            "-c",
            "exec python app.py"
        ])));
        assert!(!is_shell_form(&config(&["python", "-c", "x"])));
        assert!(!is_shell_form(&config(&["/bin/sh", "start.sh"])));
    }
}
