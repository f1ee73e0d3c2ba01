//! What the program is asked to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ha::PresenceOptions;

use crate::configured::Configured;

/// A small stream processor that survives losing its leader.
///
/// Without a command it runs the demo: two job managers compete for leadership, a million generated
/// click events flow, the leader is killed twice in the middle of the stream, and at the end the output
/// is compared with an independent computation. With the backend "embedded" all of it lives in one process; with
/// one that processes share each part is a process of its own, and the leader is killed by SIGKILL.
///
/// The commands run the same parts in processes of their own, on a backend that these share.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "stream-processor",
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  stream-processor\n  stream-processor --events 10000000 --kill 5\n  \
                  stream-processor --input access.log --json\n  seq 1 2000000 | stream-processor --input - --kill 3\n  \
                  stream-processor --backend consul --kill 5 --json\n  \
                  stream-processor --backend filesystem --kill 5 --json\n  \
                  stream-processor --backend consul --storage s3://states/demo --kill 2 --json\n  \
                  stream-processor --config config.yaml\n  \
                  stream-processor job-manager --backend embedded --listen 127.0.0.1:6123\n  \
                  stream-processor submit --job-manager 127.0.0.1:6123 --job clicks --output ./clicks --wait\n\n\
                  Exit status: 0 if the output was verified, 1 if not, 2 for arguments that do not fit."
)]
pub struct Arguments {
    /// What the demo does.
    #[command(flatten)]
    pub demo: DemoArguments,

    /// What else to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the demo does.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// What is processed.
    #[command(flatten)]
    pub source: SourceArguments,

    /// How many times the leader is killed in the middle of the stream.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub kill: u32,

    /// A configuration file, with the library's own keys: which backend, where, and how. The command line counts over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What the file says beyond the command line.
    #[arg(skip)]
    pub configured: Configured,

    /// The backend that leaders are elected on.
    #[arg(long, value_name = "NAME", default_value = "embedded")]
    pub backend: String,

    /// Where the backend is reached, in its own words. With "consul" it is by default where the variables of
    /// Consul's own command line say (CONSUL_HTTP_ADDR and its like), and if there are none, at an agent that the
    /// demo starts for itself and throws away. With "filesystem" it is a directory, by default a temporary one.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub endpoint: String,

    /// Where plans, checkpoints and artefacts are stored: file:///…, or s3://bucket/prefix with the options in the
    /// URL (`?endpoint=http://127.0.0.1:9000`) and the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. By
    /// default a temporary directory.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,

    /// How members keep themselves alive and are found dead.
    #[command(flatten)]
    pub liveness: LivenessArguments,

    /// Serve metrics as Prometheus reads them, at http://HOST:PORT/metrics, and say where. Over a backend that
    /// processes share, each job manager serves its own at a free port of the same host, and says so.
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<String>,

    /// Where the output is written: a directory that is empty, or does not exist. A temporary one if it
    /// is not given.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Print the outcome as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// How job managers keep themselves alive and are found dead.
#[derive(Debug, Clone, Args)]
pub struct LivenessArguments {
    /// How long, in milliseconds, a job manager may say nothing to the backend before another may lead.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub silence_ms: u64,

    /// Whether a crash is acted on at once, by locks and sockets on this host; else after the silence, as if the
    /// leader had been on a host that cannot be reached.
    #[arg(long, value_enum, default_value_t = Presence::Auto)]
    pub presence: Presence,
}

/// Whether standbys look at the leader's process themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Presence {
    /// On this host, where the backend has no evidence of its own.
    Auto,
    /// Not at all: silence alone decides.
    Off,
}

impl Presence {
    /// As the library is told.
    #[must_use]
    pub fn options(self) -> PresenceOptions {
        match self {
            Self::Auto => PresenceOptions::Automatic,
            Self::Off => PresenceOptions::Off,
        }
    }

    /// As the command line says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}

/// What a job processes, and with how many tasks.
#[derive(Debug, Clone, Args)]
pub struct SourceArguments {
    /// Events to process: a file of lines (text, or JSON objects with `key`, `ts`, `value`), or - for
    /// standard input. Without it, click events are generated.
    #[arg(long, value_name = "FILE|-")]
    pub input: Option<PathBuf>,

    /// How many click events to generate.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, conflicts_with = "input")]
    pub events: u64,

    /// The seed of the generated events.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,

    /// How many tasks aggregate in parallel.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallelism: u16,
}

/// A part of the cluster in a process of its own.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Contend for leadership; as the leader, take jobs in and run them.
    JobManager(JobManagerArguments),
    /// Find the leader, and run tasks for it.
    Worker(WorkerArguments),
    /// Hand a job in.
    Submit(SubmitArguments),
    /// Show the leader and its jobs.
    Status(StatusArguments),
}

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub struct ClusterArguments {
    /// A configuration file, with the library's own keys: which backend, where, and how. The command line counts over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What the file says beyond the command line.
    #[arg(skip)]
    pub configured: Configured,

    /// The backend that leaders are elected on: one that all processes of the cluster share.
    #[arg(long, value_name = "NAME", default_value = "embedded")]
    pub backend: String,

    /// Where the backend is reached, in its own words: with "filesystem", the directory.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub endpoint: String,

    /// Which cluster on that backend.
    #[arg(long, value_name = "NAME", default_value = "stream-processor")]
    pub cluster_id: String,
}

/// A job manager.
#[derive(Debug, Clone, Args)]
pub struct JobManagerArguments {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// Where plans, checkpoints and artefacts are stored; the same place for all job managers. With the
    /// embedded backend they are kept in memory if it is not given.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,

    /// Where to listen; the others are told this address, so it must be one that they reach. There is
    /// neither encryption nor a password: loopback, or a network of the cluster's own.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,

    /// Serve metrics as Prometheus reads them, at http://HOST:PORT/metrics, and say where. Port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<String>,

    /// Tasks that this process runs itself. Default: 2 with the embedded backend, else none.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    pub local_slots: Option<u16>,

    /// Records between two checkpoints.
    #[arg(long, value_name = "N", default_value_t = 25_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_events: u64,

    /// How it keeps itself alive and is found dead.
    #[command(flatten)]
    pub liveness: LivenessArguments,

    /// As the demo starts it: told on standard input how far sources may read, and to end by the end of it;
    /// tells what happens as lines of JSON.
    #[arg(long, hide = true)]
    pub directed: bool,
}

/// A worker.
#[derive(Debug, Clone, Args)]
pub struct WorkerArguments {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// Its name, for people.
    #[arg(long, value_name = "NAME", default_value = "worker")]
    pub name: String,

    /// How many tasks it runs at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub slots: u16,

    /// As the demo starts it: ends with its standard input.
    #[arg(long, hide = true)]
    pub directed: bool,
}

/// How a client finds the leader.
#[derive(Debug, Clone, Args)]
pub struct ClientArguments {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// Ask this job manager instead of the backend; it knows who leads.
    #[arg(long, value_name = "HOST:PORT")]
    pub job_manager: Option<String>,

    /// How many seconds to wait for a leader's answer.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A job to hand in.
#[derive(Debug, Clone, Args)]
pub struct SubmitArguments {
    /// How the leader is found.
    #[command(flatten)]
    pub client: ClientArguments,

    /// What is processed. The file is handed in with the job.
    #[command(flatten)]
    pub source: SourceArguments,

    /// The job's name. It is taken for good, also when the job has ended.
    #[arg(long, value_name = "NAME")]
    pub job: String,

    /// Where the output is written: a directory that all processes see, and that belongs to this job alone.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,

    /// Wait for the end of the job, whoever leads meanwhile, and print its result.
    #[arg(long)]
    pub wait: bool,

    /// At the end, compare the output with an independent computation.
    #[arg(long, requires = "wait")]
    pub verify: bool,
}

/// What is shown.
#[derive(Debug, Clone, Args)]
pub struct StatusArguments {
    /// How the leader is found.
    #[command(flatten)]
    pub client: ClientArguments,
}
