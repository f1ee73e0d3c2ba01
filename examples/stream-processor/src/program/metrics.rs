//! What this process measures, served as Prometheus reads it: rendered by `metrics-exporter-prometheus`, over HTTP by
//! `hyper`. Its own listener could not say at which port it is, if it may choose one.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ha::seam::{Seam, Task};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Failure;

/// Scrapes that are answered at once.
const CONNECTIONS_MAX: usize = 8;
/// How long one connection may last.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the server rests when it cannot take a connection in.
const REST: Duration = Duration::from_millis(100);
/// How often samples are summed up if nobody scrapes; else they would pile up.
const UPKEEP: Duration = Duration::from_secs(5);
/// Upper bounds, in seconds: from a commit in memory to one that was found out at the very end.
const BOUNDS: [f64; 16] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// There is one recorder in a process, whoever serves it.
static RECORDED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Serves the metrics of this process until it is dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    _serving: Task,
    _upkeep: Task,
}

impl Endpoint {
    /// Records from now on, serves at that address, and says where on standard error.
    pub(super) async fn serve(at: &str, who: &str, seam: &Seam) -> Result<Self, Failure> {
        let failed = |error| Failure::Io(format!("cannot serve metrics at {at}"), error);
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let recorded = RECORDED.get_or_init(record).clone();
        // Nobody reads it: they are served all the same.
        let _ = writeln!(io::stderr(), "{who}: metrics at http://{address}/metrics");
        let (summed, own) = (recorded.clone(), seam.clone());
        let upkeep = async move {
            loop {
                own.sleep(UPKEEP).await;
                summed.run_upkeep();
            }
        };
        Ok(Self { _serving: seam.spawn(listen(listener, recorded, seam.clone())), _upkeep: seam.spawn(upkeep) })
    }
}

fn record() -> PrometheusHandle {
    let buckets = PrometheusBuilder::new().set_buckets(&BOUNDS).expect("there are bounds");
    let recorder = buckets.build_recorder();
    let recorded = recorder.handle();
    // Whoever links this crate may have installed another: then that one has what happens, and this nothing.
    if let Err(error) = metrics::set_global_recorder(recorder) {
        tracing::warn!(%error, "another recorder is installed; no metrics are served");
    }
    ha::telemetry::describe();
    recorded
}

/// An address for another process on the same host: a free port.
pub(super) fn beside(at: &str) -> String {
    let host = at.rsplit_once(':').map_or(at, |(host, _)| host);
    format!("{host}:0")
}

async fn listen(listener: TcpListener, recorded: PrometheusHandle, seam: Seam) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            seam.sleep(REST).await;
            continue;
        };
        let (recorded, own) = (recorded.clone(), seam.clone());
        let scrape = async move {
            // Whoever does not read its answer gets none.
            let _ = own.timeout(PATIENCE, answer_all(stream, &recorded)).await;
            drop(place);
        };
        // Bounded in number and time, so that nobody needs to end it.
        seam.spawn(scrape).detach();
    }
}

async fn answer_all(stream: TcpStream, recorded: &PrometheusHandle) -> hyper::Result<()> {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, recorded)) });
    http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await
}

fn answer(request: &Request<Incoming>, recorded: &PrometheusHandle) -> Response<String> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, recorded.render()),
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
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
