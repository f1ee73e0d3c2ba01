//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::time::duration;

const STATUS: &str = "Exit status:
  0  all is well, or was done
  1  everything was looked at, and something is not as it should be
  2  the command line or the configuration is not right; nothing was done
  3  the store or the state storage does not answer, or is something else
  4  the store or the state storage refuses access
  5  not done: it would not be safe, was declined, or did not happen in time
  6  anything else, such as an outcome that stayed unknown
  130  interrupted

Examples:
  hactl --url 'consul://localhost:8500/flink?cluster-id=/prod&storageDir=file:///shared/ha' status
  hactl --config conf/config.yaml doctor
  HA_TYPE=consul HA_STORAGE_DIR=file:///shared/ha hactl jobs --json | jq '.jobs[] | select(.problems > 0)'";

/// What an operator sees of a highly available cluster, and may do to it.
#[derive(Debug, Parser)]
#[command(name = "hactl", version, after_help = STATUS, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the cluster is, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// A configuration file, as the services have it (YAML, flat or nested); variables HA_… count over it
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// All in one line, as in consul://localhost:8500/flink?cluster-id=/prod; over file and variables
    #[arg(long, short, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// One line of JSON instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// For how long the store may take to answer
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who leads what: since when, under which epoch, and where it is reached
    #[command(
        after_help = "SILENCE is for how long the leader may go unacknowledged before it steps down by itself; how \
        much of that is left, it alone knows. On a shared directory a term ends when somebody who contends finds its \
        holder dead: where nobody contends, a dead leader is shown on.\n\n\
        Exit status 1: nobody leads the cluster, or an entry cannot be read.\n\n\
        Example:\n  hactl status --json | jq -r '.latches[0].components[] | select(.is_current) | .address'"
    )]
    Status,
    /// Shows who leads, and each change of it, until it is interrupted
    #[command(after_help = "Example:\n  hactl watch --json | while read -r change; do …; done")]
    Watch {
        /// End after so many changes
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// What is stored of each job
    #[command(after_help = "Exit status 1: some entries cannot be read.\n\n\
        Example:\n  hactl jobs --json | jq -r '.jobs[] | select(.result == null) | .job'")]
    Jobs,
    /// The checkpoints of a job
    #[command(after_help = "Example:\n  hactl checkpoints 5c1f… --json | jq -r '.checkpoints[-1].state.uri'")]
    Checkpoints {
        /// The job
        job: String,
    },
    /// How jobs ended, and whether they are cleaned up
    #[command(after_help = "Example:\n  hactl results --json | jq '.results[] | select(.state == \"dirty\")'")]
    Results,
    /// Asks the leader to hand over to another process
    #[command(
        after_help = "The leader gives its latch up in order, and lets others go first. A request names the term \
        that it is for: it deposes no later leader, however late it is seen. It is taken back if nobody follows it \
        in time.\n\n--force does not ask: it takes the latch over exactly the present term and lets go of it. The \
        leader is fenced from that moment, and learns of it a little later. A leader that is well may win again.\n\n\
        Example:\n  hactl step-down && hactl status"
    )]
    StepDown {
        /// Of an independent latch, instead of the cluster's one
        #[arg(long, value_name = "NAME")]
        latch: Option<String>,
        /// For how long the leader lets others go first, if none comes (at most 10min)
        #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
        stay_away: Duration,
        /// For how long to wait until somebody else leads
        #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
        wait: Duration,
        /// End the term without asking: for leaders that do not answer
        #[arg(long)]
        force: bool,
    },
    /// Tries everything that services need, and looks for what is broken
    #[command(after_help = "It writes one record and one state of its own, opens a session, and takes all of it away \
        again; --read-only leaves that out.\n\nExit status 1: something failed; warnings alone are 0.\n\n\
        Example:\n  hactl doctor --json | jq '.checks[] | select(.verdict != \"ok\")'")]
    Doctor {
        /// Write nothing, and open no session
        #[arg(long)]
        read_only: bool,
    },
    /// Follows every pointer, and compares length and checksum of what it leads to
    #[command(after_help = "Exit status 1: some pointers lead to nothing, or to something else.\n\n\
        Example:\n  hactl verify --json | jq -r '.problems[].key'")]
    Verify {
        /// Compare lengths alone: no state is read
        #[arg(long)]
        quick: bool,
    },
    /// Deletes states that nothing points to, or ever will
    #[command(
        after_help = "Only what was written under a term that is over, that no pointer leads to (looked at twice), \
        and that is older than the bound. Safe beside a leader: what is of the present term is left alone. Of a latch \
        that nobody holds it is not known which terms are over: those states stay, unless --lead takes the cluster's \
        latch for as long as it takes.\n\nExamples:\n  hactl gc --older-than 1d --dry-run\n  hactl gc --older-than 1d"
    )]
    Gc {
        /// Spare what is younger, by the clocks of the storage and of this machine
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        older_than: Duration,
        /// Show what would be deleted, and delete nothing
        #[arg(long)]
        dry_run: bool,
        /// Contend for the cluster's latch, if nobody holds it
        #[arg(long, conflicts_with = "dry_run")]
        lead: bool,
    },
    /// Removes everything of a job but its result, or of all jobs
    #[command(
        after_help = "Only a leader removes, for only its writes are fenced. So this contends for the cluster's \
        latch, and refuses while somebody else leads: stop that process, or let it clean up itself.\n\n\
        Example:\n  hactl cleanup 5c1f… --yes"
    )]
    Cleanup {
        /// The job
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        job: Option<String>,
        /// All jobs, and what former leaders have published
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Writes what a shell needs to complete command lines
    #[command(after_help = "Example:\n  hactl completions bash > ~/.local/share/bash-completion/completions/hactl")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_says_what_it_does() {
        Arguments::command().debug_assert();
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            assert!(command.get_name() == "help" || command.get_after_help().is_some(), "{}", command.get_name());
        }
    }
}
