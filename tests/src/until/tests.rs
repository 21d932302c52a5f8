use super::*;

const SHORT: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_condition_or_names_it() {
    let mut asked = 0;
    let took = until("it was asked three times", SHORT, async || {
        asked += 1;
        Ok(asked == 3)
    })
    .await
    .unwrap();
    assert_eq!((asked, took), (3, EVERY * 2));
    let late = until("the moon is full", SHORT, async || Ok(false)).await.unwrap_err();
    assert_eq!(late.to_string(), "not within 2s: the moon is full");
    let broken = until("it is known", SHORT, async || anyhow::bail!("nobody answers")).await.unwrap_err();
    assert_eq!(format!("{broken:#}"), "waiting until it is known: nobody answers");
}

#[tokio::test(start_paused = true)]
async fn attempts_and_work_name_what_was_waited_for() {
    let mut tries = 0;
    let value = succeeds("the third try works", SHORT, async || {
        tries += 1;
        ensure!(tries == 3, "try {tries}");
        Ok(tries)
    });
    assert_eq!(value.await.unwrap(), 3);
    let never_works =
        succeeds("it works", SHORT, async || -> Result<()> { anyhow::bail!("refused") }).await.unwrap_err();
    assert_eq!(format!("{never_works:#}"), "not within 2s: it works: refused");
    assert_eq!(ends("it is done", SHORT, async { 7 }).await.unwrap(), 7);
    let stuck = ends("it is done", SHORT, std::future::pending::<()>()).await.unwrap_err();
    assert!(stuck.to_string().starts_with("not within 2s: it is done"), "{stuck}");
}

#[tokio::test(start_paused = true)]
async fn what_must_never_hold_is_looked_at_all_the_while() {
    let began = Instant::now();
    never("the bell rings", SHORT, async || Ok(false)).await.unwrap();
    assert!(began.elapsed() >= SHORT);
    let rang = never("the bell rings", SHORT, async || Ok(began.elapsed() > SHORT + EVERY)).await.unwrap_err();
    assert_eq!(rang.to_string(), "the bell rings");
}
