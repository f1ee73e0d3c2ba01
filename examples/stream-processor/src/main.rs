//! The program: see `stream-processor --help`.

use std::process::ExitCode;

use stream_processor::cli::Arguments;
use stream_processor::cluster::backends::Backends;
use stream_processor::program;

fn main() -> ExitCode {
    match Arguments::read(std::env::args_os()) {
        Ok(arguments) => program::main(&arguments, &Backends::compiled_in()),
        Err(unfit) => unfit.tell(),
    }
}
