use super::options::nearest;
use crate::excerpt::excerpt;
use crate::{Error, ErrorKind};

/// An option of the state storage: what [`StorageOptions`](super::StorageOptions) takes, and what documents and tools
/// list. All of them are known in every build, whichever storages are compiled in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageKey {
    /// Its name; Flink's, where Flink has one.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// The environment variables that are asked where it is not set, the first that is set wins.
    pub variables: &'static [&'static str],
    /// Whether its value must never be shown.
    pub secret: bool,
    /// What holds where it is set nowhere; `None`: nothing, or what the service says.
    pub default: Option<&'static str>,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

impl StorageKey {
    const fn new(name: &'static str, meaning: &'static str) -> Self {
        Self { name, aliases: &[], variables: &[], secret: false, default: None, meaning }
    }

    const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn variables(mut self, variables: &'static [&'static str]) -> Self {
        self.variables = variables;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// The option of that name or alias.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): there is none; the text tells the nearest name.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        if let Some(found) = STORAGE_KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name)) {
            return Ok(found);
        }
        let names = STORAGE_KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
        let meant = nearest(name, names.copied());
        Err(Error::new(ErrorKind::Invalid, "storage options")
            .at(excerpt(name, 60))
            .because(format!("no such option; did you mean `{meant}`?")))
    }
}

pub(super) const REQUEST_TIMEOUT: &str = "high-availability.storage.request-timeout";
pub(super) const RETRY_TIMEOUT: &str = "high-availability.storage.retry-timeout";
pub(super) const PARALLELISM: &str = "high-availability.storage.parallelism";
pub(super) const PART_SIZE: &str = "high-availability.storage.part-size";

/// All options of the state storage.
pub const STORAGE_KEYS: &[StorageKey] = &[
    StorageKey::new(
        REQUEST_TIMEOUT,
        "How long one request to an object store may take, its body included. A slow line needs more, or smaller parts.",
    )
    .default("20 s"),
    StorageKey::new(
        RETRY_TIMEOUT,
        "How long an object store that fails or cannot be reached is tried again. No operation on one state, or on one \
         part of a large one, takes longer than this and two requests.",
    )
    .default("30 s"),
    StorageKey::new(PARALLELISM, "How many parts of one large state are on their way at a time, from 1 to 64.")
        .default("4"),
    StorageKey::new(
        PART_SIZE,
        "The size of the parts that a large state is written and read in, from 5 mb to 512 mb. A state has at most 10,000 \
         parts. For each state on its way, parallelism + 1 parts are held in memory.",
    )
    .default("8 mb"),
    StorageKey::new("s3.endpoint", "The address of an S3-compatible service; without it AWS in the region.")
        .variables(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
    StorageKey::new("s3.region", "The region of the bucket.")
        .aliases(&["s3.endpoint.region"])
        .variables(&["AWS_REGION", "AWS_DEFAULT_REGION"])
        .default("us-east-1"),
    StorageKey::new(
        "s3.path.style.access",
        "Whether the bucket stands in the path (`true`) or in the host name (`false`). Without it: in the path where \
         there is an endpoint, in the host name at AWS.",
    )
    .aliases(&["s3.path-style-access"]),
    StorageKey::new("s3.access-key", "The id of the access key. With `s3.secret-key`, or not at all.")
        .aliases(&["s3.access.key"])
        .variables(&["AWS_ACCESS_KEY_ID"])
        .secret(),
    StorageKey::new("s3.secret-key", "The secret of the access key.")
        .aliases(&["s3.secret.key"])
        .variables(&["AWS_SECRET_ACCESS_KEY"])
        .secret(),
    StorageKey::new("s3.session-token", "The token of temporary credentials.")
        .variables(&["AWS_SESSION_TOKEN"])
        .secret(),
    StorageKey::new("gs.endpoint", "The address of a service that speaks Google's protocol; without it Google's."),
    StorageKey::new("gs.service-account-key-file", "The file with the key of a service account.")
        .variables(&["GOOGLE_APPLICATION_CREDENTIALS"]),
    StorageKey::new("gs.service-account-key", "The key of a service account itself, as JSON.")
        .variables(&["GOOGLE_SERVICE_ACCOUNT_KEY"])
        .secret(),
    StorageKey::new("azure.endpoint", "The address of a service that speaks Azure's protocol, with the account.")
        .variables(&["AZURE_STORAGE_ENDPOINT"]),
    StorageKey::new("azure.account-name", "The storage account, where the URL does not name it.")
        .variables(&["AZURE_STORAGE_ACCOUNT_NAME"]),
    StorageKey::new("azure.account-key", "The key of the storage account.")
        .variables(&["AZURE_STORAGE_ACCOUNT_KEY"])
        .secret(),
    StorageKey::new("azure.sas-token", "A shared access signature in place of the key.")
        .variables(&["AZURE_STORAGE_SAS_TOKEN"])
        .secret(),
    StorageKey::new("azure.tenant-id", "The tenant of a service principal.").variables(&["AZURE_TENANT_ID"]),
    StorageKey::new("azure.client-id", "The id of a service principal.").variables(&["AZURE_CLIENT_ID"]),
    StorageKey::new("azure.client-secret", "The secret of a service principal.")
        .variables(&["AZURE_CLIENT_SECRET"])
        .secret(),
];

/// Credentials come from one source as a whole: a key of the settings with a token of the environment is nobody's.
pub(super) const CREDENTIALS: &[&[&str]] = &[
    &["s3.access-key", "s3.secret-key", "s3.session-token"],
    &["gs.service-account-key-file", "gs.service-account-key"],
    &["azure.account-key", "azure.sas-token", "azure.tenant-id", "azure.client-id", "azure.client-secret"],
];
