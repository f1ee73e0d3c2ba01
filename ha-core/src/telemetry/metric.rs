use std::fmt;

/// How a metric is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// The distribution of single values, with their count and sum.
    Histogram,
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// How many.
    Count,
    /// Seconds, as a fraction.
    Seconds,
    /// Bytes.
    Bytes,
}

impl fmt::Display for MetricUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        })
    }
}

/// A label, and what it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All values that it can have; empty if it is the name of the process's own backend.
    pub values: &'static [&'static str],
}

/// One metric: everything that is known of it before it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name, as recorders see it.
    pub name: &'static str,
    /// How it is counted.
    pub kind: MetricKind,
    /// In what.
    pub unit: MetricUnit,
    /// Its labels, in this order.
    pub labels: &'static [Label],
    /// What it says, in a sentence or two.
    pub meaning: &'static str,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
