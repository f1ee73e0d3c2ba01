use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::fail_over::{self, FailOver};
use super::story::{Fate, Story};
use super::text::{Escaped, clipped, duration, moment};
use super::{Found, Verdict};

/// So many events are told of one violation, and so many single fail-overs.
const EVENTS_MAX: usize = 40;
const FAIL_OVERS_MAX: usize = 200;
/// So many letters are told of what is wrong, and of one event.
const WHAT_LETTERS_MAX: usize = 2000;
const EVENT_LETTERS_MAX: usize = 400;
/// A link into the timeline shows so much before and after what it leads to.
const AROUND_NS: u64 = 2_000_000_000;

/// The few numbers on top, and what was found.
pub(super) fn head(out: &mut String, story: &Story<'_>, facts: &[(String, String)], found: &[Found]) -> fmt::Result {
    let fail_overs = fail_over::of(story);
    let mut lasted: Vec<u64> = fail_overs.iter().map(FailOver::lasted_ns).collect();
    lasted.sort_unstable();
    out.push_str("<dl class=\"facts\">");
    for (name, value) in facts {
        write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", Escaped(&clipped(name, 80)), Escaped(&clipped(value, 200)))?;
    }
    let mut number = |name: &str, value: String| write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    number("length", duration(story.span))?;
    number("events", story.events.to_string())?;
    number("calls", story.operations.len().to_string())?;
    number("faults", story.faults.len().to_string())?;
    number("fail-overs", fail_overs.len().to_string())?;
    if let Some(longest) = lasted.last() {
        number("nobody led: median", duration(middle(&lasted, 50)))?;
        number("nobody led: longest", duration(*longest))?;
    }
    out.push_str("</dl>\n");
    violations(out, story, found)
}

fn violations(out: &mut String, story: &Story<'_>, found: &[Found]) -> fmt::Result {
    out.push_str("<section id=\"violations\" aria-labelledby=\"found\">");
    if found.is_empty() {
        out.push_str("<h2 id=\"found\" class=\"good\">✓ No violation found</h2></section>\n");
        return Ok(());
    }
    let plural = if found.len() == 1 { "" } else { "s" };
    write!(out, "<h2 id=\"found\" class=\"bad\">✗ {} violation{plural}</h2><ol>", found.len())?;
    for one in found {
        let verdict = if one.verdict == Verdict::Undecided { "not decided: " } else { "" };
        let (check, what) = (Escaped(&one.check), clipped(&one.what, WHAT_LETTERS_MAX));
        write!(out, "<li><h3>{verdict}{check}</h3>")?;
        for line in what.lines() {
            write!(out, "<p>{}</p>", Escaped(line))?;
        }
        if !one.events.is_empty() {
            out.push_str("<ul class=\"events\">");
        }
        for event in one.events.iter().take(EVENTS_MAX) {
            let at = event.at_ns.saturating_sub(story.origin_ns);
            let text = event.to_string();
            // The time that begins the text is that of the history's clock.
            let text = text.split_once(' ').map_or(text.as_str(), |(_, told)| told);
            let text = clipped(text, EVENT_LETTERS_MAX);
            write!(out, "<li>{} {}</li>", link(at, at, &moment(at)), Escaped(&text))?;
        }
        if one.events.len() > EVENTS_MAX {
            write!(out, "<li>and {} more</li>", one.events.len() - EVENTS_MAX)?;
        }
        out.push_str(if one.events.is_empty() { "</li>" } else { "</ul></li>" });
    }
    out.push_str("</ol></section>\n");
    Ok(())
}

/// Everything counted.
pub(super) fn tables(out: &mut String, story: &Story<'_>) -> fmt::Result {
    out.push_str("<section class=\"tables\" aria-label=\"Everything counted\">\n");
    calls(out, story)?;
    faults(out, story)?;
    fail_overs(out, story)?;
    out.push_str("</section>\n");
    Ok(())
}

fn calls(out: &mut String, story: &Story<'_>) -> fmt::Result {
    let heads = Fate::ALL.map(Fate::name);
    let latencies = ["all", "median", "99 %", "longest"];
    begin(out, "Calls by kind and outcome", &["call"], &[&heads[..], &latencies[..]].concat())?;
    let mut kinds: Vec<(&str, [usize; 4], Vec<u64>)> =
        story.kinds.iter().map(|kind| (kind.as_str(), [0; 4], Vec::new())).collect();
    kinds.push(("all", [0; 4], Vec::new()));
    let all = story.kinds.len();
    for operation in &story.operations {
        for row in [operation.kind, all] {
            kinds[row].1[operation.fate as usize] += 1;
            if operation.fate != Fate::NeverReturned {
                kinds[row].2.push(operation.to - operation.from);
            }
        }
    }
    kinds[..all].sort_unstable_by_key(|row| row.0);
    for (kind, fates, mut latencies) in kinds {
        latencies.sort_unstable();
        write!(out, "<tr><th scope=\"row\">{}</th>", Escaped(kind))?;
        for count in fates {
            cell(out, &count.to_string(), count == 0)?;
        }
        cell(out, &fates.iter().sum::<usize>().to_string(), false)?;
        for percent in [50, 99, 100] {
            let told = if latencies.is_empty() { "–".into() } else { duration(middle(&latencies, percent)) };
            cell(out, &told, latencies.is_empty())?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn faults(out: &mut String, story: &Story<'_>) -> fmt::Result {
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for fault in &story.faults {
        kinds.entry(fault.name).or_default().push(fault.to - fault.from);
    }
    begin(out, "Faults by kind", &["fault"], &["times", "together", "longest"])?;
    for (name, lasted) in kinds {
        write!(out, "<tr><th scope=\"row\">{}</th>", Escaped(&clipped(name, 80)))?;
        cell(out, &lasted.len().to_string(), false)?;
        cell(out, &duration(lasted.iter().fold(0, |sum: u64, one| sum.saturating_add(*one))), false)?;
        cell(out, &duration(lasted.iter().copied().max().unwrap_or(0)), false)?;
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn fail_overs(out: &mut String, story: &Story<'_>) -> fmt::Result {
    let all = fail_over::of(story);
    begin(out, "Fail-overs by component", &["component"], &["times", "median", "longest"])?;
    for component in &story.components {
        let of_it = all.iter().filter(|fail_over| fail_over.component == *component);
        let mut lasted: Vec<u64> = of_it.map(FailOver::lasted_ns).collect();
        lasted.sort_unstable();
        write!(out, "<tr><th scope=\"row\">{}</th>", Escaped(&clipped(component, 80)))?;
        cell(out, &lasted.len().to_string(), false)?;
        for percent in [50, 100] {
            let told = if lasted.is_empty() { "–".into() } else { duration(middle(&lasted, percent)) };
            cell(out, &told, lasted.is_empty())?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    begin(out, "Each fail-over", &["when", "component", "from", "to", "under"], &["nobody led"])?;
    for one in all.iter().take(FAIL_OVERS_MAX) {
        let (lost, granted) = (one.lost_ns - story.origin_ns, one.granted_ns - story.origin_ns);
        write!(out, "<tr><td>{}</td>", link(lost, granted, &moment(granted)))?;
        for text in [&one.component, &one.from, &one.to, &one.term.to_string()] {
            write!(out, "<td>{}</td>", Escaped(&clipped(text, 60)))?;
        }
        cell(out, &duration(one.lasted_ns()), false)?;
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    if all.len() > FAIL_OVERS_MAX {
        write!(out, "<p>… and {} more.</p>", all.len() - FAIL_OVERS_MAX)?;
    }
    Ok(())
}

/// A table's beginning: columns of text, then columns of numbers.
fn begin(out: &mut String, caption: &str, texts: &[&str], numbers: &[&str]) -> fmt::Result {
    write!(out, "<div class=\"table\"><table><caption>{caption}</caption><thead><tr>")?;
    texts.iter().try_for_each(|head| write!(out, "<th scope=\"col\">{head}</th>"))?;
    numbers.iter().try_for_each(|head| write!(out, "<th scope=\"col\" class=\"number\">{head}</th>"))?;
    out.push_str("</tr></thead><tbody>\n");
    Ok(())
}

fn cell(out: &mut String, text: &str, faint: bool) -> fmt::Result {
    let faint = if faint { " faint" } else { "" };
    write!(out, "<td class=\"number{faint}\">{}</td>", Escaped(text))
}

/// A link that shows this part of the timeline.
fn link(from: u64, to: u64, text: &str) -> String {
    let ms = |ns: u64| format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000);
    let (from, to) = (from.saturating_sub(AROUND_NS), to.saturating_add(AROUND_NS));
    format!("<a href=\"#{}-{}\">{text}</a>", ms(from), ms(to))
}

/// The value that so many percent are not above; of a sorted list that is not empty.
fn middle(sorted: &[u64], percent: usize) -> u64 {
    let index = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
    sorted[index - 1]
}
