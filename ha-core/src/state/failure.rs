use std::error::Error as StdError;
use std::fmt;

use object_store::Error as Store;
use object_store::path::Path;

use super::{StateStorage, handle};
use crate::excerpt::{Excerpt, beginning};
use crate::{Error, ErrorKind};

/// How much of what a store answered an error keeps.
const TEXT_BYTES_MAX: usize = 512;
/// How deep causes are followed.
const DEPTH_MAX: usize = 8;

/// What a store or its client said, without what nobody may see: values of secret options, and the bodies of answers,
/// in which services repeat tokens and signatures.
#[derive(Debug)]
pub(super) struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

/// What is said of a failure beside its text.
struct Diagnosis {
    kind: ErrorKind,
    why: String,
}

impl StateStorage {
    pub(super) fn failed(&self, operation: &'static str, path: &Path, error: Store) -> Error {
        let Diagnosis { kind, why } = match &self.network {
            None => diagnosis(&error),
            Some(network) => diagnosis_over_network(operation, &error, &network.bucket),
        };
        let failed = Error::new(kind, operation).at(self.shown(path)).because(why);
        match &self.network {
            None => failed.caused_by(error),
            Some(_) => failed.caused_by(self.cause(&error)),
        }
    }

    /// The error as it may be kept and logged.
    pub(super) fn cause(&self, error: &Store) -> Cause {
        let secrets = self.network.as_ref().map_or(&[][..], |network| &network.secrets);
        Cause(redacted(&texts(error), secrets))
    }

    pub(super) fn shown(&self, path: &Path) -> String {
        let path = path.as_ref().strip_prefix(&*self.below).unwrap_or(path.as_ref());
        let uri = format!("{}{path}", self.base);
        let excerpt: Excerpt<'_> = handle::shown(&uri);
        excerpt.to_string()
    }
}

/// Whether the same request would get the same answer.
pub(super) fn is_final(error: &Store) -> bool {
    match error {
        Store::Generic { .. } => {
            let text = texts(error);
            // Too slow, too early, too many; S3 says of a body that comes slowly that it is a bad request.
            let passes = |status| matches!(status, 408 | 425 | 429) || says(&text, "RequestTimeout");
            // Elsewhere, refused, or not known to this store at all.
            let is_answer = |status| (300..500).contains(&status) || status == NOT_IMPLEMENTED;
            text.contains(REDIRECTED) || status(&text).is_some_and(|status| is_answer(status) && !passes(status))
        }
        // Whoever asks has looked what stands there, and nothing does.
        Store::AlreadyExists { .. } => false,
        _ => true,
    }
}

/// Whether "already exists" says only that requests are in each other's way, whatever stands there: the client takes each
/// status 409 for it.
pub(super) fn is_conflict_of_requests(error: &Store) -> bool {
    let text = texts(error);
    matches!(error, Store::AlreadyExists { .. })
        && status(&text) == Some(409)
        && parted(&text).1.contains("<Code>")
        && !says(&text, "BlobAlreadyExists")
}

/// The client's own words before a status, before the body of a success that says it is none, and for an answer that sends
/// it elsewhere and does not say where.
const STATUS: &str = "status code: ";
const ANSWERED: &str = "Server returned error response";
const REDIRECTED: &str = "Received redirect";
const NOT_IMPLEMENTED: u16 = 501;

/// What the client says, and the answer's body. That begins behind the status, or else with the first `<` or `{`: nothing
/// that is asked for has one.
fn parted(text: &str) -> (&str, &str) {
    let behind = |words: &str, end: &str| {
        let at = text.find(words)? + words.len();
        Some(at + text[at..].find(end)?)
    };
    let begins = [behind(STATUS, ": "), behind(ANSWERED, ""), text.find(['<', '{'])];
    text.split_at(begins.into_iter().flatten().min().unwrap_or(text.len()))
}

/// Whether the store gave this code. Names of jobs stand in what is asked for, and so in every text: none is taken for one.
fn says(text: &str, code: &str) -> bool {
    parted(text).1.contains(&format!("<Code>{code}</Code>"))
}

fn diagnosis(error: &Store) -> Diagnosis {
    let (kind, why) = match error {
        Store::NotFound { .. } => (ErrorKind::StateMissing, "nothing is there; was it removed by hand?"),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            (ErrorKind::Denied, "correct the permissions of the state storage")
        }
        _ => (ErrorKind::Storage, "is it full, read-only or unreachable?"),
    };
    Diagnosis { kind, why: why.to_owned() }
}

fn diagnosis_over_network(operation: &'static str, error: &Store, bucket: &str) -> Diagnosis {
    let text = texts(error);
    let (asked, _) = parted(&text);
    let says = |code: &str| says(&text, code);
    let no_bucket = says("NoSuchBucket") || says("ContainerNotFound");
    let (kind, why) = match error {
        // What is written needs nothing that is there already, but its bucket.
        Store::NotFound { .. } if no_bucket || matches!(operation, "write state" | "list states") => {
            let why = format!("there is no bucket `{bucket}`: create it, or correct the URL of the state storage");
            return Diagnosis { kind: ErrorKind::Storage, why };
        }
        _ if says("RequestTimeTooSkewed") => {
            (ErrorKind::Denied, "the clocks of this machine and of the store differ too much: correct them")
        }
        // The machine's own provider of credentials, which was asked in vain.
        _ if ["://169.254.169.254", "://metadata.google.internal"].iter().any(|host| asked.contains(host)) => (
            ErrorKind::Denied,
            "there are no credentials: neither in the options, nor in the environment, nor from the machine's provider",
        ),
        _ if says("ExpiredToken") || says("TokenRefreshRequired") => {
            (ErrorKind::Denied, "the credentials have expired")
        }
        _ if says("InvalidToken") => {
            (ErrorKind::Denied, "the token of the credentials is not valid: correct the credentials")
        }
        _ if is_refusal(error, &text) => {
            let why = if says("SignatureDoesNotMatch") {
                "the secret of the access key is not the right one"
            } else if says("InvalidAccessKeyId") {
                "the store does not know the access key"
            } else {
                "correct the credentials, or what they may do: read, write, list and delete in the bucket"
            };
            (ErrorKind::Denied, why)
        }
        Store::NotFound { .. } => (ErrorKind::StateMissing, "nothing is there; was it removed by hand?"),
        _ if asked.contains(REDIRECTED) || status(&text).is_some_and(|status| (300..400).contains(&status)) => {
            (ErrorKind::Storage, "the store sends us elsewhere: is the region right?")
        }
        _ if says("AuthorizationHeaderMalformed") => {
            (ErrorKind::Storage, "the store sends us elsewhere: is the region right?")
        }
        _ if operation == "write state" && status(&text) == Some(NOT_IMPLEMENTED) => (
            ErrorKind::Unsupported,
            "the store cannot write this; it must know `If-None-Match: *` and uploads in parts",
        ),
        Store::NotImplemented { .. } => (ErrorKind::Unsupported, "the store cannot do this"),
        Store::AlreadyExists { .. } => (ErrorKind::Storage, "the store refuses the name, and nothing stands there"),
        _ => (ErrorKind::Storage, "the store is unreachable, overloaded or full"),
    };
    Diagnosis { kind, why: why.to_owned() }
}

/// Whether access is refused. Of a list the client does not tell that from other failures.
fn is_refusal(error: &Store, text: &str) -> bool {
    let is_kind = matches!(error, Store::PermissionDenied { .. } | Store::Unauthenticated { .. });
    is_kind || (matches!(error, Store::Generic { .. }) && matches!(status(text), Some(401 | 403)))
}

/// The error and its causes, each once.
fn texts(error: &Store) -> String {
    let mut text = error.to_string();
    let mut source = StdError::source(error);
    for _ in 0..DEPTH_MAX {
        let Some(cause) = source else { break };
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once(STATUS)?;
    rest.get(..3)?.parse().ok()
}

fn redacted(text: &str, secrets: &[String]) -> String {
    // Of the body the code and the message are kept.
    let (head, body) = parted(text);
    let mut kept = head.trim_end_matches([':', ' ']).to_owned();
    for (open, close) in [("<Code>", "</Code>"), ("<Message>", "</Message>")] {
        let found = body.split_once(open).and_then(|(_, rest)| rest.split_once(close));
        if let Some((found, _)) = found {
            kept.push_str(": ");
            kept.push_str(beginning(found, TEXT_BYTES_MAX / 2));
        }
    }
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        kept = kept.replace(secret.as_str(), "…");
    }
    beginning(&kept, TEXT_BYTES_MAX).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_its_code_and_message_are_kept_and_no_secret() {
        let text = "Error performing PUT http://h/b/k in 1ms - Server returned non-2xx status code: 400 Bad Request: \
                    <?xml version=\"1.0\"?><Error><Code>InvalidToken</Code><Message>bad token for id-1</Message>\
                    <Token-0>t0ken</Token-0><StringToSign>s3cret</StringToSign></Error>";
        let shown = redacted(text, &["id-1".to_owned(), String::new()]);
        assert!(shown.contains("400 Bad Request: InvalidToken: bad token for …"), "{shown}");
        assert!(!shown.contains("t0ken") && !shown.contains("s3cret"), "{shown}");
        assert_eq!(status(text), Some(400));
        let page = "Server returned non-2xx status code: 403 Forbidden: proxy says: t0ken is not good";
        assert_eq!(
            redacted(page, &[]),
            "Server returned non-2xx status code: 403 Forbidden",
            "a page of something between"
        );
        let success = "Error performing POST http://h/b - Server returned error response: InternalError t0ken";
        assert!(!redacted(success, &[]).contains("t0ken"));
        let endless = redacted(&format!("a\n\u{1b}[2J{}", "é".repeat(10_000)), &[]);
        assert!(endless.len() <= TEXT_BYTES_MAX && !endless.contains(char::is_control));
    }

    #[test]
    fn a_list_that_is_refused_is_denied() {
        // Fails if only the client's own kinds count: of a list it tells none.
        let refused = |status: &str, code: &str| {
            let text =
                format!("Error performing list request: status code: {status}: <Error><Code>{code}</Code></Error>");
            let error = Store::Generic { store: "S3", source: text.into() };
            diagnosis_over_network("list states", &error, "bucket")
        };
        for (status, code) in [("403 Forbidden", "AccessDenied"), ("401 Unauthorized", "x")] {
            assert_eq!(refused(status, code).kind, ErrorKind::Denied, "{status}");
        }
        let diagnosis = refused("403 Forbidden", "SignatureDoesNotMatch");
        assert_eq!((diagnosis.kind, diagnosis.why.contains("secret")), (ErrorKind::Denied, true), "{}", diagnosis.why);
        for status in ["404 Not Found", "429 Too Many Requests", "500 Internal Server Error", "503 Slow Down"] {
            assert_eq!(refused(status, "SlowDown").kind, ErrorKind::Storage, "{status}");
        }
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        let generic = |text: &str| Store::Generic { store: "S3", source: text.to_owned().into() };
        assert!(!is_final(&generic("connection refused")));
        assert!(!is_final(&generic("Server returned non-2xx status code: 503 Slow Down: ")));
        assert!(!is_final(&generic("Server returned non-2xx status code: 429 Too Many Requests: ")));
        let slow = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>RequestTimeout</Code></Error>";
        assert!(!is_final(&generic(slow)));
        assert!(is_final(&generic("Server returned non-2xx status code: 400 Bad Request: ")));
        assert!(is_final(&Store::NotFound { path: "a".into(), source: "".into() }));
    }
}
