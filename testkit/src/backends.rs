//! Test servers that a variable names: a database or a prefix of one test's own on each.

use std::sync::Arc;

use object_store::{ObjectStore, aws::AmazonS3Builder, path::Path, prefix::PrefixStore};

/// Access key and secret key of the S3 servers.
pub const S3_KEY: &str = "padron-for-tests";

/// What lies below `prefix` in the bucket `photos` of the S3 server at `endpoint`.
pub fn bucket(endpoint: &str, prefix: Path) -> Arc<dyn ObjectStore> {
    let bucket = AmazonS3Builder::new()
        .with_bucket_name("photos")
        .with_region("us-east-1")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_access_key_id(S3_KEY)
        .with_secret_access_key(S3_KEY);
    Arc::new(PrefixStore::new(bucket.build().unwrap(), prefix))
}

/// The URL of the database `name` on the MongoDB server whose URL, without a database, is `server`.
pub fn database_url(server: &str, name: &str) -> String {
    let (server, options) = server.split_once('?').unwrap_or((server, ""));
    format!("{}/{name}?{options}", server.trim_end_matches('/'))
}

/// Removes the database `name` of the MongoDB server `server`.
pub async fn drop_database(server: &str, name: &str) -> mongodb::error::Result<()> {
    let client = mongodb::Client::with_uri_str(server).await?;
    client.database(name).drop().await
}
