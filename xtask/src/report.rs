//! `cargo xtask bench report`: the charts of docs/performance.md, drawn as SVG from the figures that `cargo xtask bench --json` leaves.
//!
//! A figure is a number, or a list of those of several runs: the median is drawn, and a thin line from the least to the greatest.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// The figures of docs/performance.md, and how they were measured.
pub const FIGURES: &str = "docs/lab/bench.jsonl";
/// Where the charts of docs/performance.md stand.
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

/// One figure: of several runs the median, the least and the greatest.
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

/// The lines of a file of figures.
struct Runs(Vec<Value>);

impl Runs {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
        let lines: Result<_, _> = lines.collect();
        Ok(Self(lines.with_context(|| format!("{}: expected one JSON object on each line", path.display()))?))
    }

    fn of<'r>(&'r self, mode: &'r str, profile: &'r str, rate: Option<u64>) -> impl Iterator<Item = &'r Value> {
        let same = move |run: &&Value| run["mode"] == mode && run["profile"] == profile && run["rate"].as_u64() == rate;
        self.0.iter().filter(same)
    }

    fn figure(&self, (mode, profile, rate): (&str, &str, Option<u64>), name: &str) -> Option<Figure> {
        Figure::of_runs(self.of(mode, profile, rate).flat_map(|run| numbers(&run[name])).collect())
    }

    /// CPU an order by process, in µs: the median of the runs.
    fn cpu(&self, mode: &str, profile: &str, rate: Option<u64>) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, usage) in self.of(mode, profile, rate).filter_map(|run| run["processes"].as_object()).flatten() {
            all.entry(name.clone()).or_default().extend(numbers(&usage["cpu_s_per_1000"]));
        }
        let median = |(name, runs)| Some((name, Figure::of_runs(runs)?.median * 1_000.0));
        all.into_iter().filter_map(median).collect()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(list) => list.iter().filter_map(Value::as_f64).collect(),
        None => value.as_f64().into_iter().collect(),
    }
}

/// A bar, in the colour of its series.
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
    /// Names of the colours, if there are several.
    series: Vec<&'static str>,
    rows: Vec<(String, Vec<Bar>)>,
}

impl Chart {
    fn svg(&self) -> String {
        let largest = self.rows.iter().flat_map(|(_, bars)| bars);
        let largest = largest.map(|bar| bar.figure.greatest.max(bar.goal.unwrap_or(0.0))).fold(0.0, f64::max);
        let scale = (WIDTH - LABELS - FIGURE) / largest.max(f64::MIN_POSITIVE);
        let mut body = format!(
            "<text class=\"title\" x=\"16\" y=\"26\">{}</text>\n<text class=\"note\" x=\"16\" y=\"44\">{}</text>\n",
            escaped(&self.title),
            escaped(&self.note)
        );
        let mut y = 60.0;
        for (series, name) in self.series.iter().enumerate() {
            let x = LABELS + 120.0 * series as f64;
            let _ = writeln!(
                body,
                "<rect class=\"s{series}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\"/><text x=\"{}\" y=\"{}\">{name}</text>",
                x + 18.0,
                y + 10.0
            );
        }
        y += if self.series.is_empty() { 0.0 } else { 24.0 };
        for (label, bars) in &self.rows {
            let middle = y + BAR * bars.len() as f64 / 2.0 + 4.0;
            let _ = writeln!(
                body,
                "<text class=\"label\" x=\"{}\" y=\"{middle}\">{}</text>",
                LABELS - 10.0,
                escaped(label)
            );
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
        let Figure { median, least, greatest } = self.figure;
        let (width, height, middle) = (median * scale, BAR - 3.0, y + BAR / 2.0 - 1.5);
        let _ = writeln!(
            body,
            "<rect class=\"s{}\" x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\"/>",
            self.series
        );
        let mut end = width;
        if least < greatest {
            let (from, to) = (LABELS + least * scale, LABELS + greatest * scale);
            let _ = writeln!(
                body,
                "<line class=\"spread\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>"
            );
            end = end.max(greatest * scale);
        }
        if let Some(goal) = self.goal {
            let (x, bottom) = (LABELS + goal * scale, y + height);
            let _ = writeln!(body, "<line class=\"goal\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{bottom}\"/>");
            end = end.max(goal * scale);
        }
        let (x, baseline) = (LABELS + end + 6.0, y + height - 2.5);
        let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{baseline}\">{}</text>", escaped(&self.text));
    }
}

fn page(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         {STYLE}<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// With thousands apart.
fn written(number: f64) -> String {
    let digits = format!("{number:.0}");
    let apart: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    apart.join(",")
}

type Measured<'m> = (&'m str, &'m str, Option<u64>);

fn throughput(runs: &Runs, goals: &Runs) -> Chart {
    let rows: [(&str, Measured<'_>); 3] = [
        ("backlog of mixed orders", ("backlog", "mixed", None)),
        ("backlog on one hot SKU", ("backlog", "hot", None)),
        ("ceiling: the rows by bare SQL", ("limit", "rows", None)),
    ];
    let row = |(label, of): (&str, Measured<'_>)| {
        let figure = runs.figure(of, "orders_per_s")?;
        let goal = goals.figure(of, "orders_per_s").map(|goal| goal.median);
        let text = goal.map_or_else(String::new, |goal| format!(", goal {}", written(goal)));
        let text = written(figure.median) + &text;
        Some((label.to_owned(), vec![Bar { series: 0, figure, goal, text }]))
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
        let bar = |(series, name): (usize, &str)| {
            let figure = runs.figure(of, name)?;
            let goal = goals.figure(of, name).map(|goal| goal.median);
            let text = goal.map_or_else(String::new, |goal| format!(", goal {}", written(goal)));
            Some(Bar { series, figure, goal, text: written(figure.median) + " ms" + &text })
        };
        let bars: Vec<Bar> = ["p50_ms", "p99_ms"].into_iter().enumerate().filter_map(bar).collect();
        (format!("{rate} orders a second"), bars)
    };
    let mut rates: Vec<u64> =
        runs.0.iter().filter(|run| run["mode"] == "open-loop").filter_map(|run| run["rate"].as_u64()).collect();
    rates.sort_unstable();
    rates.dedup();
    Chart {
        title: "Latency by rate".into(),
        note: "from the moment an order was due to OrderCompleted, in ms; the green line is the goal".into(),
        series: vec!["p50", "p99"],
        rows: rates.into_iter().map(row).filter(|(_, bars)| !bars.is_empty()).collect(),
    }
}

fn cpu(runs: &Runs) -> Chart {
    let sides = [("backlog", None), ("open-loop", Some(200))].map(|(mode, rate)| runs.cpu(mode, "mixed", rate));
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
    let row = |series: usize, name: &str, figure: Option<Figure>| {
        let figure = figure?;
        let text = match figure.least < figure.greatest && series == 1 {
            true => format!("{} to {}", written(figure.least), written(figure.greatest)),
            false => written(figure.median),
        };
        Some((name.to_owned(), vec![Bar { series, figure, goal: None, text }]))
    };
    let ours = row(0, "Quadrille", runs.figure(("backlog", "mixed", None), "orders_per_s"));
    let theirs = peers
        .0
        .iter()
        .filter_map(|peer| row(1, peer["name"].as_str()?, Figure::of_runs(numbers(&peer["orders_per_s"]))));
    let mut rows: Vec<_> = ours.into_iter().chain(theirs).collect();
    let median = |row: &(String, Vec<Bar>)| row.1.first().map_or(0.0, |bar| bar.figure.median);
    rows.sort_by(|a, b| median(b).total_cmp(&median(a)));
    Chart {
        title: "Beside others".into(),
        note: "orders a second in a backlog, two cores; the others were measured when the pipeline was designed".into(),
        series: Vec::new(),
        rows,
    }
}

/// A terminal with what a command printed; `…` stands for what was left out.
fn terminal(text: &str) -> String {
    let (lines, step) = (text.lines().count() as f64, 17.0);
    let columns = text.lines().map(|line| line.chars().count()).max().unwrap_or(0) as f64;
    let (width, height) = (columns * 7.3 + 48.0, lines * step + 52.0);
    let mut body = format!(
        "<rect class=\"window\" x=\"1\" y=\"1\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        width - 2.0,
        height - 2.0
    );
    for (number, line) in text.lines().enumerate() {
        let y = 36.0 + step * number as f64;
        let _ =
            writeln!(body, "<text class=\"mono\" x=\"24\" y=\"{y}\" xml:space=\"preserve\">{}</text>", escaped(line));
    }
    page(width, height, &body)
}

/// All pictures, by name.
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

/// Draws the charts of these figures into a folder.
///
/// # Errors
/// When a file can't be read or written, or is not what `cargo xtask bench --json` writes.
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
