# Adieu in one image: which of its programs a container runs is said by its command.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /opt/adieu
COPY pyproject.toml requirements.lock ./
# Every package at its locked version and digest. The secret is for networks with a certificate authority of their own.
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export PIP_CERT=/run/ca.crt SSL_CERT_FILE=/run/ca.crt; fi \
    && sed -n '/^uv==/,/[^\\]$/p' requirements.lock > /tmp/uv.lock \
    && python3 -m venv /tmp/uv && python3 -m venv --without-pip .venv \
    && /tmp/uv/bin/pip install --quiet --no-cache-dir --require-hashes --requirement /tmp/uv.lock \
    && /tmp/uv/bin/uv pip install --quiet --no-cache --python .venv --compile-bytecode --require-hashes \
       --requirement pyproject.toml --constraint requirements.lock

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/adieu/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ADIEU_DIRECTORY=/var/lib/adieu
WORKDIR /opt/adieu
RUN useradd --uid 10001 --home-dir /var/lib/adieu --no-create-home adieu
COPY --from=build /opt/adieu/.venv .venv
COPY ops ops
COPY services services
COPY shared shared
# A new volume belongs to whom the directory belongs that it is mounted on; below /handed secrets are handed out.
RUN install -d -o adieu /var/lib/adieu /var/lib/adieu/mailbox \
    && for name in kafka postgres exporter prometheus services/*/; do install -d -o adieu "/handed/$(basename "$name")"; done \
    && python -m compileall -q ops services shared
USER adieu
CMD ["python", "-m", "ops", "--help"]
