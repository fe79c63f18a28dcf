//! The built-in warehouse: answers what it is asked at once, as the rules say, the same each time it is asked.

use events::Why;

use crate::input::Answer;
use crate::parcel::{Fate, Parcel, PickLine};
use crate::settings::{BuiltInRule, Does, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarehouseTask {
    Pick,
    HandOver,
    Recall,
}

/// The built-in warehouse's answer about a shipment; none if its behaviour is not to answer.
pub fn answer(settings: &Settings, parcel: &Parcel, task: WarehouseTask) -> Option<Answer> {
    let ask = WarehouseQuestion { settings, parcel, task };
    match task {
        WarehouseTask::Pick => ask.pick(),
        WarehouseTask::HandOver => ask.hand_over(),
        WarehouseTask::Recall if ask.makes(Does::Rush) => Some(ask.handed_over()),
        WarehouseTask::Recall => Some(Answer::WillNotShip(Fate::of(Why::Recalled))),
    }
}

struct WarehouseQuestion<'q> {
    settings: &'q Settings,
    parcel: &'q Parcel,
    task: WarehouseTask,
}

impl WarehouseQuestion<'_> {
    fn pick(&self) -> Option<Answer> {
        if self.makes(Does::Late) {
            return None;
        }
        if self.makes(Does::Refuse) {
            return Some(Answer::Picked { items: Vec::new(), rest: Fate::of(Why::Refused) });
        }
        let found = |pick: &PickLine| match self.rule_of(pick) {
            Some(BuiltInRule { does: Does::Short, by, .. }) => (pick.quantity - by.unwrap_or(pick.quantity)).max(0),
            Some(_) | None => pick.quantity,
        };
        let items = self.asked().map(|pick| (pick.allocation_id, found(pick))).collect();
        Some(Answer::Picked { items, rest: Fate::of(Why::Short) })
    }

    fn hand_over(&self) -> Option<Answer> {
        if self.makes(Does::Damaged) {
            return Some(Answer::WillNotShip(Fate::of(Why::Damaged)));
        }
        if self.makes(Does::Lost) {
            return Some(Answer::WillNotShip(Fate::of(Why::Lost)));
        }
        let stays = self.makes(Does::Hold) || self.makes(Does::Rush);
        (!stays).then(|| self.handed_over())
    }

    fn handed_over(&self) -> Answer {
        let number = self.parcel.shipment_id.as_uuid().simple().to_string();
        let tracking = format!("QD{}", number[..16].to_uppercase());
        Answer::HandedOver { carrier: self.settings.carrier.clone(), tracking: Some(tracking), at: None }
    }

    /// The lines of which it has units: those to pick, or those that were picked.
    fn asked(&self) -> impl Iterator<Item = &PickLine> {
        let units = |pick: &PickLine| if self.task == WarehouseTask::Pick { pick.quantity } else { pick.picked };
        self.parcel.picks.iter().filter(move |pick| units(pick) > 0)
    }

    /// Whether any unit of the shipment makes this trouble.
    fn makes(&self, does: Does) -> bool {
        self.asked().any(|pick| self.rule_of(pick).is_some_and(|rule| rule.does == does))
    }

    fn rule_of(&self, pick: &PickLine) -> Option<&BuiltInRule> {
        let (sku, warehouse) = (pick.sku.as_str(), self.parcel.warehouse.as_str());
        self.settings.behaviour.iter().find(|rule| rule.fits(sku, warehouse, pick.replaces.is_some()))
    }
}
