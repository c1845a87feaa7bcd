//! The admin knows: a real fault, seen by the real Prometheus and Alertmanager, becomes one mail in a
//! mailbox, and one when it is over.

use std::time::{Duration, Instant};

use testkit::until;

use crate::{
    client::client,
    program::Signal,
    stack::{Stack, Tiers},
    watch::{Mail, mails, prometheus_query, start_logs, start_monitoring},
};

/// The promise: from the fault to the mail.
const WITHIN: Duration = Duration::from_mins(1);

/// Longer than Alertmanager's group interval, after which it would send a second mail about the same incident.
const QUIET: Duration = Duration::from_secs(35);

/// Waits for the mail of which every word of `words` stands in the subject.
async fn mail(words: &[&str]) -> Mail {
    until(&format!("a mail about {words:?}"), async || {
        let mails = mails().0.into_iter();
        mails
            .rev()
            .find(|mail| words.iter().all(|word| mail.subject.contains(word)))
    })
    .await
}

/// The subjects of all mails so far, but for those of this machine's own disk, which others may be filling: what is told
/// of it is true, and no fault of the stack's.
fn subjects() -> Vec<String> {
    let subjects = mails().0.into_iter().map(|mail| mail.subject);
    let mut subjects: Vec<_> = subjects
        .filter(|subject| !subject.contains("DiskFilling"))
        .collect();
    subjects.sort();
    subjects
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, Prometheus, Alertmanager and a mail server; .ci/run starts them"]
async fn a_fault_is_one_mail_and_its_end_another() {
    let mut stack = Stack::start(Tiers::Direct);
    let _logs = start_logs();
    let _monitoring = start_monitoring();
    let client = client();
    until("all targets", async || {
        let up = prometheus_query(
            &client,
            r#"up{job="padron"} == 1 and on() probe_success == 1"#,
        )
        .await
        .unwrap();
        (up.len() == 3).then_some(())
    })
    .await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(subjects(), [""; 0], "nothing is wrong, so nobody is told");

    // One replica dies, another freezes: two incidents.
    let struck = Instant::now();
    stack.replicas[1].end(Signal::Kill);
    stack.replicas[2].signal(Signal::Stop);
    let dead = mail(&["FIRING", "InstanceDown", "padron-2"]).await;
    let took = struck.elapsed();
    assert!(took <= WITHIN, "{took:?}");
    mail(&["FIRING", "InstanceDown", "padron-3"]).await;
    let frozen_took = struck.elapsed();
    assert!(frozen_took <= WITHIN, "{frozen_took:?}");
    for words in [
        "padron-2",
        "Since:",
        "What to do:",
        "docs/RUNBOOK.md#instancedown",
    ] {
        assert!(
            dead.text.contains(words),
            "{words} is missing in {}",
            dead.text
        );
    }
    tokio::time::sleep(QUIET).await;
    assert_eq!(subjects().len(), 2, "one mail for each: {:?}", subjects());

    stack.replicas[1].start();
    stack.replicas[2].signal(Signal::Cont);
    let over = mail(&["RESOLVED", "InstanceDown", "padron-2"]).await;
    assert!(over.text.contains("Over at:"), "{}", over.text);
    mail(&["RESOLVED", "InstanceDown", "padron-3"]).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(
        subjects().len(),
        4,
        "and one for each end: {:?}",
        subjects()
    );

    // The record server dies: every replica sees it, and it is one incident.
    let struck = Instant::now();
    stack.mongodb.end(Signal::Kill);
    let away = mail(&["FIRING", "RecordStoreAway"]).await;
    let away_took = struck.elapsed();
    assert!(away_took <= WITHIN, "{away_took:?}");
    assert!(
        away.text.contains("docs/RUNBOOK.md#recordstoreaway"),
        "{}",
        away.text
    );
    tokio::time::sleep(QUIET).await;
    assert_eq!(subjects().len(), 5, "{:?}", subjects());
    stack.mongodb.start();
    mail(&["RESOLVED", "RecordStoreAway"]).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(subjects().len(), 6, "{:?}", subjects());
    let (_, alive) = mails();
    assert_eq!(alive.len(), 1, "monitoring lives, and says so once a day");
    println!(
        "mails after {took:?} (killed), {frozen_took:?} (frozen), {away_took:?} (record server)"
    );
}
