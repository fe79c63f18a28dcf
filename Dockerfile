# syntax=docker/dockerfile:1
# All programs of Quadrille in one image: the eight consumers and the `quadrille` command. docker-compose.yml runs each.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches outlive a build, so that the next one compiles only what changed; the programs are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bins --package 'quadrille-*' \
    && mkdir /programs \
    && find target/release -maxdepth 1 -type f -executable -name 'quadrille*' -exec cp -t /programs {} +

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /programs/ /usr/local/bin/
USER nobody
CMD ["quadrille", "--help"]
