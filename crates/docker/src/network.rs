//! Networks of a run, in which its containers find each other by name, and volumes that they share.

use std::collections::HashMap;

use anyhow::Context as _;
use bollard::models::{
    EndpointSettings, Network, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions,
};
use futures_util::future::join_all;

use crate::{Container, Docker, EXPIRES_LABEL, RUN_LABEL};

impl Docker {
    /// Create the network `name` for the run `run`. Nothing outside is reachable from an internal one.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn create_network(
        &self,
        name: &str,
        run: &str,
        is_internal: bool,
    ) -> anyhow::Result<()> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            internal: Some(is_internal),
            labels: Some(self.labels_of(run)),
            ..Default::default()
        };
        let create = |docker: Self| async move { docker.api.create_network(request).await };
        let created = self.carry_out(create).await;
        let created = created.context("failed to create a network")?;
        created.with_context(|| format!("failed to create the network `{name}`"))?;
        Ok(())
    }

    /// Connect the container `id` to `network`, where it is found as `alias` too.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn connect_network(
        &self,
        network: &str,
        id: &str,
        alias: Option<&str>,
    ) -> anyhow::Result<()> {
        let request = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: alias.map(|alias| vec![alias.to_owned()]),
                ..Default::default()
            }),
        };
        let connected = self.api.connect_network(network, request).await;
        connected.with_context(|| format!("failed to connect to the network `{network}`"))
    }

    /// The networks that the container `id` is in, by name.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn networks_of(&self, id: &str) -> anyhow::Result<Vec<String>> {
        let container = Container {
            docker: self.clone(),
            id: id.to_owned(),
        };
        let settings = container.inspect().await?.network_settings;
        let networks = settings.and_then(|settings| settings.networks);
        let mut names: Vec<_> = networks.unwrap_or_default().into_keys().collect();
        names.sort();
        Ok(names)
    }

    /// Create the volume `name` for the run `run`, which removes it.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn create_volume(&self, name: &str, run: &str) -> anyhow::Result<()> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(self.labels_of(run)),
            ..Default::default()
        };
        let create = |docker: Self| async move { docker.api.create_volume(request).await };
        let created = self.carry_out(create).await;
        let created = created.context("failed to create a volume")?;
        created.with_context(|| format!("failed to create the volume `{name}`"))?;
        Ok(())
    }

    // By these, the run or a later one removes it.
    fn labels_of(&self, run: &str) -> HashMap<String, String> {
        HashMap::from([
            (RUN_LABEL.to_owned(), run.to_owned()),
            (EXPIRES_LABEL.to_owned(), self.expires().to_string()),
        ])
    }

    // As `remove_networks`.
    pub(crate) async fn remove_volumes(
        &self,
        label: String,
        is_meant: impl Fn(&HashMap<String, String>) -> bool,
    ) {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let volumes = self.api.list_volumes(Some(options)).await;
        let volumes = volumes.ok().and_then(|list| list.volumes);
        let meant = volumes.unwrap_or_default().into_iter();
        let meant = meant.filter(|volume| is_meant(&volume.labels));
        let removals = meant.map(|volume| async move {
            let options = None::<RemoveVolumeOptions>;
            let _ = self.api.remove_volume(&volume.name, options).await;
        });
        join_all(removals).await;
    }

    // Those with the label `label`, as Docker filters by it, which `is_meant` selects.
    pub(crate) async fn remove_networks(
        &self,
        label: String,
        is_meant: impl Fn(&HashMap<String, String>) -> bool,
    ) -> usize {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        let networks = self.api.list_networks(Some(options)).await;
        let networks = networks.unwrap_or_default().into_iter();
        let meant = networks.filter_map(|Network { id, labels, .. }| {
            is_meant(&labels.unwrap_or_default()).then_some(id?)
        });
        let removals = meant.map(|id| async move { self.api.remove_network(&id).await.is_ok() });
        let removed = join_all(removals).await;
        removed.into_iter().filter(|removed| *removed).count()
    }
}
