//! How often the limit of its processors holds a container back.

use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

use super::Container;

/// Counts of periods, of 100 ms each (docs.kernel.org/scheduler/sched-bwc.html, "Statistics").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// In which the container ran.
    pub periods: u64,
    /// Of those, the ones in which it used up its share of the processors.
    pub throttled: u64,
}

impl Container {
    /// The counts so far, about once a second while it runs; nothing where Docker does not know them.
    pub fn throttling(&self) -> impl Stream<Item = Throttling> + '_ {
        let options = StatsOptionsBuilder::default().stream(true).build();
        let stats = self.docker.api.stats(&self.id, Some(options));
        stats.filter_map(|stats| async move {
            let counts = stats.ok()?.cpu_stats?.throttling_data?;
            Some(Throttling {
                // After its end, all counts are 0.
                periods: counts.periods.filter(|periods| *periods > 0)?,
                throttled: counts.throttled_periods?,
            })
        })
    }
}
