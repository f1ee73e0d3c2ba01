use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::EngineError;
use crate::sink::sync_directory;

/// Copies an input that can be read only once (standard input) to a file that can be read again. Returns its length.
///
/// The file is complete and durable when it has its name: a crash before leaves only `<name>.part`, which the next
/// call replaces. The directory must exist, and two calls with one name must not run at once.
///
/// # Errors
/// [`crate::ErrorKind::Io`]: reading or writing failed, nothing has the name. What was read from the input is gone.
pub fn spool(mut input: impl Read, to: &Path) -> Result<u64, EngineError> {
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".part");
    let unfinished = Path::new(&unfinished);
    let refused = |cause| EngineError::io("cannot spool the input to", to, cause);
    let mut file = File::create(unfinished).map_err(refused)?;
    let length = io::copy(&mut input, &mut file).map_err(refused)?;
    file.sync_all().map_err(refused)?;
    fs::rename(unfinished, to).map_err(refused)?;
    sync_directory(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(length)
}
