# Build: needs nothing but the toolchain and a C compiler, which the image brings.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
# The dependencies alone first: a change of our own code does not build them again.
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked && rm -r src
COPY config config
COPY src src
RUN touch src/main.rs src/lib.rs && cargo build --release --locked && mkdir /data

# Run: glibc and CA certificates, no shell, no package manager, not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/bridge /usr/local/bin/bridge
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
# The C library returns what a long list of conversations took, and keeps one pool for all threads: with 100,000 of them
# listed that is 50 MiB less, and no slower (docs/deployment.md).
ENV MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=131072
# The default store.url, sqlite:data/bridge.db, is /data/bridge.db from here. Not set by ENV: that would win over a file.
WORKDIR /
# The only place that is written: run with a read-only root file system.
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/usr/local/bin/bridge", "health"]
ENTRYPOINT ["/usr/local/bin/bridge"]
CMD ["serve"]
