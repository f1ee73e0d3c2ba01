//! The HTTP client of all cloud stores: TLS by rustls with the workspace's provider, and a bound for everything.

use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

use super::super::options::Limits;
use super::answers::Bounded;
use crate::{Error, ErrorKind};

/// To connect takes milliseconds, or does not succeed.
const CONNECT: Duration = Duration::from_secs(5);

/// Hands out one client, whatever for.
#[derive(Debug, Clone)]
pub(super) struct Connector(reqwest::Client);

impl Connector {
    /// # Errors
    /// [`ErrorKind::Invalid`]: the endpoint is no address of a service, or holds credentials.
    /// [`ErrorKind::Storage`]: the system's certificates cannot be read.
    pub(super) fn new(limits: &Limits, endpoint: Option<&str>) -> Result<Self, Error> {
        let failed = |why: String| Error::new(ErrorKind::Storage, "open state storage").because(why);
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(format!("TLS: {error}")))?
            .with_platform_verifier()
            .map_err(|error| failed(format!("the system's certificates: {error}")))?
            .with_no_client_auth();
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("ha-core/", env!("CARGO_PKG_VERSION")))
            .timeout(limits.request)
            .connect_timeout(CONNECT.min(limits.request))
            // A request is signed for one address; sent on, its token would reach another.
            .redirect(reqwest::redirect::Policy::none())
            // Another crate of the application may switch decoders on for all clients; what is decoded has another length
            // than was said, and as much of it as its sender likes.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only();
        if let Some(endpoint) = endpoint
            && is_of_this_host(endpoint)?
        {
            builder = builder.no_proxy();
        }
        builder.build().map(Self).map_err(|error| failed(error.to_string()))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Bounded(self.0.clone())))
    }
}

/// Checks the address, too.
fn is_of_this_host(endpoint: &str) -> Result<bool, Error> {
    let invalid = |why| Error::new(ErrorKind::Invalid, "open state storage").because(why);
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| invalid("the endpoint is no address: write http://host:port or https://host"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(invalid("no credentials in the endpoint: set them as options, or in the environment"));
    }
    if url.fragment().is_some() {
        return Err(invalid("a `#` has no meaning in the endpoint, and what is asked for would stand behind it"));
    }
    Ok(match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    })
}
