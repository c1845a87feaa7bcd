//! The life of the process: settings, startup, accept loop, background tasks, graceful shutdown.
//!
//! [`serve`] is what `padron serve` and the tests call, and the one owner of the shutdown: drain and close are a
//! straight sequence, the deadline stands beside it. Nothing here knows what a request means.

mod background;
pub mod config;
mod connections;
mod listen;
pub mod shutdown;
mod socket;
pub mod tiers;

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

pub use self::listen::listen;
use self::{
    background::Background,
    config::Config,
    listen::listen_within,
    shutdown::Shutdown,
    tiers::{Tiers, admin_token, admin_token_path, is_embedded},
};

use crate::{
    app::{
        access::Access, board::Board, charts::Charts, drafts::Drafts, health::Health, live::Live,
        sweep,
    },
    foundation::{clock::now, telemetry},
    http::{
        self,
        limits::Limits,
        memory::UploadMemory,
        state::{AppState, Office},
    },
    store::StoreError,
};

/// Concurrency limit of reports; each pins a read snapshot of the store and takes a few MiB.
const REPORTS: usize = 4;

/// Timeout of the last count for the markers at shutdown: embedded, and where a server may be unavailable.
const RAISING: Duration = Duration::from_secs(5);
const RAISING_ON_SERVERS: Duration = Duration::from_secs(1);

/// File descriptors to reckon with where the system does not say its limit.
const FILES: u64 = 1024;

/// Timeout of closing the tiers once the drain is over.
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

/// Serves until `shutdown` begins, then drains the requests in flight and closes the tiers: the graceful shutdown.
///
/// # Errors
/// When a tier cannot be opened; one sentence that names the setting and what to do.
pub async fn serve(config: Config, listeners: Listeners, shutdown: Shutdown) -> anyhow::Result<()> {
    let first_start =
        is_embedded(&config) && config.admin_token.is_none() && !admin_token_path(&config).exists();
    let metrics = telemetry::metrics()?;
    let tiers = Tiers::open(&config).await?;
    let markers = tiers.markers.clone();
    let app = state(&config, tiers, &shutdown)?;
    metrics::gauge!(
        "padron_build_info", "version" => env!("CARGO_PKG_VERSION"), "replica" => app.instance.to_string()
    )
    .set(1);
    announce(&config, &app, first_start).await?;

    // The file-descriptor limit (RLIMIT_NOFILE): connections, photos and the store share it.
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(FILES);
    let router = http::router(app.clone());
    let ops = http::ops_router(app.clone(), metrics);
    // Background loops stop when the shutdown begins; health, metrics and the ops listener stay up until the drain is
    // over, so that it can be watched.
    let stop = shutdown.token.clone();
    let drained = CancellationToken::new();
    let background = Background::new(app.health.clone());
    let (board, store, photos, health) = (
        app.board.clone(),
        app.store.clone(),
        app.photos.clone(),
        app.health.clone(),
    );
    background.spawn("board", &stop, async move |stop| board.follow(stop).await);
    let (raising, records) = (markers.clone(), app.store.clone());
    background.spawn("markers", &stop, async move |stop| {
        raising.follow(&*records, stop).await;
    });
    background.spawn("sweep", &stop, async move |stop| {
        sweep::run(&*store, &photos, stop).await;
    });
    let drafts = app.drafts.clone();
    background.spawn("drafts", &stop, async move |stop| drafts.run(stop).await);
    background.spawn("health", &drained, async move |stop| {
        health.watch(stop).await;
    });
    background.spawn("metrics", &drained, async move |stop| {
        metrics.upkeep(stop).await;
    });
    background.spawn("ops listener", &drained, async move |stop| {
        listen(listeners.ops, ops, stop).await;
    });

    let drain = async {
        let shared = app.clone();
        let is_proxy = move |address| shared.limits.is_proxy(address);
        listen_within(listeners.public, router, files, is_proxy, stop.clone()).await;
        shutdown.tracker.close();
        shutdown.tracker.wait().await;
    };
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(shutdown.deadline).await;
    };
    tokio::select! {
        biased;
        () = drain => {}
        () = late => tracing::warn!("the drain took too long; what is still under way is cut"),
    }

    drained.cancel();
    let ending = async {
        // Registrations since the last count go into the markers as well.
        let limit = match markers.file() {
            Some(_) => RAISING,
            None => RAISING_ON_SERVERS,
        };
        let raising = markers.raise(&*app.store);
        if !matches!(tokio::time::timeout(limit, raising).await, Ok(Ok(_))) {
            tracing::warn!("the markers of the register stay as they were");
        }
        app.store.close().await;
        background.end().await;
    };
    if tokio::time::timeout(ENDING, ending).await.is_err() {
        tracing::warn!("the tiers did not let go in time");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Builds what the handlers share over these tiers; tests inject faulty ones here.
///
/// # Errors
/// When there is no admin token and none can be made.
pub fn state(config: &Config, tiers: Tiers, shutdown: &Shutdown) -> anyhow::Result<Arc<AppState>> {
    let intake = tiers.intake(&shutdown.tracker);
    let Tiers {
        cities,
        store,
        photos,
        keyring,
        ..
    } = tiers;
    let upload_memory = usize::try_from(config.upload_memory)? * 1024 * 1024;
    let board = Board::new(store.clone(), store.clone(), cities.clone());
    let live = Live::new(store.clone(), config.time_zone.clone());
    Ok(Arc::new(AppState {
        charts: Charts::new(
            board.clone(),
            live.clone(),
            cities.clone(),
            config.time_zone.clone(),
        ),
        board,
        live,
        access: Access::new(store.clone(), keyring.clone(), &admin_token(config)?),
        health: Arc::new(Health::new(store.clone(), photos.clone())),
        intake,
        cities,
        store,
        drafts: Arc::new(Drafts::new(&photos, keyring.clone())),
        photos,
        keyring,
        instance: config.instance().into(),
        office: Office {
            name: config.office.clone(),
            contact: config.contact.clone(),
        },
        origin: config.origin().map_err(anyhow::Error::msg)?,
        time_zone: config.time_zone.clone(),
        uploads: UploadMemory::new(upload_memory),
        limits: Arc::new(Limits::new(
            config.trusted_proxies.clone(),
            config.post_rate,
        )),
        reports: Arc::new(Semaphore::new(REPORTS)),
        draining: shutdown.token.clone(),
        tracker: shutdown.tracker.clone(),
    }))
}

/// Says on standard error where everything is, because standard output carries the log.
async fn announce(config: &Config, app: &AppState, first_start: bool) -> anyhow::Result<()> {
    eprintln!(
        "padron {} serves on {}",
        env!("CARGO_PKG_VERSION"),
        app.origin
    );
    if first_start {
        match app.access.sign_in_code(now()).await {
            Ok(code) => eprintln!(
                "  staff sign in  {}/staff/sign-in?code={code} (once, within a day)",
                app.origin
            ),
            // It waits for the photo store, as is told below.
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
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
    let answering = app.health.ask().await;
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
