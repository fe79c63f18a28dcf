//! The book's records as the API's objects, complete: what the API has and the simulator does not use is null.

use serde_json::{Map, Value, json};

use crate::card::{Authorization, PaymentMethodRecord, TestCard};
use crate::record::{
    BalanceTransactionRecord, ChargeRecord, DisputeRecord, IntentStatus, PaymentRecord, PendingAction, RefundRecord,
    SimulatedRefundState, WarningRecord,
};

fn billing_details() -> Value {
    let address =
        json!({"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null});
    json!({"address": address, "email": null, "name": null, "phone": null, "tax_id": null})
}

/// A PaymentMethod.
#[must_use]
pub fn payment_method(method: &PaymentMethodRecord) -> Value {
    let card = method.test_card();
    let checks = card.checks;
    json!({
        "id": method.id, "object": "payment_method", "allow_redisplay": "unspecified", "billing_details": billing_details(),
        "card": {
            "brand": card.brand, "checks": {"address_line1_check": checks[1], "address_postal_code_check": checks[2], "cvc_check": checks[0]},
            "country": "US", "display_brand": card.brand, "exp_month": 12, "exp_year": 2034, "fingerprint": fingerprint(card), "funding": "credit",
            "generated_from": null, "last4": card.last4(), "networks": {"available": [card.brand], "preferred": null}, "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": true}, "wallet": null,
        },
        "created": method.created, "customer": method.customer, "customer_account": null, "livemode": method.livemode, "metadata": {}, "type": "card",
    })
}

fn fingerprint(card: &TestCard) -> String {
    crate::id::fingerprint(card.number)[..16].to_owned()
}

impl PaymentRecord {
    fn action_url(&self, action: &PendingAction, public_url: &str) -> String {
        format!("{public_url}/hooks/redirect/authenticate/{}/{}", self.id, action.token.0)
    }

    /// The PaymentIntent.
    #[must_use]
    pub fn to_json(&self, public_url: &str) -> Value {
        let next_action = self.action.as_ref().map(|action| match &action.return_url {
            Some(return_url) => json!({
                "type": "redirect_to_url",
                "redirect_to_url": {"return_url": return_url, "url": self.action_url(action, public_url)},
            }),
            None => json!({
                "type": "use_stripe_sdk",
                "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": self.action_url(action, public_url)},
            }),
        });
        let received = if self.status == IntentStatus::Succeeded { self.captured() } else { 0 };
        let mut object = json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": self.capturable(),
            "amount_details": {"tip": {}}, "amount_received": received,
            "allowed_payment_method_types": self.allowed_payment_method_types,
            "application": null, "application_fee_amount": null, "automatic_payment_methods": self.automatic_payment_methods,
            "canceled_at": self.canceled_at, "cancellation_reason": self.cancellation_reason,
            "capture_method": if self.manual_capture { "manual" } else { "automatic_async" },
            "client_secret": self.client_secret.0, "confirmation_method": self.confirmation_method, "created": self.created, "currency": self.currency,
            "customer": self.customer, "customer_account": null, "description": self.description, "excluded_payment_method_types": null,
            "last_payment_error": self.last_payment_error, "latest_charge": self.charges.last().map(|charge| &charge.id), "livemode": self.livemode,
            "metadata": self.metadata, "next_action": next_action, "on_behalf_of": null,
            "payment_method": if self.status == IntentStatus::RequiresPaymentMethod { None } else { self.method.as_ref().map(|method| &method.id) },
            "payment_method_configuration_details": null,
            "payment_method_options": {"card": {"installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"], "processing": null, "receipt_email": null, "review": null, "setup_future_usage": null, "shipping": null,
            "source": null, "statement_descriptor": null, "statement_descriptor_suffix": null, "status": self.status.as_str(), "transfer_data": null,
            "transfer_group": null,
        });
        merge(&mut object, &self.echoed);
        object
    }

    /// One of its charges.
    #[must_use]
    pub fn charge_json(&self, charge: &ChargeRecord) -> Value {
        let card = charge.method.test_card();
        let refunded = self.refunded(&charge.id);
        let captured = charge.captured.unwrap_or_default();
        let (failure_code, _, failure_message) = charge
            .failure
            .clone()
            .map_or((None, None, None), |(code, decline, message)| (Some(code), Some(decline), Some(message)));
        let three_d_secure = charge.three_d_secure.as_ref().map(|result| {
            json!({
                "authentication_flow": "challenge", "electronic_commerce_indicator": "05", "exemption_indicator": null, "exemption_indicator_applied": null,
                "result": result, "result_reason": if result == "failed" { Some("rejected") } else { None }, "transaction_id": null, "version": "2.2.0",
            })
        });
        let unavailable = |feature: &str| json!({"status": feature});
        let mut details = json!({
            "amount_authorized": charge.succeeded.then_some(charge.amount), "authorization_code": charge.succeeded.then_some("008831"), "brand": card.brand,
            "checks": {"address_line1_check": card.checks[1], "address_postal_code_check": card.checks[2], "cvc_check": card.checks[0]},
            "country": "US", "exp_month": 12, "exp_year": 2034, "extended_authorization": unavailable("disabled"), "fingerprint": fingerprint(card),
            "funding": "credit", "incremental_authorization": unavailable("unavailable"), "installments": null, "last4": card.last4(), "mandate": null,
            "multicapture": unavailable("unavailable"), "network": card.brand, "network_token": {"used": false}, "network_transaction_id": null,
            "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"}, "regulated_status": "unregulated",
            "three_d_secure": three_d_secure, "wallet": null,
        });
        if let (Some(end), None) = (charge.capture_before, charge.captured) {
            details["capture_before"] = json!(end / 1_000);
        }
        json!({
            "id": charge.id, "object": "charge", "amount": charge.amount, "amount_captured": captured, "amount_refunded": refunded,
            "application": null, "application_fee": null, "application_fee_amount": null, "balance_transaction": charge.balance_transaction,
            "billing_details": billing_details(), "calculated_statement_descriptor": "STRIPE-SIM", "captured": charge.captured.is_some(),
            "created": charge.created, "currency": self.currency, "customer": self.customer, "description": self.description,
            "disputed": self.disputes.iter().any(|dispute| dispute.charge == charge.id), "failure_balance_transaction": null,
            "failure_code": failure_code, "failure_message": failure_message, "fraud_details": {}, "livemode": self.livemode, "metadata": self.metadata,
            "on_behalf_of": null, "outcome": outcome(charge, card), "paid": charge.succeeded, "payment_intent": self.id,
            "payment_method": charge.method.id, "payment_method_details": {"type": "card", "card": details},
            "radar_options": {}, "receipt_email": null, "receipt_number": null, "receipt_url": null,
            "refunded": captured > 0 && refunded == captured, "review": null, "shipping": null, "source": null, "source_transfer": null,
            "statement_descriptor": null, "statement_descriptor_suffix": null,
            "status": if charge.succeeded { "succeeded" } else { "failed" }, "transfer_data": null, "transfer_group": null,
        })
    }

    /// One of its refunds.
    #[must_use]
    pub fn refund_json(&self, refund: &RefundRecord) -> Value {
        let mut object = json!({
            "id": refund.id, "object": "refund", "amount": refund.amount, "balance_transaction": refund.balance_transaction, "charge": refund.charge,
            "created": refund.created, "currency": self.currency, "customer": self.customer, "customer_account": null,
            "destination_details": {
                "type": "card",
                "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            },
            "metadata": refund.metadata, "payment_intent": self.id, "payment_method": self.method.as_ref().map(|method| &method.id),
            "reason": refund.reason, "receipt_number": null, "source_transfer_reversal": null, "status": refund.status.as_str(), "transfer_reversal": null,
        });
        match refund.status {
            SimulatedRefundState::Pending => object["pending_reason"] = json!("processing"),
            SimulatedRefundState::Failed | SimulatedRefundState::Canceled => {
                object["failure_reason"] = json!(refund.failure_reason);
                object["failure_balance_transaction"] = json!(refund.failure_balance_transaction);
            }
            SimulatedRefundState::Succeeded => {}
        }
        object
    }

    /// One of its disputes, as it is at `now` (milliseconds).
    #[must_use]
    pub fn dispute_json(&self, dispute: &DisputeRecord, now: i64) -> Value {
        let transactions: Vec<Value> = self
            .transactions
            .iter()
            .filter(|moved| dispute.transactions.contains(&moved.id))
            .map(|moved| balance_transaction(moved, now))
            .collect();
        let brand = self
            .charges
            .iter()
            .find(|charge| charge.id == dispute.charge)
            .map_or("visa", |charge| charge.method.test_card().brand);
        let refundable = dispute.status.is_inquiry() && !dispute.status.is_over();
        json!({
            "id": dispute.id, "object": "dispute", "amount": dispute.amount, "balance_transactions": transactions, "charge": dispute.charge,
            "created": dispute.created, "currency": self.currency, "enhanced_eligibility_types": [], "evidence": evidence(&dispute.evidence),
            "evidence_details": {
                "due_by": dispute.due_by / 1_000, "enhanced_eligibility": {}, "has_evidence": !dispute.evidence.is_empty(),
                "past_due": now > dispute.due_by, "submission_count": dispute.submission_count,
            },
            "is_charge_refundable": refundable, "livemode": self.livemode, "metadata": dispute.metadata, "payment_intent": self.id,
            "payment_method_details": {
                "type": "card",
                "card": {
                    "brand": brand, "case_type": if dispute.status.is_inquiry() { "inquiry" } else { "chargeback" }, "network": brand,
                    "network_reason_code": if dispute.reason == "fraudulent" { "10.4" } else { "13.1" },
                },
            },
            "reason": dispute.reason, "status": dispute.status.as_str(),
        })
    }

    /// One of its early fraud warnings.
    #[must_use]
    pub fn warning_json(&self, warning: &WarningRecord) -> Value {
        let actionable = self.unrefunded() > 0 && self.disputes.is_empty();
        json!({
            "id": warning.id, "object": "radar.early_fraud_warning", "actionable": actionable, "charge": warning.charge, "created": warning.created,
            "fraud_type": "unauthorized_use_of_card", "livemode": self.livemode, "payment_intent": self.id,
        })
    }

    /// One of its objects, by id; a PaymentIntent by its own.
    #[must_use]
    pub fn object_json(&self, id: &str, now: i64, public_url: &str) -> Option<Value> {
        if id == self.id {
            return Some(self.to_json(public_url));
        }
        let charge = self.charges.iter().find(|charge| charge.id == id).map(|charge| self.charge_json(charge));
        let refund = || self.refunds.iter().find(|refund| refund.id == id).map(|refund| self.refund_json(refund));
        let dispute =
            || self.disputes.iter().find(|dispute| dispute.id == id).map(|dispute| self.dispute_json(dispute, now));
        let warning =
            || self.warnings.iter().find(|warning| warning.id == id).map(|warning| self.warning_json(warning));
        let moved =
            || self.transactions.iter().find(|moved| moved.id == id).map(|moved| balance_transaction(moved, now));
        charge.or_else(refund).or_else(dispute).or_else(warning).or_else(moved)
    }
}

fn outcome(charge: &ChargeRecord, card: &TestCard) -> Value {
    let risk_score = match card.risk_level {
        "highest" => 85,
        "elevated" => 65,
        _ => 20,
    };
    let (kind, network_status, reason, message) = match (&charge.failure, card.authorization) {
        (None, _) => ("authorized", "approved_by_network", None, "Payment complete."),
        (Some(_), Authorization::Blocked) => {
            ("blocked", "not_sent_to_network", Some("highest_risk_level"), "Stripe blocked this payment as too risky.")
        }
        (Some((_, decline, _)), Authorization::Approved | Authorization::Declined(..)) => (
            "issuer_declined",
            "declined_by_network",
            Some(decline.as_str()),
            "The bank did not return any further details with this decline.",
        ),
    };
    json!({
        "advice_code": null, "network_advice_code": null, "network_decline_code": null, "network_status": network_status, "reason": reason,
        "risk_level": card.risk_level, "risk_score": risk_score, "seller_message": message, "type": kind,
    })
}

fn evidence(submitted: &Map<String, Value>) -> Value {
    let mut all = json!({
        "access_activity_log": null, "billing_address": null, "cancellation_policy": null, "cancellation_policy_disclosure": null,
        "cancellation_rebuttal": null, "customer_communication": null, "customer_email_address": null, "customer_name": null,
        "customer_purchase_ip": null, "customer_signature": null, "duplicate_charge_documentation": null, "duplicate_charge_explanation": null,
        "duplicate_charge_id": null, "enhanced_evidence": {}, "product_description": null, "receipt": null, "refund_policy": null,
        "refund_policy_disclosure": null, "refund_refusal_explanation": null, "service_date": null, "service_documentation": null,
        "shipping_address": null, "shipping_carrier": null, "shipping_date": null, "shipping_documentation": null, "shipping_tracking_number": null,
        "uncategorized_file": null, "uncategorized_text": null,
    });
    merge(&mut all, submitted);
    all
}

fn merge(object: &mut Value, over: &Map<String, Value>) {
    if let Value::Object(object) = object {
        object.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// A balance transaction, as it is at `now` (milliseconds).
#[must_use]
pub fn balance_transaction(moved: &BalanceTransactionRecord, now: i64) -> Value {
    let fee_details = if moved.fee == 0 {
        json!([])
    } else {
        json!([{"amount": moved.fee, "application": null, "currency": moved.currency, "description": "Stripe processing fees", "type": "stripe_fee"}])
    };
    json!({
        "id": moved.id, "object": "balance_transaction", "amount": moved.amount, "available_on": moved.available_on, "balance_type": "payments",
        "created": moved.created, "currency": moved.currency, "description": null, "exchange_rate": null, "fee": moved.fee, "fee_details": fee_details,
        "net": moved.amount - moved.fee, "reporting_category": moved.reporting_category, "source": moved.source,
        "status": if now / 1_000 >= moved.available_on { "available" } else { "pending" }, "type": moved.kind,
    })
}
