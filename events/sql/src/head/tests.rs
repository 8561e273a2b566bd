use super::KnownHead;

#[test]
fn heads_only_grow() {
    let head = KnownHead::new(7);
    head.publish(5);
    assert_eq!(head.get(), 7);
    head.publish(9);
    assert_eq!(head.get(), 9);
}

#[tokio::test]
async fn waiting_ends_when_the_head_is_beyond() {
    let head = KnownHead::new(1);
    head.wait_beyond(0).await;
    let waiting = tokio::spawn({
        let head = head.clone();
        async move { head.wait_beyond(2).await }
    });
    head.publish(2);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    head.publish(3);
    waiting.await.unwrap();
}
