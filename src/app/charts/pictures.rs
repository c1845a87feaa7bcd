//! The cache of drawn pictures, and the bounded queue (the *line*) of those that somebody waits for.
//!
//! Drawing is the one costly thing that an anonymous client may ask for. So its concurrency is one, whatever the
//! number of processors; the queue is short, and what does not fit is refused at once (load shedding); and what
//! nobody waits for any more is cancelled and leaves it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, policy::EvictionPolicy, sync::Cache};
use tokio::sync::{Mutex, Semaphore};

use super::{ChartError, ChartSpec, Picture, Subject};
use crate::foundation::{chart::RenderError, single_flight::SingleFlight};

/// Capacity of the cache in bytes: all pictures of a version, of every department too.
const KEPT: u64 = 32 * 1024 * 1024;

/// How long a chart of days is kept: what it shows changes with every registration, and nothing says when.
const DAYS_KEPT: Duration = Duration::from_secs(10);

/// Capacity of the queue in pictures: at about 30 ms for the largest, half a second.
const LINE: usize = 16;

/// Cache key: what the board shows, by its generation, and how it is drawn. Of charts of days the generation is 0.
pub(super) type Key = (u64, ChartSpec);

/// The two rules of the cache. A picture of the board is right for as long as its generation is shown, and its key says
/// of which it is: it goes by weight, when it was not asked for. One of the days goes by age.
struct ByAge;

impl Expiry<Key, Picture> for ByAge {
    fn expire_after_create(&self, key: &Key, _: &Picture, _: Instant) -> Option<Duration> {
        (key.1.subject == Subject::Days).then_some(DAYS_KEPT)
    }
}

pub(super) struct Pictures {
    kept: Cache<Key, Picture>,
    /// Single-flight: those that somebody waits for.
    asked: SingleFlight<Key, Result<Picture, ChartError>>,
    /// Permits of the queue.
    room: Arc<Semaphore>,
    /// Held by the head of the queue; the default picture bypasses it.
    first: Arc<Mutex<()>>,
    /// Held by whoever draws: a concurrency of one.
    drawing: Arc<Mutex<()>>,
}

impl Pictures {
    pub(super) fn new() -> Arc<Self> {
        let kept = Cache::builder()
            .max_capacity(KEPT)
            .weigher(|_, picture: &Picture| u32::try_from(picture.bytes.len()).unwrap_or(u32::MAX))
            // moka's default policy, TinyLFU, would keep what was popular in old versions, and draw a new one again
            // and again.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByAge)
            .build();
        Arc::new(Self {
            kept,
            asked: SingleFlight::default(),
            room: Arc::new(Semaphore::new(LINE)),
            first: Arc::default(),
            drawing: Arc::default(),
        })
    }

    pub(super) fn kept(&self, key: &Key) -> Option<Picture> {
        self.kept.get(key)
    }

    /// The picture that `draw` draws, cached under `key`; drawn in its turn, if somebody still waits for it then.
    ///
    /// # Errors
    /// [`ChartError::Busy`] at once when the queue is full, which the default picture never meets.
    pub(super) async fn drawn(
        self: &Arc<Self>,
        key: Key,
        draw: impl FnOnce() -> Result<Picture, RenderError> + Send + 'static,
    ) -> Result<Picture, ChartError> {
        let pictures = self.clone();
        let in_turn = || async move {
            let line = if key.1.is_default() {
                None
            } else {
                let room = pictures.room.clone().try_acquire_owned();
                let room = room.map_err(|_| ChartError::Busy)?;
                Some((pictures.first.clone().lock_owned().await, room))
            };
            let drawing = pictures.drawing.clone().lock_owned().await;
            // Another may have begun it before, and left.
            if let Some(picture) = pictures.kept(&key) {
                return Ok(picture);
            }
            // A blocking task cannot be cancelled: what has begun is finished and cached even when every caller is
            // gone, so nobody can have it drawn twice.
            let work = move || {
                let _turn = (drawing, line);
                metrics::counter!("padron_charts_drawn_total").increment(1);
                let picture = draw().map_err(|error| ChartError::Render(Arc::new(error)))?;
                pictures.kept.insert(key, picture.clone());
                Ok(picture)
            };
            let drawn = tokio::task::spawn_blocking(work).await;
            drawn.unwrap_or(Err(ChartError::Interrupted))
        };
        self.asked.join(key, in_turn).await
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, task::Poll};

    use futures::{future::join_all, poll};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::{
        app::charts::Format,
        foundation::{
            chart::{Geometry, Theme},
            lang::Lang,
        },
    };

    fn spec(geometry: Geometry) -> ChartSpec {
        ChartSpec {
            format: Format::Png,
            subject: Subject::Cities,
            geometry,
            theme: Theme::Light,
            lang: Lang::Es,
        }
    }

    /// Keys that are not of the default geometry.
    fn others() -> impl Iterator<Item = Key> {
        Geometry::all()
            .filter(|&geometry| geometry != Geometry::default())
            .map(|geometry| (1, spec(geometry)))
    }

    fn default_of(number: u64) -> Key {
        (number, spec(Geometry::default()))
    }

    /// Drawings that say when they begin, and end when the test lets them.
    struct Studio {
        pictures: Arc<Pictures>,
        begun: UnboundedSender<Key>,
        begins: UnboundedReceiver<Key>,
        gate: mpsc::Sender<()>,
        opened: Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
    }

    impl Studio {
        fn new() -> Self {
            let (begun, begins) = unbounded_channel();
            let (gate, opened) = mpsc::channel();
            let opened = Arc::new(std::sync::Mutex::new(opened));
            Self {
                pictures: Pictures::new(),
                begun,
                begins,
                gate,
                opened,
            }
        }

        fn ask(
            &self,
            key: Key,
        ) -> impl Future<Output = Result<Picture, ChartError>> + Send + 'static {
            let (pictures, begun, opened) = (
                self.pictures.clone(),
                self.begun.clone(),
                self.opened.clone(),
            );
            async move {
                let draw = move || {
                    begun.send(key).unwrap();
                    opened.lock().unwrap().recv().unwrap();
                    Ok(Picture {
                        bytes: format!("{key:?}").into(),
                        etag: String::new(),
                    })
                };
                pictures.drawn(key, draw).await
            }
        }

        fn let_end(&self, many: usize) {
            for _ in 0..many {
                self.gate.send(()).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_picture_is_drawn_once_however_many_ask_and_whoever_leaves() {
        let mut studio = Studio::new();
        let key = default_of(1);
        let mut first = Box::pin(studio.ask(key));
        assert!(poll!(&mut first).is_pending());
        let others: Vec<_> = (0..50).map(|_| tokio::spawn(studio.ask(key))).collect();
        assert_eq!(studio.begins.recv().await, Some(key));
        drop(first);
        studio.let_end(1);
        assert!(
            join_all(others)
                .await
                .into_iter()
                .all(|asked| asked.unwrap().is_ok())
        );
        assert!(studio.ask(key).await.is_ok(), "it is kept");
        assert!(studio.begins.try_recv().is_err(), "it was drawn once");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_drawn() {
        let mut studio = Studio::new();
        let before = tokio::spawn(studio.ask(default_of(1)));
        assert_eq!(studio.begins.recv().await, Some(default_of(1)));
        let mut left: Vec<_> = others()
            .take(LINE)
            .map(|key| Box::pin(studio.ask(key)))
            .collect();
        for asked in &mut left {
            assert!(poll!(asked).is_pending(), "it stands in the line");
        }
        drop(left);
        let after = others().last().unwrap();
        let last = tokio::spawn(studio.ask(after));
        studio.let_end(2);
        assert!(before.await.unwrap().is_ok() && last.await.unwrap().is_ok());
        assert_eq!(
            studio.begins.recv().await,
            Some(after),
            "the next to be drawn"
        );
        assert!(studio.begins.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_picture_that_was_begun_is_kept_though_nobody_waits() {
        let mut studio = Studio::new();
        let key = others().next().unwrap();
        let asked = tokio::spawn(studio.ask(key));
        assert_eq!(studio.begins.recv().await, Some(key));
        asked.abort();
        assert!(asked.await.is_err());
        let again = tokio::spawn(studio.ask(key));
        tokio::task::yield_now().await;
        // Others wait until it is done: only one is drawn at a time.
        let mut next = Box::pin(studio.ask(default_of(1)));
        assert!(poll!(&mut next).is_pending());
        studio.let_end(2);
        assert!(next.await.is_ok());
        assert!(again.await.unwrap().is_ok());
        assert!(studio.ask(key).await.is_ok());
        assert_eq!(studio.begins.recv().await, Some(default_of(1)));
        assert!(studio.begins.try_recv().is_err(), "it was drawn once");
    }

    #[tokio::test]
    async fn a_full_line_refuses_at_once_and_lets_the_default_picture_pass() {
        let mut studio = Studio::new();
        let mut keys = others();
        let line: Vec<_> = keys
            .by_ref()
            .take(LINE)
            .map(|key| tokio::spawn(studio.ask(key)))
            .collect();
        let first = studio.begins.recv().await.unwrap();
        tokio::task::yield_now().await;
        for key in keys {
            let refused = poll!(Box::pin(studio.ask(key)));
            assert!(
                matches!(refused, Poll::Ready(Err(ChartError::Busy))),
                "{refused:?}"
            );
        }
        // Single-flight: joining a picture that is in the queue already takes no permit.
        let again = tokio::spawn(studio.ask(first));
        let next_version = tokio::spawn(studio.ask(default_of(2)));
        tokio::task::yield_now().await;
        studio.let_end(LINE + 1);
        assert!(next_version.await.unwrap().is_ok());
        assert!(again.await.unwrap().is_ok());
        assert_eq!(
            studio.begins.recv().await,
            Some(default_of(2)),
            "the next to be drawn"
        );
        assert!(
            join_all(line)
                .await
                .into_iter()
                .all(|asked| asked.unwrap().is_ok())
        );
        assert_eq!(studio.pictures.room.available_permits(), LINE);
    }

    #[test]
    fn a_chart_of_days_goes_by_age_and_of_the_board_by_weight() {
        let picture = Picture {
            bytes: "x".into(),
            etag: String::new(),
        };
        let kept_for = |subject| {
            let key = (
                1,
                ChartSpec {
                    subject,
                    ..spec(Geometry::default())
                },
            );
            ByAge.expire_after_create(&key, &picture, Instant::now())
        };
        assert_eq!(kept_for(Subject::Days), Some(DAYS_KEPT));
        for subject in [Subject::Cities, Subject::Departments] {
            assert_eq!(kept_for(subject), None);
        }
    }

    #[test]
    fn the_default_picture_is_the_one_of_all_cities() {
        let default = spec(Geometry::default());
        assert!(default.is_default());
        for subject in [Subject::Departments, Subject::Days] {
            assert!(!ChartSpec { subject, ..default }.is_default());
        }
        let (_, other) = others().next().unwrap();
        assert!(!other.is_default());
    }

    #[tokio::test]
    async fn a_drawing_that_fails_is_told_to_all_and_leaves_its_place() {
        let pictures = Pictures::new();
        for key in others().take(2 * LINE) {
            let fails = pictures.drawn(key, || panic!("on purpose"));
            assert!(matches!(fails.await, Err(ChartError::Interrupted)));
        }
        assert_eq!(pictures.room.available_permits(), LINE);
    }
}
