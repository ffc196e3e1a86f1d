//! How often the cluster and the service are asked: a good deployment is over within seconds, and a second that is
//! waited for nothing is a share of that; what takes longer is asked less often.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
/// The longest pause.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// Between the two, a pause is this part of what was waited.
const SHARE: u32 = 30;

/// The pause after a question, `waited` after the first one.
pub(crate) fn pause(waited: Duration) -> Duration {
    (waited / SHARE).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_wait_the_longer_the_pause() {
        let table = [(0, 100), (3_000, 100), (9_000, 300), (300_000, 1_000)];
        for (waited, expected) in table {
            let pause = pause(Duration::from_millis(waited));
            assert_eq!(pause, Duration::from_millis(expected), "{waited} ms");
        }
    }
}
