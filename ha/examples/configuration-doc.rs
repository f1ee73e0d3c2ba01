//! Prints `docs/configuration.md`, as `cargo xtask docs` writes it.

fn main() {
    print!("{}", ha::config::reference());
}
