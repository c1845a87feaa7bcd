//! Where the tiers of one test are: a folder, or a database and a prefix of its own on servers.
//!
//! `PADRON_TEST_API_STORE` is the URL of a MongoDB server, without a database, for the records, and
//! `PADRON_TEST_API_PHOTOS` the address of an S3 server with a bucket `photos` for the photos. What is
//! not set is embedded.

use std::{env, fs, path::PathBuf, sync::Arc};

use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use padron::foundation::seal::Keyring;
use tempfile::TempDir;
use uuid::Uuid;

/// Access key and secret key of an S3 server for tests.
const S3_KEY: &str = "padron-for-tests";

const BUCKET: &str = "photos";

/// Removed at the end, with all that is in it.
pub(crate) struct Place {
    folder: TempDir,
    /// Of the database and of the prefix.
    name: String,
    store: Option<String>,
    photos: Option<String>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            name: format!("padron-{}", Uuid::new_v4().simple()),
            store: env::var("PADRON_TEST_API_STORE").ok(),
            photos: env::var("PADRON_TEST_API_PHOTOS").ok(),
        };
        if place.store.is_some() {
            // Made by itself for the embedded store only.
            Keyring::generate().create(&place.keys()).unwrap();
        }
        place
    }

    /// The key file.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The settings of a server whose tiers are here.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let store = self.store.as_ref().map_or_else(
            || format!("sqlite:{}", at("padron.db")),
            |server| {
                let (server, options) = server.split_once('?').unwrap_or((server, ""));
                let server = server.trim_end_matches('/');
                format!("{server}/{}?{options}", self.name)
            },
        );
        let mut arguments = vec!["--keys-file".into(), at("keys"), "--store".into(), store];
        arguments.push("--photos".into());
        match &self.photos {
            None => arguments.push(format!("file:{}", at("photos"))),
            Some(endpoint) => {
                arguments.push(format!("s3://{BUCKET}/{}", self.name));
                for (option, value) in [
                    ("--s3-endpoint", endpoint.as_str()),
                    ("--s3-access-key", S3_KEY),
                    ("--s3-secret-key", S3_KEY),
                ] {
                    arguments.extend([option.to_owned(), value.to_owned()]);
                }
            }
        }
        arguments
    }

    /// What lies where the photos are.
    pub(crate) fn objects(&self) -> Objects {
        let Some(endpoint) = &self.photos else {
            let folder = self.folder.path().join("photos");
            fs::create_dir_all(&folder).unwrap();
            return Objects(Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap()));
        };
        let bucket = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_access_key_id(S3_KEY)
            .with_secret_access_key(S3_KEY)
            .build();
        let prefix = Path::from(self.name.as_str());
        Objects(Arc::new(PrefixStore::new(bucket.unwrap(), prefix)))
    }

    async fn remove(&self) {
        if self.photos.is_some() {
            self.objects().remove().await;
        }
        if let Some(server) = &self.store {
            let client = mongodb::Client::with_uri_str(server).await.unwrap();
            client.database(&self.name).drop().await.unwrap();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A runtime of its own, for the test's is busy with this.
        let removed = std::thread::scope(|scope| {
            let removing = scope.spawn(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(self.remove());
            });
            removing.join()
        });
        // A test that fails has more to say than that.
        assert!(
            removed.is_ok() || std::thread::panicking(),
            "something is left of {}",
            self.name
        );
    }
}

/// The objects of one place, as whoever looks behind the photo tier sees them.
pub(crate) struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    pub(crate) async fn names(&self) -> Vec<String> {
        let names = self.0.list(None).map_ok(|object| object.location.into());
        names.try_collect().await.unwrap()
    }

    /// Removes all of them.
    pub(crate) async fn remove(&self) {
        for name in self.names().await {
            self.0.delete(&Path::from(name)).await.unwrap();
        }
    }
}
