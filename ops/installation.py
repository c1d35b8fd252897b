"""What a running Adieu on this machine consists of: a directory, its secrets, ports, and who finds it how."""

from __future__ import annotations

import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy.engine import make_url

from ops.errors import UserError
from ops.processes import HOST, Identity, free_port
from shared.clock import clock_told_by
from shared.staff import PRIVACY, Staff, issue_staff_token, key_set

SERVICES = ("account", "device", "requests", "notifier")
EMBEDDED = ("kafka", "postgres", "smtp")
DEFAULT_DIRECTORY = Path(".adieu")
MAIL_DOOR = "privacy-mailbox"
"""The port at which the first process of requests takes mails in."""
DEFAULT_SENDER = "Adieu <no-reply@adieu.example>"


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a running system are reached."""

    kafka: str
    smtp: str
    privacy_mailbox: str
    services: dict[str, str]


class Installation:
    """One system in one directory; `environ` may name engines outside, and is passed on to the services.

    Each of `processes` is a service; `device-2` is another replica of device.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        environ: Mapping[str, str] = os.environ,
        processes: Sequence[str] = SERVICES,
    ) -> None:
        self.directory = directory.resolve()
        self.processes = tuple(processes)
        # Set to nothing is not set: compose files and shells make no difference either.
        self.environ = {name: value for name, value in environ.items() if value}

    @property
    def mailbox(self) -> Path:
        return self.directory / "mailbox"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    def create(self) -> None:
        """Make the directory and all secrets, unless they are there."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self._secrets, self.mailbox, self.logs):
            directory.mkdir(mode=0o700, exist_ok=True)
        if not self._private_key_file.exists():
            key = Ed25519PrivateKey.generate()
            _write_secret(
                self._private_key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            )
        private_key = load_pem_private_key(self._private_key_file.read_bytes(), password=None)
        public = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        known = self._public_key_file.read_bytes() if self._public_key_file.exists() else b""
        if public not in known:  # keys that are being rotated out stay
            self._public_key_file.write_bytes(known + public)
        self._create_staff_key()
        if not self._second_factor_keys_file.exists():
            _write_secret(self._second_factor_keys_file, Fernet.generate_key())
        if not self._sender_key_file.exists():
            _write_secret(self._sender_key_file, secrets.token_bytes(32))
        if not self._package_keys_file.exists():
            _write_secret(self._package_keys_file, urlsafe_b64encode(secrets.token_bytes(32)))
        for name in ("internal-token", *map(_password_name, SERVICES)):
            if not (self._secrets / name).exists():
                _write_secret(self._secrets / name, secrets.token_urlsafe(32).encode())

    def _create_staff_key(self) -> None:
        """Make the key that signs tokens of staff on this machine; elsewhere that is whoever knows the staff."""
        if not self._staff_key_file.exists():
            key = Ed25519PrivateKey.generate()
            _write_secret(self._staff_key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key_set_of_it = key_set(self._staff_key.public_key())
        self._staff_key_set_file.write_text(json.dumps(key_set_of_it))

    def staff_token(self, staff_id: str) -> str:
        """Sign a token for somebody of the privacy staff."""
        now = clock_told_by(self.clock_shift_file)()
        return issue_staff_token(self._staff_key, Staff(staff_id, frozenset({PRIVACY})), now)

    @property
    def clock_shift_file(self) -> Path:
        """Holds by how many seconds all services' clocks are ahead; not there unless somebody moves them."""
        return self.directory / "clock-shift"

    @property
    def external_kafka(self) -> str | None:
        return self.environ.get("KAFKA_BOOTSTRAP_SERVERS")

    @property
    def external_smtp(self) -> str | None:
        given = [self.environ.get(name) for name in ("SMTP_HOST", "SMTP_PORT")]
        if any(given) and not all(given):
            raise UserError("SMTP_HOST and SMTP_PORT belong together: set both, or neither")
        return ":".join(filter(None, given)) or None

    @property
    def external_databases(self) -> dict[str, str] | None:
        """The services' database addresses, if PostgreSQL is outside."""
        names = {service: f"{service.upper()}_DATABASE_URL" for service in SERVICES}
        given = {service: self.environ[name] for service, name in names.items() if name in self.environ}
        if not given:
            return None
        if missing := [name for service, name in names.items() if service not in given]:
            raise UserError(f"databases outside need one address a service; not set: {', '.join(missing)}")
        return {service: _for_asyncpg(url) for service, url in given.items()}

    @cached_property
    def ports(self) -> dict[str, int]:
        """A port for each part: last time's where nobody took it meanwhile."""
        path = self.directory / "ports.json"
        ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        for name in (*EMBEDDED, MAIL_DOOR, *self.processes):
            others = [port for other, port in ports.items() if other != name]
            ports[name] = free_port(ports.get(name), taken=others)
        path.write_text(json.dumps(ports))
        return ports

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            kafka=self.external_kafka or f"{HOST}:{self.ports['kafka']}",
            smtp=self.external_smtp or f"{HOST}:{self.ports['smtp']}",
            privacy_mailbox=f"{HOST}:{self.ports[MAIL_DOOR]}",
            services={process: f"http://{HOST}:{self.ports[process]}" for process in self.processes},
        )

    @property
    def database_urls(self) -> dict[str, str]:
        return self.external_databases or {
            service: f"postgresql+asyncpg://{service}:{self._secret(_password_name(service))}"
            f"@{HOST}:{self.ports['postgres']}/{service}"
            for service in SERVICES
        }

    @property
    def internal_token(self) -> str:
        """What opens the services' internal door."""
        return self._secret("internal-token")

    def command(self, process: str) -> Sequence[str]:
        """How a service's process is started."""
        return [sys.executable, "-m", f"services.{service_of(process)}.app"]

    def service_environment(self, process: str) -> dict[str, str]:
        """Put together a service's environment: the caller's, less what is for others, plus our own."""
        service = service_of(process)
        ours = {f"{other.upper()}_DATABASE_URL" for other in SERVICES}
        environment = {name: value for name, value in self.environ.items() if name not in ours}
        environment |= {
            "DATABASE_URL": self.database_urls[service],
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "REPLICA": process.partition("-")[2] or "1",
            "HTTP_HOST": HOST,
            "HTTP_PORT": str(self.ports[process]),
            "INTERNAL_TOKEN": self.internal_token,
            "ACCESS_TOKEN_PUBLIC_KEY_FILE": str(self._public_key_file),
            "CLOCK_SHIFT_FILE": str(self.clock_shift_file),
        }
        if service == "account":
            environment["ACCESS_TOKEN_PRIVATE_KEY_FILE"] = str(self._private_key_file)
            environment["SECOND_FACTOR_KEYS_FILE"] = str(self._second_factor_keys_file)
            environment["SENDER_KEY_FILE"] = str(self._sender_key_file)
        if service == "requests":
            environment["PACKAGE_KEYS_FILE"] = str(self._package_keys_file)
            environment["STAFF_KEY_SET_FILE"] = str(self._staff_key_set_file)
        if process == "requests":
            environment["MAIL_PORT"] = str(self.ports[MAIL_DOOR])
        if service == "notifier":
            host, _, port = self.addresses.smtp.rpartition(":")
            environment |= {"SMTP_HOST": host, "SMTP_PORT": port}
            environment.setdefault("MAIL_FROM", DEFAULT_SENDER)
        return environment

    def claim(self) -> None:
        """Write down that this process runs the system; UserError if another one does."""
        if other := self._running():
            raise UserError(f"Adieu is already running in {self.directory} (process {other['process']['pid']})")
        facts = {"process": vars(Identity.of(os.getpid())), "addresses": asdict(self.addresses)}
        _write_secret(self._run_file, json.dumps(facts).encode())

    def release(self) -> None:
        self._run_file.unlink(missing_ok=True)

    def find_running(self) -> Addresses:
        """Where the running system is reached; UserError if none runs."""
        if not (facts := self._running()):
            raise UserError(f"Adieu is not running in {self.directory}: start it with `adieu up`")
        return Addresses(**facts["addresses"])

    def _running(self) -> dict[str, Any] | None:
        if not self._run_file.exists():
            return None
        facts: dict[str, Any] = json.loads(self._run_file.read_text())
        return facts if Identity(**facts["process"]).find() else None

    @property
    def _run_file(self) -> Path:
        return self.directory / "run.json"

    @property
    def _secrets(self) -> Path:
        return self.directory / "secrets"

    @property
    def _private_key_file(self) -> Path:
        return self._secrets / "access-token-private.pem"

    @property
    def _public_key_file(self) -> Path:
        return self._secrets / "access-token-public.pem"

    @property
    def _staff_key_file(self) -> Path:
        return self._secrets / "staff-token-private.pem"

    @property
    def _staff_key(self) -> Any:  # noqa: ANN401 - whichever of the key types
        return load_pem_private_key(self._staff_key_file.read_bytes(), password=None)

    @property
    def _staff_key_set_file(self) -> Path:
        return self._secrets / "staff-token-public.json"

    @property
    def _second_factor_keys_file(self) -> Path:
        return self._secrets / "second-factor-keys"

    @property
    def _sender_key_file(self) -> Path:
        return self._secrets / "sender-key"

    @property
    def _package_keys_file(self) -> Path:
        return self._secrets / "package-keys"

    def _secret(self, name: str) -> str:
        return (self._secrets / name).read_text()


def service_of(process: str) -> str:
    """Name the service that a process is of."""
    return process.partition("-")[0]


def _password_name(service: str) -> str:
    return f"database-password-{service}"


def _for_asyncpg(url: str) -> str:
    """Accept an address as PostgreSQL's own tools write it."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def _write_secret(path: Path, value: bytes) -> None:
    """Write a whole file that only this user may read, or none."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_bytes(value)
    new.replace(path)
