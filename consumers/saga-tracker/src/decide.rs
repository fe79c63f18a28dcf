//! The rules: how what is heard is folded into what is known. Any order and any repetition end in the same world.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;
use std::sync::Arc;

use events::{DeadLetterResolved, Event as _, OrderStuck, RelayAdvanced, StockLevelChanged, Timestamp, derive_id};
use runtime::{Effects, TraceContext};

use crate::alerts::AlertKind;
use crate::input::{Input, Look};
use crate::tracker::NAME;
use deadlines::{RULES, judge};
use runtime::sql::in_range;

use crate::input::HeardEvent;
use crate::place::Place;
use crate::stuck::{Situation, situation, tell};
use crate::world::{BatchState, Level, Position, Resolution, Watermark};

/// An event of an order: kept once, and what it tells merged into the order.
pub(crate) fn on_heard(world: &mut BatchState, heard: &Arc<HeardEvent>) {
    let HeardEvent { order_id, event_id, facts, letter, parking, told, .. } = &**heard;
    world.events.entry((*order_id, *event_id)).or_insert_with(|| Arc::clone(heard));
    world.orders.entry(*order_id).or_default().merge(facts);
    if let Some(letter) = letter {
        world.letters.entry(letter.letter_id).or_insert_with(|| letter.clone());
    }
    if let Some((consumer, parking)) = parking {
        world.parked.entry((*order_id, consumer.clone())).or_default().merge(parking);
    }
    for (key, told) in told {
        world.told.entry(*key).or_insert_with(|| told.clone());
    }
}

/// A look at an order that may be stuck, with its row locked: told once for each situation, and looked at again when its next answer is due.
pub(crate) fn on_look(world: &mut BatchState, look: &Look, now: Timestamp, effects: &mut Effects<'_, Infallible>) {
    let Some(case) = world.cases.get(&look.order_id) else { return }; // it has ended meanwhile
    let judged = judge(&RULES, &case.order, &look.evidence, now);
    let found = situation(&case.order, &judged);
    // For something else than it seemed: looked at again at once.
    let is_other = found.is_some_and(|(event_id, _)| event_id != look.event_id);
    world.looks.insert(look.order_id, if is_other { now } else { judged.look_at });
    let Some(situation) = found.filter(|_| !is_other) else { return }; // answered meanwhile, or told
    let event = tell(case, &judged, situation);
    effects.follow(&TraceContext { event: Some(look.event_id), ..case.thread.clone() });
    effects.emit(&event, "");
    let letter_id = derive_id(effects.cause().id, NAME, OrderStuck::TYPE, "");
    world.told.extend(Situation::by(&event, letter_id, now));
    world.alerts.push((AlertKind::OrderStuck, look.order_id.to_string(), event.detail));
}

/// Takes a value unless the known one is as great.
fn keep_greatest<K: Ord, V>(known: &mut BTreeMap<K, V>, key: K, value: V, is_less: impl Fn(&V, &V) -> bool) {
    match known.entry(key) {
        Entry::Occupied(mut known) if is_less(known.get(), &value) => drop(known.insert(value)),
        Entry::Occupied(_) => {}
        Entry::Vacant(unknown) => drop(unknown.insert(value)),
    }
}

/// A stock level: the highest version wins.
pub(crate) fn on_level(world: &mut BatchState, event: &StockLevelChanged, place: &Place) {
    let StockLevelChanged { version, on_hand, reserved, missing, available, .. } = *event;
    let (changed_at, position) = (place.at, place.seq.unwrap_or(0));
    let level = Level { version, on_hand, reserved, missing, available, changed_at, position };
    let key = (event.sku.clone(), event.warehouse.clone());
    keep_greatest(&mut world.levels, key, level, |known, new| known.version < new.version);
}

/// A relay's watermark: for each shard the latest wins.
pub(crate) fn on_watermark(world: &mut BatchState, event: &RelayAdvanced) {
    for shard in &event.shards {
        let watermark = Watermark {
            published_until: in_range(event.published_until),
            last_seq: event.last_seq,
            backlog: event.backlog,
            relay: event.relay.clone(),
        };
        keep_greatest(&mut world.watermarks, (event.database.clone(), *shard), watermark, Watermark::lt);
    }
}

/// What became of a dead letter, which may be heard of later: the latest word stays.
pub(crate) fn on_resolved(world: &mut BatchState, event: &DeadLetterResolved, place: &Place) {
    let resolution = Resolution {
        at: place.at,
        resolution: event.resolution.to_string(),
        consumer: event.consumer.clone(),
        said_by: event.by.clone(),
    };
    keep_greatest(&mut world.resolutions, event.letter_id.as_uuid(), resolution, Resolution::lt);
}

/// Where the record stood: each part of a position is a maximum.
pub(crate) fn on_place(world: &mut BatchState, place: &Place) {
    let Place { topic, partition, offset, at, seq } = *place;
    let seq = seq.unwrap_or(0);
    let known = world.positions.entry((topic, partition)).or_insert(Position { offset, seq, at });
    *known = Position { offset: known.offset.max(offset), seq: known.seq.max(seq), at: known.at.max(at) };
}

pub(crate) fn fold(world: &mut BatchState, input: &Input) {
    let place = match input {
        Input::Look(_) | Input::Stray(_) => return,
        Input::Heard(heard) => {
            on_heard(world, heard);
            &heard.place
        }
        Input::Level(event, place) => {
            on_level(world, event, place);
            place
        }
        Input::Watermark(event, place) => {
            on_watermark(world, event);
            place
        }
        Input::DeadLetter(letter, place) => {
            world.letters.entry(letter.letter_id).or_insert_with(|| (**letter).clone());
            place
        }
        Input::Resolved(event, place) => {
            on_resolved(world, event, place);
            place
        }
    };
    on_place(world, place);
}

#[cfg(test)]
mod tests;
