//! How an S3 server is asked.

use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder};
use secrecy::ExposeSecret as _;

use super::DEADLINE;
use crate::server::config::{S3, S3Style};

/// How long one attempt may take; what is left of [`DEADLINE`] is for another.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);

/// Plain puts, gets, lists and deletes of one whole object: servers differ in everything else, so there
/// is no put-if-absent, no multipart upload, no delete of many and no tag.
pub(super) fn bucket_of(s3: &S3, bucket: &str) -> Result<impl ObjectStore, object_store::Error> {
    // Building the client needs one for https, and the process may have none yet. One that is there
    // already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&s3.region)
        .with_virtual_hosted_style_request(s3.style == S3Style::Host)
        .with_disable_bulk_delete(true)
        .with_client_options(
            ClientOptions::new()
                .with_connect_timeout(CONNECT)
                .with_timeout(ATTEMPT),
        )
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: 5,
            retry_timeout: DEADLINE,
        });
    if let Some(endpoint) = &s3.endpoint {
        let host = match (s3.style, endpoint.split_once("://")) {
            (S3Style::Host, Some((scheme, host))) => format!("{scheme}://{bucket}.{host}"),
            _ => endpoint.clone(),
        };
        builder = builder
            .with_endpoint(host)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    if let (Some(access), Some(secret)) = (&s3.access_key, &s3.secret_key) {
        builder = builder
            .with_access_key_id(access.expose_secret())
            .with_secret_access_key(secret.expose_secret());
    }
    builder.build()
}
