"""Rows about lists of a hub that hosts very many repositories."""
import http.client
import os
import pathlib
import shutil
import subprocess
import time

from bench_lib import DIR, RUNS, Hubd, Origin, median, processes, row

FILL = pathlib.Path("build/release/tests/check_shelves")
COUNTS = 10_000, 100_000
PAGE, TIMES = 100, 50
MOST_MS = 20
ASKED = [("no order", ""), *((f"by {sort}", f"sort={sort}") for sort in ("createdAt", "lastModified", "downloads", "likes", "trendingScore",
                                                                       "num_parameters", "mainSize")),
         ("by likes, smallest first", "sort=likes&direction=1"), ("one tag of many, by likes", "filter=license:mit&sort=likes"),
         ("three tags, by downloads", "filter=license:mit&filter=en&filter=peft&sort=downloads"),
         ("a task, a library, by likes", "pipeline_tag=fill-mask&library=peft&sort=likes"), ("a rare tag, by likes", "filter=rare:7&sort=likes"),
         ("one author, by lastModified", "author=u7&sort=lastModified"), ("part of a name, by likes", "search=falcon-ember&sort=likes"),
         ("two letters of a name, in none", "search=zz"), ("a range of parameters", "num_parameters=min:1M,max:2M&sort=likes"),
         ("not gated, by downloads", "gated=false&sort=downloads"), ("a page far behind", "sort=likes&cursor=100000000,u5/x"),
         ("with files", "full=true&sort=likes"), ("1000 at once, by likes", "sort=likes&limit=1000")]


def ask(connection, target):
    """Milliseconds."""
    start = time.perf_counter()
    connection.request("GET", target)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, target
    return (time.perf_counter() - start) * 1000


def spent(pid):
    """Milliseconds of processor time."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def shelves(count, origin):
    """A hub's data, filled with so many."""
    data = DIR / f"shelves.{count}"
    (data / "hub").mkdir(parents=True)
    start = time.perf_counter()
    subprocess.run([FILL, data / "hub", str(count)], check=True)
    filled, start = time.perf_counter() - start, time.perf_counter()
    hubd = Hubd(origin, f"--data={data}", "--timeout=60")
    started = time.perf_counter() - start
    connection = http.client.HTTPConnection("127.0.0.1", hubd.port)
    ask(connection, "/api/models?limit=1")
    for what, query in ASKED:
        target = f"/api/models?limit={PAGE}&{query}" if "limit" not in query else f"/api/models?{query}"
        ask(connection, target)
        before = spent(hubd.pid)
        took = sorted(ask(connection, target) for _ in range(TIMES * RUNS))
        used = (spent(hubd.pid) - before) / len(took)
        row(f"{count} models, {what}, median", median(took), unit="ms")
        row("  99 of 100 within", took[len(took) * 99 // 100], unit="ms", at_most=MOST_MS, commands=[f"curl {hubd.url}{target}"])
        row("  processor time of one", used, unit="ms")
    row(f"{count} models: the start of the hub", started, unit="s")
    row("  put into the catalogue, without their commits, in", filled, unit="s")
    row("  memory of the hub that is no file's", hubd.memory("RssAnon") / 1e6, unit="MB")
    connection.close()
    processes.stop(hubd.process)
    shutil.rmtree(data)


def catalogue():
    with Origin(nginx=False) as origin:
        for count in COUNTS:
            shelves(count, origin)
