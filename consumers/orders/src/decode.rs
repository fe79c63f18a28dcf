//! Decodes records.

use events::{Event, OrderId, OrderPlaced, StockCommitted, StockRejected, StockReleased};
use runtime::telemetry::begin_trace;
use runtime::{Cause, Codec, Message, TraceContext, Unreadable, Work};
use uuid::Uuid;

use crate::input::Input;
use crate::intake;
use crate::placed::{Arrival, Placed, PlacedRecord};
use crate::settings::NAME;

/// The longest correlation id that is taken over, in characters.
const LONGEST_CORRELATION: usize = 128;

pub(crate) fn decode(
    message: &Message,
    codec: &Codec,
    candidate: OrderId,
    trace_share: f64,
) -> Result<Work<Input>, Unreadable> {
    if message.topic == OrderPlaced::TOPIC {
        return place(message, codec, candidate, trace_share);
    }
    let cause = message.cause()?;
    let input = match message.event_type() {
        Some(StockRejected::TYPE) => Input::StockRejected(message.read(codec)?),
        Some(StockReleased::TYPE) => Input::StockReleased(message.read(codec)?),
        Some(StockCommitted::TYPE) => Input::StockCommitted(message.read(codec)?),
        other => {
            let (place, topic) = (message.place(), message.topic);
            let expected = format!("{place}: expected header ce_type to name an event of {topic}, got {other:?}");
            return Err(Unreadable(expected));
        }
    };
    Ok(Work { cause, input })
}

fn place(message: &Message, codec: &Codec, candidate: OrderId, trace_share: f64) -> Result<Work<Input>, Unreadable> {
    let letter = intake::read(message, codec)?;
    let thread = thread(letter.correlation.as_deref(), letter.traceparent.as_deref(), candidate, trace_share);
    let named = letter.id.as_deref().and_then(|id| Uuid::parse_str(id).ok());
    let mut placed = Placed::new(
        letter.order,
        Arrival {
            candidate,
            source: letter.source.unwrap_or_else(|| "kafka".into()),
            reference: letter.id,
            former: letter
                .former
                .map(|(source, id)| (source.unwrap_or_else(|| "kafka".into()), id.unwrap_or_else(|| message.place()))),
            record: Some(PlacedRecord::of(message)),
            thread: thread.clone(),
        },
    );
    placed.recorded_at = message.recorded_at();
    placed.said_at = letter.at.filter(|at| at.is_plausible()).or(placed.recorded_at);
    // An id that is not a UUID, or none, is replaced by one of the order's identity.
    let id = named.unwrap_or_else(|| request(placed.placement).id);
    Ok(Work { cause: Cause::topic(id, thread), input: Input::Placed(Box::new(placed)) })
}

/// The cause of an order that is placed without an id of its own: the same each time that it comes.
pub(crate) fn request(placement: Uuid) -> Cause {
    Cause::request(NAME, &placement.to_string())
}

/// The thread of an order that begins here: as whoever placed it says, where that can be carried on, else fresh.
pub(crate) fn thread(
    correlation: Option<&str>,
    traceparent: Option<&str>,
    candidate: OrderId,
    trace_share: f64,
) -> TraceContext {
    let carried = |text: &&str| {
        (1..=LONGEST_CORRELATION).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let correlation_id = correlation.filter(carried).map_or_else(|| candidate.to_string().into(), Into::into);
    let traceparent = traceparent.filter(|text| is_traceparent(text));
    let traceparent = traceparent.map_or_else(|| begin_trace(candidate.as_uuid(), trace_share).into(), Into::into);
    TraceContext { correlation_id, traceparent: Some(traceparent), event: None }
}

/// W3C trace context, version 00: `00-` 32 digits `-` 16 digits `-` 2 digits, in lower case, neither id all zero.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let set = |part: &str| part.bytes().any(|byte| byte != b'0');
    match parts.as_slice() {
        ["00", trace, span, flags] => hex(trace, 32) && set(trace) && hex(span, 16) && set(span) && hex(flags, 2),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_carried_on_only_if_it_can_be() {
        let id = OrderId(Uuid::from_u128(7));
        let trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
        let carried = thread(Some("shop-17"), Some(trace), id, 0.0);
        assert_eq!((&*carried.correlation_id, carried.traceparent.as_deref()), ("shop-17", Some(trace)));
        for (correlation, traceparent) in [(None, None), (Some("two words"), Some("00-x-y-01")), (Some(""), Some(""))] {
            let fresh = thread(correlation, traceparent, id, 0.0);
            assert_eq!(*fresh.correlation_id, id.to_string());
            assert!(fresh.traceparent.is_some_and(|trace| is_traceparent(&trace)));
        }
        assert!(!is_traceparent("00-00000000000000000000000000000000-0123456789abcdef-01"));
    }
}
