"""How to reach the data from each tool: steps, drawings and limits as data. Pure words; the page fills in addresses."""

from __future__ import annotations

from dataclasses import dataclass

from malha.kernel.text import msg

#: how far a recipe was tried (shown beside it)
RUN = "run"
REPLAYED = "replayed"
WRITTEN = "written"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. The drawing is a window: its title, (label, value) pairs, the button to press.

    `{…}` are filled in by the page: addresses, the key, and a table with a measure that the reader has (`{table}`, `{measure}`).
    """

    text: str
    window: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    button: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: what it is reached by, the address that it is given, steps, limits in words, how far this recipe was tried."""

    code: str
    name: str
    by: str
    tried: str
    steps: tuple[Step, ...]
    limits: tuple[str, ...] = ()
    download: str = ""
    tried_with: str = ""
    needs_key: bool = True
    address: str = "{odata}"


_BASIC = ((msg("Utilizador"), "malha"), (msg("Palavra-passe"), "{key}"))

TOOLS = (
    Tool(
        "powerbi", "Power BI", "OData v4", REPLAYED,
        (
            Step(msg("Crie a chave em cima e copie-a."), "Malha", (("Power BI", "{key}"),), msg("Copiar chave")),
            Step(msg("Descarregue “Abrir no Power BI” e abra o ficheiro: o Power BI Desktop arranca já ligado."), "{slug}.pbids", (("odata", "{odata}"),), msg("Abrir")),
            Step(msg("Quando ele perguntar como entrar, escolha “Basic”, escreva qualquer utilizador e cole a chave como palavra-passe."), "OData Feed", _BASIC, msg("Ligar")),
            Step(msg("Escolha as tabelas e carregue. Filtros, colunas e ordem que puser antes de carregar são feitos aqui, e só vem o que pediu."), "Navigator", (("☑", "{table}"), ("☐", "{table}_hourly")), msg("Carregar")),
        ),
        (
            msg("Agrupar não é pedido ao servidor pelo Power BI: use as tabelas “por hora” e “por dia”, que já vêm somadas."),
            msg("Para atualizar na nuvem com a chave é preciso o gateway de dados da Microsoft, porque a entrada é “Basic”."),
        ), "pbids",
    ),
    Tool(
        "excel", "Excel", "OData v4", REPLAYED,
        (
            Step(msg("Crie a chave em cima e copie-a."), "Malha", (("Excel", "{key}"),), msg("Copiar chave")),
            Step(msg("No Excel: Dados › Obter Dados › De Outras Origens › Do Feed OData, e cole o endereço."), "Feed OData", (("URL", "{odata}"),), "OK"),
            Step(msg("Escolha “Básico”, qualquer utilizador, e a chave como palavra-passe."), "Feed OData", _BASIC, msg("Ligar")),
            Step(msg("Em “Transformar Dados” escolha o período e as colunas antes de carregar."), "Power Query", (("start", "≥ 2026-01-01"),), msg("Fechar e carregar")),
        ),
        (msg("O Excel pára em 1 048 576 linhas, escolha um período: as tabelas “valor a valor” passam daí depressa; as “por dia” quase nunca."),),
    ),
    Tool(
        "tableau", "Tableau", "OData v4", REPLAYED,
        (
            Step(msg("Crie a chave em cima e copie-a."), "Malha", (("Tableau", "{key}"),), msg("Copiar chave")),
            Step(msg("Em Ligar › A um servidor › OData, cole o endereço de uma tabela."), "OData", ((msg("Servidor"), "{odata}/{table}"),), ""),
            Step(msg("Escolha “Nome de utilizador e palavra-passe”: qualquer utilizador, e a chave."), "OData", _BASIC, msg("Iniciar sessão")),
        ),
        (msg("O Tableau traz de OData sempre uma cópia (extract): marque a atualização no próprio Tableau."),),
    ),
    Tool(
        "qgis", "QGIS", "OGC API Features · MVT", REPLAYED,
        (
            Step(msg("Crie a chave em cima e copie-a."), "Malha", (("QGIS", "{key}"),), msg("Copiar chave")),
            Step(msg("Camada › Adicionar Camada › WFS / OGC API - Features › Novo: cole o endereço e crie uma autenticação “Básica” com a chave como palavra-passe."), "WFS / OGC API", (("URL", "{ogc}"), *_BASIC), "OK"),
            Step(msg("Escolha a versão “OGC API - Features” e ligue; escolha a camada e, querendo, EPSG:3763."), "WFS / OGC API", (("☑", "{table}"),), msg("Adicionar")),
            Step(msg("Para muitos pontos use antes mosaicos vetoriais: Camada › Adicionar Camada de Mosaico Vetorial › Nova ligação genérica."), "Vector Tiles", (("URL", "{tiles}"),), "OK"),
        ),
        (msg("O QGIS pede página a página; acima de umas dezenas de milhares de elementos os mosaicos são muito mais rápidos."),),
        tried_with="OWSLib", address="{ogc}",
    ),
    Tool(
        "python", "Python", "Parquet · OData · Delta Sharing", RUN,
        (
            Step(msg("Crie a chave em cima e guarde-a numa variável de ambiente; nunca no código. Em Linux ou Mac:"), code="export MALHA_CHAVE={key}"),
            Step(msg("Ou, no Windows (PowerShell):"), code="$env:MALHA_CHAVE = '{key}'"),
            Step(msg("Instale o que os exemplos usam:"), code="pip install httpx pandas pyarrow"),
            Step(msg("Com pandas ou polars, uma tabela inteira em Parquet:"), code=(
                "import os, io, httpx, pandas\n"
                "url = '{hub}/{table}.parquet'\n"
                "r = httpx.get(url, headers={'Authorization': 'Bearer ' + os.environ['MALHA_CHAVE']}, follow_redirects=True)\n"
                "r.raise_for_status()\n"
                "df = pandas.read_parquet(io.BytesIO(r.content))      # polars.read_parquet, geopandas.read_parquet\n"
                "print(df.head())"
            )),
            Step(msg("Ou só o que interessa, filtrado deste lado:"), code=(
                "import os, httpx\n"
                "r = httpx.get('{odata}/{table}', params={'$filter': '{measure} gt 0', '$select': 'id,{measure}'}, auth=('malha', os.environ['MALHA_CHAVE']))\n"
                "print(r.json()['value'])"
            )),
        ),
        (msg("A ligação ao ficheiro Parquet serve quinze minutos; peça outra quando passar."),),
        tried_with="pandas, polars, GeoPandas", address="{hub}",
    ),
    Tool(
        "r", "R", "Parquet · OData", WRITTEN,
        (
            Step(msg("Crie a chave em cima e ponha-a em .Renviron; depois reinicie o R."), code="MALHA_CHAVE={key}"),
            Step(msg("Instale o que o exemplo usa:"), code="install.packages(c('httr2', 'arrow'))"),
            Step(msg("Traga a tabela com httr2 e arrow:"), code=(
                "library(httr2); library(arrow)\n"
                "file <- tempfile(fileext = '.parquet')\n"
                "request('{hub}/{table}.parquet') |>\n"
                "  req_auth_bearer_token(Sys.getenv('MALHA_CHAVE')) |> req_perform(path = file)\n"
                "df <- read_parquet(file)\n"
                "head(df)"
            )),
        ),
        address="{hub}",
    ),
    Tool(
        "duckdb", "DuckDB", "Parquet · HTTP Range", RUN,
        (
            Step(msg("Crie a chave em cima. Em Python, peça uma ligação assinada com ela e leia-a como se fosse um ficheiro: só vêm os bocados de que a pergunta precisa."), code=(
                "import duckdb, httpx      # pip install duckdb httpx\n"
                "link = httpx.get('{hub}/{table}.parquet?link=1', headers={'Authorization': 'Bearer {key}'}).text.strip()\n"
                "print(duckdb.sql(f\"SELECT count(*), avg({measure}) FROM read_parquet('{link}')\"))"
            )),
            Step(msg("Ou na linha de comandos (Linux ou Mac):"), code=(
                "LINK=$(curl -s -H 'Authorization: Bearer {key}' '{hub}/{table}.parquet?link=1')\n"
                "duckdb -c \"SELECT count(*), avg({measure}) FROM read_parquet('$LINK')\""
            )),
        ),
        (msg("A ligação serve quinze minutos e não pede mais nada: quem a tiver lê a tabela. O DuckDB vai buscar uma extensão (httpfs) à Internet da primeira vez."),),
        tried_with="DuckDB", address="{hub}",
    ),
    Tool(
        "sharing", "Delta Sharing", "Delta Sharing 1.0", RUN,
        (
            Step(msg("Crie a chave e descarregue o perfil: é o ficheiro que Power BI, Spark, Databricks e pandas pedem."), "{slug}.share", (("endpoint", "{sharing}"), ("bearerToken", "{key}")), msg("Descarregar perfil")),
            Step(msg("Em Python, na pasta onde guardou o perfil:"), code=(
                "import delta_sharing      # pip install delta-sharing\n"
                "print(delta_sharing.load_as_pandas('{slug}.share#{slug}.agora.{table}'))"
            )),
            Step(msg("No Power BI: Obter Dados › Delta Sharing, com o endereço e o “bearerToken” do perfil."), "Delta Sharing", (("Server URL", "{sharing}"), ("Bearer Token", "{key}")), "OK"),
        ),
        (msg("O conector do Power BI traz um milhão de linhas se nada se disser: aumente “Row limit” ou escolha um período."),),
        "share", tried_with="delta-sharing", address="{sharing}",
    ),
    Tool(
        "sql", "SQL", "PostgreSQL", RUN,
        (
            Step(msg("Peça a quem gere o serviço que ligue o acesso por SQL: um utilizador só de leitura, para o vosso município."), code="./malha hub sql {slug}"),
            Step(msg("Ligue com psql, DBeaver ou qualquer programa que fale PostgreSQL, sempre com TLS."), code="psql 'host=… dbname=malha user={role} sslmode=verify-full' -c \"SELECT * FROM hub.entity WHERE type = '{table}' LIMIT 10\""),
        ),
        (msg("Por SQL estão o estado atual, as observações recentes e as somas por dia dos últimos meses; o resto da história está em Parquet e Delta Sharing."),),
        needs_key=False,
    ),
)  # fmt: skip


def find(code: str) -> Tool | None:
    """The tool with that code."""
    return next((tool for tool in TOOLS if tool.code == code), None)
