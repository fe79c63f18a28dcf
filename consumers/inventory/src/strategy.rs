//! How an order's units are spread over warehouses: one trait, one setting, as many strategies as there are shops.

use std::collections::BTreeMap;
use std::fmt;

use events::{Sku, WarehouseId};
use serde::{Deserialize, Serialize};

/// Units of one SKU that are to be found.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    pub sku: &'a Sku,
    pub quantity: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Shelves<'a> {
    /// The warehouses, best first: by priority, then those in the country the goods go to, then by id.
    pub warehouses: Vec<&'a WarehouseId>,
    /// Units that can be reserved, by SKU, in the order of `warehouses`.
    pub available: BTreeMap<&'a Sku, Vec<i64>>,
}

/// Units of one want that one warehouse shall give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Which want, by its position.
    pub want: usize,
    /// Which warehouse, by its position on the shelves.
    pub warehouse: usize,
    /// How many units, at least one.
    pub quantity: i64,
}

/// Chooses the warehouses. Deterministic: the same wants and shelves give the same picks.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// Spreads all wants over the shelves. The shelves suffice: what can't be met at all is not asked for.
    /// The picks of a want must sum up to it; several wants may be of one SKU.
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick>;
}

/// The strategies that can be chosen by setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrategyName {
    /// [`Priority`].
    #[default]
    Priority,
    /// [`FewestShipments`].
    FewestShipments,
}

impl StrategyName {
    pub fn strategy(self) -> Box<dyn Strategy> {
        match self {
            Self::Priority => Box::new(Priority),
            Self::FewestShipments => Box::new(FewestShipments),
        }
    }
}

/// Takes from the best warehouse all it can give, then from the next.
#[derive(Clone, Copy, Debug)]
pub struct Priority;

impl Strategy for Priority {
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick> {
        let all: Vec<usize> = (0..shelves.warehouses.len()).collect();
        fill(wants, shelves, &all, false)
    }
}

/// Takes from as few warehouses as possible, the best ones among equals, and does not split a line that one of them has in full.
/// Exact up to three parcels; beyond that, always the warehouse that has most of the rest.
#[derive(Clone, Copy, Debug)]
pub struct FewestShipments;

/// Among more warehouses than these, three are not tried in all combinations.
const TRIED_IN_ALL_COMBINATIONS: usize = 24;

impl Strategy for FewestShipments {
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick> {
        let mut need = BTreeMap::<&Sku, i64>::new();
        for want in wants {
            *need.entry(want.sku).or_default() += want.quantity;
        }
        let chosen = smallest(&need, shelves).unwrap_or_else(|| greedy(need, shelves));
        fill(wants, shelves, &chosen, true)
    }
}

fn smallest(need: &BTreeMap<&Sku, i64>, shelves: &Shelves<'_>) -> Option<Vec<usize>> {
    let count = shelves.warehouses.len();
    let suffice = |set: &[usize]| {
        need.iter().all(|(sku, wanted)| {
            let of = shelves.available.get(sku);
            set.iter().map(|warehouse| of.map_or(0, |of| of[*warehouse])).sum::<i64>() >= *wanted
        })
    };
    let one = || (0..count).map(|a| vec![a]).find(|set| suffice(set));
    let two = || (0..count).flat_map(|a| (a + 1..count).map(move |b| vec![a, b])).find(|set| suffice(set));
    let three = || {
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        pairs.flat_map(|(a, b)| (b + 1..count).map(move |c| vec![a, b, c])).find(|set| suffice(set))
    };
    one().or_else(two).or_else(|| if count <= TRIED_IN_ALL_COMBINATIONS { three() } else { None })
}

/// One warehouse after the other, each the one that has most units of what is still needed.
fn greedy(mut need: BTreeMap<&Sku, i64>, shelves: &Shelves<'_>) -> Vec<usize> {
    let mut chosen = Vec::new();
    loop {
        let gives = |warehouse: usize| -> i64 {
            let of = |sku: &Sku| shelves.available.get(sku).map_or(0, |of| of[warehouse]);
            need.iter().map(|(sku, wanted)| of(sku).min(*wanted)).sum()
        };
        let left = (0..shelves.warehouses.len()).filter(|warehouse| !chosen.contains(warehouse));
        let best = left.map(|warehouse| (gives(warehouse), warehouse)).filter(|(units, _)| *units > 0);
        let Some((_, best)) = best.max_by_key(|(units, warehouse)| (*units, std::cmp::Reverse(*warehouse))) else {
            return chosen;
        };
        for (sku, wanted) in &mut need {
            *wanted -= shelves.available.get(sku).map_or(0, |of| of[best]).min(*wanted);
        }
        chosen.push(best);
    }
}

/// Takes each want from these warehouses in their order; with `whole`, from the first that has all of it, if one has.
fn fill(wants: &[Want<'_>], shelves: &Shelves<'_>, from: &[usize], whole: bool) -> Vec<Pick> {
    let mut left = shelves.available.clone();
    let mut picks = Vec::with_capacity(wants.len());
    for (position, want) in wants.iter().enumerate() {
        let Some(left) = left.get_mut(want.sku) else { continue };
        let all = from.iter().copied().find(|warehouse| whole && left[*warehouse] >= want.quantity);
        let mut open = want.quantity;
        for warehouse in all.into_iter().chain(from.iter().copied()) {
            let quantity = left[warehouse].min(open);
            if quantity > 0 {
                left[warehouse] -= quantity;
                open -= quantity;
                picks.push(Pick { want: position, warehouse, quantity });
            }
        }
    }
    picks
}
