//! The service of this example. It does not know which backend it is on.

use ha::{ComponentId, Error, HighAvailabilityServices};

/// Leads once: wins, tells where it is reached, sees that others would find it there, and hands over.
///
/// # Errors
/// Whatever the backend says.
pub async fn lead_once(services: &dyn HighAvailabilityServices) -> Result<(), Error> {
    let worker = ComponentId::new("worker")?;
    let leadership = services.leader_election(worker.clone())?.campaign().await?;
    let address = format!("process {}", std::process::id());
    leadership.publish(&address).await?;
    let leader = services.leader_retriever(worker)?.watch().leader().await;
    println!("{} leads with fencing token {}", leader.address, leadership.token());
    leadership.resign().await
}
