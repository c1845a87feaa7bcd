//! Connection limits: in all, and per client address; and which connection is evicted for a new one.
//!
//! The limit follows from the file descriptors that the process may open (`RLIMIT_NOFILE`); one address has a quarter
//! of it at most. Beyond either, the longest idle keep-alive connection is closed, or else the slowest upload. Used by
//! the accept loop in `listen`.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::http::{limits::source, peer::Peer};

/// Upper bound of the connection limit: their buffers, beside the memory of uploads, stay below 128 MiB.
const MOST: usize = 4096;

/// File descriptors reserved for store, photos and logs, unless that is more than half of all.
const KEPT_FILES: usize = 256;

/// One address gets one in so many connections: a whole office behind NAT is one address.
const SHARE: usize = 4;

/// How long a new connection waits for one to close before it looks for one to evict again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(super) struct Connections {
    bound: usize,
    is_shared: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    table: Mutex<Table>,
    room: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    all: HashMap<u64, Arc<Peer>>,
    of: HashMap<IpAddr, usize>,
}

impl Table {
    fn remove(&mut self, number: u64) {
        let Some(peer) = self.all.remove(&number) else {
            return;
        };
        let source = source(peer.address());
        if let Some(count) = self.of.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&source);
            }
        }
    }

    /// Evicts the idlest or slowest of the connections that `may` go. Returns whether there was any.
    fn evict_one(&mut self, now: Instant, may: impl Fn(&Peer) -> bool) -> bool {
        let candidates = self.all.iter().filter(|(_, peer)| may(peer));
        let rated =
            candidates.filter_map(|(number, peer)| Some((peer.eviction_priority(now)?, *number)));
        let Some((_, number)) = rated.max() else {
            return false;
        };
        self.all[&number].evict();
        self.remove(number);
        true
    }
}

impl Connections {
    /// As many as `files`, the limit of open file descriptors, leaves room for. `is_shared` are the addresses that
    /// many people have in common, such as trusted proxies, which have no per-address limit.
    pub(super) fn new(
        files: u64,
        is_shared: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        Self {
            bound: (files - KEPT_FILES.min(files / 2)).clamp(1, MOST),
            is_shared: Box::new(is_shared),
            table: Mutex::default(),
            room: Notify::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for one more connection from `address`, once there is one; `None` when that address is at its limit
    /// and none of its connections can be evicted. Waiting here is the backpressure on the accept loop.
    pub(super) async fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        loop {
            match self.permit(address, Instant::now()) {
                Room::Permit(permit) => return Some(permit),
                Room::AddressIsFull => return None,
                // Nobody tells when one of them becomes idle or slow.
                Room::Full => drop(timeout(LOOK_AGAIN, self.room.notified()).await),
            }
        }
    }

    fn permit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Room {
        let from = source(address);
        let mut table = self.table();
        let own = table.of.get(&from).copied().unwrap_or_default();
        if own >= self.bound.div_ceil(SHARE)
            && !(self.is_shared)(address)
            && !table.evict_one(now, |peer| source(peer.address()) == from)
        {
            return Room::AddressIsFull;
        }
        if table.all.len() >= self.bound && !table.evict_one(now, |_| true) {
            return Room::Full;
        }
        let peer = Arc::new(Peer::new(address, now));
        let number = table.next;
        table.next += 1;
        table.all.insert(number, peer.clone());
        *table.of.entry(from).or_default() += 1;
        Room::Permit(Permit {
            peer,
            number,
            connections: self.clone(),
        })
    }
}

enum Room {
    Permit(Permit),
    /// Their address is at its limit.
    AddressIsFull,
    Full,
}

/// One connection's permit; given back when dropped.
pub(super) struct Permit {
    pub(super) peer: Arc<Peer>,
    number: u64,
    connections: Arc<Connections>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.table().remove(self.number);
        self.connections.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::peer::Awaited;

    const SECOND: Duration = Duration::from_secs(1);

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn admitted(connections: &Arc<Connections>, address: IpAddr, now: Instant) -> Option<Permit> {
        match connections.permit(address, now) {
            Room::Permit(permit) => Some(permit),
            Room::AddressIsFull | Room::Full => None,
        }
    }

    #[test]
    fn whoever_was_idle_longest_makes_room() {
        let connections = Arc::new(Connections::new(16, |_| false));
        let begun = Instant::now();
        let permits: Vec<_> = (0..8)
            .map(|last| admitted(&connections, from(last), begun + SECOND * last.into()).unwrap())
            .collect();
        let now = begun + 8 * SECOND;
        // The two that were there first are being answered.
        for permit in &permits[..2] {
            permit.peer.awaits(Awaited::Nothing, now);
        }
        assert!(admitted(&connections, from(8), now).is_some());
        let gone = permits
            .iter()
            .map(|permit| permit.peer.gone().is_cancelled());
        let gone: Vec<_> = gone.collect();
        assert_eq!(gone.iter().position(|&gone| gone), Some(2));
        assert_eq!(gone.iter().filter(|&&gone| gone).count(), 1);
    }

    #[test]
    fn who_keeps_up_is_not_cut_and_the_next_one_waits() {
        let connections = Arc::new(Connections::new(16, |_| false));
        let begun = Instant::now();
        let permits: Vec<_> = (0..8)
            .map(|last| admitted(&connections, from(last), begun).unwrap())
            .collect();
        for permit in &permits {
            permit.peer.awaits(Awaited::Body, begun);
            permit.peer.waits(begun);
        }
        assert!(matches!(connections.permit(from(8), begun), Room::Full));
        let later = begun + 2 * SECOND;
        permits[0].peer.received(8 * 1024, later);
        assert!(admitted(&connections, from(8), later).is_some());
        assert!(!permits[0].peer.gone().is_cancelled(), "it has caught up");
    }

    #[test]
    fn one_address_has_a_quarter_and_ipv6_counts_by_its_network() {
        let connections = Arc::new(Connections::new(16, |_| false));
        let host = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, last]);
        let now = Instant::now();
        let busy: Vec<_> = (0..2)
            .map(|last| admitted(&connections, host(last), now).unwrap())
            .collect();
        for permit in &busy {
            permit.peer.awaits(Awaited::Nothing, now);
        }
        assert!(matches!(
            connections.permit(host(2), now),
            Room::AddressIsFull
        ));
        let _other = admitted(&connections, from(1), now).unwrap();
        busy[0].peer.awaits(Awaited::Head, now);
        assert!(admitted(&connections, host(3), now).is_some());
        assert!(busy[0].peer.gone().is_cancelled());
    }

    #[test]
    fn a_proxy_has_no_share() {
        let connections = Arc::new(Connections::new(16, |address| address == from(1)));
        let now = Instant::now();
        let permits: Vec<_> = (0..8)
            .filter_map(|_| admitted(&connections, from(1), now))
            .inspect(|permit| permit.peer.awaits(Awaited::Nothing, now))
            .collect();
        assert_eq!(permits.len(), 8);
    }

    #[test]
    fn store_and_photos_keep_their_files() {
        let bound = |files| Connections::new(files, |_| false).bound;
        assert_eq!((bound(64), bound(1024), bound(1 << 20)), (32, 768, MOST));
        assert_eq!(bound(u64::MAX), MOST);
    }
}
