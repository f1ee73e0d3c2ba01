//! What an operator is told: X-38.

use ha_core::election::Leadership;

use super::Cluster;
use super::cluster::assert_deposed;
use super::plans::{plan, started};
use super::telling::{Fields, Listening};

fn with(field: &'static str, value: &str) -> impl Fn(&Fields) -> bool {
    let value = value.to_owned();
    move |fields| fields.get(field) == Some(&value)
}

/// What was told of that leadership, in its order; each with the term.
fn of_term(listening: &Listening, leadership: &Leadership) -> Vec<String> {
    let told = listening.told(with("session_id", &leadership.session_id().to_string()));
    let epoch = leadership.token().epoch().to_string();
    assert!(told.iter().all(|fields| fields.get("epoch") == Some(&epoch)), "each names the term: {told:?}");
    told.iter()
        .map(|fields| match fields.get("reason") {
            Some(reason) => format!("{}: {reason}", fields["message"]),
            None => fields["message"].clone(),
        })
        .collect()
}

pub async fn x_38_each_transition_is_told_once_with_its_term(c: Cluster) {
    let Some(listening) = Listening::start() else {
        // Not by the macro: the test runner hides what that prints when a test passes.
        crate::run::tell("SKIPPED X-38: this process has a tracing subscriber of its own");
        return;
    };
    // Other cases may run in this process.
    let label = format!("told-{:x}", c.seam().random_u64());
    let own = |message: &'static str| {
        listening.told(with("label", &label)).into_iter().filter(with("message", message)).count()
    };
    let process = c.process_with(&c.options(&label)).await;
    assert_eq!((own("campaign"), own("session opened")), (0, 0), "who does nothing says nothing");

    let first = process.lead().await;
    assert_eq!((own("campaign"), own("session opened"), own("session ended")), (1, 1, 0));
    assert_eq!(of_term(&listening, &first), ["leadership granted"]);
    first.publish("here:1").await.unwrap();
    assert_eq!(of_term(&listening, &first), ["leadership granted"], "what goes well is not told at this level");
    let (plans, _) = started(&first).await;
    process.line.make_unaware();
    c.depose().await;
    for _ in 0..2 {
        assert_deposed("a late write", plans.put_execution_plan(&plan("a", "late")).await);
    }
    let all = ["leadership granted", "write fenced", "leadership over: a write was fenced"];
    c.eventually("the loss is told", || async { of_term(&listening, &first).len() >= all.len() }).await;
    drop(plans);
    c.eventually("so is the end of the session", || async { own("session ended") == 1 }).await;
    assert_eq!(of_term(&listening, &first), all);

    let process = c.process_with(&c.options(&label)).await;
    let (mut opened, mut campaigns) = (1, 1);
    for _ in 0..3 {
        let next = process.lead().await;
        (opened, campaigns) = (opened + 1, campaigns + 1);
        let (epoch, id) = (next.token().epoch().to_string(), next.session_id().to_string());
        next.resign().await.unwrap();
        let over = |fields: &Fields| fields.get("session_id") == Some(&id);
        c.eventually("the resignation is told", || async { listening.told(over).len() >= 2 }).await;
        let told = listening.told(over);
        assert!(told.iter().all(|fields| fields.get("epoch") == Some(&epoch)), "{told:?}");
        let messages: Vec<&str> = told.iter().map(|fields| fields["message"].as_str()).collect();
        assert_eq!((messages, told[1]["reason"].as_str()), (vec!["leadership granted", "leadership over"], "resigned"));
        c.eventually("and its session ends", || async { own("session ended") == opened }).await;
        assert_eq!((own("campaign"), own("session opened")), (campaigns, opened));
    }

    let last = process.lead().await;
    c.depose().await;
    c.in_time("the loss is known", last.lost()).await;
    let over = |told: &[String]| told.len() == 2 && told[1].starts_with("leadership over: ");
    c.eventually("the eviction is told, once", || async { over(&of_term(&listening, &last)) }).await;
}
