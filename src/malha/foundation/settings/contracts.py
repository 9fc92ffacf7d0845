"""What can be set, with its default and how its text is read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _folder(text: str) -> Path:
    return Path(text).expanduser().resolve()


def _flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on", "sim"}:
        return True
    if lowered in {"0", "false", "no", "off", "nao", "não", ""}:
        return False
    raise ValueError("use 1 ou 0")


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65536:
        raise ValueError("uma porta vai de 1 a 65535")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("tem de ser maior do que zero")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("zero ou mais")
    return value


def _language(text: str) -> str:
    if text not in {"pt-pt", "en"}:
        raise ValueError("pt-pt ou en")
    return text


def _place(text: str) -> str:
    """A folder, or a bucket of an S3-compatible store."""
    scheme, separator, rest = text.partition("://")
    if separator and (scheme != "s3" or not rest.strip("/")):
        raise ValueError("use uma pasta ou s3://balde/prefixo")
    return text


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _hosts_by_tenant(text: str) -> tuple[str, ...]:
    entries = _list(text)
    if any(not all(part.strip() for part in entry.rpartition("=")[::2]) for entry in entries):
        raise ValueError("município=anfitrião ou município=rede, separados por vírgulas; * vale para todos")
    return entries


def default_data_folder() -> Path:
    """Where data lives unless told: `$XDG_DATA_HOME/malha`, else `~/.local/share/malha`."""
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().resolve() / "malha"


def _setting(parse: Callable[[str], Any], default: Any, purpose: str, *, secret: bool = False) -> Any:
    meta = {"parse": parse, "purpose": purpose, "secret": secret}
    if callable(default):
        return field(default_factory=default, metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator may set; each has a default that is safe on one machine."""

    data: Path = _setting(_folder, default_data_folder, "Pasta de dados: base embutida, lago, ficheiros, segredos")
    database_url: str = _setting(str, "", "Servidor PostgreSQL em vez do embutido, com um utilizador que possa criar papéis e bases", secret=True)
    database_memory_mb: int = _setting(
        _count, 0, "Memória que o PostgreSQL embutido partilha entre as suas ligações, em MB (0: 1/32 da que a máquina ou o contentor tem, entre 128 e 256)"
    )
    lake: str = _setting(_place, "", "Onde fica o histórico: uma pasta ou s3://balde/prefixo (vazio: na pasta de dados)")
    s3_endpoint: str = _setting(str, "", "Endereço do armazenamento S3, se não for o da Amazon: https://servidor[:porta]")
    s3_region: str = _setting(str, "", "Região do armazenamento S3")
    s3_key_id: str = _setting(str, "", "Identificador da chave do armazenamento S3")
    s3_secret: str = _setting(str, "", "Segredo da chave do armazenamento S3", secret=True)
    backup_to: str = _setting(_place, "", "Onde ficam as cópias de segurança: uma pasta ou s3://balde/prefixo (vazio: só quando se pedem)")
    backup_key: str = _setting(str, "", "Palavra que cifra as cópias de segurança (vazio: não se cifram)", secret=True)
    host: str = _setting(str, "127.0.0.1", "Endereço em que escuta; só além do próprio computador se for dito")
    port: int = _setting(_port, 8700, "Porta; se estiver ocupada usa-se a seguinte e diz-se")
    public_url: str = _setting(str, "", "Endereço público (vazio: http://localhost:PORTA)")
    allowed_hosts: tuple[str, ...] = _setting(_list, (), "Nomes de anfitrião aceites além de localhost e do endereço público")
    tenant_requests_per_s: int = _setting(_count, 0, "Pedidos por segundo que cada município pode fazer à API, em cada processo do plano (0: sem limite)")
    tenants_by_write: int = _setting(
        _count, 0, "Municípios que cada ligação com o direito de os criar pode fazer existir à primeira escrita (NGSILD-Tenant; 0: nenhum)"
    )
    slow_ms: int = _setting(_count, 1000, "Milissegundos a partir dos quais um pedido vai para o registo dos lentos, sem valores (0: nenhum)")
    metrics_token: str = _setting(str, "", "Token de quem recolhe /metrics de outra máquina (vazio: só da própria)", secret=True)
    worker_port: int = _setting(_count, 0, "Porta em que o trabalhador diz como está, só na própria máquina (0: em nenhuma)")
    otel_endpoint: str = _setting(str, "", "Endereço OTLP/HTTP para onde vão os rastos OpenTelemetry; pede o extra “otel” (vazio: não se fazem)")
    passkey_domain: str = _setting(str, "", "Domínio das chaves de acesso (vazio: o anfitrião do endereço público)")
    secret_key: str = _setting(str, "", "Segredo das sessões (vazio: gerado na pasta de dados)", secret=True)
    secret_keys_before: tuple[str, ...] = _setting(
        _words, (), "Segredos anteriores, separados por espaços ou linhas: abrem o que ficou guardado com eles, e nada novo", secret=True
    )
    language: str = _setting(_language, "pt-pt", "Língua por omissão: pt-pt ou en")
    debug: bool = _setting(_flag, False, "Páginas de erro de programador; nunca em produção")
    smtp_url: str = _setting(str, "", "smtp[s]://utilizador:senha@servidor:porta; vazio: Correio de demonstração", secret=True)
    mail_from: str = _setting(str, "Malha <nao-responder@localhost>", "Remetente do correio")
    oidc_url: str = _setting(str, "", "Entrada por um fornecedor OpenID Connect: endereço do emissor (vazio: sem botão)")
    oidc_name: str = _setting(str, "Conta da organização", "Nome que o botão desse fornecedor mostra")
    oidc_client_id: str = _setting(str, "", "Identificador da Malha nesse fornecedor")
    oidc_secret: str = _setting(str, "", "Segredo da Malha nesse fornecedor", secret=True)
    basemap_url: str = _setting(str, "", "Estilo MapLibre de um mapa de base (vazio: só camadas próprias)")
    samples: Path | None = _setting(_folder, None, "Pasta de exemplos reais para testes e verificação")
    fetch_private: bool = _setting(_flag, False, "Permitir ligações a endereços privados (ensaios)")
    internal_hosts: tuple[str, ...] = _setting(
        _hosts_by_tenant, (), "Anfitriões ou redes internos a que se pode notificar, por município: vila=10.1.0.0/16,*=broker.local"
    )
    worker_concurrency: int = _setting(_positive, 4, "Trabalhos em paralelo")
    duckdb_memory_mb: int = _setting(_positive, 256, "Memória do DuckDB por processo, em MB")
    engine: str = _setting(str, "duckdb", "Motor do histórico: duckdb, ou sc://servidor:porto de um Spark Connect")
    duckdb_threads: int = _setting(_positive, 2, "Linhas de execução do DuckDB por processo")
    operator_name: str = _setting(str, "ARTE", "Nome do operador do programa")
    operator_url: str = _setting(str, "https://territoriosinteligentes.gov.pt", "Endereço do operador do programa")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """How one setting is read and explained."""

    name: str
    parse: Callable[[str], Any]
    purpose: str
    secret: bool


FIELDS: dict[str, FieldSpec] = {
    f.name: FieldSpec(f.name, f.metadata["parse"], f.metadata["purpose"], f.metadata["secret"]) for f in dataclasses.fields(Settings)
}
