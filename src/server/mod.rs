//! The server from its first line to its last: what `padron serve` and the tests run.

use std::{io::IsTerminal as _, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    app::sweep,
    foundation::clock::now,
    foundation::telemetry,
    http,
    http::state::App,
    server::config::Config,
    server::shutdown::Shutdown,
    server::tiers::{self, Answering, admin_token_path, is_embedded},
};

/// Time between two tidyings of the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long letting go of the tiers may take once the drain is over.
const ENDING: Duration = Duration::from_secs(10);

/// The two sockets: the public one, and the one of the metrics.
pub struct Listeners {
    /// Form, reports, chart.
    pub public: TcpListener,
    /// `/metrics`.
    pub ops: TcpListener,
}

impl Listeners {
    /// Binds both addresses.
    ///
    /// # Errors
    /// One sentence that names the variable and what to do.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = async |variable, address| {
            TcpListener::bind(address).await.map_err(|error| {
                anyhow::anyhow!("{variable}: cannot listen on {address} ({error}); stop what holds it or choose another address")
            })
        };
        Ok(Self {
            public: bind("PADRON_LISTEN", config.listen).await?,
            ops: bind("PADRON_OPS_LISTEN", config.ops_listen).await?,
        })
    }
}

/// Serves until `shutdown` begins, then drains and lets go of the tiers.
///
/// # Errors
/// When a tier cannot be opened; one sentence that names the setting and what to do.
pub async fn serve(config: Config, listeners: Listeners, shutdown: Shutdown) -> anyhow::Result<()> {
    let first_start =
        is_embedded(&config) && config.admin_token.is_none() && !admin_token_path(&config).exists();
    let metrics = telemetry::metrics()?;
    let app = App::open(&config, &shutdown).await?;
    metrics::gauge!(
        "padron_build_info", "version" => env!("CARGO_PKG_VERSION"), "replica" => app.instance.to_string()
    )
    .set(1);
    announce(&config, &app, first_start).await?;

    // Followers hold nothing that must be finished, so they end with the drain's beginning; the ops
    // listener answers until its end, so that the drain can be watched.
    let drained = CancellationToken::new();
    let background = tokio_util::task::TaskTracker::new();
    let token = &shutdown.token;
    background.spawn({
        let (board, stop) = (app.board.clone(), token.clone());
        async move { board.follow(stop).await }
    });
    background.spawn({
        let (store, photos, stop) = (app.store.clone(), app.photos.clone(), token.clone());
        async move { sweep::run(&*store, &photos, stop).await }
    });
    background.spawn({
        let (store, photos, stop) = (app.store.clone(), app.photos.clone(), drained.clone());
        async move { tiers::watch(&*store, &photos, stop).await }
    });
    let ops = http::ops_router(app.clone(), metrics);
    background.spawn({
        let stop = drained.clone();
        async move { http::listen(listeners.ops, ops, stop).await }
    });

    background.spawn({
        let stop = drained.clone();
        async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(UPKEEP))
                .await
                .is_some()
            {
                metrics.tidy();
            }
        }
    });

    let router = http::router(app.clone());
    let serving = http::listen(listeners.public, router, token.clone());
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = token.cancelled() => {
            let late = tokio::time::sleep(shutdown.deadline);
            tokio::select! {
                served = async {
                    let served = serving.await;
                    shutdown.tracker.close();
                    shutdown.tracker.wait().await;
                    served
                } => served,
                () = late => {
                    tracing::warn!("the drain took too long; what is still under way is cut");
                    Ok(())
                }
            }
        }
    };

    shutdown.token.cancel();
    drained.cancel();
    background.close();
    let ending = async {
        app.store.close().await;
        background.wait().await;
    };
    if tokio::time::timeout(ENDING, ending).await.is_err() {
        tracing::warn!("the tiers did not let go in time");
    }
    tracing::info!("stopped");
    served.context("the listener failed")
}

/// Says on standard error where everything is, because standard output carries the log.
async fn announce(config: &Config, app: &App, first_start: bool) -> anyhow::Result<()> {
    eprintln!(
        "padron {} serves on {}",
        env!("CARGO_PKG_VERSION"),
        app.public_url
    );
    if first_start {
        let code = app.sign_in_code(now()).await?;
        eprintln!(
            "  staff sign in  {}/staff/sign-in?code={code} (once, within a day)",
            app.public_url
        );
        eprintln!(
            "  admin token    {} (for every other time)",
            admin_token_path(config).display()
        );
    }
    eprintln!("  records        {}", config.store);
    eprintln!("  photos         {}", config.photos);
    eprintln!(
        "  keys           {} (keep a copy elsewhere: without it nothing can be read)",
        config.keys_file.display()
    );
    let answering = Answering::ask(&*app.store, &app.photos).await;
    for (answer, tier) in [
        (answering.store, "record store (PADRON_STORE)"),
        (answering.photos, "photo store (PADRON_PHOTOS)"),
    ] {
        if let Err(error) = answer {
            eprintln!(
                "  waiting        for the {tier}: {error}; what needs it is refused until it comes"
            );
        }
    }
    if std::io::stderr().is_terminal() {
        eprintln!("  stop with Ctrl-C");
    }
    tracing::info!(listen = %config.listen, "serving");
    Ok(())
}
