//! The one place that knows the facade. Without the feature its functions are empty.
//!
//! The values of labels come in the order of [`Metric::labels`].

#[cfg(feature = "metrics")]
pub(super) use with::{add, count, observe, set};
#[cfg(not(feature = "metrics"))]
pub(super) use without::{add, count, observe, set};

#[cfg(feature = "metrics")]
mod with {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use metrics::{Key, Label, Level, Metadata, Recorder, with_recorder};

    use crate::telemetry::Metric;

    const METADATA: Metadata<'static> = Metadata::new("ha_core", Level::INFO, Some(module_path!()));

    /// Foreign code: its panic must not end an election. The handle is asked for each time, because a recorder may be
    /// installed after the services were made.
    fn record(metric: &Metric, values: &[&'static str], what: impl FnOnce(&dyn Recorder, &Key)) {
        let recorded = catch_unwind(AssertUnwindSafe(|| {
            let pairs = metric.labels.iter().zip(values);
            let labels: Vec<Label> = pairs.map(|(label, value)| Label::from_static_parts(label.name, value)).collect();
            let key = Key::from_parts(metric.name, labels);
            with_recorder(|recorder| what(recorder, &key));
        }));
        if recorded.is_err() {
            tracing::debug!(metric = metric.name, "the recorder of metrics panicked");
        }
    }

    pub(in crate::telemetry) fn count(metric: &Metric, values: &[&'static str], by: u64) {
        record(metric, values, |recorder, key| recorder.register_counter(key, &METADATA).increment(by));
    }

    pub(in crate::telemetry) fn set(metric: &Metric, values: &[&'static str], to: f64) {
        record(metric, values, |recorder, key| recorder.register_gauge(key, &METADATA).set(to));
    }

    pub(in crate::telemetry) fn add(metric: &Metric, values: &[&'static str], by: f64) {
        record(metric, values, |recorder, key| recorder.register_gauge(key, &METADATA).increment(by));
    }

    pub(in crate::telemetry) fn observe(metric: &Metric, values: &[&'static str], value: f64) {
        record(metric, values, |recorder, key| recorder.register_histogram(key, &METADATA).record(value));
    }
}

#[cfg(not(feature = "metrics"))]
mod without {
    use crate::telemetry::Metric;

    #[inline(always)]
    pub(in crate::telemetry) fn count(_: &Metric, _: &[&'static str], _: u64) {}

    #[inline(always)]
    pub(in crate::telemetry) fn set(_: &Metric, _: &[&'static str], _: f64) {}

    #[inline(always)]
    pub(in crate::telemetry) fn add(_: &Metric, _: &[&'static str], _: f64) {}

    #[inline(always)]
    pub(in crate::telemetry) fn observe(_: &Metric, _: &[&'static str], _: f64) {}
}
