use metrics::{Unit, with_recorder};

use super::names::METRICS;
use super::{MetricKind, MetricUnit};

/// Tells the installed recorder what each metric means, and its unit: what Prometheus shows as `# HELP`. Call it once
/// after the recorder was installed; without it everything is recorded all the same.
pub fn describe() {
    with_recorder(|recorder| {
        for metric in METRICS {
            let unit = Some(match metric.unit {
                MetricUnit::Count => Unit::Count,
                MetricUnit::Seconds => Unit::Seconds,
                MetricUnit::Bytes => Unit::Bytes,
            });
            let (name, meaning) = (metric.name.into(), metric.meaning.into());
            match metric.kind {
                MetricKind::Counter => recorder.describe_counter(name, unit, meaning),
                MetricKind::Gauge => recorder.describe_gauge(name, unit, meaning),
                MetricKind::Histogram => recorder.describe_histogram(name, unit, meaning),
            }
        }
    });
}
