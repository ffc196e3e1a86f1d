//! The life of a step, from its environment to its exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::command_line::CommandLine;
use crate::private_directory::remove_abandoned;
use crate::{
    Action, BadInput, Cancelled, Context, Done, Env, ExitStatus, Inputs, Log, Report, text,
};

/// The runner sends SIGINT, SIGTERM 7.5 s later, and kills after 2.5 s more
/// (`Runner.Sdk/ProcessInvoker.cs`): an action has this long to clean up.
const CLEAN_UP: Duration = Duration::from_secs(7);

/// Run `action` by `body` and return the exit code of the process.
///
/// Reads the inputs, masks the secrets, runs `body`, and then writes every declared output and the
/// summary, whichever way `body` ended; an error becomes one `::error` with its whole chain.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a call reads `run(&ACTION, run)`, not `&run`"
)]
pub fn run<F>(action: &'static Action, body: F) -> ExitCode
where
    F: AsyncFn(&Context) -> anyhow::Result<Done>,
{
    let env = Env::of_process();
    let debug = env.get("RUNNER_DEBUG").is_some();
    let mut end = End {
        action,
        log: Log::stdout(env.on_runner(), debug),
        env,
        json: false,
    };
    end.log.redactor().learn_environment(&end.env);
    let args = in_utf8(std::env::args_os().skip(1));
    let options = match args.and_then(|args| CommandLine::parse(action, &args)) {
        Ok(command_line) => match command_line.print(action) {
            Ok(Some(options)) => options,
            // What a closed standard output would have shown is lost, without harm.
            Ok(None) | Err(_) => return ExitCode::SUCCESS,
        },
        Err(e) => return end.finish(&Report::default(), Err(e.into())).into(),
    };
    if options.json {
        end.json = true;
        end.log = end.log.on_stderr();
    }
    http_client::install_tls_provider();

    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            let error = anyhow::Error::new(e).context("failed to start the runtime");
            return end.finish(&Report::default(), Err(error)).into();
        }
    };
    let status = runtime.block_on(async {
        let inputs = match Inputs::with_options(action, options.inputs, &end.env) {
            Ok(inputs) => inputs,
            Err(e) => return end.finish(&Report::default(), Err(e.into())),
        };
        inputs.mask_secrets(&end.log);
        let (stop, stopped) = watch::channel(None);
        let ctx = Context::new(end.env.clone(), inputs, end.log.clone(), stopped);
        // Also of a run that needs none: there may be credentials in it.
        remove_abandoned(&ctx.temp_dir());
        let outcome = until_stopped(&ctx, &stop, body(&ctx)).await;
        end.finish(ctx.report(), outcome)
    });
    // What runs on another thread can't be canceled, and must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    status.into()
}

fn in_utf8(args: impl Iterator<Item = OsString>) -> Result<Vec<String>, BadInput> {
    let text = |arg: OsString| {
        arg.into_string()
            .map_err(|arg| BadInput(format!("argument `{}` is not UTF-8", arg.display())))
    };
    args.map(text).collect()
}

async fn until_stopped(
    ctx: &Context,
    stop: &watch::Sender<Option<&'static str>>,
    body: impl Future<Output = anyhow::Result<Done>>,
) -> anyhow::Result<Done> {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return body.await;
    };
    let mut body = std::pin::pin!(body);
    let name = tokio::select! {
        outcome = &mut body => return outcome,
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    ctx.log().info(format!("{name}: stopping and cleaning up"));
    stop.send_replace(Some(name));
    match tokio::time::timeout(CLEAN_UP, body).await {
        Ok(Err(error)) => Err(error),
        // Work that succeeded in spite of the signal has reached its verdict.
        Ok(Ok(done)) => Ok(done),
        Err(_) => Err(Cancelled(name).into()),
    }
}

/// Where the outcome goes.
struct End {
    action: &'static Action,
    env: Env,
    log: Log,
    /// Whether the outputs are one JSON object on standard output.
    json: bool,
}

impl End {
    fn finish(&self, report: &Report, outcome: anyhow::Result<Done>) -> ExitStatus {
        let Self {
            action, env, log, ..
        } = self;
        let result = match &outcome {
            Ok(Done(result)) => result,
            Err(error) => ExitStatus::from_error(error).result(),
        };
        report.output("result", result);
        // Without the runner's file, they are printed.
        let written = if self.json && env.get("GITHUB_OUTPUT").is_none() {
            Ok(())
        } else {
            report.write_outputs(action, env, log)
        };
        let outcome = match (outcome, written) {
            (outcome, Ok(())) => outcome,
            // Later steps would go on with nothing behind a step that passed.
            (Ok(_), Err(lost)) => {
                // The last value counts, if there is room for one.
                report.output("result", ExitStatus::ToolFailed.result());
                let _ = report.write_outputs(action, env, log);
                Err(lost)
            }
            (Err(error), Err(lost)) => {
                log.warning(format!("{lost:#}"));
                Err(error)
            }
        };
        let status = outcome
            .as_ref()
            .map_or_else(ExitStatus::from_error, |_| ExitStatus::Done);
        let error = outcome.err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            let heading = if status == ExitStatus::BadInput {
                "bad input"
            } else {
                status.result()
            };
            report.summary(format!(
                "\n### ❌ {}: {heading}\n\n{}",
                action.name,
                text::code_block(error)
            ));
        }
        report.write_summary(env, log);
        report.write_artifacts(env, log);
        if let Some(error) = &error {
            log.error(format!("{}: {error}", action.name));
        }
        if self.json {
            let object = report.to_json(action, log, status, error.as_deref());
            // A closed standard output can't be reported anywhere.
            let _ = writeln!(std::io::stdout(), "{object:#}");
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn an_argument_that_is_not_utf8_is_bad_input() {
        let table = [
            (vec![b"--image".to_vec(), "ä:1".into()], Ok(2)),
            (
                vec![b"--image".to_vec(), b"app:\xff".to_vec()],
                Err("argument `app:\u{fffd}` is not UTF-8"),
            ),
        ];
        for (args, expected) in table {
            let found = in_utf8(args.into_iter().map(OsString::from_vec));
            let found = found.map(|args| args.len()).map_err(|e| e.0);
            assert_eq!(found, expected.map_err(ToOwned::to_owned));
        }
    }
}
