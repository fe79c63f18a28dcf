//! `quadrille replay …`: a consumer hears again what it has heard; the tracker's read models are rebuilt beside the live ones.

use std::cell::Cell;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use kafka_admin::replay::Point;
use runtime::{Consumer as _, Settings};
use saga_tracker::{SagaTracker, Stage};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::output;

/// Replay a consumer's topics.
///
/// `saga-tracker`: rebuilds the read models beside the live ones and puts them in their place when they have caught up. The consumer runs on, reads
/// are answered all the time, the event store stays as it is. Ctrl-C leaves everything as it was.
///
/// Any other consumer: sets its group's offsets to the point, while none of its instances runs; started again it hears everything from there, and
/// does nothing twice, as its orders' rows are the guard.
#[derive(Args)]
pub struct Arguments {
    /// Which consumer, such as `saga-tracker` or `payments`.
    #[arg(long)]
    consumer: String,
    /// From where: `beginning`, an offset (of every partition), or a moment such as `2026-11-23T09:30:00Z`.
    #[arg(long)]
    from: Point,
}

pub async fn run(Arguments { consumer, from }: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    if consumer == SagaTracker::NAME {
        return rebuild(&settings, from, json).await;
    }
    let moved = pipeline::consumer(&consumer)?.reset(&settings, from).await?;
    for of in &moved {
        let stood = of.from.map_or_else(|| "the start".to_owned(), |offset| offset.to_string());
        let object = json!({"topic": of.topic, "partition": of.partition, "from": of.from, "to": of.to, "end": of.end});
        output::said(json, &object, || format!("{}/{}: {stood} → {} of {}", of.topic, of.partition, of.to, of.end));
    }
    let records: i64 = moved.iter().map(|of| of.end - of.to).sum();
    output::said(json, &json!({"consumer": consumer, "from": from.to_string(), "records": records}), || {
        format!(
            "{consumer} stands at {from}: it hears {records} records again when it is started, and does nothing twice"
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn rebuild(settings: &Settings, from: Point, json: bool) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let bar = output::bar(0, "{elapsed_precise} {bar:40} {pos}/{len} {msg}");
    let last = Cell::new("");
    let show = |stage: Stage| {
        let (what, done, of) = match stage {
            Stage::Store(done, of) => ("events of the store", done, of),
            Stage::Topics(done, of) => ("records of the topics", done, of),
            Stage::CarryOver => ("rows from before taken over", 0, 0),
            Stage::Switch => ("catching up, then taking the live tables' place", 0, 0),
        };
        if last.replace(what) != what {
            bar.set_message(what);
        }
        if of > 0 {
            bar.set_length(of);
            bar.set_position(done);
        }
    };
    let work = saga_tracker::rebuild(settings, from, &stop, show);
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
        std::future::pending::<()>().await;
    };
    let done = tokio::select! {
        done = work => done,
        () = interrupted => bail!("interrupted"),
    };
    bar.finish_and_clear();
    let done = done?;
    if json {
        println!(
            "{}",
            json!({"consumer": SagaTracker::NAME, "from": from.to_string(), "stored": done.stored, "records": done.records,
                   "carried_over": done.carried_over, "held_ms": done.held_ms, "unknown": done.unknown, "unreadable": done.unreadable})
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "read models rebuilt from {from}: {} stored events and {} records folded, {} rows taken over as they were; the live tables were held for {} ms",
        done.stored, done.records, done.carried_over, done.held_ms
    );
    if done.unknown + done.unreadable > 0 {
        println!(
            "{} stored events are of types that this version does not know, {} records can't be understood (they are among the dead letters)",
            done.unknown, done.unreadable
        );
    }
    Ok(ExitCode::SUCCESS)
}
