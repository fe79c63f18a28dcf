//! Settings of the operator's hand, in the section `saga_tracker`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The settings of the operator's hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OperatorSettings {
    /// Where orders listens, such as `http://orders:8080`; default: as orders' own settings say.
    pub orders_url: Option<String>,
    /// Where payments listens; default: as payments' own settings say.
    pub payments_url: Option<String>,
}
