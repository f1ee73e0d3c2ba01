use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::Plan;
use crate::{Error, ErrorKind};

/// What the machine's own providers of credentials are told by; only where there is no key.
const PROVIDERS: &[(&str, AmazonS3ConfigKey)] = &[
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];

pub(super) fn client(plan: &Plan<'_>, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let (options, bucket) = (plan.options, &plan.place.bucket);
    let endpoint = options.get("s3.endpoint").map(|endpoint| endpoint.trim_end_matches('/'));
    let in_path = options.flag("s3.path.style.access")?.unwrap_or(endpoint.is_some());
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(options.get("s3.region").unwrap_or("us-east-1"))
        .with_virtual_hosted_style_request(!in_path)
        // A state gets a name that nothing has, and nothing is overwritten.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One request deletes one state; not every service knows more.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_client_options(ClientOptions::new())
        .with_http_connector(plan.connector.clone());
    if let Some(endpoint) = endpoint {
        let address = match (in_path, endpoint.split_once("://")) {
            (false, Some((scheme, host))) => format!("{scheme}://{bucket}.{host}"),
            _ => endpoint.to_owned(),
        };
        builder = builder.with_endpoint(address);
    }
    let invalid = |why: &str| Error::new(ErrorKind::Invalid, "open state storage").because(why.to_owned());
    match (options.get("s3.access-key"), options.get("s3.secret-key"), options.get("s3.session-token")) {
        (Some(key), Some(secret), token) => {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret);
            if let Some(token) = token {
                builder = builder.with_token(token);
            }
        }
        (None, None, None) => {
            let mut has_provider = false;
            for (name, key) in PROVIDERS {
                if let Some(value) = (plan.variable)(name).filter(|value| !value.is_empty()) {
                    builder = builder.with_config(*key, value);
                    has_provider = true;
                }
            }
            if endpoint.is_some() && !has_provider {
                // The last resort is AWS's own address for its own machines, which is not asked for another's service.
                return Err(invalid(
                    "there are no credentials: set `s3.access-key` and `s3.secret-key`, or AWS_ACCESS_KEY_ID and \
                     AWS_SECRET_ACCESS_KEY in the environment",
                ));
            }
        }
        _ => return Err(invalid("`s3.access-key` and `s3.secret-key` come together, a token with both")),
    }
    let client = builder.build().map_err(|error| super::refused(options, &error))?;
    Ok(Arc::new(client))
}
