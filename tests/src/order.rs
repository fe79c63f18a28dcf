//! Orders as tests place them.

use serde_json::{Value, json};

use crate::pipeline::Pipeline;

/// An order to place: one approved line, unless said otherwise.
#[derive(Clone, Debug)]
pub struct Order {
    body: Value,
}

impl Order {
    /// An order of these lines, as (SKU, quantity, unit price in cents).
    pub fn of(lines: &[(&str, i64, i64)]) -> Self {
        let lines: Vec<Value> = lines
            .iter()
            .map(|(sku, quantity, price)| json!({"sku": sku, "quantity": quantity, "unit_price": price}))
            .collect();
        let address = json!({"name": "Ada Lovelace", "line1": "1 Main St", "city": "London", "postal_code": "N1 1AA", "country": "GB"});
        Self {
            body: json!({
                "customer": {"id": "c-1", "name": "Ada Lovelace", "email": "ada@example.com"},
                "lines": lines, "currency": "EUR", "shipping": 0, "discount": 0, "tax": 0,
                "payment_method": "tok_approved", "ship_to": address, "bill_to": address,
            }),
        }
    }

    /// Paid with this token.
    #[must_use]
    pub fn paid_with(self, token: &str) -> Self {
        self.with("payment_method", token)
    }

    /// With a field of its body set.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body[field] = value.into();
        self
    }

    /// Bought by this customer.
    #[must_use]
    pub fn by(mut self, customer: &str) -> Self {
        self.body["customer"]["id"] = customer.into();
        self
    }

    /// As `orders` accepts it: for tests that tell the other consumers of it themselves.
    ///
    /// # Panics
    /// When its body is no order.
    pub fn accepted(&self, order_id: events::OrderId) -> events::OrderAccepted {
        let placed: events::OrderPlaced = serde_json::from_value(self.body()).expect("an order");
        let line = |(at, line): (usize, &events::PlacedLine)| events::Line {
            line_id: events::LineId((at + 1).to_string()),
            sku: events::Sku(line.sku.clone()),
            quantity: line.quantity,
            unit_price: line.unit_price,
            amount: line.quantity * line.unit_price,
        };
        let lines: Vec<events::Line> = placed.lines.iter().enumerate().map(line).collect();
        let total = lines.iter().map(|line| line.amount).sum();
        events::OrderAccepted {
            order_id,
            source: "test".into(),
            reference: order_id.to_string(),
            customer_id: events::CustomerId(placed.customer.id.clone()),
            currency: events::Currency::EUR,
            lines,
            subtotal: total,
            shipping: 0,
            discount: 0,
            tax: 0,
            total,
            payment_method: placed.payment_method.clone(),
            payment: None,
            ship_to_country: placed.ship_to.country.clone(),
            personal: events::Person::from(&placed).seal(),
            exchange_for: None,
        }
    }

    /// Its body.
    pub fn body(&self) -> Value {
        self.body.clone()
    }
}

/// Warehouses `a`, `b`, `c`, … are taken from in this order.
fn priority(warehouse: &str) -> i64 {
    i64::from(warehouse.bytes().next().unwrap_or(b'a')) - 96
}

impl Pipeline {
    /// Has so many units of a SKU counted in a warehouse.
    pub async fn stock(&self, sku: &str, warehouse: &str, units: i64) {
        let (status, answer) = self
            .ask(
                reqwest::Method::PUT,
                "inventory",
                &format!("/warehouses/{warehouse}"),
                Some(json!({"name": warehouse, "priority": priority(warehouse), "country": "IE"})),
            )
            .await;
        assert!((200..300).contains(&status), "warehouse {warehouse}: {status}: {answer}");
        let (status, answer) = self
            .post("inventory", "/stock/counted", json!({"sku": sku, "warehouse": warehouse, "on_hand": units}))
            .await;
        assert!((200..300).contains(&status), "stock of {sku}: {status}: {answer}");
    }

    /// Places an order over HTTP and returns its id.
    pub async fn place(&self, order: &Order) -> String {
        let (status, answer) = self.post("orders", "/orders", order.body()).await;
        assert_eq!(status, 202, "{answer}");
        answer["order_id"].as_str().expect("an order id").to_owned()
    }

    /// The status of an order by the consumer that owns it.
    pub async fn status(&self, order_id: &str) -> String {
        self.get("orders", &format!("/orders/{order_id}")).await["state"].as_str().unwrap_or_default().to_owned()
    }
}
