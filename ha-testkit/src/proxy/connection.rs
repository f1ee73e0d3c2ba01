//! One connection of a client.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::message::{Message, Reader, waits_for_permission};
use super::rule::{Treatment, Verdict};
use super::{Direction, Fault, Shared};

/// What follows a request.
enum Next {
    /// Another one.
    Request,
    /// The end of the connection.
    End,
    /// Nothing, ever: the client waits in vain.
    Silence,
}

/// Serves one client until either side closes.
pub(super) async fn serve(shared: Arc<Shared>, client: TcpStream) {
    let mut client = Reader::new(client);
    let conversation = async {
        tokio::select! { biased;
            () = shared.is(Fault::Cut) => Next::End,
            () = shared.is(Fault::HalfOpen) => Next::Silence,
            // Whichever side breaks it: it is over for both.
            next = converse(&shared, &mut client) => next.unwrap_or(Next::End),
        }
    };
    if let Next::Silence = conversation.await {
        tokio::select! { biased;
            () = shared.is(Fault::Cut) => {}
            () = client.drained() => {}
        }
    }
}

async fn converse(shared: &Arc<Shared>, client: &mut Reader<TcpStream>) -> io::Result<Next> {
    let mut server = None;
    loop {
        let head = tokio::select! { biased;
            // A server that ends is heard of at once, as without a proxy.
            () = gone(&mut server) => return Ok(Next::End),
            head = client.request_head() => head?,
        };
        let Some(head) = head else { return Ok(Next::End) };
        if waits_for_permission(&head) {
            client.stream().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let request = client.body_of(head).await?;
        match exchange(shared, client, &mut server, request).await? {
            Next::Request => {}
            other => return Ok(other),
        }
    }
}

async fn gone(server: &mut Option<Reader<TcpStream>>) {
    match server {
        Some(server) => server.closed().await,
        None => std::future::pending().await,
    }
}

/// One request, and what becomes of it.
async fn exchange(
    shared: &Arc<Shared>,
    client: &mut Reader<TcpStream>,
    server: &mut Option<Reader<TcpStream>>,
    request: Message,
) -> io::Result<Next> {
    let mut verdict = shared.rules_for(&request);
    match verdict.treatment {
        Some(Treatment::Refuse) => return Ok(Next::End),
        Some(Treatment::Swallow) => return Ok(Next::Silence),
        _ => {}
    }
    let held = verdict.treatment == Some(Treatment::Hold);
    if held && !is_let_go(shared, client, &request, &mut verdict).await {
        return Ok(Next::End);
    }
    let answer = tokio::select! { biased;
        // What the server was asked, it is asked no more, as by any client that gives up.
        () = client.closed() => return Ok(Next::End),
        answer = ask(shared, server, &request, &verdict) => answer?,
    };
    match verdict.treatment {
        Some(Treatment::LoseAnswer) => return Ok(Next::End),
        Some(Treatment::TearAnswer) => {
            let whole = [&answer.head[..], &answer.body[..]].concat();
            client.stream().write_all(&whole[..whole.len() / 2]).await?;
            return Ok(Next::End);
        }
        _ => {}
    }
    shared.seam.sleep(verdict.answer_delay).await;
    shared.passes(Direction::Answer).await;
    client.stream().write_all(&answer.head).await?;
    client.stream().write_all(&answer.body).await?;
    Ok(if request.ends_connection || answer.ends_connection { Next::End } else { Next::Request })
}

/// Waits until the rule that holds a request is lifted. If its sender gives up before, the request is
/// delivered then without one.
async fn is_let_go(
    shared: &Arc<Shared>,
    client: &mut Reader<TcpStream>,
    request: &Message,
    verdict: &mut Verdict,
) -> bool {
    let Some(mut held) = verdict.held.take() else { return true };
    tokio::select! { biased;
        () = held.lifted() => return true,
        () = client.closed() => {}
    }
    let (shared, request) = (Arc::clone(shared), request.clone());
    let late = Arc::clone(&shared);
    shared.spawn(async move {
        held.lifted().await;
        // Nobody waits for the answer.
        let _ = ask(&late, &mut None, &request, &Verdict::default()).await;
    });
    false
}

/// Asks the server, twice if that is the treatment, and answers what it said first.
async fn ask(
    shared: &Shared,
    server: &mut Option<Reader<TcpStream>>,
    request: &Message,
    verdict: &Verdict,
) -> io::Result<Message> {
    shared.seam.sleep(verdict.request_delay).await;
    shared.passes(Direction::Request).await;
    let answer = ask_once(shared, server, request).await?;
    if verdict.treatment == Some(Treatment::Twice) {
        // On a connection of its own, as a network delivers it that had two ways.
        ask_once(shared, &mut None, request).await?;
    }
    Ok(answer)
}

async fn ask_once(shared: &Shared, server: &mut Option<Reader<TcpStream>>, request: &Message) -> io::Result<Message> {
    let reader = match server {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect(&shared.server).await?;
            // If it cannot be set, all is slower.
            let _ = stream.set_nodelay(true);
            server.insert(Reader::new(stream))
        }
    };
    let sent = async {
        reader.stream().write_all(&request.head).await?;
        reader.stream().write_all(&request.body).await
    };
    // A server may answer, and close, before it has read all: then its answer says more than the error.
    let sent = sent.await;
    match (reader.answer(request.target()).await, sent) {
        (Ok(answer), _) => Ok(answer),
        (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
    }
}
