//! A recorder that remembers everything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use ha_core::telemetry::MetricKind;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// A name, and its labels in their order.
pub(crate) type Series = (String, Vec<(String, String)>);

#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) kind: MetricKind,
    /// Of a counter or gauge the value, of a histogram the sum.
    pub(crate) value: f64,
    /// How often it was recorded.
    pub(crate) times: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    series: Arc<Mutex<BTreeMap<Series, Recorded>>>,
    pub(crate) described: Arc<Mutex<BTreeMap<String, String>>>,
    /// Whatever is recorded panics.
    pub(crate) broken: Arc<AtomicBool>,
}

impl Memory {
    fn series(&self) -> MutexGuard<'_, BTreeMap<Series, Recorded>> {
        self.series.lock().unwrap()
    }

    pub(crate) fn all(&self) -> BTreeMap<Series, Recorded> {
        self.series().clone()
    }

    /// The value of the series of that name that has (at least) these values of labels; all of them added up.
    pub(crate) fn value(&self, name: &str, values: &[&str]) -> f64 {
        self.sum(name, values, |recorded| recorded.value)
    }

    /// How often such series were recorded.
    pub(crate) fn times(&self, name: &str, values: &[&str]) -> u64 {
        self.sum(name, values, |recorded| recorded.times as f64) as u64
    }

    fn sum(&self, name: &str, values: &[&str], of: impl Fn(&Recorded) -> f64) -> f64 {
        let has = |labels: &[(String, String)]| values.iter().all(|value| labels.iter().any(|(_, is)| is == value));
        let series = self.series();
        series.iter().filter(|((of, labels), _)| of == name && has(labels)).map(|(_, recorded)| of(recorded)).sum()
    }

    fn handle(&self, key: &Key, kind: MetricKind) -> Arc<Handle> {
        assert!(!self.broken.load(Ordering::Relaxed), "a recorder that panics on purpose");
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        Arc::new(Handle { memory: self.clone(), series: (key.name().to_owned(), labels), kind })
    }

    fn describe(&self, name: &KeyName, text: &SharedString) {
        self.described.lock().unwrap().insert(name.as_str().to_owned(), text.to_string());
    }
}

struct Handle {
    memory: Memory,
    series: Series,
    kind: MetricKind,
}

impl Handle {
    fn change(&self, to: impl FnOnce(f64) -> f64) {
        let mut series = self.memory.series();
        let recorded = series.entry(self.series.clone()).or_insert(Recorded { kind: self.kind, value: 0.0, times: 0 });
        assert_eq!(recorded.kind, self.kind, "{:?}", self.series);
        recorded.value = to(recorded.value);
        recorded.times += 1;
    }
}

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        self.change(|before| before + value as f64);
    }
    fn absolute(&self, value: u64) {
        self.change(|before| before.max(value as f64));
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.change(|before| before + value);
    }
    fn decrement(&self, value: f64) {
        self.change(|before| before - value);
    }
    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        self.change(|before| before + value);
    }
}

impl Recorder for Memory {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, &text);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, &text);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, &text);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key, MetricKind::Counter))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key, MetricKind::Gauge))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key, MetricKind::Histogram))
    }
}
