//! A process that the demo has started: what it is told, and what it tells.

use std::io::{self, BufRead};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Out;
use crate::cluster::events::{Event, Line};
use crate::gate::Gate;

/// Lets sources read as far as standard input says, a number a line, and nothing before the first one. The future is
/// over when standard input ends: also when the demo is killed, so that it leaves no process behind.
pub(super) fn listen(gate: Arc<Gate>) -> impl Future<Output = ()> {
    gate.set(0);
    let (hears, ended) = oneshot::channel::<()>();
    // Blocks until the demo ends its side or this process ends, which does not wait for it.
    drop(tokio::task::spawn_blocking(move || {
        let _hears = hears;
        for line in io::stdin().lock().lines() {
            match line.map(|line| line.trim().parse()) {
                Ok(Ok(position)) => gate.set(position),
                // Not what the demo says.
                _ => return,
            }
        }
    }));
    async move {
        // Never sent: it ends with the thread.
        let _ = ended.await;
    }
}

/// Tells what happens, and where sources are held, as lines of JSON.
pub(super) async fn tell(mut events: mpsc::Receiver<Event>, gate: &Gate, out: &mut Out<'_>) {
    let mut next = 1;
    loop {
        let line = tokio::select! {
            biased;
            event = events.recv() => match event {
                Some(event) => Line::of(&event),
                None => return,
            },
            position = gate.arrived(next) => {
                next = position.saturating_add(1);
                Line::Held(position)
            }
        };
        let said = serde_json::to_writer(&mut *out, &line).map_err(io::Error::from);
        if said.and_then(|()| writeln!(out)).and_then(|()| out.flush()).is_err() {
            // The demo is gone.
            return;
        }
    }
}
