//! The operations of the API, and their paths.

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in Stripe's libraries")]
pub enum ApiOperation {
    PaymentIntentsCreate,
    PaymentIntentsUpdate,
    PaymentIntentsConfirm,
    PaymentIntentsCapture,
    PaymentIntentsCancel,
    PaymentIntentsRetrieve,
    PaymentIntentsList,
    RefundsCreate,
    RefundsRetrieve,
    RefundsList,
    ChargesRetrieve,
    ChargesList,
    DisputesRetrieve,
    DisputesList,
    DisputesUpdate,
    DisputesClose,
    BalanceRetrieve,
    BalanceTransactionsRetrieve,
    BalanceTransactionsList,
    EventsRetrieve,
    EventsList,
    PaymentMethodsCreate,
    PaymentMethodsRetrieve,
    EarlyFraudWarningsRetrieve,
    EarlyFraudWarningsList,
}

/// Each with its name, method and path (`*`: the object's id).
pub const OPERATIONS: [(ApiOperation, &str, &str, &str); 25] = [
    (ApiOperation::PaymentIntentsCreate, "payment_intents.create", "POST", "payment_intents"),
    (ApiOperation::PaymentIntentsUpdate, "payment_intents.update", "POST", "payment_intents/*"),
    (ApiOperation::PaymentIntentsConfirm, "payment_intents.confirm", "POST", "payment_intents/*/confirm"),
    (ApiOperation::PaymentIntentsCapture, "payment_intents.capture", "POST", "payment_intents/*/capture"),
    (ApiOperation::PaymentIntentsCancel, "payment_intents.cancel", "POST", "payment_intents/*/cancel"),
    (ApiOperation::PaymentIntentsRetrieve, "payment_intents.retrieve", "GET", "payment_intents/*"),
    (ApiOperation::PaymentIntentsList, "payment_intents.list", "GET", "payment_intents"),
    (ApiOperation::RefundsCreate, "refunds.create", "POST", "refunds"),
    (ApiOperation::RefundsRetrieve, "refunds.retrieve", "GET", "refunds/*"),
    (ApiOperation::RefundsList, "refunds.list", "GET", "refunds"),
    (ApiOperation::ChargesRetrieve, "charges.retrieve", "GET", "charges/*"),
    (ApiOperation::ChargesList, "charges.list", "GET", "charges"),
    (ApiOperation::DisputesRetrieve, "disputes.retrieve", "GET", "disputes/*"),
    (ApiOperation::DisputesList, "disputes.list", "GET", "disputes"),
    (ApiOperation::DisputesUpdate, "disputes.update", "POST", "disputes/*"),
    (ApiOperation::DisputesClose, "disputes.close", "POST", "disputes/*/close"),
    (ApiOperation::BalanceRetrieve, "balance.retrieve", "GET", "balance"),
    (ApiOperation::BalanceTransactionsRetrieve, "balance_transactions.retrieve", "GET", "balance_transactions/*"),
    (ApiOperation::BalanceTransactionsList, "balance_transactions.list", "GET", "balance_transactions"),
    (ApiOperation::EventsRetrieve, "events.retrieve", "GET", "events/*"),
    (ApiOperation::EventsList, "events.list", "GET", "events"),
    (ApiOperation::PaymentMethodsCreate, "payment_methods.create", "POST", "payment_methods"),
    (ApiOperation::PaymentMethodsRetrieve, "payment_methods.retrieve", "GET", "payment_methods/*"),
    (ApiOperation::EarlyFraudWarningsRetrieve, "early_fraud_warnings.retrieve", "GET", "radar/early_fraud_warnings/*"),
    (ApiOperation::EarlyFraudWarningsList, "early_fraud_warnings.list", "GET", "radar/early_fraud_warnings"),
];

impl ApiOperation {
    /// The operation of a request, and the id in its path (empty without one).
    #[must_use]
    pub fn route(method: &str, path: &str) -> Option<(Self, String)> {
        let path = path.strip_prefix("/v1/")?;
        OPERATIONS.iter().filter(|(_, _, of, _)| *of == method).find_map(|(operation, _, _, pattern)| {
            let (parts, given): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
            let fits = parts.len() == given.len()
                && parts.iter().zip(&given).all(|(part, given)| part == given || (*part == "*" && !given.is_empty()));
            let id = parts.iter().zip(&given).find(|(part, _)| **part == "*").map_or("", |(_, id)| id);
            fits.then(|| (*operation, id.to_owned()))
        })
    }

    /// Its name: `payment_intents.confirm`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        OPERATIONS.iter().find(|(operation, ..)| *operation == self).map_or("", |(_, name, ..)| name)
    }

    /// The operation of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        OPERATIONS.iter().find(|(_, known, ..)| *known == name).map(|(operation, ..)| *operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_find_their_operation() {
        let route = |method, path| ApiOperation::route(method, path).map(|(operation, id)| (operation.as_str(), id));
        assert_eq!(route("POST", "/v1/payment_intents"), Some(("payment_intents.create", String::new())));
        assert_eq!(route("POST", "/v1/payment_intents/pi_1/confirm"), Some(("payment_intents.confirm", "pi_1".into())));
        assert_eq!(
            route("GET", "/v1/radar/early_fraud_warnings/issfr_1"),
            Some(("early_fraud_warnings.retrieve", "issfr_1".into()))
        );
        for (method, path) in [
            ("DELETE", "/v1/refunds"),
            ("GET", "/v1/refunds/"),
            ("GET", "/v2/refunds"),
            ("POST", "/v1/balance"),
            ("GET", "/v1/payment_intents/a/b/c"),
        ] {
            assert_eq!(route(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn each_operation_has_its_name_and_its_parameters() {
        for (operation, name, ..) in OPERATIONS {
            assert_eq!((operation.as_str(), ApiOperation::find(name)), (name, Some(operation)));
            let checked = crate::parameters::check(name, serde_json::Map::new());
            assert!(checked.is_ok() || checked.is_err_and(|error| error.code == Some("parameter_missing")), "{name}");
        }
    }
}
