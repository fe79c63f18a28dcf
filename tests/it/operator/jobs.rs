//! Jobs: what is asked of the tracker's routes for all dead letters of a filter.

use quadrille_tests::{Pipeline, Setup};
use serde_json::{Value, json};

use super::bulk::{restore, unknown, with_unknown_orders};
use super::{KEY, ask};

async fn job(pipeline: &Pipeline, id: &str) -> Value {
    pipeline.get("saga-tracker", &format!("/dead-letters/jobs/{id}")).await
}

async fn until_done(pipeline: &Pipeline, id: &str, letters: i64) {
    let far = || async { job(pipeline, id).await["done"].as_i64() >= Some(letters) };
    pipeline.until(far, "the job").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_on_after_a_restart_of_the_tracker_and_after_a_stop_and_does_nothing_twice() {
    let orders = unknown(300);
    let (pipeline, known) = with_unknown_orders(Setup::keyed(""), &orders).await;
    restore(&pipeline, &known, &orders).await;
    let tracker = pipeline.host(&["saga-tracker"]).await;
    let wish = json!({"what": "retry", "filter": {"consumer": "orders", "event_type": "StockRejected"}, "rate": 100});
    let dry = json!({"what": "retry", "filter": {"class": "conflict"}, "dry_run": true});
    let (status, would) = ask(&pipeline, Some(KEY), "/dead-letters/jobs", dry).await;
    assert_eq!(
        (status, &would["would_do"], would["dead_letters"].as_array().map(Vec::len)),
        (200, &json!(300), Some(300))
    );
    let (status, begun) = ask(&pipeline, Some(KEY), "/dead-letters/jobs", wish).await;
    assert_eq!((status, &begun["total"], &begun["state"]), (202, &json!(300), &json!("running")), "{begun}");
    let id = begun["job_id"].as_str().unwrap().to_owned();
    until_done(&pipeline, &id, 20).await;

    // Both instances of the tracker stop: whichever worked on it is gone.
    let first = pipeline.hosts().into_iter().find(|host| host.address("orders").is_some()).unwrap();
    pipeline.stop(&tracker).await;
    pipeline.stop(&first).await;
    let before = pipeline.count("select done from saga_tracker.job").await;
    assert!((20..300).contains(&before), "{before}");
    pipeline.host(&["orders", "saga-tracker", "outbox-relay"]).await;
    until_done(&pipeline, &id, before + 20).await;

    let (status, stopped) =
        ask(&pipeline, Some(KEY), &format!("/dead-letters/jobs/{id}/stop"), json!({"why": "lunch"})).await;
    assert_eq!((status, &stopped["state"]), (200, &json!("stopped")), "{stopped}");
    assert!(stopped["left"].as_i64() > Some(0), "{stopped}");
    pipeline.settle().await;
    assert_eq!(job(&pipeline, &id).await["done"], stopped["done"], "it does nothing any more");
    let (status, again) = ask(&pipeline, Some(KEY), &format!("/dead-letters/jobs/{id}/stop"), json!({})).await;
    assert_eq!(status, 409, "{again}");
    let (status, _) = ask(&pipeline, Some(KEY), &format!("/dead-letters/jobs/{id}/resume"), json!({})).await;
    assert_eq!(status, 200);
    let ended = || async { job(&pipeline, &id).await["state"] == "done" };
    pipeline.until(ended, "the job's end").await;
    let through = job(&pipeline, &id).await;
    assert_eq!(
        (&through["done"], &through["refused"], &through["left"]),
        (&json!(300), &json!(0), &json!(0)),
        "{through}"
    );

    pipeline.settle().await;
    let failed = "select count(*) from orders.\"order\" where state = 'FAILED'";
    pipeline.until_count(failed, 300, "every order's end").await;
    let retried =
        "select count(distinct letter_id) from saga_tracker.action where what = 'retry' and job_id is not null";
    assert_eq!(pipeline.count(retried).await, 300);
    assert_eq!(pipeline.count("select count(*) from saga_tracker.action where what = 'retry'").await, 300);
    let audit = pipeline.get("saga-tracker", &format!("/actions?job_id={id}&limit=500")).await;
    let about =
        |what: &str| audit["actions"].as_array().unwrap().iter().filter(|action| action["what"] == what).count();
    assert_eq!((about("start_job"), about("stop_job"), about("retry")), (2, 1, 300));
    pipeline.finish_without_audit("dead letters tell of orders that only orders knows").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_needs_a_door_that_is_closed_waits_and_says_for_what() {
    let orders = unknown(3);
    let nobody = "[saga_tracker]\norders_url = 'http://127.0.0.1:9'\n";
    let (pipeline, _) = with_unknown_orders(Setup::keyed(nobody), &orders).await;
    let wish = json!({"what": "skip", "why": "a forged feed", "filter": {"class": "conflict"}});
    let (status, begun) = ask(&pipeline, Some(KEY), "/dead-letters/jobs", wish).await;
    assert_eq!(status, 202, "{begun}");
    let id = begun["job_id"].as_str().unwrap();
    let waits = || async { job(&pipeline, id).await["waits_for"].is_string() };
    pipeline.until(waits, "the job to say what it waits for").await;
    let waiting = job(&pipeline, id).await;
    assert!(waiting["waits_for"].as_str().unwrap().contains("orders does not answer"), "{waiting}");
    assert_eq!((&waiting["state"], &waiting["done"]), (&json!("running"), &json!(0)));
    assert_eq!(pipeline.count("select count(*) from orders.dead_letter where resolution is not null").await, 0);
    pipeline.finish_without_audit("dead letters tell of orders that only orders knows").await;
}
