//! What is simulated says so: to whoever asks whether a program is ready, and in what is said of messages that nobody sent.

use events::{Event as _, NotificationRecorded, NotificationSent};
use quadrille_tests::{Order, Pipeline};

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
