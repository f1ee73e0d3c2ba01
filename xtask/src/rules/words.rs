//! Finding a word inside identifiers and prose.

/// The first of `banned` that is a word of `text`, whatever its case.
///
/// Words end where an identifier's parts end: `JobId`, `job_id`, `JOB` and "jobs" all hold `job`, `jobless` does not.
pub(super) fn first_of<'a>(text: &str, banned: &[&'a str]) -> Option<&'a str> {
    let words = split(text);
    banned.iter().copied().find(|banned| words.iter().any(|word| is_form_of(word, banned)))
}

fn is_form_of(word: &str, banned: &str) -> bool {
    word.strip_prefix(banned).is_some_and(|ending| matches!(ending, "" | "s" | "ed" | "ing"))
}

/// Lower-case words, cut at everything that is no letter or digit and where a new capital begins.
fn split(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map_or(' ', |before| chars[before]);
        let next_is_lower = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        let starts_word = c.is_uppercase() && (!before.is_uppercase() || next_is_lower);
        if starts_word || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_fall_apart_at_underscores_and_capitals() {
        assert_eq!(split("fn open_HTTPJob(JobId) // job-9"), ["fn", "open", "http", "job", "job", "id", "job", "9"]);
        assert_eq!(split(""), Vec::<String>::new());
    }

    #[test]
    fn every_spelling_of_a_word_is_found() {
        for text in ["JobId", "job_id", "a JOB_ID", "two jobs.", "\"jobs/1\"", "HTTPJob"] {
            assert_eq!(first_of(text, &["job"]), Some("job"), "{text}");
        }
        assert_eq!(first_of("is checkpointed", &["job", "checkpoint"]), Some("checkpoint"));
    }

    #[test]
    fn a_longer_word_is_another_word() {
        for text in ["jobless", "object", "jo b", "subjob1"] {
            assert_eq!(first_of(text, &["job"]), None, "{text}");
        }
    }
}
