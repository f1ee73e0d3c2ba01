use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::Plan;
use crate::Error;

pub(super) fn client(plan: &Plan<'_>, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let options = plan.options;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&plan.place.bucket)
        .with_retry(retry)
        .with_client_options(ClientOptions::new())
        .with_http_connector(plan.connector.clone());
    if let Some(endpoint) = options.get("gs.endpoint") {
        builder = builder.with_base_url(endpoint);
    }
    // Without either: what `gcloud` has left for this user, else the machine's own provider.
    match (options.get("gs.service-account-key"), options.get("gs.service-account-key-file")) {
        (Some(key), _) => builder = builder.with_service_account_key(key),
        (None, Some(file)) => builder = builder.with_application_credentials(file),
        (None, None) => {}
    }
    let client = builder.build().map_err(|error| super::refused(options, &error))?;
    Ok(Arc::new(client))
}
