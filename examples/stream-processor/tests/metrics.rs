//! What `--metrics` serves, scraped while the demo runs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use ha::seam::Seam;
use ha_testkit::run::block_on;
use stream_processor::cli::Arguments;
use stream_processor::cluster::backends::Backends;
use stream_processor::program;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The value of the first series that begins like this.
fn value(scraped: &str, begins: &str) -> Option<f64> {
    let line = scraped.lines().find(|line| line.starts_with(begins))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_running_demo_can_be_scraped_and_shows_elections_terms_and_commits() {
    block_on(async {
        let seam = Seam::system();
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let at = address.to_string();
        let words = ["stream-processor", "--metrics", &at, "--kill", "1", "--events", "200000"];
        let arguments = Arguments::parse_from(words);
        let (backends, mut out) = (Backends::compiled_in(), Vec::new());
        let playing = program::play(&arguments, &backends, &mut out);
        let scraping = async {
            loop {
                let scraped = get(address, "/metrics").await.unwrap_or_default();
                // The second leader leads, and has written.
                let won = value(&scraped, "ha_leaderships_won_total{latch=\"process\"}").unwrap_or_default();
                let applied = value(&scraped, "ha_commit_seconds_count{outcome=\"applied\"}").unwrap_or_default();
                if won >= 2.0 && applied >= 10.0 {
                    return scraped;
                }
                seam.sleep(Duration::from_millis(5)).await;
            }
        };
        let both = futures_util::future::join(playing, scraping);
        let (status, scraped) = seam.timeout(PATIENCE, both).await.expect("the demo ends, and was scraped before");
        assert_eq!(status, 0);
        assert!(value(&scraped, "ha_leader_epoch ").is_some_and(|epoch| epoch >= 2.0), "{scraped}");
        assert!(value(&scraped, "ha_election_campaigns_total{latch=\"process\"}").is_some_and(|n| n >= 2.0));
        assert!(value(&scraped, "ha_backend_calls_total{backend=\"embedded\"").is_some_and(|calls| calls >= 1.0));
        assert!(scraped.contains("# TYPE ha_commit_seconds histogram"), "{scraped}");
        assert!(scraped.contains("# HELP ha_leaderships_won_total "), "{scraped}");
        assert!(!scraped.contains("clicks"), "no job is named in a label: {scraped}");
    });
}
