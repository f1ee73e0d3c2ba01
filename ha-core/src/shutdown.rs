//! Ending in order when somebody asks for it, within a bound.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::seam::Seam;
use crate::{Error, HighAvailabilityServices};

/// What became of one step of a shutdown.
#[derive(Debug, Clone, PartialEq)]
pub enum ShutdownStep {
    /// It was done in time.
    Done,
    /// It was done as far as it could be.
    Failed(Error),
    /// It was not done in time. What it left behind ends by silence.
    TimedOut,
}

impl ShutdownStep {
    /// Whether it was done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl fmt::Display for ShutdownStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(error) => write!(f, "failed ({error})"),
            Self::TimedOut => f.write_str("not done in time"),
        }
    }
}

impl Serialize for ShutdownStep {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a shutdown came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport<T> {
    /// What asked for it: the output of the trigger.
    pub trigger: T,
    /// Giving up the leaderships. If it was not done, others wait for silence before they take over.
    pub resigned: ShutdownStep,
    /// Closing the services and the handle of the backend.
    pub closed: ShutdownStep,
    /// How long both took, in milliseconds.
    pub took_ms: u64,
}

impl<T> ShutdownReport<T> {
    /// Whether everything was done in time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.resigned.is_done() && self.closed.is_done()
    }
}

impl<T> fmt::Display for ShutdownReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resigned, closed, took_ms, .. } = self;
        write!(f, "leaderships given up: {resigned}; services closed: {closed}; {took_ms} ms")
    }
}

/// Waits for the trigger, gives up all leaderships, then closes the services: all of it within that long after the
/// trigger. Says what was done in time and what was not.
///
/// Others can lead as soon as the first step is done, so it comes first and gets at most half of the time; a store
/// that does not answer must not keep the second from being tried. Let the application end its own work before:
/// the trigger may be any future, and so may do that itself. Nothing stored is deleted.
///
/// The choice of the bound: less than what the supervisor waits before it kills (Kubernetes: 30 s by default).
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, seam::Seam, state::StateStorage};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let storage = StateStorage::open("memory://", seam.clone())?;
/// # let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam.clone())?;
/// # let asked_to_end = async { "an operator" };
/// // `asked_to_end` resolves when it is time; with the cargo feature `signal`, `termination()` does on SIGTERM.
/// let report = ha_core::shut_down_after(asked_to_end, &services, &seam, Duration::from_secs(10)).await;
/// println!("{report}");
/// assert!(report.is_complete());
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
///
/// # Cancel safety
/// After a drop, what has begun goes on in the background or is left to end by silence. Call again to go on.
pub async fn shut_down_after<T>(
    trigger: impl Future<Output = T>,
    services: &dyn HighAvailabilityServices,
    seam: &Seam,
    within: Duration,
) -> ShutdownReport<T> {
    let trigger = trigger.await;
    let began = seam.now();
    let resigned = match seam.timeout(within / 2, services.resign()).await {
        Some(Ok(())) => ShutdownStep::Done,
        Some(Err(error)) => ShutdownStep::Failed(error),
        None => ShutdownStep::TimedOut,
    };
    let left = (began + within).since(seam.now());
    let closed = match seam.timeout(left, services.close()).await {
        Some(Ok(())) => ShutdownStep::Done,
        Some(Err(error)) => ShutdownStep::Failed(error),
        None => ShutdownStep::TimedOut,
    };
    let took_ms = u64::try_from(seam.now().since(began).as_millis()).unwrap_or(u64::MAX);
    let report = ShutdownReport { trigger, resigned, closed, took_ms };
    match report.is_complete() {
        true => tracing::info!(%report, "shut down"),
        false => tracing::warn!(%report, "shut down, but not in order"),
    }
    report
}

/// Which signal asked the process to end.
#[cfg(feature = "signal")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Termination {
    /// SIGTERM: a supervisor's.
    Terminate,
    /// SIGINT, or Ctrl-C where there are no signals: a person's.
    Interrupt,
}

/// Resolves when the process is asked to end: on SIGTERM or SIGINT, or on Ctrl-C where there are none.
///
/// From this call on (not only once the answer is awaited) such a signal no longer kills the process, nor does a
/// second one. It must be called within a tokio runtime with I/O enabled.
///
/// # Errors
/// [`IllegalState`](crate::ErrorKind::IllegalState): the signals cannot be listened for; the source says why.
///
/// # Cancel safety
/// Dropping the answer loses a signal that came meanwhile.
#[cfg(feature = "signal")]
pub fn termination() -> Result<impl Future<Output = Termination> + Send, Error> {
    let failed = |e: std::io::Error| {
        Error::new(crate::ErrorKind::IllegalState, "listen for signals")
            .because("call it within a runtime that does I/O")
            .caused_by(e)
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?);
        Ok(async move {
            tokio::select! {
                biased;
                _ = terminate.recv() => Termination::Terminate,
                _ = interrupt.recv() => Termination::Interrupt,
            }
        })
    }
    #[cfg(windows)]
    {
        let mut interrupt = tokio::signal::windows::ctrl_c().map_err(failed)?;
        Ok(async move {
            interrupt.recv().await;
            Termination::Interrupt
        })
    }
}
