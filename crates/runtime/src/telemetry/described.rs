//! What each metric of any program counts: the help text of `/metrics`. A metric that is recorded and not listed here fails a test.

use metrics::Unit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

use MetricKind::{Counter, Gauge, Histogram};

/// Name, what it is, and what it counts.
const DESCRIBED: &[(&str, MetricKind, &str)] = &[
    ("quadrille_alerts_open", Gauge, "Alerts that are open, by kind."),
    ("quadrille_alerts_total", Counter, "Alerts that were raised, by kind."),
    ("quadrille_alerts_undelivered", Gauge, "Alerts that the webhook has not taken yet."),
    ("quadrille_audit_breaches", Gauge, "Breaches that the last audit found, by invariant."),
    ("quadrille_audit_failures_total", Counter, "Audits of the books that could not be made."),
    ("quadrille_audits_total", Counter, "Audits of the books that were made."),
    ("quadrille_batch_failures_total", Counter, "Attempts at a batch that failed, by consumer and class of failure."),
    ("quadrille_batch_seconds", Histogram, "How long a batch of events took, from read to committed."),
    ("quadrille_batch_size", Histogram, "Events or requests that were decided in one transaction."),
    (
        "quadrille_circuit_open",
        Gauge,
        "Whether a consumer's database, Kafka or gateway fails for everyone: 1 while nothing is taken for it.",
    ),
    ("quadrille_dead_letters_open", Gauge, "Dead letters of events that nobody has dealt with yet."),
    ("quadrille_dead_letters_recent", Gauge, "Dead letters within the last five minutes."),
    ("quadrille_dead_letters_total", Counter, "Dead letters, by the consumer that could not decide."),
    ("quadrille_events_total", Counter, "Events that were read and decided, by consumer."),
    (
        "quadrille_expired_events_total",
        Counter,
        "Events of orders that were forgotten behind the horizon, which did nothing.",
    ),
    ("quadrille_forgotten_orders_total", Counter, "Orders that were forgotten behind the horizon."),
    ("quadrille_fulfillment_overdue_total", Counter, "Shipments whose hand-over became overdue."),
    ("quadrille_gateway_call_seconds", Histogram, "How long a call to a payment gateway took."),
    ("quadrille_gateway_webhooks_total", Counter, "Webhooks of payment gateways, by what came of each."),
    ("quadrille_gateway_calls_total", Counter, "Calls to a payment gateway, by operation and outcome."),
    ("quadrille_looks_total", Counter, "Looks at orders whose deadline had come, by what was found."),
    (
        "quadrille_lost_records_total",
        Counter,
        "Records that their topic deleted before they were read, by consumer and topic.",
    ),
    ("quadrille_money_at_risk", Gauge, "Minor units of a currency that are held or taken for orders that don't go on."),
    ("quadrille_open_beyond_horizon", Gauge, "Orders older than the horizon that have not ended."),
    ("quadrille_orders_stuck", Gauge, "Orders that are stuck now."),
    (
        "quadrille_outbox_set_aside",
        Gauge,
        "Events that Kafka does not take and that wait in outbox.set_aside, by database.",
    ),
    (
        "quadrille_reconciliation_differences",
        Gauge,
        "Differences between payments and a provider's own books, by gateway, as they were compared last.",
    ),
    (
        "quadrille_reconciliation_failures_total",
        Counter,
        "Comparisons with a provider's own books that could not be made, by gateway.",
    ),
    ("quadrille_parked", Gauge, "Events that wait for a retry, or behind one, by consumer."),
    ("quadrille_parked_dead", Gauge, "Dead letters behind which events of their key wait, by consumer."),
    ("quadrille_parked_oldest_seconds", Gauge, "How long the oldest event has been waiting for a retry, by consumer."),
    (
        "quadrille_parked_orders",
        Gauge,
        "Orders of which events wait for a retry, by consumer, as the tracker has heard.",
    ),
    ("quadrille_parked_total", Counter, "Events that were parked for a retry, by consumer."),
    ("quadrille_pruning_failures_total", Counter, "Rounds of forgetting old orders that failed."),
    (
        "quadrille_published_lag_seconds",
        Gauge,
        "How long ago everything that had been committed was published, by database, as the tracker has heard.",
    ),
    ("quadrille_relay_backlog_rows", Gauge, "Events that wait to be published."),
    ("quadrille_relay_lag_seconds", Gauge, "How long the oldest event that is not published has been waiting."),
    ("quadrille_relay_published_total", Counter, "Events that were published."),
    ("quadrille_relay_restarts_total", Counter, "How often the relay began again from its cursor."),
    ("quadrille_relay_set_aside_total", Counter, "Events that were set aside as Kafka does not take them, by topic."),
    ("quadrille_relay_shards", Gauge, "Shards of an outbox that this relay publishes."),
    ("quadrille_retries_total", Counter, "Parked events that were tried again."),
    (
        "quadrille_schemas_left_out",
        Gauge,
        "Stored schemas that this version can't read: records written by them are dead letters.",
    ),
    ("quadrille_step_seconds", Histogram, "How long a step of an order took; `complete` is the whole way to shipped."),
    ("quadrille_timers_fired_total", Counter, "Timers that fired."),
];

/// Tells the recorder of this process what its metrics are.
pub(super) fn describe() {
    for (name, kind, help) in DESCRIBED {
        let unit = if name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        match kind {
            Counter => metrics::describe_counter!(*name, unit, *help),
            Gauge => metrics::describe_gauge!(*name, unit, *help),
            Histogram => metrics::describe_histogram!(*name, unit, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    /// What the sources record: each name behind `counter!(`, `gauge!(` or `histogram!(`.
    fn recorded(folder: &Path, found: &mut BTreeMap<String, MetricKind>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && !entry.ends_with("target") {
                recorded(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs")
                && entry.file_stem().is_some_and(|stem| stem != "described")
            {
                let text = std::fs::read_to_string(&entry).unwrap();
                for (macro_name, kind) in [("counter!(", Counter), ("gauge!(", Gauge), ("histogram!(", Histogram)] {
                    let names = text.split(macro_name).skip(1).filter_map(|call| call.split('"').nth(1));
                    found.extend(names.map(|name| (name.to_owned(), kind)));
                }
            }
        }
    }

    /// Prose drifts: a name in a document, or in a rule, that nobody records is never seen to move.
    #[test]
    fn every_metric_that_a_document_names_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let documents = ["ARCHITECTURE.md", "docs/operations.md", "docs/scaling.md", "docs/alerts/README.md"];
        let rules = ["docs/alerts/quadrille.rules.yml", "docs/alerts/quadrille.rules.test.yml"];
        let known: Vec<&str> = DESCRIBED.iter().map(|(name, ..)| *name).collect();
        for document in documents.into_iter().chain(rules) {
            let text = std::fs::read_to_string(root.join(document)).unwrap();
            let words = text.split(|of: char| !of.is_ascii_alphanumeric() && of != '_');
            for named in words.filter(|word| word.starts_with("quadrille_")) {
                let name =
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| named.strip_suffix(end)).unwrap_or(named);
                assert!(known.contains(&name), "{document} names {named}");
            }
        }
    }

    #[test]
    fn every_metric_is_described_and_named_by_convention() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found = BTreeMap::new();
        for folder in ["crates", "consumers"] {
            recorded(&root.join(folder), &mut found);
        }
        assert!(found.len() > 30, "{found:?}");
        let described: BTreeMap<String, MetricKind> =
            DESCRIBED.iter().map(|(name, kind, ..)| ((*name).to_owned(), *kind)).collect();
        let undescribed: Vec<_> = found.iter().filter(|(name, kind)| described.get(*name) != Some(*kind)).collect();
        assert!(
            undescribed.is_empty(),
            "add to DESCRIBED in telemetry/described.rs, as what they are: {undescribed:?}"
        );
        let unused: Vec<_> = described.keys().filter(|name| !found.contains_key(*name)).collect();
        assert!(unused.is_empty(), "nobody records: {unused:?}");
        for (name, kind, help) in DESCRIBED {
            assert!(name.starts_with("quadrille_") && help.ends_with('.'), "{name}: {help}");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}: counters end with _total");
        }
    }
}
