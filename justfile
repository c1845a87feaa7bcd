# Lists the recipes.
default:
    @just --list

# Serves on http://127.0.0.1:4000 with everything under data/.
run:
    cargo run --release

# What a change must pass without anything installed.
test:
    cargo test

# Formatting, clippy, the import rule, licences.
lint:
    .ci/tools lint
    .ci/check-licences
    cargo fmt --all --check
    .ci/import-rule
    cargo clippy --workspace --all-targets -- -D warnings

# Everything that must hold before a change lands.
ci:
    .ci/run

# The measurements of the README.
bench:
    cargo bench

# Pictures of printed reports for docs/screens/; .ci/tools installs what it needs.
screens:
    PADRON_SCREENS=$PWD/docs/screens cargo test --test e2e -- --ignored print

# Ten thousand made-up people in data/.
seed:
    cargo run --release -- seed --count 10000

# Three replicas behind nginx on this machine, until Ctrl-C; .ci/tools installs what it needs.
stack:
    cargo test --test stack --no-run
    .ci/in-stack cargo test --offline --test stack -- --ignored --exact --nocapture up::until_interrupted

# Two hundred faults, an hour or two; the table at its end is that of docs/FAULTS.md.
chaos faults="200":
    cargo test --test stack --no-run
    PADRON_CHAOS_FAULTS={{faults}} .ci/in-stack cargo test --offline --test stack -- --ignored --nocapture chaos::
