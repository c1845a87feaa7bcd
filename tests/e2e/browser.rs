//! The program in the browsers that people have: journeys written for Playwright, each file of them with a server of
//! its own. `harness.mjs` says how one is written and run alone.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Of `journeys/*.mjs`; `PADRON_JOURNEYS=form` runs one file of them.
#[test]
#[ignore = "needs Chromium, Firefox and Node's packages: .ci/run installs them"]
fn every_journey_ends_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/journeys");
    let only = std::env::var("PADRON_JOURNEYS").unwrap_or_default();
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| file.to_string_lossy().contains(&format!("/{only}")));
    files.sort();
    assert!(!files.is_empty());
    // Each file is a process, and a browser or two; what is shared is the machine's two processors.
    let end_well = |at_once: u8| {
        let status = Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .arg(format!("--test-concurrency={at_once}"))
            .args(&files)
            .env("PADRON_PROGRAM", env!("CARGO_BIN_EXE_padron"))
            .stdin(Stdio::null())
            .status();
        status.unwrap().success()
    };
    // A busy machine may be late for a journey's timeouts: then all have a second try, without company. What failed the
    // first time stays in the output.
    assert!(end_well(2) || end_well(1));
}
