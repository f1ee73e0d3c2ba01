//! One connection, as the server sees it: a greeting, then one request after the other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ha_core::backend::{Backend, Change, Mark, SessionOptions};
use ha_core::{Error, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::POLL_MAX;
use super::dispatch::{self, malformed};
use super::hex::Hex;
use super::server::{Client, Hold, Shared};
use super::wire::{
    self, Answer, HELLO_BYTES_MAX, Hello, MESSAGE_BYTES_MAX, Request, VERSION, Welcome, WireEnded, WireScope, WireTerm,
};

/// How long a connection may take to say who it is.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// How long a session lives in the store, which is not asked: the server's own table decides.
const STORED: Duration = Duration::from_secs(24 * 3600);

/// Serves a connection until it is closed, or says something that it must not.
pub(super) async fn serve(shared: Arc<Shared>, number: u64, stream: &mut TcpStream) {
    // Without it small answers wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.split();
    let hello = shared.seam.timeout(HELLO_MAX, wire::receive::<Hello>(&mut reader, HELLO_BYTES_MAX)).await;
    let Some(Ok(hello)) = hello else { return };
    let client = match greet(&shared, number, &hello) {
        Ok(client) => client,
        // If it cannot be told, it is gone; either way the connection ends.
        Err(error) => return drop(wire::send(&mut writer, &Answer::failed(&error)).await),
    };
    let profile = client.handle.profile();
    let welcome = Answer::Welcome(Welcome {
        value_bytes_max: profile.value_bytes_max,
        commit_operations_max: profile.commit_operations_max,
        commit_bytes_max: profile.commit_bytes_max,
    });
    if wire::send(&mut writer, &welcome).await.is_err() {
        return;
    }
    loop {
        let Ok(request) = wire::receive::<Request>(&mut reader, MESSAGE_BYTES_MAX).await else { return };
        let wait = request.is_wait();
        let answered = answered(&shared, &client, request);
        let answer = match wait {
            false => answered.await,
            true => tokio::select! {
                biased;
                answer = answered => answer,
                () = gone(&mut reader) => return,
            },
        };
        let Some(frame) = dispatch::framed(answer, |answer| answer) else { return };
        if tokio::io::AsyncWriteExt::write_all(&mut writer, &frame).await.is_err() {
            return;
        }
    }
}

fn greet(shared: &Shared, number: u64, hello: &Hello) -> Result<Arc<Client>, Error> {
    if hello.version != VERSION {
        let why = format!("the client speaks version {}, this server {VERSION}; build both anew", hello.version);
        return Err(Error::new(ErrorKind::Unsupported, "connect").because(why));
    }
    shared.client(number, &hello.client, &hello.label)
}

/// Returns when the other side has closed the connection, or speaks out of turn.
async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    // Either way the connection is over; which of them it was makes no difference.
    let _ = reader.read_u8().await;
}

async fn held(hold: &watch::Sender<Hold>, what: Hold) {
    let mut hold = hold.subscribe();
    // The sender lives in the client.
    let _ = hold.wait_for(|hold| *hold != what).await;
}

async fn answered(shared: &Shared, client: &Client, request: Request) -> Answer {
    held(&client.hold, Hold::Requests).await;
    let answer = answer(shared, client, request).await.unwrap_or_else(|error| Answer::failed(&error));
    held(&client.hold, Hold::Answers).await;
    answer
}

async fn answer(shared: &Shared, client: &Client, request: Request) -> Result<Answer, Error> {
    match request {
        Request::Read(key) => dispatch::read(&client.handle, &key).await,
        Request::List(below) => dispatch::list(&client.handle, &below).await,
        Request::Changed { scope, seen } => changed(shared, client, &scope, Mark::from_native(seen)).await,
        Request::Commit(commit) => dispatch::commit(&client.handle, commit).await,
        Request::Open { silence_ns, label } => open(shared, client, Duration::from_nanos(silence_ns), label).await,
        Request::Renew(session) => Ok(renew(shared, client, &session).await),
        Request::Ended(session) => Ok(ended(shared, client, &session).await),
        Request::Acquire { session, home, holder, over } => {
            acquire(shared, client, &session, &home, &holder, over).await
        }
        Request::Release { session, home } => match shared.sessions.of(&client.id, &session) {
            Some(served) => dispatch::release(&*served.session, &home).await,
            None => Ok(Answer::Done),
        },
        Request::CloseSession(session) => {
            if let Some(served) = shared.sessions.of(&client.id, &session) {
                served.session.close().await?;
            }
            Ok(Answer::Done)
        }
        Request::Close => client.handle.close().await.map(|()| Answer::Done),
    }
}

async fn changed(shared: &Shared, client: &Client, scope: &WireScope, seen: Mark) -> Result<Answer, Error> {
    let scope = scope.scope().ok_or_else(|| malformed("changed"))?;
    let change = shared.seam.timeout(POLL_MAX, client.handle.changed(&scope, &seen)).await;
    // Nothing for a while: said all the same, so that a client tells silence from a broken line.
    let change = change.unwrap_or(Ok(Change::Hint { mark: seen }))?;
    Ok(Answer::changed(&change))
}

async fn open(shared: &Shared, client: &Client, silence: Duration, label: String) -> Result<Answer, Error> {
    if silence < super::SILENCE_MIN || silence > STORED {
        return Err(malformed("open session"));
    }
    let session = client.handle.open_session(&SessionOptions { silence: STORED, label }).await?;
    Ok(Answer::Opened(shared.sessions.add(session, &client.id, silence, &shared.store, &shared.seam)))
}

async fn renew(shared: &Shared, client: &Client, session: &str) -> Answer {
    let over = |why| Answer::Over(WireEnded::new(why));
    let Some(served) = shared.sessions.of(&client.id, session) else { return over(shared.sessions.why(session)) };
    let mut frozen = served.frozen.subscribe();
    // The sender lives in what is served.
    let _ = frozen.wait_for(|frozen| !frozen).await;
    let answer = served.renew(&shared.seam).map_or(Answer::Alive, over);
    let answers_take = *shared.answers_take.borrow();
    if !answers_take.is_zero() {
        shared.seam.sleep(answers_take).await;
    }
    answer
}

async fn ended(shared: &Shared, client: &Client, session: &str) -> Answer {
    let over = |why| Answer::Over(WireEnded::new(why));
    match shared.sessions.of(&client.id, session) {
        None => over(shared.sessions.why(session)),
        Some(served) => shared.seam.timeout(POLL_MAX, served.session.ended()).await.map_or(Answer::Alive, over),
    }
}

async fn acquire(
    shared: &Shared,
    client: &Client,
    session: &str,
    home: &str,
    holder: &Hex,
    over: Option<WireTerm>,
) -> Result<Answer, Error> {
    let served =
        shared.sessions.of(&client.id, session).filter(|served| served.session.ended().now_or_never().is_none());
    let Some(served) = served else {
        return Err(Error::new(ErrorKind::SessionEnded, "acquire").at(home).because("open another session"));
    };
    dispatch::acquire(&*served.session, home, holder, over).await
}
