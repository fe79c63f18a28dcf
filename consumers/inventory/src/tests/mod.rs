//! An inventory in memory, for tests of its rules: what one input changes, says and arms.

mod bounds;
mod cells;
mod goods;
mod random;
mod returns;
mod shortages;
mod strategies;
mod together;

use std::convert::Infallible;
use std::sync::LazyLock;

use events::*;
use runtime::{Cause, Codec, Conflict, Consumer, Effects, Outgoing, Timer, TraceContext, Work};
use uuid::Uuid;

use crate::{BatchState, Input, Inventory, Reply, Reservation, Settings, State, StrategyName};

static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::of_catalogue().unwrap());

/// The order of most tests: two mugs of line 1, three bowls of line 2.
pub(super) const ORDER: OrderId = OrderId(Uuid::from_u128(7));
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// What came of one input.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub reply: Reply,
    pub said: Vec<Outgoing>,
    pub timers: Vec<(Timer, bool)>,
}

impl Heard {
    /// Names of what was said of the order.
    pub fn names(&self) -> Vec<&'static str> {
        let name = |said: &Outgoing| entry_of(said.headers.text("ce_type").unwrap()).unwrap().name;
        self.said.iter().map(name).collect()
    }

    /// The only event that was said.
    pub fn only<E: Event>(&self) -> E {
        assert_eq!(self.names(), [E::NAME]);
        CODEC.decode(self.said[0].payload.as_deref()).unwrap()
    }

    pub fn assert_nothing(&self) {
        assert_eq!(self.names(), [""; 0]);
        assert!(self.timers.is_empty(), "{:?}", self.timers);
    }
}

#[derive(Default)]
pub(super) struct House {
    pub inventory: Inventory,
    pub world: BatchState,
    events: u128,
}

impl House {
    pub fn stocked<'a>(levels: impl IntoIterator<Item = (&'a str, &'a str, i64)>) -> Self {
        let mut house = Self { world: BatchState::stocked(levels), ..Self::default() };
        house.announced();
        house
    }

    pub fn with(self, strategy: StrategyName) -> Self {
        Self { inventory: Inventory::new(Settings { strategy, ..Settings::default() }), ..self }
    }

    /// Decides an input as a new event. A conflict must change nothing.
    pub fn hear(&mut self, input: Input) -> Result<Heard, Conflict> {
        self.events += 1;
        let thread = TraceContext { correlation_id: "c".into(), ..TraceContext::default() };
        self.decide(Cause::topic(Uuid::from_u128(self.events), thread), input)
    }

    pub fn decide(&mut self, cause: Cause, input: Input) -> Result<Heard, Conflict> {
        let work = Work { cause, input };
        let mut effects = Effects::<Infallible>::new(&CODEC, Inventory::NAME, &work.cause, NOW);
        let before = format!("{:?}", self.world);
        let decided = self.inventory.decide(&mut self.world, &work, NOW, &mut effects);
        assert!(effects.broken().is_none(), "{:?}", effects.broken());
        let reply = decided.inspect_err(|_| assert_eq!(before, format!("{:?}", self.world)))?;
        Ok(Heard { reply, said: effects.said().to_vec(), timers: effects.timer_changes().collect() })
    }

    /// Ends a batch: the levels that are announced.
    pub fn announced(&mut self) -> Vec<StockLevelChanged> {
        let cause = Cause::request("inventory", "end");
        let mut effects = Effects::new(&CODEC, Inventory::NAME, &cause, NOW);
        self.inventory.finish(&mut self.world, NOW, &mut effects);
        effects.said().iter().map(|said| CODEC.decode(said.payload.as_deref()).unwrap()).collect()
    }

    /// The same input again changes nothing and says nothing.
    pub fn assert_repeats_silently(&mut self, input: Input) {
        let before = format!("{:?}", self.world);
        self.hear(input).unwrap().assert_nothing();
        assert_eq!(before, format!("{:?}", self.world));
    }

    pub fn order(&self) -> &Reservation {
        self.world.order(ORDER).unwrap()
    }

    /// A level as on hand, reserved, missing.
    pub fn level(&self, sku: &str, warehouse: &str) -> [i64; 3] {
        let level = self.world.stock.level(&sku.into(), &warehouse.into()).unwrap();
        [level.on_hand, level.reserved, level.missing]
    }

    /// The order's allocations: line, warehouse, quantity.
    pub fn plan(&self) -> Vec<(&str, &str, i64)> {
        let of = |held: &'_ crate::Holding| held.quantity;
        self.order().holdings.iter().map(|held| (held.line_id.as_str(), held.warehouse.as_str(), of(held))).collect()
    }

    /// So many units of one of the order's allocations.
    pub fn item(&self, holding: usize, quantity: i64) -> Item {
        let held = &self.order().holdings[holding];
        let (line_id, sku) = (held.line_id.clone(), held.sku.clone());
        Item { allocation_id: held.allocation_id, line_id, sku, quantity }
    }

    /// The same, given up.
    pub fn given_up(&self, holding: usize, quantity: i64, why: Why) -> GivenUp {
        self.order().holdings[holding].given_up(quantity, why.condition(), why)
    }

    pub fn short(&self, shipment: u128, short: Vec<GivenUp>, tried: &[&str]) -> Input {
        let tried: Vec<WarehouseId> = tried.iter().map(|id| WarehouseId::from(*id)).collect();
        let (shipment_id, warehouse) = (ShipmentId(Uuid::from_u128(shipment)), tried.last().unwrap().clone());
        Input::ShortPicked(FulfillmentShortPicked { order_id: ORDER, shipment_id, warehouse, short, tried })
    }

    pub fn left(&self, shipment: u128, items: Vec<Item>) -> Input {
        Input::Dispatched(ShipmentDispatched {
            order_id: ORDER,
            shipment_id: ShipmentId(Uuid::from_u128(shipment)),
            warehouse: "A".into(),
            items,
            carrier: "post".into(),
            tracking: None,
            dispatched_at: NOW,
        })
    }

    pub fn refund(&self, items: Vec<GivenUp>) -> Input {
        let currency = "EUR".parse().unwrap();
        Input::Refunded(PaymentRefunded { order_id: ORDER, amount: 1, currency, items, reason: cancelled() })
    }
}

pub(super) fn cancelled() -> Reason {
    Reason { code: ReasonCode::Cancelled, detail: "changed my mind".into() }
}

pub(super) fn line(id: &str, sku: &str, quantity: i64) -> Line {
    Line { line_id: id.into(), sku: sku.into(), quantity, unit_price: 100, amount: 100 * quantity }
}

pub(super) fn accepted_as(order_id: OrderId, lines: Vec<Line>) -> Input {
    let total = lines.iter().map(|line| line.amount).sum();
    Input::Accepted(Box::new(OrderAccepted {
        order_id,
        source: "test".into(),
        reference: "r".into(),
        customer_id: "c".into(),
        currency: "EUR".parse().unwrap(),
        lines,
        subtotal: total,
        shipping: 0,
        discount: 0,
        tax: 0,
        total,
        payment_method: "tok_approved".into(),
        payment: None,
        ship_to_country: "DE".into(),
        personal: Personal { key_id: String::new(), data: Vec::new() },
        exchange_for: None,
    }))
}

pub(super) fn accepted() -> Input {
    accepted_as(ORDER, vec![line("1", "MUG", 2), line("2", "BOWL", 3)])
}

pub(super) fn declined() -> Input {
    let reason = Reason { code: ReasonCode::Declined, detail: "do_not_honor".into() };
    let currency = "EUR".parse().unwrap();
    Input::Declined(PaymentDeclined { order_id: ORDER, amount: 500, currency, reason })
}

pub(super) fn voided_with(given_up: Vec<GivenUp>) -> Input {
    let reason = cancelled();
    Input::Voided(PaymentVoided { order_id: ORDER, amount: 0, currency: None, announced: false, given_up, reason })
}

/// The order in the state that a cell is about: two mugs and three bowls in A.
pub(super) fn in_state(state: Option<State>) -> House {
    let mut house = House::stocked([("MUG", "A", 10), ("BOWL", "A", 10), ("MUG", "B", 10)]);
    let before = match state {
        None => vec![],
        Some(State::Reserved) => vec![accepted()],
        Some(State::Held) => vec![accepted(), Input::Authorized(ORDER)],
        Some(State::Closed) => vec![accepted(), voided_with(vec![])],
        Some(State::Rejected) => vec![accepted_as(ORDER, vec![line("1", "MUG", 21)])],
    };
    for input in before {
        house.hear(input).unwrap();
    }
    assert_eq!(house.world.order(ORDER).map(|order| order.state), state);
    house
}
