use std::path::Path;

use ha_core::backend::ReadGuarantee;

/// The file system that a directory lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    /// Its usual name, or `unknown`.
    pub name: &'static str,
    /// Who may write there.
    pub reach: Reach,
}

/// From where a file system can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// From this machine alone, as far as this kernel knows: it sees every write at once, its notifications tell
    /// of all of them, and its locks are everybody's.
    Machine,
    /// From other machines too, or nobody knows: names may be cached, others' writes are not told, and a lock that
    /// is free says nothing.
    Network,
}

/// By the number that `statfs(2)` gives. What is not listed counts as shared: that costs time and no safety.
const KNOWN: [(u32, &str, Reach); 27] = [
    (0xEF53, "ext2, ext3 or ext4", Reach::Machine),
    (0x5846_5342, "xfs", Reach::Machine),
    (0x9123_683E, "btrfs", Reach::Machine),
    (0x2FC1_2FC1, "zfs", Reach::Machine),
    (0xF2F5_2010, "f2fs", Reach::Machine),
    (0xCA45_1A4E, "bcachefs", Reach::Machine),
    (0x0102_1994, "tmpfs", Reach::Machine),
    (0x8584_58F6, "ramfs", Reach::Machine),
    (0x794C_7630, "overlay", Reach::Machine),
    (0x0000_4D44, "vfat", Reach::Machine),
    (0x2011_BAB0, "exfat", Reach::Machine),
    (0x0000_F15F, "ecryptfs", Reach::Machine),
    (0x0000_6969, "nfs", Reach::Network),
    (0xFF53_4D42, SMB, Reach::Network),
    (0xFE53_4D42, SMB, Reach::Network),
    (0x0000_517B, SMB, Reach::Network),
    (0x6573_5546, "fuse", Reach::Network),
    (0x0102_1997, "9p", Reach::Network),
    (0x00C3_6400, "ceph", Reach::Network),
    (0x0116_1970, "gfs2", Reach::Network),
    (0x7461_636F, "ocfs2", Reach::Network),
    (0x0BD0_0BD3, "lustre", Reach::Network),
    (0x4750_4653, "gpfs", Reach::Network),
    (0x1983_0326, "beegfs", Reach::Network),
    (0x5346_414F, "afs", Reach::Network),
    (0x786F_4256, "vboxsf", Reach::Network),
    (0x7375_7245, "coda", Reach::Network),
];

const SMB: &str = "smb";

impl Mount {
    /// What is known of the file system under that path.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            // The number is of 32 bits everywhere; some machines keep it in a signed word.
            #[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast, reason = "its type differs")]
            let magic = rustix::fs::statfs(path)?.f_type as u32;
            Ok(Self::by_magic(magic))
        }
        #[cfg(not(target_os = "linux"))]
        path.metadata().map(|_| Self { name: "unknown", reach: Reach::Network })
    }

    #[cfg(any(target_os = "linux", test))]
    fn by_magic(magic: u32) -> Self {
        let known = KNOWN.iter().find(|(number, _, _)| *number == magic);
        known.map_or(Self { name: "unknown", reach: Reach::Network }, |(_, name, reach)| Self { name, reach: *reach })
    }

    /// What a look at a name is worth.
    #[must_use]
    pub fn reads(self) -> ReadGuarantee {
        match self.reach {
            Reach::Machine => ReadGuarantee::Linearizable,
            Reach::Network => ReadGuarantee::Monotonic,
        }
    }

    /// Whether all writers are on this machine.
    pub(crate) fn is_local(self) -> bool {
        self.reach == Reach::Machine
    }

    /// Whether what is there is gone when the machine stops.
    pub(crate) fn is_memory(self) -> bool {
        matches!(self.name, "tmpfs" | "ramfs")
    }

    /// Whether a rename that must not replace is judged where all its clients meet: by this kernel, or by the server.
    pub(crate) fn judges_renames(self) -> bool {
        self.is_local() || self.name == SMB
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_machines_may_write_is_never_taken_for_local() {
        for (magic, name) in [(0x6969, "nfs"), (0x6573_5546, "fuse"), (0xFE53_4D42, "smb"), (1, "unknown")] {
            let mount = Mount::by_magic(magic);
            assert_eq!((mount.name, mount.reads()), (name, ReadGuarantee::Monotonic));
            assert!(!mount.is_local());
        }
        assert_eq!(Mount::by_magic(0xEF53).reads(), ReadGuarantee::Linearizable);
        assert!(!Mount::by_magic(0x6573_5546).judges_renames());
    }
}
