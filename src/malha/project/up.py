"""`./malha up`: from nothing to a town on the screen."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import time
from collections.abc import Callable

from rich.console import Console

from malha.foundation.database import copies
from malha.foundation.database.contracts import DatabaseError
from malha.foundation.language.service import explain, of_terminal, say
from malha.foundation.settings import service as settings
from malha.foundation.settings.contracts import Settings
from malha.kernel.errors import Misconfigured
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.project import supervisor

LOOK_EVERY_SECONDS = 0.5
DATABASE_EVERY_SECONDS = 3.0
#: with less room than a segment of its log needs the server cannot start
FULL_BYTES = 64 * 2**20


def run(*, demo: bool) -> None:
    """Start database, one port and worker; print where to look; stop all on Ctrl-C or SIGTERM."""
    console = Console(soft_wrap=True, highlight=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with console.status(say(msg("A arrancar a base de dados…"))), supervisor.running_database() as keep_database:
        conf = _on_a_free_port(console)  # once nobody else runs on this data: a second start is refused, and says nothing else
        processes = supervisor.Processes(conf.data / "log")
        try:
            _start_web(processes, conf)
            _without_jobs()
            _bring_up_to_date(console, conf)
            check_settings()
            if demo:
                _make_demo(console, conf)
            _start(processes, conf)
            supervisor.serves_at(conf.port)
            _announce(console, conf)
            _watch(console, processes, keep_database)
        except KeyboardInterrupt:
            console.print(say(msg("A parar…")))
        finally:
            supervisor.serves_at(None)
            processes.stop()


def _without_jobs() -> None:
    """Leave the jobs of the rooms unread in this process, which runs none: with all that they import they take two seconds of a start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    from django.conf import settings as django_settings

    django_settings.PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs_of_workers_only"


def _on_a_free_port(console: Console) -> Settings:
    conf = settings.current()
    port = supervisor.free_port(conf.host, conf.port)
    if port != conf.port:
        console.print(say(msg("A porta {taken} está ocupada; uso a {port}."), taken=conf.port, port=port))
        os.environ["MALHA_PORT"] = str(port)
        settings.current.cache_clear()
    return settings.current()


def _bring_up_to_date(console: Console, conf: Settings) -> None:
    """Migrate; data of an older version is copied first, and the way back is said."""
    if supervisor.older_data():
        place = copies.copy(conf.data / "copies", now())
        console.print(say(msg("Dados de uma versão anterior: cópia feita em {place}."), place=place))
        console.print(say(msg("Para voltar atrás: instale a versão anterior e corra `./malha database restore {place}`."), place=place))
    supervisor.migrate()


def check_settings() -> None:
    """Refuse to serve with settings that would harm. Raises Misconfigured with what to change."""
    from django.core import checks

    # those about safety: the rest say whether our own code fits together, which tests do
    serious = [issue for issue in checks.run_checks(tags=[checks.Tags.security]) if issue.is_serious()]
    if serious:
        raise Misconfigured("\n".join(f"{issue.id}: {issue.obj or ''} {issue.msg} {issue.hint or ''}".strip() for issue in serious))


def _make_demo(console: Console, conf: Settings) -> None:
    """The fictitious town, on first start and never beyond this computer."""
    from malha.foundation.mail.rules import beyond_loopback
    from malha.packs.demo_town import service as town
    from malha.project import demonstration

    if town.exists() or beyond_loopback(conf):
        return
    console.print(say(msg("A fazer a vila de demonstração (fictícia): um ano de dados, só desta vez…")))
    made = demonstration.make_apart()
    console.print(say(msg("Vila de Malha pronta, com {count} observações. Para a tirar: ./malha demo remove"), count=made["observations"]))


def _start_web(processes: supervisor.Processes, conf: Settings) -> None:
    """Let the server read its code while the tables are made; it answers nobody before the gate is opened."""
    importlib.import_module("malha.project.settings")  # makes the installation's key, once, before two processes look for it
    processes.start(
        "web", "uvicorn", "malha.project.oneport:application", "--host", conf.host, "--port", str(conf.port),
        "--timeout-graceful-shutdown", "5", "--log-level", "warning", "--no-server-header", "--http", "malha.project.entrance:Connection",
    )  # fmt: skip


def _start(processes: supervisor.Processes, conf: Settings) -> None:
    """Open the gate, and start what works behind."""
    processes.open_gate()
    processes.start("worker", "malha.project.worker")
    _start_simulator(processes)
    supervisor.wait_until_ready(f"http://{'localhost' if conf.host in {'127.0.0.1', '0.0.0.0'} else conf.host}:{conf.port}", processes)  # noqa: S104 -- compared, not bound


def _start_simulator(processes: supervisor.Processes) -> None:
    """Keep the fictitious town alive, where there is one."""
    from malha.packs.demo_town import service as town

    if town.exists():
        processes.start("simulator", "malha.packs.demo_town.simulator")


def _announce(console: Console, conf: Settings) -> None:
    console.print(say(msg("Malha em {url}  (Ctrl-C para parar)"), url=f"[bold]{conf.public_url or f'http://localhost:{conf.port}'}[/bold]"))
    from malha.foundation.identity import service as identity

    for person in identity.demo_people(None):
        console.print(f"  {person.email}  {person.name}")


def _watch(console: Console, processes: supervisor.Processes, keep_database: Callable[[], None]) -> None:
    """Until Ctrl-C: start again what ends on its own."""
    looked, told = time.monotonic(), ""
    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        for name in processes.check(give_up=not told):
            console.print(say(msg("O processo {name} tinha parado; arrancou outra vez."), name=name))
        if time.monotonic() - looked > DATABASE_EVERY_SECONDS:
            told = _kept(console, keep_database, told)
            looked = time.monotonic()


def _kept(console: Console, keep_database: Callable[[], None], told: str) -> str:
    """Start the database again if it ended. Why it cannot be started, said once: on a full disk it can when there is room again."""
    try:
        keep_database()
    except (DatabaseError, OSError) as reason:
        full = shutil.disk_usage(settings.current().data).free < FULL_BYTES
        sentence = say(msg("O disco está cheio e a base de dados parou. O que estava guardado está inteiro; liberte espaço e a Malha continua sozinha."))
        said = sentence if full else explain(reason, of_terminal()) if isinstance(reason, DatabaseError) else str(reason)
        if said != told:
            console.print(said)
        return said
    if told:
        console.print(say(msg("A base de dados voltou.")))
    return ""
