//! The consumer and its settings: deadlines, which warehouse works, and how the built-in one behaves.

use runtime::settings::Section;
use runtime::{Consumer as _, Span};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The consumer's name: its group, its schema, the source of its events.
pub const NAME: &str = "fulfillment";

#[derive(Debug, Default)]
pub struct Fulfillment {
    pub(crate) settings: Settings,
}

impl Fulfillment {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

/// Section `fulfillment`; in the environment `QUADRILLE_FULFILLMENT__<FIELD>`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Who picks and hands over. It must be named, but in the demo profile, which has the built-in one: it says that parcels left, and none does.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(default)]
    pub warehouse: WarehouseMode,
    /// How long a warehouse may take to pick a shipment; after it the warehouse was late, and another one is asked.
    pub pick_deadline: Span,
    /// How long before the authorization lapses picking must be done, where there is that much time left.
    pub capture_margin: Span,
    /// How long after the release a shipment may stand in the house before a person is alerted.
    pub hand_over_deadline: Span,
    /// How long the built-in warehouse takes to pick.
    pub pick_delay: Span,
    /// How long the built-in warehouse takes to hand over.
    pub hand_over_delay: Span,
    /// How long after it was placed an order's return can be announced; it may arrive up to 30 days later. Inventory, payments and this consumer keep
    /// orders (`keep`) for 90 days longer than this.
    pub returnable_for: Span,
    /// When the built-in warehouse is asked again after it gave no answer, as some of its behaviours do.
    pub lease: Span,
    /// The carrier that the built-in warehouse hands over to.
    pub carrier: String,
    /// Countries that nothing is shipped to, ISO 3166-1 alpha-2.
    pub refused_countries: Vec<String>,
    /// How the built-in warehouse behaves, by SKU: the first rule that fits counts, and without rules it does what it is asked. The demo profile
    /// has rules for test SKUs (`SHORT-*`, `LATE-*`, …), which setting this replaces.
    pub behaviour: Vec<BuiltInRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            warehouse: WarehouseMode::External,
            pick_deadline: Span::secs(24 * 3_600),
            capture_margin: Span::secs(3_600),
            hand_over_deadline: Span::secs(24 * 3_600),
            pick_delay: Span::secs(0),
            hand_over_delay: Span::secs(0),
            returnable_for: Span::secs(120 * 24 * 3_600),
            lease: Span::secs(10),
            carrier: "built-in".to_owned(),
            refused_countries: Vec::new(),
            behaviour: Vec::new(),
        }
    }
}

impl Settings {
    /// A demo's: the built-in warehouse, with its test SKUs.
    pub fn demo() -> Self {
        Self { warehouse: WarehouseMode::BuiltIn, behaviour: BuiltInRule::defaults(), ..Self::default() }
    }
}

pub fn section() -> Section {
    Section::consumer(NAME, &Fulfillment::defaults()).with(&Settings::default()).checked(|all| {
        all.keep(NAME, &Fulfillment::defaults())?;
        read(all).map(drop)
    })
}

/// The settings as they are, over the defaults of their profile.
/// Fails when one is not known or can't be read, or the warehouse is not named where it must be.
pub fn read(all: &runtime::Settings) -> anyhow::Result<Settings> {
    all.refuse_unknown(&section())?;
    let expected = "\"external\", a warehouse that reads its work lists and answers through the doors, or \"built_in\", which only says that \
                    parcels left";
    let is_named = all.names(NAME, "warehouse", expected, "it is the built-in one")?;
    let defaults = if all.is_demo() { Settings::demo() } else { Settings::default() };
    let mut settings = all.section_over(NAME, &defaults)?;
    if !is_named {
        settings.warehouse = defaults.warehouse;
    }
    Ok(settings)
}

/// Who picks and hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarehouseMode {
    /// The built-in one: it answers by itself, as the rules of `behaviour` say.
    BuiltIn,
    /// A real one: it reads its work lists and answers through the HTTP doors.
    External,
}

/// What the built-in warehouse does with a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuiltInRule {
    /// Which SKUs: an exact name, or a beginning followed by `*`.
    pub sku: String,
    /// Which warehouses, in the same way; default: all.
    #[serde(default = "everywhere")]
    pub warehouse: String,
    /// What it does.
    pub does: Does,
    /// For `short`: how many units are missing; default: all of them.
    #[serde(default)]
    pub by: Option<i64>,
    /// Only where the units were first reserved: a replacement from another warehouse meets no trouble.
    #[serde(default)]
    pub first_only: bool,
}

fn everywhere() -> String {
    "*".to_owned()
}

/// Trouble that the built-in warehouse makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// Finds fewer units than it should.
    Short,
    /// Refuses the whole shipment.
    Refuse,
    /// Never answers the picking list: the pick deadline decides.
    Late,
    /// Breaks the parcel after it was packed.
    Damaged,
    /// Loses the parcel after it was packed.
    Lost,
    /// Does not hand over until it is recalled, and honours the recall.
    Hold,
    /// Does not hand over until it is recalled; the recall finds it handed over.
    Rush,
}

impl BuiltInRule {
    /// Test SKUs, for demos and tests.
    ///
    /// | SKU | what happens |
    /// |---|---|
    /// | `SHORT-*` | one unit is missing where it was first reserved; a replacement is picked |
    /// | `GONE-*` | no unit is found, in any warehouse |
    /// | `REFUSE-*` | the first warehouse refuses; a replacement is picked |
    /// | `NEVER-*` | every warehouse refuses |
    /// | `LATE-*` | the first warehouse never answers; a replacement is picked |
    /// | `DAMAGED-*` | the parcel breaks after it was packed and paid |
    /// | `LOST-*` | the parcel is lost after it was packed and paid |
    /// | `HOLD-*` | the parcel stays in the house until a cancellation recalls it |
    /// | `RUSH-*` | the parcel stays until a cancellation, which comes too late |
    pub fn defaults() -> Vec<Self> {
        let rule = |sku: &str, does, by, first_only| Self {
            sku: sku.to_owned(),
            warehouse: everywhere(),
            does,
            by,
            first_only,
        };
        vec![
            rule("SHORT-*", Does::Short, Some(1), true),
            rule("GONE-*", Does::Short, None, false),
            rule("REFUSE-*", Does::Refuse, None, true),
            rule("NEVER-*", Does::Refuse, None, false),
            rule("LATE-*", Does::Late, None, true),
            rule("DAMAGED-*", Does::Damaged, None, false),
            rule("LOST-*", Does::Lost, None, false),
            rule("HOLD-*", Does::Hold, None, false),
            rule("RUSH-*", Does::Rush, None, false),
        ]
    }

    pub fn fits(&self, sku: &str, warehouse: &str, replacement: bool) -> bool {
        !(self.first_only && replacement) && matches(&self.sku, sku) && matches(&self.warehouse, warehouse)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}
