use std::fmt::{self, Write};

use super::story::{End, Fate, Fault, Reign, Story};
use super::text::{Escaped, clipped, duration, moment};
use super::{Found, fail_over};

/// Calls are counted in so many parts of the time.
const PARTS: usize = 200;
/// So high are the bars of calls, in the unit of the drawing.
const CALLS_HIGH: f64 = 64.0;
/// So many things of one kind are drawn: what is more cannot be seen at once anyway.
const DRAWN_MAX: usize = 4000;
/// The colours there are for processes.
pub(super) const COLOURS: usize = 10;

/// The whole time at one glance, without a script: lanes of SVG that are as wide as there is room.
pub(super) fn overview(out: &mut String, story: &Story<'_>, found: &[Found]) -> fmt::Result {
    let drawing = Drawing { story };
    out.push_str("<div id=\"overview\">\n");
    drawing.axis(out)?;
    drawing.violations(out, found)?;
    drawing.faults(out)?;
    for (index, component) in story.components.iter().enumerate() {
        drawing.component(out, index, component)?;
    }
    for (index, process) in story.processes.iter().enumerate() {
        drawing.process(out, index, process)?;
    }
    drawing.calls(out)?;
    out.push_str("</div>\n");
    Ok(())
}

struct Drawing<'a, 'h> {
    story: &'a Story<'h>,
}

impl Drawing<'_, '_> {
    /// Where that moment is, in percent of the width.
    fn x(&self, at: u64) -> f64 {
        at as f64 / self.story.span as f64 * 100.0
    }

    fn lane(&self, out: &mut String, label: &str, high: f64) -> fmt::Result {
        let label = Escaped(label);
        write!(out, "<div class=\"lane\"><span class=\"label\" title=\"{label}\">{label}</span>")?;
        write!(out, "<svg height=\"{high}\" role=\"img\" aria-label=\"{label}\">")
    }

    /// A bar with a text in it that ends where the bar does.
    fn bar(&self, out: &mut String, place: (u64, u64, f64), class: &str, words: (&str, &str)) -> fmt::Result {
        let ((from, to, y), (text, title)) = (place, words);
        let wide = (self.x(to) - self.x(from)).max(0.1);
        write!(out, "<svg x=\"{:.3}%\" y=\"{y}\" width=\"{wide:.3}%\" height=\"16\">", self.x(from))?;
        write!(out, "<title>{}</title><rect class=\"{class}\" width=\"100%\" height=\"16\"/>", Escaped(title))?;
        if wide > 1.5 {
            write!(out, "<text x=\"4\" y=\"12\">{}</text>", Escaped(text))?;
        }
        out.push_str("</svg>");
        Ok(())
    }

    fn axis(&self, out: &mut String) -> fmt::Result {
        self.lane(out, "time", 18.0)?;
        for part in 0..8 {
            let at = self.story.span / 8 * part;
            write!(out, "<line x1=\"{0:.3}%\" x2=\"{0:.3}%\" y1=\"0\" y2=\"18\" class=\"tick\"/>", self.x(at))?;
            write!(out, "<text x=\"{:.3}%\" dx=\"3\" y=\"12\">{}</text>", self.x(at), moment(at))?;
        }
        out.push_str("</svg></div>\n");
        Ok(())
    }

    fn violations(&self, out: &mut String, found: &[Found]) -> fmt::Result {
        if found.iter().all(|found| found.events.is_empty()) {
            return Ok(());
        }
        self.lane(out, "violations", 16.0)?;
        for (number, found) in found.iter().enumerate() {
            for event in &found.events {
                let x = self.x(event.at_ns.saturating_sub(self.story.origin_ns).min(self.story.span));
                write!(out, "<g><title>{}</title>", Escaped(&clipped(&found.to_string(), 300)))?;
                write!(out, "<text x=\"{x:.3}%\" y=\"13\" class=\"violation\">✗{}</text></g>", number + 1)?;
            }
        }
        out.push_str("</svg></div>\n");
        Ok(())
    }

    fn faults(&self, out: &mut String) -> fmt::Result {
        let faults = &self.story.faults;
        let rows = faults.iter().map(|fault| fault.row + 1).max().unwrap_or(0);
        if rows == 0 {
            return Ok(());
        }
        self.lane(out, "faults", rows as f64 * 18.0)?;
        for fault in faults.iter().take(DRAWN_MAX) {
            let Fault { name, from, to, row } = fault;
            let name = clipped(name, 60);
            let title = format!("{name}: {} – {}", moment(*from), moment(*to));
            self.bar(out, (*from, *to, *row as f64 * 18.0), "fault", (&name, &title))?;
        }
        out.push_str("</svg></div>\n");
        Ok(())
    }

    /// A component, with a row for each process that led it.
    fn component(&self, out: &mut String, component: usize, name: &str) -> fmt::Result {
        let reigns = || self.story.reigns.iter().filter(|reign| reign.component == component).take(DRAWN_MAX);
        let who = |reign: &Reign<'_>| self.story.lives[reign.life].process;
        let leaders: Vec<usize> =
            (0..self.story.processes.len()).filter(|process| reigns().any(|reign| who(reign) == *process)).collect();
        self.lane(out, &format!("{} led", clipped(name, 40)), (leaders.len() + 1) as f64 * 18.0)?;
        for (_, lost, granted) in fail_over::vacant(self.story).filter(|vacant| vacant.0 == component).take(DRAWN_MAX) {
            let text = format!("nobody {}", duration(granted - lost));
            self.bar(out, (lost, granted, 0.0), "nobody", (&text, &text))?;
        }
        for reign in reigns() {
            let row = leaders.iter().position(|process| *process == who(reign)).unwrap_or(0);
            let process = clipped(self.story.processes[who(reign)], 40);
            let term = clipped(&reign.term.to_string(), 60).into_owned();
            let title = format!("{name} led by {process} under {term}: {} – {}", moment(reign.from), moment(reign.to));
            let text = format!("{process} #{}", reign.term.epoch);
            let class = format!("p{}", who(reign) % COLOURS);
            self.bar(out, (reign.from, reign.to, (row + 1) as f64 * 18.0), &class, (&text, &title))?;
        }
        out.push_str("</svg></div>\n");
        Ok(())
    }

    /// When a process lived.
    fn process(&self, out: &mut String, process: usize, name: &str) -> fmt::Result {
        self.lane(out, &format!("{} lived", clipped(name, 40)), 18.0)?;
        for life in self.story.lives.iter().filter(|life| life.process == process).take(DRAWN_MAX) {
            let how = match life.end {
                End::Running => "runs to the end",
                End::Killed => "killed",
                End::Closed => "closed",
            };
            let text = format!("life {}", life.incarnation);
            let title = format!("{name}, {text}: {} – {}, {how}", moment(life.from), moment(life.to));
            let class = format!("life p{}", process % COLOURS);
            self.bar(out, (life.from, life.to, 0.0), &class, (&text, &title))?;
            for pause in &life.pauses {
                self.bar(out, (pause.0, pause.1, 0.0), "pause", ("paused", "paused"))?;
            }
            let end = match life.end {
                End::Running => continue,
                End::Killed => "✗",
                End::Closed => "■",
            };
            write!(out, "<text x=\"{:.3}%\" dx=\"-5\" y=\"13\" class=\"end\">{end}</text>", self.x(life.to))?;
        }
        out.push_str("</svg></div>\n");
        Ok(())
    }

    /// How many calls were made, by what became of them, each kind of end in a row of its own.
    fn calls(&self, out: &mut String) -> fmt::Result {
        let mut counts = [[0usize; PARTS]; 4];
        for operation in &self.story.operations {
            let part = (operation.from as f64 / self.story.span as f64 * PARTS as f64) as usize;
            counts[operation.fate as usize][part.min(PARTS - 1)] += 1;
        }
        for fate in Fate::ALL {
            let parts = &counts[fate as usize];
            let most = parts.iter().copied().max().unwrap_or(0);
            if most == 0 {
                continue;
            }
            let high = if fate == Fate::Done { CALLS_HIGH } else { CALLS_HIGH / 2.0 };
            self.lane(out, &format!("calls {}, ≤ {most}", fate.name()), high)?;
            for (part, count) in parts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let (x, tall) = (part as f64 * 100.0 / PARTS as f64, *count as f64 / most as f64 * (high - 2.0));
                let (y, wide) = (high - tall, 90.0 / PARTS as f64);
                write!(out, "<rect class=\"f{}\" x=\"{x:.2}%\" y=\"{y:.1}\" ", fate as usize)?;
                write!(out, "width=\"{wide}%\" height=\"{tall:.1}\"><title>{count}</title></rect>")?;
            }
            out.push_str("</svg></div>\n");
        }
        Ok(())
    }
}
