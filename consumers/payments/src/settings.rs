//! The settings of payments (which gateway, how long it is waited for, how long a hold lasts), and the consumer that they make.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use events::OrderId;
use gateway::Operation;
use runtime::settings::{Section, SettingsError};
use runtime::{Clock, Consumer as _, Settings, Span};
use sandbox_gateway::{Sandbox, SandboxSettings};
use serde::{Deserialize, Serialize};
use stripe_gateway::StripeSettings;
use utoipa::ToSchema;

use crate::circuit::GatewayCircuit;
use crate::gateways::{GatewayRoute, Gateways};

/// Which gateway holds the money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GatewayName {
    /// The built-in one, with test tokens and a book in PostgreSQL.
    #[default]
    Sandbox,
    /// Stripe, as `payments.stripe` has it.
    Stripe,
}

/// The settings, section `payments`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PaymentsSettings {
    /// Which gateway is used for new orders. It must be named, but in the demo profile, which has the sandbox: there test tokens say what happens,
    /// and no money moves. An order that went to a gateway stays with it: leave the settings of one that still holds money.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(default)]
    pub gateway: GatewayName,
    /// How long an attempt may stay without an answer before it is asked again; doubled with each try.
    pub attempt_lease: Span,
    /// The longest pause between two tries, or two attempts.
    pub longest_pause: Span,
    /// How often an attempt is tried, look-ups included, before a person is asked. Twice the call itself under its key, then look-ups.
    pub attempt_tries: u32,
    /// How long one call may take; a later answer is not waited for, but looked up.
    pub call_timeout: Span,
    /// How many attempts are made to void before a person is asked.
    pub void_attempts: u32,
    /// When a pending refund, or a payment that waits for its customer, is looked up first; the pauses then double, up to an hour for refunds, and to
    /// `longest_pause` else.
    pub pending_look_up: Span,
    /// How long after it was placed an order can be refunded to its customer; behind `keep` payments has forgotten it, whatever this says.
    pub refundable_for: Span,
    /// How long a hold lasts where the gateway does not say; the sandbox's holds last as long.
    pub authorization_validity: Span,
    /// How long before its end `AuthorizationExpiring` is published.
    pub expiring_margin: Span,
    /// How often our payments are compared with the books of a provider elsewhere; 0s: never.
    pub reconcile_every: Span,
    /// How far back they are compared.
    pub reconcile_window: Span,
    /// The built-in gateway's.
    pub sandbox: SandboxSettings,
    /// Stripe's. Where any of them is set, Stripe is there for the orders that went to it, whichever gateway is used for new ones.
    pub stripe: StripeSettings,
}

impl Default for PaymentsSettings {
    fn default() -> Self {
        Self {
            gateway: GatewayName::Sandbox,
            attempt_lease: Span::secs(2),
            longest_pause: Span::secs(60),
            attempt_tries: 8,
            call_timeout: Span::secs(10),
            void_attempts: 5,
            pending_look_up: Span::secs(30),
            refundable_for: Span::secs(180 * 24 * 3_600),
            authorization_validity: Span::secs(7 * 24 * 3_600),
            expiring_margin: Span::secs(24 * 3_600),
            reconcile_every: Span::secs(24 * 3_600),
            reconcile_window: Span::secs(7 * 24 * 3_600),
            sandbox: SandboxSettings::default(),
            stripe: StripeSettings::default(),
        }
    }
}

#[derive(Debug)]
pub struct Payments {
    pub(crate) settings: PaymentsSettings,
    pub(crate) gateways: Gateways,
}

impl Payments {
    /// A consumer with these settings that pays through these gateways, whose calls wait while their circuit is open.
    pub(crate) fn new(settings: PaymentsSettings, gateways: Gateways) -> anyhow::Result<Self> {
        settings.check()?;
        Ok(Self { settings, gateways })
    }

    /// A consumer whose calls reach no gateway: for who drives the rules in memory and answers the calls himself.
    /// Fails when a setting can't be worked with; the message says which and how.
    pub fn detached(settings: PaymentsSettings) -> anyhow::Result<Self> {
        let gateway = Arc::new(Sandbox::closed(settings.sandbox.clone()));
        let never_opens = GatewayCircuit::beside(Clock::default());
        Self::new(settings, Gateways::new(GatewayRoute { gateway, circuit: never_opens }, Vec::new()))
    }
}

pub fn section() -> Section {
    Section::consumer(Payments::NAME, &Payments::defaults())
        .with(&PaymentsSettings::default())
        .checked(|all| read(all).map(drop))
}

pub(crate) fn read(all: &Settings) -> anyhow::Result<PaymentsSettings> {
    all.refuse_unknown(&section())?;
    named(all)?;
    let settings: PaymentsSettings = all.section(Payments::NAME)?;
    settings.check()?;
    Ok(settings)
}

fn named(all: &Settings) -> Result<bool, SettingsError> {
    let expected = "a payment gateway: \"stripe\", or \"sandbox\", which moves no money and takes test tokens";
    all.names(Payments::NAME, "gateway", expected, "it is the sandbox")
}

/// The longest pause between two look-ups of a pending refund, which may take days.
const LONGEST_PENDING_PAUSE: Duration = Duration::from_secs(3_600);

impl PaymentsSettings {
    /// The pause after this many tries: the lease, doubled with each.
    pub(crate) fn pause(&self, tries: u32) -> Duration {
        doubled(self.attempt_lease.0, tries, self.longest_pause.0.max(self.attempt_lease.0))
    }

    /// The pause while the gateway answers nobody: the longest, spread by a fifth so that those who wait do not come back together.
    pub(crate) fn long_pause(&self, order_id: OrderId) -> Duration {
        let longest = self.longest_pause.0.max(self.attempt_lease.0);
        let (_, low) = order_id.as_uuid().as_u64_pair();
        longest.mul_f64(0.8 + (low % 1_000) as f64 / 2_500.0)
    }

    /// The pause between two look-ups of what a bank, or the customer, must go on with. A customer has minutes, a refund may take days.
    pub(crate) fn pending_pause(&self, operation: Operation, tries: u32) -> Duration {
        let longest = if operation == Operation::Refund { LONGEST_PENDING_PAUSE } else { self.longest_pause.0 };
        doubled(self.pending_look_up.0, tries, longest.max(self.pending_look_up.0))
    }

    /// Whether anything of Stripe's is set, or it is chosen.
    pub(crate) fn has_stripe(&self) -> bool {
        self.gateway == GatewayName::Stripe || self.stripe != StripeSettings::default()
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let spans = [
            ("attempt_lease", self.attempt_lease, "2s"),
            ("call_timeout", self.call_timeout, "10s"),
            ("pending_look_up", self.pending_look_up, "30s"),
            ("refundable_for", self.refundable_for, "180d"),
            ("authorization_validity", self.authorization_validity, "7d"),
        ];
        for (name, span, such_as) in spans {
            ensure!(
                !span.0.is_zero(),
                "settings of payments: expected {name} to be longer than nothing, such as \"{such_as}\""
            );
        }
        for (name, number) in [("attempt_tries", self.attempt_tries), ("void_attempts", self.void_attempts)] {
            ensure!(number > 0, "settings of payments: expected {name} to be at least 1, got 0");
        }
        if self.has_stripe() { self.stripe.check() } else { Ok(()) }
    }
}

fn doubled(first: Duration, tries: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = PaymentsSettings::default();
        let seconds: Vec<u64> = (0..9).map(|tries| settings.pause(tries).as_secs()).collect();
        assert_eq!(seconds, [2, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(settings.pending_pause(Operation::Refund, 99), Duration::from_secs(3_600));
        assert_eq!(settings.pending_pause(Operation::Authorize, 99), Duration::from_secs(60));
    }

    #[test]
    fn a_setting_that_would_stop_everything_is_refused_by_name() {
        assert!(PaymentsSettings::default().check().is_ok());
        let error =
            PaymentsSettings { attempt_tries: 0, ..PaymentsSettings::default() }.check().unwrap_err().to_string();
        assert!(error.contains("attempt_tries"), "{error}");
        let error = PaymentsSettings { call_timeout: Span::secs(0), ..PaymentsSettings::default() }
            .check()
            .unwrap_err()
            .to_string();
        assert!(error.contains("call_timeout"), "{error}");
    }
}
