//! The built-in warehouse: answers what it is asked at once, as the rules say, the same each time it is asked.

use events::{AllocationId, ShipmentId, Sku, WarehouseId, Why};

use crate::input::Answer;
use crate::parcel::{Fate, Parcel};
use crate::row::Consignment;
use crate::settings::{BuiltInRule, Does, Settings};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarehouseQuestion {
    pub shipment_id: ShipmentId,
    pub warehouse: WarehouseId,
    pub what: WarehouseTask,
    pub units: Vec<AskedUnits>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarehouseTask {
    Pick,
    HandOver,
    Recall,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedUnits {
    pub allocation_id: AllocationId,
    pub sku: Sku,
    pub quantity: i64,
    /// Whether they replace what was missing elsewhere.
    pub replacement: bool,
}

impl WarehouseQuestion {
    pub fn pick(parcel: &Parcel) -> Self {
        Self::of(parcel, WarehouseTask::Pick)
    }

    /// Asks for a packed shipment to be handed over, or back if the order recalls it.
    pub fn leave(order: &Consignment, parcel: &Parcel) -> Self {
        Self::of(parcel, if order.recall.is_some() { WarehouseTask::Recall } else { WarehouseTask::HandOver })
    }

    fn of(parcel: &Parcel, what: WarehouseTask) -> Self {
        let units = parcel.picks.iter().map(|pick| AskedUnits {
            allocation_id: pick.allocation_id,
            sku: pick.sku.clone(),
            quantity: if what == WarehouseTask::Pick { pick.quantity } else { pick.picked },
            replacement: pick.replaces.is_some(),
        });
        let units = units.filter(|units| units.quantity > 0);
        Self { shipment_id: parcel.shipment_id, warehouse: parcel.warehouse.clone(), what, units: units.collect() }
    }
}

/// The built-in warehouse's answer; none if its behaviour is not to answer.
pub fn answer(settings: &Settings, ask: &WarehouseQuestion) -> Option<Answer> {
    match ask.what {
        WarehouseTask::Pick => pick(&settings.behaviour, ask),
        WarehouseTask::HandOver => hand_over(settings, ask),
        WarehouseTask::Recall if trouble(&settings.behaviour, ask, Does::Rush) => Some(handed_over(settings, ask)),
        WarehouseTask::Recall => Some(Answer::WillNotShip(Fate::of(Why::Recalled))),
    }
}

fn pick(rules: &[BuiltInRule], ask: &WarehouseQuestion) -> Option<Answer> {
    if trouble(rules, ask, Does::Late) {
        return None;
    }
    if trouble(rules, ask, Does::Refuse) {
        return Some(Answer::Picked { items: Vec::new(), rest: Fate::of(Why::Refused) });
    }
    let found = |units: &AskedUnits| match rule_of(rules, ask, units) {
        Some(BuiltInRule { does: Does::Short, by, .. }) => (units.quantity - by.unwrap_or(units.quantity)).max(0),
        Some(_) | None => units.quantity,
    };
    let items = ask.units.iter().map(|units| (units.allocation_id, found(units))).collect();
    Some(Answer::Picked { items, rest: Fate::of(Why::Short) })
}

fn hand_over(settings: &Settings, ask: &WarehouseQuestion) -> Option<Answer> {
    let rules = &settings.behaviour;
    if trouble(rules, ask, Does::Damaged) {
        return Some(Answer::WillNotShip(Fate::of(Why::Damaged)));
    }
    if trouble(rules, ask, Does::Lost) {
        return Some(Answer::WillNotShip(Fate::of(Why::Lost)));
    }
    let stays = trouble(rules, ask, Does::Hold) || trouble(rules, ask, Does::Rush);
    (!stays).then(|| handed_over(settings, ask))
}

fn handed_over(settings: &Settings, ask: &WarehouseQuestion) -> Answer {
    let number = ask.shipment_id.as_uuid().simple().to_string();
    let tracking = format!("QD{}", number[..16].to_uppercase());
    Answer::HandedOver { carrier: settings.carrier.clone(), tracking: Some(tracking), at: None }
}

fn trouble(rules: &[BuiltInRule], ask: &WarehouseQuestion, does: Does) -> bool {
    ask.units.iter().any(|units| rule_of(rules, ask, units).is_some_and(|rule| rule.does == does))
}

fn rule_of<'r>(rules: &'r [BuiltInRule], ask: &WarehouseQuestion, units: &AskedUnits) -> Option<&'r BuiltInRule> {
    rules.iter().find(|rule| rule.fits(units.sku.as_str(), ask.warehouse.as_str(), units.replacement))
}
