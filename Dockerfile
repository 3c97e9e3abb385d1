FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Packages first: they change less often than the source, and stay in the build cache.
COPY deploy/build.lock deploy/runtime.lock deploy/
RUN python -m venv /opt/creditd \
 && pip install --no-deps --require-hashes --only-binary :all: --requirement deploy/build.lock \
 && /opt/creditd/bin/pip install --no-deps --require-hashes --only-binary :all: --requirement deploy/runtime.lock

COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY ledger ledger
COPY daemon daemon
COPY api api
COPY client client
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . ./client \
 && /opt/creditd/bin/pip install --no-deps --no-index /wheels/*.whl \
 && /opt/creditd/bin/pip check

FROM python:3.13-slim
# A fixed number, so that files shared with the host can be given to it.
RUN groupadd --gid 10001 creditd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin creditd
COPY --from=build /opt/creditd /opt/creditd
ENV PATH=/opt/creditd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CREDITD_CONFIG=/etc/creditd/creditd.toml
WORKDIR /etc/creditd
USER 10001:10001
EXPOSE 8402
ENTRYPOINT ["creditd"]
CMD ["--help"]
