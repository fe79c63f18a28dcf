//! A case as people read it in a terminal.

use std::fmt;

use events::{Currency, Timestamp};
use serde_json::Value;

use super::Case;
use crate::facts::Moment;
use crate::store::StoredEvent;

impl fmt::Display for Case {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(to)?;
        self.money(to)?;
        self.stock(to)?;
        self.parcels(to)?;
        self.steps(to)?;
        self.timeline(to)
    }
}

fn or_none(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("–")
}

fn millis(from: Timestamp, until: Timestamp) -> String {
    let millis = until.since(from).as_millis();
    if millis < 10_000 { format!("{millis} ms") } else { format!("{}.{} s", millis / 1_000, millis % 1_000 / 100) }
}

impl Case {
    fn head(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        write!(to, "order {}  {}", self.order_id, facts.status.as_str())?;
        match self.at {
            Some(at) => writeln!(to, "  as of {at}")?,
            None => writeln!(to)?,
        }
        writeln!(
            to,
            "  placed by {} as {} for customer {}",
            or_none(&facts.source),
            or_none(&facts.reference),
            or_none(&facts.customer_id)
        )?;
        if let Some(placed) = facts.placed_at {
            match facts.moments.at(Moment::Ended) {
                Some(ended) => writeln!(to, "  placed {placed}, ended {ended}, took {}", millis(placed, ended))?,
                None => writeln!(to, "  placed {placed}, open")?,
            }
        }
        if let Some(reason) = &facts.reason {
            writeln!(to, "  because {}: {}", reason.code, reason.detail)?;
        }
        if self.unknown > 0 {
            writeln!(to, "  {} events are of types that this version does not know", self.unknown)?;
        }
        Ok(())
    }

    fn money(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        let currency = self.currency();
        writeln!(to, "\nmoney")?;
        for (name, amount) in [
            ("total", facts.total),
            ("authorized", facts.authorized),
            ("captured", facts.captured),
            ("refunded", facts.refunded),
            ("voided", facts.voided),
            ("charged", facts.charged),
        ] {
            if let Some(amount) = amount {
                writeln!(to, "  {name:<10} {:>16}", shown(amount, currency))?;
            }
        }
        Ok(())
    }

    fn currency(&self) -> Option<Currency> {
        self.facts.currency.as_deref().and_then(|code| code.parse().ok())
    }

    fn stock(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stock.is_empty() {
            return Ok(());
        }
        writeln!(
            to,
            "\nstock\n  {:<20} {:<12} {:>8} {:>6} {:>7} {:>8} {:>6}",
            "SKU", "warehouse", "reserved", "held", "shipped", "released", "short"
        )?;
        for of in &self.stock {
            writeln!(
                to,
                "  {:<20} {:<12} {:>8} {:>6} {:>7} {:>8} {:>6}",
                of.sku, of.warehouse, of.reserved, of.held, of.shipped, of.released, of.short
            )?;
        }
        Ok(())
    }

    fn parcels(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shipments = self.shipments();
        if shipments.is_empty() {
            return Ok(());
        }
        writeln!(to, "\nshipments")?;
        for of in shipments {
            let (warehouse, carrier, tracking) =
                (or_none(&of.facts.warehouse), or_none(&of.facts.carrier), or_none(&of.facts.tracking));
            writeln!(
                to,
                "  {}  {:<10} from {warehouse}, carrier {carrier}, tracking {tracking}",
                of.shipment_id, of.status
            )?;
        }
        Ok(())
    }

    fn steps(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "\nsteps")?;
        for (step, began, ended) in self.facts.steps() {
            writeln!(to, "  {step:<10} {:>12}", millis(began, ended))?;
        }
        Ok(())
    }

    fn timeline(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "\ntimeline")?;
        let mut before = None;
        for event in &self.events {
            let at = event.at.0;
            let since = before.replace(at).map_or_else(String::new, |before| format!("+{}", millis(before, at)));
            let name = event.event_type.rsplit('.').next().unwrap_or_default();
            writeln!(to, "  {at}  {since:>10}  {name:<26} {}", summary(event, self.currency()))?;
        }
        Ok(())
    }
}

fn shown(amount: i64, currency: Option<Currency>) -> String {
    currency.map_or_else(|| amount.to_string(), |currency| currency.format(amount))
}

/// The little that is worth reading of an event in one line.
fn summary(event: &StoredEvent, currency: Option<Currency>) -> String {
    let Ok(data) = serde_json::from_str::<Value>(&event.data) else { return String::new() };
    let mut parts = Vec::new();
    for field in ["total", "amount", "charged"] {
        if let Some(amount) = data[field].as_i64() {
            parts.push(format!("{field} {}", shown(amount, currency)));
        }
    }
    for field in ["lines", "plan", "items", "moved", "missing", "short", "shipments", "faults", "shipped", "unshipped"]
    {
        if let Some(list) = data[field].as_array().filter(|list| !list.is_empty()) {
            let units: i64 = list.iter().filter_map(|of| of["quantity"].as_i64()).sum();
            parts.push(if units > 0 { format!("{field}: {units} units") } else { format!("{} {field}", list.len()) });
        }
    }
    for field in
        ["warehouse", "carrier", "tracking", "gateway", "channel", "template", "consumer", "outcome", "cancellation"]
    {
        if let Some(text) = data[field].as_str() {
            parts.push(format!("{field} {text}"));
        }
    }
    for field in ["expires_at", "capture_before", "deadline", "due"] {
        if let Some(at) = data[field].as_i64() {
            parts.push(format!("until {}", Timestamp::from_millis(at)));
        }
    }
    if let Some(code) = data["reason"]["code"].as_str() {
        parts.push(format!("because {code}"));
    }
    if data["closed"].is_object() {
        parts.push("closed".to_owned());
    }
    parts.join(", ")
}
