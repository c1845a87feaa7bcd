//! What is MongoDB's own: its collections, a server that is unavailable, connections that break.

mod away;
mod dropped;
mod network;
mod schema;
mod snapshot;

use std::sync::Arc;

use mongodb::{Client, bson::Document};
use padron::store::{Store, StoreError, StoreUrl, connect};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::programs::Server;

/// A database with a name of its own, dropped at the end.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// On the server that `PADRON_TEST_MONGODB` names, whose URL has no database in it.
    pub(crate) fn new() -> Self {
        let server = std::env::var("PADRON_TEST_MONGODB").expect(
            "PADRON_TEST_MONGODB names a MongoDB server to test with, for example \
             mongodb://127.0.0.1:27017",
        );
        Self {
            server,
            name: format!("padron-{}", Uuid::new_v4().simple()),
        }
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        open(&self.url()).await
    }

    fn url(&self) -> String {
        testkit::database_url(&self.server, &self.name)
    }

    /// Where the server is, and what follows that in the URL.
    fn address_and_rest(&self) -> (String, String) {
        let url = self.url();
        let address = url.trim_start_matches("mongodb://");
        let (address, rest) = address.split_at(address.find('/').unwrap());
        (address.to_owned(), rest.to_owned())
    }

    /// Behind the store's back.
    async fn driver(&self) -> mongodb::Database {
        let client = Client::with_uri_str(&self.server).await.unwrap();
        client.database(&self.name)
    }

    async fn registrations(&self) -> mongodb::Collection<Document> {
        self.driver().await.collection("registrations")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        tokio::task::block_in_place(|| {
            Handle::current().block_on(async {
                // A test that fails has more to say than that.
                let _ = testkit::drop_database(&self.server, &self.name).await;
            });
        });
    }
}

async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    connect(&url.parse::<StoreUrl>().unwrap()).await
}

/// A server of one test's own, not started yet.
///
/// It is SecantusDB, which speaks MongoDB's protocol and stands in for it where a test must kill the
/// server. Elections and what a majority lacks cannot be had from it.
fn secantus() -> Server {
    Server::stopped("secantusd-py", |port, folder| {
        let port = port.to_string();
        let arguments = [
            "--port",
            &port,
            "--storage-path",
            folder,
            "--sync-on-commit",
        ];
        arguments.map(str::to_owned).into()
    })
}

/// A direct connection: without discovering the other members of a replica set, which a proxy would not be among.
fn url(address: &str) -> String {
    format!("mongodb://{address}/padron?directConnection=true")
}
