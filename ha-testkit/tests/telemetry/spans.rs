//! What is told by `tracing` has the component and the term, and holds nothing that is stored or published.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ha_core::HighAvailabilityServices;
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha_core::cleanup::{CleanupEnd, ResourceCleaner};
use ha_core::job_result::JobResult;
use ha_core::plan::ExecutionPlan;
use ha_core::{JobStatus, seam::Seam};
use ha_testkit::run::block_on;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::world::{Ignore, World, job, one_retry};

type Fields = BTreeMap<&'static str, String>;

#[derive(Debug, Default)]
struct Told {
    spans: BTreeMap<u64, (&'static str, Fields)>,
    events: Vec<Fields>,
}

/// Writes down everything that the library tells, at all levels.
#[derive(Debug, Clone, Default)]
struct Listener {
    told: Arc<Mutex<Told>>,
    next: Arc<AtomicU64>,
}

impl Listener {
    /// The fields of the spans of that name.
    fn spans(&self, name: &str) -> Vec<Fields> {
        let told = self.told.lock().unwrap();
        told.spans.values().filter(|(is, _)| *is == name).map(|(_, fields)| fields.clone()).collect()
    }
}

struct Written<'a>(&'a mut Fields);

impl Visit for Written<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ha_")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::new();
        span.record(&mut Written(&mut fields));
        self.told.lock().unwrap().spans.insert(id, (span.metadata().name(), fields));
        Id::from_u64(id)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some((_, fields)) = self.told.lock().unwrap().spans.get_mut(&span.into_u64()) {
            values.record(&mut Written(fields));
        }
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Written(&mut fields));
        self.told.lock().unwrap().events.push(fields);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Needs a process in which nobody else listens.
pub(crate) fn spans_have_the_component_and_the_term_and_nothing_stored_or_published_is_told() {
    let listener = Listener::default();
    tracing::subscriber::set_global_default(listener.clone()).unwrap();
    let name = format!("spans-{:x}", Seam::system().random_u64());
    let epoch = block_on(async {
        let world = World::new();
        let process = world.process();
        let leadership = process.services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        leadership.publish("private-address:1").await.unwrap();
        let plans = leadership.execution_plan_store();
        plans.start(Arc::new(Ignore)).await.unwrap();
        plans.put_execution_plan(&ExecutionPlan::new(job(&name), "private-plan".into())).await.unwrap();
        plans.recover_execution_plan(&job(&name)).await.unwrap().unwrap();
        let factory = leadership.checkpoint_recovery_factory();
        let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
        let store = factory.create_recovered_completed_checkpoint_store(&job(&name), 1, mode, discarder).await.unwrap();
        let checkpoint = CompletedCheckpoint::new(1, CheckpointKind::Checkpoint, 0, "private-state".into());
        store.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
        let result = JobResult::new(job(&name), JobStatus::Finished);
        leadership.job_result_store().create_dirty_result(&result).await.unwrap();
        let cleaner = ResourceCleaner::of(&leadership, one_retry()).unwrap();
        assert_eq!(cleaner.clean_up(&result).await, CleanupEnd::Clean);
        let epoch = leadership.token().epoch().to_string();
        leadership.resign().await.unwrap();
        epoch
    });
    let has = |span: &str, field: &str, value: &str| {
        let spans = listener.spans(span);
        let has = |fields: &Fields| {
            let is = |name: &str, value: &str| fields.get(name).is_some_and(|is| is.trim_matches('"') == value);
            is(field, value) && is("epoch", &epoch)
        };
        assert!(spans.iter().any(has), "{span} with {field} = {value} and epoch = {epoch}: {spans:?}");
    };
    has("election", "latch", "leader/latch");
    has("publish", "component", "dispatcher");
    has("recover", "job", &name);
    has("clean_up", "job", &name);
    let told = listener.told.lock().unwrap();
    assert!(told.events.iter().any(|fields| fields.get("message").is_some_and(|text| text == "commit applied")));
    let all = told.events.iter().chain(told.spans.values().map(|(_, fields)| fields)).flat_map(BTreeMap::values);
    for text in all {
        assert!(!text.contains("private-"), "{text}");
    }
}
