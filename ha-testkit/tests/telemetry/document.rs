//! The table in the operator's guide is the one that the constants make.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ha_core::telemetry::names;

const BEGIN: &str = "<!-- metrics: begin -->\n";
const END: &str = "<!-- metrics: end -->\n";

fn table() -> String {
    let mut table = String::from("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for metric in names::METRICS {
        let labels = metric.labels.iter().map(|label| match label.values {
            [] => format!("`{}`", label.name),
            values => format!("`{}`: {}", label.name, values.join(", ")),
        });
        let labels: Vec<String> = labels.collect();
        let (name, kind, unit, meaning) = (metric.name, metric.kind, metric.unit, metric.meaning);
        writeln!(table, "| `{name}` | {kind} | {unit} | {} | {meaning} |", labels.join("; ")).unwrap();
    }
    table
}

#[test]
fn the_guide_for_operators_lists_the_metrics_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(BEGIN).unwrap();
    let (written, _) = rest.split_once(END).unwrap();
    let table = table();
    assert!(written == table, "docs/operating.md: between the two marks must stand exactly\n\n{table}");
}
