use crate::{Error, ErrorKind};

/// How many further errors are told in the text of the first; the others are logged alone.
const TOLD_MAX: usize = 3;

/// Whether nothing else can succeed after this error either: the leadership is over, or the services are.
pub(crate) fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced | ErrorKind::Closed)
}

/// What went wrong in several steps that were all taken.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<Error>);

impl Failures {
    pub(crate) fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    /// The value of a step; `None` if it failed.
    pub(crate) fn take<T>(&mut self, step: Result<T, Error>) -> Option<T> {
        step.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_final(&self) -> bool {
        self.0.iter().any(is_final)
    }

    /// One error for all: the first, with the others in its text. One that ends everything comes before it, and
    /// then one whose outcome is unknown, because of these the caller must know.
    pub(crate) fn merged(mut self) -> Result<(), Error> {
        let weight = |error: &Error| match is_final(error) {
            true => 0,
            false => 1 + usize::from(!error.may_have_applied()),
        };
        // Stable, so that the first stays the first among its like.
        self.0.sort_by_key(weight);
        let mut all = self.0.into_iter();
        let Some(first) = all.next() else { return Ok(()) };
        let others: Vec<Error> = all.collect();
        if others.is_empty() {
            return Err(first);
        }
        let mut told: Vec<String> = others.iter().take(TOLD_MAX).map(Error::to_string).collect();
        for (number, error) in others.iter().enumerate() {
            tracing::warn!(?error, "a step of several failed, beside the one that is returned");
            if number == TOLD_MAX {
                told.push(format!("{} more in the log", others.len() - TOLD_MAX));
            }
        }
        Err(Error::new(first.kind(), first.operation())
            .at(first.subject())
            .because(format!("{first}; also failed: {}", told.join("; ")))
            .caused_by(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind, at: &str) -> Error {
        Error::new(kind, "test").at(at)
    }

    #[test]
    fn the_first_error_is_kept_and_the_others_are_told() {
        let mut failures = Failures::default();
        assert_eq!(failures.take(Ok(7)), Some(7));
        for n in 0..6 {
            failures.push(error(ErrorKind::Unavailable, &format!("key-{n}")));
        }
        let merged = failures.merged().unwrap_err();
        assert_eq!((merged.kind(), merged.subject()), (ErrorKind::Unavailable, "key-0"));
        let text = merged.to_string();
        assert!(text.contains("key-3") && !text.contains("key-4") && text.contains("2 more"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn what_the_caller_must_know_comes_first() {
        let mut failures = Failures::default();
        for kind in [ErrorKind::Storage, ErrorKind::Indeterminate, ErrorKind::Fenced] {
            failures.push(error(kind, "key"));
        }
        assert!(failures.is_final());
        assert_eq!(failures.merged().unwrap_err().kind(), ErrorKind::Fenced);
        let mut failures = Failures::default();
        failures.push(error(ErrorKind::Storage, "key"));
        failures.push(error(ErrorKind::Indeterminate, "key"));
        assert!(failures.merged().unwrap_err().may_have_applied());
    }
}
