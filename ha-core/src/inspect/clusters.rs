use std::collections::BTreeSet;

use crate::Error;
use crate::backend::{Backend, Prefix};
use crate::names::layout;

/// The ids of the clusters that something is stored of below that root, by a list of all of it: its cost grows with
/// everything that is stored there.
///
/// # Errors
/// As [`Backend::list`]: often [`Denied`](crate::ErrorKind::Denied), for who may see one cluster need not see others.
///
/// # Cancel safety
/// Nothing is lost by dropping the future.
pub async fn clusters(backend: &dyn Backend, root: &str) -> Result<BTreeSet<String>, Error> {
    let root = Prefix::new(root)?;
    let all = backend.list(&root).await?;
    let id = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        // The first name that a cluster keeps its records under: no part of an id but the first is called so.
        let end = (1..parts.len()).find(|at| layout::is_taken(parts[*at]))?;
        Some(parts[..end].join("/"))
    };
    Ok(all.entries.iter().filter_map(|entry| id(root.relative(&entry.key)?)).collect())
}
