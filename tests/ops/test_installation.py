"""An installation keeps its secrets and ports, hands each service only its own, and takes engines from outside."""

from __future__ import annotations

import os
import socket
import stat
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
    for seconds in (0, 86_400 * 30):
        installation.clock_shift_file.write_text(str(seconds))
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
