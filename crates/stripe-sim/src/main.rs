//! The binary `stripe-sim`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use stripe_sim::simulator::Simulator;
use stripe_sim::store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A simulator of Stripe's payment API. No money moves.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Where it listens. Control endpoints ask for no key: keep it on loopback.
    #[arg(long, env = "STRIPE_SIM_LISTEN", default_value = "127.0.0.1:12111")]
    listen: SocketAddr,
    /// The PostgreSQL database of its book, which is in the schema stripe_sim.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Ignored: whoever starts several tells them apart by it.
    #[arg(hide = true)]
    mark: Option<String>,
    /// Where customers' browsers find it; by default, where it listens.
    #[arg(long, env = "STRIPE_SIM_PUBLIC_URL")]
    public_url: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stripe-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!("can't listen on {}: choose another address with --listen; port 0 takes any free one", arguments.listen)
    })?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "this is no loopback address: whoever reaches it controls the simulator");
    }
    let pool = store::open(&arguments.database_url).await?;
    let public_url = arguments.public_url.unwrap_or_else(|| format!("http://{address}"));
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = shutdown.clone();
    let signals = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    };
    println!("stripe-sim listens on http://{address}");
    let (served, ()) =
        tokio::join!(stripe_sim::serve(listener, Arc::new(Simulator::new(pool, &public_url)), shutdown), signals);
    served
}
