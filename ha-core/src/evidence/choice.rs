//! Whether a process has a detector, and which.

use std::sync::Arc;
use std::time::Duration;

use super::{Detector, PresenceOptions};
use crate::Error;
use crate::backend::{Evidence, Profile};
use crate::seam::Seam;

/// The detector that the options ask for; `None` if there is to be none.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid),
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported): as the text says.
pub(crate) fn detector(
    options: PresenceOptions,
    profile: &Profile,
    silence: Duration,
    seam: &Seam,
) -> Result<Option<Arc<dyn Detector>>, Error> {
    options.validate()?;
    match options {
        PresenceOptions::Off => Ok(None),
        PresenceOptions::Automatic if profile.evidence == Evidence::Own => Ok(None),
        wanted => start(wanted, silence, seam),
    }
}

#[cfg(feature = "presence")]
fn start(options: PresenceOptions, silence: Duration, seam: &Seam) -> Result<Option<Arc<dyn Detector>>, Error> {
    use std::net::{Ipv4Addr, SocketAddr};
    let (bind, advertise) = match options {
        PresenceOptions::At { bind, advertise } => (bind, advertise),
        _ => (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None),
    };
    Ok(Some(crate::presence::PresenceDetector::new(bind, advertise, silence, seam.clone())))
}

#[cfg(not(feature = "presence"))]
fn start(options: PresenceOptions, _: Duration, _: &Seam) -> Result<Option<Arc<dyn Detector>>, Error> {
    match options {
        PresenceOptions::At { .. } => Err(Error::new(crate::ErrorKind::Unsupported, "services options")
            .at("presence")
            .because("not compiled in; depend on this library with the cargo feature `presence`")),
        _ => Ok(None),
    }
}
