//! Durations as an author writes them: `90s`, `5m`, `1h30m`, `90d` of 24 hours, or a bare number of seconds.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// A job on a self-hosted runner lasts five days at most, one on GitHub's six hours
/// (docs.github.com/actions/reference/limits): no wait is longer, and sums of such timeouts stay far from
/// where the clock ends.
const LONGEST: Duration = Duration::from_hours(5 * 24);

/// How long something may take.
///
/// # Errors
/// On anything that is not a duration, on zero, and on more than a job can last.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let duration = age(text)?;
    if duration > LONGEST {
        let most = LONGEST.as_secs() / 3600;
        return Err(format!(
            "duration `{text}` is longer than any job can run; use at most `{most}h`"
        ));
    }
    Ok(duration)
}

/// How old something may be: it is compared and not waited for, so it may be of any length.
///
/// # Errors
/// On anything that is not a duration, and on zero.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(SignedDuration::from_secs);
    seconds
        .or_else(|| text.parse().ok())
        .or_else(|| {
            let span: Span = text.parse().ok()?;
            span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
        })
        .filter(SignedDuration::is_positive)
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| {
            format!("invalid duration `{text}`; use a form such as `90s`, `5m` or `1h30m`")
        })
}
