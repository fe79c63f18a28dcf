//! All consumers and the bus between them: the scheduler of a run, and what must hold when it is quiet.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use events::{
    Event, OrderCancelled, OrderCompleted, OrderFailed, OrderId, OrderPlaced, OrderRejected, ReasonCode, RefundId,
    ReturnId, Timestamp, derive_id, line_value,
};
use fraud::{Fraud, FraudSettings};
use fulfillment::{Fulfillment, ReceivedUnits, ReturnInput, ReturnState};
use inventory::Inventory;
use notifications::Notifications;
use orders::{Cancel, Orders};
use payments::{Asked, Payments, PaymentsSettings, RefundInput, RefundRequest, RefundState};
use runtime::{Clock, Codec, Message, Outgoing, Span};
use serde_json::json;

use super::Random;
use super::gateway::{self, Shared};
use super::node::{Node, Party};

/// What every thousand runs bring at least once.
pub const EXPECTED: [&str; 33] = [
    "OrderAccepted",
    "OrderCancellationRequested",
    "OrderCompleted",
    "OrderCancelled",
    "OrderFailed",
    "StockReserved",
    "StockRejected",
    "ReservationExpired",
    "StockReallocated",
    "StockCommitted",
    "StockReleased",
    "PaymentActionRequired",
    "PaymentAuthorized",
    "PaymentDeclined",
    "PaymentCaptured",
    "PaymentCaptureFailed",
    "PaymentVoided",
    "PaymentRefunded",
    "PaymentRefundFailed",
    "RefundRequested",
    "RefundCompleted",
    "RefundFailed",
    "FraudCleared",
    "FraudRejected",
    "FraudReviewRequested",
    "FulfillmentShortPicked",
    "FulfillmentConfirmed",
    "FulfillmentCancelled",
    "ShipmentDispatched",
    "ReturnAnnounced",
    "ReturnReceived",
    "ReturnRefused",
    "StockReturned",
];

const SKUS: [&str; 9] = ["TEA", "CUP", "SHORT-1", "GONE-1", "REFUSE-1", "LATE-1", "DAMAGED-1", "HOLD-1", "RUSH-1"];
const WAREHOUSES: [&str; 3] = ["a", "b", "c"];
/// Units of each SKU in each warehouse.
const UNITS: i64 = 3;

pub struct World {
    random: Random,
    now: Timestamp,
    steps: u64,
    codec: Codec,
    orders: Node<Orders>,
    inventory: Node<Inventory>,
    payments: Node<Payments>,
    fraud: Node<Fraud>,
    fulfillment: Node<Fulfillment>,
    notifications: Node<Notifications>,
    book: Shared,
    placed: Vec<OrderId>,
    said: Vec<Message>,
    ids: HashSet<String>,
    /// How often each order has ended.
    ends: BTreeMap<OrderId, usize>,
    /// Refunds that failed and that nobody tries again.
    given_up: HashSet<RefundId>,
    /// Refunds and returns that are still asked for after the end.
    after_the_end: usize,
}

impl World {
    pub fn new(count: usize, mut random: Random, codec: &Codec) -> Self {
        let book = Shared::default();
        let stock: Vec<(&str, &str, i64)> =
            SKUS.iter().flat_map(|sku| WAREHOUSES.map(|warehouse| (*sku, warehouse, UNITS))).collect();
        let mut delay = || Span::secs(random.below(2) as u64);
        let (pick_delay, hand_over_delay) = (delay(), delay());
        let none = || -> super::node::Outside<Orders> { Box::new(|_, never, _, _| match never {}) };
        let mut world = Self {
            random,
            now: Timestamp::from_millis(1_800_000_000_000),
            steps: 0,
            orders: Node::new(Orders::new(Clock::default(), 0.0), orders::BatchState::default(), codec, none()),
            inventory: Node::new(
                Inventory::default(),
                inventory::BatchState::stocked(stock),
                codec,
                Box::new(|_, never, _, _| match never {}),
            ),
            payments: Node::new(
                Payments::detached(PaymentsSettings::default()).expect("default settings"),
                payments::BatchState::default(),
                codec,
                gateway::outside(Rc::clone(&book)),
            ),
            fraud: Node::new(
                Fraud::new(FraudSettings::default()).expect("default settings"),
                fraud::BatchState::default(),
                codec,
                Box::new(|_, never, _, _| match never {}),
            ),
            fulfillment: Node::new(
                // Where it takes its time, whatever else may happen to the order happens meanwhile.
                Fulfillment::new(fulfillment::Settings {
                    pick_delay,
                    hand_over_delay,
                    returnable_for: Span::secs(10_000 * 24 * 3_600), // the orders' ids are of today
                    ..fulfillment::Settings::demo()
                }),
                fulfillment::BatchState::default(),
                codec,
                Box::new(|_, _, _, _| Vec::new()), // it writes a log line
            ),
            notifications: Node::new(
                Notifications::default(),
                notifications::BatchState::default(),
                codec,
                Box::new(|_, _, _, _| Vec::new()), // it writes a log line
            ),
            codec: codec.clone(),
            book,
            placed: Vec::new(),
            said: Vec::new(),
            ids: HashSet::new(),
            ends: BTreeMap::new(),
            given_up: HashSet::new(),
            after_the_end: 5,
        };
        for n in 0..count {
            world.place(n);
        }
        world
    }

    fn place(&mut self, n: usize) {
        let line = |world: &mut Self| json!({"sku": *world.random.pick(&SKUS), "quantity": 1 + world.random.below(4), "unit_price": 1 + world.random.below(1_000)});
        let lines: Vec<_> = (0..1 + self.random.below(3)).map(|_| line(self)).collect();
        let country = if self.random.chance(15) { "US" } else { "GB" };
        let address =
            |country| json!({"name": "Ada", "line1": "1 Road", "city": "Town", "postal_code": "1", "country": country});
        let price = if self.random.chance(20) { 990_000 } else { self.random.below(500) };
        let placed: OrderPlaced = serde_json::from_value(json!({
            "source": "model", "reference": n.to_string(), "currency": "EUR", "lines": lines, "shipping": price, "tax": self.random.below(50),
            "customer": {"id": format!("c-{n}"), "name": "Ada", "email": "ada@example.com"},
            "payment_method": "tok", "ship_to": address("GB"), "bill_to": address(country),
        }))
        .expect("an order");
        let value = self.codec.encode(&placed).expect("it fits its schema");
        let message = Message {
            topic: "order-placed",
            partition: 0,
            offset: n as i64,
            timestamp_ms: None,
            key: None,
            headers: runtime::Headers::default(),
            payload: Some(value),
        };
        let work = runtime::Consumer::decode(&self.orders.consumer, &message, &self.codec).expect("a readable order");
        let said = self.orders.decide(vec![work], self.now);
        let order_id = std::str::from_utf8(said[0].key.as_deref().unwrap_or_default())
            .expect("text")
            .parse()
            .expect("an order's id");
        self.placed.push(order_id);
        self.publish(said);
    }

    /// The relay: every consumer that hears an event finds it in its inbox.
    fn publish(&mut self, said: Vec<Outgoing>) {
        for row in said {
            assert!(
                self.ids.insert(row.event_id.to_string()),
                "an id was said twice: {:?}",
                row.headers.text("ce_type")
            );
            let headers = row.headers.as_read(row.key.as_deref());
            let message = Message {
                topic: row.topic,
                partition: 0,
                offset: self.said.len() as i64,
                timestamp_ms: None,
                key: row.key,
                headers,
                payload: row.payload,
            };
            for party in self.parties() {
                party.enqueue(&message);
            }
            let terminal = [OrderCompleted::TYPE, OrderCancelled::TYPE, OrderFailed::TYPE, OrderRejected::TYPE];
            let key = message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
            if let Some(order) = key.and_then(|key| key.parse().ok())
                && message.event_type().is_some_and(|event_type| terminal.contains(&event_type))
            {
                *self.ends.entry(order).or_default() += 1;
            }
            self.said.push(message);
        }
    }

    fn parties(&mut self) -> [&mut dyn Party; 6] {
        [
            &mut self.orders,
            &mut self.inventory,
            &mut self.payments,
            &mut self.fraud,
            &mut self.fulfillment,
            &mut self.notifications,
        ]
    }

    /// Runs until nothing is left to do, then checks what must hold.
    pub fn run(&mut self) {
        // ends when nothing is left to do, or after 50,000 steps
        loop {
            self.steps += 1;
            assert!(self.steps < 50_000, "the run does not end");
            if self.meddle() {
                continue;
            }
            let (mail, calls): (Vec<usize>, Vec<usize>) = self.busy();
            let said = match (mail.is_empty(), calls.is_empty()) {
                (true, true) => {
                    if !self.wait() {
                        break;
                    }
                    continue;
                }
                (false, true) => self.read(&mail),
                (true, false) => self.answer(&calls),
                (false, false) if self.random.chance(60) => self.read(&mail),
                (false, false) => self.answer(&calls),
            };
            self.publish(said);
        }
        self.check();
    }

    fn busy(&mut self) -> (Vec<usize>, Vec<usize>) {
        let parties = self.parties();
        let mail = (0..parties.len()).filter(|index| parties[*index].has_mail()).collect();
        (mail, (0..parties.len()).filter(|index| parties[*index].has_calls()).collect())
    }

    /// One party is handed the dice and the time.
    fn with(
        &mut self,
        index: usize,
        act: fn(&mut dyn Party, &mut Random, Timestamp) -> Vec<Outgoing>,
    ) -> Vec<Outgoing> {
        let (mut random, now) = (std::mem::replace(&mut self.random, Random::new(1)), self.now);
        let said = act(self.parties()[index], &mut random, now);
        self.random = random;
        said
    }

    fn read(&mut self, of: &[usize]) -> Vec<Outgoing> {
        let index = *self.random.pick(of);
        self.with(index, |party, random, now| party.read(random, now))
    }

    fn answer(&mut self, of: &[usize]) -> Vec<Outgoing> {
        let index = *self.random.pick(of);
        self.with(index, |party, random, now| party.call_or_answer(random, now))
    }

    /// Now and then: a cancellation, a crash, an old event again, a customer who acts, a reviewer, time that passes.
    fn meddle(&mut self) -> bool {
        let order = *self.random.pick(&self.placed.clone());
        let said = match self.random.below(120) {
            0 => self.cancel(order),
            1 => {
                let index = self.random.below(6);
                self.with(index, |party, random, _| {
                    party.crash(random);
                    Vec::new()
                })
            }
            2..=4 => {
                let index = self.random.below(6);
                self.with(index, |party, random, now| party.redeliver(random, now))
            }
            5 => self.customer(order),
            6 => self.reviewer(order),
            7 => {
                self.now = self.now.plus(Duration::from_secs(60 * self.random.below(20) as u64));
                return false;
            }
            10 | 11 => self.refund(order),
            12 => self.announce(order),
            13 => self.end_return(),
            8 | 9 => {
                let index = self.random.below(6);
                self.with(index, |party, random, now| party.fire(random, now))
            }
            _ => return false,
        };
        self.publish(said);
        true
    }

    fn cancel(&mut self, order_id: OrderId) -> Vec<Outgoing> {
        let cancel = Cancel { order_id, requested_by: "customer".into(), reason: "changed my mind".into() };
        self.orders.ask(&format!("{order_id}/cancel"), orders::Input::Cancel(cancel), self.now)
    }

    /// All, an amount or units, under one of few keys: some come twice, or with another body.
    fn refund(&mut self, order_id: OrderId) -> Vec<Outgoing> {
        let key = self.random.below(4).to_string();
        let refund_id = RefundId(events::derive_id(order_id, "payments", "refund", &key));
        let asked = match self.random.below(3) {
            0 => Asked::All,
            1 => Asked::Amount(1 + self.random.below(500) as i64),
            _ => Asked::Lines(vec![((*self.random.pick(&SKUS)).to_owned(), 1 + self.random.below(2) as i64)]),
        };
        let (reason, requested_by) = ("broken".to_owned(), "eve".to_owned());
        let request = RefundRequest { order_id, refund_id, asked, currency: None, reason, requested_by };
        let input = payments::Input::Refund(RefundInput::Asked(Box::new(request)));
        self.payments.ask(&format!("{order_id}/refunds/{refund_id}"), input, self.now)
    }

    /// Units of what left, mostly, under one of few keys: some come twice, or with another body.
    fn announce(&mut self, order_id: OrderId) -> Vec<Outgoing> {
        let key = self.random.below(4).to_string();
        let return_id = ReturnId(derive_id(order_id, "fulfillment", "return", &key));
        let mut skus: Vec<String> = vec![(*self.random.pick(&SKUS)).to_owned()];
        let order = self.fulfillment.state.order(order_id);
        skus.extend(order.into_iter().flat_map(|order| order.shipped_skus()).map(|sku| sku.to_string()));
        let sku = skus.last().filter(|_| self.random.chance(80)).unwrap_or(&skus[0]).clone();
        let (units, refund) = (vec![(sku, 1 + self.random.below(2) as i64)], self.random.chance(80));
        let (reason, requested_by) = ("too small".to_owned(), "eve".to_owned());
        let input = ReturnInput::Announce { order_id, return_id, units, refund, reason, requested_by };
        let key = format!("{order_id}/returns/{return_id}/announced");
        self.fulfillment.ask(&key, fulfillment::Input::Return(input), self.now)
    }

    /// Any return arrives, in part or broken perhaps, or is refused: also one that was, or with another body.
    fn end_return(&mut self) -> Vec<Outgoing> {
        let returns: Vec<ReturnId> = self.fulfillment.state.returns().map(|(return_id, _)| *return_id).collect();
        if returns.is_empty() {
            return Vec::new();
        }
        let return_id = *self.random.pick(&returns);
        let found = self.fulfillment.state.returns().find(|(other, _)| **other == return_id);
        let (order_id, lines) =
            found.map(|(_, returned)| (returned.order_id, returned.announced())).expect("one of them");
        let (what, input) = if self.random.chance(25) {
            let (reason, refused_by) = ("worn".to_owned(), "eve".to_owned());
            ("refused", ReturnInput::Refuse { order_id, return_id, reason, refused_by })
        } else {
            // A return of ours is of one SKU.
            let (sku, all) = (lines[0].sku.to_string(), lines.iter().map(|line| line.quantity).sum::<i64>());
            let damaged = self.random.below(all as usize + 1) as i64;
            let intact = self.random.below((all - damaged) as usize + 1) as i64;
            let units = vec![ReceivedUnits { sku, intact, damaged }];
            let elsewhere = self.random.chance(20);
            let warehouse = elsewhere.then(|| (*self.random.pick(&WAREHOUSES)).into());
            ("received", ReturnInput::Receive { order_id, return_id, units, warehouse, received_by: "hall".to_owned() })
        };
        let key = format!("{order_id}/returns/{return_id}/{what}");
        self.fulfillment.ask(&key, fulfillment::Input::Return(input), self.now)
    }

    /// A person has a refund that is stuck tried again; one that was refused perhaps not.
    fn retry_refund(&mut self) -> bool {
        let stuck = self.payments.state.refunds().filter(|(refund_id, _)| !self.given_up.contains(refund_id));
        let stuck =
            stuck.filter(|(_, refund)| refund.is_stuck()).map(|(id, refund)| (*id, refund.order_id, refund.state()));
        let Some((refund_id, order_id, state)) = stuck.collect::<Vec<_>>().first().copied() else { return false };
        if state == RefundState::Failed && self.random.chance(50) {
            self.given_up.insert(refund_id);
            return true;
        }
        let input = payments::Input::Refund(RefundInput::Retry { order_id, refund_id, by: "eve".into() });
        let said = self.payments.ask(&format!("{order_id}/refunds/{refund_id}/retry/{}", self.steps), input, self.now);
        self.publish(said);
        true
    }

    fn customer(&mut self, order_id: OrderId) -> Vec<Outgoing> {
        let Some(payment) = self.payments.state.payment(order_id) else { return Vec::new() };
        let Some(currency) = payment.currency else { return Vec::new() };
        let money = payments::gateway::Money { amount: payment.amount, currency };
        let acts = { self.book.borrow().entries.get(&order_id).is_some_and(|entry| entry.waits) };
        if !acts {
            return Vec::new();
        }
        let work = gateway::customer_acts(&mut self.book.borrow_mut(), order_id, money, &mut self.random, self.now);
        self.payments.decide(vec![work], self.now)
    }

    fn reviewer(&mut self, order_id: OrderId) -> Vec<Outgoing> {
        let ruling = if self.random.chance(60) { fraud::Ruling::Clear } else { fraud::Ruling::Reject };
        let input = fraud::Input::Ruled { order_id, ruling, by: "eve".into(), note: None };
        let before = self.fraud.conflicts().len();
        let said = self.fraud.ask(&format!("{order_id}/verdict"), input, self.now);
        assert_eq!(
            before,
            self.fraud.conflicts().len(),
            "a verdict on what is not under review is refused, not a contradiction"
        );
        said
    }

    /// Nothing happens any more: time passes until the next timer; or a person has what is stuck tried again. False when all is done.
    fn wait(&mut self) -> bool {
        let stuck: Vec<OrderId> = self
            .payments
            .state
            .payments()
            .filter(|payment| payment.is_stuck())
            .map(|payment| payment.order_id)
            .collect();
        if let Some(order_id) = stuck.first() {
            let input = payments::Input::Retry { order_id: *order_id, by: "eve".into() };
            let said = self.payments.ask(&format!("{order_id}/retry/{}", self.steps), input, self.now);
            self.publish(said);
            return true;
        }
        if self.retry_refund() {
            return true;
        }
        let late = self.book.borrow_mut().late.pop();
        if let Some((message_id, input)) = late {
            let said = self.payments.ask(&message_id, input, self.now);
            self.publish(said);
            return true;
        }
        // A parcel that its warehouse holds for ever is asked after for ever: only a cancellation moves it.
        if self.steps > 3_000 && !self.all_ended() && self.random.chance(5) {
            let order = *self.random.pick(&self.placed.clone());
            let said = self.cancel(order);
            self.publish(said);
        }
        let next: Vec<(usize, Timestamp)> =
            self.parties().iter().enumerate().filter_map(|(index, party)| Some((index, party.next_timer()?))).collect();
        if self.all_ended() && self.after_the_end > 0 {
            self.after_the_end -= 1;
            let order = *self.random.pick(&self.placed.clone());
            let said = match self.random.below(8) {
                0..=2 => self.refund(order),
                3..=5 => self.announce(order),
                _ => self.end_return(),
            };
            self.publish(said);
            return true;
        }
        if self.all_ended() && next.iter().all(|(_, due)| *due > self.now.plus(Duration::from_secs(30 * 24 * 3_600))) {
            return false;
        }
        let Some((index, due)) = next.iter().min_by_key(|(_, due)| *due).copied() else {
            return !self.all_ended(); // nothing is armed: a cancellation, later
        };
        self.now = self.now.max(due);
        let said = self.with(index, |party, random, now| party.fire(random, now));
        self.publish(said);
        true
    }

    fn all_ended(&self) -> bool {
        self.placed.iter().all(|order| self.ends(*order) > 0)
    }

    fn ends(&self, order: OrderId) -> usize {
        self.ends.get(&order).copied().unwrap_or_default()
    }

    /// docs/protocol.md, section 5.
    fn check(&mut self) {
        let conflicts: Vec<String> = self.parties().iter().flat_map(|party| party.conflicts().to_vec()).collect();
        assert!(conflicts.is_empty(), "cells that can't be reached were: {conflicts:#?}");
        let mut committed: BTreeMap<&str, i64> = BTreeMap::new();
        for order in &self.placed {
            assert_eq!(self.ends(*order), 1, "order {order} must end once");
            self.check_order(*order);
            let reservation = self.inventory.state.order(*order).expect("inventory knows every accepted order");
            for holding in &reservation.holdings {
                let sku = SKUS.iter().find(|sku| **sku == holding.sku.as_str()).expect("a SKU of ours");
                *committed.entry(sku).or_insert(0) += holding.committed;
                assert_eq!(holding.reserved, 0, "{holding:?}");
            }
        }
        let mut back: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, returned) in self.fulfillment.state.returns() {
            for line in returned.received() {
                let sku = SKUS.iter().find(|sku| **sku == line.sku.as_str()).expect("a SKU of ours");
                *back.entry(sku).or_insert(0) += line.intact + line.damaged;
            }
        }
        for (sku, warehouse, level) in self.inventory.state.stock.levels() {
            assert_eq!(level.reserved, 0, "{sku} {warehouse} {level:?}");
            assert!(level.on_hand >= 0, "{sku} {warehouse} {level:?}");
        }
        for sku in SKUS {
            let levels: Vec<_> =
                self.inventory.state.stock.of(&sku.into()).map(|(_, level)| (level.on_hand, level.missing)).collect();
            let (left, missing) = levels.iter().fold((0, 0), |sum, level| (sum.0 + level.0, sum.1 + level.1));
            assert_eq!(
                left + missing + committed.get(sku).copied().unwrap_or(0) - back.get(sku).copied().unwrap_or(0),
                3 * UNITS,
                "units of {sku} are conserved"
            );
        }
    }

    fn check_order(&self, order: OrderId) {
        let entry = self.book.borrow().entries.get(&order).cloned().unwrap_or_default();
        assert_eq!(entry.held, 0, "{order}: money is held after the end: {entry:?}");
        assert!(entry.captures <= 1, "{order}: charged twice: {entry:?}");
        assert!(!entry.waits, "{order}: the customer can still pay: {entry:?}");
        let charged = self.charged(order);
        let (open, done) =
            self.payments.state.payment(order).map_or((0, 0), |payment| (payment.refunds_open, payment.refunds_done));
        assert_eq!(open, 0, "{order}: a refund is open after all is quiet");
        assert!(done <= charged, "{order}: {done} refunded to the customer, {charged} charged");
        assert_eq!(
            entry.captured - entry.refunded,
            charged - done,
            "{order}: captured − refunded is the value of what shipped, less what the customer got back: {entry:?}"
        );
        let refunds = || self.payments.state.refunds().filter(|(_, refund)| refund.order_id == order);
        let paid = |of_returns: bool| -> i64 {
            let of = refunds().filter(|(_, refund)| refund.data.requested_by.starts_with("return:") == of_returns);
            let paid = of.filter(|(_, refund)| refund.state() == RefundState::Refunded);
            paid.map(|(_, refund)| refund.amount).sum()
        };
        let (came_back, goodwill) = (paid(true), paid(false));
        assert_eq!(came_back + goodwill, done, "{order}: each refund is counted once");
        self.check_returns(
            order,
            goodwill == 0 && refunds().all(|(_, refund)| refund.state() == RefundState::Refunded),
        );
    }

    /// What was received is in stock, and was decided by payments; it is worth what the units cost, where returns alone were refunded.
    fn check_returns(&self, order: OrderId, returns_alone: bool) {
        let of_order = || self.fulfillment.state.returns().filter(|(_, returned)| returned.order_id == order);
        let received = || of_order().filter(|(_, returned)| returned.state() == ReturnState::Received);
        let units: i64 = received().flat_map(|(_, returned)| &returned.units).map(|units| units.came()).sum();
        let in_stock = self.inventory.state.order(order).map_or(0, |order| order.units_returned());
        assert_eq!(in_stock, units, "{order}: what was received is in stock, once");
        let Some(payment) = self.payments.state.payment(order) else { return };
        let decided: Vec<ReturnId> = payment.case.returns.keys().copied().collect();
        let refunded = || received().filter(|(_, returned)| returned.refund);
        assert_eq!(decided, refunded().map(|(id, _)| *id).collect::<Vec<_>>(), "{order}: each return is decided, once");
        let worth = payment.case.lines.iter().map(|line| {
            let units = refunded().flat_map(|(_, returned)| &returned.units);
            let units: i64 = units.filter(|units| units.line.line_id == line.line_id).map(|units| units.came()).sum();
            line_value(line.amount, line.quantity, units)
        });
        let (worth, paid): (i64, i64) = (worth.sum(), payment.case.returns.values().sum());
        assert!(paid == worth || !returns_alone, "{order}: {paid} is paid for returns that are worth {worth}");
    }

    fn charged(&self, order: OrderId) -> i64 {
        let key = order.to_string();
        let mine = self.said.iter().filter(|message| message.key.as_deref() == Some(key.as_bytes()));
        for message in mine {
            let payload = message.payload.as_deref();
            match message.event_type() {
                Some(OrderCompleted::TYPE) => {
                    let end: OrderCompleted = self.codec.decode(payload).expect("ours");
                    assert!(!end.shipped.is_empty(), "completed, and nothing shipped: {end:?}");
                    return end.charged;
                }
                Some(OrderCancelled::TYPE) => {
                    let end: OrderCancelled = self.codec.decode(payload).expect("ours");
                    assert!(end.shipped.is_empty() && end.charged == 0, "{end:?}");
                    return 0;
                }
                Some(OrderFailed::TYPE) => {
                    let end: OrderFailed = self.codec.decode(payload).expect("ours");
                    assert!(end.shipped.is_empty() && end.charged == 0, "{end:?}");
                    assert_ne!(end.reason.code, ReasonCode::Cancelled, "{end:?}");
                    return 0;
                }
                _ => {}
            }
        }
        0
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn said_types(&self) -> Vec<String> {
        let short = |message: &Message| {
            message.event_type().unwrap_or_default().rsplit('.').next().unwrap_or_default().to_owned()
        };
        self.said.iter().map(short).collect()
    }

    /// What was said, for people.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for message in &self.said {
            let key = String::from_utf8_lossy(message.key.as_deref().unwrap_or_default()).into_owned();
            let order = self.placed.iter().position(|order| order.to_string() == key);
            let key = order.map_or(key, |order| format!("order {order}"));
            let _ = writeln!(text, "{key} {}", message.event_type().unwrap_or_default());
        }
        for (number, order) in self.placed.iter().enumerate().filter(|(_, order)| self.ends(**order) == 0) {
            let (payment, parcels) = (self.payments.state.payment(*order), self.fulfillment.state.order(*order));
            let _ = writeln!(
                text,
                "order {number} has not ended\n  {payment:?}\n  {parcels:?}\n  {:?}",
                self.inventory.state.order(*order)
            );
        }
        text
    }
}
