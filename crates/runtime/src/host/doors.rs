//! Where hosted parts listen, and who may reach them there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use sqlx::PgPool;
use tokio::net::TcpListener;

use super::{Host, locked};
use crate::addresses::refuse_reachable;
use crate::health::Health;
use crate::http::{self, Gate, Keys, Routes, Serving};
use crate::programs::default_address;

impl Host {
    /// Serves a hosted part's probes, metrics and routes. What is done through routes is put on record in the database of `pool`.
    ///
    /// # Errors
    /// When its address is taken, or can be reached from elsewhere and no keys are set.
    pub async fn open(
        &self,
        name: &'static str,
        address: Option<SocketAddr>,
        doors: Routes,
        health: Arc<Health>,
        pool: Option<PgPool>,
    ) -> anyhow::Result<()> {
        let listener = self.bind(name, address, &doors).await?;
        self.serve(name, listener, doors, health, pool)
    }

    pub(super) async fn bind(
        &self,
        name: &'static str,
        address: Option<SocketAddr>,
        doors: &Routes,
    ) -> anyhow::Result<TcpListener> {
        Serving::new(self.settings.common())?; // a certificate that does not fit is told before anything is joined
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        let address = address.or(default_address(name)).unwrap_or(any_port);
        if !doors.is_empty() {
            refuse_reachable(name, address, self.settings.common())?;
        }
        http::bind(name, address).await
    }

    pub(super) fn serve(
        &self,
        name: &'static str,
        listener: TcpListener,
        doors: Routes,
        health: Arc<Health>,
        pool: Option<PgPool>,
    ) -> anyhow::Result<()> {
        let common = self.settings.common();
        let keys = Keys::parse(common.keys.expose())?;
        let address = listener.local_addr()?;
        if !doors.is_empty() && keys.is_empty() {
            tracing::warn!(consumer = name, %address, "no keys are set: whoever is on this machine may do everything, and nobody else is answered");
        }
        tracing::info!(consumer = name, %address, "doors open");
        locked(&self.addresses).insert(name, address);
        locked(&self.health).insert(name, Arc::clone(&health));
        let gate = Gate::new(name, keys, pool, self.clock.clone(), common.request_timeout.0);
        let router = http::routes(name, doors, health, gate);
        self.spawn(name, http::serve(listener, router, Serving::new(common)?, self.shutdown.clone()));
        Ok(())
    }
}
