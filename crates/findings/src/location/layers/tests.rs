use proptest::prelude::*;
use serde_json::json;

use super::*;

fn metadata(base: usize, history: &[(&str, bool)]) -> Metadata {
    let base: Vec<_> = (0..base).map(|at| format!("base {at}")).collect();
    let base = base.iter().map(|entry| (entry.as_str(), true));
    let all: Vec<_> = base.chain(history.iter().copied()).collect();
    let ids = all.iter().filter(|(_, layer)| *layer).enumerate();
    let ids: Vec<_> = ids.map(|(at, _)| at.to_string()).collect();
    let history: Vec<_> = all
        .iter()
        .map(|(text, layer)| json!({"created_by": text, "empty_layer": !layer}))
        .collect();
    let metadata = json!({"DiffIDs": ids, "ImageConfig": {"history": history}});
    serde_json::from_value(metadata).unwrap()
}

/// The first line of each layer's instruction; 0 for the base image.
fn lines(text: &str, metadata: &Metadata) -> Vec<u32> {
    let layers = locate("Dockerfile", text, metadata);
    let line = |id: &String| layers.locations.get(id).map_or(0, |location| location.line);
    metadata.diff_ids.iter().map(line).collect()
}

#[test]
fn every_form_that_buildkit_writes_is_found() {
    // What BuildKit 0.27 writes.
    let text = r#"ARG BASE=debian
FROM ${BASE}
ARG USER=app
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN apt-get update \
  # why
  && apt-get install --yes a
RUN ["pip", "install", "x y"]
RUN --mount=type=cache,target=/root/.cache --network=none pip install z
RUN <<EOF
apt-get update
# a comment is kept
apt-get install b
EOF
RUN <<'PY' python3 - && true
print(1)
PY
RUN <<-"SCRIPT"
	#!/usr/bin/env python3
	print(2)
	SCRIPT
WORKDIR /srv
WORKDIR $USER
COPY --chown=1:1 --chmod=755 a b /srv/
COPY --link --from=build /opt/venv /opt/venv
COPY ["a b", "c", "/d/"]
COPY <<ONE <<TWO /etc/
1
ONE
2
TWO
ADD https://example.com/x.tar.gz /x/
COPY ${USER}/c /srv/c
USER $USER
"#;
    let history = [
        ("ARG USER=app", false),
        ("SHELL [/bin/bash -o pipefail -c]", false),
        (
            "RUN |1 USER=app /bin/bash -o pipefail -c apt-get update   && apt-get install --yes a # buildkit",
            true,
        ),
        ("RUN |1 USER=app pip install x y # buildkit", true),
        (
            "RUN |1 USER=app /bin/bash -o pipefail -c pip install z # buildkit",
            true,
        ),
        (
            "RUN |1 USER=app /bin/bash -o pipefail -c apt-get update\n# a comment is kept\napt-get install b\n # buildkit",
            true,
        ),
        (
            "RUN |1 USER=app /bin/bash -o pipefail -c <<'PY' python3 - && true\nprint(1)\nPY # buildkit",
            true,
        ),
        (
            "RUN |1 USER=app /bin/bash -o pipefail -c /dev/pipes/SCRIPT # buildkit",
            true,
        ),
        ("WORKDIR /srv", true),
        ("WORKDIR /srv/app", true),
        ("COPY --chown=1:1 --chmod=755 a b /srv/ # buildkit", true),
        ("COPY /opt/venv /opt/venv # buildkit", true),
        ("COPY a b c /d/ # buildkit", true),
        ("COPY <<ONE <<TWO /etc/ # buildkit", true),
        ("ADD https://example.com/x.tar.gz /x/ # buildkit", true),
        ("COPY app/c /srv/c # buildkit", true),
        ("USER app", false),
    ];
    assert_eq!(
        lines(text, &metadata(2, &history)),
        [0, 0, 5, 8, 9, 10, 15, 18, 22, 23, 24, 25, 26, 27, 32, 33]
    );
}

#[test]
fn a_command_without_a_shell_is_found_after_arguments_with_blanks() {
    let text = "FROM a\nARG NAME=\"two words\"\nRUN [\"put\", \"exec\"]\nRUN [\"/bin/sh\", \"-c\", \"put 'x y'\"]\nRUN [\"exec\"]\n";
    // What BuildKit writes.
    let history = [
        ("ARG NAME=two words", false),
        ("RUN |1 NAME=two words put exec # buildkit", true),
        (
            "RUN |1 NAME=two words /bin/sh -c put 'x y' # buildkit",
            true,
        ),
        ("RUN |1 NAME=two words exec # buildkit", true),
    ];
    assert_eq!(lines(text, &metadata(1, &history)), [0, 3, 4, 5]);
}

#[test]
fn what_other_builders_write_is_found() {
    let text = "FROM a\nRUN x\nCOPY a /app/\nRUN y\nADD $B /b\n";
    let legacy = [
        ("/bin/sh -c x", true),
        ("/bin/sh -c #(nop) COPY dir:4fde in /app/ ", true),
        ("|1 B=c /bin/sh -c y", true),
        ("/bin/sh -c #(nop) ADD file:0123 in /b ", true),
        ("/bin/sh -c #(nop)  CMD [\"x\"]", false),
    ];
    assert_eq!(lines(text, &metadata(1, &legacy)), [0, 2, 3, 4, 5]);
    // The base image's history is missing, and another tool has added a layer.
    let mut partial = metadata(0, &legacy);
    partial.diff_ids.insert(0, "base".to_owned());
    assert_eq!(lines(text, &partial), [0, 2, 3, 4, 5]);
    let patched = [&legacy[..], &[("mergeop of a patch", true)]].concat();
    assert_eq!(lines(text, &metadata(0, &patched))[..3], [2, 3, 4]);
}

#[test]
fn the_stage_is_the_one_whose_instructions_the_image_has() {
    let text = "FROM a AS base\nRUN common\nFROM base AS app\nRUN app\nFROM base AS debug\nRUN debug\nCOPY $X /x\nFROM b\nRUN last\n";
    let of = |history: &[(&str, bool)]| {
        let metadata = metadata(1, history);
        (
            lines(text, &metadata),
            locate("Dockerfile", text, &metadata).base,
        )
    };
    let run = |command: &'static str| (command, true);
    let (common, app) = (
        run("RUN /bin/sh -c common # buildkit"),
        run("RUN /bin/sh -c app # buildkit"),
    );
    let debug = run("RUN /bin/sh -c debug # buildkit");
    assert_eq!(of(&[common, app]), (vec![0, 2, 4], 1));
    assert_eq!(
        of(&[common, debug, run("COPY y /x # buildkit")]),
        (vec![0, 2, 6, 7], 1)
    );
    assert_eq!(of(&[common]), (vec![0, 2], 1));
    assert_eq!(
        of(&[run("RUN /bin/sh -c last # buildkit")]),
        (vec![0, 9], 8)
    );
    assert_eq!(of(&[]), (vec![0], 8));
}

#[test]
fn of_stages_with_the_same_layers_the_settings_decide() {
    let text = r#"FROM a AS test
RUN x
CMD ["pytest", "-q"]
FROM a AS worker
RUN x
ENV QUEUE="mail"
CMD worker --all
FROM a AS app
RUN x
ENV QUEUE="mail"
USER $UID
CMD ["serve"]
"#;
    // What BuildKit writes, and what the builder before it wrote.
    let table: [(&[&str], u32); 5] = [
        (&[r#"CMD ["pytest" "-q"]"#], 2),
        (
            &["ENV QUEUE=mail", r#"CMD ["/bin/sh" "-c" "worker --all"]"#],
            5,
        ),
        (&["ENV QUEUE=mail", "USER 1000", r#"CMD ["serve"]"#], 9),
        (&[r#"/bin/sh -c #(nop)  CMD ["pytest" "-q"]"#], 2),
        // Another builder wrote none: the last stage.
        (&[], 9),
    ];
    for (settings, line) in table {
        let settings = settings.iter().map(|setting| (*setting, false));
        let layer = [("RUN /bin/sh -c x # buildkit", true)];
        let history: Vec<_> = layer.into_iter().chain(settings).collect();
        assert_eq!(
            lines(text, &metadata(1, &history)),
            [0, line],
            "{history:?}"
        );
    }
}

#[test]
fn another_dockerfile_has_none_of_the_layers() {
    let text = "FROM a\nRUN x\nWORKDIR /app\nRUN y\n";
    let history = [
        ("RUN /bin/sh -c p # buildkit", true),
        ("RUN /bin/sh -c q # buildkit", true),
    ];
    let metadata = metadata(1, &history);
    assert_eq!(lines(text, &metadata), [0, 0, 0]);
    assert_eq!(locate("Dockerfile", text, &metadata).by_text, 0);
}

/// An instruction, and what BuildKit writes of it.
fn instruction() -> impl Strategy<Value = (String, String)> {
    let word = "[a-z]{1,6}";
    let words = prop::collection::vec(word, 1..4);
    prop_oneof![
        words.clone().prop_map(|w| {
            let text = w.join(" ");
            (
                format!("RUN --mount=type=cache,target=/c {text}"),
                format!("RUN |1 A=b /bin/sh -c {text} # buildkit"),
            )
        }),
        words.clone().prop_map(|w| {
            let exec = serde_json::to_string(&w).unwrap();
            (
                format!("RUN {exec}"),
                format!("RUN {} # buildkit", w.join(" ")),
            )
        }),
        words.clone().prop_map(|w| {
            let text = w.join("\n");
            (
                format!("RUN <<EOF\n{text}\nEOF"),
                format!("RUN /bin/bash -exc {text}\n # buildkit"),
            )
        }),
        (word, word).prop_map(|(a, b)| (
            format!("COPY --link {a} /{b}"),
            format!("COPY {a} /{b} # buildkit")
        )),
        (word, word).prop_map(|(a, b)| (
            format!("COPY ${a} /{b}"),
            format!("COPY {a} /{b} # buildkit")
        )),
        word.prop_map(|a| (format!("WORKDIR /{a}"), format!("WORKDIR /{a}"))),
        word.prop_map(|a| (format!("WORKDIR {a}"), format!("WORKDIR /x/{a}"))),
    ]
}

proptest! {
    #[test]
    fn each_layer_is_on_its_own_instruction(base in 0_usize..3, made in prop::collection::vec(instruction(), 1..12)) {
        let mut text = "FROM base\n".to_owned();
        let mut expected = vec![0; base];
        for (source, _) in &made {
            expected.push(u32::try_from(text.lines().count()).unwrap() + 1);
            text.push_str(source);
            text.push('\n');
        }
        let history: Vec<_> = made.iter().map(|(_, created)| (created.as_str(), true)).collect();
        prop_assert_eq!(lines(&text, &metadata(base, &history)), expected, "{}", text);
    }
}
