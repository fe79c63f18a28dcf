//! Connections: TLS, time-outs, and no more of them than there is room for.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_native_tls::TlsAcceptor;
use tokio_native_tls::native_tls::{self, Identity, Protocol};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::access::Peer;
use super::client::read;
use crate::settings::Common;

/// Connections that are open at once; further callers wait for a place.
const CONNECTIONS: usize = 1_024;
/// Between two tries where the machine has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(crate) struct Serving {
    tls: Option<TlsAcceptor>,
    /// How long a caller may take for a handshake, and for the head of a request; an idle connection is closed after it.
    patience: Duration,
}

impl Serving {
    pub fn new(common: &Common) -> anyhow::Result<Self> {
        let tls = match (&common.tls_certificate, &common.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let (certificate, key) =
                    (read("QUADRILLE_TLS_CERTIFICATE", certificate)?, read("QUADRILLE_TLS_KEY", key)?);
                let identity = Identity::from_pkcs8(&certificate, &key).context(
                    "QUADRILLE_TLS_CERTIFICATE, QUADRILLE_TLS_KEY: expected a certificate with its chain and its PKCS #8 key, both PEM \
                     (`openssl pkcs8 -topk8 -nocrypt` makes one of an older key)",
                )?;
                let mut acceptor = native_tls::TlsAcceptor::builder(identity);
                Some(acceptor.min_protocol_version(Some(Protocol::Tlsv12)).build()?.into())
            }
            (certificate, _) => {
                let (set, unset) = if certificate.is_some() { ("CERTIFICATE", "KEY") } else { ("KEY", "CERTIFICATE") };
                anyhow::bail!("QUADRILLE_TLS_{set} is set without QUADRILLE_TLS_{unset}: set both or none")
            }
        };
        Ok(Self { tls, patience: common.request_timeout.0 })
    }
}

pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    serving: Serving,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (room, connections) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
    let next = async {
        loop {
            let place = Arc::clone(&room).acquire_owned().await?;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let served = connection(stream, peer, router.clone(), serving.clone(), shutdown.clone());
                    connections.spawn(served.map(|()| drop(place)));
                }
                // The caller has gone, or the machine has no room: neither ends the program.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    let ended: anyhow::Result<()> = tokio::select! {
        ended = next => ended,
        () = shutdown.cancelled() => Ok(()),
    };
    connections.close();
    connections.wait().await;
    ended
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    serving: Serving,
    shutdown: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    match &serving.tls {
        None => requests(stream, peer, router, serving.patience, shutdown).await,
        Some(tls) => match tokio::time::timeout(serving.patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, peer, router, serving.patience, shutdown).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
        },
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    patience: Duration,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

pub(crate) async fn bind(name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let variable = format!("QUADRILLE_{}__HTTP", name.to_uppercase().replace('-', "_"));
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "{name} can't listen on {address}: {error}. Set {variable} to another address; port 0 takes any free one"
        )
    })
}
