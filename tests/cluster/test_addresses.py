"""Which schedulers may be talked to: none that others reach without TLS."""

from pathlib import Path

import pytest

from autosched.cluster.addresses import (
    check_certificates,
    check_listening,
    checked_address,
    host_to_listen_at,
    look_for,
)
from autosched.errors import ClusterError


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("tcp://localhost:8786/", "tcp://localhost:8786"),
        ("127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("tcp://[::1]:8786", "tcp://[::1]:8786"),
        ("tls://card7.example.com:8786", "tls://card7.example.com:8786"),
    ],
)
def test_what_stays_here_or_uses_tls_is_taken(written: str, read: str) -> None:
    assert checked_address(written) == read


@pytest.mark.parametrize("address", ["tcp://10.0.0.7:8786", "tcp://card7:8786", "10.0.0.7:8786"])
def test_another_machine_without_tls_is_refused_with_the_ways_out(address: str) -> None:
    with pytest.raises(ClusterError, match="tls://") as raised:
        checked_address(address)
    assert "ssh -L" in str(raised.value)


@pytest.mark.parametrize(
    "address", ["", "tcp://", "tcp://:8786", "tcp://localhost", "ucx://localhost:1", "tcp://a:b"]
)
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(ClusterError, match="is no address of a Dask scheduler"):
        checked_address(address)


def test_a_scheduler_that_listens_to_others_without_tls_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"--host 127\.0\.0\.1"):
        check_listening("tcp://localhost:8786", "tcp://192.0.2.2:8786")
    check_listening("tcp://localhost:8786", "tcp://127.0.0.1:8786")
    check_listening("tls://card7:8786", "tls://192.0.2.2:8786")


def test_a_worker_without_tls_listens_to_this_machine_alone() -> None:
    assert host_to_listen_at("tcp://localhost:8786") == "tcp://127.0.0.1"
    assert host_to_listen_at("tls://card7:8786") is None


def test_nobody_there_is_known_at_once() -> None:
    with pytest.raises(OSError, match="refused"):
        look_for("tcp://127.0.0.1:1")


@pytest.mark.parametrize("role", ["client", "worker"])
def test_tls_without_its_files_is_said_with_what_is_to_be_set(role: str, tmp_path: Path) -> None:
    import dask.config  # noqa: PLC0415 - loads Dask

    check_certificates("tcp://localhost:8786", role)
    with dask.config.set({"distributed.comm.tls": {"ca-file": None}}):
        with pytest.raises(ClusterError, match="DASK_DISTRIBUTED__COMM__TLS__CA_FILE"):
            check_certificates("tls://card7:8786", role)
        file = tmp_path / "ca.pem"
        with dask.config.set({"distributed.comm.tls": {"ca-file": str(file)}}):
            with pytest.raises(ClusterError, match=r"ca\.pem, .* is not there"):
                check_certificates("tls://card7:8786", role)
            file.touch()
            words = f"DASK_DISTRIBUTED__COMM__TLS__{role.upper()}__CERT"
            with pytest.raises(ClusterError, match=words):
                check_certificates("tls://card7:8786", role)
