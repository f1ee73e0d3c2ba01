//! Several at once.

use futures_util::future::join_all;
use ha_core::backend::{Expect, Outcome};

use crate::fixture::{Fixture, key, text};

const RIVALS: usize = 8;
const ROUNDS: usize = 10;

/// Sends the same expectation from many handles at once and counts who won.
async fn race(f: &Fixture, at: &str, expect: Expect) -> Vec<Outcome> {
    let mut rivals = Vec::new();
    for n in 0..RIVALS {
        let backend = f.connect().await;
        let commit = f.new_commit().put(key(at), expect, text(&format!("rival {n}")));
        rivals.push(f.go(async move { backend.commit(&commit).await.expect("an answer") }));
    }
    join_all(rivals).await
}

fn assert_one_won(outcomes: &[Outcome]) {
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied { .. })).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Conflict { found: Some(_), .. })).count();
    assert_eq!((won, lost), (1, RIVALS - 1), "exactly one wins and the others see it: {outcomes:?}");
}

pub async fn b_10_of_equal_creates_one_wins(f: Fixture) {
    // Fails if two writers can both believe that they created a key.
    for round in 0..ROUNDS {
        assert_one_won(&race(&f, &format!("race/{round}"), Expect::Absent).await);
    }
}

pub async fn b_11_of_equal_revisions_one_wins(f: Fixture) {
    // Fails if two writers can both replace the same value.
    let b = f.connect().await;
    f.create(&b, "race/k", "start").await;
    for _ in 0..ROUNDS {
        let revision = b.read(&key("race/k")).await.unwrap().unwrap().revision;
        assert_one_won(&race(&f, "race/k", Expect::Revision(revision)).await);
    }
}

pub async fn b_12_commits_that_overlap_form_one_order(f: Fixture) {
    // Fails if two transfers between the same keys are mixed: the sum of all values changes.
    const KEYS: usize = 3;
    let b = f.connect().await;
    for n in 0..KEYS {
        f.create(&b, &format!("sum/{n}"), "100").await;
    }
    let transfers = (0..4).map(|n| {
        let f = f.clone();
        f.clone().go(async move {
            let backend = f.connect().await;
            for round in 0..25 {
                let (from, to) = ((n + round) % KEYS, (n + round + 1) % KEYS);
                let entries = f.list(&backend, "sum").await;
                let amount = |at: usize| String::from_utf8_lossy(&entries[at].value).parse::<i64>().unwrap();
                let moved = |at: usize, by: i64| text(&(amount(at) + by).to_string());
                let expect = |at: usize| Expect::Revision(entries[at].revision);
                let commit = f.new_commit().put(entries[from].key.clone(), expect(from), moved(from, -1));
                let commit = commit.put(entries[to].key.clone(), expect(to), moved(to, 1));
                backend.commit(&commit).await.expect("an answer");
            }
        })
    });
    join_all(transfers.collect::<Vec<_>>()).await;
    let sum: i64 = f.texts(&b, "sum").await.iter().map(|(_, value)| value.parse::<i64>().unwrap()).sum();
    assert_eq!(sum, 300, "overlapping commits were mixed");
}
