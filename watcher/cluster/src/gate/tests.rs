use super::*;

#[tokio::test]
async fn the_most_urgent_goes_first_and_no_place_is_lost() {
    let gate = Gate::new(1);
    let held = gate.enter(0).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for urgency in [5, 3, 9] {
        let (gate, order) = (gate.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let _place = gate.enter(urgency).await;
            order.lock().unwrap().push(urgency);
        }));
        tokio::task::yield_now().await;
    }
    // One that gives up while it waits, and before the place reaches it.
    tasks.remove(1).abort();
    tokio::task::yield_now().await;
    drop(held);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [5, 9]);
    assert!(gate.try_enter().is_some(), "the place is free again");
    let _again = gate.enter(0).await;
    assert!(gate.try_enter().is_none());
}
