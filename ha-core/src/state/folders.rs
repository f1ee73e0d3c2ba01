use std::path::PathBuf;

use super::StateStorage;
use crate::JobId;
use crate::names::layout;

impl StateStorage {
    /// Takes away the folders of one job, or of all of them, that nothing is in. Only directories have folders: elsewhere
    /// a place is gone with the last thing in it. What cannot be taken away stays, and costs a folder.
    ///
    /// Call it when nobody writes states of that job any more.
    pub(crate) async fn forget_empty_folders(&self, job: Option<&JobId>) {
        // Race: somebody makes the folder for a state, finds it made, and it is taken away before the state is in it.
        // Closed by: that is done only after a job was removed. Whoever still writes for it was deposed, or writes under
        //            a result that keeps others from running it: no pointer to such a state will be committed.
        // Cost if missed: a folder that is made anew by somebody who takes it for an old one, and does not write its name
        //                 to the disk before the pointer; a crash of the machine then loses the state.
        let Some(directory) = &self.directory else { return };
        let homes = layout::state_folders().map(|(folder, _)| directory.join(&*self.below).join(folder));
        let job = job.map(|job| job.as_str().to_owned());
        let forget = move || homes.into_iter().for_each(|home| forget(home, job.as_deref()));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(forget).await),
            Err(_) => forget(),
        }
    }
}

fn forget(home: PathBuf, job: Option<&str>) {
    let folders: Vec<PathBuf> = match job {
        Some(job) => vec![home.join(job)],
        None => std::fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path()).collect(),
    };
    for folder in folders {
        // Refused by the system if anything is in it, or if it is no folder.
        let _ = std::fs::remove_dir(folder);
    }
}
