//! The life of a step, from its environment to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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
#[allow(clippy::needless_pass_by_value)] // a call reads `run(&ACTION, run)`, not `&run`
pub fn run<F>(action: &'static Action, body: F) -> ExitCode
where
    F: AsyncFn(&Context) -> anyhow::Result<Done>,
{
    let env = Env::of_process();
    let debug = env.get("RUNNER_DEBUG").is_some();
    let log = Log::stdout(env.on_runner(), debug);
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        log.info(action.help());
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == "--version") {
        log.info(format!("{} {}", action.name, crate::VERSION));
        return ExitCode::SUCCESS;
    }
    crate::install_tls_provider();

    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            let error = anyhow::Error::new(e).context("while starting the runtime");
            return finish(action, &env, &log, &Report::default(), Err(error)).into();
        }
    };
    runtime
        .block_on(async {
            let inputs = match Inputs::read(action, &args, &env) {
                Ok(inputs) => inputs,
                Err(e) => return finish(action, &env, &log, &Report::default(), Err(e.into())),
            };
            inputs.mask_secrets(&log);
            let (stop, stopped) = watch::channel(None);
            let ctx = Context::new(env.clone(), inputs, log.clone(), stopped);
            let outcome = until_stopped(&ctx, &stop, body(&ctx)).await;
            finish(action, &env, &log, ctx.report(), outcome)
        })
        .into()
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
        // Work that ended well in spite of the signal has reached its verdict.
        Ok(Ok(done)) => Ok(done),
        Err(_) => Err(Cancelled(name).into()),
    }
}

fn finish(
    action: &Action,
    env: &Env,
    log: &Log,
    report: &Report,
    outcome: anyhow::Result<Done>,
) -> ExitStatus {
    let (status, result) = match &outcome {
        Ok(Done(result)) => (ExitStatus::Done, *result),
        Err(error) => {
            let status = ExitStatus::of(error);
            (status, status.result())
        }
    };
    report.output("result", result);
    if let Err(error) = &outcome {
        let heading = if error.downcast_ref::<BadInput>().is_some() {
            "bad input"
        } else {
            result
        };
        report.summary(format!(
            "\n### ❌ {}: {heading}\n\n{}",
            action.name,
            text::code_block(&format!("{error:#}"))
        ));
    }
    report.write(action, env, log);
    if let Err(error) = outcome {
        log.error(format!("{}: {error:#}", action.name));
    }
    status
}
