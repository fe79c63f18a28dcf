//! Where units can be found for an order: what the stock has, as the allocation strategy spreads it.

use std::collections::{BTreeMap, BTreeSet};

use events::{Sku, WarehouseId};
use runtime::Conflict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stock::{Level, Stock};
use crate::strategy::{Pick, Shelves, Strategy, Want};

pub const USUAL_PRIORITY: i64 = 100;

/// What is known of a warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "Berlin", "priority": 10, "country": "DE"}))]
pub struct Warehouse {
    /// Its name, for people.
    pub name: String,
    /// Which is taken from first: 1 before 2.
    #[serde(default = "usual_priority")]
    pub priority: i64,
    /// Where it stands, ISO 3166-1 alpha-2; empty if not known. Among warehouses of one priority those in the country the goods go to come first.
    #[serde(default)]
    pub country: String,
}

const fn usual_priority() -> i64 {
    USUAL_PRIORITY
}

pub type Warehouses = BTreeMap<WarehouseId, Warehouse>;

/// The stock that can be reserved, and the strategy that spreads it.
#[derive(Clone, Copy, Debug)]
pub struct Supply<'a> {
    pub stock: &'a Stock,
    pub warehouses: &'a Warehouses,
    pub strategy: &'a dyn Strategy,
}

impl<'a> Supply<'a> {
    /// For each want, which warehouse gives how many units: all of it, or as much as there is outside of `tried`.
    /// Fails when the strategy gave what is not there, or less than there is: its own mistake, and a person must look at it.
    pub fn find(
        &self,
        wants: &[Want<'a>],
        tried: &BTreeSet<&WarehouseId>,
        country: &str,
    ) -> Result<Vec<Vec<(&'a WarehouseId, i64)>>, Conflict> {
        let shelves = self.shelves(wants, tried, country);
        let mut left: BTreeMap<&Sku, i64> =
            shelves.available.iter().map(|(sku, of)| (*sku, of.iter().sum::<i64>())).collect();
        let met: Vec<Want<'a>> = wants
            .iter()
            .map(|want| {
                let left = left.entry(want.sku).or_default();
                let quantity = want.quantity.min(*left);
                *left -= quantity;
                Want { sku: want.sku, quantity }
            })
            .collect();
        let picks = self.strategy.allocate(&met, &shelves);
        check(&met, &shelves, &picks)
            .map_err(|what| Conflict(format!("the allocation strategy {:?} is wrong: {what}", self.strategy)))?;
        let mut found = vec![Vec::new(); wants.len()];
        for pick in picks {
            found[pick.want].push((shelves.warehouses[pick.warehouse], pick.quantity));
        }
        Ok(found)
    }

    fn shelves(&self, wants: &[Want<'a>], tried: &BTreeSet<&WarehouseId>, country: &str) -> Shelves<'a> {
        let mut ranked = BTreeSet::new();
        for want in wants {
            let of = self
                .stock
                .of(want.sku)
                .filter(|(warehouse, level)| level.available() > 0 && !tried.contains(warehouse));
            ranked.extend(of.map(|(warehouse, _)| self.rank(warehouse, country)));
        }
        let warehouses: Vec<&WarehouseId> = ranked.into_iter().map(|(_, _, warehouse)| warehouse).collect();
        let of = |sku| {
            let level = |warehouse: &&WarehouseId| self.stock.level(sku, warehouse).map_or(0, Level::available);
            warehouses.iter().map(level).collect::<Vec<_>>()
        };
        let available = wants.iter().map(|want| (want.sku, of(want.sku))).collect();
        Shelves { warehouses, available }
    }

    fn rank(&self, warehouse: &'a WarehouseId, country: &str) -> (i64, bool, &'a WarehouseId) {
        let known = self.warehouses.get(warehouse);
        let abroad = known.is_none_or(|known| known.country.is_empty() || known.country != country);
        (known.map_or(USUAL_PRIORITY, |known| known.priority), abroad, warehouse)
    }
}

/// That a strategy gave what was asked for, of what is there.
fn check(wants: &[Want<'_>], shelves: &Shelves<'_>, picks: &[Pick]) -> Result<(), String> {
    let mut open: Vec<i64> = wants.iter().map(|want| want.quantity).collect();
    let mut left = shelves.available.clone();
    for pick in picks {
        let want = wants.get(pick.want).ok_or_else(|| format!("nobody asked for what it picked: {pick:?}"))?;
        let shelf = left.get_mut(want.sku).and_then(|of| of.get_mut(pick.warehouse));
        let shelf = shelf.ok_or_else(|| format!("there is no such warehouse: {pick:?}"))?;
        *shelf -= pick.quantity;
        open[pick.want] -= pick.quantity;
        if pick.quantity < 1 || *shelf < 0 {
            return Err(format!("expected 1 to {} units, got {pick:?}", *shelf + pick.quantity));
        }
    }
    match open.iter().position(|open| *open != 0) {
        Some(want) => {
            Err(format!("expected {} units of {}, got {} less", wants[want].quantity, wants[want].sku, open[want]))
        }
        None => Ok(()),
    }
}
