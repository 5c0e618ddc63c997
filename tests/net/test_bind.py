"""Listeners of all kinds, and the path of the admin socket."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from compartmentd.configuration.settings import ServerSettings
from compartmentd.daemon.listeners import bind_admin
from compartmentd.errors import SocketInUse, UsageError
from compartmentd.net.admin_socket import (
    find_admin_socket_path,
    find_temporary_directory,
    prepare_private,
    require_private,
)
from compartmentd.net.bind import (
    _describe_peer,
    bind,
    bind_unix,
    identify_socket_file,
    is_loopback,
    remove_socket_file,
    take_passed_sockets,
)
from compartmentd.util.listen_address import ListenAddress, SystemdAddress, TcpAddress, UnixAddress

# --- the path of the admin socket ---------------------------------------------------------------------------

DECLARED = (TcpAddress("127.0.0.1", 8001), UnixAddress("/run/a.sock"), UnixAddress("/run/b.sock"))
SYSTEMD = {"RUNTIME_DIRECTORY": "/run/compartmentd", "XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("admin", "environ", "path"),
    [
        (DECLARED, SYSTEMD, "/run/a.sock"),
        ((TcpAddress("127.0.0.1", 8001), SystemdAddress("admin")), SYSTEMD, "/run/compartmentd/admin.sock"),
        ((), {"RUNTIME_DIRECTORY": "/run/one:/run/two"}, "/run/one/admin.sock"),
        ((), {"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/compartmentd-7/admin.sock"),
        ((), {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": ""}, "/temp/compartmentd-7/admin.sock"),
        ((), {}, "/temp/compartmentd-7/admin.sock"),
    ],
)
def test_the_admin_socket_path(admin: tuple[ListenAddress, ...], environ: dict[str, str], path: str) -> None:
    assert find_admin_socket_path(admin, environ, 7, "/temp") == path


def test_no_writable_directory_is_needed_where_the_socket_lies_elsewhere(monkeypatch) -> None:
    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("tempfile.gettempdir", none)
    assert find_temporary_directory() == "/tmp"


def own_path(tmp_path: Path) -> str:
    """Return the socket's path in a directory of our own making."""
    return find_admin_socket_path((), {}, os.getuid(), str(tmp_path))


def test_the_directory_of_our_own_making_is_private(tmp_path: Path) -> None:
    path = own_path(tmp_path)
    prepare_private(path, os.getuid())
    prepare_private(path, os.getuid())
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    path = own_path(tmp_path)
    Path(path).parent.mkdir()
    Path(path).parent.chmod(0o750)
    for refusing in (prepare_private, require_private):
        with pytest.raises(UsageError, match="mode 0700"):
            refusing(path, os.getuid())


def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "compartmentd-4711" / "admin.sock")
    Path(path).parent.mkdir(0o700)
    with pytest.raises(UsageError, match="belongs to the user with id 4711"):
        require_private(path, 4711)


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    path = own_path(tmp_path)
    (tmp_path / "elsewhere").mkdir(0o700)
    Path(path).parent.symlink_to(tmp_path / "elsewhere")
    for refusing in (prepare_private, require_private):
        with pytest.raises(UsageError, match="must be a directory"):
            refusing(path, os.getuid())


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot make the directory"):
        prepare_private(own_path(tmp_path / "nowhere"), os.getuid())


def test_the_directory_of_a_declared_path_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    prepare_private(str(tmp_path / "admin.sock"), os.getuid())
    require_private(str(tmp_path / "admin.sock"), os.getuid())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


def test_a_missing_directory_is_accepted(tmp_path: Path) -> None:
    require_private(own_path(tmp_path), os.getuid())


# --- unix ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_unix_socket_has_mode_0660_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a.sock"
    before = os.umask(umask)
    try:
        with bind_unix(str(path)) as sock:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert not sock.getblocking()
    finally:
        os.umask(before)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    bind_unix(path).close()
    with bind_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    comm = Path("/proc/self/comm").read_text().strip()
    with bind_unix(path), pytest.raises(UsageError) as raised:
        bind_unix(path)
    assert str(raised.value) == (
        f"cannot listen on `unix:{path}`: another process listens there, {os.getpid()} (`{comm}`)"
    )
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(path)


def test_a_holder_that_cannot_be_seen_is_told_by_its_user() -> None:
    class OfAnotherNamespace(socket.socket):
        def getsockopt(self, *_: Any) -> Any:  # unix(7): a process that is not in ours has the number 0
            return struct.pack("iII", 0, 4711, 4711)

    with OfAnotherNamespace() as sock:
        assert _describe_peer(sock) == "of the user with id 4711"


def test_a_second_daemon_of_a_user_is_told_what_to_declare(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    directory = tmp_path / f"compartmentd-{os.getuid()}"
    (first,) = bind_admin(ServerSettings(), {}, environ)
    with first, pytest.raises(UsageError) as raised:
        bind_admin(ServerSettings(), {}, environ)
    told = str(raised.value)
    assert told.startswith(f"cannot listen on `unix:{directory}/admin.sock`: another process listens there, ")
    example = re.search(r": `(server: .*)`$", told)
    assert example is not None
    (declared,) = yaml.safe_load(example[1])["server"]["admin"]
    assert declared == f"unix:{directory}/second.sock"
    settings = ServerSettings(admin=(UnixAddress(declared.removeprefix("unix:")),))
    for _ in range(2):  # what is declared may be held, too; then there is nothing to advise
        with bind_admin(settings, {}, environ)[0], pytest.raises(UsageError, match=r"\(`[^`]+`\)$"):
            bind_admin(settings, {}, environ)


def test_the_advice_for_a_second_daemon_keeps_the_addresses_that_are_declared(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    settings = ServerSettings(admin=(TcpAddress("127.0.0.1", 8101), TcpAddress("::1", 8101)))
    (first,) = bind_admin(ServerSettings(), {}, environ)
    with first, pytest.raises(SocketInUse) as raised:
        bind_admin(settings, {}, environ)
    told = str(raised.value)
    assert "`server.admin` names no unix socket, so this one was to be made" in told
    example = re.search(r": `(server: .*)`$", told)
    assert example is not None
    second = f"unix:{tmp_path}/compartmentd-{os.getuid()}/second.sock"
    assert yaml.safe_load(example[1])["server"]["admin"] == [second, "127.0.0.1:8101", "[::1]:8101"]
    assert raised.value.path == f"{tmp_path}/compartmentd-{os.getuid()}/admin.sock"


def test_a_socket_whose_backlog_is_full_is_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen(0)
        for _ in range(3):
            client = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(path)
        with pytest.raises(UsageError, match="another process listens there"):
            bind_unix(path)


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(UsageError, match="the file is no socket"):
        bind_unix(str(path))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/a.sock", "x" * 200])
def test_a_path_that_cannot_be_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on `unix:"):
        bind_unix(str(tmp_path / name))


def test_unlink_removes_the_file_of_a_unix_socket_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bind_unix(str(path)) as sock:
        made = identify_socket_file(sock)
        remove_socket_file(sock, made)
        remove_socket_file(sock, made)
    assert not path.exists()
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unnamed:
        assert identify_socket_file(tcp) is identify_socket_file(unnamed) is None
        remove_socket_file(tcp, None)


def test_unlink_leaves_the_file_of_the_process_that_came_after(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bind_unix(str(path)) as hanging:
        made = identify_socket_file(hanging)
        path.rename(tmp_path / "b.sock")  # so that the inode is not given to the next file
        with bind_unix(str(path)) as after:
            remove_socket_file(hanging, made)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
            remove_socket_file(after, identify_socket_file(after))
    assert not path.exists()


# --- TCP ----------------------------------------------------------------------------------------------------


def bound(address: ListenAddress) -> list[tuple[socket.AddressFamily, str, int]]:
    """Bind, and tell where."""
    sockets = bind(address, {})
    try:
        return [(sock.family, *sock.getsockname()[:2]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def test_an_address_is_bound_as_written() -> None:
    assert [where[:2] for where in bound(TcpAddress("127.0.0.1", 0))] == [(socket.AF_INET, "127.0.0.1")]
    assert [where[:2] for where in bound(TcpAddress("::1", 0))] == [(socket.AF_INET6, "::1")]


def test_all_interfaces_are_both_families_on_one_port() -> None:
    where = bound(TcpAddress("", 0))
    assert {(family, host) for family, host, _ in where} == {
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::"),
    }
    assert len({port for _, _, port in where}) == 1


@pytest.mark.parametrize(("taken", "refused"), [(3, False), (100, True)])
def test_a_chosen_port_that_is_taken_in_the_other_family_is_chosen_again(
    monkeypatch: pytest.MonkeyPatch, taken: int, refused: bool
) -> None:
    create_server, made = socket.create_server, []

    def busy(address: Any, *, family: socket.AddressFamily, **more: Any) -> socket.socket:
        made.append(family)
        if made.count(socket.AF_INET6) <= taken and family == socket.AF_INET6:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return create_server(address, family=family, **more)

    monkeypatch.setattr(socket, "create_server", busy)
    if refused:
        with pytest.raises(UsageError, match="Address already in use"):
            bound(TcpAddress("", 0))
    else:
        assert len(bound(TcpAddress("", 0))) == 2


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_port_in_use_is_told_with_its_address(host: str, shown: str) -> None:
    first = bind(TcpAddress(host, 0), {})
    port = first[0].getsockname()[1]
    with first[0], pytest.raises(UsageError) as raised:
        bind(TcpAddress(host, port), {})
    assert str(raised.value) == (
        f"cannot listen on `{shown}:{port}`: Address already in use, by process {os.getpid()} "
        f"(`{Path('/proc/self/comm').read_text().strip()}`): stop it, or write another address"
    )


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(UsageError, match=re.escape("cannot listen on `192.0.2.1:0`")):
        bind(TcpAddress("192.0.2.1", 0), {})


# --- systemd ------------------------------------------------------------------------------------------------


class Handed:
    """Descriptors in a row, as systemd hands them over; numbers above all that are in use stand for 3, 4, …"""

    def __init__(self, *sockets: socket.socket) -> None:
        self.first = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 1
        for index, sock in enumerate(sockets):
            os.dup2(sock.fileno(), self.first + index, inheritable=True)


@pytest.fixture
def handed() -> Handed:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return Handed(one, two, one)


def closing(passed: dict[str, tuple[socket.socket, ...]]) -> dict[str, int]:
    """Close what was passed, and tell how many of each name."""
    for group in passed.values():
        for sock in group:
            sock.close()
    return {name: len(sockets) for name, sockets in passed.items()}


def test_passed_sockets_are_taken_by_name(handed: Handed) -> None:
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "http:admin:http", "OTHER": "x"}
    passed = dict(take_passed_sockets(environ, 7, handed.first))
    for sock in [*passed["http"], *passed["admin"]]:
        assert (sock.family, sock.getblocking(), sock.get_inheritable()) == (socket.AF_INET, False, False)
    assert bind(SystemdAddress("http"), passed) == list(passed["http"])
    assert closing(passed) == {"http": 2, "admin": 1}
    assert environ == {"OTHER": "x"}


@pytest.mark.parametrize("names", [{}, {"LISTEN_FDNAMES": ""}, {"LISTEN_FDNAMES": "::"}])
def test_sockets_without_a_name_are_unknown(handed: Handed, names: dict[str, str]) -> None:
    passed = take_passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "3", **names}, 7, handed.first)
    assert closing(dict(passed)) == {"unknown": 3}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "8", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "7"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "x"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
    ],
)
def test_nothing_is_taken_that_is_meant_for_another_process(environ: dict[str, str]) -> None:
    assert take_passed_sockets(environ, 7) == {}
    assert environ == {}


def test_a_name_that_was_not_passed_is_told_with_those_that_were() -> None:
    with pytest.raises(UsageError, match=r"no socket named `http` \(passed: none\)"):
        bind(SystemdAddress("http"), {})
    with socket.socket() as sock, pytest.raises(UsageError, match=r"\(passed: `admin`\)"):
        bind(SystemdAddress("http"), {"admin": (sock,)})


# --- loopback -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        (TcpAddress("127.0.0.1", 0), True),
        (TcpAddress("127.9.9.9", 0), True),
        (TcpAddress("::1", 0), True),
        (TcpAddress("localhost", 0), True),
        (UnixAddress("/run/a.sock"), True),
        (TcpAddress("", 0), False),
        (TcpAddress("0.0.0.0", 0), False),
        (TcpAddress("::", 0), False),
        (TcpAddress("10.0.0.1", 0), False),
        (TcpAddress("localhost.example.com", 0), False),
    ],
)
def test_what_only_this_machine_can_reach(address: ListenAddress, loopback: bool) -> None:
    assert is_loopback(address, {}) is loopback


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_passed_socket_is_asked_where_it_is(host: str, loopback: bool) -> None:
    with socket.create_server((host, 0)) as sock:
        assert is_loopback(SystemdAddress("http"), {"http": (sock,)}) is loopback
