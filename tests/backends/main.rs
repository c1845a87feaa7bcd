//! The conformance suite of the backends of both tiers: named cases, stamped over each backend.
//!
//! `store` holds the contract of `trait Store` as cases, `photos` that of `Photos`, each with the list of its
//! backends. `sqlite`, `mongo`, `s3`, `guard` and `faults` hold what belongs to one backend or to none.

#![expect(
    clippy::unwrap_used,
    reason = "what is not as a case expects it fails the case"
)]

/// Stamps cases over one backend: a module named like the backend, in it one per group, in it a test
/// per case. It is called beside the groups' own modules, where the cases are.
///
/// `start` makes an empty tier, and with it whatever has to outlive the case. The attributes are put
/// on every test: `[#[ignore = "needs …"]]` where the backend needs a daemon.
macro_rules! stamp {
    ($backend:ident, $start:ident, $attributes:tt,
     $($group:ident { $($case:ident,)+ })+) => {
        mod $backend {
            $(mod $group {
                $(stamp!(@one $start, $attributes, $group, $case);)+
            })+
        }
    };
    (@one $start:ident, [$($attribute:tt)*], $group:ident, $case:ident) => {
        $($attribute)*
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            crate::support::or_hangs(async {
                let (tier, _kept) = super::super::$start().await;
                super::super::$group::$case(tier).await;
            })
            .await;
        }
    };
}

mod doubles;
mod ended;
mod faults;
mod guard;
mod markers;
mod mongo;
mod photos;
mod programs;
mod register;
mod s3;
mod sqlite;
mod store;
mod support;
