//! One thing done with some dead letters, with its progress; Ctrl-C ends it between two of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::ensure;
use indicatif::ProgressBar;
use operator::{Act, ActOutcome, Bulk, Note, Operator, OperatorError, Progress, Report};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::arguments::{How, Which};
use crate::{output, who};

/// What a process exits with that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
const REASONS: usize = 10;

/// Does it with the dead letters that were named, or with all of a filter.
pub async fn carry_out(operator: &Operator, act: Act, which: Which, json: bool) -> anyhow::Result<ExitCode> {
    let Which { ids: named, all, yes, filter, how } = which;
    if !all {
        let mut ids = Vec::new();
        for id in &named {
            ids.push(operator.find(id).await?);
        }
        return each(operator, ids, act, how, json).await;
    }
    let note = note(&act, &how)?;
    let filter = filter.filter().fit_for(&act);
    if !how.dry_run {
        output::confirm(&format!("{} all dead letters of the filter", act.name()), yes)?;
    }
    let bulk = Bulk { act, filter, note, rate: how.rate, max_loops: how.max_loops, dry_run: how.dry_run };
    let mut shown = Shown { bar: None, json, dry_run: how.dry_run, refused: BTreeMap::new() };
    let stop = CancellationToken::new();
    let report = {
        let run = operator.all(&bulk, &stop, |told| shown.told(told));
        tokio::pin!(run);
        loop {
            tokio::select! {
                report = &mut run => break report?,
                signal = tokio::signal::ctrl_c(), if !stop.is_cancelled() => {
                    signal?;
                    stop.cancel();
                }
            }
        }
    };
    Ok(shown.end(bulk.act.name(), &report))
}

pub async fn each(operator: &Operator, ids: Vec<Uuid>, act: Act, how: How, json: bool) -> anyhow::Result<ExitCode> {
    let note = note(&act, &how)?;
    let mut code = ExitCode::SUCCESS;
    for letter_id in ids {
        let done = operator.one(letter_id, &act, &note, how.max_loops, how.dry_run).await;
        if done.is_err() {
            code = ExitCode::FAILURE;
        }
        println!("{}", line(letter_id, done.as_ref(), json));
    }
    Ok(code)
}

fn note(act: &Act, how: &How) -> anyhow::Result<Note> {
    let retry = matches!(act, Act::Retry);
    let why = how.why.trim();
    ensure!(retry || how.dry_run || !why.is_empty(), "expected --why \"a reason\": it is kept with what is done");
    Ok(Note { who: who::asks(how.by.clone())?, why: why.to_owned() })
}

fn line(letter_id: Uuid, outcome: Result<&ActOutcome, &OperatorError>, json: bool) -> String {
    match outcome {
        Ok(outcome) if json => {
            json!({"letter_id": letter_id, "what": outcome.what, "step": outcome.step, "done": outcome.done})
                .to_string()
        }
        Err(error) if json => json!({"letter_id": letter_id, "refused": error.to_string()}).to_string(),
        Ok(ActOutcome { done: Some(done), .. }) => format!("{letter_id}: {done}"),
        Ok(ActOutcome { step, done: None, .. }) => format!("{letter_id}: would be done: {step}"),
        Err(error) => format!("{letter_id}: not done: {error}"),
    }
}

struct Shown {
    bar: Option<ProgressBar>,
    json: bool,
    dry_run: bool,
    /// Why dead letters were refused: how many, and one of them.
    refused: BTreeMap<String, (u64, Uuid)>,
}

impl Shown {
    fn told(&mut self, told: &Progress<'_>) {
        if self.json || self.dry_run {
            println!("{}", line(told.letter_id, told.outcome, self.json));
        } else {
            let template = "{bar:40} {pos}/{len} dead letters, {per_sec}, {eta} left";
            self.bar.get_or_insert_with(|| output::bar(told.total, template)).inc(1);
        }
        if let Err(error) = told.outcome {
            self.refused.entry(error.to_string()).or_insert((0, told.letter_id)).0 += 1;
        }
    }

    fn end(self, what: &str, report: &Report) -> ExitCode {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        let Report { total, done, refused, stopped, error } = report;
        if self.json {
            let error = error.as_ref().map(ToString::to_string);
            println!(
                "{}",
                json!({"what": what, "dry_run": self.dry_run, "total": total, "done": done, "refused": refused,
                "left": report.left(), "stopped": stopped, "error": error})
            );
        } else {
            let would = if self.dry_run { "would be done" } else { "done" };
            println!("{what}: {done} {would}, {refused} refused, {} left of {total}", report.left());
            for (why, (letters, example)) in self.refused.iter().take(REASONS) {
                println!("  {letters} not done, such as {example}: {why}");
            }
        }
        match (error, stopped) {
            (Some(error), _) => {
                eprintln!("quadrille: {error}; the same command goes on with what is left");
                ExitCode::FAILURE
            }
            (None, true) => {
                eprintln!("quadrille: stopped; nothing is half done, and the same command goes on with what is left");
                ExitCode::from(INTERRUPTED)
            }
            // As of those that were named: what was refused was not done.
            (None, false) if *refused > 0 => ExitCode::FAILURE,
            (None, false) => ExitCode::SUCCESS,
        }
    }
}
