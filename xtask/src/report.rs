//! `cargo xtask bench report`: the charts of docs/performance.md, drawn as SVG from the figures that `cargo xtask bench --json` leaves.
//!
//! A figure is a number, or a list of those of several runs: the median is drawn, and a thin line from the least to the greatest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// The figures of docs/performance.md, and how they were measured.
pub const FIGURES: &str = "docs/lab/bench.jsonl";
pub const CHARTS: &str = "docs/images";

const WIDTH: f64 = 760.0;
const LABELS: f64 = 230.0;
/// The room for a bar's figure to the right of the scale.
const FIGURE: f64 = 150.0;
const BAR: f64 = 16.0;

/// Reads as text on white and on black paper: colours follow what the reader's screen prefers.
const STYLE: &str = "\
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .note { fill: #59636e }
.label { text-anchor: end }
.s0 { fill: #2f6fde } .s1 { fill: #d9822b } .goal { stroke: #1a7f37; stroke-width: 2 } .spread { stroke: #59636e }
.page { fill: #ffffff } .window { fill: #f6f8fa; stroke: #d1d9e0 } .mono { font: 12px ui-monospace, Menlo, Consolas, monospace; white-space: pre }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .s0 { fill: #6ea8fe } .s1 { fill: #f0a95b } .goal { stroke: #3fb950 }
  .spread { stroke: #9198a1 } .page { fill: #0d1117 } .window { fill: #151b23; stroke: #3d444d }
}
</style>
";

#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Figure {
    fn of_runs(mut runs: Vec<f64>) -> Option<Self> {
        runs.sort_by(f64::total_cmp);
        let (least, greatest) = (*runs.first()?, *runs.last()?);
        let median = f64::midpoint(runs[(runs.len() - 1) / 2], runs[runs.len() / 2]);
        Some(Self { median, least, greatest })
    }
}

/// Mode, profile and rate of a run.
type Measured<'m> = (&'m str, &'m str, Option<u64>);

struct Runs(Vec<Value>);

impl Runs {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
        let lines: Result<_, _> = lines.collect();
        Ok(Self(lines.with_context(|| format!("{}: expected one JSON object on each line", path.display()))?))
    }

    fn of<'r>(&'r self, (mode, profile, rate): Measured<'r>) -> impl Iterator<Item = &'r Value> {
        let same = move |run: &&Value| run["mode"] == mode && run["profile"] == profile && run["rate"].as_u64() == rate;
        self.0.iter().filter(same)
    }

    fn figure(&self, of: Measured<'_>, name: &str) -> Option<Figure> {
        Figure::of_runs(self.of(of).flat_map(|run| numbers(&run[name])).collect())
    }

    /// CPU an order by process, in µs: the median of the runs.
    fn cpu(&self, of: Measured<'_>) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, usage) in self.of(of).filter_map(|run| run["processes"].as_object()).flatten() {
            all.entry(name.clone()).or_default().extend(numbers(&usage["cpu_s_per_1000"]));
        }
        let median = |(name, runs)| Some((name, Figure::of_runs(runs)?.median * 1_000.0));
        all.into_iter().filter_map(median).collect()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().filter_map(Value::as_f64).collect()
}

struct Bar {
    series: usize,
    figure: Figure,
    goal: Option<f64>,
    text: String,
}

/// Bars with labels to their left, on one scale.
struct Chart {
    title: String,
    /// What is measured, in which unit.
    note: String,
    series: Vec<&'static str>,
    rows: Vec<(String, Vec<Bar>)>,
}

impl Chart {
    fn svg(&self) -> String {
        let bars = self.rows.iter().flat_map(|(_, bars)| bars);
        let ends = bars.map(|bar| bar.figure.greatest.max(bar.goal.unwrap_or(0.0)));
        let scale = (WIDTH - LABELS - FIGURE) / ends.fold(f64::MIN_POSITIVE, f64::max);
        let mut body = text(r#"class="title" x="16" y="26""#, &self.title);
        body += &text(r#"class="note" x="16" y="44""#, &self.note);
        let mut y = 60.0;
        for (series, name) in self.series.iter().enumerate() {
            let x = LABELS + 120.0 * series as f64;
            body += &format!(r#"<rect class="s{series}" x="{x}" y="{y}" width="12" height="12"/>"#);
            body += &text(&format!(r#"x="{}" y="{}""#, x + 18.0, y + 10.0), name);
        }
        y += if self.series.is_empty() { 0.0 } else { 24.0 };
        for (label, bars) in &self.rows {
            let middle = y + BAR * bars.len() as f64 / 2.0 + 4.0;
            body += &text(&format!(r#"class="label" x="{}" y="{middle}""#, LABELS - 10.0), label);
            for bar in bars {
                bar.draw(&mut body, scale, y);
                y += BAR;
            }
            y += 8.0;
        }
        page(WIDTH, y + 8.0, &body)
    }
}

impl Bar {
    fn draw(&self, body: &mut String, scale: f64, y: f64) {
        let Self { series, figure: Figure { median, least, greatest }, .. } = self;
        let (width, height, middle) = (median * scale, BAR - 3.0, y + BAR / 2.0 - 1.5);
        *body +=
            &format!("<rect class=\"s{series}\" x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\"/>\n");
        let mut end = width;
        let mut line = |class: &str, [from, to]: [f64; 2], [top, bottom]: [f64; 2]| {
            let [x1, x2] = [from, to].map(|value| LABELS + value * scale);
            *body += &format!("<line class=\"{class}\" x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\n");
            end = end.max(to * scale);
        };
        if least < greatest {
            line("spread", [*least, *greatest], [middle, middle]);
        }
        if let Some(goal) = self.goal {
            line("goal", [goal, goal], [y, y + height]);
        }
        let place = format!(r#"x="{:.1}" y="{}""#, LABELS + end + 6.0, y + height - 2.5);
        *body += &text(&place, &self.text);
    }
}

fn text(attributes: &str, content: &str) -> String {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<text {attributes}>{content}</text>\n")
}

fn page(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         {STYLE}<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

fn written(number: f64) -> String {
    let digits = format!("{number:.0}");
    let apart: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    apart.join(",")
}

/// A figure beside its goal, if it has one.
fn with_goal(series: usize, (runs, goals): (&Runs, &Runs), of: Measured<'_>, name: &str, unit: &str) -> Option<Bar> {
    let figure = runs.figure(of, name)?;
    let goal = goals.figure(of, name).map(|goal| goal.median);
    let text = goal.map_or_else(String::new, |goal| format!(", goal {}", written(goal)));
    Some(Bar { series, figure, goal, text: written(figure.median) + unit + &text })
}

fn throughput(runs: &Runs, goals: &Runs) -> Chart {
    let rows: [(&str, Measured<'_>); 3] = [
        ("backlog of mixed orders", ("backlog", "mixed", None)),
        ("backlog on one hot SKU", ("backlog", "hot", None)),
        ("ceiling: the rows by bare SQL", ("limit", "rows", None)),
    ];
    let row = |(label, of): (&str, Measured<'_>)| {
        Some((label.to_owned(), vec![with_goal(0, (runs, goals), of, "orders_per_s", "")?]))
    };
    Chart {
        title: "Throughput".into(),
        note: "orders a second through the whole saga; the green line is the goal".into(),
        series: Vec::new(),
        rows: rows.into_iter().filter_map(row).collect(),
    }
}

fn latency(runs: &Runs, goals: &Runs) -> Chart {
    let row = |rate: u64| {
        let of = ("open-loop", "mixed", Some(rate));
        let figures = ["p50_ms", "p99_ms"].into_iter().enumerate();
        let bars = figures.filter_map(|(series, name)| with_goal(series, (runs, goals), of, name, " ms"));
        (format!("{rate} orders a second"), bars.collect::<Vec<_>>())
    };
    let open_loops = runs.0.iter().filter(|run| run["mode"] == "open-loop");
    let rates: BTreeSet<u64> = open_loops.filter_map(|run| run["rate"].as_u64()).collect();
    Chart {
        title: "Latency by rate".into(),
        note: "from the moment an order was due to OrderCompleted, in ms; the green line is the goal".into(),
        series: vec!["p50", "p99"],
        rows: rates.into_iter().map(row).filter(|(_, bars)| !bars.is_empty()).collect(),
    }
}

fn cpu(runs: &Runs) -> Chart {
    let sides = [("backlog", None), ("open-loop", Some(200))].map(|(mode, rate)| runs.cpu((mode, "mixed", rate)));
    let total = |side: &BTreeMap<String, f64>| side.values().sum::<f64>();
    let mut names: Vec<&String> = sides.iter().flat_map(BTreeMap::keys).collect();
    let first = |name: &str| sides.iter().find_map(|side| side.get(name)).copied().unwrap_or(0.0);
    names.sort_by(|a, b| first(b).total_cmp(&first(a)).then(a.cmp(b)));
    names.dedup();
    let row = |name: &String| {
        let bar = |(series, side): (usize, &BTreeMap<String, f64>)| {
            let (used, share) = (*side.get(name)?, side.get(name)? * 100.0 / total(side));
            let figure = Figure { median: share, least: share, greatest: share };
            Some(Bar { series, figure, goal: None, text: format!("{share:.0} %, {} µs", written(used)) })
        };
        let label = if name == "load" { "load generator" } else { name };
        (label.to_owned(), sides.iter().enumerate().filter_map(bar).collect())
    };
    let [backlog, open] = sides.each_ref().map(|side| written(total(side)));
    Chart {
        title: "Where an order's CPU time goes".into(),
        note: format!("share of all processes: {backlog} µs an order in a backlog, {open} µs at 200 orders a second"),
        series: vec!["in a backlog", "at 200/s"],
        rows: names.into_iter().map(row).collect(),
    }
}

fn peers(runs: &Runs, peers: &Runs) -> Chart {
    let ours = runs.figure(("backlog", "mixed", None), "orders_per_s").map(|figure| ("Quadrille", 0, figure));
    let theirs = peers
        .0
        .iter()
        .filter_map(|peer| Some((peer["name"].as_str()?, 1, Figure::of_runs(numbers(&peer["orders_per_s"]))?)));
    let mut all: Vec<(&str, usize, Figure)> = ours.into_iter().chain(theirs).collect();
    all.sort_by(|(_, _, a), (_, _, b)| b.median.total_cmp(&a.median));
    let row = |(name, series, figure): (&str, usize, Figure)| {
        let text = match figure.least < figure.greatest && series == 1 {
            true => format!("{} to {}", written(figure.least), written(figure.greatest)),
            false => written(figure.median),
        };
        (name.to_owned(), vec![Bar { series, figure, goal: None, text }])
    };
    Chart {
        title: "Beside others".into(),
        note: "orders a second in a backlog, two cores; the others were measured when the pipeline was designed".into(),
        series: Vec::new(),
        rows: all.into_iter().map(row).collect(),
    }
}

/// A terminal with what a command printed; `…` stands for what was left out.
fn terminal(printed: &str) -> String {
    let (lines, step) = (printed.lines().count() as f64, 17.0);
    let columns = printed.lines().map(|line| line.chars().count()).max().unwrap_or(0) as f64;
    let (width, height) = (columns * 7.3 + 48.0, lines * step + 52.0);
    let (inner, below) = (width - 2.0, height - 2.0);
    let mut body = format!("<rect class=\"window\" x=\"1\" y=\"1\" width=\"{inner}\" height=\"{below}\" rx=\"8\"/>\n");
    for (number, line) in printed.lines().enumerate() {
        let y = 36.0 + step * number as f64;
        body += &text(&format!(r#"class="mono" x="24" y="{y}" xml:space="preserve""#), line);
    }
    page(width, height, &body)
}

fn pictures(root: &Path, figures: &Path) -> Result<Vec<(&'static str, String)>> {
    let (runs, goals) = (Runs::read(figures)?, Runs::read(&root.join("docs/lab/goals.jsonl"))?);
    let others = Runs::read(&root.join("docs/lab/peers.jsonl"))?;
    let demo = root.join("docs/lab/demo.txt");
    let demo = fs::read_to_string(&demo).with_context(|| demo.display().to_string())?;
    Ok(vec![
        ("throughput.svg", throughput(&runs, &goals).svg()),
        ("latency.svg", latency(&runs, &goals).svg()),
        ("cpu.svg", cpu(&runs).svg()),
        ("peers.svg", peers(&runs, &others).svg()),
        ("demo.svg", terminal(&demo)),
    ])
}

pub fn draw(root: &Path, figures: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, picture) in pictures(root, figures)? {
        let path = folder.join(name);
        fs::write(&path, picture).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn the_committed_charts_are_those_of_the_committed_figures() {
        for (name, picture) in pictures(root(), &root().join(FIGURES)).unwrap() {
            let path = root().join(CHARTS).join(name);
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == picture, "{} differs: `cargo xtask bench report` draws it", path.display());
        }
    }

    #[test]
    fn what_bench_writes_is_drawn_runs_of_one_kind_together() {
        let line = |rate: u64, p50: f64| {
            format!("{{\"mode\":\"open-loop\",\"profile\":\"mixed\",\"rate\":{rate},\"p50_ms\":{p50},\"p99_ms\":9.0}}")
        };
        let text = [line(50, 7.0), line(50, 5.0), line(50, 6.0), line(20, 4.0)];
        let runs = Runs(text.iter().map(|line| serde_json::from_str(line).unwrap()).collect());
        let figure = runs.figure(("open-loop", "mixed", Some(50)), "p50_ms").unwrap();
        assert_eq!(figure, Figure { median: 6.0, least: 5.0, greatest: 7.0 });
        let chart = latency(&runs, &Runs(Vec::new()));
        let labels: Vec<&str> = chart.rows.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["20 orders a second", "50 orders a second"]);
        assert!(chart.svg().contains("6 ms"));
        assert_eq!((written(163_945.4), written(999.0)), ("163,945".to_owned(), "999".to_owned()));
    }
}
