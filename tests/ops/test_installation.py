"""An installation keeps its secrets and ports, hands each service only its own, and takes engines from outside."""

from __future__ import annotations

import os
import socket
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from ops.errors import UserError
from ops.installation import SERVICES, Installation
from shared.clock import clock_told_by
from shared.staff import read_key_set, read_staff_token

OUTSIDE = {f"{service.upper()}_DATABASE_URL": f"postgresql://u:p@db.example/{service}" for service in SERVICES}


def created(directory: Path, environ: dict[str, str] | None = None) -> Installation:
    installation = Installation(directory, environ or {})
    installation.create()
    return installation


def test_secrets_are_the_same_at_every_start_and_readable_by_nobody_else(tmp_path: Path) -> None:
    first, second = created(tmp_path / "a"), created(tmp_path / "a")
    assert first.internal_token == second.internal_token
    assert first.internal_token != created(tmp_path / "b").internal_token
    private = [path for path in (tmp_path / "a" / "secrets").iterdir() if "public" not in path.name]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_the_two_halves_of_the_key_for_access_tokens_belong_together(tmp_path: Path) -> None:
    environment = created(tmp_path).service_environment("account")
    private = load_pem_private_key(Path(environment["ACCESS_TOKEN_PRIVATE_KEY_FILE"]).read_bytes(), None)
    public = load_pem_public_key(Path(environment["ACCESS_TOKEN_PUBLIC_KEY_FILE"]).read_bytes())
    assert isinstance(private, Ed25519PrivateKey)
    assert isinstance(public, Ed25519PublicKey)
    public.verify(private.sign(b"words"), b"words")


def test_only_account_gets_the_private_key_and_nobody_anothers_database(tmp_path: Path) -> None:
    installation = created(tmp_path, OUTSIDE | {"COOLING_OFF_DAYS": "7"})
    environments = {service: installation.service_environment(service) for service in SERVICES}
    assert [s for s, env in environments.items() if "ACCESS_TOKEN_PRIVATE_KEY_FILE" in env] == ["account"]
    for service, environment in environments.items():
        assert environment["DATABASE_URL"] == f"postgresql+asyncpg://u:p@db.example/{service}"
        assert not OUTSIDE.keys() & environment.keys()
        assert environment["COOLING_OFF_DAYS"] == "7"


def test_requests_knows_whoever_a_token_of_staff_is_printed_for_also_when_the_clocks_are_moved(
    tmp_path: Path,
) -> None:
    installation = created(tmp_path)
    keys = read_key_set(Path(installation.service_environment("requests")["STAFF_KEY_SET_FILE"]))
    clock = clock_told_by(Path(installation.service_environment("requests")["CLOCK_SHIFT_FILE"]))
    for days in (0, 30):
        installation.move_clocks(timedelta(days=days))
        staff = read_staff_token(keys, installation.staff_token("s-1"), clock())
        assert staff is not None
        assert (staff.id, staff.roles) == ("s-1", frozenset({"privacy"}))


def test_ports_are_kept_unless_somebody_took_one_meanwhile(tmp_path: Path) -> None:
    before = created(tmp_path).ports
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", before["account"]))
        somebody.listen()
        after = created(tmp_path).ports
    assert {name for name in before if before[name] != after[name]} == {"account"}
    assert len(set(after.values())) == len(after)


def test_all_databases_are_outside_or_none(tmp_path: Path) -> None:
    assert created(tmp_path).external_databases is None
    some = {name: url for name, url in OUTSIDE.items() if "DEVICE" not in name}
    with pytest.raises(UserError, match="DEVICE_DATABASE_URL"):
        _ = created(tmp_path, some).external_databases


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    assert created(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": ""}).external_kafka is None


def test_a_mail_server_outside_needs_host_and_port(tmp_path: Path) -> None:
    outside = created(tmp_path, {"SMTP_HOST": "mail.example", "SMTP_PORT": "25"})
    assert outside.addresses.smtp == "mail.example:25"
    assert outside.service_environment("notifier")["SMTP_HOST"] == "mail.example"
    with pytest.raises(UserError, match="SMTP_PORT"):
        _ = created(tmp_path, {"SMTP_HOST": "mail.example"}).external_smtp


def test_other_commands_find_the_system_while_it_runs_and_only_then(tmp_path: Path) -> None:
    installation = created(tmp_path)
    installation.claim()
    assert Installation(tmp_path, {}).find_running() == installation.addresses
    installation.release()
    with pytest.raises(UserError, match="not running"):
        Installation(tmp_path, {}).find_running()


def test_a_system_is_not_run_twice_in_one_directory(tmp_path: Path) -> None:
    created(tmp_path).claim()
    with pytest.raises(UserError, match=f"already running.*{os.getpid()}"):
        created(tmp_path).claim()


def test_what_a_killed_system_left_behind_is_no_running_system(tmp_path: Path) -> None:
    installation = created(tmp_path)
    installation.claim()
    run = tmp_path / "run.json"
    # The number was given to a process that started later.
    run.write_text(run.read_text().replace('"created": ', '"created": 1'))
    with pytest.raises(UserError, match="not running"):
        installation.find_running()
    installation.claim()


def test_a_replica_shares_all_of_its_service_but_port_and_name(tmp_path: Path) -> None:
    installation = Installation(tmp_path, {}, [*SERVICES, "device-2"])
    installation.create()
    first, second = (installation.service_environment(process) for process in ("device", "device-2"))

    assert {name for name in first if first[name] != second[name]} == {"REPLICA", "HTTP_PORT"}
    assert installation.command("device-2") == installation.command("device")
    assert set(installation.addresses.services) == {*SERVICES, "device-2"}


ELSEWHERE = {f"{service.upper()}_URL": f"http://{service}.example:8000" for service in SERVICES}
ENGINES = {"KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092", "POSTGRES_ADDRESS": "db.example:5432"}


def test_services_that_run_elsewhere_are_found_and_none_is_run_here(tmp_path: Path) -> None:
    installation = created(tmp_path, ELSEWHERE | ENGINES)

    assert installation.processes == ()
    assert installation.find_running().services["device"] == "http://device.example:8000"
    assert installation.find_running().kafka == "kafka.example:9092"


@pytest.mark.parametrize("missing", ["DEVICE_URL", "KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_ADDRESS"])
def test_services_that_run_elsewhere_are_all_there_with_their_engines(tmp_path: Path, missing: str) -> None:
    with pytest.raises(UserError, match="DEVICE_URL" if "DEVICE" in missing else "KAFKA_BOOTSTRAP_SERVERS"):
        Installation(tmp_path, {name: value for name, value in (ELSEWHERE | ENGINES).items() if name != missing})


def test_roles_and_databases_are_made_in_a_postgresql_outside_by_its_superuser(tmp_path: Path) -> None:
    installation = created(tmp_path, ENGINES)
    assert installation.admin_url == (
        f"postgresql+asyncpg://postgres:{installation.vault.secret('database-password-postgres')}"
        "@db.example:5432/postgres"
    )
    assert installation.database_urls["device"].endswith("@db.example:5432/device")
    assert created(tmp_path, OUTSIDE).admin_url is None


def test_everybody_is_handed_its_own_secrets(tmp_path: Path) -> None:
    installation = created(
        tmp_path / "a", ENGINES | {"KAFKA_USERNAME": "admin", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    )
    for name in (*SERVICES, "kafka", "postgres"):
        (tmp_path / name).mkdir()

    installation.hand_out(tmp_path)

    handed = {
        service: {path.name: path.read_text() for path in (tmp_path / service).iterdir()} for service in SERVICES
    }
    assert [service for service in SERVICES if "access-token-private.pem" in handed[service]] == ["account"]
    assert {service: files["kafka_username"] for service, files in handed.items()} == {s: s for s in SERVICES}
    assert handed["device"]["database_url"] == installation.database_urls["device"]
    assert len({files["kafka_password"] for files in handed.values()}) == len(SERVICES)
    assert installation.kafka.password == (tmp_path / "kafka" / "password").read_text()


def test_a_password_that_is_given_is_everybodys_and_no_users_are_made(tmp_path: Path) -> None:
    installation = created(tmp_path, ENGINES | {"KAFKA_USERNAME": "cloud", "KAFKA_PASSWORD": "of the cloud"})

    assert not installation.makes_kafka_users
    assert (
        installation.kafka.password == installation.service_environment("device")["KAFKA_PASSWORD"] == "of the cloud"
    )


def test_prometheus_is_handed_what_opens_metrics_and_nothing_else_where_it_is_watched(tmp_path: Path) -> None:
    installation = created(tmp_path, ENGINES)
    for name in (*SERVICES, "kafka", "postgres", "prometheus"):
        (tmp_path / name).mkdir()

    installation.hand_out(tmp_path)

    (token,) = (tmp_path / "prometheus").iterdir()
    assert token.read_text() == (tmp_path / "device" / "metrics_token").read_text()
    assert token.read_text() != installation.internal_token


@pytest.mark.parametrize(
    ("told", "handed"),
    [
        ({}, {"kafka_security_protocol": "PLAINTEXT"}),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_USERNAME": "admin", "KAFKA_SASL_MECHANISM": "PLAIN"},
            {
                "kafka_security_protocol": "SASL_PLAINTEXT",
                "kafka_username": "exporter",
                "kafka_sasl_mechanism": "SCRAM-SHA-512",
            },
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_USERNAME": "cloud", "KAFKA_PASSWORD": "of the cloud"},
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_username": "cloud",
                "kafka_password": "of the cloud",
            },
        ),
    ],
    ids=["anybody", "users made here", "a user given"],
)
def test_the_exporter_is_handed_how_kafka_is_reached_and_nothing_else_where_it_is_watched(
    tmp_path: Path, told: dict[str, str], handed: dict[str, str]
) -> None:
    installation = created(tmp_path, ENGINES | told)
    for name in (*SERVICES, "kafka", "postgres", "exporter"):
        (tmp_path / name).mkdir()

    installation.hand_out(tmp_path)

    given = {path.name: path.read_text() for path in (tmp_path / "exporter").iterdir()}
    if installation.makes_kafka_users:
        assert given.pop("kafka_password") == installation.vault.secret("kafka-password-exporter")
    assert given == handed | {"kafka_bootstrap_servers": ENGINES["KAFKA_BOOTSTRAP_SERVERS"]}


@pytest.mark.parametrize("name", ["KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"])
def test_a_word_that_kafka_does_not_know_is_told_with_those_it_knows(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} is SCRAM: it is one of .*PLAIN"):
        _ = created(tmp_path, ENGINES | {name: "SCRAM"}).kafka
