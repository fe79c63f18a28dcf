//! `cargo xtask demo`: the whole pipeline on real parts, a thousand mixed orders, and how each ended.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    consumers::{Build, RunningPipeline},
    project::Project,
    stack::HOST,
    up,
};

/// Deadlines short enough to watch: days of a shop in seconds.
const SETTINGS: [(&str, &str); 7] = [
    ("QUADRILLE_INVENTORY__RESERVATION_TTL", "15s"),
    ("QUADRILLE_FRAUD__REVIEW_TIMEOUT", "12s"),
    ("QUADRILLE_FULFILLMENT__PICK_DEADLINE", "5s"),
    ("QUADRILLE_FULFILLMENT__LEASE", "2s"),
    ("QUADRILLE_PAYMENTS__PENDING_LOOK_UP", "2s"),
    ("QUADRILLE_PAYMENTS__SANDBOX__SLOW_BY", "3s"),
    ("QUADRILLE_PAYMENTS__SANDBOX__REFUND_SETTLES_AFTER", "4s"),
];

/// Test cards of Stripe's are one card to fraud, whoever pays with them; and only the code of the one that fails checks does.
const STRIPE_SETTINGS: [(&str, &str); 5] = [
    ("QUADRILLE_PAYMENTS__GATEWAY", "stripe"),
    ("QUADRILLE_PAYMENTS__STRIPE__ENDPOINT_RATE", "2000"),
    ("QUADRILLE_FRAUD__VELOCITY__CARD__ORDERS_POINTS", "0"),
    ("QUADRILLE_FRAUD__VELOCITY__CARD__AMOUNT_POINTS", "0"),
    ("QUADRILLE_FRAUD__CVC_POINTS", "95"),
];

/// Who holds the demo's money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DemoGateway {
    /// The built-in gateway.
    #[default]
    Sandbox,
    /// Stripe, as stripe-sim plays it.
    StripeSim,
}

/// What a demo is to show.
#[derive(Debug)]
pub struct DemoOptions {
    /// Optional consumers that run too.
    pub with: Vec<String>,
    /// Who holds the money.
    pub gateway: DemoGateway,
    /// How many orders are placed.
    pub orders: u64,
    /// Programs that are killed again and again meanwhile.
    pub kill: Vec<String>,
    /// Ends afterwards, with a non-zero code if something is wrong; else it stays up until Ctrl-C.
    pub exit: bool,
}

/// Runs it.
///
/// # Errors
/// When something can't be built, installed or started, or ends by itself.
pub fn run(project: &Project, build: Build, options: &DemoOptions) -> Result<ExitCode> {
    let mut settings = SETTINGS.to_vec();
    // The simulator answers some hundred calls a second, of which an order needs three or four: so long a customer's order waits for its turn.
    let waiting = format!("{}s", (options.orders / 12).max(90));
    if options.gateway == DemoGateway::StripeSim {
        settings.extend(STRIPE_SETTINGS);
        settings.push(("QUADRILLE_INVENTORY__RESERVATION_TTL", &waiting));
    }
    RunningPipeline::with(project, build, &options.with, &settings, |pipeline| show(project, pipeline, options))
}

fn show(project: &Project, pipeline: &mut RunningPipeline<'_>, options: &DemoOptions) -> Result<bool> {
    let DemoOptions { orders, kill, exit, .. } = options;
    pipeline.kill_while_running(kill)?;
    println!(
        "\nplacing {orders} orders of every kind, every second one over HTTP, the others over Kafka; some wait for a deadline ({})\n",
        pipeline.setting("QUADRILLE_INVENTORY__RESERVATION_TTL")
    );
    let mut load = pipeline.load()?;
    load.args(["demo", "--orders", &orders.to_string()]);
    if let Some(sim) = pipeline.stripe_sim() {
        load.args(["--stripe-sim", &sim]);
    }
    let right = pipeline.run(load)?;
    if pipeline.is_interrupted() {
        return Ok(false);
    }
    if pipeline.killed() > 0 {
        println!("{} were killed {} times in turns while the orders ran.", kill.join(" and "), pipeline.killed());
    }
    match right {
        true => println!("Every order ended as it should, and every invariant holds."),
        false => println!("Something is WRONG: see above."),
    }
    for (name, answer) in pipeline.shown() {
        println!("{name}: {answer}");
    }
    if *exit {
        return Ok(right);
    }
    addresses(project, pipeline);
    pipeline.wait()?;
    Ok(right)
}

fn addresses(project: &Project, pipeline: &RunningPipeline<'_>) {
    let door = |consumer: &str| pipeline.door(consumer);
    println!("\nIt stays up. To look at:");
    println!("  orders           {0}/orders and {0}/orders/{{id}}/events", door("saga-tracker"));
    println!("  stock, shipments {0}/inventory and {0}/fulfillment", door("saga-tracker"));
    println!("  place an order   {}/docs", door("orders"));
    println!("  each program     /docs, /metrics, /livez and /readyz at {}", pipeline.doors().join(", "));
    println!(
        "  topics           bin/kafka-console-consumer --topic orders --from-beginning   (Kafka is at {})",
        pipeline.setting("KAFKA_BOOTSTRAP_SERVERS")
    );
    let tables = pipeline.setting("DATABASE_URL");
    // Our own password is no secret; the user's is not shown.
    let tables = if tables.contains(&format!("@{HOST}:")) { tables.to_owned() } else { up::without_password(tables) };
    println!("  tables           psql {tables}");
    println!("  schemas          {}", pipeline.setting("SCHEMA_REGISTRY_URL"));
    if let Some(sim) = pipeline.stripe_sim() {
        println!("  Stripe           {sim}/_sim/ledger and {sim}/_sim/deliveries: docs/stripe-sim.md");
    }
    println!("  logs             {}", project.folder().join("logs").display());
    println!("Ctrl-C ends it.");
}
