//! A process that takes part in a cluster on the agent.

use std::sync::Arc;

use ha_consul::{Consul, ConsulSettings};
use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, PresenceOptions, ServicesOptions};
use ha_testkit::bench::cluster;
use ha_testkit::{async_trait, trials};
use serde::{Deserialize, Serialize};

/// Who takes part, and where. Default settings but for what stands here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) label: String,
    pub(crate) agent: String,
    pub(crate) root: String,
    pub(crate) storage: String,
    pub(crate) presence: bool,
}

impl Member {
    /// A member of a new cluster, whose states stay in memory.
    pub(crate) fn new(agent: &str, label: &str) -> Self {
        let root = format!("bench/{}", Seam::system().uuid());
        Self { label: label.into(), agent: agent.into(), root, storage: "memory://".into(), presence: true }
    }

    pub(crate) fn through(&self, agent: &str) -> Self {
        Self { agent: agent.into(), ..self.clone() }
    }

    /// Where everything of the cluster stands.
    pub(crate) fn place(&self) -> String {
        format!("{}/default", self.root)
    }

    pub(crate) fn latch(&self) -> String {
        format!("{}/leader/latch/.lock", self.place())
    }
}

#[async_trait]
impl trials::Member for Member {
    fn label(&self) -> &str {
        &self.label
    }

    async fn services(&self, seam: &Seam) -> Result<HaServices, Error> {
        let consul = Consul::connect(ConsulSettings::at(&self.agent), seam.clone()).await?;
        let storage = StateStorage::open(&self.storage, seam.clone())?;
        let options = ServicesOptions {
            root: self.root.clone(),
            session: SessionOptions { label: self.label.clone(), ..SessionOptions::default() },
            presence: if self.presence { PresenceOptions::Automatic } else { PresenceOptions::Off },
            ..ServicesOptions::default()
        };
        HaServices::new(Arc::new(consul), storage, &options, seam.clone())
    }
}

impl cluster::Member for Member {
    fn other(&self, label: &str) -> Self {
        Self { label: label.into(), ..self.clone() }
    }
}
