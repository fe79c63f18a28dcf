//! What differs between two orders that were placed under one identity: named field by field, personal data only by name.

use std::fmt;

use events::OrderPlaced;
use serde::Serialize;
use serde_json::Value;

const MOST: usize = 20;

/// Fields whose values are not shown: they are personal, or as good as money.
const NOT_SHOWN: [&str; 5] = ["/customer", "/ship_to", "/bill_to", "/payment_method", "/payment/reference"];

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// Where it is, as a JSON pointer into the order; empty if the earlier order was erased and can't be compared.
    pub field: String,
    /// What the earlier order has there, as JSON; absent if it is not shown or has nothing there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What this one has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.now) {
            _ if self.field.is_empty() => f.write_str("the earlier order was erased, so the difference can't be named"),
            (None, None) => write!(f, "{} differs", self.field),
            (Some(before), None) => write!(f, "{} was {before} and is absent", self.field),
            (None, Some(now)) => write!(f, "{} was absent and is {now}", self.field),
            (Some(before), Some(now)) => write!(f, "{} was {before} and is {now}", self.field),
        }
    }
}

/// The fields in which `now` differs from the order that was kept as JSON, the first 20 of them; never empty for orders that differ.
pub fn differences(before: Option<&str>, now: &OrderPlaced) -> Vec<Difference> {
    let erased = || vec![Difference { field: String::new(), before: None, now: None }];
    let Some(before) = before else { return erased() };
    // Read through today's struct: an order kept by an earlier version lacks fields that have been added since.
    let Some(before) = kept(before) else { return erased() };
    let mut found = Vec::new();
    let (before, now) = (serde_json::to_value(before), serde_json::to_value(now));
    if let (Ok(before), Ok(now)) = (before, now) {
        compare("", Some(&before), Some(&now), &mut found);
    }
    found
}

/// An order as it was kept, read as it would be today: a text that was empty is none.
fn kept(text: &str) -> Option<OrderPlaced> {
    serde_json::from_str(text).ok().map(|value: Value| OrderPlaced::read(&value).order)
}

/// Whether an order that was kept as JSON is this one, read through today's struct. Whoever asks has found it by its key: what an earlier version
/// read as its source and reference may be something else.
pub(crate) fn is_same(before: Option<&str>, now: &OrderPlaced) -> bool {
    let is_it = |before: OrderPlaced| {
        let (source, reference) = (before.source.clone(), before.reference.clone());
        before == OrderPlaced { source, reference, ..now.clone() }
    };
    before.and_then(kept).is_some_and(is_it)
}

fn compare(at: &str, before: Option<&Value>, now: Option<&Value>, found: &mut Vec<Difference>) {
    if before == now || found.len() >= MOST {
        return;
    }
    match (before, now) {
        (Some(Value::Object(before)), Some(Value::Object(now))) => {
            for (name, value) in now {
                compare(&format!("{at}/{name}"), before.get(name), Some(value), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(now))) => {
            for index in 0..before.len().max(now.len()) {
                compare(&format!("{at}/{index}"), before.get(index), now.get(index), found);
            }
        }
        (before, now) => {
            let hidden = NOT_SHOWN.iter().any(|field| at.starts_with(field));
            let show = |value: Option<&Value>| value.filter(|value| !hidden && !value.is_null()).map(shown);
            found.push(Difference { field: at.to_owned(), before: show(before), now: show(now) });
        }
    }
}

/// A value as JSON, cut.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(79).chain(['…']).collect() }
}

/// The same, with values only where they are numbers: for what is logged and kept beyond the caller.
pub(crate) fn without_texts(differences: Vec<Difference>) -> Vec<Difference> {
    let number = |value: Option<String>| value.filter(|value| value.parse::<i64>().is_ok());
    let bare = |one: Difference| match (number(one.before), number(one.now)) {
        (Some(before), Some(now)) => Difference { before: Some(before), now: Some(now), field: one.field },
        (Some(_), None) | (None, Some(_)) | (None, None) => Difference { before: None, now: None, field: one.field },
    };
    differences.into_iter().map(bare).collect()
}

pub(crate) fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::order;

    fn text(order: &OrderPlaced) -> String {
        serde_json::to_string(order).unwrap()
    }

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let mut now = order();
        now.lines[1].quantity = 7;
        now.tax = 1;
        let found = differences(Some(&text(&order())), &now);
        assert_eq!(listed(&found), "/lines/1/quantity was 1 and is 7; /tax was 0 and is 1");
    }

    #[test]
    fn lines_added_and_taken_away_are_named() {
        let mut fewer = order();
        fewer.lines.pop();
        let found = differences(Some(&text(&order())), &fewer);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("/lines/1 was {"), "{}", found[0]);
        assert!(found[0].to_string().ends_with(" and is absent"), "{}", found[0]);
    }

    #[test]
    fn personal_data_is_named_but_not_shown() {
        let mut now = order();
        now.customer.email = "bob@example.org".into();
        now.payment_method = "pm_other".into();
        now.bill_to = Some(now.ship_to.clone());
        let listed = listed(&differences(Some(&text(&order())), &now));
        assert_eq!(listed, "/bill_to differs; /customer/email differs; /payment_method differs");
    }

    #[test]
    fn an_erased_order_differs_without_a_name() {
        let found = differences(None, &order());
        assert!(found[0].to_string().contains("erased"));
    }

    #[test]
    fn no_more_than_twenty_differences_are_named() {
        let line = order().lines[0].clone();
        let (mut before, mut now) = (order(), order());
        before.lines = vec![line.clone(); 50];
        now.lines = vec![events::PlacedLine { quantity: 99, ..line }; 50];
        assert_eq!(differences(Some(&text(&before)), &now).len(), MOST);
    }
}
