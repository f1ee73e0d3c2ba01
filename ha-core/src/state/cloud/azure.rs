use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::Plan;
use crate::{Error, ErrorKind};

pub(super) fn client(plan: &Plan<'_>, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let options = plan.options;
    let account = options.get("azure.account-name").ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "open state storage").because(
            "there is no account: set `azure.account-name`, or write abfss://container@account.dfs.core.windows.net/prefix",
        )
    })?;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&plan.place.bucket)
        .with_retry(retry)
        .with_client_options(ClientOptions::new())
        .with_http_connector(plan.connector.clone());
    if let Some(endpoint) = options.get("azure.endpoint") {
        builder = builder.with_endpoint(endpoint.to_owned());
    }
    for (name, key) in [
        ("azure.account-key", AzureConfigKey::AccessKey),
        ("azure.sas-token", AzureConfigKey::SasKey),
        ("azure.tenant-id", AzureConfigKey::AuthorityId),
        ("azure.client-id", AzureConfigKey::ClientId),
        ("azure.client-secret", AzureConfigKey::ClientSecret),
    ] {
        if let Some(value) = options.get(name) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(file) = (plan.variable)("AZURE_FEDERATED_TOKEN_FILE").filter(|file| !file.is_empty()) {
        builder = builder.with_federated_token_file(file);
    }
    let client = builder.build().map_err(|error| super::refused(options, &error))?;
    Ok(Arc::new(client))
}
