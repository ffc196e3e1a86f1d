//! How often the cluster and the service are asked: a good deployment is over within seconds, and a second that is
//! waited for nothing is a share of that; what takes longer is asked less often.

use std::time::Duration;

const EAGER: Duration = Duration::from_millis(250);
const EAGER_FOR: Duration = Duration::from_secs(30);
const STEADY: Duration = Duration::from_secs(1);

/// The pause after a question, `waited` after the first one.
pub(crate) fn pause(waited: Duration) -> Duration {
    if waited < EAGER_FOR { EAGER } else { STEADY }
}
