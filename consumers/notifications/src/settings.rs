//! The consumer and its settings.

use runtime::Consumer as _;
use runtime::settings::Section;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::Locale;

/// The settings, section `notifications`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NotificationSettings {
    /// Whether customers with a phone number get text messages beside e-mails.
    pub sms: bool,
    /// The language of customers who named none that we write: `en` or `de`.
    pub default_locale: Locale,
}

#[derive(Debug, Default)]
pub struct Notifications {
    pub(crate) settings: NotificationSettings,
}

impl Notifications {
    pub fn new(settings: NotificationSettings) -> Self {
        Self { settings }
    }
}

pub fn section() -> Section {
    Section::consumer(Notifications::NAME, &Notifications::defaults()).with(&NotificationSettings::default()).checked(
        |all| {
            all.keep(Notifications::NAME, &Notifications::defaults())?;
            Ok(all.section::<NotificationSettings>(Notifications::NAME).map(drop)?)
        },
    )
}
