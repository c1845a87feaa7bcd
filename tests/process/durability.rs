//! *Acknowledged means kept* (durability): the server is killed again and again while people register.
//!
//! Clients do what real ones do: what was not acknowledged is retried, under the same idempotency key. At the end
//! every acknowledged reference has its one record and its photo, the reports agree, and no photo is left that no
//! record names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::Duration,
};

use futures::future::join;
use rusqlite::{Connection, OpenFlags};
use testkit::{Home, Human, random};

use crate::{
    copy::photos,
    crowd::{Crowd, POSTERS, is_reported, is_served},
};

/// Starts that end with `SIGKILL`.
const ROUNDS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_fifty_kills() {
    let home = Home::new();
    let mut random = random();
    let crowd = Crowd::default();
    for _ in 0..ROUNDS {
        let mut server = home.start().await;
        let before_the_kill = random.u64(..10);
        // Nobody is left idle: at the kill each poster has a request in flight.
        crowd.grow(before_the_kill + 3 * POSTERS as u64);
        let kill = async {
            crowd.acknowledges(before_the_kill).await;
            // A moment within a request, wherever it falls.
            tokio::time::sleep(Duration::from_micros(random.u64(..20_000))).await;
            server.kill();
        };
        join(crowd.post_together(&server), kill).await;
        server.ended().await;
    }

    let server = home.start().await;
    crowd.post_together(&server).await;
    let clients = std::mem::take(&mut *crowd.clients.lock().unwrap());
    println!(
        "{} acknowledged, {} requests cut, {} of them had been kept",
        clients.kept.len(),
        clients.cut,
        clients.found_again
    );
    assert_eq!(clients.kept.len(), clients.born as usize);
    assert!(clients.cut >= ROUNDS, "kills fell outside the stream");

    is_served(&server, &clients.kept).await;
    is_reported(&server, &clients.kept).await;
    server.stop().await;
    has_one_record_each(&home, &clients.kept);
    photos_are_those_of_records(&home);
}

fn has_one_record_each(home: &Home, kept: &BTreeMap<String, Arc<Human>>) {
    let records: Vec<String> = column(home, "SELECT reference FROM registrations ORDER BY 1");
    let kept: Vec<_> = kept
        .keys()
        .map(|reference| reference.replace('-', ""))
        .collect();
    assert_eq!(records, kept);
}

fn photos_are_those_of_records(home: &Home) {
    let named: BTreeSet<String> = column(home, "SELECT lower(hex(photo_key)) FROM registrations")
        .into_iter()
        .collect();
    // One more that no record names, so that the sweep has surely something to find.
    let first = photos(home, "data").remove(0);
    let stray = uuid::Uuid::new_v4().to_string();
    let folder = home.path("data/photos/photos").join(&stray[..2]);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(first, folder.join(stray)).unwrap();

    let swept = home.run(&["sweep", "--min-age", "0", "--at-most", "1000"]);
    assert!(swept.status.success(), "{swept:?}");
    println!("{}", String::from_utf8_lossy(&swept.stdout));
    let left: BTreeSet<_> = photos(home, "data")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().replace('-', ""))
        .collect();
    assert_eq!(
        left.difference(&named).collect::<Vec<_>>(),
        <[&String; 0]>::default(),
        "without a record"
    );
    assert_eq!(
        named.difference(&left).collect::<Vec<_>>(),
        <[&String; 0]>::default(),
        "without a photo"
    );
}

/// The texts of a query of one column, read from the file that the stopped server left.
fn column(home: &Home, query: &str) -> Vec<String> {
    let file = home.path("data/padron.db");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
