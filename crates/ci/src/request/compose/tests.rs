use actions_toolkit::Workspace;

use super::variables::Variables;
use super::*;
use crate::request::services::{Condition, FileSource, ServiceImage};

/// A checkout with these files, of which one is the compose file `compose.yaml`.
struct Checkout(tempfile::TempDir);

impl Checkout {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(directory)
    }

    /// The plan for a step that builds `Dockerfile` in `app`, and what is logged.
    fn plan(&self, text: &str) -> Result<(Compose, Notes), String> {
        self.plan_with(text, &[], None)
    }

    fn plan_with(
        &self,
        text: &str,
        variables: &[(&str, &str)],
        service: Option<&str>,
    ) -> Result<(Compose, Notes), String> {
        let pairs = variables.iter();
        let variables: Variables = pairs.map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let project = Project::new(Workspace::new(self.0.path()), "");
        let project = project.with_text(text, variables)?;
        let built = Built {
            context: self.0.path().join("app"),
            dockerfile: "Dockerfile".to_owned(),
            target: None,
        };
        let mut notes = Notes::default();
        let compose = plan(&project, &built, service, &mut notes)?;
        Ok((compose, notes))
    }
}

fn started(compose: &Compose) -> Vec<&str> {
    compose
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect()
}

// What many projects have: anchors, variables with defaults, a worker of the same image, a proxy in front of it.
const PROJECT: &str = r#"
x-app: &app
  build: { context: ./app }
  env_file: [./app.env]
  depends_on:
    db: { condition: service_healthy }
    migrate: { condition: service_completed_successfully }
    mail: { condition: service_started, required: no }
services:
  web:
    <<: *app
    command: gunicorn --bind "0.0.0.0:${PORT:-8000}" 'app:make()'
    environment:
      DATABASE_URL: postgres://u:${DB_PASSWORD}@db/x
      MODE:
      NOWHERE:
    ports: ["${BIND:-127.0.0.1:8000}:${PORT:-8000}"]
    volumes: ["./app:/app", "static:/static", "./data:/data", "/cache"]
    healthcheck: { test: "curl -f http://localhost:8000/up", interval: 1m30s, retries: 5, start_period: 0s }
    user: "10001"
    restart: unless-stopped
  worker:
    <<: *app
    command: worker
  migrate:
    build: ./app
    command: [migrate, --all]
    depends_on: [db]
  db:
    image: postgres:17
    environment: ["POSTGRES_PASSWORD=${DB_PASSWORD}", "COST=5$$"]
    volumes:
      - pg:/var/lib/postgresql/data
      - ./init:/docker-entrypoint-initdb.d:ro
      - /var/run/docker.sock:/var/run/docker.sock
      - { type: tmpfs, target: /fast }
    secrets: [password]
    deploy: { resources: { limits: { memory: 1g } } }
  proxy:
    build: ./proxy
    depends_on: [web]
  mail:
    image: mailpit
    profiles: [dev]
secrets:
  password: { file: ./password.txt }
volumes: { pg: {}, static: {} }
"#;

fn checkout() -> Checkout {
    Checkout::new(&[
        ("app/Dockerfile", "FROM a\n"),
        ("proxy/Dockerfile", "FROM b\n"),
        (
            "app.env.example",
            "A=1\nDATABASE_URL=other\nB=\"x ${MODE}\"\n",
        ),
        ("init/a.sql", ""),
        ("password.txt", "x"),
    ])
}

#[test]
fn the_application_and_what_it_needs_are_found() {
    let variables = [("DB_PASSWORD", "s3cret"), ("MODE", "test")];
    let (compose, notes) = checkout().plan_with(PROJECT, &variables, None).unwrap();
    assert_eq!(started(&compose), ["db", "migrate"]);
    let [db, migrate] = &compose.services[..] else {
        panic!("two services");
    };
    assert_eq!(
        db.image,
        ServiceImage::Named("postgres:17".parse().unwrap())
    );
    assert_eq!(db.env, ["COST=5$", "POSTGRES_PASSWORD=s3cret"]);
    assert_eq!(
        db.volumes,
        [(Some("pg".into()), "/var/lib/postgresql/data".into())]
    );
    assert_eq!(db.tmpfs, ["/fast"]);
    let files = db.files.iter().map(|file| match &file.source {
        FileSource::Path(path) => (path.relative(), file.target.as_str()),
        FileSource::Content(_) => panic!("a file"),
    });
    let files: Vec<_> = files.collect();
    let expected = [
        ("init", "/docker-entrypoint-initdb.d"),
        ("password.txt", "/run/secrets/password"),
    ];
    assert_eq!(files, expected);
    assert!(
        matches!(&migrate.image, ServiceImage::Built(build) if build.dockerfile == "Dockerfile")
    );
    assert_eq!(migrate.command, ["migrate", "--all"]);

    let web = compose.application.unwrap();
    assert_eq!(web.name, "web");
    assert_eq!(
        web.command,
        ["gunicorn", "--bind", "0.0.0.0:8000", "app:make()"]
    );
    let env = [
        "A=1",
        "B=x test",
        "DATABASE_URL=postgres://u:s3cret@db/x",
        "MODE=test",
    ];
    assert_eq!(web.env, env);
    assert_eq!(
        (&web.ports[..], web.user.as_deref()),
        (&[8000][..], Some("10001"))
    );
    let volumes = [
        (Some("static".into()), "/static".into()),
        (None, "/data".into()),
        (None, "/cache".into()),
    ];
    assert_eq!(web.volumes, volumes);
    let after = [
        ("db".to_owned(), Condition::Ready),
        ("mail".to_owned(), Condition::Ready),
        ("migrate".to_owned(), Condition::Completed),
    ];
    let mut sorted = web.after.clone();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(sorted, after);
    let health = web.health.unwrap();
    assert_eq!(
        health.test,
        ["CMD-SHELL", "curl -f http://localhost:8000/up"]
    );
    assert_eq!(health.interval.unwrap().as_secs(), 90);
    assert_eq!((health.retries, health.start_period), (Some(5), None));
    insta::assert_snapshot!(notes.infos.join("\n"), @r"
    the application is the service `web`
    `mail`, which `web` does not require, is in no active profile; set `COMPOSE_PROFILES` in `compose-env` to start it
    not started: `mail`, `proxy`, `worker`
    `db`: without effect here: `deploy`
    `web`: `./app` is not mounted at `/app`, since the image is tested as it was built
    `web`: without effect here: `restart`
    services to start: `db`, `migrate`
    ");
    insta::assert_snapshot!(notes.warnings.join("\n"), @r"
    `db` does not get `/var/run/docker.sock`, which is outside the workspace
    `./app.env` is not in the checkout; `app.env.example` is used in its place
    ");
}

#[test]
fn a_service_in_a_profile_starts_if_it_is_active() {
    let variables = [("COMPOSE_PROFILES", "x, dev")];
    let (compose, notes) = checkout().plan_with(PROJECT, &variables, None).unwrap();
    assert_eq!(started(&compose), ["db", "mail", "migrate"]);
    let unset: Vec<_> = notes.unset.iter().map(String::as_str).collect();
    assert_eq!(unset, ["DB_PASSWORD", "MODE"]);
}

#[test]
fn the_service_of_the_step_is_the_one_that_is_built_alike_and_has_a_port() {
    let checkout = checkout();
    let name = |text: &str, service: Option<&str>| {
        let plan = checkout.plan_with(text, &[], service);
        plan.map(|(compose, _)| compose.application.map(|service| service.name))
    };
    let table = [
        ("a: {build: app}\n  b: {build: ./proxy}", Ok(Some("a"))),
        (
            "a: {build: app, expose: [80]}\n  b: {build: app, ports: [\"80\"]}",
            Ok(Some("b")),
        ),
        (
            "a: {build: app, expose: [80]}\n  b: {build: app}",
            Ok(Some("a")),
        ),
        (
            "a: {build: {context: app, target: x}}\n  b: {build: {context: ./app/., dockerfile: ./Dockerfile}}",
            Ok(Some("b")),
        ),
        ("a: {build: {context: app, dockerfile: Other}}", Ok(None)),
        ("a: {image: x}", Ok(None)),
        (
            "a: {build: app}\n  b: {build: app}",
            Err("builds several services as the step does: `a`, `b`; set `compose-service`"),
        ),
    ];
    for (services, expected) in table {
        let name = name(&format!("services:\n  {services}\n"), None);
        let name = name
            .as_ref()
            .map(|name| name.as_deref())
            .map_err(String::as_str);
        assert_eq!(name, expected, "{services}");
    }
    let both = "services:\n  a: {build: app}\n  b: {build: app}\n";
    assert_eq!(name(both, Some("b")).unwrap().as_deref(), Some("b"));
    assert_eq!(
        name(both, Some("c")).unwrap_err(),
        "has no service `c` (`compose-service`); its services: `a`, `b`"
    );
}

#[test]
fn without_an_order_every_service_with_an_image_starts() {
    let checkout = checkout();
    let text = "services:\n  web: {build: app}\n  db: {image: a}\n  cache: {image: b}\n  front: {image: c, depends_on: [web]}\n  dev: {image: d, profiles: [dev]}\n  other: {build: proxy}\n";
    let (compose, _) = checkout.plan(text).unwrap();
    assert_eq!(started(&compose), ["cache", "db"]);
    let (compose, _) = checkout
        .plan("services:\n  db: {image: a}\n  cache: {image: b}\n")
        .unwrap();
    assert_eq!(started(&compose), ["cache", "db"]);
}

#[test]
fn names_and_ports_have_several_forms() {
    let text = "services:\n  web: {build: app, links: ['db:database'], ports: ['53:53/udp', '3000-3005:3000-3005', {target: 80}, 8080, '[::1]:1:90/tcp']}\n  db: {image: a, hostname: host, container_name: container, networks: {default: {aliases: [other, db]}}, entrypoint: [], tmpfs: '/run:size=1m'}\n";
    let (compose, _) = checkout().plan(text).unwrap();
    let db = &compose.services[0];
    assert_eq!(db.aliases, ["container", "database", "host", "other"]);
    assert_eq!(
        (&db.entrypoint[..], &db.tmpfs[..]),
        (&[String::new()][..], &["/run".to_owned()][..])
    );
    assert_eq!(compose.application.unwrap().ports, [80, 8080, 90]);
}

#[test]
fn a_service_has_what_it_extends() {
    let text = "services:\n  base:\n    image: postgres:17\n    command: [a, b]\n    environment: {A: '1', B: '$HOST', D: on}\n    ports: [80]\n    volumes: ['pg:/data', '/cache']\n    \
                healthcheck: {test: ok, retries: 3}\n    depends_on: [db]\n\
                \x20 db: {image: x, build: {context: proxy, tags: [a], cache_from: [b]}}\n  middle: {extends: base, environment: ['A=2', 'C=3']}\n\
                \x20 web:\n    extends: {service: middle}\n    build: app\n    command: c\n    ports: ['81', 80]\n    volumes: ['own:/data']\n    healthcheck: {retries: 5}\n    depends_on: {mail: {condition: service_started}}\n\
                \x20 mail: {image: y}\n";
    let plan = checkout().plan_with(text, &[("HOST", "h")], None);
    let (compose, notes) = plan.unwrap();
    assert_eq!(started(&compose), ["db", "mail"]);
    let web = compose.application.unwrap();
    assert_eq!(web.name, "web");
    assert_eq!(
        (&web.command[..], &web.ports[..]),
        (&["c".to_owned()][..], &[81, 80][..])
    );
    assert_eq!(web.env, ["A=2", "B=h", "C=3", "D=on"]);
    let health = web.health.unwrap();
    assert_eq!(
        (&health.test[..], health.retries),
        (&["CMD-SHELL".to_owned(), "ok".to_owned()][..], Some(5))
    );
    assert_eq!(
        web.volumes,
        [
            (None, "/cache".to_owned()),
            (Some("own".into()), "/data".into())
        ]
    );
    assert!(notes.unset.is_empty(), "{:?}", notes.unset);
    let table = [
        (
            "{image: x, extends: y}",
            "`db`: `extends` names `y`, which is not a service of the file",
        ),
        (
            "{image: x, extends: {file: base.yaml, service: y}}",
            "`db`: `extends` from another file is not supported; ",
        ),
        (
            "{image: x, extends: db}",
            "`db`: `extends` leads from `db` to itself",
        ),
        (
            "{build: {context: proxy, dockerfile_inline: FROM x}}",
            "`db`: `dockerfile_inline` of its `build` is not supported",
        ),
    ];
    for (db, problem) in table {
        let web = "web: {build: app, depends_on: [db]}";
        let plan = checkout().plan(&format!("services:\n  {web}\n  db: {db}\n"));
        let error = plan.unwrap_err();
        assert!(error.starts_with(problem), "{db}: {error}");
    }
    // What the application is may be in the other file.
    let other = "services: {web: {extends: {file: base.yaml, service: web}, ports: [80]}}";
    let error = checkout().plan(other).unwrap_err();
    assert!(
        error.starts_with("`web`: `extends` from another file is not supported"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_or_not_supported_is_named() {
    let checkout = checkout();
    let web = "web: {build: app, depends_on: [db]}";
    let table = [
        ("", "is not a compose file: it has no `services`"),
        (
            "services: []",
            "is not a compose file: it has no `services`",
        ),
        ("include: [x]\nservices: {}", "`include` is not supported; "),
        ("services: {a: x}", "`a`: is not a service"),
        ("services: {<}", ""),
        (
            "services: {web: {build: app, depends_on: [db]}}",
            "`web` depends on `db`, which is not a service of the file",
        ),
        (
            "services: {web: {build: app, depends_on: [db]}, db: {image: x, depends_on: [c]}, c: {image: x, depends_on: [db]}}",
            "the services `web`, `db`, `c` depend on each other",
        ),
    ];
    for (text, problem) in table {
        let error = checkout.plan(text).unwrap_err();
        assert!(error.starts_with(problem), "{text}: {error}");
    }
    let table = [
        ("{}", "`db`: has neither `image` nor `build`"),
        ("{image: A B}", "`db`: `A B`: "),
        (
            "{image: x, privileged: true}",
            "`db`: `privileged: true` is not permitted",
        ),
        (
            "{image: x, network_mode: host}",
            "`db`: `network_mode: host` is not permitted",
        ),
        (
            "{image: '${X:?set X}'}",
            "`db`: the variable `X` has no value: set X",
        ),
        (
            "{image: x, env_file: none.env}",
            "`db`: its `env_file` `none.env` is not in the checkout",
        ),
        (
            "{image: x, env_file: ../../x}",
            "`db`: the environment file `../../x` is outside the workspace",
        ),
        (
            "{image: x, environment: {A: [1]}}",
            "`db`: `A` in `environment` is not a text",
        ),
        ("{image: x, ports: [x]}", "`db`: `x` in `ports`: "),
        (
            "{image: x, healthcheck: {interval: soon}}",
            "`db`: `interval` of `healthcheck`: invalid duration `soon`",
        ),
        (
            "{image: x, volumes: [a:b]}",
            "`db`: `a:b` in `volumes` has no absolute path in the container",
        ),
        (
            "{image: x, secrets: [nope]}",
            "`db`: `nope` in `secrets` has neither `file` nor `environment`",
        ),
        (
            "{build: ../out}",
            "`db`: its build context `../out` is not a directory of the workspace",
        ),
        ("{build: none}", "`db`: its build context `"),
        (
            "{build: {context: proxy, dockerfile: none}}",
            "`db`: its Dockerfile is not in the build context (`none`)",
        ),
        (
            "{build: {context: proxy, ssh: [default]}}",
            "`db`: `ssh` of its `build` is not supported",
        ),
        (
            "{image: x, command: \"'a\"}",
            "`db`: the quotes of `'a` are not closed",
        ),
    ];
    for (db, problem) in table {
        let error = checkout
            .plan(&format!("services:\n  {web}\n  db: {db}\n"))
            .unwrap_err();
        assert!(error.starts_with(problem), "{db}: {error}");
    }
}

#[test]
fn a_link_does_not_make_the_machine_a_build_context() {
    let checkout = Checkout::new(&[
        ("app/Dockerfile", "FROM x\n"),
        ("db/Dockerfile", "FROM x\n"),
    ]);
    let root = checkout.0.path();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("Dockerfile"), "FROM x\n").unwrap();
    let link = |target: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    };
    link(outside.path(), "out");
    link(std::path::Path::new("/"), "machine");
    link(std::path::Path::new("db"), "alias");
    link(&outside.path().join("Dockerfile"), "db/linked");
    let plan = |build: &str| {
        let text =
            format!("services: {{app: {{build: app, depends_on: [db]}}, db: {{build: {build}}}}}");
        checkout.plan(&text).map(|(compose, _)| compose)
    };
    let own = root.join("Dockerfile");
    let own = own.strip_prefix("/").unwrap().display();
    std::fs::write(root.join("Dockerfile"), "FROM x\nCOPY / /\n").unwrap();
    for build in [
        "out".to_owned(),
        format!("{{context: machine, dockerfile: {own}}}"),
    ] {
        let error = plan(&build).unwrap_err();
        assert!(
            error.ends_with("is not a directory of the workspace"),
            "{error}"
        );
    }
    let error = plan("{context: db, dockerfile: linked}").unwrap_err();
    assert!(error.contains("its Dockerfile is not in"), "{error}");
    let compose = plan("alias").unwrap();
    let ServiceImage::Built(build) = &compose.services[0].image else {
        panic!("{compose:?}");
    };
    assert_eq!(build.context, root.canonicalize().unwrap().join("db"));
}

#[test]
fn a_short_file_does_not_fill_the_memory() {
    let checkout = Checkout::new(&[]);
    let large = "x".repeat(1 << 20);
    let variables = [("A", &*large)];
    for key in ["command", "environment"] {
        let list = "A,"
            .repeat(100_000)
            .replace('A', if key == "command" { "$A" } else { "A" });
        let text = format!("services: {{db: {{image: x, {key}: [{list}]}}}}");
        let error = checkout.plan_with(&text, &variables, None).unwrap_err();
        assert_eq!(
            error,
            "`db`: the file has more than 32 MiB with its variables"
        );
    }
}
