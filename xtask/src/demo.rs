//! `cargo xtask demo`: the whole pipeline on real parts, a thousand mixed orders, and how each ended.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    consumers::{Build, Pipeline},
    project::Project,
};

/// Deadlines short enough to watch: a day of a shop in a minute.
const SETTINGS: [(&str, &str); 8] = [
    ("QUADRILLE_INVENTORY__RESERVATION_TTL", "20s"),
    ("QUADRILLE_FRAUD__REVIEW_WITHIN", "20s"),
    ("QUADRILLE_FULFILLMENT__PICK_DEADLINE", "5s"),
    ("QUADRILLE_FULFILLMENT__LEASE", "2s"),
    ("QUADRILLE_PAYMENTS__PENDING_LOOK_UP", "3s"),
    ("QUADRILLE_PAYMENTS__SANDBOX__LATENCY", "20ms"),
    ("QUADRILLE_PAYMENTS__SANDBOX__SLOW_BY", "3s"),
    ("QUADRILLE_PAYMENTS__SANDBOX__REFUND_SETTLES_AFTER", "4s"),
];

/// Runs it; stays up until Ctrl-C, or ends with a non-zero code if something is wrong and it shall `exit`.
///
/// # Errors
/// When something can't be installed, built or started, or a consumer dies.
pub fn run(project: &Project, build: Build, orders: u64, exit: bool) -> Result<ExitCode> {
    let mut pipeline = Pipeline::start(project, build, &SETTINGS)?;
    let result = show(project, &mut pipeline, orders, exit);
    let stopped = pipeline.stop();
    let right = result?;
    stopped?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(project: &Project, pipeline: &mut Pipeline<'_>, orders: u64, exit: bool) -> Result<bool> {
    println!("placing {orders} orders, every second one over HTTP, the others over Kafka");
    let mut load = pipeline.program("quadrille-load");
    load.args(["demo", "--orders", &orders.to_string()]).env("RUST_LOG", "warn");
    let right = pipeline.run(load)?;
    println!(
        "{}",
        if right {
            "every order ended as it should, and every invariant holds"
        } else {
            "something is WRONG: see above"
        }
    );
    if exit {
        return Ok(right);
    }
    println!("\nto look at:");
    for (name, port) in &pipeline.ports {
        println!("  {name:14} http://127.0.0.1:{port}/docs");
    }
    println!("  orders         http://127.0.0.1:{}/orders", pipeline.ports["saga-tracker"]);
    println!("  metrics        http://127.0.0.1:{}/metrics, and so on each port", pipeline.ports["orders"]);
    println!(
        "  Kafka          {}; bin/kafka-console-consumer --topic orders --from-beginning",
        pipeline.environment["KAFKA_BOOTSTRAP_SERVERS"]
    );
    println!("  logs           {}", project.folder().join("logs").display());
    println!("Ctrl-C ends it.");
    pipeline.wait()?;
    Ok(right)
}
