//! Registrations by time: an aggregation over the index of times alone, and a count over the one of cities.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::{
    bson::{DateTime, RawDocumentBuf, doc},
    options::Hint,
};

use super::{
    COUNTING, Mongo,
    documents::{self, Fields},
    failure::of_read,
    schema::{BY_CITY, BY_TIME},
};
use crate::store::{Daily, Recent, StoreError};

/// A quarter of an hour, in milliseconds.
const QUARTER: i64 = 15 * 60 * 1000;

#[async_trait]
impl Daily for Mongo {
    async fn recent(&self, since: Timestamp) -> Result<Recent, StoreError> {
        let count = move |at: super::Collections| async move {
            let epoch = DateTime::from_millis(0);
            let after = doc! { "$mod": [{ "$subtract": ["$registered_at", epoch] }, QUARTER] };
            let pipeline = [
                doc! { "$match": { "registered_at": { "$gte": documents::time(since) } } },
                doc! { "$group": {
                    "_id": { "$subtract": ["$registered_at", after] },
                    "count": { "$sum": 1 },
                } },
            ];
            let counted = at
                .registrations
                .aggregate(pipeline)
                .with_type::<RawDocumentBuf>()
                .hint(Hint::Name(BY_TIME.to_owned()))
                .max_time(COUNTING)
                .await;
            let mut counted = counted.map_err(|error| of_read(&error))?;
            let mut quarters = BTreeMap::new();
            while let Some(document) = counted.try_next().await.map_err(|error| of_read(&error))? {
                let fields = Fields(&document);
                let count = fields.number("count")?.cast_unsigned();
                quarters.insert(fields.time("_id")?, count);
            }
            // After the quarters, so that it is never less than they are together.
            let total = at
                .registrations
                .count_documents(doc! {})
                .hint(Hint::Name(BY_CITY.to_owned()))
                .max_time(COUNTING)
                .await;
            let total = total.map_err(|error| of_read(&error))?;
            Ok(Recent { total, quarters })
        };
        self.run(COUNTING, StoreError::Unavailable, count).await
    }
}
