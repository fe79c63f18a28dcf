//! The audit of the books: it finds what is broken, names it, and takes nothing for a breach that is merely on its way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit::{AuditScope, Finding, Window};
use quadrille_tests::Pipeline;
use runtime::Settings;
use serde_json::{Value, json};

use crate::rebuild::{KINDS, place, place_mixed, quadrille, stocked, text};

async fn asked(pipeline: &Pipeline, quiet: bool) -> Vec<Finding> {
    audit::ask(&pipeline.database.pool, &AuditScope::everything(quiet)).await.expect("the books")
}

/// What is broken: check, subject and detail.
async fn broken(pipeline: &Pipeline) -> Vec<(&'static str, String, String)> {
    let findings = asked(pipeline, true).await;
    let lines = findings.iter().flat_map(|of| of.lines().iter().map(move |line| (of.name, line)));
    lines.map(|(name, line)| (name, line.subject.clone(), line.detail.clone())).collect()
}

async fn sql(pipeline: &Pipeline, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pipeline.database.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_is_no_breach() {
    let pipeline = stocked().await;
    let done = AtomicBool::new(false);
    let load = async {
        place(&pipeline, &KINDS, 60).await;
        let moving = "select count(*) from orders.\"order\" o left join payments.payment p using (order_id)
                      left join fraud.assessment a using (order_id)
                      where o.ended_at is null and p.state is distinct from 'ACTION_REQUIRED' and a.state is distinct from 'REVIEW'";
        pipeline.until_count(moving, 0, "the end of what waits for no person").await;
        pipeline.settle().await;
        done.store(true, Ordering::SeqCst);
    };
    let auditing = async {
        let mut audits = 0;
        // ends with the load, which does not wait for ever
        while !done.load(Ordering::SeqCst) {
            for finding in asked(&pipeline, false).await {
                assert_eq!(finding.breaches(), 0, "{finding:#?}");
            }
            audits += 1;
        }
        audits
    };
    let ((), audits) = tokio::join!(load, auditing);
    assert!(audits > 5, "{audits}");
    assert_eq!(broken(&pipeline).await, []);
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_row_is_found_by_the_check_that_it_breaks_and_named() {
    let pipeline = stocked().await;
    let orders = place_mixed(&pipeline, 12).await;
    pipeline.settle().await;
    assert_eq!(broken(&pipeline).await, []);
    let order = &orders[0];
    for (check, subject, broken_by, mended_by) in [
        (
            "ledger",
            "TEA/a",
            "update inventory.stock_level set on_hand = on_hand + 5 where sku = 'TEA' and warehouse = 'a'".to_owned(),
            "update inventory.stock_level set on_hand = on_hand - 5 where sku = 'TEA' and warehouse = 'a'".to_owned(),
        ),
        (
            "reserved",
            "SHORT-1/b",
            "update inventory.stock_level set reserved = reserved + 1 where sku = 'SHORT-1' and warehouse = 'b'"
                .to_owned(),
            "update inventory.stock_level set reserved = reserved - 1 where sku = 'SHORT-1' and warehouse = 'b'"
                .to_owned(),
        ),
        (
            "levels",
            "TEA/a",
            "update saga_tracker.level set available = available - 1 where sku = 'TEA' and warehouse = 'a'".to_owned(),
            "update saga_tracker.level set available = available + 1 where sku = 'TEA' and warehouse = 'a'".to_owned(),
        ),
        (
            "charged",
            order.as_str(),
            format!(
                "update payments.payment set captured = captured * 2, authorized = authorized * 2 where order_id = '{order}'"
            ),
            format!(
                "update payments.payment set captured = captured / 2, authorized = authorized / 2 where order_id = '{order}'"
            ),
        ),
        (
            "authorized",
            order.as_str(),
            format!("update payments.payment set authorized = authorized + 7 where order_id = '{order}'"),
            format!("update payments.payment set authorized = authorized - 7 where order_id = '{order}'"),
        ),
        (
            "book",
            order.as_str(),
            format!(
                "update sandbox.payment set authorized = authorized * 2, captured = captured * 2 where order_id = '{order}'"
            ),
            format!(
                "update sandbox.payment set authorized = authorized / 2, captured = captured / 2 where order_id = '{order}'"
            ),
        ),
        (
            "once",
            order.as_str(),
            format!(
                "insert into sandbox.operation select key || '/again', operation, order_id, payment_id, amount, currency, answer, done_at from sandbox.operation where order_id = '{order}' and operation = 'capture'"
            ),
            "delete from sandbox.operation where key like '%/again'".to_owned(),
        ),
        (
            "both",
            order.as_str(),
            format!("update orders.\"order\" set state = 'CANCELLED' where order_id = '{order}'"),
            format!("update orders.\"order\" set state = 'COMPLETED' where order_id = '{order}'"),
        ),
        (
            "shipped",
            order.as_str(),
            format!(
                "update fulfillment.consignment set units_dispatched = units_dispatched + 1 where order_id = '{order}'"
            ),
            format!(
                "update fulfillment.consignment set units_dispatched = units_dispatched - 1 where order_id = '{order}'"
            ),
        ),
        (
            "tracker",
            order.as_str(),
            format!("update saga_tracker.\"order\" set rank = 91 where order_id = '{order}'"),
            format!("update saga_tracker.\"order\" set rank = 93 where order_id = '{order}'"),
        ),
        (
            "lost",
            order.as_str(),
            format!("update orders.\"order\" set state = 'PENDING', ended_at = null where order_id = '{order}'"),
            format!("update orders.\"order\" set state = 'COMPLETED', ended_at = now() where order_id = '{order}'"),
        ),
        (
            "provider",
            order.as_str(),
            format!(
                r#"insert into payments.reconciliation (gateway, asked_at, differing, lines) values ('stripe', now(), 1, '[{{"subject": "{order}", "detail": "missing_there"}}]')"#
            ),
            "delete from payments.reconciliation".to_owned(),
        ),
        (
            "provider",
            "stripe",
            "insert into payments.reconciliation (gateway, asked_at, unanswered_since) values ('stripe', now(), now() - interval '3 days')".to_owned(),
            "delete from payments.reconciliation".to_owned(),
        ),
        (
            "conserved",
            "all stock",
            format!("update inventory.reservation set committed = committed + 1 where order_id = '{order}'"),
            format!("update inventory.reservation set committed = committed - 1 where order_id = '{order}'"),
        ),
        (
            "conserved",
            "all stock",
            format!("update inventory.reservation set returned = returned + 1 where order_id = '{order}'"),
            format!("update inventory.reservation set returned = returned - 1 where order_id = '{order}'"),
        ),
        (
            "returns",
            order.as_str(),
            format!(
                r#"insert into fulfillment.customer_return (return_id, order_id, version, state, received, data, created_at, updated_at)
                   values ('{order}', '{order}', 1, 'RECEIVED', 1, '{{"units": [{{"line_id": "1", "sku": "TEA", "quantity": 1, "warehouse": "a",
                   "intact": 1, "damaged": 0}}], "refund": true}}', now(), now())"#
            ),
            "delete from fulfillment.customer_return".to_owned(),
        ),
        (
            "returns",
            order.as_str(),
            format!(
                r#"insert into fulfillment.customer_return (return_id, order_id, version, state, received, data, created_at, updated_at)
                   values ('{order}', '{order}', 1, 'ANNOUNCED', 0, '{{"units": [{{"line_id": "1", "sku": "TEA", "quantity": 99, "warehouse": "a"}}]}}',
                   now(), now())"#
            ),
            "delete from fulfillment.customer_return".to_owned(),
        ),
    ] {
        sql(&pipeline, &broken_by).await;
        let found = broken(&pipeline).await;
        assert!(found.iter().any(|(name, of, _)| *name == check && of == subject), "{check} {subject}: {found:#?}");
        assert!(
            found.iter().all(|(_, of, _)| [subject, "all stock", order.as_str()].contains(&of.as_str())),
            "nothing else: {found:#?}"
        );
        sql(&pipeline, &mended_by).await;
        assert_eq!(broken(&pipeline).await, [], "{check} is mended");
    }
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trackers_job_notes_a_breach_once_and_when_it_is_healed() {
    let pipeline = Pipeline::with_settings("[saga_tracker]\naudit_every = '1h'\naudit_orders = 3\n").await;
    pipeline.stock("TEA", "a", 50).await;
    let order = pipeline.place(&quadrille_tests::Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    // Whoever sees what a run has found may be ahead of its end: the next run is counted from its beginning.
    sql(
        &pipeline,
        "create function saga_tracker.slowly() returns trigger language plpgsql as 'begin perform pg_sleep(2); return new; end';
         create trigger slowly before update of walked on saga_tracker.audit execute function saga_tracker.slowly();",
    )
    .await;
    // Older than the newest three, and of no page yet: what is open is looked at again all the same.
    let charge = |by: i64| {
        format!(
            "update payments.payment set captured = captured + {by}, authorized = authorized + {by} where order_id = '{order}'"
        )
    };
    sql(&pipeline, &charge(1)).await;
    let ran = async |times: i64| {
        pipeline.advance(Duration::from_secs(3_600));
        let at = pipeline.clock.now();
        let at = format!(
            "select count(*) from saga_tracker.audit where ran_at >= '{at}'::timestamptz - interval '1 minute'"
        );
        let breaches = "select count(*) from saga_tracker.breach where last_seen = (select ran_at from saga_tracker.audit) or healed_at = (select ran_at from saga_tracker.audit)";
        let both = async || (pipeline.count(&at).await, pipeline.count(breaches).await);
        pipeline.until(|| async { both().await == (1, times) }, "the audit").await;
        pipeline.get("saga-tracker", "/audit?healed=true").await
    };
    let first = ran(2).await;
    let of = |audit: &Value, check: &str| {
        audit["breaches"]
            .as_array()
            .unwrap()
            .iter()
            .find(|breach| breach["check"] == check)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(of(&first, "charged")["subject"], json!(order), "{first}");
    assert_eq!(of(&first, "book")["subject"], json!(order), "{first}");
    for _ in 0..5 {
        pipeline.place(&quadrille_tests::Order::of(&[("TEA", 1, 450)])).await;
    }
    pipeline.settle().await;
    let second = ran(2).await;
    assert_eq!(of(&second, "charged")["first_seen"], of(&first, "charged")["first_seen"]);
    assert_ne!(of(&second, "charged")["last_seen"], of(&first, "charged")["last_seen"]);
    assert!(of(&second, "charged")["healed_at"].is_null(), "{second}");
    let alerts = |resolved: &str| {
        format!("select count(*) from saga_tracker.alert where kind = 'invariant_breach' and resolved_at is {resolved}")
    };
    assert_eq!(pipeline.count(&alerts("null")).await, 2, "each breach is one alert, however often it is seen");
    sql(&pipeline, &charge(-1)).await;
    let third = ran(2).await;
    assert!(of(&third, "charged")["healed_at"].is_string(), "{third}");
    let open = pipeline.get("saga-tracker", "/audit").await;
    assert_eq!(open["breaches"], json!([]), "{open}");
    assert_eq!((pipeline.count(&alerts("null")).await, pipeline.count(&alerts("not null")).await), (0, 2), "healed");
    pipeline.finish().await;
}

/// A shop that sold nothing for a while: found by hand, as `quadrille audit` on a quiet pipeline could not read the topics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_with_nothing_new_has_no_breach() {
    let pipeline = stocked().await;
    place_mixed(&pipeline, 3).await;
    pipeline.settle().await;
    sql(
        &pipeline,
        "insert into outbox.moment (taken_at, snapshot) values (statement_timestamp(), pg_current_snapshot())",
    )
    .await;
    let settings = Settings::from_toml(&pipeline.settings_toml()).unwrap();
    let window = Window { since: Duration::ZERO, rows: 10_000 };
    let quiet = audit::outbox(&settings, &pipeline.database.pool, window).await.unwrap();
    assert_eq!(quiet.breaches(), 0, "{quiet:#?}");
    pipeline.finish_with_dead_letters().await;
}

/// A dead letter carries its original's `ce_id`, or none: it was taken for lost, and the books for broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_found_by_its_own_id_whatever_died() {
    let pipeline = stocked().await;
    let id = uuid::Uuid::from_u128(23).to_string();
    let accepted = [("ce_type", "quadrille.orders.OrderAccepted"), ("ce_id", id.as_str()), ("ce_correlationid", "23")];
    let forged = [("quadrille-dead-letter-id", id.as_str())];
    quadrille_tests::produce(&pipeline.topic("orders"), &[(Some(b"a"), b"no frame", &accepted)]);
    quadrille_tests::produce(
        &pipeline.topic("order-placed"),
        &[(Some(b"b"), b"{ no JSON", &[]), (Some(b"c"), b"{ nor this", &forged)],
    );
    // One of an answer, which has no record: the gateway holds another amount than it was asked for.
    place(&pipeline, &[("TEA", "tok_wrong_amount")], 1).await;
    let letters = "select count(*) from outbox.event where topic = 'dead-letter-events'";
    pipeline.until_count(letters, 5, "five dead letters").await;
    pipeline.settle().await;
    let audited = quadrille(&pipeline, &["audit"]).await;
    assert!(audited.status.success(), "{}", text(&audited));
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_counts_as_published_and_is_in_no_topic_is_found() {
    let pipeline = stocked().await;
    place_mixed(&pipeline, 12).await;
    pipeline.settle().await;
    let settings = Settings::from_toml(&pipeline.settings_toml()).unwrap();
    let window = Window { since: Duration::ZERO, rows: 10_000 };
    let outbox = async || audit::outbox(&settings, &pipeline.database.pool, window).await.unwrap();
    let healthy = outbox().await;
    assert_eq!(healthy.breaches(), 0, "{healthy:#?}");
    let everything = Window { since: Duration::from_secs(3_600), ..window };
    let all = audit::outbox(&settings, &pipeline.database.pool, everything).await.unwrap();
    assert!(all.breaches() == 0 && format!("{all:?}").contains("the beginning"), "{all:#?}");
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
    // As if a broker had lost it after it acknowledged it: the row is there, every cursor has passed it.
    sql(
        &pipeline,
        "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
           select slot, array[shard], '{c0ffee00-0000-7000-8000-000000000001}', array[topic], array[key], array[headers], array[payload]
             from outbox.event where topic = 'orders' limit 1;",
    )
    .await;
    assert_eq!(outbox().await.breaches(), 0, "a row that waits to be published is none");
    sql(&pipeline, "update outbox.relay_cursor set snapshot = pg_current_snapshot(), ahead = null, ahead_seq = null")
        .await;
    let lost = outbox().await;
    assert_eq!(
        lost.lines().iter().map(|line| line.subject.as_str()).collect::<Vec<_>>(),
        ["c0ffee00-0000-7000-8000-000000000001"],
        "{lost:#?}"
    );
    pipeline.finish_without_audit("a row was written that is in no topic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_asks_whether_the_books_hold_and_the_exit_code_says_so() {
    let pipeline = stocked().await;
    let orders = place_mixed(&pipeline, 12).await;
    pipeline.settle().await;
    let healthy = quadrille(&pipeline, &["audit"]).await;
    assert!(healthy.status.success(), "{}", text(&healthy));
    assert!(
        text(&healthy).contains("captured − refunded") && text(&healthy).contains("in the topics"),
        "{}",
        text(&healthy)
    );
    sql(&pipeline, "update inventory.stock_level set on_hand = on_hand + 5 where sku = 'TEA' and warehouse = 'a'")
        .await;
    let broken = quadrille(&pipeline, &["audit", "--json", "--quiet"]).await;
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken));
    let said: Value = serde_json::from_slice(&broken.stdout).unwrap();
    let ledger = said["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == "ledger").unwrap();
    assert_eq!(ledger["asked"]["lines"][0]["subject"], "TEA/a", "{said:#}");
    sql(&pipeline, "update inventory.stock_level set on_hand = on_hand - 5 where sku = 'TEA' and warehouse = 'a'")
        .await;
    // Of orders that were placed later there are none: nothing to compare, nothing broken.
    sql(
        &pipeline,
        &format!("update payments.payment set authorized = authorized + 7 where order_id = '{}'", orders[0]),
    )
    .await;
    let later = quadrille(&pipeline, &["audit", "--since", "2100-01-01T00:00:00Z"]).await;
    assert!(later.status.success(), "{}", text(&later));
    let all = quadrille(&pipeline, &["audit", "--outbox-rows", "0"]).await;
    assert!(
        !all.status.success() && text(&all).contains(&format!("BROKEN  authorized  {}", orders[0])),
        "{}",
        text(&all)
    );
    pipeline.finish_without_audit("the books were broken").await;
}
