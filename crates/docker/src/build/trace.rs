//! The steps of a build, from BuildKit's status messages.

use std::collections::{HashMap, VecDeque};

use limits::Lines;

use super::{BuildError, BuildEvent, BuildWarning};

/// The number of output lines that the error of a failed step keeps.
const TAIL: usize = 40;

/// The step that reads a cache (github.com/moby/buildkit, `solver/llbsolver/bridge.go`).
const CACHE_IMPORT: &str = "importing cache manifest from ";

/// The steps so far.
#[derive(Default)]
pub(crate) struct Trace {
    steps: HashMap<String, Step>,
    failed: Option<(String, String)>,
}

#[derive(Default)]
struct Step {
    name: String,
    started: bool,
    done: bool,
    tail: VecDeque<String>,
    lines: Lines,
}

impl Trace {
    pub(crate) fn read(
        &mut self,
        status: bollard::moby::buildkit::v1::StatusResponse,
        on_event: &mut impl FnMut(BuildEvent),
    ) {
        for vertex in status.vertexes {
            let step = self.steps.entry(vertex.digest.clone()).or_default();
            step.name.clone_from(&vertex.name);
            if !vertex.error.is_empty() {
                // BuildKit continues without a cache that it can't read.
                if let Some(cache) = vertex.name.strip_prefix(CACHE_IMPORT) {
                    if !step.done {
                        step.done = true;
                        on_event(BuildEvent::CacheUnavailable {
                            cache: cache.to_owned(),
                            reason: vertex.error,
                        });
                    }
                    continue;
                }
                self.fail(vertex.digest, vertex.error);
                continue;
            }
            let internal = vertex.name.starts_with("[internal]");
            if vertex.started.is_some() && !step.started {
                step.started = true;
                if !internal {
                    on_event(BuildEvent::Started {
                        step: vertex.name.clone(),
                    });
                }
            }
            if let (Some(started), Some(done), false) =
                (&vertex.started, &vertex.completed, step.done)
            {
                step.done = true;
                if !internal {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "a build takes less than 2^52 seconds"
                    )]
                    let seconds = (done.seconds - started.seconds) as f64
                        + f64::from(done.nanos - started.nanos) / 1e9;
                    on_event(BuildEvent::Done {
                        step: vertex.name,
                        seconds,
                        cached: vertex.cached,
                    });
                }
            }
        }
        for warning in status.warnings {
            let line = warning
                .ranges
                .first()
                .and_then(|range| range.start.as_ref());
            on_event(BuildEvent::Warning(BuildWarning {
                message: String::from_utf8_lossy(&warning.short).trim().to_owned(),
                url: warning.url,
                line: line.and_then(|start| u32::try_from(start.line).ok()),
            }));
        }
        for log in status.logs {
            let step = self.steps.entry(log.vertex).or_default();
            let tail = &mut step.tail;
            step.lines.push(&log.msg, |line| {
                let line = line.trim_end().to_owned();
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line.clone());
                on_event(BuildEvent::Line(line));
            });
        }
    }

    // When a step fails, the steps in parallel are canceled: the first real failure is the cause.
    fn fail(&mut self, digest: String, reason: String) {
        let canceled = |reason: &str| reason.contains("context canceled");
        let known = self.failed.as_ref();
        if known.is_none_or(|(_, known)| canceled(known) && !canceled(&reason)) {
            self.failed = Some((digest, reason));
        }
    }

    pub(crate) fn failure(&self, message: &str) -> Option<BuildError> {
        if let Some((digest, reason)) = &self.failed {
            let step = self.steps.get(digest);
            return Some(BuildError::Failed {
                step: step.map(|s| s.name.clone()).unwrap_or_default(),
                reason: reason.clone(),
                tail: step
                    .map(|s| s.tail.iter().cloned().collect())
                    .unwrap_or_default(),
            });
        }
        // A Dockerfile that can't be parsed fails before the first step.
        let frontend = [
            "dockerfile parse error",
            "failed to solve",
            "failed to create LLB",
            "target stage",
        ];
        frontend
            .iter()
            .any(|phrase| message.contains(phrase))
            .then(|| BuildError::Failed {
                step: "reading the Dockerfile".into(),
                reason: message.to_owned(),
                tail: Vec::new(),
            })
    }
}
