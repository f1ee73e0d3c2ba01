//! A job manager: contends for leadership, and as the leader dispatches jobs to job masters.

use std::time::Duration;

use ha::election::Ran;
use ha::{ErrorKind, HighAvailabilityServices};

use super::events::What;
use super::{Failure, Member, dispatcher};

/// How long a job manager rests after a failure.
const REST: Duration = Duration::from_millis(50);
/// How long a standby may take to know the leader's process, and how often it looks.
const SETTLING: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Contends for leadership for as long as the job manager lives; returns when its services were closed.
///
/// # Cancel safety
/// Dropping the future resigns in the background.
pub async fn contend(member: Member) {
    loop {
        if let Err(error) = lead_once(&member).await {
            if matches!(&error, Failure::Ha(error) if error.kind() == ErrorKind::Closed) {
                return;
            }
            member.tell(What::Failed(error.to_string())).await;
            // What fails for good fails at once: leadership must not change hands in a busy loop.
            member.seam.sleep(REST).await;
        }
    }
}

async fn lead_once(member: &Member) -> Result<(), Failure> {
    let election = member.services.dispatcher_leader_election()?;
    let leadership = tokio::select! {
        biased;
        leadership = election.campaign() => leadership?,
        () = stand_by(member) => unreachable!("standing by has no end"),
    };
    // Reached before it is found: grant, store, confirm, publish.
    let mailbox = member.mailboxes.bind(&member.address);
    leadership.publish(&member.address).await?;
    member.tell(What::Leading(leadership.token())).await;
    match leadership.run(dispatcher::dispatch(member, &leadership, mailbox)).await {
        Ran::Done(result) => result,
        Ran::Lost(why) => {
            member.tell(What::Lost(why.to_string())).await;
            Ok(())
        }
    }
}

/// Tells once that another is seen to lead, and that a crash of its process would be noticed.
async fn stand_by(member: &Member) {
    if let Ok(retriever) = member.services.dispatcher_leader_retriever() {
        let leader = retriever.watch().leader().await;
        if leader.address != member.address {
            // Without it, it is silence that decides; that is no reason not to stand by.
            let _ = member.seam.timeout(SETTLING, acquainted(member)).await;
            member.tell(What::StandingBy).await;
        }
    }
    std::future::pending().await
}

/// Waits until presence, if it is on, has heard the process of a leader: the evidence of its death is that it is heard
/// no more.
async fn acquainted(member: &Member) {
    while member.services.presence_stats().is_some_and(|stats| stats.handshakes == 0) {
        member.seam.sleep(LOOK_AGAIN).await;
    }
}
