//! Single-flight, or request coalescing: whoever asks for what is in flight already joins that call and gets the same
//! answer, an error too.
//!
//! So no caller queues behind the failed attempts of those before it, and work is done once however many ask. A call
//! runs only while somebody awaits it: when its last caller is dropped, it is cancelled.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use futures::future::{BoxFuture, FutureExt as _, Shared, WeakShared};

/// The calls in flight, by key.
pub struct SingleFlight<K, T> {
    calls: Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>,
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash, T: Clone> SingleFlight<K, T> {
    /// Joins the call for `key` that is in flight, or starts one.
    pub fn join<F>(&self, key: K, call: impl FnOnce() -> F) -> Shared<BoxFuture<'static, T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = |call: &WeakShared<_>| call.upgrade().filter(|call| call.peek().is_none());
        if let Some(call) = calls.get(&key).and_then(under_way) {
            return call;
        }
        calls.retain(|_, call| under_way(call).is_some());
        let call = call().boxed().shared();
        if let Some(weak) = call.downgrade() {
            calls.insert(key, weak);
        }
        call
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Semaphore;

    use super::*;

    /// Calls that end when the gate lets them, each with its number.
    struct Calls {
        flight: SingleFlight<u8, Result<usize, &'static str>>,
        begun: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl Calls {
        fn new() -> Self {
            Self {
                flight: SingleFlight::default(),
                begun: Arc::default(),
                gate: Arc::new(Semaphore::new(0)),
            }
        }

        fn ask(&self, key: u8) -> Shared<BoxFuture<'static, Result<usize, &'static str>>> {
            let (begun, gate) = (self.begun.clone(), self.gate.clone());
            self.flight.join(key, || async move {
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                gate.acquire().await.map_err(|_| "closed")?.forget();
                Ok(number)
            })
        }
    }

    #[tokio::test]
    async fn who_asks_meanwhile_gets_the_same_answer_and_who_asks_later_a_new_one() {
        let calls = Calls::new();
        let askers: Vec<_> = (0..50).map(|_| calls.ask(1)).collect();
        calls.gate.add_permits(1);
        let answers = futures::future::join_all(askers).await;
        assert_eq!(answers, [Ok(1); 50]);
        calls.gate.add_permits(1);
        assert_eq!(calls.ask(1).await, Ok(2));
    }

    #[tokio::test]
    async fn an_error_is_shared_and_not_kept() {
        let calls = Calls::new();
        let askers: Vec<_> = (0..50).map(|_| calls.ask(1)).collect();
        calls.gate.close();
        let answers = futures::future::join_all(askers).await;
        assert_eq!(answers, [Err("closed"); 50]);
        assert_eq!(calls.begun.load(Ordering::Relaxed), 1);
        assert_eq!(calls.ask(1).await, Err("closed"));
        assert_eq!(calls.begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn who_began_a_call_may_leave_and_when_all_have_left_it_ends() {
        let calls = Calls::new();
        let (mut first, second) = (calls.ask(1), calls.ask(1));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        calls.gate.add_permits(1);
        assert_eq!(second.await, Ok(1));

        let mut left = calls.ask(2);
        assert!(futures::poll!(&mut left).is_pending());
        drop(left);
        assert_eq!(Arc::strong_count(&calls.begun), 1, "the call was dropped");
        calls.gate.add_permits(1);
        assert_eq!(calls.ask(2).await, Ok(3));
    }

    #[tokio::test]
    async fn different_things_are_different_calls_and_what_is_over_takes_no_room() {
        let calls = Calls::new();
        calls.gate.add_permits(1_000);
        for key in 0..=u8::MAX {
            assert_eq!(calls.ask(key).await, Ok(usize::from(key) + 1));
        }
        assert_eq!(calls.flight.calls.lock().unwrap().len(), 1);
    }
}
