//! State storage in clouds.

mod answers;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcs")]
mod gcs;
mod http;
#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;
use std::time::Duration;

use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::open::{Cloud, CloudUrl};
use super::options::Limits;
use super::{Network, StateStorage, StorageOptions};
use crate::seam::Seam;
use crate::{Error, ErrorKind};
use http::Connector;

/// Between two attempts of one request. Their number is bounded by the time that they may take.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
const RETRIES_MAX: usize = 1_000;

/// What the makers of clients are given.
struct Plan<'a> {
    place: &'a CloudUrl,
    options: &'a StorageOptions,
    #[cfg_attr(
        not(any(feature = "s3", feature = "azure")),
        expect(dead_code, reason = "Google's needs no more of them")
    )]
    variable: &'a dyn Fn(&str) -> Option<String>,
    connector: Connector,
}

/// `options` are those of all sources already.
pub(super) fn open(
    place: &CloudUrl,
    options: &StorageOptions,
    variable: &dyn Fn(&str) -> Option<String>,
    seam: Seam,
) -> Result<StateStorage, Error> {
    let limits = Limits::of(options)?;
    let connector = Connector::new(&limits, endpoint(place.cloud, options))?;
    let plan = Plan { place, options, variable, connector };
    // What changes nothing, or is the same the second time, the client sends again by itself. A conditional create it
    // sends once: whoever sends it again must know that the first may have been applied.
    let again = RetryConfig {
        backoff: BackoffConfig { init_backoff: PAUSE, max_backoff: PAUSE_MAX, base: 2.0 },
        max_retries: RETRIES_MAX,
        retry_timeout: limits.retry,
    };
    let once = RetryConfig { max_retries: 0, ..again.clone() };
    let (store, creates) = (client(&plan, again)?, client(&plan, once)?);
    let network = Network { limits, bucket: place.bucket.clone(), secrets: options.secrets() };
    Ok(StateStorage {
        creates,
        below: place.below.as_str().into(),
        network: Some(Arc::new(network)),
        ..StateStorage::over(store, &place.base(), seam)
    })
}

fn client(plan: &Plan<'_>, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    match plan.place.cloud {
        #[cfg(feature = "s3")]
        Cloud::S3 => s3::client(plan, retry),
        #[cfg(feature = "gcs")]
        Cloud::Gcs => gcs::client(plan, retry),
        #[cfg(feature = "azure")]
        Cloud::Azure => azure::client(plan, retry),
        #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
        _ => Err(super::open::not_compiled_in(plan.place)),
    }
    .map_err(|error| error.at(plan.place.base()))
}

fn endpoint(cloud: Cloud, options: &StorageOptions) -> Option<&str> {
    options.get(match cloud {
        Cloud::S3 => "s3.endpoint",
        Cloud::Gcs => "gs.endpoint",
        Cloud::Azure => "azure.endpoint",
    })
}

/// Says what the crate below refuses, without values.
fn refused(options: &StorageOptions, error: &object_store::Error) -> Error {
    let mut text = error.to_string();
    for secret in options.secrets() {
        text = text.replace(&secret, "…");
    }
    Error::new(ErrorKind::Invalid, "open state storage").because(text)
}
