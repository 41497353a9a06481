"""`ragpod ingest` of a bucket and of a list of URLs, the way people run it: processes, killed ones too."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.retrieval.blobs import s3
from tests.server.cli.process import COMMAND, environment, ragpod, server
from tests.server.cli.sources.site import html, site
from tests.server.cli.sources.test_bucket import Objects

pytestmark = pytest.mark.slow
COUNT = 24
KEYS = {**s3.KEYS, "NO_PROXY": "127.0.0.1"}


def outcomes(printed: str) -> dict[str, str]:
    return {line["name"]: line["outcome"] for line in map(json.loads, printed.splitlines())}


def test_a_command_that_is_killed_goes_on_where_it_was_and_doubles_nothing(tmp_path: Path) -> None:
    objects = Objects(
        {f"notes/{i:02}.md": f"# Note {i}\n\nIt is the code QX{i:03}Z.".encode() for i in range(COUNT)}, 10
    )
    command = ["ingest", "--sync", "--json", "--url"]
    with s3.answering(objects) as (bucket, came), server(tmp_path / "data") as running:
        url = bucket.replace(f"s3://{s3.BUCKET}", f"s3://{s3.BUCKET}/notes")
        with subprocess.Popen(
            [*COMMAND, *command, running.url, url],
            cwd=tmp_path,
            env=environment(**KEYS),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            acknowledged = [json.loads(process.stdout.readline()) for _ in range(5)]
            process.kill()
        assert {line["outcome"] for line in acknowledged} == {"added"}
        came.clear()
        again = ragpod(*command, running.url, url, cwd=tmp_path, **KEYS)
        assert again.returncode == 0, again.stderr
        told = outcomes(again.stdout)
        assert len(told) == COUNT
        known = {line["name"] for line in acknowledged}
        assert {told[name] for name in known} == {"unchanged"}
        assert not [line for line in came if any(line.endswith(name.rpartition("/")[2]) for name in known)]
        for _ in range(2):
            del objects.contents[f"notes/{len(objects.contents) - 1:02}.md"]
        third = ragpod(*command, running.url, url, cwd=tmp_path, **KEYS)
        assert sorted(outcomes(third.stdout).values()) == ["removed"] * 2 + ["unchanged"] * (COUNT - 2)


async def test_a_list_of_urls_is_put_by_the_command_and_shown_with_its_addresses(tmp_path: Path) -> None:
    async with site() as web_site:
        web_site.pages["/환불"] = html("환불", "환불은 반품한 상품이 도착한 뒤 영업일 기준 3일 안에 처리됩니다.")
        web_site.pages["/%ED%99%98%EB%B6%88"] = web_site.pages["/환불"]
        (tmp_path / "pages.txt").write_text(f"# 고객센터\n{web_site.url('/환불')}\n")
        command = ["ingest", "--urls", "pages.txt", "--data", "data", "--json"]
        quick = {"RAGPOD_SOURCES_DELAY_SECONDS": "0", "RAGPOD_PROFILE": "embedded"}
        refused = await asyncio.to_thread(ragpod, *command, cwd=tmp_path, **quick)
        assert refused.returncode == 1
        assert "127.0.0.1 is not a public address" in refused.stdout
        done = await asyncio.to_thread(ragpod, *command, "--allow-host", "127.0.0.1", cwd=tmp_path, **quick)
        assert (done.returncode, set(outcomes(done.stdout).values())) == (0, {"added"}), done.stderr
        found = await asyncio.to_thread(
            ragpod, "search", "환불 기간", "--data", "data", "--json", cwd=tmp_path, **quick
        )
        assert web_site.url("/%ED%99%98%EB%B6%88") in found.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["s3://"], "a bucket is s3://bucket/prefix"),
        (["--urls", "missing.txt"], "missing.txt"),
        (["--urls", "pages.txt", "--allow-host", "http://intranet/"], "no host, address or network"),
        (["https://example.com/a.html"], "--urls FILE"),
        ([], "no files"),
        (["pages.txt", "--sync"], "only folders are followed"),
    ],
)
def test_what_cannot_be_followed_is_told_in_a_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "pages.txt").write_text("https://example.com/\n")
    done = ragpod("ingest", *arguments, "--data", "data", cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
