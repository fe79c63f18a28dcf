//! Settings of the operator's hand, in the section `saga_tracker`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The settings of the operator's hand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HandSettings {
    /// Who may change anything through the tracker's doors: name and key of each, as in `api_keys = {eve = "…"}`, or
    /// `QUADRILLE_SAGA_TRACKER__API_KEYS__EVE`. None: nobody may.
    pub api_keys: BTreeMap<String, String>,
    /// Where orders listens, such as `http://orders:8080`; default: as orders' own settings say.
    pub orders_url: Option<String>,
    /// Where payments listens; default: as payments' own settings say.
    pub payments_url: Option<String>,
}
