//! What this process measures, served as Prometheus reads it: a recorder that renders, and a very small server.
//!
//! A service of your own would rather take an exporter from crates.io (`metrics-exporter-prometheus`, say), and needs
//! nothing of this but [`ha::telemetry::describe`].

mod text;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ha::seam::{Seam, Task};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Failure;
use text::Text;

/// Scrapes that are answered at once.
const CONNECTIONS_MAX: usize = 8;
/// The longest request.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// How long one scrape may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the server rests when it cannot take a connection in.
const REST: Duration = Duration::from_millis(100);

/// There is one recorder in a process, whoever serves it.
static RECORDED: OnceLock<Text> = OnceLock::new();

/// Serves the metrics of this process until it is dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    _serving: Task,
}

impl Endpoint {
    /// Records from now on, serves at that address, and says where on standard error.
    pub(super) async fn serve(at: &str, who: &str, seam: &Seam) -> Result<Self, Failure> {
        let listener = TcpListener::bind(at).await;
        let listener = listener.map_err(|e| Failure::Io(format!("cannot serve metrics at {at}"), e))?;
        let address = listener.local_addr().map_err(|e| Failure::Io(format!("cannot serve metrics at {at}"), e))?;
        let text = RECORDED.get_or_init(|| {
            let text = Text::default();
            // Whoever links this crate may have installed another: then that one has what happens, and this nothing.
            if let Err(error) = metrics::set_global_recorder(text.clone()) {
                tracing::warn!(%error, "another recorder is installed; no metrics are served");
            }
            ha::telemetry::describe();
            text
        });
        // Nobody reads it: they are served all the same.
        let _ = writeln!(io::stderr(), "{who}: metrics at http://{address}/metrics");
        Ok(Self { _serving: seam.spawn(listen(listener, text.clone(), seam.clone())) })
    }
}

/// An address for another process on the same host: a free port.
pub(super) fn beside(at: &str) -> String {
    let host = at.rsplit_once(':').map_or(at, |(host, _)| host);
    format!("{host}:0")
}

async fn listen(listener: TcpListener, text: Text, seam: Seam) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            seam.sleep(REST).await;
            continue;
        };
        let (text, own) = (text.clone(), seam.clone());
        let scrape = async move {
            // Whoever does not read its answer gets none.
            let _ = own.timeout(PATIENCE, answer(stream, &text)).await;
            drop(place);
        };
        // Bounded in number and time, so that nobody needs to end it.
        seam.spawn(scrape).detach();
    }
}

async fn answer(mut stream: TcpStream, text: &Text) -> io::Result<()> {
    let Some(request) = head(&mut stream).await? else { return Ok(()) };
    let mut words = request.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next().unwrap_or_default()) {
        ("GET", "/metrics") => ("200 OK", text.render()),
        ("GET", _) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// The first line of a request, once all of its head has come; `None` if it is none.
async fn head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await?;
        bytes.extend_from_slice(&piece[..read]);
        if bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Ok(Some(String::from_utf8_lossy(line).into_owned()));
        }
        if read == 0 || bytes.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn another_process_serves_on_the_same_host_at_a_port_of_its_own() {
        assert_eq!(beside("127.0.0.1:9100"), "127.0.0.1:0");
        assert_eq!(beside("[::1]:9100"), "[::1]:0");
        assert_eq!(beside("localhost"), "localhost:0");
    }
}
