use super::cluster::key;
use super::{ClusterFormat, Formats, Standing};
use crate::election::Grant;
use crate::writer::{Committed, Writer};
use crate::{Error, ErrorKind};

/// How often it is tried because the record was not as it was known.
const ATTEMPTS: usize = 4;

/// Raises what the cluster writes; see [`Leadership::raise_format`](crate::election::Leadership::raise_format).
pub(crate) async fn raise(writer: &Writer, grant: &Grant, to: u32) -> Result<(), Error> {
    let refused = |kind, why: String| Err(Error::new(kind, "raise the cluster's format").at(key()).because(why));
    let (known, standing) = (writer.formats(), grant.basis().standing());
    if grant.basis().is_checked() {
        let why = format!("this is the leadership of {}; only that of the one latch may raise it", grant.latch());
        return refused(ErrorKind::Invalid, why);
    }
    if !known.contains(to) {
        return refused(ErrorKind::Invalid, format!("to {to}; this version knows {known}"));
    }
    if to < standing.format {
        return refused(ErrorKind::Invalid, format!("to {to}; it is {} and is never lowered", standing.format));
    }
    // Begun first: who does not lead is told so, also if there is nothing to do.
    let draft = writer.draft()?;
    if to == standing.format {
        return Ok(());
    }
    let (mut draft, mut standing) = (draft, standing);
    for _ in 0..ATTEMPTS {
        draft = draft.put_in(Formats::FIRST, key(), standing.stands, &ClusterFormat { format: to })?;
        let found = match writer.commit(draft).await? {
            // Race: other commits of this leader, in the older format, are under way.
            // Closed by: nothing. They are read by everybody who takes part, and what was stored before is
            //            of that format as well.
            // Cost: a record in the older format that is younger than the raise.
            Committed::Applied(revisions) => match revisions.first() {
                Some(revision) => {
                    grant.basis().set(Standing::raised(to, *revision));
                    tracing::info!(format = to, epoch = grant.epoch(), "the cluster's format was raised");
                    return Ok(());
                }
                None => return refused(ErrorKind::Corrupt, "the backend names no revision".into()),
            },
            Committed::Conflict { found, .. } => found,
        };
        // Ours, from a call whose answer was lost or which was dropped, or from another one beside this.
        standing = Standing::of(found.as_ref())?.admit(known)?;
        grant.basis().set(standing);
        if standing.format >= to {
            break;
        }
        draft = writer.draft()?;
    }
    if standing.format == to {
        return Ok(());
    }
    refused(ErrorKind::Conflict, format!("to {to}; it was changed to {} by somebody else", standing.format))
}
