//! Settings without a process.

use clap::Parser;
use padron::server::config::Config;

#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

/// The settings that `arguments` make; of an option that is given twice the last one counts.
pub fn config(arguments: impl IntoIterator<Item = impl Into<String>>) -> Config {
    let arguments = arguments.into_iter().map(Into::into);
    Arguments::try_parse_from(std::iter::once("padron".to_owned()).chain(arguments))
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}
