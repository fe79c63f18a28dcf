//! What can still go back of an order, in money and units, and what a request comes to. One rule for tax, discount and shipping: they are in the lines'
//! amounts, and units cost the difference of two values of their line, so that no rounding leaks.

use events::{Currency, Item, Line, LineId, RefundedLine, ReturnId, ReturnedLine, line_value};
use gateway::Money;
use runtime::Conflict;

use super::{Asked, CustomerRefund, RefundState, Refusal, RefusalKind};
use crate::payment::Payment;

/// One line: what of it shipped, and what refunds of lines gave back of it, or will.
#[derive(Clone, Debug)]
struct LineRoom {
    line: Line,
    shipped: i64,
    units_back: i64,
    paid_back: i64,
}

/// What can still go back of one order.
#[derive(Clone, Debug)]
pub struct Room {
    lines: Vec<LineRoom>,
    left: i64,
    currency: Option<Currency>,
    /// What the saga should have given back of units that did not ship, and could not.
    owed: i64,
}

impl Room {
    /// Refunds that failed give back nothing. No money goes back twice: what has shipped, and what the saga still owes, at most what was captured and the
    /// saga did not give back, less all refunds that are done or open, and what disputes have withdrawn.
    pub fn new<'r>(
        payment: &Payment,
        shipped: impl Iterator<Item = &'r Item>,
        refunds: impl Iterator<Item = &'r CustomerRefund>,
    ) -> Self {
        let room = |line: &Line| LineRoom { line: line.clone(), shipped: 0, units_back: 0, paid_back: 0 };
        let mut lines: Vec<LineRoom> = payment.case.lines.iter().map(room).collect();
        let mut with = |line_id: &LineId, act: &dyn Fn(&mut LineRoom)| {
            lines.iter_mut().filter(|room| room.line.line_id == *line_id).for_each(act);
        };
        shipped.for_each(|item| with(&item.line_id, &|room| room.shipped += item.quantity));
        let counted = refunds.filter(|refund| refund.state() != RefundState::Failed);
        for back in counted.flat_map(|refund| &refund.data.lines) {
            with(&back.line_id, &|room| {
                room.units_back += back.quantity;
                room.paid_back += back.amount;
            });
        }
        let worth: i64 = lines.iter().map(|room| room.value(room.shipped)).sum();
        let owed = payment.refund_shortfall;
        let kept = (worth + owed).min(payment.captured - payment.refunded);
        let left = (kept - payment.refunds_open - payment.refunds_done - payment.disputed).max(0);
        Self { lines, left, currency: payment.currency, owed }
    }

    /// What is left, in minor units.
    pub fn left(&self) -> i64 {
        self.left
    }

    /// What a request comes to.
    pub(crate) fn of(&self, asked: &Asked, currency: Option<&str>) -> Result<(i64, Vec<RefundedLine>), Refusal> {
        if let Some((asked, own)) = currency.zip(self.currency).filter(|(asked, own)| *asked != own.as_str()) {
            return Err(self.invalid(format!("`currency`: expected {own}, in which the order was paid, got {asked:?}")));
        }
        if self.owed == 0 && self.lines.iter().all(|room| room.shipped == 0) {
            return Err(self.too_much(
                "expected an order of which something has shipped, got one of which nothing has: what does not ship is \
                 given back by itself; cancel the order at orders to stop it, or ask again once it has left",
            ));
        }
        let (amount, lines) = match asked {
            Asked::All | Asked::Outside => (self.left, Vec::new()),
            Asked::Amount(amount) if *amount <= 0 => {
                return Err(self.invalid(format!("`amount`: expected 1 or more minor units, got {amount}")));
            }
            Asked::Amount(amount) => (*amount, Vec::new()),
            Asked::Lines(lines) => {
                let lines = self.lines_of(lines)?;
                (lines.iter().map(|line| line.amount).sum(), lines)
            }
        };
        if amount > self.left || amount == 0 {
            let expected = match self.left {
                0 => {
                    "expected something to be left, got nothing: all that shipped is refunded, will be, or is disputed"
                        .to_owned()
                }
                left if amount == 0 => {
                    format!("expected units that cost something, got 0; {} is left", self.money(left))
                }
                left => format!(
                    "expected at most {}, which is left, got {}: ask for less",
                    self.money(left),
                    self.money(amount)
                ),
            };
            return Err(self.too_much(&expected));
        }
        Ok((amount, lines))
    }

    /// What the units of a return cost, of what is left: units that another refund gave back cost nothing.
    /// Fails when more came back than shipped, as far as payments knows.
    pub(crate) fn of_return(
        &self,
        return_id: ReturnId,
        came: &[ReturnedLine],
    ) -> Result<(i64, i64, Vec<RefundedLine>), Conflict> {
        let mut worth = 0;
        let (mut left, mut found) = (self.left, Vec::new());
        for room in &self.lines {
            let of_line = came.iter().filter(|line| line.line_id == room.line.line_id);
            let units: i64 = of_line.map(|line| line.intact + line.damaged).sum();
            if units > room.shipped {
                return Err(Conflict(format!(
                    "return {return_id} brings {units} units of {} back: expected at most {}, which shipped as far as payments knows; have \
                     payments hear of its shipments again (replay), then have this event tried again",
                    room.line.sku, room.shipped
                )));
            }
            let units = units.min(room.units());
            if units > 0 {
                let line = room.refunded(units);
                let amount = line.amount.min(left);
                worth += line.amount;
                left -= amount;
                found.push(RefundedLine { amount, ..line });
            }
        }
        let sum = self.left - left;
        Ok((sum, worth - sum, found))
    }

    /// Whether this may go back once more: units and money.
    pub(crate) fn has(&self, refund: &CustomerRefund) -> bool {
        let fits = |back: &RefundedLine| {
            let room = self.lines.iter().find(|room| room.line.line_id == back.line_id);
            room.is_some_and(|room| room.units() >= back.quantity)
        };
        refund.amount <= self.left && refund.data.lines.iter().all(fits)
    }

    /// Units of a SKU are of its lines in their order.
    fn lines_of(&self, asked: &[(String, i64)]) -> Result<Vec<RefundedLine>, Refusal> {
        let mut found = Vec::new();
        for (sku, quantity) in asked {
            let of_sku = || self.lines.iter().filter(|room| room.line.sku.as_str() == sku);
            let (known, units): (usize, i64) = (of_sku().count(), of_sku().map(LineRoom::units).sum());
            if known == 0 {
                let skus: Vec<&str> = self.lines.iter().map(|room| room.line.sku.as_str()).collect();
                return Err(
                    self.invalid(format!("`lines`: expected SKUs of the order ({}), got {sku:?}", skus.join(", ")))
                );
            }
            if *quantity <= 0 {
                return Err(self.invalid(format!("`lines`: expected 1 or more units of {sku}, got {quantity}")));
            }
            if *quantity > units {
                let shipped: i64 = of_sku().map(|room| room.shipped).sum();
                return Err(self.too_much(&format!(
                    "expected at most {units} units of {sku}, as {shipped} shipped and {} are refunded, or will be; got {quantity}: ask for fewer",
                    shipped - units
                )));
            }
            let mut open = *quantity;
            for room in of_sku() {
                let quantity = open.min(room.units());
                open -= quantity;
                if quantity > 0 {
                    found.push(room.refunded(quantity));
                }
            }
        }
        Ok(found)
    }

    fn money(&self, amount: i64) -> String {
        self.currency.map_or_else(|| amount.to_string(), |currency| Money { amount, currency }.to_string())
    }

    fn invalid(&self, detail: String) -> Refusal {
        Refusal { kind: RefusalKind::Invalid, detail, left: Some(self.left) }
    }

    fn too_much(&self, detail: &str) -> Refusal {
        Refusal { kind: RefusalKind::TooMuch, detail: detail.to_owned(), left: Some(self.left) }
    }
}

impl LineRoom {
    fn value(&self, units: i64) -> i64 {
        line_value(self.line.amount, self.line.quantity, units)
    }

    /// Units that shipped and are not refunded.
    fn units(&self) -> i64 {
        (self.shipped - self.units_back).max(0)
    }

    /// After it, refunds of lines have given back exactly what all their units cost, whatever failed before.
    fn refunded(&self, quantity: i64) -> RefundedLine {
        let Line { line_id, sku, .. } = &self.line;
        let amount = (self.value(self.units_back + quantity) - self.paid_back).max(0);
        RefundedLine { line_id: line_id.clone(), sku: sku.clone(), quantity, amount }
    }
}
