//! `just stack`: the stack for a person to look at, until Ctrl-C.

use crate::{
    servers::secret,
    stack::{Stack, Tiers},
    watch::start_logs,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until Ctrl-C; `just stack` runs it"]
async fn until_interrupted() {
    let mut stack = Stack::start(Tiers::Direct);
    let _logs = start_logs();
    println!("the form    https://127.77.0.10:8443/ (self-signed certificate)");
    println!(
        "the staff   https://127.77.0.10:8443/staff with the token {}",
        secret("padron_admin_token")
    );
    println!(
        "replicas    http://127.77.0.11:4000 .12 .13; records SecantusDB (not mongod), photos Versity S3 Gateway"
    );
    println!("logs        http://127.77.0.35:9428/select/vmui, by the OpenTelemetry Collector");
    println!("stop with Ctrl-C");
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            _ = &mut interrupted => return,
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
        for replica in &mut stack.replicas {
            // As compose's `restart: unless-stopped`, so that killing one can be tried.
            if !replica.is_running() {
                eprintln!("{} has ended and is started again", replica.name);
                replica.start();
            }
        }
    }
}
