use crate::Capability::{
    self, CountWaiters, Expire, FreeOnDrop, Freeze, LinearizableReads, Restart, Revoke, SlowAnswers, Tamper,
};
use crate::registry::Level;

/// A test module in which the cases of one level run.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The path of the module, as in the names of its tests.
    pub module: &'static str,
    /// The file it stands in.
    pub file: &'static str,
    /// Whose cases run there.
    pub level: Level,
    /// What the test declares there; a test of the kit compares it with the file.
    pub can: &'static [Capability],
    /// Why the rest is not declared.
    pub because: &'static str,
}

const EMBEDDED: &[Capability] = &[Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
const WHY_EMBEDDED: &str = "memory does not survive a restart, and a renewal is sent, counted and answered in one step, so no answer can be slow";
const BACKEND_FILE: &str = "ha-embedded/tests/conformance.rs";
const RESOLUTION_FILE: &str = "ha-embedded/tests/resolution.rs";

const fn embedded(module: &'static str, file: &'static str, level: Level) -> Place {
    Place { module, file, level, can: EMBEDDED, because: WHY_EMBEDDED }
}

const fn custom(module: &'static str, file: &'static str, level: Level) -> Place {
    let can = &[Expire, Revoke, Freeze, Tamper, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    let because = "a renewal is counted in memory and answered in the same step, so no answer can be slow";
    Place { module, file, level, can, because }
}

const fn remote(module: &'static str, file: &'static str, level: Level) -> Place {
    Place {
        module,
        file,
        level,
        can: &[Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads],
        because: "memory does not survive a restart, a dropped session ends by silence, and a dropped wait is heard of a moment later",
    }
}

const CONSUL: &[Capability] = &[Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
const WHY_CONSUL: &str =
    "the agent keeps all in memory, for all cases at once, and one query waits for all who wait in one process";

const fn consul(module: &'static str, file: &'static str, level: Level) -> Place {
    Place { module, file, level, can: CONSUL, because: WHY_CONSUL }
}

const fn journal(module: &'static str, file: &'static str, level: Level) -> Place {
    let can = &[Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    let because = "nobody else can write into a journal, whose entries carry checksums";
    Place { module, file, level, can, because }
}

const fn filesystem(module: &'static str, file: &'static str, level: Level) -> Place {
    let can = &[Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    let because =
        "the disk answers when it answers, and nobody else can write into a journal, whose entries carry checksums";
    Place { module, file, level, can, because }
}

const fn processes(module: &'static str, file: &'static str, level: Level) -> Place {
    let can = &[Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    let because = "each handle is a process over a directory, where the disk answers when it answers, and nobody else can write into a journal";
    Place { module, file, level, can, because }
}

/// All places of this workspace. A new backend adds its own here.
pub const PLACES: &[Place] = &[
    embedded("conformance::embedded", BACKEND_FILE, Level::Backend),
    embedded("conformance::embedded_chroot", BACKEND_FILE, Level::Backend),
    embedded("conformance::embedded_traced", BACKEND_FILE, Level::Backend),
    embedded("conformance::embedded_metered", BACKEND_FILE, Level::Backend),
    Place {
        module: "conformance::model",
        file: "ha-testkit/tests/conformance.rs",
        level: Level::Backend,
        can: &[Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop],
        because: "memory does not survive a restart, and the model wakes every watcher instead of keeping a list of them",
    },
    remote("conformance::remote", "ha-testkit/tests/conformance.rs", Level::Backend),
    journal("conformance::journal", "ha-testkit/tests/journal.rs", Level::Backend),
    journal("conformance::sweeping", "ha-testkit/tests/journal.rs", Level::Backend),
    journal("conformance::monotonic", "ha-testkit/tests/journal.rs", Level::Backend),
    journal("conformance::witness", "ha-testkit/tests/journal.rs", Level::Backend),
    embedded("conformance::embedded", "ha-embedded/tests/services.rs", Level::Services),
    embedded("conformance::embedded_s3", "ha-testkit/tests/services_on_s3.rs", Level::Services),
    journal("conformance::sweeping", "ha-testkit/tests/journal_services.rs", Level::Services),
    journal("conformance::witness", "ha-testkit/tests/journal_services.rs", Level::Services),
    journal("resolution::sweeping", "ha-testkit/tests/journal_resolution.rs", Level::Resolution),
    Place {
        module: "conformance::model",
        file: "ha-testkit/tests/services.rs",
        level: Level::Services,
        can: &[Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop],
        because: "memory does not survive a restart, and the model wakes every watcher instead of keeping a list of them",
    },
    remote("conformance::remote", "ha-testkit/tests/services.rs", Level::Services),
    embedded("resolution::embedded", RESOLUTION_FILE, Level::Resolution),
    embedded("resolution::embedded_chroot", RESOLUTION_FILE, Level::Resolution),
    custom("conformance::redb", "examples/custom-backend/tests/conformance.rs", Level::Backend),
    custom("resolution::redb", "examples/custom-backend/tests/resolution.rs", Level::Resolution),
    custom("conformance::redb", "examples/custom-backend/tests/services.rs", Level::Services),
    remote("resolution::remote", "ha-testkit/tests/resolution.rs", Level::Resolution),
    filesystem("conformance::filesystem", "ha-filesystem/tests/conformance.rs", Level::Backend),
    filesystem("conformance::filesystem_restless", "ha-filesystem/tests/conformance.rs", Level::Backend),
    filesystem("conformance::filesystem", "ha-filesystem/tests/services.rs", Level::Services),
    filesystem("conformance::filesystem_restless", "ha-filesystem/tests/services.rs", Level::Services),
    filesystem("resolution::filesystem", "ha-filesystem/tests/resolution.rs", Level::Resolution),
    filesystem("resolution::filesystem_restless", "ha-filesystem/tests/resolution.rs", Level::Resolution),
    processes("backend::conformance::filesystem_processes", "ha-filesystem/tests/handles/backend.rs", Level::Backend),
    processes("backend::conformance::restless_processes", "ha-filesystem/tests/handles/backend.rs", Level::Backend),
    processes(
        "services::conformance::filesystem_processes",
        "ha-filesystem/tests/handles/services.rs",
        Level::Services,
    ),
    processes(
        "resolution::resolution::filesystem_processes",
        "ha-filesystem/tests/handles/resolution.rs",
        Level::Resolution,
    ),
    consul("conformance::consul", "ha-consul/tests/conformance.rs", Level::Backend),
    consul("conformance::consul", "ha-consul/tests/services.rs", Level::Services),
    consul("resolution::consul", "ha-consul/tests/resolution.rs", Level::Resolution),
];
