"""How to reach the data from each tool: steps, drawings and limits as data. Pure words; the page fills in addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

from malha.kernel.text import msg

#: how far a recipe was tried (shown beside it)
RUN = "run"
REPLAYED = "replayed"
WRITTEN = "written"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. The drawing is a window: its title, (label, value) pairs, the button to press. `{…}` are filled in by the page."""

    text: str
    window: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    button: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: what it is reached by, steps, limits in words, how far this recipe was tried."""

    code: str
    name: str
    by: str
    tried: str
    steps: tuple[Step, ...]
    limits: tuple[str, ...] = ()
    download: str = ""
    tried_with: str = ""
    needs_key: bool = field(default=True)


_BASIC = (("Utilizador", "malha"), ("Palavra-passe", "{key}"))

TOOLS = (
    Tool(
        "powerbi", "Power BI", "OData v4", REPLAYED,
        (
            Step(msg("Crie a chave em baixo e copie-a."), "Malha", (("Power BI", "{key}"),), msg("Copiar chave")),
            Step(msg("Descarregue “Abrir no Power BI” e abra o ficheiro: o Power BI Desktop arranca já ligado."), "malha.pbids", (("odata", "{odata}"),), msg("Abrir")),
            Step(msg("Quando ele perguntar como entrar, escolha “Basic”, escreva qualquer utilizador e cole a chave como palavra-passe."), "OData Feed", _BASIC, msg("Ligar")),
            Step(msg("Escolha as tabelas e carregue. Filtros, colunas e ordem que puser antes de carregar são feitos aqui, e só vem o que pediu."), "Navigator", (("☑", "AirQualityObserved"), ("☐", "AirQualityObserved_hourly")), msg("Carregar")),
        ),
        (
            msg("Agrupar não é pedido ao servidor pelo Power BI: use as tabelas “por hora” e “por dia”, que já vêm somadas."),
            msg("Para atualizar na nuvem com a chave é preciso o gateway de dados da Microsoft, porque a entrada é “Basic”."),
        ), "pbids",
    ),
    Tool(
        "excel", "Excel", "OData v4", REPLAYED,
        (
            Step(msg("Crie a chave em baixo e copie-a."), "Malha", (("Excel", "{key}"),), msg("Copiar chave")),
            Step(msg("No Excel: Dados › Obter Dados › De Outras Origens › Do Feed OData, e cole o endereço."), "Feed OData", (("URL", "{odata}"),), "OK"),
            Step(msg("Escolha “Básico”, qualquer utilizador, e a chave como palavra-passe."), "Feed OData", _BASIC, msg("Ligar")),
            Step(msg("Em “Transformar Dados” escolha o período e as colunas antes de carregar."), "Power Query", (("start", "≥ 2026-01-01"),), msg("Fechar e carregar")),
        ),
        (msg("O Excel pára em 1 048 576 linhas, escolha um período: as tabelas “valor a valor” passam daí depressa; as “por dia” quase nunca."),),
    ),
    Tool(
        "tableau", "Tableau", "OData v4", REPLAYED,
        (
            Step(msg("Crie a chave em baixo e copie-a."), "Malha", (("Tableau", "{key}"),), msg("Copiar chave")),
            Step(msg("Em Ligar › A um servidor › OData, cole o endereço de uma tabela."), "OData", (("Servidor", "{odata}/AirQualityObserved"),), ""),
            Step(msg("Escolha “Nome de utilizador e palavra-passe”: qualquer utilizador, e a chave."), "OData", _BASIC, msg("Iniciar sessão")),
        ),
        (msg("O Tableau traz de OData sempre uma cópia (extract): marque a atualização no próprio Tableau."),),
    ),
    Tool(
        "qgis", "QGIS", "OGC API Features · MVT", REPLAYED,
        (
            Step(msg("Crie a chave em baixo e copie-a."), "Malha", (("QGIS", "{key}"),), msg("Copiar chave")),
            Step(msg("Camada › Adicionar Camada › WFS / OGC API - Features › Novo: cole o endereço e crie uma autenticação “Básica” com a chave como palavra-passe."), "WFS / OGC API", (("URL", "{ogc}"), *_BASIC), "OK"),
            Step(msg("Escolha a versão “OGC API - Features” e ligue; escolha a camada e, querendo, EPSG:3763."), "WFS / OGC API", (("☑", "AirQualityObserved"),), msg("Adicionar")),
            Step(msg("Para muitos pontos use antes mosaicos vetoriais: Camada › Adicionar Camada de Mosaico Vetorial › Nova ligação genérica."), "Vector Tiles", (("URL", "{tiles}"),), "OK"),
        ),
        (msg("O QGIS pede página a página; acima de umas dezenas de milhares de elementos os mosaicos são muito mais rápidos."),),
        tried_with="OWSLib",
    ),
    Tool(
        "python", "Python", "Parquet · OData · Delta Sharing", RUN,
        (
            Step(msg("Crie a chave em baixo e guarde-a numa variável de ambiente; nunca no código."), code="export MALHA_CHAVE={key}"),
            Step(msg("Com pandas ou polars, uma tabela inteira em Parquet:"), code=(
                "import os, io, httpx, pandas\n"
                "url = '{hub}/AirQualityObserved.parquet'\n"
                "r = httpx.get(url, headers={'Authorization': 'Bearer ' + os.environ['MALHA_CHAVE']}, follow_redirects=True)\n"
                "tabela = pandas.read_parquet(io.BytesIO(r.content))      # ou polars.read_parquet(…), geopandas.read_parquet(…)"
            )),
            Step(msg("Ou só o que interessa, filtrado deste lado:"), code=(
                "r = httpx.get('{odata}/AirQualityObserved', params={'$filter': 'pm10 gt 50', '$select': 'id,pm10'}, auth=('malha', os.environ['MALHA_CHAVE']))\n"
                "r.json()['value']"
            )),
        ),
        (msg("A ligação ao ficheiro Parquet serve quinze minutos; peça outra quando passar."),),
        tried_with="pandas, polars, GeoPandas",
    ),
    Tool(
        "r", "R", "Parquet · OData", WRITTEN,
        (
            Step(msg("Crie a chave em baixo e ponha-a em .Renviron."), code="MALHA_CHAVE={key}"),
            Step(msg("Traga a tabela com httr2 e arrow:"), code=(
                "library(httr2); library(arrow)\n"
                "ficheiro <- tempfile(fileext = '.parquet')\n"
                "request('{hub}/AirQualityObserved.parquet') |>\n"
                "  req_auth_bearer_token(Sys.getenv('MALHA_CHAVE')) |> req_perform(path = ficheiro)\n"
                "tabela <- read_parquet(ficheiro)"
            )),
        ),
    ),
    Tool(
        "duckdb", "DuckDB", "Parquet · HTTP Range", RUN,
        (
            Step(msg("Peça uma ligação assinada com a chave: serve quinze minutos, sem mais cabeçalhos."), code="curl -s -H 'Authorization: Bearer {key}' '{hub}/AirQualityObserved.parquet?link=1'"),
            Step(msg("Leia-a como se fosse um ficheiro; só vêm os bocados de que a pergunta precisa."), code="SELECT avg(pm10) FROM read_parquet('https://…');"),
        ),
        tried_with="DuckDB",
    ),
    Tool(
        "sharing", "Delta Sharing", "Delta Sharing 1.0", RUN,
        (
            Step(msg("Crie a chave e descarregue o perfil: é o ficheiro que Power BI, Spark, Databricks e pandas pedem."), "malha.share", (("endpoint", "{sharing}"), ("bearerToken", "{key}")), msg("Descarregar perfil")),
            Step(msg("Em Python:"), code="import delta_sharing\ndelta_sharing.load_as_pandas('malha.share#{slug}.agora.AirQualityObserved')"),
            Step(msg("No Power BI: Obter Dados › Delta Sharing, com o endereço e o “bearerToken” do perfil."), "Delta Sharing", (("Server URL", "{sharing}"), ("Bearer Token", "{key}")), "OK"),
        ),
        (msg("O conector do Power BI traz um milhão de linhas se nada se disser: aumente “Row limit” ou escolha um período."),),
        "share", tried_with="delta-sharing",
    ),
    Tool(
        "sql", "SQL", "PostgreSQL", RUN,
        (
            Step(msg("Peça a quem gere o serviço que ligue o acesso por SQL: um utilizador só de leitura, para o vosso município."), code="./malha hub sql {slug}"),
            Step(msg("Ligue com psql, DBeaver ou qualquer programa que fale PostgreSQL, sempre com TLS."), code="psql 'host=… dbname=malha user=hub_{slug} sslmode=verify-full'\nSELECT * FROM hub.entity WHERE type = 'AirQualityObserved' LIMIT 10;"),
        ),
        (msg("Por SQL estão o estado atual, as observações recentes e as somas por dia dos últimos meses; o resto da história está em Parquet e Delta Sharing."),),
        needs_key=False,
    ),
)  # fmt: skip


def find(code: str) -> Tool | None:
    """The tool with that code."""
    return next((tool for tool in TOOLS if tool.code == code), None)
