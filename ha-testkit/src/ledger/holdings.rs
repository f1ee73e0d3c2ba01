/// What this process holds of the system at one moment. Zero for what the system does not tell: all of it is read from
/// `/proc`, which Linux has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Open descriptors of any kind.
    pub descriptors: u64,
    /// Those of them that are sockets: connections, and what is listened on.
    pub sockets: u64,
    /// Threads.
    pub threads: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl Holdings {
    /// Looks at this process. The descriptor that it takes to look is not counted.
    #[must_use]
    pub fn now() -> Self {
        let mut holdings = Self::default();
        for link in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
            // The one of this very listing leads to a folder of `/proc`, and is gone afterwards.
            let Ok(target) = std::fs::read_link(link.path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            if target.starts_with("/proc/") && target.ends_with("/fd") {
                continue;
            }
            holdings.descriptors += 1;
            holdings.sockets += u64::from(target.starts_with("socket:"));
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        holdings.threads = number("Threads:").unwrap_or(0);
        holdings.resident_bytes = number("VmRSS:").unwrap_or(0) * 1024;
        holdings
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// In one test, for others of this process open files too: what it opens itself is many.
    #[test]
    fn what_is_opened_is_counted_until_it_is_dropped() {
        let before = Holdings::now();
        assert!(before.threads > 0 && before.resident_bytes > 0 && before.descriptors > 0, "{before:?}");
        let files: Vec<_> = (0..200).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let sockets: Vec<_> = (0..200).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let during = Holdings::now();
        assert!(during.descriptors >= before.descriptors + 300, "{before:?} {during:?}");
        assert!(during.sockets >= before.sockets + 150, "{before:?} {during:?}");
        drop((files, sockets));
        let after = Holdings::now();
        assert!(after.descriptors + 300 <= during.descriptors, "{during:?} {after:?}");
    }
}
