//! Where photos are: the setting, parsed.

use std::{fmt, path::PathBuf, str::FromStr};

use object_store::path::Path;

use crate::foundation::path::local_path;

/// Where photos are, parsed from `PADRON_PHOTOS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhotosUrl {
    /// `file:PATH`: a local folder, created when absent.
    File(PathBuf),
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`: a bucket, which must be there.
    S3 {
        /// Its name.
        bucket: String,
        /// Prefix of every object name; may be empty.
        prefix: Path,
    },
}

impl FromStr for PhotosUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url.trim().split_once(':') {
            Some(("file", path)) => match local_path(path) {
                Ok(folder) => Ok(Self::File(folder)),
                Err(fault) => Err(format!(
                    "file:FOLDER, for example file:data/photos: {fault}"
                )),
            },
            Some(("s3", place)) => {
                let place = place.strip_prefix("//").unwrap_or_default();
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = Path::parse(prefix).map_err(|error| error.to_string())?;
                let named = bucket
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
                if bucket.len() < 3 || !named {
                    return Err(
                        "s3://BUCKET: a bucket has 3 or more letters, digits, dots and dashes"
                            .into(),
                    );
                }
                Ok(Self::S3 {
                    bucket: bucket.to_owned(),
                    prefix,
                })
            }
            _ => Err("use file:FOLDER, for example file:data/photos, or s3://BUCKET".into()),
        }
    }
}

impl fmt::Display for PhotosUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(folder) => write!(f, "{} (folder, embedded)", folder.display()),
            Self::S3 { bucket, prefix } if prefix.is_root() => write!(f, "bucket {bucket} (S3)"),
            Self::S3 { bucket, prefix } => write!(f, "bucket {bucket}, under {prefix} (S3)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match url.parse::<PhotosUrl>() {
            Ok(url) => url.to_string(),
            Err(fault) => fault,
        }
    }

    #[test]
    fn a_url_names_a_folder_or_a_bucket() {
        for (url, place) in [
            ("file:data/photos", "data/photos (folder, embedded)"),
            ("file:/srv/photos", "/srv/photos (folder, embedded)"),
            (" file:///srv/photos\n", "/srv/photos (folder, embedded)"),
            ("s3://abc", "bucket abc (S3)"),
            ("s3://my.photos-1", "bucket my.photos-1 (S3)"),
            ("s3://photos/", "bucket photos (S3)"),
            ("s3://photos/a", "bucket photos, under a (S3)"),
            ("s3://photos/a/b/", "bucket photos, under a/b (S3)"),
        ] {
            assert_eq!(shown(url), place, "{url}");
        }
    }

    #[test]
    fn a_url_that_names_neither_says_what_to_write() {
        let bucket = "s3://BUCKET: a bucket has 3 or more letters, digits, dots and dashes";
        let either = "use file:FOLDER, for example file:data/photos, or s3://BUCKET";
        for (url, told) in [
            ("", either),
            ("photos", either),
            ("S3://photos", either),
            ("https://s3.example/photos", either),
            ("s3:", bucket),
            ("s3:photos", bucket),
            ("s3:/photos", bucket),
            ("s3://", bucket),
            ("s3:///photos", bucket),
            ("s3://ab", bucket),
            ("s3://ab/photos", bucket),
            ("s3://my_photos", bucket),
            ("s3://user@photos", bucket),
            ("s3://fotos-de-ñandú", bucket),
        ] {
            assert_eq!(shown(url), told, "{url}");
        }
        for url in [
            "file:",
            "file:~/photos",
            "file://photos",
            "file:$HOME/photos",
            "file: ",
        ] {
            let told = shown(url);
            assert!(
                told.starts_with("file:FOLDER, for example file:data/photos: "),
                "{url}: {told}"
            );
        }
        let prefix = shown("s3://photos/a//b");
        assert!(prefix.contains("empty path segment"), "{prefix}");
    }
}
