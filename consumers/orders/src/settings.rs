//! The consumer and its settings.

use std::time::Duration;

use events::OrderId;
use runtime::settings::Section;
use runtime::{Clock, Consumer as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The consumer's name: its group, its schema, its source.
pub const NAME: &str = "orders";

/// What can be set, as `QUADRILLE_ORDERS__<FIELD>` or under `[orders]`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// The source of orders placed over HTTP by a caller that sends no `X-Api-Client`.
    pub api_client: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { api_client: "http".into() }
    }
}

#[derive(Debug)]
pub struct Orders {
    clock: Clock,
    pub(crate) trace_share: f64,
    pub(crate) keep: Duration,
}

impl Orders {
    /// A consumer that mints ids by this clock and has this share of the traces that begin here recorded, from 0 to 1.
    pub fn new(clock: Clock, trace_share: f64) -> Self {
        Self { clock, trace_share, keep: Duration::MAX }
    }

    /// The same that forgets orders when they are this old: one that was placed longer ago, and is not known, is not taken.
    #[must_use]
    pub fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    pub(crate) fn mint(&self) -> OrderId {
        OrderId(self.clock.mint())
    }
}

pub fn section() -> Section {
    Section::consumer(NAME, &Orders::defaults()).with(&Settings::default()).checked(|all| {
        all.keep(NAME, &Orders::defaults())?;
        Ok(all.section::<Settings>(NAME).map(drop)?)
    })
}
