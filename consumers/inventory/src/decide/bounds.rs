//! How many parts an order may be split into: what lists them must fit a topic, at its beginning and at its end.

use std::collections::BTreeSet;

use events::{Allocation, LineId, Reason, ReasonCode, Sku};

use crate::reservation::Holding;

/// What an event has besides its lists: ids, the sealed personal data, which the front door bounds, and headers.
const REST: usize = 20_000;
/// What each allocation takes besides its texts, in the event that lists most of it: ids, units, condition, why it was given up.
const OF_ALLOCATION: usize = 75;
/// What each line takes besides its texts, likewise.
const OF_LINE: usize = 40;
/// How often a line may stand in an event beside the allocations: as what was ordered, or as what shipped and, once for each cause, what did not.
const TIMES: usize = 8;

/// The bytes that the allocations of an order of these lines may take, so that each event that lists them fits its topic.
pub(super) fn room<'l>(lines: impl Iterator<Item = (&'l LineId, &'l Sku)>) -> usize {
    let lines: usize = lines.map(|(line_id, sku)| OF_LINE + line_id.as_str().len() + sku.as_str().len()).sum();
    runtime::LARGEST_EVENT.saturating_sub(REST + TIMES * lines)
}

pub(super) fn size(allocation: &Allocation) -> usize {
    let Allocation { line_id, sku, warehouse, aisle, bin, .. } = allocation;
    let place = aisle.as_ref().map_or(0, String::len) + bin.as_ref().map_or(0, String::len);
    OF_ALLOCATION + line_id.as_str().len() + sku.as_str().len() + warehouse.as_str().len() + place
}

/// The bytes that further allocations of an order may take.
pub(super) fn room_left(holdings: &[Holding]) -> usize {
    let lines: BTreeSet<(&LineId, &Sku)> = holdings.iter().map(|held| (&held.line_id, &held.sku)).collect();
    let taken: usize = holdings
        .iter()
        .map(|held| {
            OF_ALLOCATION + held.line_id.as_str().len() + held.sku.as_str().len() + held.warehouse.as_str().len()
        })
        .sum();
    room(lines.into_iter()).saturating_sub(taken)
}

/// Why an order is rejected that there are units enough for.
pub(super) fn too_many_parts(plan: &[Allocation]) -> Reason {
    let detail = format!(
        "its units lie in {} places, which is more than one order can be picked from: split the order, or bring its goods together",
        plan.len()
    );
    Reason { code: ReasonCode::from("too_many_parts"), detail }
}
