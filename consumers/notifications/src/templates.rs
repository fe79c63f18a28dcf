//! The texts: each occasion in each language, as an e-mail (subject and body) and as a text message.

use std::fmt::Write as _;

use events::{Cancellation, Channel, Fault, Line, ShippedLine, UnshippedLine};

use crate::contact::Contact;
use crate::occasion::{Occasion, SentParcel};
use crate::words::Locale;

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RenderedMessage {
    /// None for a text message.
    pub subject: Option<String>,
    pub body: String,
}

/// The text of an occasion. A text message is the subject with what can't be left out; an e-mail has all of it.
pub(crate) fn render(occasion: &Occasion, contact: &Contact, locale: Locale, channel: &Channel) -> RenderedMessage {
    let reference = one_line(&contact.reference);
    let subject = subject(occasion, &reference, locale);
    match channel {
        Channel::Sms => {
            let more = urgent(occasion, locale).map(|more| format!(" {more}")).unwrap_or_default();
            RenderedMessage { subject: None, body: format!("{subject}.{more}") }
        }
        Channel::Email | Channel::Other(_) => {
            let name = one_line(&contact.name);
            let greeting = match name.trim() {
                "" => locale.pick("Hello,", "Guten Tag,").to_owned(),
                name => locale.pick(format!("Hello {name},"), format!("Guten Tag {name},")),
            };
            let body = body(occasion, &reference, locale);
            RenderedMessage { subject: Some(subject), body: format!("{greeting}\n\n{}\n", body.trim_end()) }
        }
    }
}

/// What others typed, so that it can't add a line, or a header to a mail.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn subject(occasion: &Occasion, reference: &str, locale: Locale) -> String {
    let (english, german) = match occasion {
        Occasion::OrderAccepted { .. } => ("Your order {}", "Ihre Bestellung {}"),
        Occasion::OrderRejected { .. } => {
            ("Your order {} could not be accepted", "Ihre Bestellung {} konnte nicht angenommen werden")
        }
        Occasion::PaymentActionRequired { .. } => {
            ("Please confirm the payment of your order {}", "Bitte bestätigen Sie die Zahlung Ihrer Bestellung {}")
        }
        Occasion::PaymentDeclined { .. } => {
            ("The payment of your order {} was declined", "Die Zahlung Ihrer Bestellung {} wurde abgelehnt")
        }
        Occasion::PaymentRefunded { .. } | Occasion::RefundCompleted { .. } => {
            ("Refund for your order {}", "Erstattung zu Ihrer Bestellung {}")
        }
        Occasion::ShipmentDispatched(_) => {
            ("A parcel of your order {} is on its way", "Ein Paket Ihrer Bestellung {} ist unterwegs")
        }
        Occasion::ShipmentDelivered { .. } => {
            ("A parcel of your order {} has arrived", "Ein Paket Ihrer Bestellung {} ist angekommen")
        }
        Occasion::ReturnAnnounced { .. } => ("Your return for order {}", "Ihre Rücksendung zu Bestellung {}"),
        Occasion::ReturnReceived { .. } => {
            ("We have received your return for order {}", "Ihre Rücksendung zu Bestellung {} ist angekommen")
        }
        Occasion::ReturnRefused { .. } => {
            ("We can't take back your return for order {}", "Wir nehmen Ihre Rücksendung zu Bestellung {} nicht an")
        }
        Occasion::OrderCompleted { unshipped, .. } if unshipped.is_empty() => {
            ("Your order {} is complete", "Ihre Bestellung {} ist abgeschlossen")
        }
        Occasion::OrderCompleted { .. } => {
            ("Your order {} is complete, in part", "Ihre Bestellung {} ist teilweise abgeschlossen")
        }
        Occasion::OrderCancelled { .. } => ("Your order {} is cancelled", "Ihre Bestellung {} ist storniert"),
        Occasion::OrderFailed { .. } => {
            ("Your order {} could not be carried out", "Ihre Bestellung {} konnte nicht ausgeführt werden")
        }
    };
    let text = locale.pick(english, german);
    // An order that was not readable enough to have a number is still somebody's order.
    text.replace("{}", reference).trim_end().replace("  ", " ")
}

/// What a text message must not leave out.
fn urgent(occasion: &Occasion, locale: Locale) -> Option<String> {
    match occasion {
        Occasion::PaymentActionRequired { url, expires_at, .. } => {
            let until = locale.moment(*expires_at);
            let until = locale.pick(format!("Until {until}."), format!("Bis {until}."));
            Some(url.as_deref().map_or_else(|| until.clone(), |url| format!("{until} {}", one_line(url))))
        }
        Occasion::ShipmentDispatched(parcel) => Some(carrier(parcel)),
        Occasion::PaymentRefunded { amount, currency, .. } | Occasion::RefundCompleted { amount, currency } => {
            Some(format!("{}.", locale.money(*amount, *currency)))
        }
        Occasion::OrderAccepted { .. }
        | Occasion::OrderRejected { .. }
        | Occasion::PaymentDeclined { .. }
        | Occasion::ShipmentDelivered { .. }
        | Occasion::ReturnAnnounced { .. }
        | Occasion::ReturnReceived { .. }
        | Occasion::ReturnRefused { .. }
        | Occasion::OrderCompleted { .. }
        | Occasion::OrderCancelled { .. }
        | Occasion::OrderFailed { .. } => None,
    }
}

fn body(occasion: &Occasion, reference: &str, locale: Locale) -> String {
    match occasion {
        Occasion::OrderAccepted { currency, lines, total, settled } => {
            let listed = list(lines, |Line { sku, quantity, amount, .. }| {
                format!("{quantity} × {}: {}", one_line(sku.as_str()), locale.money(*amount, *currency))
            });
            let charge = match total {
                0 => "",
                _ if *settled => "",
                _ => locale.pick("\n\nYou are charged when it ships.", "\n\nBelastet wird erst beim Versand."),
            };
            let total = locale.money(*total, *currency);
            locale.pick(
                format!("thank you for your order {reference}:\n\n{listed}\nTotal: {total}{charge}"),
                format!("vielen Dank für Ihre Bestellung {reference}:\n\n{listed}\nGesamt: {total}{charge}"),
            )
        }
        Occasion::OrderRejected { faults } => {
            let listed =
                list(faults, |Fault { field, detail, .. }| format!("{}: {}", one_line(field), one_line(detail)));
            locale.pick(
                format!(
                    "we could not accept your order {reference}:\n\n{listed}\nNothing was charged. Please order again."
                ),
                format!(
                    "wir konnten Ihre Bestellung {reference} nicht annehmen:\n\n{listed}\n\
                     Es wurde nichts berechnet. Bitte bestellen Sie erneut."
                ),
            )
        }
        Occasion::PaymentActionRequired { url, amount, currency, expires_at } => {
            let (amount, until) = (locale.money(*amount, *currency), locale.moment(*expires_at));
            let place = url.as_deref().map(|url| format!("\n\n{}", one_line(url))).unwrap_or_default();
            locale.pick(
                format!("please confirm the payment of {amount} with your bank, until {until}; else the order can't be kept.{place}"),
                format!(
                    "bitte bestätigen Sie die Zahlung von {amount} bei Ihrer Bank bis {until}; \
                     sonst können wir die Bestellung nicht halten.{place}"
                ),
            )
        }
        Occasion::PaymentDeclined { amount, currency } => {
            let amount = locale.money(*amount, *currency);
            locale.pick(
                format!("your bank declined the payment of {amount}. Nothing was charged."),
                format!("Ihre Bank hat die Zahlung von {amount} abgelehnt. Es wurde nichts berechnet."),
            )
        }
        Occasion::PaymentRefunded { amount, currency, reason } => {
            let (amount, why) = (locale.money(*amount, *currency), locale.reason(reason));
            locale.pick(
                format!("we have given back {amount}. Reason: {why}. It may take some days until your bank shows it."),
                format!(
                    "wir haben {amount} erstattet. Grund: {why}. Bis Ihre Bank es anzeigt, können einige Tage vergehen."
                ),
            )
        }
        Occasion::RefundCompleted { amount, currency } => {
            let amount = locale.money(*amount, *currency);
            locale.pick(
                format!("we have given back {amount}. It may take some days until your bank shows it."),
                format!("wir haben {amount} erstattet. Bis Ihre Bank es anzeigt, können einige Tage vergehen."),
            )
        }
        Occasion::ReturnAnnounced { return_id, lines } => {
            let listed = list(lines, |line| format!("{} × {}", line.quantity, one_line(line.sku.as_str())));
            locale.pick(
                format!("we expect these goods of your order {reference} back:\n\n{listed}\nNumber of the return: {return_id}"),
                format!("wir erwarten diese Waren Ihrer Bestellung {reference} zurück:\n\n{listed}\nNummer der Rücksendung: {return_id}"),
            )
        }
        Occasion::ReturnReceived { lines, refund } => {
            let listed =
                list(lines, |line| format!("{} × {}", line.intact + line.damaged, one_line(line.sku.as_str())));
            let (english, german) = match refund {
                true => (
                    "\nWhat is due to you is given back; we write again when it is.",
                    "\nWas Ihnen zusteht, wird erstattet; wir schreiben Ihnen dann.",
                ),
                false => ("", ""),
            };
            locale.pick(
                format!("these goods of your order {reference} have come back to us:\n\n{listed}{english}"),
                format!("diese Waren Ihrer Bestellung {reference} sind wieder bei uns:\n\n{listed}{german}"),
            )
        }
        Occasion::ReturnRefused { return_id, reason } => {
            let reason = one_line(reason);
            locale.pick(
                format!("we can't take back return {return_id} of your order {reference}. Reason: {reason}."),
                format!("wir können die Rücksendung {return_id} Ihrer Bestellung {reference} nicht annehmen. Grund: {reason}."),
            )
        }
        Occasion::ShipmentDispatched(parcel) => {
            let listed = list(&parcel.items, |(sku, quantity)| format!("{quantity} × {}", one_line(sku)));
            let carrier = carrier(parcel);
            locale.pick(
                format!("a parcel of your order {reference} has left:\n\n{listed}\n{carrier}"),
                format!("ein Paket Ihrer Bestellung {reference} ist unterwegs:\n\n{listed}\n{carrier}"),
            )
        }
        Occasion::ShipmentDelivered { .. } => locale.pick(
            format!("a parcel of your order {reference} has arrived."),
            format!("ein Paket Ihrer Bestellung {reference} ist angekommen."),
        ),
        Occasion::OrderCompleted { currency, charged, shipped, unshipped, cancellation } => {
            completed(&locale.money(*charged, *currency), shipped, unshipped, cancellation, locale)
        }
        Occasion::OrderCancelled { currency, charged } => {
            let charged = locale.money(*charged, *currency);
            locale.pick(
                format!("your order {reference} is cancelled, as you asked. Charged: {charged}."),
                format!("Ihre Bestellung {reference} ist wie gewünscht storniert. Berechnet: {charged}."),
            )
        }
        Occasion::OrderFailed { currency, charged, reason } => {
            let (charged, why) = (locale.money(*charged, *currency), locale.reason(reason));
            locale.pick(
                format!("we are sorry: your order {reference} could not be carried out. Reason: {why}. Charged: {charged}."),
                format!(
                    "es tut uns leid: Ihre Bestellung {reference} konnte nicht ausgeführt werden. Grund: {why}. Berechnet: {charged}."
                ),
            )
        }
    }
}

fn completed(
    charged: &str,
    shipped: &[ShippedLine],
    unshipped: &[UnshippedLine],
    cancellation: &Cancellation,
    locale: Locale,
) -> String {
    let mut text = locale.pick("this was shipped:\n\n", "das wurde versandt:\n\n").to_owned();
    text += &list(shipped, |line| format!("{} × {}", line.quantity, one_line(line.sku.as_str())));
    if !unshipped.is_empty() {
        text += locale.pick("\nThis was not, and is not charged:\n\n", "\nDas nicht, und wird nicht berechnet:\n\n");
        text += &list(unshipped, |line| {
            format!("{} × {} ({})", line.quantity, one_line(line.sku.as_str()), locale.why(&line.why))
        });
    }
    let wish = match cancellation {
        Cancellation::InPart => Some(locale.pick(
            "Some parcels had left before your cancellation reached the warehouse.",
            "Einige Pakete waren vor Ihrer Stornierung schon unterwegs.",
        )),
        Cancellation::TooLate => Some(locale.pick(
            "All parcels had left before your cancellation reached the warehouse.",
            "Alle Pakete waren vor Ihrer Stornierung schon unterwegs.",
        )),
        Cancellation::None | Cancellation::Other(_) => None,
    };
    if let Some(wish) = wish {
        let _ = write!(text, "\n{wish}\n"); // writing to a String does not fail
    }
    text + &locale.pick(format!("\nCharged: {charged}."), format!("\nBerechnet: {charged}."))
}

fn carrier(parcel: &SentParcel) -> String {
    let carrier = one_line(&parcel.carrier);
    match &parcel.tracking {
        Some(tracking) => format!("{carrier} {}", one_line(tracking)),
        None => carrier,
    }
}

fn list<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    items.iter().map(|item| format!("- {}\n", line(item))).collect()
}
