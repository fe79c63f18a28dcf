//! Disputes, inquiries and early fraud warnings.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::create::update_metadata;
use crate::effects::{DueTask, LedgerEntry, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::id;
use crate::parameters::check_metadata;
use crate::record::{DisputeRecord, DisputeState, PaymentRecord, WarningRecord};

/// A dispute that a cardholder opens.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewDispute {
    /// `fraudulent`, `product_not_received`, `duplicate`, …
    pub reason: String,
    /// Whether it is an inquiry, which moves no money.
    pub inquiry: bool,
    /// Minor units; none: all that was not given back.
    pub amount: Option<i64>,
}

impl Default for NewDispute {
    fn default() -> Self {
        Self { reason: "fraudulent".into(), inquiry: false, amount: None }
    }
}

/// Parameters of `disputes.update`.
#[derive(Debug, Default, Deserialize)]
pub struct DisputeUpdateParameters {
    evidence: Option<Map<String, Value>>,
    submit: Option<bool>,
    metadata: Option<BTreeMap<String, String>>,
}

impl PaymentRecord {
    /// Opens a dispute; gives its id. The money is withdrawn at once, unless it is an inquiry.
    ///
    /// # Errors
    /// 400 when nothing is left to dispute, or less, or a dispute is open.
    pub fn open_dispute(
        &mut self,
        new: &NewDispute,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<String, ApiError> {
        let refuse = |message: String| Err(ApiError::state("charge_not_disputable", message));
        let Some(charge) = self.successful_charge().map(|charge| charge.id.clone()).filter(|_| self.captured() > 0)
        else {
            return refuse(format!("Nothing was captured of {}: there is nothing to dispute", self.id));
        };
        if self.disputes.iter().any(|dispute| !dispute.status.is_over() || dispute.status == DisputeState::Lost) {
            return refuse(format!("Charge {charge} is disputed already"));
        }
        let left = self.unrefunded();
        let amount = new.amount.unwrap_or(left);
        if !(1..=left).contains(&amount) {
            return refuse(format!("Expected an amount from 1 to {left}, which was not given back; got {amount}"));
        }
        let id = id::new("du_");
        let status = if new.inquiry { DisputeState::WarningNeedsResponse } else { DisputeState::NeedsResponse };
        let due_by = context.after(context.settings.dispute_evidence_within);
        self.disputes.push(DisputeRecord {
            id: id.clone(),
            created: context.seconds(),
            amount,
            charge: charge.clone(),
            reason: new.reason.clone(),
            status,
            due_by,
            evidence: Map::new(),
            submission_count: 0,
            metadata: BTreeMap::new(),
            transactions: Vec::new(),
        });
        effects.created("dispute", &id, Some(&charge));
        effects.object_event("charge.dispute.created", self, &id, context);
        let (payment, dispute) = (self.id.clone(), id.clone());
        if new.inquiry {
            let end = context.after(context.settings.inquiry_closes_after);
            effects.tasks.push((end, DueTask::DecideDispute { payment, dispute, won: true }));
        } else {
            self.withdraw(&id, context, effects);
            effects.tasks.push((due_by, DueTask::CloseEvidence { payment, dispute }));
        }
        Ok(id)
    }

    fn withdraw(&mut self, id: &str, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let Some(amount) = self.dispute_mut(id).map(|dispute| dispute.amount) else { return };
        let moved = self.book(("adjustment", "dispute"), id, (-amount, context.settings.dispute_fee), context, effects);
        if let Some(dispute) = self.dispute_mut(id) {
            dispute.transactions.push(moved);
        }
        effects.ledger.push((LedgerEntry::Dispute, id.to_owned(), amount));
        effects.object_event("charge.dispute.funds_withdrawn", self, id, context);
    }

    fn dispute_mut(&mut self, id: &str) -> Option<&mut DisputeRecord> {
        self.disputes.iter_mut().find(|dispute| dispute.id == id)
    }

    /// Takes evidence. It is submitted unless `submit=false`.
    ///
    /// # Errors
    /// 400 after the deadline, and once it is decided.
    pub fn update_dispute(
        &mut self,
        id: &str,
        parameters: &DisputeUpdateParameters,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<(), ApiError> {
        check_metadata(parameters.metadata.as_ref().unwrap_or(&BTreeMap::new()))?;
        let payment = self.id.clone();
        let Some(dispute) = self.dispute_mut(id) else { return Err(ApiError::missing("dispute", id, "id")) };
        let brings = parameters.evidence.as_ref().is_some_and(|evidence| !evidence.is_empty());
        if (brings || parameters.submit == Some(true)) && (dispute.status.is_over() || context.now > dispute.due_by) {
            let message = format!(
                "This dispute takes no evidence any more: its status is {}, evidence was due by {}.",
                dispute.status.as_str(),
                dispute.due_by / 1_000
            );
            return Err(ApiError::state("dispute_evidence_closed", message));
        }
        update_metadata(&mut dispute.metadata, parameters.metadata.as_ref());
        dispute.evidence.extend(parameters.evidence.clone().unwrap_or_default());
        if brings && parameters.submit != Some(false) || parameters.submit == Some(true) {
            dispute.submission_count += 1;
            dispute.status =
                if dispute.status.is_inquiry() { DisputeState::WarningUnderReview } else { DisputeState::UnderReview };
            let won = dispute.evidence.get("uncategorized_text").is_some_and(|text| text == "winning_evidence");
            if !dispute.status.is_inquiry() {
                let decided = context.after(context.settings.dispute_decided_after);
                effects.tasks.push((decided, DueTask::DecideDispute { payment, dispute: id.to_owned(), won }));
            }
        }
        effects.object_event("charge.dispute.updated", self, id, context);
        Ok(())
    }

    /// The shop accepts the loss.
    ///
    /// # Errors
    /// 400 once it is decided.
    pub fn close_dispute(
        &mut self,
        id: &str,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<(), ApiError> {
        match self.dispute_mut(id).map(|dispute| dispute.status) {
            None => Err(ApiError::missing("dispute", id, "id")),
            Some(status) if status.is_over() => Err(ApiError::state(
                "dispute_already_closed",
                format!("This dispute is closed already: its status is {}.", status.as_str()),
            )),
            Some(_) => {
                self.decide_dispute(id, false, context, effects);
                Ok(())
            }
        }
    }

    /// Nobody brought evidence in time.
    pub fn close_evidence(&mut self, id: &str, context: RuleContext<'_>, effects: &mut RuleEffects) {
        if self.dispute_mut(id).is_some_and(|dispute| dispute.status == DisputeState::NeedsResponse) {
            self.decide_dispute(id, false, context, effects);
        }
    }

    /// The bank decides. Nothing happens to a dispute that is decided.
    pub fn decide_dispute(&mut self, id: &str, won: bool, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let Some(dispute) = self.dispute_mut(id).filter(|dispute| !dispute.status.is_over()) else { return };
        let amount = dispute.amount;
        let inquiry = dispute.status.is_inquiry();
        dispute.status = match (inquiry, won) {
            (true, _) => DisputeState::WarningClosed,
            (false, true) => DisputeState::Won,
            (false, false) => DisputeState::Lost,
        };
        if won && !inquiry {
            let moved = self.book(
                ("adjustment", "dispute_reversal"),
                id,
                (amount, -context.settings.dispute_fee),
                context,
                effects,
            );
            if let Some(dispute) = self.dispute_mut(id) {
                dispute.transactions.push(moved);
            }
            effects.ledger.push((LedgerEntry::Reinstated, id.to_owned(), amount));
            effects.object_event("charge.dispute.funds_reinstated", self, id, context);
        }
        effects.object_event("charge.dispute.closed", self, id, context);
    }

    /// An inquiry becomes a dispute.
    ///
    /// # Errors
    /// 400 when it is no open inquiry.
    pub fn escalate_dispute(
        &mut self,
        id: &str,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<(), ApiError> {
        let (payment, left) = (self.id.clone(), self.unrefunded());
        let Some(dispute) = self
            .dispute_mut(id)
            .filter(|dispute| dispute.status.is_inquiry() && !dispute.status.is_over() && dispute.amount <= left)
        else {
            return Err(ApiError::state(
                "dispute_not_escalated",
                format!("{id} is no open inquiry of money that was not given back"),
            ));
        };
        dispute.status = DisputeState::NeedsResponse;
        dispute.due_by = context.after(context.settings.dispute_evidence_within);
        effects.tasks.push((dispute.due_by, DueTask::CloseEvidence { payment, dispute: id.to_owned() }));
        effects.object_event("charge.dispute.updated", self, id, context);
        self.withdraw(id, context, effects);
        Ok(())
    }

    /// The card's network warns; nothing moves. Nothing happens where nothing was captured.
    pub fn warn_of_fraud(&mut self, context: RuleContext<'_>, effects: &mut RuleEffects) {
        if let Some(charge) = self.successful_charge().map(|charge| charge.id.clone()).filter(|_| self.captured() > 0) {
            let id = id::new("issfr_");
            self.warnings.push(WarningRecord { id: id.clone(), created: context.seconds(), charge: charge.clone() });
            effects.created("radar.early_fraud_warning", &id, Some(&charge));
            effects.object_event("radar.early_fraud_warning.created", self, &id, context);
        }
    }
}
