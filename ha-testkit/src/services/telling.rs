//! What the library tells `tracing`, written down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The fields of an event by name; `message` is its text.
pub(super) type Fields = BTreeMap<&'static str, String>;

/// At most that many events are kept; more are told by nothing that a case does.
const EVENTS_MAX: usize = 100_000;

static EVENTS: Mutex<Vec<Fields>> = Mutex::new(Vec::new());
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

fn events() -> MutexGuard<'static, Vec<Fields>> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While one lives, what any service in this process tells at `INFO` or above is written down.
#[derive(Debug)]
pub(super) struct Listening(());

impl Listening {
    /// `None` if this process has another global subscriber: there can be only one.
    pub(super) fn start() -> Option<Self> {
        static IS_OURS: OnceLock<bool> = OnceLock::new();
        // Global, because what is told comes from the tasks and threads of the library as well.
        if !IS_OURS.get_or_init(|| tracing::subscriber::set_global_default(Collector).is_ok()) {
            return None;
        }
        LISTENERS.fetch_add(1, SeqCst);
        Some(Self(()))
    }

    /// The events of which that holds, in their order.
    #[expect(clippy::unused_self, reason = "only who listens may ask")]
    pub(super) fn told(&self, about: impl Fn(&Fields) -> bool) -> Vec<Fields> {
        events().iter().filter(|fields| about(fields)).cloned().collect()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if LISTENERS.fetch_sub(1, SeqCst) == 1 {
            events().clear();
        }
    }
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO && metadata.target().starts_with("ha_core")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if LISTENERS.load(SeqCst) == 0 {
            return;
        }
        let mut fields = Written(Fields::new());
        event.record(&mut fields);
        let mut events = events();
        if events.len() < EVENTS_MAX {
            events.push(fields.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Written(Fields);

impl Visit for Written {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
