//! The settings of inventory, and the consumer that they make.

use runtime::settings::Section;
use runtime::{Consumer as _, Span};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::strategy::{Strategy, StrategyName};

/// Settings of inventory: `QUADRILLE_INVENTORY__…`, or the section `inventory` of the settings file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// How long stock is held for an order whose payment is not authorized; 3-D Secure must be passed within it.
    pub reservation_ttl: Span,
    /// How units are spread over warehouses: `priority`, or `fewest_shipments`.
    pub strategy: StrategyName,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reservation_ttl: Span::secs(15 * 60), strategy: StrategyName::default() }
    }
}

#[derive(Debug)]
pub struct Inventory {
    pub(crate) settings: Settings,
    pub(crate) strategy: Box<dyn Strategy>,
}

impl Inventory {
    pub fn new(settings: Settings) -> Self {
        let strategy = settings.strategy.strategy();
        Self { settings, strategy }
    }

    #[must_use]
    pub fn with_strategy(self, strategy: Box<dyn Strategy>) -> Self {
        Self { strategy, ..self }
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

pub fn section() -> Section {
    Section::consumer(Inventory::NAME, &Inventory::defaults()).with(&Settings::default()).checked(|all| {
        all.keep(Inventory::NAME, &Inventory::defaults())?;
        Ok(all.section::<Settings>(Inventory::NAME).map(drop)?)
    })
}
