//! The records that events have in common; one name is one shape everywhere.

use serde::{Deserialize, Serialize};

use crate::codes::{Check, Condition, PaymentKind, ReasonCode, Why};
use crate::currency::Currency;
use crate::ids::{AllocationId, LineId, ShipmentId, Sku, WarehouseId};

/// One line of an accepted order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Line {
    /// The line's id, unique in the order.
    pub line_id: LineId,
    /// What is bought.
    pub sku: Sku,
    /// How many units were ordered.
    pub quantity: i64,
    /// Price of one unit in minor units, without shipping, discount and tax.
    pub unit_price: i64,
    /// All-inclusive price of the whole line in minor units: with its share of shipping, discount and tax.
    /// The lines' amounts sum up to the order's total.
    pub amount: i64,
}

/// Units of one line that one warehouse holds for the order. A plan is a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Allocation {
    /// Id of the allocation, minted by inventory.
    pub allocation_id: AllocationId,
    /// The order line it serves.
    pub line_id: LineId,
    /// What is held.
    pub sku: Sku,
    /// Where it is held.
    pub warehouse: WarehouseId,
    /// How many units.
    pub quantity: i64,
    /// Aisle of the warehouse where the units lie, if the warehouse has them mapped.
    pub aisle: Option<String>,
    /// Bin within the aisle, if mapped.
    pub bin: Option<String>,
    /// The allocation whose missing units this one replaces, if it came from a shortage.
    pub replaces: Option<AllocationId>,
}

/// Units of one allocation that ship, shipped, or are paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Item {
    /// The allocation the units belong to.
    pub allocation_id: AllocationId,
    /// The order line it serves.
    pub line_id: LineId,
    /// What the units are.
    pub sku: Sku,
    /// How many units.
    pub quantity: i64,
}

/// Units of one allocation that will not ship, with why, and what became of the goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GivenUp {
    /// The allocation the units belong to.
    pub allocation_id: AllocationId,
    /// The order line it serves.
    pub line_id: LineId,
    /// What the units are.
    pub sku: Sku,
    /// How many units are given up.
    pub quantity: i64,
    /// `intact`: can be sold again after put-back; `gone`: not on sale until counted.
    pub condition: Condition,
    /// Why they do not ship: `short`, `refused`, `late`, `damaged`, `lost`, `recalled`, or the code of the
    /// order's reason.
    pub why: Why,
}

/// Units of one line that a refund pays back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefundedLine {
    /// The order line.
    pub line_id: LineId,
    /// What the units are.
    pub sku: Sku,
    /// How many units.
    pub quantity: i64,
    /// Their part of the refund, in minor units.
    pub amount: i64,
}

/// Units of one line that are to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReturnLine {
    /// The order line.
    pub line_id: LineId,
    /// What the units are.
    pub sku: Sku,
    /// How many units.
    pub quantity: i64,
    /// Which warehouse shipped them: they go back there, unless it is received elsewhere.
    pub warehouse: WarehouseId,
}

/// Units of one line that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReturnedLine {
    /// The order line.
    pub line_id: LineId,
    /// What the units are.
    pub sku: Sku,
    /// How many units can be sold again.
    pub intact: i64,
    /// How many units can't: not on sale until counted.
    pub damaged: i64,
    /// Where they are now.
    pub warehouse: WarehouseId,
}

/// What leaves one warehouse for the order in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shipment {
    /// Id of the shipment, minted by fulfillment.
    pub shipment_id: ShipmentId,
    /// Where it leaves from.
    pub warehouse: WarehouseId,
    /// The units in it.
    pub items: Vec<Item>,
}

/// Units of one order line that shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShippedLine {
    /// The order line.
    pub line_id: LineId,
    /// What shipped.
    pub sku: Sku,
    /// How many units shipped.
    pub quantity: i64,
}

/// Units of one order line that did not ship, with why. A line with several causes stands here several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnshippedLine {
    /// The order line.
    pub line_id: LineId,
    /// What did not ship.
    pub sku: Sku,
    /// How many units did not ship.
    pub quantity: i64,
    /// Why: `short`, `refused`, `late`, `damaged`, `lost`, `recalled`, or the code of the order's reason.
    pub why: Why,
}

/// One line that could not be reserved in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShortLine {
    /// The order line.
    pub line_id: LineId,
    /// What was wanted.
    pub sku: Sku,
    /// How many units the line needs.
    pub wanted: i64,
    /// How many units all warehouses together could have given.
    pub available: i64,
}

/// Inventory's last word on an order: nothing is reserved any more, and the money is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Closed {
    /// The lines that shipped; empty if nothing did.
    pub shipped: Vec<ShippedLine>,
    /// The lines that did not ship, with why; empty if all did.
    pub unshipped: Vec<UnshippedLine>,
    /// Why the order did not ship in full; absent if it did.
    pub reason: Option<Reason>,
}

/// Money of an order that was held or taken before the order was placed, or that is settled outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrderPayment {
    /// Where the money is: `authorized`, `captured` or `external`.
    pub kind: PaymentKind,
    /// Who holds or took it: a gateway of payments, or any other name; of kind `external` how it is settled, or `external`.
    pub provider: String,
    /// The provider's id of the payment.
    pub reference: Option<String>,
    /// How much, in minor units: the order's total.
    pub amount: i64,
    /// ISO 4217.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub currency: Currency,
}

/// Why something was given up; it travels unchanged along the chain to the terminal event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reason {
    /// `out_of_stock`, `declined`, `action_failed`, `reservation_expired`, `fraud_rejected`,
    /// `review_timed_out`, `nothing_to_ship`, `capture_failed`, `authorization_expired`, `cancelled`; later
    /// versions may add codes.
    pub code: ReasonCode,
    /// What happened, for people; no personal data.
    pub detail: String,
}

/// One thing that is wrong with an order that was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fault {
    /// Where it is, as a JSON pointer into the order, such as `/lines/0/quantity`.
    pub field: String,
    /// What is wrong, for programs, such as `required` or `too_long`.
    pub code: String,
    /// What was expected, what came and what to do, for people.
    pub detail: String,
}

/// The card that pays, and what the issuer's checks said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The same for the same card number, at one gateway; velocity rules count by it.
    pub fingerprint: String,
    /// Card brand, such as `visa`.
    pub brand: Option<String>,
    /// Last four digits of the number.
    pub last4: Option<String>,
    /// Country of the issuer, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Security code: `pass`, `fail`, `unavailable` or `unchecked`.
    pub cvc_check: Check,
    /// First address line against the issuer's record.
    pub address_check: Check,
    /// Postal code against the issuer's record.
    pub postal_code_check: Check,
    /// 3-D Secure: `pass` if the customer was authenticated, `unchecked` if it was not asked for.
    pub three_d_secure: Check,
}

/// One fraud rule that counted against the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleHit {
    /// Name of the rule, such as `address_mismatch`.
    pub rule: String,
    /// What it added to the score.
    pub points: i64,
    /// What it saw, for people; no personal data.
    pub detail: String,
}
