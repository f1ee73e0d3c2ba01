use std::collections::BTreeMap;

use ha_core::election::LeaderInformation;
use ha_core::{ComponentId, DEFAULT_LEADER_ID, Error, ErrorKind};

/// The greatest number that [`StandaloneOptions::tokens_above`] may have: tokens stay exact in every JSON
/// reader, with room for 2^52 leaderships after it.
pub const TOKEN_MAX: u64 = 1 << 52;

/// Where the leaders are. Plain data; [`StandaloneOptions::validate`] says what does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandaloneOptions {
    /// The address of each component's leader. A component without one is found where it publishes itself,
    /// within this process only. Default: none.
    pub addresses: BTreeMap<ComponentId, String>,
    /// Every fencing token of these services is greater than this. `None` (the default): the milliseconds
    /// since 1970 by the machine's clock when the services are made, so that a receiver that remembers the
    /// tokens of the last run does not refuse those of this one, as long as that clock does not go back
    /// between them. At most [`TOKEN_MAX`].
    pub tokens_above: Option<u64>,
}

impl StandaloneOptions {
    /// With that address of the component's leader, in place of an earlier one.
    #[must_use]
    pub fn with_address(mut self, component: ComponentId, address: impl Into<String>) -> Self {
        self.addresses.insert(component, address.into());
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): names the field and what is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |at: String| Error::new(ErrorKind::Invalid, "standalone options").at(at);
        for (component, address) in &self.addresses {
            LeaderInformation::new(address, DEFAULT_LEADER_ID).map_err(|error| {
                invalid(format!("address of {component}")).because("no address of a leader").caused_by(error)
            })?;
        }
        match self.tokens_above {
            Some(above) if above > TOKEN_MAX => {
                Err(invalid("tokens_above".into()).because(format!("{above}; at most {TOKEN_MAX} is allowed")))
            }
            _ => Ok(()),
        }
    }
}
