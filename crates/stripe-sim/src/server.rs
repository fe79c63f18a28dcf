//! Connections over HTTP/1.1. An answer that a fault drops closes its connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use crate::api::{self, CloseConnection};
use crate::simulator::Simulator;
use crate::{clock, control, delivery, page};

/// The head of a request, and an idle connection, take no longer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Larger than any request of the API.
const BODY_LIMIT: usize = 1 << 20;
/// How long open connections may take once the simulator is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves, runs the clock and sends events until told to stop; then lets open requests finish.
///
/// # Errors
/// Never for a single connection.
pub async fn serve(
    listener: TcpListener,
    simulator: Arc<Simulator>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (connections, workers) = (TaskTracker::new(), TaskTracker::new());
    workers.spawn(clock::tick(Arc::clone(&simulator), shutdown.clone()));
    workers.spawn(delivery::deliver(Arc::clone(&simulator), shutdown.clone()));
    let router = router(Arc::clone(&simulator));
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), shutdown.clone()));
                }
                // The caller has gone, or the machine has no room: neither ends the simulator.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    for tasks in [&connections, &workers, &simulator.requests] {
        tasks.close();
    }
    let finish = async {
        connections.wait().await;
        simulator.requests.wait().await;
        workers.wait().await;
    };
    let _ = tokio::time::timeout(GRACE, finish).await;
    Ok(())
}

fn router(simulator: Arc<Simulator>) -> Router {
    control::routes()
        .merge(page::routes())
        .fallback(answer)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(simulator)
}

async fn answer(
    State(simulator): State<Arc<Simulator>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    api::answer(simulator, method, uri, headers, body).await
}

async fn connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let Ok(response) = router.call(request.map(Body::new)).await;
            if response.extensions().get::<CloseConnection>().is_some() {
                Err("a fault closes the connection")
            } else {
                Ok(response)
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
