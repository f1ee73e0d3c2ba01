//! A soak from its begin to its verdict.

use std::sync::Arc;
use std::time::Duration;

use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_testkit::ledger::{Counts, Trend, counted};
use ha_testkit::sim;

use crate::{
    ConsulPlace, EmbeddedPlace, FilesystemPlace, JournalPlace, Leak, Options, Place, PlaceName, Report, Sample, Soak,
    report,
};

/// How long a leader rests in each cycle of simulated time: many renewals.
const REST: Duration = Duration::from_secs(600);
/// How many samples are aimed at.
const SAMPLES: u32 = 60;
/// So many are taken, however long it takes: fewer say nothing.
const SAMPLES_MIN: usize = 2 * Trend::SAMPLES_MIN + 2;
/// The cycles that come before the first sample: connections are made, threads started.
const WARM_UP: u32 = 5;

/// Runs cycles until `length` is over and at least `cycles_min` were done, and takes `samples` samples; each is told.
///
/// # Errors
/// As [`Soak::cycle`].
pub async fn soak(
    place: Arc<dyn Place>,
    (seam, counts): (Seam, Counts),
    (length, rest): (Duration, Duration),
    leak: Option<Leak>,
    mut told: impl FnMut(&Sample),
) -> Result<Report, Error> {
    let silence = Duration::from_secs(10);
    let mut soak = Soak::new(place, (seam.clone(), counts), silence, rest).await?;
    for _ in 0..WARM_UP {
        soak.cycle(leak).await?;
    }
    let began = seam.now();
    let mut samples = Vec::new();
    while seam.now().since(began) < length || samples.len() < SAMPLES_MIN {
        let next = began + length.mul_f64(f64::from(samples.len() as u32) / f64::from(SAMPLES));
        loop {
            soak.cycle(leak).await?;
            if seam.now() >= next {
                break;
            }
        }
        let sample = soak.sample().await?;
        told(&sample);
        samples.push(sample);
    }
    Ok(report(&samples, seam.now().since(began)))
}

fn tell(sample: &Sample) {
    let gauges: Vec<String> =
        sample.gauges.iter().map(|(gauge, value)| format!("{gauge} {:.0}", *value as f64 / gauge.unit())).collect();
    println!("cycle {}: {}", sample.cycle, gauges.join(", "));
}

/// Does what the options ask for, and tells each sample; `true` if nothing grew.
///
/// # Errors
/// A text for people: what is missing, or what did not go as it must.
pub fn run(options: &Options) -> Result<bool, String> {
    let result = if options.simulated {
        sim::run(1, async |seam| {
            let (seam, counts) = counted(seam);
            let place: Arc<dyn Place> = match options.place {
                PlaceName::Journal => Arc::new(JournalPlace::new(&seam, 256)),
                _ => Arc::new(EmbeddedPlace::new(&seam)),
            };
            soak(place, (seam, counts), (options.length, REST), options.leak, tell).await
        })
    } else {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        runtime.block_on(async {
            let (seam, counts) = counted(Seam::system());
            let place = real(options, &seam).await?;
            soak(place, (seam, counts), (options.length, Duration::ZERO), options.leak, tell).await
        })
    };
    let report = result.map_err(|error| format!("{error:?}"))?;
    println!("{report}");
    Ok(report.is_steady())
}

async fn real(options: &Options, seam: &Seam) -> Result<Arc<dyn Place>, Error> {
    let missing =
        |missing: ha_testkit::Missing| Error::new(ErrorKind::Unavailable, "soak").because(missing.to_string());
    Ok(match options.place {
        PlaceName::Embedded => Arc::new(EmbeddedPlace::new(seam)),
        PlaceName::Journal => Arc::new(JournalPlace::new(seam, 256)),
        PlaceName::Filesystem => {
            Arc::new(FilesystemPlace::new(seam, options.directory.as_deref(), 256).map_err(missing)?)
        }
        PlaceName::Consul => Arc::new(ConsulPlace::start(seam).await.map_err(missing)?),
    })
}
