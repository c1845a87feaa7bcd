//! The S3 client: its settings, timeouts and retries.

use std::time::Duration;

use clap::{Args, ValueEnum};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder};
use secrecy::{ExposeSecret as _, SecretString};

use super::DEADLINE;
use crate::foundation::origin::Origin;

/// Where an S3 server is and how it is asked; used only with `s3://…` photos.
#[derive(Args, Clone, Debug)]
pub struct S3 {
    /// Address of the S3 server: `https://HOST`, or `http://HOST` in a network that you trust [default: Amazon's in the region]
    #[arg(long = "s3-endpoint", env = "PADRON_S3_ENDPOINT", global = true)]
    pub endpoint: Option<Origin>,

    /// Region of the bucket
    #[arg(
        long = "s3-region",
        env = "PADRON_S3_REGION",
        default_value = "us-east-1",
        global = true
    )]
    pub region: String,

    /// Where the bucket's name stands in an address
    #[arg(
        long = "s3-style",
        env = "PADRON_S3_STYLE",
        default_value = "path",
        global = true
    )]
    pub style: S3Style,

    /// Access key of the bucket
    #[arg(
        long = "s3-access-key",
        env = "PADRON_S3_ACCESS_KEY",
        hide_env_values = true,
        global = true
    )]
    pub access_key: Option<SecretString>,

    /// Secret key of the bucket
    #[arg(
        long = "s3-secret-key",
        env = "PADRON_S3_SECRET_KEY",
        hide_env_values = true,
        global = true
    )]
    pub secret_key: Option<SecretString>,
}

/// Where the bucket's name stands in the address of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum S3Style {
    /// `https://HOST/BUCKET/KEY`
    Path,
    /// `https://BUCKET.HOST/KEY`
    Host,
}

/// Request timeout of one attempt; what is left of [`DEADLINE`] is for a retry.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Connect timeout.
const CONNECT: Duration = Duration::from_secs(2);

/// The client of a bucket. Plain puts, gets, lists and deletes of one whole object: S3-compatible servers differ in
/// everything else, so there is no put-if-absent, no multipart upload, no bulk delete and no object tag.
pub(super) fn bucket_of(s3: &S3, bucket: &str) -> Result<impl ObjectStore, object_store::Error> {
    // An https client needs the process's crypto provider, and there may be none yet. One that is installed already
    // is as good.
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
        let address = match s3.style {
            S3Style::Path => endpoint.clone(),
            S3Style::Host => endpoint.below(bucket).map_err(unusable)?,
        };
        builder = builder
            .with_endpoint(address.to_string())
            .with_allow_http(!address.is_https());
    }
    if let (Some(access), Some(secret)) = (&s3.access_key, &s3.secret_key) {
        builder = builder
            .with_access_key_id(access.expose_secret())
            .with_secret_access_key(secret.expose_secret());
    }
    builder.build()
}

fn unusable(fault: String) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: fault.into(),
    }
}
