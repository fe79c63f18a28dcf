//! The beginning: all of an order is reserved, or nothing.

use std::collections::BTreeSet;

use events::{
    OrderAccepted, OrderPayment, PaymentKind, Reason, ReasonCode, ShortLine, StockRejected, StockReserved, Timestamp,
    WarehouseId,
};
use runtime::TraceContext;

use super::bounds;
use super::decision::{Decision, RuleResult, StockEvent, allocation};
use crate::reservation::{Reservation, State};
use crate::stock::LevelChange;
use crate::strategy::Want;
use crate::supply::Supply;

const NAMED: usize = 5;

/// An order is accepted: all of it is reserved, across warehouses if need be, or nothing. Fails when the allocation strategy is wrong.
pub fn accepted(
    order: Option<&Reservation>,
    event: &OrderAccepted,
    supply: &Supply<'_>,
    expires_at: Timestamp,
    thread: TraceContext,
) -> RuleResult {
    if let Some(order) = order {
        return Ok(stopped_before(order, event)); // else reserved already
    }
    let wants: Vec<Want<'_>> =
        event.lines.iter().map(|line| Want { sku: &line.sku, quantity: line.quantity }).collect();
    let found = supply.find(&wants, &BTreeSet::new(), &event.ship_to_country)?;
    let short = |(want, picks): (&Want<'_>, &Vec<(&WarehouseId, i64)>)| {
        picks.iter().map(|(_, units)| units).sum::<i64>() < want.quantity
    };
    if wants.iter().zip(&found).any(short) {
        let lines = short_lines(event, supply);
        let reason = out_of_stock(&lines);
        return Ok(Some(rejected(event, lines, reason, thread)));
    }
    let mut plan = Vec::new();
    for (line, picks) in event.lines.iter().zip(found) {
        for (warehouse, quantity) in picks {
            let line = (&line.line_id, &line.sku);
            plan.push(allocation(supply, event.order_id, line, (warehouse, quantity), None));
        }
    }
    let room = bounds::room(event.lines.iter().map(|line| (&line.line_id, &line.sku)));
    if plan.iter().map(bounds::size).sum::<usize>() > room {
        let reason = bounds::too_many_parts(&plan);
        return Ok(Some(rejected(event, short_lines(event, supply), reason, thread)));
    }
    let order = Reservation::of_plan(&plan, expires_at, event.ship_to_country.clone(), thread);
    let changes = plan.iter().map(|held| LevelChange::reserved(&held.sku, &held.warehouse, held.quantity)).collect();
    let said = StockReserved {
        order_id: event.order_id,
        customer_id: event.customer_id.clone(),
        currency: event.currency,
        total: event.total,
        lines: event.lines.clone(),
        plan,
        payment_method: event.payment_method.clone(),
        payment: event.payment.clone(),
        personal: event.personal.clone(),
        expires_at,
    };
    Ok(Some(Decision { order, changes, emit: Some(StockEvent::Reserved(Box::new(said))) }))
}

/// Each line with what there would have been for it, after the lines before it.
fn short_lines(event: &OrderAccepted, supply: &Supply<'_>) -> Vec<ShortLine> {
    let mut lines = Vec::<ShortLine>::with_capacity(event.lines.len());
    for line in &event.lines {
        let before: i64 = lines.iter().filter(|other| other.sku == line.sku).map(|other| other.wanted).sum();
        let available = (supply.stock.available(&line.sku) - before).max(0);
        let (line_id, sku) = (line.line_id.clone(), line.sku.clone());
        lines.push(ShortLine { line_id, sku, wanted: line.quantity, available });
    }
    lines
}

/// What is short, the first lines of it: the reason travels on with each later event.
fn out_of_stock(lines: &[ShortLine]) -> Reason {
    let short: Vec<_> = lines.iter().filter(|line| line.available < line.wanted).collect();
    let what =
        short.iter().take(NAMED).map(|line| format!("{} of {} units of {}", line.available, line.wanted, line.sku));
    let more = short.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more lines") } else { String::new() };
    let detail = format!("available: {}{more}", what.collect::<Vec<_>>().join(", "));
    Reason { code: ReasonCode::OutOfStock, detail }
}

fn rejected(event: &OrderAccepted, lines: Vec<ShortLine>, reason: Reason, thread: TraceContext) -> Decision {
    let order = Reservation::without_stock(State::Rejected, reason.clone(), thread);
    let said = StockRejected { order_id: event.order_id, lines, reason, payment: to_give_back(event) };
    Decision { order, changes: Vec::new(), emit: Some(StockEvent::Rejected(said)) }
}

/// An order that was stopped before it came here. If it was paid before it was placed, payments hears of that money only now.
fn stopped_before(order: &Reservation, event: &OrderAccepted) -> Option<Decision> {
    let payment = to_give_back(event).filter(|_| order.state == State::Closed && order.holdings.is_empty())?;
    let reason = order.reason.clone()?;
    let said =
        StockRejected { order_id: event.order_id, lines: Vec::new(), reason: reason.clone(), payment: Some(payment) };
    let order = Reservation { state: State::Rejected, ..order.clone() };
    Some(Decision { order, changes: Vec::new(), emit: Some(StockEvent::Rejected(said)) })
}

/// Money that was held or taken before the order was placed.
fn to_give_back(event: &OrderAccepted) -> Option<OrderPayment> {
    event.payment.clone().filter(|payment| payment.kind != PaymentKind::External)
}
