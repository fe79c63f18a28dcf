//! `OrderPlaced`, the public front door: every field may be missing or wrong here, because an order that can be
//! read at all is answered with every fault it has.

use serde::{Deserialize, Serialize};

/// A postal address. Personal data: it travels inside `personal`, and in the clear only in `OrderPlaced`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Address {
    /// Who receives the goods or the invoice there.
    pub name: String,
    /// Street and number, or post box.
    pub line1: String,
    /// Second line: floor, building, care of.
    pub line2: Option<String>,
    /// Town or city.
    pub city: String,
    /// State, province or county, where the country uses them.
    pub region: Option<String>,
    /// Postal code as written in the country; empty where there is none.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 country code, upper case.
    pub country: String,
}

/// Who buys, as the shop knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Customer {
    /// The shop's own id of the customer: velocity rules count by it.
    pub id: String,
    /// The customer's name.
    pub name: String,
    /// Where messages about the order go.
    pub email: String,
    /// Telephone number in international form, for text messages.
    pub phone: Option<String>,
    /// Language of the messages, as a BCP 47 tag such as `de-CH`.
    pub locale: Option<String>,
}

/// One line of an order as it was placed, not yet validated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct PlacedLine {
    /// The line's id, unique in the order; `1`, `2`, … by position if absent.
    pub id: Option<String>,
    /// What is bought: the stock keeping unit.
    pub sku: String,
    /// How many units; at least 1.
    pub quantity: i64,
    /// Price of one unit in minor units of the order's currency.
    pub unit_price: i64,
}

/// How an order is paid, as it was placed, not yet validated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct PlacedPayment {
    /// `authorize`: by the token `reference`, as with `payment_method`; `authorized`: the money is held at the provider already; `captured`: it was
    /// taken already; `external`: it is settled outside, such as by invoice or on delivery.
    pub kind: String,
    /// Who holds or took the money: a gateway that payments is configured for, such as `stripe`, or, if it was taken, any name.
    pub provider: Option<String>,
    /// The provider's id of the payment; of kind `authorize` the token of the payment method.
    pub reference: Option<String>,
    /// What is held or was taken, in minor units: refused unless it is the order's total.
    pub amount: Option<i64>,
}

/// An order is placed: the public front door, written by any system. Orders validates it and answers with
/// OrderAccepted or OrderRejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct OrderPlaced {
    /// Which system placed it; default: the header `ce_source`, else `kafka`.
    pub source: Option<String>,
    /// The system's own id of the order, up to 255 characters. The same source and reference is the same
    /// order; default: the header `ce_id` or `id`, else the record itself.
    pub reference: Option<String>,
    /// Who buys.
    pub customer: Customer,
    /// What is bought; at least one line.
    pub lines: Vec<PlacedLine>,
    /// ISO 4217 code of all amounts, such as `EUR`.
    pub currency: String,
    /// Cost of shipping in minor units, added to the lines.
    pub shipping: i64,
    /// Discount in minor units, as a positive number, taken off.
    pub discount: i64,
    /// Tax in minor units, added.
    pub tax: i64,
    /// The gateway's token of the payment method; may be empty if there is nothing to pay.
    pub payment_method: String,
    /// How it is paid where the money was held or taken before, or is settled outside; absent: by `payment_method`.
    // Left out where absent: an order has the same digest as before the field was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<PlacedPayment>,
    /// Where the goods go.
    pub ship_to: Address,
    /// Where the invoice goes, if not to `ship_to`.
    pub bill_to: Option<Address>,
    /// The id of an earlier order, if this one is an exchange for goods of it that come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    // an order of an earlier version has the same JSON, and so the same digest
    pub exchange_for: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_json_order_is_read_and_what_it_leaves_out_is_empty() {
        let placed: OrderPlaced = serde_json::from_str(
            r#"{"lines": [{"sku": "TEA", "quantity": 2, "unit_price": 450}], "currency": "EUR", "unknown": [1]}"#,
        )
        .unwrap();
        assert_eq!(placed.lines[0].quantity, 2);
        assert_eq!((placed.shipping, placed.ship_to.city.as_str(), placed.bill_to), (0, "", None));
    }

    #[test]
    fn an_order_with_every_fault_can_still_be_read() {
        let text = r#"{"lines": [{"quantity": -5}], "currency": "no such", "shipping": -1, "reference": null}"#;
        let placed: OrderPlaced = serde_json::from_str(text).unwrap();
        assert_eq!((placed.lines[0].quantity, placed.shipping, placed.currency.as_str()), (-5, -1, "no such"));
    }

    #[test]
    fn amounts_that_are_no_whole_numbers_can_not_be_read() {
        assert!(serde_json::from_str::<OrderPlaced>(r#"{"shipping": 4.99}"#).is_err());
        assert!(serde_json::from_str::<OrderPlaced>(r#"{"shipping": "499"}"#).is_err());
    }
}
