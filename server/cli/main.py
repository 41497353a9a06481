"""Every command with its options; what it does is in the file of its own name, imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from server.cli import index
from server.cli.base.options import AsJson, Data, Owner, Store, Url
from server.cli.base.terminal import run, run_plain

app = typer.Typer(
    name="ragpod",
    help="Documents in, grounded and cited answers out, over the OpenAI API.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(index.app, name="index")

Profile = Literal["auto", "embedded", "cuda"]


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Off loopback only with an API key.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.", show_default="8080")] = None,
    data: Data = None,
    profile: Annotated[Profile | None, typer.Option(help="What runs the models.", show_default="auto")] = None,
    engine_url: Annotated[
        str | None, typer.Option(help="Of an OpenAI-compatible server that generates.", show_default="its own engine")
    ] = None,
) -> None:
    """Serve the API.

    Prints one line with the URL when ready. SIGTERM lets running answers finish: exit 0; 4 where some did not in
    time and were ended, 5 where a second signal ended all at once.

    \b
    ragpod serve
    ragpod serve --port 9000 --data /srv/ragpod
    ragpod serve --engine-url http://127.0.0.1:8001/v1
    """
    from server.cli.base import connection

    run_plain(lambda: connection.serve(host=host, port=port, data_dir=data, profile=profile, engine_url=engine_url))


@app.command()
def ingest(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, and buckets (s3://bucket/prefix).", show_default=False)
    ] = None,
    urls: Annotated[
        list[Path] | None, typer.Option("--urls", help="A file of URLs, one a line.", show_default=False)
    ] = None,
    store: Store = None,
    data: Data = None,
    url: Url = None,
    sync: Annotated[bool, typer.Option(help="Remove from the store what is no longer in the source.")] = False,
    watch: Annotated[bool, typer.Option(help="Go on, and follow every change.")] = False,
    every: Annotated[
        float | None,
        typer.Option(
            min=1, help="Seconds between two looks at buckets and URLs.", show_default="sources.every_seconds"
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Of URLs: a host, address or network to be fetched from though it is not public."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put files, folders, buckets and web pages into a store.

    What is there already, unchanged, is skipped. Exit 1 if a file failed. Goes through the server that has the
    data folder open, if one runs. A bucket's keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    \b
    ragpod ingest docs/ README.md --store help
    ragpod ingest docs/ --url http://127.0.0.1:8080
    ragpod ingest docs/ --sync --watch
    ragpod ingest 's3://bucket/docs?endpoint=http://127.0.0.1:9000' --sync
    ragpod ingest --urls pages.txt --sync --watch --every 3600
    """
    from server.cli import ingest
    from server.cli.base.connection import Where

    where, buckets = Where(data, url), [path for path in paths or [] if path.startswith("s3://")]
    local = [Path(path) for path in paths or [] if path not in buckets]
    if sync or watch or urls or buckets:
        from server.cli import sync as following

        elsewhere = following.Elsewhere(buckets, urls or (), allow_host or (), every)
        run(following.run(where, store, local, sync=sync, watch=watch, as_json=as_json, elsewhere=elsewhere))
    else:
        run(ingest.run(where, store, local, as_json=as_json))


@app.command()
def retry(
    files: Annotated[list[str] | None, typer.Argument(help="Ids or names of files.", show_default=False)] = None,
    store: Annotated[str | None, typer.Option("--store", "-s", help="Of FILE; alone: all that failed there.")] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Of every store.")] = False,
    data: Data = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Ingest failed or cancelled files anew.

    Exit 1 if one failed again. A file that was cancelled is taken only where it is named.

    \b
    ragpod retry report.pdf
    ragpod retry --store help
    ragpod retry --all-failed --url http://127.0.0.1:8080
    """
    from server.cli import retry
    from server.cli.base.connection import Where

    run(retry.run(Where(data, url), store, files or [], all_failed=all_failed, as_json=as_json))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    store: Store = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, max=50, help="Results at most.")] = 8,
    explain: Annotated[bool, typer.Option(help="Every stage's score and rank, and its milliseconds.")] = False,
    data: Data = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Ranked passages for a query.

    \b
    ragpod search "how are strings formatted"
    ragpod search "2단계 인증 끄기" --store help-ko --explain
    """
    from server.cli import search
    from server.cli.base.connection import Where

    run(search.run(Where(data, url), store, query, top_k, explain=explain, as_json=as_json))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    store: Store = None,
    data: Data = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Stream a cited answer, then its sources.

    \b
    ragpod ask "What does the with statement do?"
    ragpod ask "환불은 언제 들어오나요?" --store help-ko
    """
    from server.cli import ask
    from server.cli.base.connection import Where

    run(ask.run(Where(data, url), store, question, as_json=as_json))


@app.command()
def demo(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")] = Path(".demo"),
    port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
    once: Annotated[
        bool | None, typer.Option("--once/--keep", help="End after the answers.", show_default="keep on a terminal")
    ] = None,
) -> None:
    """Index real documents, ask, show cited answers.

    The documents: this Python's own reference topics, and a Korean help centre. One question in each language goes
    through a real server's HTTP API.

    \b
    ragpod demo
    ragpod demo --once
    """
    from server.cli import demo

    run(demo.run(data, port, once=once))


@app.command()
def check(owner: Owner = None, data: Data = None, as_json: AsJson = False) -> None:
    """Compare store and indexes, id by id.

    Exit 1 on a difference between the store, the BM25 index and the vector index. Of one owner, or of all.

    \b
    ragpod check --data /srv/ragpod
    """
    from server.cli import upkeep

    run_plain(lambda: upkeep.check(data, owner, as_json=as_json))


@app.command()
def rebuild(store: Store = None, owner: Owner = None, data: Data = None) -> None:
    """Make the indexes anew from the store.

    The store is the truth: nothing but time is lost. One store (of the owner "default", if none is named), all of an
    owner, or all.

    \b
    ragpod rebuild --store help-ko
    ragpod rebuild --owner alice
    """
    from server.cli import upkeep

    run_plain(lambda: upkeep.rebuild(data, store, owner))


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A new folder, or a new file NAME.tar.", show_default=False)],
    data: Data = None,
) -> None:
    """Copy a data folder, also while a server runs on it.

    One consistent state of documents, passages, vectors, answers and original files, with checksums. Indexes are made
    anew where it is restored. Nothing is overwritten. Settings are not restored, and no secret is in it.

    \b
    ragpod backup /backups/2026-11-28 --data /srv/ragpod
    ragpod backup ragpod.tar
    """
    from server.cli import upkeep

    run_plain(lambda: upkeep.backup(data, target))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="What `ragpod backup` made.", show_default=False)],
    data: Data = None,
) -> None:
    """Make a data folder of a backup.

    Every checksum is compared first. The folder must be new, or empty.

    \b
    ragpod restore /backups/2026-11-28 --data /srv/ragpod
    """
    from server.cli import upkeep

    run_plain(lambda: upkeep.restore(source, data))


@app.command("eval")
def evaluate(
    folders: Annotated[
        list[Path], typer.Argument(help="BEIR folders: corpus.jsonl, queries.jsonl, qrels.tsv.", show_default=False)
    ],
    data: Annotated[Path, typer.Option("--data", help="Data folder; its indexes are used again.")] = Path(".eval/data"),
    owner: Owner = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on BEIR folders.

    recall@100, nDCG@10, MRR@10 and p50 milliseconds of every stage.

    \b
    ragpod eval data/scifact data/smartstore
    """
    from server.cli import evaluate

    run(evaluate.run(folders, data, owner, as_json=as_json))


@app.command()
def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """What this machine can run, and why not.

    Exit 1 if no profile runs.
    """
    from server.cli import doctor

    run_plain(lambda: doctor.doctor(data, as_json=as_json))


@app.command()
def config(data: Data = None, as_json: AsJson = False) -> None:
    """The settings in force, secrets hidden."""
    from server.cli import doctor

    run_plain(lambda: doctor.config(data, as_json=as_json))
