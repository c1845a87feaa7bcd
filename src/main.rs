//! The `padron` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    padron::cli::main()
}
