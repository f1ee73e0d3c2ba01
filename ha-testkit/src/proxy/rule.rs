use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::message::Message;

/// Which requests are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    target: String,
    body: Option<String>,
    times: u64,
}

impl Matching {
    /// Requests whose method, path and query hold this: `/v1/txn`, `PUT /v1/session/renew/<id>`, `index=`.
    #[must_use]
    pub fn path(part: impl Into<String>) -> Self {
        Self { target: part.into(), body: None, times: u64::MAX }
    }

    /// Of these, those whose body holds this.
    #[must_use]
    pub fn body(mut self, part: impl Into<String>) -> Self {
        self.body = Some(part.into());
        self
    }

    /// Of these, only that many, from now on.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    fn fits(&self, request: &Message) -> bool {
        request.target().contains(&self.target) && self.body.as_ref().is_none_or(|part| request.body_contains(part))
    }
}

/// What becomes of a request that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It does not reach the server, and its connection is closed.
    Refuse,
    /// It does not reach the server, now or later, and nobody is told.
    Swallow,
    /// It reaches the server when the rule is lifted, also if its sender has given up by then.
    Hold,
    /// It is carried out, and its connection closed instead of an answer.
    LoseAnswer,
    /// It is carried out, and its connection closed in the middle of the answer.
    TearAnswer,
    /// It is carried out twice, one after the other; its sender hears the first answer.
    Twice,
    /// It reaches the server that much later.
    SlowRequest(Duration),
    /// Its answer reaches its sender that much later.
    SlowAnswer(Duration),
}

/// A rule of a [`Proxy`](super::Proxy). Dropping it lifts it.
#[derive(Debug)]
#[must_use = "dropping a rule lifts it"]
pub struct Rule {
    stored: Arc<Stored>,
}

impl Rule {
    /// How many requests it was applied to so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.stored.state.borrow().count
    }

    /// Waits until it was applied to that many requests. Without a bound of its own: wrap it in one.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn matched(&self, count: u64) {
        // The sender lives in `self`.
        let _ = self.stored.state.subscribe().wait_for(|state| state.count >= count).await;
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        self.stored.state.send_modify(|state| state.lifted = true);
    }
}

struct Stored {
    matching: Matching,
    treatment: Treatment,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    lifted: bool,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("matching", &self.matching).field("treatment", &self.treatment).finish()
    }
}

/// The rules of a proxy, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<Vec<Arc<Stored>>>);

/// What is to be done with one request.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) request_delay: Duration,
    pub(super) answer_delay: Duration,
    /// What else, if anything.
    pub(super) treatment: Option<Treatment>,
    /// When it is held: until when.
    pub(super) held: Option<Held>,
}

/// Tells when a rule is lifted.
#[derive(Debug)]
pub(super) struct Held(watch::Receiver<State>);

impl Held {
    pub(super) async fn lifted(&mut self) {
        // If the sender is gone, nobody can lift it any more: then it is.
        let _ = self.0.wait_for(|state| state.lifted).await;
    }
}

impl Rules {
    pub(super) fn add(&self, matching: Matching, treatment: Treatment) -> Rule {
        let stored = Arc::new(Stored { matching, treatment, state: watch::Sender::default() });
        self.rules().push(Arc::clone(&stored));
        Rule { stored }
    }

    pub(super) fn judge(&self, request: &Message) -> Verdict {
        let mut rules = self.rules();
        rules.retain(|rule| !rule.state.borrow().lifted);
        let mut verdict = Verdict::default();
        for rule in rules.iter().rev().filter(|rule| rule.matching.fits(request)) {
            let is_slow = matches!(rule.treatment, Treatment::SlowRequest(_) | Treatment::SlowAnswer(_));
            // An older one does not even count it.
            let counts = (is_slow || verdict.treatment.is_none()) && rule.state.borrow().count < rule.matching.times;
            if !counts {
                continue;
            }
            rule.state.send_modify(|state| state.count += 1);
            match rule.treatment {
                Treatment::SlowRequest(by) => verdict.request_delay += by,
                Treatment::SlowAnswer(by) => verdict.answer_delay += by,
                other => {
                    verdict.treatment = Some(other);
                    verdict.held = Some(Held(rule.state.subscribe()));
                }
            }
        }
        verdict
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Arc<Stored>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, body: &str) -> Message {
        Message::of(&format!("{target} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()), body)
    }

    #[test]
    fn the_newest_rule_counts_until_it_is_lifted_and_slow_ones_add_up() {
        let rules = Rules::default();
        let slow = Treatment::SlowAnswer(Duration::from_millis(1));
        let _slow = [rules.add(Matching::path("/a"), slow), rules.add(Matching::path("PUT"), slow)];
        let old = rules.add(Matching::path("/a"), Treatment::Refuse);
        let new = rules.add(Matching::path("/a/b"), Treatment::Twice);
        let verdict = rules.judge(&request("PUT /a/b", ""));
        assert_eq!((verdict.treatment, verdict.answer_delay), (Some(Treatment::Twice), Duration::from_millis(2)));
        assert_eq!((old.count(), new.count()), (0, 1));
        drop(new);
        assert_eq!(rules.judge(&request("PUT /a/b", "")).treatment, Some(Treatment::Refuse));
        assert_eq!(rules.judge(&request("PUT /b", "")).treatment, None);
    }

    #[test]
    fn a_rule_matches_its_body_and_no_more_often_than_it_says() {
        let rules = Rules::default();
        let rule = rules.add(Matching::path("/txn").body("\"Key\":\"k\"").times(1), Treatment::Refuse);
        let treatment = |body: &str| rules.judge(&request("PUT /v1/txn?x", body)).treatment;
        assert_eq!(treatment("{\"Key\":\"other\"}"), None);
        assert_eq!(treatment("{\"Key\":\"k\"}"), Some(Treatment::Refuse));
        assert_eq!(treatment("{\"Key\":\"k\"}"), None);
        assert_eq!(rule.count(), 1);
    }
}
