//! Clients for the routes of other programs.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use axum::http::{HeaderValue, header};

use super::access::KEY_HEADER;
use crate::settings::Common;

/// A client for the routes of other programs: it shows this program's key (`QUADRILLE_API_KEY`), and trusts the authority of their certificates
/// (`QUADRILLE_TLS_AUTHORITY`).
///
/// # Errors
/// When the key can't stand in a header, or the authority can't be read.
pub fn client(common: &Common) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut client = anonymous(common)?;
    if let Some(key) = &common.api_key {
        let mut shown =
            HeaderValue::from_str(key.expose()).ok().context("QUADRILLE_API_KEY: expected visible ASCII characters")?;
        shown.set_sensitive(true);
        client = client.default_headers([(header::HeaderName::from_static(KEY_HEADER), shown)].into_iter().collect());
    }
    Ok(client)
}

/// The same without a key, for what everybody may ask. A redirect is an answer, and not followed: it would have the key shown to whomever it names.
pub fn anonymous(common: &Common) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &common.tls_authority {
        let pem = read("QUADRILLE_TLS_AUTHORITY", path)?;
        let authority =
            reqwest::Certificate::from_pem(&pem).context("QUADRILLE_TLS_AUTHORITY: expected a certificate in PEM")?;
        client = client.add_root_certificate(authority);
    }
    Ok(client)
}

pub(super) fn read(setting: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{setting}: {}", path.display()))
}

/// Where a program at this address is reached, from this machine or by its settings.
pub fn url(common: &Common, address: SocketAddr) -> String {
    let scheme = if common.tls_certificate.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}
