//! What is told to whom; each event once. Pure.
//!
//! | event | no contact | contact known |
//! |---|---|---|
//! | brings the contact | told, and then all that waited | told |
//! | any other | waits | told |
//! | was told before | · | · |

use events::{Channel, NotificationFailed, NotificationRecorded, OrderId, Timestamp};
use runtime::Effects;

use crate::contact::Contact;
use crate::input::CustomerEvent;
use crate::row::{BatchState, Delivery, KnownCustomer, Notification, WaitingEvent};
use crate::sent_log::SentLog;
use crate::settings::NotificationSettings;
use crate::templates::{self, RenderedMessage};
use crate::words::Locale;

#[cfg(test)]
mod tests;

/// An event is told once. What comes before the contact waits in its order's row, and is told, in order of arrival, right after the event that
/// brings it.
pub(crate) fn on_heard(
    world: &mut BatchState,
    heard: &CustomerEvent,
    settings: &NotificationSettings,
    now: Timestamp,
    effects: &mut Effects<'_, SentLog>,
) {
    if world.told.contains(&heard.news.event_id) {
        return;
    }
    let row = world.orders.get_or_insert_with(heard.order_id, KnownCustomer::default);
    let mut due = vec![heard.news.clone()];
    if let (None, Some(contact)) = (&row.contact, &heard.contact) {
        row.contact = Some(contact.clone());
        due.append(&mut row.waiting);
    }
    let Some(contact) = row.contact.clone() else {
        if row.waiting.iter().all(|waiting| waiting.event_id != heard.news.event_id) {
            row.waiting.append(&mut due);
        }
        return;
    };
    let first = world.messages.len();
    for news in due {
        tell(world, heard.order_id, &contact, news, settings, now, effects);
    }
    let sent = world.messages[first..].iter().map(|message| message.into()).collect();
    effects.call(SentLog { order_id: heard.order_id, correlation_id: effects.thread().correlation_id, sent });
}

fn tell(
    world: &mut BatchState,
    order_id: OrderId,
    contact: &Contact,
    news: WaitingEvent,
    settings: &NotificationSettings,
    now: Timestamp,
    effects: &mut Effects<'_, SentLog>,
) {
    if !world.told.insert(news.event_id) {
        return;
    }
    let locale = Locale::of(contact.locale.as_deref(), settings.default_locale);
    let has_phone = contact.phone.as_deref().is_some_and(|phone| !phone.trim().is_empty());
    let sms = (settings.sms && has_phone).then_some(Channel::Sms);
    for channel in [Some(Channel::Email), sms].into_iter().flatten() {
        let delivery = match contact.recipient(&channel) {
            Ok(recipient) => {
                let RenderedMessage { subject, body } = templates::render(&news.occasion, contact, locale, &channel);
                Delivery::Recorded { recipient, subject, body }
            }
            Err(detail) => Delivery::Failed { detail },
        };
        let template = news.occasion.template();
        let event_type = news.event_type.clone();
        let message = Notification {
            order_id,
            event_id: news.event_id,
            event_type,
            channel,
            template,
            locale,
            delivery,
            at: now,
        };
        emit(&message, effects);
        world.messages.push(message);
    }
}

fn emit(message: &Notification, effects: &mut Effects<'_, SentLog>) {
    let Notification { order_id, event_id, template, at: recorded_at, .. } = *message;
    let (event_type, channel) = (message.event_type.clone(), message.channel.clone());
    let discriminator = format!("{event_id}/{channel}"); // one cause may bring several: what waited for it
    match &message.delivery {
        Delivery::Recorded { .. } => {
            let template = template.to_owned();
            let recorded = NotificationRecorded { order_id, event_id, event_type, channel, template, recorded_at };
            effects.emit(&recorded, &discriminator);
        }
        Delivery::Failed { detail } => {
            let detail = (*detail).to_owned();
            let failed = NotificationFailed { order_id, event_id, event_type, channel, attempts: 0, detail };
            effects.emit(&failed, &discriminator);
        }
    }
}
