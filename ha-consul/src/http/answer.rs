use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;

use super::failure::{Failure, FailureKind};
use super::verdict::verdict;

/// The most of a foreign text that is shown in an error, in characters.
const SHOWN_MAX: usize = 200;
/// The most of a foreign text that is looked at, in bytes.
const READ_MAX: usize = 4096;

/// What Consul answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `X-Consul-Index`, where there is one.
    pub(crate) index: Option<u64>,
    /// Whether the agent says that it left out what the token may not see. Older agents do not say it.
    pub(crate) filtered: bool,
    pub(crate) body: Bytes,
    /// What must not be shown, should the answer repeat it.
    pub(super) secrets: Vec<HeaderValue>,
}

impl Answer {
    /// A 200 with that body.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_body(body: Bytes) -> Self {
        Self { status: 200, index: None, filtered: false, body, secrets: Vec::new() }
    }

    /// Decodes a 200. What cannot be decoded did not come from a Consul that we understand.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // It quotes what it found, whole.
            let error = self.shown_of(&error.to_string());
            let why = format!("not the answer of a Consul agent ({error}): {}; check the address", self.shown());
            Failure::new(FailureKind::Unknown, why)
        })
    }

    /// Passes a 200 on, and says of everything else what it means.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if self.status == 200 { Ok(self) } else { Err(self.failure()) }
    }

    /// Passes a 200 on that says nothing more, as Consul's own does where there is nothing to say. A page of something
    /// in between has a text.
    pub(crate) fn without_text(self) -> Result<Self, Failure> {
        let answer = self.ok()?;
        if answer.body.trim_ascii().is_empty() { Ok(answer) } else { Err(answer.not_consuls()) }
    }

    /// A success that is not what Consul answers.
    pub(crate) fn not_consuls(&self) -> Failure {
        let why = format!("status {}: not what Consul answers to it: {}; check the address", self.status, self.shown());
        Failure::new(FailureKind::Unknown, why)
    }

    pub(crate) fn failure(&self) -> Failure {
        let (kind, what) = verdict(self.status, &self.text());
        Failure::new(kind, format!("status {}: {}; {what}", self.status, self.shown()))
    }

    /// The beginning of the body.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(READ_MAX)]).into_owned()
    }

    /// Whether this agent is there and cannot serve, so that the next request had better ask another.
    pub(super) fn leads_elsewhere(&self) -> bool {
        self.status >= 500 || self.status == 429
    }

    /// What of the body can be shown.
    pub(crate) fn shown(&self) -> String {
        self.shown_of(&self.text())
    }

    /// What of a foreign text that came with this answer can be shown: its beginning, without secrets.
    pub(crate) fn shown_of(&self, text: &str) -> String {
        let text = self.hidden(text);
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect();
        format!("{:?}", line.trim())
    }

    fn hidden(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            let Ok(secret) = secret.to_str() else { continue };
            let Some(basic) = secret.strip_prefix("Basic ") else {
                text = without(text, secret);
                continue;
            };
            text = without(text, basic);
            // Whoever asked for it can read it, and may repeat it as it was before.
            let clear = STANDARD.decode(basic).ok().and_then(|clear| String::from_utf8(clear).ok());
            if let Some((_, password)) = clear.as_deref().and_then(|clear| clear.split_once(':')) {
                text = without(text, password);
            }
        }
        text
    }
}

fn without(text: String, secret: &str) -> String {
    if secret.is_empty() {
        return text;
    }
    let mut text = text.replace(secret, "…");
    // Where the text was cut, the beginning of one may be left.
    let mut ends = secret.char_indices().rev().map(|(end, _)| end).filter(|end| *end > 0);
    let part = ends.find(|end| text.ends_with(&secret[..*end]));
    text.truncate(text.len() - part.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: String) -> Answer {
        let secrets = vec![HeaderValue::from_static("s3cret"), HeaderValue::from_static("Basic bWU6czNjcmV0")];
        Answer { status, index: None, filtered: false, body: body.into(), secrets }
    }

    #[test]
    fn an_answer_of_something_else_is_no_success_and_its_text_is_cut() {
        let answer = answer(200, format!("<html>{}\u{7}</html>", "x".repeat(10_000)));
        let failure = answer.json::<Vec<u8>>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unknown);
        assert!(failure.why.len() < 500 && !failure.why.contains('\u{7}'), "{}", failure.why);
    }

    #[test]
    fn an_answer_that_repeats_a_secret_is_shown_without_it() {
        let echo = "X-Consul-Token: s3cret, Authorization: Basic bWU6czNjcmV0";
        for status in [200, 403, 500] {
            let answer = answer(status, format!("{echo} {}", "x".repeat(1000)));
            let failure = if status == 200 { answer.json::<u8>().unwrap_err() } else { answer.failure() };
            assert!(!failure.why.contains("s3cret") && !failure.why.contains("bWU6"), "{}", failure.why);
            assert!(failure.why.contains("X-Consul-Token"), "{}", failure.why);
        }
    }

    #[test]
    fn a_body_that_is_no_text_is_shown_all_the_same() {
        let mut answer = answer(500, String::new());
        answer.body = Bytes::from_static(&[0xff, 0x00, 0xfe]);
        assert_eq!(answer.failure().kind, FailureKind::Unknown);
    }
}
