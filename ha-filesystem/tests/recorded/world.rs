//! A disk in memory that knows what is durable: the bytes of a file after its fsync, a name after the fsync of its
//! folder. A loss of power keeps any part of the rest.

use std::collections::{BTreeMap, BTreeSet};

use ha_filesystem::disk::Folder;

use crate::disk::Lie;

type Names = BTreeMap<(Folder, String), u64>;

/// What lies on the medium, seen and durable.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub files: BTreeMap<u64, Contents>,
    pub names: Names,
    pub durable_names: Names,
    pub folders: BTreeSet<Folder>,
    pub durable_folders: BTreeSet<Folder>,
    /// Names whose write-back failed: a later fsync believes them clean.
    pub forgotten: BTreeSet<(Folder, String)>,
    pub clock_s: i64,
    pub lie: Option<Lie>,
    /// Whether handles answer listings from what they saw last, until they change the folder themselves.
    pub caches: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub bytes: Vec<u8>,
    pub durable: Option<Vec<u8>>,
    pub forgotten: bool,
    pub modified_s: i64,
}

impl World {
    /// The things that a loss of power decides about.
    pub fn undecided(&self) -> usize {
        self.differing().len() + self.unsynced().len() + self.folders.difference(&self.durable_folders).count()
    }

    pub fn differing(&self) -> Vec<(Folder, String)> {
        let all: BTreeSet<_> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        all.into_iter().filter(|name| self.names.get(name) != self.durable_names.get(name)).collect()
    }

    fn unsynced(&self) -> Vec<u64> {
        let differs = |file: &Contents| file.durable.as_ref() != Some(&file.bytes);
        self.files.iter().filter(|(_, file)| differs(file)).map(|(inode, _)| *inode).collect()
    }

    /// The medium after a loss of power. `choose` answers a number below its argument for each undecided thing.
    pub fn after_power_cut(&self, mut choose: impl FnMut(usize) -> usize) -> Self {
        let mut after = self.clone();
        for name in self.differing() {
            let kept = if choose(2) == 0 { self.durable_names.get(&name) } else { self.names.get(&name) };
            match kept {
                Some(inode) => after.names.insert(name, *inode),
                None => after.names.remove(&name),
            };
        }
        for inode in self.unsynced() {
            let file = &self.files[&inode];
            let old = file.durable.clone().unwrap_or_default();
            let kept = match choose(4) {
                0 => old,
                1 => file.bytes.clone(),
                2 => file.bytes[..file.bytes.len() / 2].to_vec(),
                _ => vec![0; file.bytes.len()],
            };
            after.files.get_mut(&inode).unwrap().bytes = kept;
        }
        for folder in self.folders.difference(&self.durable_folders) {
            if choose(2) == 0 {
                let gone = |of: Folder| of == *folder || (*folder == Folder::Journal && of != Folder::Root);
                after.folders.retain(|of| !gone(*of));
                after.names.retain(|(of, _), _| !gone(*of));
            }
        }
        after.durable_names = after.names.clone();
        after.durable_folders = after.folders.clone();
        after.forgotten.clear();
        for file in after.files.values_mut() {
            file.durable = Some(file.bytes.clone());
            file.forgotten = false;
        }
        after
    }

    /// The file of that name.
    pub fn bytes(&self, folder: Folder, name: &str) -> Option<&[u8]> {
        let inode = self.names.get(&(folder, name.to_owned()))?;
        Some(&self.files[inode].bytes)
    }

    /// The names in a folder.
    pub fn names(&self, folder: Folder) -> Vec<String> {
        self.names.keys().filter(|(of, _)| *of == folder).map(|(_, name)| name.clone()).collect()
    }

    /// Takes a name away, as an operator does.
    pub fn take_away(&mut self, folder: Folder, name: &str) {
        self.names.remove(&(folder, name.to_owned()));
    }
}
