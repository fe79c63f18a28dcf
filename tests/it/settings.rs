//! What is simulated says so: to whoever asks whether a program is ready, and in what is said of messages that nobody sent.

use std::time::{Duration, Instant};

use events::{Event as _, NotificationRecorded, NotificationSent};
use kafka_admin::groups::Groups;
use quadrille_tests::{Order, Pipeline, Setup};
use runtime::{Host, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_says_what_is_simulated_and_that_messages_are_recorded_and_not_sent() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 1).await;
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    for (consumer, expected) in [
        ("payments", "ready (simulated: sandbox gateway)\n"),
        ("fulfillment", "ready (simulated: built-in warehouse)\n"),
        ("orders", "ready\n"),
    ] {
        let answer = pipeline.http.get(pipeline.door(consumer, "/readyz")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, expected), "{consumer}");
    }
    let story = pipeline.story(&order).await;
    assert!(story.iter().any(|name| name == NotificationRecorded::NAME), "{story:?}");
    assert!(story.iter().all(|name| name != NotificationSent::NAME), "{story:?}");
    let sent = "select count(*) from notifications.message where state <> 'RECORDED'";
    assert_eq!(pipeline.count(sent).await, 0);
    pipeline.finish().await;
}

/// Who can't open its doors takes nobody's partitions: it is no member of its group, not even for the time that it takes to fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_its_port_taken_says_by_which_setting_and_joins_no_group() {
    let pipeline = Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let toml = pipeline.settings_toml().replacen(
        "[orders]\nhttp = '127.0.0.1:0'",
        &format!("[orders]\nhttp = '{address}'"),
        1,
    );
    let settings = Settings::from_toml(&toml).unwrap();
    let host = Host::new(settings.clone(), pipeline.clock.clone());
    let refused = format!("{:#}", orders::start(&host).await.unwrap_err());
    assert!(refused.contains(&address) && refused.contains("QUADRILLE_ORDERS__HTTP"), "{refused}");
    let (groups, began) = (Groups::of(settings.common()), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        let standing = groups.standing("orders", vec!["order-placed"]).await.unwrap();
        assert!(!standing.has_members, "it has joined");
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
    }
    host.stop().await.unwrap();
    pipeline.finish_without_audit("nothing runs").await;
}
