use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use url::Url;

use super::{StateStorage, StorageOptions};
use crate::seam::Seam;
use crate::{Error, ErrorKind, shown_url};

/// How much of a URL or scheme an error shows.
const SHOWN_BYTES_MAX: usize = 256;

/// A URL of a cloud store, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloudUrl {
    pub(super) cloud: Cloud,
    pub(super) bucket: String,
    /// Empty, or ending with a slash.
    pub(super) below: String,
    /// What the URL says of the options.
    pub(super) options: StorageOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    S3,
    Gcs,
    Azure,
}

impl StateStorage {
    /// As [`StateStorage::open_with`] without options: all that is not in the URL comes from the environment.
    ///
    /// # Errors
    /// As [`StateStorage::open_with`].
    pub fn open(url: &str, seam: Seam) -> Result<Self, Error> {
        Self::open_with(url, &StorageOptions::new(), seam)
    }

    /// Opens the place that the URL names. For a cloud store nothing is sent yet: whether it can be reached, and
    /// whether the credentials are good for anything, the first operation tells.
    ///
    /// | URL | place |
    /// |---|---|
    /// | `file:///absolute/directory` | made if it is absent |
    /// | `memory://` | in this process, gone with the last clone of this value |
    /// | `s3://bucket/prefix`, also `s3a://` and `s3p://` | S3 and what speaks its protocol; cargo feature `s3` |
    /// | `gs://bucket/prefix` | Google Cloud Storage; cargo feature `gcs` |
    /// | `az://container/prefix`, `abfs[s]://` and `wasb[s]://container@account.…/prefix` | Azure Blob Storage; cargo feature `azure` |
    ///
    /// A URL may carry options that are no secrets, without the name of the storage:
    /// `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-west-1`. What the environment says
    /// (the `variables` of each [`StorageKey`](super::StorageKey)) goes before the URL, what `options` say before
    /// both; credentials are taken from one of them as a whole. Handles hold neither options nor credentials.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: no URL, a relative directory, an option that does not exist or has a value that is none,
    ///   half of a credential, or one in the URL (URLs are shown in lists of processes, and in logs).
    /// * [`ErrorKind::Unsupported`]: a scheme that this build does not know; the text says which there are, or
    ///   names the cargo feature.
    /// * [`ErrorKind::Storage`]: the directory cannot be made or opened.
    pub fn open_with(url: &str, options: &StorageOptions, seam: Seam) -> Result<Self, Error> {
        no_text_in(&|name| std::env::var_os(name))?;
        let variable = |name: &str| std::env::var(name).ok();
        Self::open_from(url, options, &variable, seam)
    }

    pub(super) fn open_from(
        url: &str,
        options: &StorageOptions,
        variable: &dyn Fn(&str) -> Option<String>,
        seam: Seam,
    ) -> Result<Self, Error> {
        options.check()?;
        let failed = |kind| Error::new(kind, "open state storage").at(shown_url(url));
        let parsed = Url::parse(url).map_err(|e| {
            failed(ErrorKind::Invalid)
                .because("write file:///absolute/directory, memory:// or s3://bucket/prefix")
                .caused_by(e)
        })?;
        let has_options = parsed.query().is_some() || parsed.fragment().is_some();
        match parsed.scheme() {
            // They would be overheard, or stand in every handle.
            "memory" | "file" if has_options => {
                Err(failed(ErrorKind::Invalid).because("a place on this machine has no options in its URL"))
            }
            "memory" => Ok(Self::over(Arc::new(InMemory::new()), "memory:///", seam)),
            "file" => Self::open_directory(&parsed, seam),
            _ => match taken_apart(&parsed)? {
                Some(place) => {
                    let options = options.clone().or_from(variable).or(place.options.clone());
                    options.check()?;
                    open_cloud(&place, &options, variable, seam)
                }
                None => Err(failed(ErrorKind::Unsupported).because(format!(
                    "no state storage for {}://; there are file://, memory://, s3://, gs:// and az://",
                    beginning(parsed.scheme())
                ))),
            },
        }
    }

    fn open_directory(url: &Url, seam: Seam) -> Result<Self, Error> {
        let failed = |kind| Error::new(kind, "open state storage").at(shown_url(url.as_str()));
        let directory = url
            .to_file_path()
            .map_err(|()| failed(ErrorKind::Invalid).because("write file:///absolute/directory, without a host"))?;
        // However it is written (`//`, `%2e`), it is one place, and its handles begin alike.
        let directory: std::path::PathBuf = directory.components().collect();
        let plain = Url::from_directory_path(&directory)
            .map_err(|()| failed(ErrorKind::Invalid).because("write file:///absolute/directory, without a host"))?;
        make_durably(&directory)
            .map_err(|e| failed(ErrorKind::Storage).because("the directory cannot be made").caused_by(e))?;
        let store = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|e| failed(ErrorKind::Storage).caused_by(e))?
            // Off by default there; without it an acknowledged pointer could outlive its state.
            .with_fsync(true);
        let base = format!("{}/", plain.as_str().trim_end_matches('/'));
        Ok(Self { directory: Some(directory.into()), ..Self::over(Arc::new(store), &base, seam) })
    }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use super::cloud::open as open_cloud;

#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
fn open_cloud(
    place: &CloudUrl,
    _: &StorageOptions,
    _: &dyn Fn(&str) -> Option<String>,
    _: Seam,
) -> Result<StateStorage, Error> {
    Err(not_compiled_in(place))
}

impl CloudUrl {
    /// The URL that handles begin with: one for each place, however it was written.
    pub(super) fn base(&self) -> String {
        format!("{}://{}/{}", self.cloud.scheme(), self.bucket, self.below)
    }
}

impl Cloud {
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// What the names of its options begin with.
    fn group(self) -> &'static str {
        match self {
            Self::S3 => "s3.",
            Self::Gcs => "gs.",
            Self::Azure => "azure.",
        }
    }

    #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
    fn feature(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }
}

#[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
pub(super) fn not_compiled_in(place: &CloudUrl) -> Error {
    Error::new(ErrorKind::Unsupported, "open state storage").at(place.base()).because(format!(
        "{}:// is not compiled in: switch on the cargo feature `{}` of the crate `ha`",
        place.cloud.scheme(),
        place.cloud.feature()
    ))
}

/// `None` for a scheme that is nobody's.
fn taken_apart(url: &Url) -> Result<Option<CloudUrl>, Error> {
    let invalid = |why: &str| {
        Error::new(ErrorKind::Invalid, "open state storage").at(shown_url(url.as_str())).because(why.to_owned())
    };
    let (cloud, with_account) = match url.scheme() {
        "s3" | "s3a" | "s3p" => (Cloud::S3, false),
        "gs" => (Cloud::Gcs, false),
        "az" => (Cloud::Azure, false),
        "abfs" | "abfss" | "wasb" | "wasbs" => (Cloud::Azure, true),
        _ => return Ok(None),
    };
    let mut options = StorageOptions::new();
    let host = url.host_str().unwrap_or_default();
    let bucket = match (with_account, url.username(), url.password()) {
        (false, "", None) => host,
        (true, container, None) if !container.is_empty() => {
            let account = host.split('.').next().unwrap_or_default();
            options = options.with("azure.account-name", account);
            container
        }
        (true, ..) => return Err(invalid("write abfss://container@account.dfs.core.windows.net/prefix")),
        (false, ..) => {
            return Err(invalid("no credentials in the URL: set them as options, or in the environment"));
        }
    };
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._=".contains(&b));
    if bucket.is_empty() || !is_plain(bucket) || url.port().is_some() || url.fragment().is_some() {
        return Err(invalid("write the name of a bucket after ://, and an address of the service as `?endpoint=…`"));
    }
    let prefix = url.path().trim_matches('/');
    if !prefix.is_empty() && !prefix.split('/').all(|part| is_plain(part) && !matches!(part, "" | "." | "..")) {
        return Err(invalid("a prefix is made of letters, digits, `-`, `.`, `_`, `=` and single slashes"));
    }
    for (name, value) in url.query_pairs() {
        let name = format!("{}{name}", cloud.group());
        let key = super::StorageKey::named(&name)?;
        if key.secret {
            return Err(invalid("no credentials in the URL: set them as options, or in the environment"));
        }
        options = options.with(key.name, value);
    }
    let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(Some(CloudUrl { cloud, bucket: bucket.to_owned(), below, options }))
}

/// Refuses a variable that is no text: passed over in silence, the next source of credentials would take its place.
fn no_text_in(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<(), Error> {
    let names = super::STORAGE_KEYS.iter().flat_map(|key| key.variables);
    match names.copied().find(|name| variable(name).is_some_and(|value| value.to_str().is_none())) {
        None => Ok(()),
        Some(name) => Err(Error::new(ErrorKind::Invalid, "open state storage")
            .at(format!("variable {name}"))
            .because("it is no UTF-8 text")),
    }
}

fn beginning(text: &str) -> &str {
    crate::excerpt::beginning(text, SHOWN_BYTES_MAX)
}

/// Makes a directory and those above it. Each new entry is fsynced, as those are that are made later.
fn make_durably(directory: &std::path::Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_durably(parent)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        // Made by another just now: it may not have fsynced it yet.
        _ => {}
    }
    std::fs::File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn apart(url: &str) -> Result<Option<CloudUrl>, Error> {
        taken_apart(&Url::parse(url).unwrap())
    }

    #[test]
    fn one_place_has_one_base_however_its_url_is_written() {
        for (url, base) in [
            ("s3://bucket", "s3://bucket/"),
            ("s3a://bucket/", "s3://bucket/"),
            ("s3p://My.bucket_1/a/b/", "s3://My.bucket_1/a/b/"),
            ("s3://bucket/a?endpoint=http://h:1&path.style.access=true", "s3://bucket/a/"),
            ("gs://bucket/a", "gs://bucket/a/"),
            ("az://container/a", "az://container/a/"),
            ("abfss://container@account.dfs.core.windows.net/a", "az://container/a/"),
        ] {
            assert_eq!(apart(url).unwrap().unwrap().base(), base, "{url}");
        }
        let place = apart("wasbs://container@account.blob.core.windows.net/a").unwrap().unwrap();
        assert_eq!(place.options.get("azure.account-name"), Some("account"));
        assert_eq!(apart("hdfs://name/a"), Ok(None));
    }

    #[test]
    fn what_does_not_belong_into_a_url_is_refused_and_not_shown() {
        for url in [
            "s3://key:s3cret@bucket/a",
            "s3://key:s3cret@bucket/a?endpoint=x",
            "s3://bucket/a?secret-key=s3cret",
            "s3://bucket/a?session-token=s3cret&region=x",
            "s3://bucket/a?no-such-option=s3cret",
            "s3:///a",
            "s3://bucket:9000/a",
            "s3://bucket/a/../b%2e",
            "s3://bucket/a//b",
            "s3://bucket/a b",
            "abfss://account.dfs.core.windows.net/a",
            "abfss://container:s3cret@account.dfs.core.windows.net/a",
            "s3://key:x?s3cret@bucket/a",
            "s3://key:s3cret?x@bucket/a",
            "s3://key:s3cret/x@bucket/a",
            "s3://key:x#s3cret@bucket/a",
            "s3:/key:s3cret@bucket",
            "/key:s3cret@bucket",
            "memory://?token=s3cret",
            "file:///srv/a?secret-key=s3cret",
            "file:///srv/a#s3cret",
        ] {
            let error = StateStorage::open_from(url, &StorageOptions::new(), &|_| None, Seam::system()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}: {error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{url}: {error:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_refused_by_its_name() {
        use std::os::unix::ffi::OsStringExt;
        let garbage =
            |name: &str| (name == "AWS_SECRET_ACCESS_KEY").then(|| OsString::from_vec(b"s3cret\xff".to_vec()));
        let error = no_text_in(&garbage).unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, "variable AWS_SECRET_ACCESS_KEY"));
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(no_text_in(&|_| Some("text".into())), Ok(()));
    }

    #[test]
    fn a_directory_has_one_base_however_its_url_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let base = |url: String| StateStorage::open(&url, Seam::system()).unwrap().base().to_owned();
        let plain = base(format!("file://{path}/a"));
        assert_eq!(plain, format!("file://{path}/a/"));
        for url in [format!("file://{path}//a//"), format!("file://{path}/./b/../a/"), format!("FILE://{path}/%61")] {
            assert_eq!(base(url), plain);
        }
        assert_eq!(base(format!("file://{path}/a%20b")), format!("file://{path}/a%20b/"));
    }

    #[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
    #[test]
    fn what_is_not_compiled_in_names_the_cargo_feature() {
        for (url, feature) in [("s3://b/a", "`s3`"), ("gs://b", "`gcs`"), ("az://b", "`azure`")] {
            let error = StateStorage::open(url, Seam::system()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(feature), "{error}");
        }
    }
}
