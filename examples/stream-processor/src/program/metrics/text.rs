use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Upper bounds, in seconds: from a commit in memory to one that was found out at the very end.
const BOUNDS: [f64; 16] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A recorder that renders what it holds in Prometheus' text format. Clones are the same. Its size is bounded by the
/// number of series: a histogram is a few buckets, however often it is recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Text(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    help: BTreeMap<String, String>,
    families: BTreeMap<String, BTreeMap<String, Series>>,
}

#[derive(Debug, Clone)]
enum Series {
    Counter(Arc<AtomicU64>),
    /// The bits of a floating-point number.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

#[derive(Debug, Default)]
struct Buckets(Mutex<Counted>);

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    within: [u64; BOUNDS.len()],
    all: u64,
    sum: f64,
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = BOUNDS.iter().position(|bound| value <= *bound) {
            counted.within[bucket] += 1;
        }
        counted.all += 1;
        counted.sum += value;
    }
}

impl Text {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn series(&self, key: &Key, new: fn() -> Series) -> Series {
        let mut labels = String::new();
        for label in key.labels() {
            let comma = if labels.is_empty() { "" } else { "," };
            // Writing to a string does not fail.
            let _ = write!(labels, "{comma}{}=\"{}\"", label.key(), escaped(label.value()));
        }
        self.inner().families.entry(key.name().to_owned()).or_default().entry(labels).or_insert_with(new).clone()
    }

    fn describe(&self, name: &KeyName, text: &SharedString) {
        self.inner().help.insert(name.as_str().to_owned(), text.replace('\\', "\\\\").replace('\n', "\\n"));
    }

    /// All that was recorded so far.
    pub(super) fn render(&self) -> String {
        let inner = self.inner();
        let mut text = String::new();
        for (name, family) in &inner.families {
            if let Some(help) = inner.help.get(name) {
                let _ = writeln!(text, "# HELP {name} {help}");
            }
            let kind = match family.values().next() {
                Some(Series::Counter(_)) => "counter",
                Some(Series::Gauge(_)) => "gauge",
                Some(Series::Histogram(_)) => "histogram",
                None => continue,
            };
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (labels, series) in family {
                series.render(name, labels, &mut text);
            }
        }
        text
    }
}

impl Series {
    fn render(&self, name: &str, labels: &str, text: &mut String) {
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        match self {
            Self::Counter(value) => {
                let _ = writeln!(text, "{name}{braced} {}", value.load(Ordering::Relaxed));
            }
            Self::Gauge(bits) => {
                let _ = writeln!(text, "{name}{braced} {}", number(f64::from_bits(bits.load(Ordering::Relaxed))));
            }
            Self::Histogram(buckets) => {
                let counted = *buckets.0.lock().unwrap_or_else(PoisonError::into_inner);
                let comma = if labels.is_empty() { "" } else { "," };
                let mut below = 0;
                for (bound, within) in BOUNDS.iter().zip(counted.within) {
                    below += within;
                    let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}");
                }
                let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", counted.all);
                let _ = writeln!(text, "{name}_sum{braced} {}", number(counted.sum));
                let _ = writeln!(text, "{name}_count{braced} {}", counted.all);
            }
        }
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Recorder for Text {
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
        match self.series(key, || Series::Counter(Arc::default())) {
            Series::Counter(value) => Counter::from_arc(value),
            // Known as something else: a mistake of whoever records it, which is not shown.
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.series(key, || Series::Gauge(Arc::default())) {
            Series::Gauge(value) => Gauge::from_arc(value),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.series(key, || Series::Histogram(Arc::default())) {
            Series::Histogram(buckets) => Histogram::from_arc(buckets),
            _ => Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_rendered_as_prometheus_reads_it() {
        let text = Text::default();
        metrics::with_local_recorder(&text, || {
            metrics::describe_counter!("things_total", "How\nmany.");
            metrics::counter!("things_total", "kind" => "a \"b\"").increment(2);
            metrics::gauge!("margin").set(f64::INFINITY);
            metrics::histogram!("took", "how" => "well").record(0.003);
            metrics::histogram!("took", "how" => "well").record(60.0);
        });
        let rendered = text.render();
        for line in [
            "# HELP things_total How\\nmany.",
            "# TYPE things_total counter",
            "things_total{kind=\"a \\\"b\\\"\"} 2",
            "# TYPE margin gauge",
            "margin +Inf",
            "took_bucket{how=\"well\",le=\"0.0025\"} 0",
            "took_bucket{how=\"well\",le=\"0.005\"} 1",
            "took_bucket{how=\"well\",le=\"10\"} 1",
            "took_bucket{how=\"well\",le=\"+Inf\"} 2",
            "took_sum{how=\"well\"} 60.003",
            "took_count{how=\"well\"} 2",
        ] {
            assert!(rendered.lines().any(|is| is == line), "{line}\n\n{rendered}");
        }
    }
}
