//! What a valid order is: pure, and every reason at once, so that whoever placed it can mend it in one go.

use std::collections::HashSet;

pub use events::MOST_LINES;
use events::{
    Address, Currency, Customer, Fault, Line, LineId, OrderId, OrderPayment, OrderPlaced, OrderReading, PaymentKind,
    PlacedLine, PlacedPayment, Sku, apportion, is_country,
};

pub const MOST_UNITS: i64 = 1_000_000;
/// The largest amount, in minor units: no total of any number of orders that fits a database comes near an overflow, and JSON
/// in every language reads it exactly.
pub const LARGEST_AMOUNT: i64 = 1_000_000_000_000_000;
/// The longest id of a customer or a line, in characters.
pub const LONGEST_ID: usize = 64;
/// The longest source and reference, in characters: they come as CloudEvents' source and id and as idempotency keys.
pub const LONGEST_REFERENCE: usize = 255;
/// The longest SKU, in characters, as inventory takes it.
pub const LONGEST_SKU: usize = 100;
const MOST_FAULTS: usize = 100;
/// The longest name or line of an address, in characters.
pub const LONGEST_TEXT: usize = 200;
/// The longest e-mail address, in characters, as RFC 5321 has it.
pub const LONGEST_EMAIL: usize = 254;
/// The longest token of a payment method, in characters.
pub const LONGEST_TOKEN: usize = 255;

/// What a valid order comes to, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub subtotal: i64,
    /// What is to be paid: subtotal + shipping − discount + tax.
    pub total: i64,
    /// What pays it: empty if there is nothing to authorize.
    pub token: String,
    /// Money that was held or taken before, or is settled outside.
    pub payment: Option<OrderPayment>,
}

/// Validates an order as it was read, whose source and reference are filled in.
/// Fails with what can't be read of it, and everything else that is wrong with it; never empty.
pub fn check(reading: &OrderReading) -> Result<Priced, Vec<Fault>> {
    let mut faults = reading.faults.clone();
    let unread = |field: &str| {
        reading.faults.iter().any(|fault| {
            field.strip_prefix(fault.field.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    match validate(&reading.order) {
        Ok(priced) if faults.is_empty() => {
            let sums = [("/subtotal", reading.subtotal, priced.subtotal), ("/total", reading.total, priced.total)];
            let differ = sums.into_iter().filter(|(_, said, is)| said.is_some_and(|said| said != *is));
            faults.extend(differ.map(|(field, said, is)| {
                let said = said.unwrap_or_default();
                let detail =
                    format!("expected {is}, as lines, shipping, discount and tax come to, or nothing, got {said}");
                Fault { field: field.into(), code: "mismatch".into(), detail }
            }));
            if faults.is_empty() {
                return Ok(priced);
            }
        }
        Ok(_) => {}
        // What could not be read is not missing.
        Err(found) => faults.extend(found.into_iter().filter(|fault| !unread(&fault.field))),
    }
    if faults.len() > MOST_FAULTS {
        let detail = format!("and {} more faults: mend these first", faults.len() - MOST_FAULTS);
        faults.truncate(MOST_FAULTS);
        faults.push(Fault { field: String::new(), code: "too_many_faults".into(), detail });
    }
    Err(faults)
}

/// Validates an order whose source and reference are filled in, and spreads shipping, discount and tax over its lines.
/// Fails with everything that is wrong with it, in the order of its fields; never empty.
pub fn validate(order: &OrderPlaced) -> Result<Priced, Vec<Fault>> {
    let mut faults = Faults::default();
    faults.text("/source", order.source.as_deref().unwrap_or_default(), LONGEST_REFERENCE);
    faults.text("/reference", order.reference.as_deref().unwrap_or_default(), LONGEST_REFERENCE);
    customer(&mut faults, &order.customer);
    let lines = lines(&mut faults, &order.lines);
    let currency = currency(&mut faults, &order.currency);
    let amounts = [("/shipping", order.shipping), ("/discount", order.discount), ("/tax", order.tax)];
    let amounts_fit = amounts.map(|(field, amount)| faults.range(field, amount, 0, LARGEST_AMOUNT)) == [true; 3];
    let sums = lines.filter(|_| amounts_fit).and_then(|lines| sums(&mut faults, order, lines));
    let total = sums.as_ref().map(|(_, _, total)| *total);
    let (token, payment) = match &order.payment {
        Some(placed) => payment(&mut faults, placed, &order.payment_method, total.zip(currency)),
        None => {
            payment_method(&mut faults, "/payment_method", &order.payment_method, total);
            (order.payment_method.clone(), None)
        }
    };
    address(&mut faults, "/ship_to", &order.ship_to);
    if let Some(bill_to) = &order.bill_to {
        address(&mut faults, "/bill_to", bill_to);
    }
    if order.exchange_for.as_deref().is_some_and(|id| id.parse::<OrderId>().is_err()) {
        faults.add(
            "/exchange_for",
            "invalid",
            "expected the id of an earlier order, a UUID, or nothing, got another text",
        );
    }
    match sums.zip(currency) {
        Some(((lines, subtotal, total), currency)) if faults.0.is_empty() => {
            Ok(Priced { currency, lines, subtotal, total, token, payment })
        }
        _ => Err(faults.0),
    }
}

fn customer(faults: &mut Faults, customer: &Customer) {
    faults.text("/customer/id", &customer.id, LONGEST_ID);
    faults.text("/customer/name", &customer.name, LONGEST_TEXT);
    if faults.text("/customer/email", &customer.email, LONGEST_EMAIL) && !is_email(&customer.email) {
        // What came is personal data: it is not repeated.
        faults.add("/customer/email", "invalid", "expected an e-mail address such as ada@example.org");
    }
    faults.optional("/customer/phone", customer.phone.as_deref(), 32);
    faults.optional("/customer/locale", customer.locale.as_deref(), 35);
}

/// One `@` with something before it and a domain behind it: whether it exists only a message can tell.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let labels_fit =
        domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    !local.is_empty() && !local.contains('@') && labels_fit && !text.contains(char::is_whitespace)
}

fn lines(faults: &mut Faults, placed: &[PlacedLine]) -> Option<Vec<Line>> {
    let before = faults.0.len();
    if placed.is_empty() {
        faults.add("/lines", "required", "expected at least one line, got none");
    }
    if placed.len() > MOST_LINES {
        let detail = format!("expected at most {MOST_LINES} lines, got {}: split the order", placed.len());
        faults.add("/lines", "too_many", detail);
    }
    let mut ids = HashSet::new();
    let mut lines = Vec::with_capacity(placed.len().min(MOST_LINES));
    for (index, line) in placed.iter().take(MOST_LINES).enumerate() {
        let at = |field: &str| format!("/lines/{index}/{field}");
        let id = line.id.clone().unwrap_or_else(|| (index + 1).to_string());
        if faults.text(&at("id"), &id, LONGEST_ID) && !ids.insert(id.clone()) {
            faults.add(&at("id"), "duplicate", "expected an id that no other line has, got one again");
        }
        faults.text(&at("sku"), &line.sku, LONGEST_SKU);
        faults.range(&at("quantity"), line.quantity, 1, MOST_UNITS);
        faults.range(&at("unit_price"), line.unit_price, 0, LARGEST_AMOUNT);
        let (sku, quantity, unit_price) = (Sku(line.sku.clone()), line.quantity, line.unit_price);
        lines.push(Line { line_id: LineId(id), sku, quantity, unit_price, amount: 0 });
    }
    (faults.0.len() == before).then_some(lines)
}

fn currency(faults: &mut Faults, text: &str) -> Option<Currency> {
    let currency = text.parse().ok();
    if currency.is_none() {
        let (code, got) = if text.is_empty() { ("required", "nothing".into()) } else { ("invalid", shown(text)) };
        faults.add("/currency", code, format!("expected an ISO 4217 code in capitals such as EUR, got {got}"));
    }
    currency
}

/// The lines with their shares, their subtotal, and the total: summed up in 128 bits, which nothing within the limits can leave.
fn sums(faults: &mut Faults, order: &OrderPlaced, mut lines: Vec<Line>) -> Option<(Vec<Line>, i64, i64)> {
    let values = lines.iter().map(|line| i128::from(line.quantity) * i128::from(line.unit_price));
    let wide: i128 = values.sum();
    let extra = order.shipping + order.tax - order.discount; // each is at most LARGEST_AMOUNT
    let total = wide + i128::from(extra);
    if total < 0 {
        let most = wide + i128::from(order.shipping + order.tax);
        let detail = format!("expected at most subtotal + shipping + tax = {most} minor units, got {}", order.discount);
        faults.add("/discount", "too_large", detail);
        return None;
    }
    let fits = |sum: i128| i64::try_from(sum).ok().filter(|sum| *sum <= LARGEST_AMOUNT);
    let (Some(subtotal), Some(total)) = (fits(wide), fits(total)) else {
        let detail = format!(
            "expected a subtotal and a total of at most {LARGEST_AMOUNT} minor units, got {wide} and {total}: split the order"
        );
        faults.add("/lines", "too_large", detail);
        return None;
    };
    let values: Vec<i64> = lines.iter().map(|line| line.quantity * line.unit_price).collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    // If all lines are free, the shares go by units.
    let weights = if subtotal > 0 { &values } else { &quantities };
    let shares = apportion(extra, weights);
    for ((line, value), share) in lines.iter_mut().zip(&values).zip(shares) {
        line.amount = value + share;
    }
    Some((lines, subtotal, total))
}

/// The total is not known if something else is wrong with the amounts.
fn payment_method(faults: &mut Faults, field: &str, token: &str, total: Option<i64>) {
    if token.is_empty() {
        if total.is_some_and(|total| total > 0) {
            let detail = "expected the gateway's token of a payment method, got nothing: it may be empty only if there is nothing to pay";
            faults.add(field, "required", detail);
        }
    } else {
        faults.text(field, token, LONGEST_TOKEN);
    }
}

/// The token to authorize by, or where the money is already. Of an order of which nothing is to be paid, nothing.
fn payment(
    faults: &mut Faults,
    placed: &PlacedPayment,
    token: &str,
    total: Option<(i64, Currency)>,
) -> (String, Option<OrderPayment>) {
    let PlacedPayment { kind, provider, reference, amount } = placed;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if let Some((said, (total, _))) = amount.zip(total).filter(|(said, (total, _))| said != total) {
        let detail = format!("expected {total}, the order's total, or nothing, got {said}");
        faults.add("/payment/amount", "mismatch", detail);
    }
    if kind == "authorize" {
        payment_method(faults, "/payment/reference", &text(reference), total.map(|(total, _)| total));
        if !token.is_empty() && Some(token) != reference.as_deref() {
            let detail = "expected nothing, or the token of /payment/reference, got another one: leave one of them out";
            faults.add("/payment_method", "mismatch", detail);
        }
        return (text(reference), None);
    }
    if !token.is_empty() {
        let detail =
            "expected nothing, as /payment says who holds or took the money, got a token: leave one of them out";
        faults.add("/payment_method", "mismatch", detail);
    }
    let kind = PaymentKind::from(kind.as_str());
    match &kind {
        PaymentKind::Authorized | PaymentKind::Captured => {
            faults.text("/payment/provider", &text(provider), LONGEST_ID);
            faults.text("/payment/reference", &text(reference), LONGEST_TOKEN);
        }
        PaymentKind::External => {
            faults.optional("/payment/provider", provider.as_deref(), LONGEST_ID);
            faults.optional("/payment/reference", reference.as_deref(), LONGEST_TOKEN);
        }
        PaymentKind::Other(kind) => {
            let (code, got) = if kind.is_empty() { ("required", "nothing") } else { ("invalid", "another text") };
            let detail = format!("expected authorize, authorized, captured or external, got {got}");
            faults.add("/payment/kind", code, detail);
        }
    }
    let payment = total.filter(|(total, _)| *total > 0).map(|(amount, currency)| OrderPayment {
        provider: provider.clone().unwrap_or_else(|| kind.as_str().to_owned()),
        kind,
        reference: reference.clone(),
        amount,
        currency,
    });
    (String::new(), payment)
}

fn address(faults: &mut Faults, at: &str, address: &Address) {
    faults.text(&format!("{at}/name"), &address.name, LONGEST_TEXT);
    faults.text(&format!("{at}/line1"), &address.line1, LONGEST_TEXT);
    faults.optional(&format!("{at}/line2"), address.line2.as_deref(), LONGEST_TEXT);
    faults.text(&format!("{at}/city"), &address.city, LONGEST_TEXT);
    faults.optional(&format!("{at}/region"), address.region.as_deref(), LONGEST_TEXT);
    if !address.postal_code.is_empty() {
        faults.text(&format!("{at}/postal_code"), &address.postal_code, 20);
    }
    let country = &address.country;
    if !is_country(country) {
        let (code, got) = if country.is_empty() { ("required", "nothing".into()) } else { ("invalid", shown(country)) };
        let detail = format!("expected the ISO 3166-1 alpha-2 code of a country in capitals such as DE, got {got}");
        faults.add(&format!("{at}/country"), code, detail);
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: &str, code: &str, detail: impl Into<String>) {
        self.0.push(Fault { field: field.to_owned(), code: code.to_owned(), detail: detail.into() });
    }

    /// A text that must be there. True if nothing is wrong with it.
    fn text(&mut self, field: &str, text: &str, longest: usize) -> bool {
        let before = self.0.len();
        if text.trim().is_empty() {
            self.add(field, "required", format!("expected 1 to {longest} characters, got nothing"));
        }
        let length = text.chars().count();
        if length > longest {
            self.add(field, "too_long", format!("expected at most {longest} characters, got {length}"));
        }
        if text.contains(char::is_control) {
            let detail = "expected printable characters only, got a control character: remove it";
            self.add(field, "control_character", detail);
        }
        self.0.len() == before
    }

    /// A text that may be absent, but not blank.
    fn optional(&mut self, field: &str, text: Option<&str>, longest: usize) {
        if let Some(text) = text {
            self.text(field, text, longest);
        }
    }

    /// A number. True if nothing is wrong with it.
    fn range(&mut self, field: &str, number: i64, least: i64, most: i64) -> bool {
        let code = if number < least { "too_small" } else { "too_large" };
        let fits = (least..=most).contains(&number);
        if !fits {
            self.add(field, code, format!("expected {least} to {most}, got {number}"));
        }
        fits
    }
}

/// What came, for a message: it may be any column of the sender's.
fn shown(text: &str) -> String {
    match text.chars().count() {
        2 | 3 if text.chars().any(char::is_lowercase) => "small letters".to_owned(),
        2 | 3 => "another code".to_owned(),
        length => format!("{length} characters"),
    }
}

#[cfg(test)]
mod tests;
