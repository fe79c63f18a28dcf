//! notifications: tells customers what they should know of their orders.
//!
//! Hears the beginning and every end of an order, what the payment asks of the customer, a declined payment, refunds, and each parcel that
//! leaves or arrives. Says `NotificationRecorded`, and `NotificationFailed` where there is no usable address. Each event is told once per channel, for
//! ever, in the customer's language. Where to write comes with `OrderAccepted`; what is heard before it waits for it. Messages go to a sink: the
//! table `message`, and, without personal data, the log. It decides nothing about orders.

mod contact;
mod decide;
mod handlers;
mod occasion;
mod restore;
mod store;
mod templates;
mod words;
mod world;

use std::sync::Arc;

use runtime::Consumer as _;
use runtime::http::Routes;
use runtime::settings::Section;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use contact::Contact;
pub use handlers::{Heard, Input, SentLog};
pub use occasion::{Occasion, Parcel};
pub use words::Locale;
pub use world::{BatchState, Delivery, Message, Waiting};

/// The settings, section `notifications`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NotificationSettings {
    /// Whether customers with a phone number get text messages beside e-mails.
    pub sms: bool,
    /// The language of customers who named none that we write: `en` or `de`.
    pub default_locale: Locale,
}

/// The consumer `notifications`.
#[derive(Debug, Default)]
pub struct Notifications {
    settings: NotificationSettings,
}

impl Notifications {
    /// A consumer with these settings.
    pub fn new(settings: NotificationSettings) -> Self {
        Self { settings }
    }
}

/// What can be set of notifications.
pub fn section() -> Section {
    Section::consumer(Notifications::NAME, &Notifications::defaults()).with(&NotificationSettings::default()).checked(
        |all| {
            all.keep(Notifications::NAME, &Notifications::defaults())?;
            Ok(all.section::<NotificationSettings>(Notifications::NAME).map(drop)?)
        },
    )
}

/// The migrations of the schema `notifications`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/notifications")
}

/// Starts the consumer. It has no doors but the runtime's own.
///
/// # Errors
/// When its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let notifications = Arc::new(Notifications::new(host.settings().section(Notifications::NAME)?));
        host.start(notifications, |_| Routes::new()).await
    })
}
