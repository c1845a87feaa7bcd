FROM rust:1.95-slim-bookworm AS build
WORKDIR /padron
# rust-toolchain.toml stays out: the image is that toolchain, and the file would have it fetch formatter and linter.
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
COPY static static
COPY templates templates
COPY fixtures fixtures
COPY testkit testkit
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/padron/target \
    cargo build --release --locked --bin padron && cp target/release/padron /usr/local/bin/ && mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/padron /usr/local/bin/padron
# For one container without MongoDB and S3: everything is under /data, as `data/` is by default.
COPY --from=build --chown=nonroot:nonroot /data /data
WORKDIR /
ENV PADRON_LISTEN=0.0.0.0:4000 PADRON_OPS_LISTEN=0.0.0.0:4001
EXPOSE 4000 4001
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s CMD ["padron", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["padron"]
