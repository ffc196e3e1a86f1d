//! Images that were not made for this action: a command for their tests, services beside them, and an application that needs
//! more than the defaults, through the built binary and Docker.

use std::process::Command;

use testkit::{FakeRunner, Ran};

const DOCKERFILE: &str = "\
FROM debian:trixie-slim
COPY app.pl /
USER 1000
EXPOSE 8000
CMD [\"perl\", \"/app.pl\"]
";
/// An application that needs what its environment names.
const APP: &str = r#"
use IO::Socket::INET;
$| = 1;
$SIG{TERM} = sub { exit 0 } unless $ENV{DEAF};
my $memory = "x" x ($ENV{MEGABYTES} * 1048576) if $ENV{MEGABYTES};
if ($ENV{STATE}) { open(my $file, ">", $ENV{STATE}) or die "$ENV{STATE}: $!"; }
if ($ENV{DATABASE}) {
    my $database = IO::Socket::INET->new("$ENV{DATABASE}:5432") or die "no database: $@";
    print "database says: ", scalar <$database>;
}
my $host = $ENV{BIND} || "0.0.0.0";
my $server = IO::Socket::INET->new(LocalAddr => $host, LocalPort => 8000, Listen => 9, ReuseAddr => 1) or die $!;
while (1) {
    my $client = $server->accept or next;
    my $request = <$client> // "";
    while (my $line = <$client>) { last if $line =~ /^\r?$/ }
    my $status = $request =~ m{^GET /up } ? "200 OK" : "404 Not Found";
    print $client "HTTP/1.1 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    close $client;
}
"#;
const SERVICES: &str = r#"
db:
  image: debian:trixie-slim
  env:
    GREETING: hello
  ports:
    - 5432:5432
  command: >-
    perl -MIO::Socket::INET -e '
    $server = IO::Socket::INET->new(LocalPort => 5432, Listen => 9, ReuseAddr => 1);
    open($ready, ">", "/tmp/ready");
    while ($client = $server->accept) { print $client "$ENV{GREETING}\n"; close $client }'
  options: --health-cmd "test -e /tmp/ready" --health-interval 1s --health-retries 60
"#;
const TESTS: &str = r#"
bash -c 'exec 3<>/dev/tcp/db/5432; read line <&3; test "$line" = "$EXPECTED"'
echo '<testsuite><testcase name="database"/></testsuite>' > /tmp/junit.xml
"#;

/// A step, whose image is removed with it.
pub(crate) struct Step {
    pub(crate) step: FakeRunner,
    _image: Image,
}

struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["image", "rm", "--force", &self.0])
            .output();
    }
}

impl Step {
    pub(crate) fn new(name: &str) -> Self {
        let image = format!("seaworthy-ci-any:{name}");
        let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
            .file("Dockerfile", DOCKERFILE)
            .file("app.pl", APP)
            .input("image", &image)
            .input("test-target", "none")
            .input("static-analysis", "none")
            .input("health-path", "auto")
            .input("smoke-timeout", "10s")
            .input("stop-timeout", "2s")
            .input("token", "");
        Self {
            step,
            _image: Image(image),
        }
    }

    pub(crate) fn input(self, name: &str, value: &str) -> Self {
        Self {
            step: self.step.input(name, value),
            ..self
        }
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        Self {
            step: self.step.file(name, text),
            ..self
        }
    }

    pub(crate) fn run(&self) -> Ran {
        self.step.run()
    }
}

pub(crate) fn green(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("health-status"), "healthy");
}

pub(crate) fn red(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, 1, "{}", ran.log);
    for part in parts {
        assert!(ran.error().contains(part), "{}", ran.log);
    }
}

/// What `docker` prints.
pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn networks() -> String {
    let format = ["network", "ls", "--format", "{{.Name}}"];
    docker(&[&format[..], &["--filter", "name=seaworthy-ci-"]].concat())
}

/// The ids of the images of the repository `name`.
pub(crate) fn images(name: &str) -> String {
    docker(&["image", "ls", "--quiet", name])
}

#[test]
#[ignore = "real: needs Docker"]
fn tests_and_application_reach_their_services() {
    let step = Step::new("services")
        .input("test-target", "")
        .input("test-command", TESTS)
        .input("test-env", "EXPECTED=hello")
        .input("junit-path", "/tmp/junit.xml")
        .input("services", SERVICES)
        .input("smoke-env", "DATABASE=db");
    let ran = step.run();
    green(&ran);
    assert_eq!(ran.output("tests"), "1");
    for line in [
        "Run the tests of the image",
        "healthy by `GET /up`",
        "services ready after",
    ] {
        assert!(ran.log.contains(line), "{}", ran.log);
    }
    assert_eq!(networks(), "");
    // Without services, nothing has that name.
    let ran = step.input("services", "").run();
    red(&ran, &["the application exited with code"]);
    assert!(ran.log.contains("no database"), "{}", ran.log);
}

/// The application with a database that is built here, reads a file of the checkout, and starts before it is initialized.
const COMPOSE: &str = r#"
services:
  web:
    build: .
    command: perl /app.pl
    env_file: .env.web
    environment:
      DATABASE: db
      STATE: /data/${STATE_NAME:-state}
    ports: ["5000:8000"]
    volumes: ["data:/data", ".:/src"]
    user: "0"
    depends_on:
      task: { condition: service_completed_successfully }
      db: { condition: service_started }
  db:
    build: { context: ./db, args: ["PORT=5432"] }
    volumes: ["./greeting.txt:/etc/greeting.txt:ro", "data:/shared"]
    depends_on: [task]
  task:
    image: debian:trixie-slim
    command: touch /shared/ready
    volumes: ["data:/shared"]
  proxy:
    image: does-not-exist:1
    depends_on: [web]
    restart: always
volumes: { data: }
"#;
const DATABASE: &str = r#"
FROM debian:trixie-slim
ARG PORT
ENV PORT=$PORT
EXPOSE 5432 9999
COPY db.pl /
CMD ["perl", "/db.pl"]
"#;
const DATABASE_PROGRAM: &str = r#"
use IO::Socket::INET;
-e "/shared/ready" or die "no task before";
open(my $file, "<", "/etc/greeting.txt") or die $!;
my $greeting = <$file>;
sleep 1;
my $server = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 9, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) { print $client $greeting; close $client }
"#;

fn compose(name: &str) -> Step {
    Step::new(name)
        .file("compose.yaml", COMPOSE)
        .file("db/Dockerfile", DATABASE)
        .file("db/db.pl", DATABASE_PROGRAM)
        .file("greeting.txt", "hello\n")
        .file(".env.web.example", "EXPECTED=hello\n")
        .input("compose-file", "compose.yaml")
        .input("smoke-user", "any")
}

#[test]
#[ignore = "real: needs Docker"]
fn a_compose_file_has_the_services_and_the_application() {
    let step = compose("compose")
        .input("test-target", "")
        .input("test-command", TESTS)
        .input("junit-path", "/tmp/junit.xml");
    let ran = step.run();
    green(&ran);
    assert_eq!(ran.output("tests"), "1");
    for line in [
        "compose.yaml: the application is the service `web`",
        "compose.yaml: not started: `proxy`",
        "compose.yaml: `web`: `.` is not mounted at `/src`, since the image is tested as it was built",
        "compose.yaml: services to start: `task`, `db`",
        "::warning::compose.yaml: `.env.web` is not in the checkout; `.env.web.example` is used in its place",
        "Build service `db`",
    ] {
        assert!(ran.log.contains(line), "{line}: {}", ran.log);
    }
    assert_eq!(networks(), "");
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", "name=seaworthy-ci-"]);
    assert_eq!(volumes, "");
    assert_eq!(images("seaworthy-ci-service"), "");
}

#[test]
#[ignore = "real: needs Docker"]
fn a_service_of_a_compose_file_that_fails_is_named() {
    let failing = COMPOSE.replace("touch /shared/ready", "sh -c 'echo cannot migrate; exit 4'");
    let ran = compose("failing-task").file("compose.yaml", &failing).run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    let problem =
        "the service `task` is not ready: it exited with code 4; its last lines:\ncannot migrate";
    assert!(ran.error().contains(problem), "{}", ran.error());

    let ran = compose("failing-build")
        .file(
            "db/Dockerfile",
            "FROM debian:trixie-slim\nRUN echo no such package; exit 5\n",
        )
        .run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    for part in [
        "the service `db` is not ready: the build failed at",
        "exited with code 5",
        "no such package",
    ] {
        assert!(ran.error().contains(part), "{}", ran.error());
    }
    assert_eq!(networks(), "");
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_for_localhost_alone_is_named() {
    let app = APP.replace(
        "while (my $line = <$client>) { last if $line =~ /^\\r?$/ }",
        "my $host = 0; while (my $line = <$client>) { $host = 1 if $line =~ /^host: localhost\\b/i; last if $line =~ /^\\r?$/ }",
    );
    let app = app.replace(
        "my $status = ",
        "my $status = !$host ? \"400 Bad Request\" : ",
    );
    assert_ne!(app, APP);
    let step = Step::new("host").file("app.pl", &app);
    let ran = step.run();
    green(&ran);
    let note = "requests for `localhost`; for its address, as probes of Kubernetes have it, it responded with 400 Bad Request";
    assert!(
        ran.log.contains(note) && ran.summary.contains("requests for \\`localhost\\`"),
        "{}",
        ran.summary
    );
    let ran = Step::new("host-path")
        .file("app.pl", &app)
        .input("health-path", "/up")
        .run();
    red(
        &ran,
        &[
            "it responded with 400 Bad Request, and is healthy for a request whose host is `localhost`",
            "set `health-path: auto`",
        ],
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn the_coverage_is_compared_with_that_of_the_base_branch() {
    const LCOV: &str = "SF:a.js\\nDA:1,1\\nDA:2,1\\nDA:3,1\\nDA:4,0\\nend_of_record\\n";
    let tests = format!(
        "echo '<testsuite><testcase name=\"a\"/></testsuite>' > /tmp/junit.xml; printf '{LCOV}' > /tmp/lcov.info"
    );
    let step = Step::new("coverage")
        .input("test-target", "")
        .input("test-command", &tests)
        .input("junit-path", "/tmp/junit.xml")
        .input("coverage-path", "/tmp/lcov.info")
        .input("coverage-file", "out/lcov.info")
        .input("baseline-coverage", "base/lcov.info")
        .input("health-path", "none");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("coverage"), "75.00");
    assert_eq!(ran.output("coverage-change"), "");
    assert!(
        ran.log
            .contains("there is no `base/lcov.info` (`baseline-coverage`)"),
        "{}",
        ran.log
    );
    let report = step.step.workspace().join("out/lcov.info");
    assert_eq!(
        std::fs::read_to_string(report).unwrap(),
        LCOV.replace("\\n", "\n")
    );

    let base = "SF:a.js\nDA:1,1\nDA:2,0\nend_of_record\n";
    let ran = step.file("base/lcov.info", base).run();
    assert_eq!(ran.output("coverage-change"), "+25.00", "{}", ran.log);
    assert!(
        ran.summary
            .contains("+25.00 from the base branch (50.00 %)"),
        "{}",
        ran.summary
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn a_service_that_is_not_ready_is_no_verdict() {
    let broken = SERVICES
        .replace("--health-retries 60", "--health-retries 1")
        .replace("/tmp/ready\" ", "/tmp/other\" ");
    let exits = "db:\n  image: debian:trixie-slim\n  command: perl -e 'print \"no configuration\\n\"; exit 3'\n  options: --health-cmd true --health-interval 1s\n";
    for (services, problem) in [
        (
            broken.as_str(),
            "the service `db` is not ready: its health check failed",
        ),
        (
            exits,
            "the service `db` is not ready: it exited with code 3; its last lines:\nno configuration",
        ),
    ] {
        let ran = Step::new("broken").input("services", services).run();
        assert_eq!(ran.code, 2, "{}", ran.log);
        assert!(ran.error().contains(problem), "{}", ran.error());
        assert_eq!(networks(), "");
    }
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_that_is_not_reached_gets_a_hint() {
    let ran = Step::new("local")
        .input("smoke-env", "BIND=127.0.0.1")
        .run();
    red(
        &ran,
        &[
            "nothing listens on its port",
            "it listens on 127.0.0.1:8000",
        ],
    );
    let ran = Step::new("port").input("port", "5000").run();
    red(
        &ran,
        &["nothing listens on its port; it listens on port 8000; set `port: 8000`"],
    );
    let ran = Step::new("path").input("health-path", "/health").run();
    red(
        &ran,
        &[
            "`GET /health` was not healthy within 10 seconds (`smoke-timeout`): it responded with 404",
        ],
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_without_http_is_checked_by_a_connection_or_a_command() {
    green(&Step::new("tcp").input("health-path", "tcp").run());
    let command = "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(q(127.0.0.1:8000)) or exit 1'";
    let step = Step::new("command").input("health-command", command);
    green(&step.run());
    let ran = step.input("health-command", "echo not yet; exit 4").run();
    red(
        &ran,
        &[
            "`health-command` was not healthy within 10 seconds (`smoke-timeout`): it exited with code 4: not yet",
        ],
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn limits_and_signals_are_named() {
    let ran = Step::new("memory")
        .input("smoke-env", "MEGABYTES=400")
        .run();
    red(
        &ran,
        &["killed for lack of memory; it has 256 MB, as `smoke-memory` says"],
    );
    let ran = Step::new("deaf").input("smoke-env", "DEAF=1").run();
    red(
        &ran,
        &["2 seconds after SIGTERM; its first process has no handler for SIGTERM"],
    );
    // The signal of the image is the one that is sent.
    let dockerfile = DOCKERFILE.to_owned() + "STOPSIGNAL SIGINT\n";
    let app = APP.replace("$SIG{TERM}", "$SIG{INT}");
    let step = Step::new("signal")
        .file("Dockerfile", &dockerfile)
        .file("app.pl", &app);
    green(&step.run());
}

#[test]
#[ignore = "real: needs Docker"]
fn what_is_permitted_is_reported() {
    let step = Step::new("relaxed").input("smoke-env", "STATE=/state\nMEGABYTES=100");
    red(&step.run(), &["; "]);
    let root = DOCKERFILE.replace("USER 1000\n", "");
    let step = step.file("Dockerfile", &root);
    red(
        &step.run(),
        &["the image runs as root", "or set `smoke-user: any`"],
    );
    let ran = step
        .input("smoke-user", "any")
        .input("smoke-read-only", "false")
        .input("smoke-memory", "600")
        .run();
    green(&ran);
    for part in [
        "smoke-user: any",
        "smoke-read-only: false",
        "600 MB of memory",
    ] {
        assert!(ran.summary.contains(part), "{}", ran.summary);
    }
}

#[test]
#[ignore = "real: needs Docker"]
fn a_dockerfile_out_of_its_context_is_built() {
    let ran = Step::new("outside")
        .file("docker/api.Dockerfile", "FROM scratch\nCOPY app /\n")
        .file("api/app", "1")
        .input("context", "api")
        .input("dockerfile", "../docker/api.Dockerfile")
        .input("health-path", "none")
        .run();
    assert_eq!(ran.code, 0, "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn a_health_check_may_fail_as_often_as_it_says() {
    let check = "HEALTHCHECK --interval=1s --timeout=5s --retries=4 CMD mkdir /tmp/a || mkdir /tmp/b 2>&- && exit 1; mkdir /tmp/c || exit 0; exit 1\n";
    let step = Step::new("check").file("Dockerfile", &(DOCKERFILE.to_owned() + check));
    green(&step.run());
    let check = "HEALTHCHECK --interval=1s --retries=2 CMD exit 1\n";
    let step = step.file("Dockerfile", &(DOCKERFILE.to_owned() + check));
    red(
        &step.run(),
        &["the image's HEALTHCHECK exited with code 1 (2 attempts)"],
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn an_overdue_network_is_removed() {
    let name = "seaworthy-ci-overdue";
    let label = "dev.seaworthy.expires=1700000000";
    let create = ["network", "create", "--label", label, name];
    let step = Step::new("overdue").input("health-path", "none");
    crate::real::eventually_said(", 1 network and ", || {
        let created = Command::new("docker").args(create).output().unwrap();
        assert!(created.status.success(), "{created:?}");
        step.run()
    });
    assert_eq!(networks(), "");
}
