use bytes::Bytes;
use ha_core::{Error, ErrorKind};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HOST, HeaderValue};

use super::answer::Answer;
use super::failure::{Failure, FailureKind};
use super::request::Request;
use super::tls;
use crate::address::Address;
use crate::settings::ConsulSettings;

/// The longest answer without success that is read: a transaction can be refused for each of its operations.
const REFUSAL_BYTES_MAX: usize = 1 << 20;

/// One agent, and a way to it with connections of its own.
pub(super) struct Agent {
    pub(super) address: Address,
    client: Client,
    /// What every URL begins with.
    base: String,
    /// The agent's own name, where the URL names it otherwise.
    host: Option<HeaderValue>,
    answer_bytes_max: usize,
}

impl Agent {
    pub(super) fn new(address: Address, settings: &ConsulSettings) -> Result<Self, Error> {
        let invalid = |error: reqwest::Error| {
            Error::new(ErrorKind::Invalid, "consul client").at(&address).caused_by(error.without_url())
        };
        let mut builder = Client::builder()
            .connect_timeout(settings.connect_timeout)
            // Nothing is sent again by itself: only the layer above knows what may be.
            .retry(reqwest::retry::never())
            // A redirect would carry the token to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            // Whatever else is compiled into the client by others: a waiting request has its connection to itself.
            .http1_only()
            .referer(false)
            .tcp_nodelay(true)
            // The environment names proxies for the internet. An agent is near, and a proxy would read the token.
            .no_proxy();
        if let Address::Unix(path) = &address {
            builder = builder.unix_socket(path.as_path());
        }
        let (builder, name) = tls::prepared(builder, &address, &settings.tls)?;
        let client = builder.build().map_err(invalid)?;
        let base = address.base(name.as_deref());
        let host = match (&address, name) {
            (Address::Tcp { host, port, .. }, Some(_)) => HeaderValue::from_str(&format!("{host}:{port}")).ok(),
            _ => None,
        };
        Ok(Self { address, client, base, host, answer_bytes_max: settings.answer_bytes_max })
    }

    /// Sends the request, once, and reads the answer. `within` bounds both together.
    ///
    /// # Cancel safety
    /// After a drop it may have been carried out.
    pub(super) async fn send(&self, request: &Request, way: &Way<'_>) -> Result<Answer, Failure> {
        let joint = if way.scope.is_empty() || request.path.ends_with('?') {
            ""
        } else if request.path.contains('?') {
            "&"
        } else {
            "?"
        };
        let url = format!("{}/v1/{}{joint}{}", self.base, request.path, way.scope);
        let mut builder = self.client.request(request.method.clone(), url).timeout(way.within);
        let mut secrets = Vec::new();
        for (name, value) in [("X-Consul-Token", &way.token), (AUTHORIZATION.as_str(), &way.auth)] {
            if let Some(value) = value {
                builder = builder.header(name, value);
                secrets.push(value.clone());
            }
        }
        if let Some(host) = &self.host {
            builder = builder.header(HOST, host);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let failed = |error| Failure::of_transport(error, &self.address.to_string());
        let mut response = builder.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let index = response.headers().get("X-Consul-Index").and_then(|value| value.to_str().ok()?.parse().ok());
        let filtered = response.headers().get("X-Consul-Results-Filtered-By-ACLs");
        let filtered = filtered.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let most = if status == 200 { self.answer_bytes_max } else { REFUSAL_BYTES_MAX.min(self.answer_bytes_max) };
        let too_long = || {
            let why = format!("status {status} from {}: an answer of more than {most} bytes", self.address);
            Failure::new(FailureKind::Unknown, why)
        };
        if response.content_length().is_some_and(|bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes > most)) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if chunk.len() > most - body.len() {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, index, filtered, body: Bytes::from(body), secrets })
    }
}

/// What belongs to every request of the moment.
pub(super) struct Way<'a> {
    pub(super) token: Option<HeaderValue>,
    pub(super) auth: Option<HeaderValue>,
    /// Datacenter, namespace and partition, as part of a query.
    pub(super) scope: &'a str,
    pub(super) within: std::time::Duration,
}
