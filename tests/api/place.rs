//! Where the tiers of one test are: a folder, or a database and a prefix of its own on servers.
//!
//! `PADRON_TEST_API_STORE` is the URL of a MongoDB server, without a database, for the records, and
//! `PADRON_TEST_API_PHOTOS` the address of an S3 server with a bucket `photos` for the photos. What is
//! not set is embedded.

use std::{env, fs, path::PathBuf, sync::Arc};

use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path};
use padron::foundation::seal::Keyring;
use tempfile::TempDir;
use testkit::{S3_KEY, bucket, database_url, drop_database};
use uuid::Uuid;

/// The tiers of one test; removed when dropped, with all that is in them.
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
            |server| database_url(server, &self.name),
        );
        let mut arguments = vec!["--keys-file".into(), at("keys"), "--store".into(), store];
        arguments.push("--photos".into());
        match &self.photos {
            None => arguments.push(format!("file:{}", at("photos"))),
            Some(endpoint) => {
                arguments.push(format!("s3://photos/{}", self.name));
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
        Objects(bucket(endpoint, self.name.as_str().into()))
    }

    async fn remove(&self) {
        if self.photos.is_some() {
            self.objects().remove().await;
        }
        if let Some(server) = &self.store {
            drop_database(server, &self.name).await.unwrap();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A runtime of its own: the test's is blocked here.
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

/// The objects of one prefix, as whoever bypasses the photo tier sees them.
pub(crate) struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    pub(crate) async fn names(&self) -> Vec<String> {
        let names = self.0.list(None).map_ok(|object| object.location.into());
        names.try_collect().await.unwrap()
    }

    /// The objects, by name.
    pub(crate) async fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let mut contents = Vec::new();
        for name in self.names().await {
            let object = self.0.get(&Path::from(name.as_str())).await.unwrap();
            contents.push((name, object.bytes().await.unwrap().into()));
        }
        contents
    }

    /// Removes all of them.
    pub(crate) async fn remove(&self) {
        for name in self.names().await {
            self.0.delete(&Path::from(name)).await.unwrap();
        }
    }
}
