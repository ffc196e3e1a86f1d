//! How often the cluster and the service are polled: a good deployment is done within seconds, and a wasted second is a
//! large share of that; what takes longer is polled less often.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
/// The longest interval.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// Between the two, the interval is this part of the time waited so far.
const SHARE: u32 = 30;

/// The interval to the next request, `waited` after the first one.
pub(crate) fn after(waited: Duration) -> Duration {
    (waited / SHARE).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_wait_the_longer_the_interval() {
        let table = [(0, 100), (3_000, 100), (9_000, 300), (300_000, 1_000)];
        for (waited, expected) in table {
            let interval = after(Duration::from_millis(waited));
            assert_eq!(interval, Duration::from_millis(expected), "{waited} ms");
        }
    }
}
