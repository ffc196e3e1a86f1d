//! The objects that others deployed before this action, from whom they are taken over.

use actions_toolkit::Log;
use futures_util::future::join_all;

use crate::kubernetes::{Cluster, Owners, Snapshot, Taken};

/// The objects that are taken over.
#[derive(Default)]
pub(crate) struct TakenOver(Vec<Taken>);

impl TakenOver {
    /// Take over what `snapshot` has, as far as somebody else deployed it.
    ///
    /// # Errors
    /// When the API server rejects a request; nothing is taken over then.
    pub(crate) async fn take(
        log: &Log,
        cluster: &Cluster,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Self> {
        let states = snapshot.objects().iter();
        let taken = states.map(|(object, live)| cluster.take_over(object, live.as_ref()));
        let (mut all, mut rejected) = (Self::default(), None);
        for taken in join_all(taken).await {
            match taken {
                Ok(taken) => all.0.extend(taken),
                Err(e) => rejected = Some(e),
            }
        }
        if let Some(rejected) = rejected {
            all.give_back(cluster).await;
            return Err(rejected);
        }
        for taken in all.0.iter().filter(|taken| !taken.from.is_empty()) {
            log.info(format!(
                "took over {} from the field manager `{}`: what the manifests do not have is removed",
                taken.object.label(),
                taken.from.join("`, `")
            ));
        }
        Ok(all)
    }

    /// Record in `snapshot`, which was read since, the owners that the objects had: a rollback restores them. Who has
    /// deployed an object meanwhile keeps it.
    pub(crate) fn restore_in(&self, snapshot: &mut Snapshot) {
        for taken in &self.0 {
            let live = snapshot.live(&taken.object);
            if live.is_some_and(|live| Owners::of(live).is_same(&taken.after)) {
                snapshot.set_owners(&taken.object, taken.before.clone());
            }
        }
    }

    /// Give the objects back, of which nothing was changed. The next deployment takes over again: one that cannot be read is
    /// left as it is.
    pub(crate) async fn give_back(&self, cluster: &Cluster) {
        for taken in &self.0 {
            let live = cluster.get(&taken.object).await;
            if let Ok(Some(live)) = live
                && Owners::of(&live).is_same(&taken.after)
            {
                let before = taken.before.clone();
                let _ = cluster.set_owners(&taken.object, &live, before).await;
            }
        }
    }
}
