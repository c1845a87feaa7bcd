//! The memory budget of uploads: one limit in all, one for each client address, and which upload is evicted for another
//! (load shedding). The form's reader takes from it as a body arrives.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::http::peer::{Awaited, Peer};

/// One address gets one in so many bytes: a whole office behind NAT is one address.
const SHARE: usize = 2;

/// Lower bound of one address's limit: enough for the largest upload.
const LARGEST: usize = 40 * 1024 * 1024;

/// Concurrency limit of one address's uploads.
const AT_ONCE: usize = 100;

/// What all uploads in flight may take.
pub struct UploadMemory {
    bytes: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    taken: usize,
    next: u64,
    uploads: HashMap<u64, Upload>,
    of: HashMap<IpAddr, Share>,
}

/// What one address has in flight.
#[derive(Default)]
struct Share {
    uploads: usize,
    bytes: usize,
}

struct Upload {
    from: Option<IpAddr>,
    peer: Option<Arc<Peer>>,
    bytes: usize,
}

/// The memory budget is exhausted.
#[derive(Debug, thiserror::Error)]
#[error("over the byte budget")]
pub struct OverBudget;

impl UploadMemory {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        let table = Mutex::default();
        Arc::new(Self { bytes, table })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As set, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is left of it, in bytes.
    #[must_use]
    pub fn available(&self) -> usize {
        self.bytes - self.table().taken
    }

    /// Begins an upload, which holds nothing yet. `None` when `from` is at its concurrency limit.
    #[must_use]
    pub fn begin(self: &Arc<Self>, from: Option<IpAddr>, peer: Option<Arc<Peer>>) -> Option<Held> {
        let mut table = self.table();
        if let Some(from) = from {
            let share = table.of.entry(from).or_default();
            if share.uploads >= AT_ONCE {
                return None;
            }
            share.uploads += 1;
        }
        let number = table.next;
        table.next += 1;
        let bytes = 0;
        table.uploads.insert(number, Upload { from, peer, bytes });
        Some(Held {
            memory: self.clone(),
            number,
        })
    }
}

impl Table {
    /// Evicts the upload that is most behind the minimum rate, among those that `may` go. Returns whether there was
    /// any. Its task fails at its next read, so for a moment the memory is taken twice.
    fn evict_one(&mut self, now: Instant, may: impl Fn(&Upload) -> bool) -> bool {
        let slow = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.bytes > 0 && may(upload));
        let slow = slow.filter_map(|(number, upload)| {
            let peer = upload.peer.as_ref()?;
            let slow = peer
                .eviction_priority(now)
                .filter(|_| peer.awaited() == Awaited::Body)?;
            Some((slow, *number))
        });
        let Some((_, number)) = slow.max() else {
            return false;
        };
        self.give_back(number);
        if let Some(peer) = &self.uploads[&number].peer {
            peer.evict();
        }
        true
    }

    fn give_back(&mut self, number: u64) {
        let Some(upload) = self.uploads.get_mut(&number) else {
            return;
        };
        let bytes = std::mem::take(&mut upload.bytes);
        self.taken -= bytes;
        if let Some(share) = upload.from.and_then(|from| self.of.get_mut(&from)) {
            share.bytes -= bytes;
        }
    }

    fn end(&mut self, number: u64) {
        self.give_back(number);
        let ended = self.uploads.remove(&number);
        let Some(from) = ended.and_then(|upload| upload.from) else {
            return;
        };
        if let Some(share) = self.of.get_mut(&from) {
            share.uploads -= 1;
            if share.uploads == 0 {
                self.of.remove(&from);
            }
        }
    }
}

/// One upload's part of the budget, given back when dropped: after everything that was made of the upload.
pub struct Held {
    memory: Arc<UploadMemory>,
    number: u64,
}

impl Held {
    /// Takes `bytes` more. Never waits (no backpressure here), because uploads that wait for each other's memory could
    /// deadlock.
    ///
    /// # Errors
    /// When there is not as much left, and no upload is slow enough to be evicted.
    pub fn take(&self, bytes: usize, now: Instant) -> Result<(), OverBudget> {
        let memory = &self.memory;
        let mut table = memory.table();
        let from = table
            .uploads
            .get(&self.number)
            .and_then(|upload| upload.from);
        let share = (memory.bytes / SHARE).max(LARGEST.min(memory.bytes));
        let held = |table: &Table| from.and_then(|from| Some(table.of.get(&from)?.bytes));
        while held(&table).is_some_and(|held| held + bytes > share) {
            if !table.evict_one(now, |upload| upload.from == from) {
                return Err(OverBudget);
            }
        }
        while table.taken + bytes > memory.bytes {
            if !table.evict_one(now, |_| true) {
                return Err(OverBudget);
            }
        }
        table.taken += bytes;
        if let Some(upload) = table.uploads.get_mut(&self.number) {
            upload.bytes += bytes;
        }
        if let Some(share) = from.and_then(|from| table.of.get_mut(&from)) {
            share.bytes += bytes;
        }
        Ok(())
    }

    /// Gives all of it back before its end.
    pub fn give_back(&self) {
        self.memory.table().give_back(self.number);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.table().end(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn upload(memory: &Arc<UploadMemory>, last: u8) -> (Held, Arc<Peer>) {
        let from = IpAddr::from([192, 0, 2, last]);
        let peer = Arc::new(Peer::new(from, Instant::now()));
        peer.awaits(Awaited::Body, Instant::now());
        (memory.begin(Some(from), Some(peer.clone())).unwrap(), peer)
    }

    #[test]
    fn an_upload_that_drips_makes_room_and_one_that_keeps_up_does_not() {
        let now = Instant::now();
        let memory = UploadMemory::new(100 * MIB);
        let (dripping, dripper) = upload(&memory, 1);
        let (steady, keeping_up) = upload(&memory, 2);
        dripping.take(50 * MIB, now).unwrap();
        steady.take(50 * MIB, now).unwrap();
        let (next, _peer) = upload(&memory, 3);
        assert!(next.take(MIB, now).is_err(), "nobody is slow yet");
        for peer in [&dripper, &keeping_up] {
            peer.waits(now);
        }
        let now = now + Duration::from_secs(5);
        dripper.received(50, now);
        keeping_up.received(16 * 1024, now);
        next.take(MIB, now).unwrap();
        assert!(dripper.gone().is_cancelled() && !keeping_up.gone().is_cancelled());
        assert_eq!(memory.available(), 49 * MIB);
        drop((dripping, steady, next));
        assert_eq!(memory.available(), 100 * MIB);
        assert!(memory.table().of.is_empty(), "no address is remembered");
    }

    #[test]
    fn one_address_has_half_of_the_memory_and_a_hundred_uploads() {
        let now = Instant::now();
        let memory = UploadMemory::new(100 * MIB);
        let uploads: Vec<_> = (0..100).map(|_| upload(&memory, 1).0).collect();
        for upload in &uploads[..50] {
            upload.take(MIB, now).unwrap();
        }
        assert!(uploads[50].take(1, now).is_err());
        let from = IpAddr::from([192, 0, 2, 1]);
        assert!(memory.begin(Some(from), None).is_none());
        upload(&memory, 2).0.take(50 * MIB, now).unwrap();
        drop(uploads);
        assert!(memory.begin(Some(from), None).is_some());
        assert_eq!(memory.available(), 100 * MIB);
    }
}
