use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use ha_core::seam::Seam;

/// What happened, one line after another, with the time of the seam. Clones are the same history.
///
/// Two runs of one seed have histories that are equal byte for byte.
#[derive(Clone)]
pub struct History {
    seam: Seam,
    lines: Arc<Mutex<Vec<String>>>,
}

impl History {
    /// An empty history by that clock.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        Self { seam, lines: Arc::default() }
    }

    /// Adds that somebody did or saw something now.
    pub fn note(&self, who: impl fmt::Display, what: impl fmt::Display) {
        let at = self.seam.now().since_origin();
        let mut line = String::new();
        // Writing into a string does not fail.
        let _ = write!(line, "{:>8}.{:06} {who}: {what}", at.as_secs(), at.subsec_micros());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
