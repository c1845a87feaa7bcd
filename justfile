# Lists the recipes.
default:
    @just --list

# Serves on http://127.0.0.1:4000 with everything under data/.
run:
    cargo run --release

# What a change must pass without anything installed.
test:
    cargo test

# Formatting, clippy, the import rule.
lint:
    cargo fmt --check
    .ci/import-rule
    cargo clippy --all-targets -- -D warnings

# Everything that must hold before a change lands.
ci:
    .ci/run

# The measurements of the README.
bench:
    cargo bench

# Ten thousand made-up people in data/.
seed:
    cargo run --release -- seed --count 10000
