use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) method: Method,
    /// What follows `/v1/`, with its query.
    pub(super) path: String,
    pub(super) body: Option<Bytes>,
    pub(super) timeout: Option<Duration>,
}

impl Request {
    /// Only reads, so another agent may be asked after one that did not answer.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path.into())
    }

    fn new(method: Method, path: String) -> Self {
        Self { method, path, body: None, timeout: None }
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Instead of the time-out of the settings.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(super) fn only_reads(&self) -> bool {
        self.method == Method::GET
    }
}
