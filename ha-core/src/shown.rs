use crate::excerpt::excerpt;

/// How much of a URL is shown.
const SHOWN_BYTES_MAX: usize = 256;

/// The URL of a place as it may be shown: without the options, and without what stands before an `@`. Where it cannot
/// be told what is a secret, nothing but the scheme is left.
///
/// ```
/// use ha_core::shown_url;
/// assert_eq!(shown_url("s3://key:secret@bucket/a?session-token=secret"), "s3://bucket/a");
/// assert_eq!(shown_url("s3://key:sec?ret@bucket/a"), "s3://…");
/// ```
#[must_use]
pub fn shown_url(url: &str) -> String {
    // A password may hold any of `?`, `#` and `/`, a token an `@`.
    let (head, options) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let (scheme, rest) = match head.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), head),
    };
    let rest = match (rest.rsplit_once('@'), options.contains('@')) {
        (_, true) => "…",
        (Some((_, rest)), false) => rest,
        (None, false) => rest,
    };
    let shown = format!("{scheme}{rest}");
    if shown.len() > SHOWN_BYTES_MAX { excerpt(&shown, SHOWN_BYTES_MAX).to_string() } else { shown }
}

#[cfg(test)]
mod tests {
    use crate::seam::Seam;
    use crate::state::StateStorage;

    #[test]
    fn a_scheme_that_is_nobodys_is_shown_without_what_may_be_a_secret() {
        for url in ["key:s3cret@bucket/a", "key:s3cret?x@bucket", "redis://key:s3cret?x@bucket"] {
            let error = StateStorage::open(url, Seam::system()).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cret"), "{url}: {error:?}");
        }
    }
}
