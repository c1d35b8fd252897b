"""What a running Adieu on this machine consists of: a directory, its secrets, ports, and who finds it how."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from sqlalchemy.engine import make_url

from ops.errors import UserError
from ops.processes import HOST, Identity, free_port
from ops.vault import Vault, write_secret
from shared.clock import clock_told_by
from shared.messaging.kafka import Kafka, Mechanism, Protocol
from shared.staff import PRIVACY, Staff, issue_staff_token

SERVICES = ("account", "device", "requests", "notifier")
EXPORTER = "exporter"
"""Who watches how far the services have read."""
EMBEDDED = ("kafka", "postgres", "smtp")
DEFAULT_DIRECTORY = Path(".adieu")
MAIL_DOOR = "privacy-mailbox"
"""The port at which the first process of requests takes mails in."""
USERS_MECHANISM: Mechanism = "SCRAM-SHA-512"
"""How Kafka's users show who they are, where they are made here."""
SUPERUSERS = {"kafka": "kafka-password-admin", "postgres": "database-password-postgres"}
"""The secrets of those who may do everything with an engine outside, by engine."""
SHOWN_TO_KAFKA = ("KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_SASL_MECHANISM")
SECRET_SETTINGS = ("DATABASE_URL", "INTERNAL_TOKEN", "METRICS_TOKEN", *SHOWN_TO_KAFKA)
"""What a service is told that is nobody else's business."""
SECRET_FILES = ("_KEY_FILE", "_KEYS_FILE", "_KEY_SET_FILE")
DEFAULT_SENDER = "Adieu <no-reply@adieu.example>"


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a running system are reached."""

    kafka: str
    smtp: str
    privacy_mailbox: str
    services: dict[str, str]


class Installation:
    """One system in one directory; `environ` may name what is outside, and is passed on to the services.

    Each of `processes` is a service; `device-2` is another replica of device.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        environ: Mapping[str, str] = os.environ,
        processes: Sequence[str] = SERVICES,
    ) -> None:
        self.directory = directory.resolve()
        # Set to nothing is not set: compose files and shells make no difference either.
        self.environ = {name: value for name, value in environ.items() if value}
        self.processes = () if self.external_services else tuple(processes)
        self.vault = Vault(self.directory / "secrets")

    @property
    def mailbox(self) -> Path:
        return self.directory / "mailbox"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    def create(self) -> None:
        """Make the directory and all secrets, unless they are there."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self.mailbox, self.logs):
            directory.mkdir(mode=0o700, exist_ok=True)
        self.vault.create()

    def staff_token(self, staff_id: str) -> str:
        """Sign a token for somebody of the privacy staff."""
        now = clock_told_by(self.clock_shift_file)()
        return issue_staff_token(self.vault.staff_key, Staff(staff_id, frozenset({PRIVACY})), now)

    @property
    def clock_shift_file(self) -> Path:
        """Holds by how many seconds all services' clocks are ahead; not there unless somebody moves them."""
        return self.directory / "clock-shift"

    def move_clocks(self, ahead: timedelta) -> None:
        """Have all services' clocks ahead by so much; they look at any moment, and never find half a number."""
        new = self.clock_shift_file.with_suffix(".new")
        new.write_text(str(ahead.total_seconds()))
        new.replace(self.clock_shift_file)

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
        given = self._one_for_each_service("databases", "DATABASE_URL")
        return given and {service: _for_asyncpg(url) for service, url in given.items()}

    @property
    def external_services(self) -> dict[str, str] | None:
        """Where the services are reached, if they run outside; whoever runs them has provided for them too."""
        given = self._one_for_each_service("services", "URL")
        if given and not (self.external_kafka and self.databases_are_outside):
            raise UserError("services outside have engines outside: set KAFKA_BOOTSTRAP_SERVERS and databases too")
        return given

    def _one_for_each_service(self, what: str, ending: str) -> dict[str, str] | None:
        names = {service: f"{service.upper()}_{ending}" for service in SERVICES}
        given = {service: self.environ[name] for service, name in names.items() if name in self.environ}
        if given and (missing := [name for service, name in names.items() if service not in given]):
            raise UserError(f"{what} outside need one address a service; not set: {', '.join(missing)}")
        return given or None

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
            privacy_mailbox=self.environ.get("PRIVACY_MAILBOX_ADDRESS") or f"{HOST}:{self.ports[MAIL_DOOR]}",
            services=self.external_services
            or {process: f"http://{HOST}:{self.ports[process]}" for process in self.processes},
        )

    @property
    def kafka(self) -> Kafka:
        """How operations reach Kafka, and by which name."""
        named = {
            "protocol": self._one_of("KAFKA_SECURITY_PROTOCOL", get_args(Protocol)),
            "mechanism": self._one_of("KAFKA_SASL_MECHANISM", get_args(Mechanism)),
            "username": self.environ.get("KAFKA_USERNAME"),
            "password": self.environ.get("KAFKA_PASSWORD"),
            "ca_file": self.environ.get("KAFKA_CA_FILE"),
        }
        if self.makes_kafka_users:
            named["password"] = self.vault.secret(kafka_password(self.environ["KAFKA_USERNAME"]))
        given: dict[str, Any] = {name: value for name, value in named.items() if value}
        return Kafka(self.external_kafka or self.addresses.kafka, **given)

    def _one_of(self, name: str, words: Sequence[str]) -> str | None:
        given = self.environ.get(name)
        if given not in (None, *words):
            raise UserError(f"{name} is {given}: it is one of {', '.join(words)}")
        return given

    @property
    def makes_kafka_users(self) -> bool:
        """Whether Kafka's users are made here: told the name of its superuser, and no password."""
        return "KAFKA_USERNAME" in self.environ and "KAFKA_PASSWORD" not in self.environ

    @property
    def external_postgres(self) -> str | None:
        """Where a PostgreSQL outside is, whose superuser has the password of the vault."""
        return self.environ.get("POSTGRES_ADDRESS")

    @property
    def databases_are_outside(self) -> bool:
        return bool(self.external_databases or self.external_postgres)

    @property
    def database_urls(self) -> dict[str, str]:
        return self.external_databases or {
            service: self._database_url(service, database=service) for service in SERVICES
        }

    @property
    def admin_url(self) -> str | None:
        """The superuser's way into a PostgreSQL outside, if databases are to be made there."""
        return self._database_url("postgres", database="postgres") if self.external_postgres else None

    def _database_url(self, role: str, database: str) -> str:
        address = self.external_postgres or f"{HOST}:{self.ports['postgres']}"
        return f"postgresql+asyncpg://{role}:{self.vault.secret(database_password(role))}@{address}/{database}"

    @property
    def internal_token(self) -> str:
        """What opens the services' internal door."""
        return self.vault.secret("internal-token")

    @property
    def metrics_token(self) -> str:
        """What opens the services' metrics, and nothing else."""
        return self.vault.secret("metrics-token")

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
            "METRICS_TOKEN": self.metrics_token,
            "ACCESS_TOKEN_PUBLIC_KEY_FILE": str(self.vault.public_key_file),
            "CLOCK_SHIFT_FILE": str(self.clock_shift_file),
        }
        if service == "account":
            environment["ACCESS_TOKEN_PRIVATE_KEY_FILE"] = str(self.vault.private_key_file)
            environment["SECOND_FACTOR_KEYS_FILE"] = str(self.vault.second_factor_keys_file)
            environment["SENDER_KEY_FILE"] = str(self.vault.sender_key_file)
        if service == "requests":
            environment["PACKAGE_KEYS_FILE"] = str(self.vault.package_keys_file)
            environment["STAFF_KEY_SET_FILE"] = str(self.vault.staff_key_set_file)
        if process == "requests":
            environment["MAIL_PORT"] = str(self.ports[MAIL_DOOR])
        if service == "notifier":
            host, _, port = self.addresses.smtp.rpartition(":")
            environment |= {"SMTP_HOST": host, "SMTP_PORT": port}
            environment.setdefault("MAIL_FROM", DEFAULT_SENDER)
        return environment | self._shown_to_kafka(service)

    def exporter_environment(self) -> dict[str, str]:
        """Say what the exporter is told: how Kafka is reached, and nothing else."""
        reached = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka.servers, "KAFKA_SECURITY_PROTOCOL": self.kafka.protocol}
        return reached | self._shown_to_kafka(EXPORTER)

    def _shown_to_kafka(self, user: str) -> dict[str, str]:
        """Say who somebody is for Kafka: a user of its own where these are made here, else whoever was given."""
        if not self.makes_kafka_users:
            return {name: value for name, value in self.environ.items() if name in SHOWN_TO_KAFKA}
        password = self.vault.secret(kafka_password(user))
        return {"KAFKA_USERNAME": user, "KAFKA_PASSWORD": password, "KAFKA_SASL_MECHANISM": USERS_MECHANISM}

    def hand_out(self, directory: Path) -> None:
        """Give everybody its own secrets, in a directory of its name: settings as files, and the files they name."""
        for service in SERVICES:
            for name, value in self.service_environment(service).items():
                if name in SECRET_SETTINGS:
                    write_secret(directory / service / name.lower(), value.encode())
                elif name.endswith(SECRET_FILES):
                    write_secret(directory / service / Path(value).name, Path(value).read_bytes())
        # Engines run as users of their own: what keeps these from others is whom the directory is given to.
        for engine, name in SUPERUSERS.items():
            password = directory / engine / "password"
            write_secret(password, self.vault.secret(name).encode())
            password.chmod(0o444)
        if os.access(directory / EXPORTER, os.W_OK):  # only where it is watched
            for name, value in self.exporter_environment().items():
                write_secret(directory / EXPORTER / name.lower(), value.encode())
        if os.access(directory / "prometheus", os.W_OK):
            token = directory / "prometheus" / "metrics-token"
            write_secret(token, self.metrics_token.encode())
            token.chmod(0o444)

    def claim(self) -> None:
        """Write down that this process runs the system; UserError if another one does."""
        if other := self._running():
            raise UserError(f"Adieu is already running in {self.directory} (process {other['process']['pid']})")
        facts = {"process": vars(Identity.of(os.getpid())), "addresses": asdict(self.addresses)}
        write_secret(self._run_file, json.dumps(facts).encode())

    def release(self) -> None:
        self._run_file.unlink(missing_ok=True)

    def find_running(self) -> Addresses:
        """Where the running system is reached; UserError if none runs."""
        if self.external_services:
            return self.addresses
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


def service_of(process: str) -> str:
    """Name the service that a process is of."""
    return process.partition("-")[0]


def database_password(role: str) -> str:
    """Name the secret of a role in PostgreSQL."""
    return f"database-password-{role}"


def kafka_password(user: str) -> str:
    """Name the secret of a user of Kafka."""
    return f"kafka-password-{user}"


def _for_asyncpg(url: str) -> str:
    """Accept an address as PostgreSQL's own tools write it."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
