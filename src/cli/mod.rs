//! The command line: sub-commands, their arguments and exit status.
//!
//! Called by `main` only; `serve` is the default. Every failure ends with one sentence on standard error
//! that says what to do, and status 1; clap's own, about a wrong option, with status 2. It never decides
//! what may be stored, or how.

mod check;
mod copy;
mod healthcheck;
mod keys;
mod seed;
mod visit;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle, style::TemplateError};

use crate::{
    app::sweep::{MIN_AGE, SECOND_LOOK, sweep_once},
    domain::registration::Reference,
    foundation::clock::now,
    foundation::telemetry::{self, AUDIT},
    server::config::{self, Config},
    server::shutdown::Shutdown,
    server::tiers::Tiers,
    server::{Listeners, serve},
};

/// Who did it, in the audit lines of commands: whoever may run them here.
const ACTOR: &str = "command line";

/// Registers people for vaccination.
///
/// Without a command it serves the form, the reports and the chart. Every option can be given by the
/// variable that it names, or in a file that the variable with _FILE added names.
#[derive(Parser)]
#[command(name = "padron", version, subcommand_required = false)]
struct Cli {
    #[command(flatten)]
    config: Config,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the form, the reports and the chart (the default)
    Serve,
    /// Ask a running server whether it is ready; status 0 when it is
    Healthcheck,
    /// Register made-up people, for demonstrations and measurements
    Seed(seed::Seed),
    /// Remove photos that no record names
    Sweep {
        /// Only photos at least this old, in hours; below 24 only while no server runs
        #[arg(long, default_value_t = MIN_AGE.as_secs() / 3600)]
        min_age: u64,
        /// Remove up to so many, whatever share of the photos they are [default: 1 % of them, or 20]
        #[arg(long)]
        at_most: Option<u64>,
    },
    /// Erase a registration and its photo, as the person asked; restart a running server afterwards
    Erase {
        /// The reference that the person was given
        reference: String,
    },
    /// Open every record and photo, as after a restored backup; status 0 when all are there and as they were stored
    Check,
    /// Copy a register here from other tiers, while no server runs on either; run again, it goes on or only looks
    Copy(copy::Copy),
    /// Keys of the key file
    #[command(subcommand)]
    Keys(keys::Keys),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    // Whatever file is created from here on is its owner's only, whichever library creates it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            eprintln!("padron: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("padron: the operating system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(cli));
    // A thread of the blocking pool that is stuck in disk I/O must not delay the exit.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("padron: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Cli, String> {
    let matches = config::with_files(Cli::command())?
        .try_get_matches()
        .map_err(|error| refusal(&Cli::command(), &error).unwrap_or_else(|| error.exit()))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
}

/// One sentence about a wrong value, by the name of its variable and without the value, which may be
/// a secret. Everything else, help among it, clap says better.
fn refusal(command: &clap::Command, error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let long = option.trim_start_matches("--").split([' ', '=']).next()?;
    let of_commands = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    let argument = command
        .get_arguments()
        .chain(of_commands)
        .find(|argument| argument.get_long() == Some(long))?;
    let variable = argument.get_env()?.to_str()?;
    match error.kind() {
        ErrorKind::ValueValidation => {
            let fault = std::error::Error::source(error).map(ToString::to_string);
            let fault = fault.unwrap_or_else(|| "not a value that it can have".into());
            Some(format!("{variable} (--{long}): {fault}"))
        }
        ErrorKind::InvalidValue => Some(format!("{variable} (--{long}): a value is missing")),
        _ => None,
    }
}

async fn run(Cli { config, command }: Cli) -> anyhow::Result<()> {
    let command = command.unwrap_or(Command::Serve);
    // Only the server pushes to Loki; commands end soon, and tell whoever runs them what they did.
    let loki = config.loki_url.as_ref();
    let loki = loki.filter(|_| matches!(command, Command::Serve));
    let logging = telemetry::start_logging(&config.log, &config.instance(), loki)?;
    let ended = perform(config, command).await;
    logging.end().await;
    ended
}

async fn perform(config: Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let shutdown = Shutdown::new(Duration::from_secs(config.drain_seconds));
            shutdown
                .on_signals()
                .context("no signal handlers can be set")?;
            let listeners = Listeners::bind(&config).await?;
            serve(config, listeners, shutdown).await
        }
        Command::Healthcheck => healthcheck::run(&config).await,
        Command::Seed(seed) => seed.run(&config).await,
        Command::Sweep { min_age, at_most } => {
            sweep(&config, Duration::from_hours(min_age), at_most).await
        }
        Command::Erase { reference } => erase(&config, &reference).await,
        Command::Check => check::run(&config).await,
        Command::Copy(copy) => copy.run(&config).await,
        Command::Keys(keys) => keys.run(&config),
    }
}

async fn sweep(config: &Config, min_age: Duration, at_most: Option<u64>) -> anyhow::Result<()> {
    let tiers = Tiers::open(config).await?;
    // Below 24 hours no server runs, so nothing is in flight that a second look would have to wait for.
    let second_look = SECOND_LOOK.min(min_age);
    let swept = sweep_once(
        &*tiers.store,
        &tiers.photos,
        now() - min_age,
        second_look,
        at_most,
    )
    .await;
    tiers.store.close().await;
    let swept = swept.context("the sweep ended early")?;
    println!("{} photos looked at, {} removed", swept.seen, swept.removed);
    Ok(())
}

/// The record first: it holds the photo's key, without which the photo cannot be decrypted; the sweep removes what a
/// crash between the two leaves.
async fn erase(config: &Config, reference: &str) -> anyhow::Result<()> {
    let reference = Reference::parse(reference).context("a reference looks like K7QM-3XPD")?;
    let tiers = Tiers::open(config).await?;
    let erased = tiers.store.erase(reference).await;
    tiers.store.close().await;
    let erased = erased?.with_context(|| format!("there is no registration {reference}"))?;
    tracing::info!(target: AUDIT, actor = ACTOR, %reference, "registration erased");
    if let Some(photo) = erased.photo {
        let removed = tiers.photos.remove(photo.key).await;
        removed.context("the record is erased; run `padron sweep` for its photo")?;
    }
    println!("{reference} is erased; the next report refreshes the chart");
    Ok(())
}

/// The progress bar of a long command.
fn progress_bar(length: u64, unit: &str) -> Result<ProgressBar, TemplateError> {
    let template =
        format!("{{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left");
    Ok(ProgressBar::new(length).with_style(ProgressStyle::with_template(&template)?))
}
