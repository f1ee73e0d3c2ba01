//! Real servers for the tests: found where the machine has them, else unpacked or built below the target folder.
//!
//! The tests look in the same places in the same order (`ha_testkit::servers`), so nothing is handed on.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::metadata;
use crate::steps::{Context, Verdict};

mod debian;
mod registry;
mod unpack;

/// A server that tests start.
#[derive(Debug)]
pub(crate) struct Server {
    /// The program's name, and the name of its folder.
    name: &'static str,
    /// Names the program where the machine has one of its own.
    variable: &'static str,
    /// What makes the program say its version and end.
    probe: &'static str,
    /// Where the program stands in what was unpacked or built.
    program: &'static str,
    source: Source,
}

/// Where a program comes from that the machine does not have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// One of these, unpacked.
    Debian(&'static [Package]),
    /// A crate, built: `features` are those that its program needs.
    Crate { version: &'static str, features: &'static str },
}

/// A package of one architecture, as the distribution's pools have it.
#[derive(Debug)]
pub(crate) struct Package {
    architecture: &'static str,
    /// Below the address of a mirror.
    pool_path: &'static str,
    sha256: &'static str,
}

impl Package {
    fn name(&self) -> &'static str {
        self.pool_path.rsplit('/').next().unwrap_or(self.pool_path)
    }
}

/// The newest version that a free distribution has: later ones have another licence. It is old, and what it
/// does the later ones still do.
const CONSUL: &[Package] = &[
    Package {
        architecture: "amd64",
        pool_path: "pool/main/c/consul/consul_1.8.7+dfsg1-2+b3_amd64.deb",
        sha256: "e4e888bba104daba1d9161f49bfc52649a7e4efd45b1a7ead5bc54f2cb9c89d9",
    },
    Package {
        architecture: "arm64",
        pool_path: "pool/main/c/consul/consul_1.8.7+dfsg1-2+b3_arm64.deb",
        sha256: "7318cfa77a7ba6f71dd096e44353279de246ffc6561216ace42353685dcf8255",
    },
];

const SERVERS: [Server; 2] = [
    Server {
        name: "consul",
        variable: "CONSUL_BIN",
        probe: "version",
        program: "usr/bin/consul",
        source: Source::Debian(CONSUL),
    },
    // Speaks S3 and keeps objects as files, so that they outlive its death. Later versions need a newer compiler.
    Server {
        name: "s3s-fs",
        variable: "S3S_FS_BIN",
        probe: "--version",
        program: "usr/bin/s3s-fs",
        source: Source::Crate { version: "0.14.1", features: "binary" },
    },
];

/// As a step of the tests: what is missing is shown here, and fails where `CI` is set, as the tests do.
///
/// # Errors
/// A server is missing and `CI` is set, or one that the machine names is none.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    match provide(&context.root) {
        Ok(()) => Ok(Verdict::Passed),
        Err(Absent::Broken(why)) => Err(why),
        Err(Absent::Missing(why)) if env::var_os("CI").is_some() => Err(why),
        Err(Absent::Missing(why)) => Ok(Verdict::Skipped(why)),
    }
}

/// As a command.
///
/// # Errors
/// A server is not there and cannot be had; the message says what to do.
pub(crate) fn install(root: &Path) -> Result<(), String> {
    provide(root).map_err(|(Absent::Broken(why) | Absent::Missing(why))| why)
}

/// Why there is no server.
#[derive(Debug, PartialEq, Eq)]
enum Absent {
    /// What the machine names is not one.
    Broken(String),
    /// The machine has none, and none can be had.
    Missing(String),
}

fn provide(root: &Path) -> Result<(), Absent> {
    let folder = metadata::target_folder(root).map_err(Absent::Broken)?.join("servers");
    let mut missing = Vec::new();
    for server in &SERVERS {
        let program = match present(server, env::var_os(server.variable).map(PathBuf::from), env::var_os("PATH"))? {
            Some(program) => Ok(program),
            None => unpack::unpacked(server, &folder),
        };
        match program {
            Ok(program) => println!("{}: {}", server.name, program.display()),
            // The others are of use without it.
            Err(why) => missing.push(advice(server, &why)),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Absent::Missing(missing.join("; "))) }
}

/// The program that the machine itself has: the one that the variable names, else the first on the path.
fn present(
    server: &Server,
    named: Option<PathBuf>,
    path: Option<std::ffi::OsString>,
) -> Result<Option<PathBuf>, Absent> {
    if let Some(program) = named {
        let broken = |why| Absent::Broken(format!("{}={}: {why}", server.variable, program.display()));
        runs(server, &program).map_err(broken)?;
        return Ok(Some(program));
    }
    let folders = path.iter().flat_map(env::split_paths);
    Ok(folders.map(|folder| folder.join(server.name)).find(|program| program.is_file()))
}

/// Whether it is a program for this machine at all.
fn runs(server: &Server, program: &Path) -> Result<(), String> {
    quiet(Command::new(program).arg(server.probe)).map(drop)
}

fn advice(server: &Server, why: &str) -> String {
    let Server { name, variable, .. } = server;
    let install = match server.source {
        Source::Debian(_) => format!("install it (on most systems the package is called `{name}`)"),
        Source::Crate { version, features } => {
            format!("install it (`cargo install {name} --version {version} --locked --features {features}`)")
        }
    };
    format!(
        "there is no `{name}` and it could not be had ({why}); {install} so that it is on the PATH, or set {variable} to \
         the program"
    )
}

/// Before what comes over a network is asked for again: most of what goes wrong there is over in a moment.
const PAUSES: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(10), Duration::from_secs(30)];

/// Tries until it succeeds; once more than there are pauses. Each failure but the last is shown here.
fn persevere(what: &str, pauses: &[Duration], mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    for (number, pause) in pauses.iter().enumerate() {
        let Err(why) = attempt() else { return Ok(()) };
        let (try_number, tries) = (number + 1, pauses.len() + 1);
        println!("{what}: try {try_number} of {tries} failed, the next is in {} s: {why}", pause.as_secs());
        rest(*pause);
    }
    attempt()
}

#[expect(clippy::disallowed_methods, reason = "a developer's tool waits for a network; nothing is simulated here")]
fn rest(pause: Duration) {
    std::thread::sleep(pause);
}

/// Runs to the end without a word; answers what it printed, or what it complained about last.
fn quiet(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("`{name}` could not be run: {error}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| format!("`{name}` printed something that is not UTF-8"));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    // The reason stands before the summary, where there is one.
    let lines: Vec<&str> = errors.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(2)..].join(" / ");
    Err(format!("`{name}` ended with {}: {last}", output.status))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tree;

    /// A folder of its own below the target folder, removed with the value.
    pub(super) struct Folder(pub(super) PathBuf);

    impl Folder {
        pub(super) fn new(name: &str) -> Self {
            let target = metadata::target_folder(&tree::find_root().unwrap()).unwrap();
            let path = target.join("tmp").join(format!("servers-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_the_variable_names_is_taken_and_must_run() {
        let server = &SERVERS[0];
        let cargo = PathBuf::from(env::var_os("CARGO").unwrap_or("cargo".into()));
        let with_probe = Server { probe: "--version", ..*server };
        assert_eq!(present(&with_probe, Some(cargo.clone()), None), Ok(Some(cargo)));
        let broken = present(server, Some("no/such/program".into()), Some("".into()));
        assert!(
            matches!(&broken, Err(Absent::Broken(why)) if why.contains("CONSUL_BIN=no/such/program")),
            "{broken:?}"
        );
    }

    #[test]
    fn the_first_program_on_the_path_is_taken() {
        let folder = Folder::new("path");
        let (empty, full) = (folder.0.join("empty"), folder.0.join("full"));
        fs::create_dir_all(&empty).unwrap();
        fs::create_dir_all(&full).unwrap();
        fs::write(full.join("consul"), "").unwrap();
        let path = env::join_paths([&empty, &full]).unwrap();
        assert_eq!(present(&SERVERS[0], None, Some(path)), Ok(Some(full.join("consul"))));
        let path = env::join_paths([&empty]).unwrap();
        assert_eq!(present(&SERVERS[0], None, Some(path)), Ok(None));
    }

    #[test]
    fn what_fails_for_a_while_is_tried_again_and_what_goes_on_failing_is_told() {
        for (failures, expected) in [(0, Ok(())), (2, Ok(())), (9, Err("failure 2".to_owned()))] {
            let mut tried = 0;
            let outcome = persevere("it", &[Duration::ZERO; 2], || {
                tried += 1;
                if tried > failures { Ok(()) } else { Err(format!("failure {}", tried - 1)) }
            });
            assert_eq!((outcome, tried), (expected, (failures + 1).min(3)), "{failures}");
        }
    }

    #[test]
    fn what_to_do_is_said_where_a_server_is_missing() {
        let text = advice(&SERVERS[0], "no mirror has it");
        for part in ["no mirror has it", "CONSUL_BIN", "PATH", "install"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn every_package_is_pinned_and_none_names_a_host() {
        for package in CONSUL {
            assert!(package.sha256.len() == 64 && package.sha256.chars().all(|c| c.is_ascii_hexdigit()), "{package:?}");
            assert!(package.pool_path.starts_with("pool/") && !package.pool_path.contains("://"), "{package:?}");
        }
    }
}
