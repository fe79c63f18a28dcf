//! One order in a world of its own, brought into any state by the events that bring it there.

use std::sync::LazyLock;
use std::time::Duration;

use events::{
    Address, Allocation, AllocationId, Event, FraudCleared, OrderId, OrderPlaced, PaymentCaptured, Person, Reason,
    ReasonCode, ShipmentId, StockReallocated, Timestamp, Why, derive_id,
};
use runtime::rows::Rows;
use runtime::{Cause, Codec, Conflict, Consumer, Effects, Outgoing, Timer, TraceContext, Work};
use uuid::Uuid;

use crate::input::{Answer, Answered, Input, Reply};
use crate::parcel::Fate;
use crate::row::{Consignment, NextStep};
use crate::settings::{Settings, WarehouseMode};
use crate::{BatchState, Fulfillment, NAME, Overdue};

/// Built once: a codec's schemas live as long as the process.
static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::of_catalogue().unwrap());

#[derive(Clone)]
pub struct House {
    pub world: BatchState,
    pub now: Timestamp,
    pub capture_before: Timestamp,
    settings: Settings,
    codec: Codec,
    causes: u128,
}

pub struct Decided {
    pub reply: Reply,
    pub calls: Vec<Overdue>,
    pub changed: bool,
    said: Vec<Outgoing>,
    timers: Vec<(Timer, bool)>,
    codec: Codec,
}

impl Decided {
    /// Short names of what was said.
    pub fn names(&self) -> Vec<&str> {
        self.said
            .iter()
            .filter_map(|said| said.headers.text("ce_type"))
            .filter_map(|name| name.rsplit('.').next())
            .collect()
    }

    /// The one event of this type that was said.
    pub fn event<E: Event>(&self) -> E {
        let mut found = self.said.iter().filter(|said| said.headers.text("ce_type") == Some(E::TYPE));
        let said = found.next().unwrap_or_else(|| panic!("expected {}, got {:?}", E::NAME, self.names()));
        assert!(found.next().is_none(), "{} was said twice", E::NAME);
        self.codec.decode(said.payload.as_deref()).unwrap()
    }

    /// All events of this type that were said.
    pub fn events<E: Event>(&self) -> Vec<E> {
        let found = self.said.iter().filter(|said| said.headers.text("ce_type") == Some(E::TYPE));
        found.map(|said| self.codec.decode(said.payload.as_deref()).unwrap()).collect()
    }

    /// Timers that were armed or forgotten.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    pub fn armed(&self) -> usize {
        self.timers.iter().filter(|(_, armed)| *armed).count()
    }
}

pub fn order_id() -> OrderId {
    OrderId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn thread() -> TraceContext {
    TraceContext { correlation_id: "correlation".into(), ..TraceContext::default() }
}

/// The id of the allocation of a test's line, by its name.
pub fn allocation_id(name: &str) -> AllocationId {
    AllocationId(derive_id(name, "test", "allocation", ""))
}

pub fn plan(entries: &[(&str, &str, i64)]) -> Vec<Allocation> {
    let allocation = |(name, warehouse, quantity): &(&str, &str, i64)| Allocation {
        allocation_id: allocation_id(name),
        line_id: (*name).into(),
        sku: (*name).into(),
        warehouse: (*warehouse).into(),
        quantity: *quantity,
        aisle: None,
        bin: None,
        replaces: None,
    };
    entries.iter().map(allocation).collect()
}

fn fraud_cleared(plan: Vec<Allocation>, country: &str, capture_before: Timestamp) -> Input {
    let ship_to = Address { name: "Ada".into(), country: country.into(), ..Address::default() };
    Input::Cleared(Box::new(FraudCleared {
        order_id: order_id(),
        customer_id: "c1".into(),
        currency: "EUR".parse().unwrap(),
        lines: Vec::new(),
        plan,
        personal: Person::from(&OrderPlaced { ship_to, ..OrderPlaced::default() }).seal(),
        capture_before,
        score: 0,
        rules: Vec::new(),
        decided_by: "rules".into(),
    }))
}

fn week() -> Timestamp {
    start().plus(Duration::from_secs(7 * 24 * 3_600))
}

fn start() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

pub fn cleared(entries: &[(&str, &str, i64)]) -> Input {
    cleared_with(plan(entries))
}

pub fn cleared_with(plan: Vec<Allocation>) -> Input {
    fraud_cleared(plan, "DE", week())
}

pub fn cleared_to(country: &str) -> Input {
    fraud_cleared(plan(&[("a", "BER", 1)]), country, week())
}

pub fn cancellation() -> Input {
    Input::CancellationRequested(order_id(), Reason { code: ReasonCode::Cancelled, detail: "changed my mind".into() })
}

pub fn capture_failed() -> Input {
    Input::CaptureFailed(order_id(), Reason { code: ReasonCode::CaptureFailed, detail: "refused by the issuer".into() })
}

/// Moved allocations are named after what they replace, the warehouse and the shipment that was short.
pub fn reallocated(shipment_id: ShipmentId, moved: &[(&str, &str, i64)]) -> Input {
    let mut plan = plan(moved);
    for (allocation, (name, warehouse, _)) in plan.iter_mut().zip(moved) {
        allocation.replaces = Some(allocation.allocation_id);
        allocation.allocation_id = allocation_id(&format!("{name}/{warehouse}/{shipment_id}"));
    }
    Input::Reallocated(Box::new(StockReallocated {
        order_id: order_id(),
        shipment_id,
        moved: plan,
        missing: Vec::new(),
    }))
}

pub fn answered(shipment_id: ShipmentId, answer: Answer) -> Input {
    Input::Answered(Answered { order_id: order_id(), shipment_id, answer })
}

pub fn pick_due_of(shipment_id: ShipmentId) -> Input {
    Input::PickDue(order_id(), shipment_id)
}

/// Everything was picked; `House::answer` fills in the list.
pub fn all() -> Answer {
    Answer::Picked {
        items: Vec::new(),
        rest: Fate { why: Why::Short, condition: events::Condition::Other("all".into()) },
    }
}

pub fn some(items: &[(&str, i64)], why: Why) -> Answer {
    let items = items.iter().map(|(name, quantity)| (allocation_id(name), *quantity)).collect();
    Answer::Picked { items, rest: Fate::of(why) }
}

pub fn left() -> Answer {
    Answer::HandedOver { carrier: "DHL".into(), tracking: Some("T1".into()), at: None }
}

impl House {
    pub fn external() -> Self {
        let settings = Settings { warehouse: WarehouseMode::External, ..Settings::default() };
        Self::with(settings)
    }

    pub fn with(settings: Settings) -> Self {
        let codec = CODEC.clone();
        Self { world: BatchState::default(), now: start(), capture_before: week(), settings, codec, causes: 0 }
    }

    pub fn settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
    }

    pub fn cleared(&self, entries: &[(&str, &str, i64)]) -> Input {
        fraud_cleared(plan(entries), "DE", self.capture_before)
    }

    /// Two units of a in BER, one of b in HAM.
    pub fn picking() -> Self {
        let mut house = Self::external();
        house.hear(cleared(&[("a", "BER", 2), ("b", "HAM", 1)])).unwrap();
        house
    }

    pub fn confirmed() -> Self {
        let mut house = Self::picking();
        house.answer(0, all()).unwrap();
        house.answer(1, all()).unwrap();
        house
    }

    pub fn released() -> Self {
        let mut house = Self::confirmed();
        let captured = house.captured();
        house.hear(captured).unwrap();
        house
    }

    pub fn closed() -> Self {
        let mut house = Self::released();
        house.answer(0, left()).unwrap();
        house.answer(1, left()).unwrap();
        house
    }

    /// Every state that has a row: picking, confirmed, released, closed, a tombstone.
    pub fn in_every_state() -> Vec<Self> {
        let mut tombstone = Self::external();
        tombstone.cancel().unwrap();
        vec![Self::picking(), Self::confirmed(), Self::released(), Self::closed(), tombstone]
    }

    pub fn order(&self) -> &Consignment {
        self.world.order(order_id()).expect("the order is known")
    }

    pub fn step(&self, index: usize) -> NextStep {
        self.order().next_step(&self.order().parcels[index])
    }

    /// PaymentCaptured for all that was confirmed.
    pub fn captured(&self) -> Input {
        let items = self.order().parcels.iter().flat_map(|parcel| parcel.packed()).collect();
        let currency = "EUR".parse().unwrap();
        Input::Captured(Box::new(PaymentCaptured { order_id: order_id(), amount: 1, remainder: 0, currency, items }))
    }

    pub fn captured_less(&self) -> Input {
        let Input::Captured(mut captured) = self.captured() else { unreachable!() };
        captured.items.pop();
        Input::Captured(captured)
    }

    pub fn answer(&mut self, index: usize, answer: Answer) -> Result<Decided, Conflict> {
        let parcel = &self.order().parcels[index];
        let answer = if answer == all() {
            let items = parcel.picks.iter().map(|pick| (pick.allocation_id, pick.quantity)).collect();
            Answer::Picked { items, rest: Fate::of(Why::Short) }
        } else {
            answer
        };
        let input = answered(parcel.shipment_id, answer);
        self.hear(input)
    }

    pub fn reallocate(&mut self, index: usize, moved: &[(&str, &str, i64)]) -> Result<Decided, Conflict> {
        let shipment_id = self.order().parcels.get(index).map_or(ShipmentId(order_id().0), |parcel| parcel.shipment_id);
        self.hear(reallocated(shipment_id, moved))
    }

    pub fn cancel(&mut self) -> Result<Decided, Conflict> {
        self.hear(cancellation())
    }

    pub fn pick_due(&mut self, index: usize) -> Result<Decided, Conflict> {
        let shipment_id = self.order().parcels[index].shipment_id;
        self.hear(pick_due_of(shipment_id))
    }

    pub fn hand_over_due(&mut self) -> Result<Decided, Conflict> {
        self.hear(Input::HandOverDue(order_id()))
    }

    /// Decides an input with a fresh cause.
    pub fn hear(&mut self, input: Input) -> Result<Decided, Conflict> {
        self.causes += 1;
        let cause = Cause::topic(Uuid::from_u128(self.causes), thread());
        self.decide(&Work { cause, input })
    }

    pub fn decide(&mut self, work: &Work<Input>) -> Result<Decided, Conflict> {
        let fulfillment = Fulfillment::new(self.settings.clone());
        let mut effects = Effects::new(&self.codec, NAME, &work.cause, self.now);
        let before = self.world.order(order_id()).cloned();
        self.world.orders = Rows::default();
        self.world.orders.take(before.clone().map(|row| (order_id(), 1, row)));
        let reply = fulfillment.decide(&mut self.world, work, self.now, &mut effects);
        let changed = self.world.orders.changed().next().is_some();
        let unchanged = self.world.order(order_id()) == before.as_ref();
        assert!(changed || unchanged, "a change was not marked, or a conflict changed the order");
        let reply = reply?;
        assert!(effects.broken().is_none(), "{:?}", effects.broken());
        Ok(Decided {
            reply,
            changed,
            calls: effects.take_calls(),
            said: effects.said().to_vec(),
            timers: effects.timer_changes().collect(),
            codec: self.codec.clone(),
        })
    }

    /// Hears an input that must change nothing, say nothing, ask nothing.
    pub fn means_nothing(&mut self, input: Input) {
        let decided = self.hear(input.clone()).unwrap();
        assert!(
            !decided.changed && decided.said.is_empty() && decided.calls.is_empty(),
            "{input:?} meant {:?}",
            decided.names()
        );
    }
}
