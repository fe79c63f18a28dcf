//! Where programs listen unless they are told otherwise, and whether others may reach them there.

use std::net::SocketAddr;

use crate::http::Keys;
use crate::settings::Common;

#[derive(Debug, thiserror::Error)]
#[error(
    "{name} would listen on {address}, which other machines can reach, and no keys are set: anyone could cancel, refund and ship. \
     Set QUADRILLE_KEYS (or QUADRILLE_KEYS_FILE) to lines that `quadrille keys new NAME --role ROLE` prints, or listen on 127.0.0.1 only"
)]
pub(crate) struct Reachable {
    name: String,
    address: SocketAddr,
}

/// Without keys doors are open to this machine alone.
pub(crate) fn refuse_reachable(name: &str, address: SocketAddr, common: &Common) -> anyhow::Result<()> {
    if !address.ip().is_loopback() && Keys::parse(common.keys.expose())?.is_empty() {
        return Err(Reachable { name: name.to_owned(), address }.into());
    }
    Ok(())
}
