//! What can be set of the sandbox.

use runtime::Span;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The sandbox's settings, section `payments.sandbox`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SandboxSettings {
    /// How long each call takes before it is done, as a provider's network and machines would.
    pub latency: Span,
    /// How much longer `tok_slow` takes to be answered; it is done at once.
    pub slow_by: Span,
    /// After how long a look-up finds a pending refund given back.
    pub refund_settles_after: Span,
    /// Where customers reach the doors of payments: the address of a 3-D Secure challenge begins so.
    pub public_url: String,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            latency: Span::millis(20),
            slow_by: Span::secs(3),
            refund_settles_after: Span::secs(60),
            public_url: "http://127.0.0.1:8082".to_owned(),
        }
    }
}
