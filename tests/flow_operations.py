"""The lines of docs/operations.md, run as they stand there; and the list of the admin API in docs/protocol.md."""
import os
import re
import subprocess

from flow_hub_keep import NOW, bring, noise
from hubd import HUBD, free_port
from queries import DEPLOY
from registry import Repo, put

PAGE = (DEPLOY.parent.parent / "docs" / "operations.md").read_text()
OPTIONS = "--cache-min-free=0 --collect-grace=0 --upstream=http://127.0.0.1:1"


def lines(name):
    """The block whose first line is a comment that begins so."""
    return re.search(rf"```sh\n(# {name}:.*?)```", PAGE, re.S)[1]


def run(script, h, port=None, **env):
    path = f"{HUBD.parent}:{os.environ['PATH']}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120, env={
        "PATH": path, "MATRIXHUB_URL": f"http://127.0.0.1:{port or h.port}", "MATRIXHUB_TOKEN_FILE": str(h.data / "admin.token"),
        "DATA": str(h.data), **{k: str(v) for k, v in env.items()}})


def saved(ours, copy, between=lambda: None):
    """A backup; `between` is done when the rows are copied, and the bytes are not."""
    first, rest = lines("backup").split('cp -an', 1)
    done = run(first, ours.hubd, COPY=copy)
    assert done.returncode == 0, done
    between()
    done = run(f"set -e\ncp -an{rest}", ours.hubd, COPY=copy)
    assert done.returncode == 0, done


def restored(ours, copy, tmp_path):
    """What the lines about it say, and the hub they have started."""
    port, new = free_port(), tmp_path / "new"
    script = "trap 'kill $!; wait $!' EXIT\n" + lines("restore").replace("matrixhubd ", f"matrixhubd {OPTIONS} ")
    done = run(script, ours.hubd, port, COPY=copy, NEW=new, LISTEN=f"127.0.0.1:{port}")
    return done, new


def test_what_was_saved_while_the_hub_was_written_to_is_there_again(hub, hubd, tmp_path):
    h = hubd(hub, args=NOW)
    ours, one, two = Repo(h, "admin/one", h.admin_token), noise(300_000), noise(200_000, 2)
    bring(ours, "one.bin", one)
    ours.done(put("one.txt", b"one\n"))
    files, head, copy = ours.tree(), ours.head(), tmp_path / "copy"
    saved(ours, copy, between=lambda: bring(ours, "two.bin", two))
    done, new = restored(ours, copy, tmp_path)
    assert done.returncode == 0, done
    again = hubd(hub, data=new, args=NOW)
    was = Repo(again, ours.id, again.admin_token, make=False)
    assert (was.head(), was.tree(), was.read("one.bin")) == (head, files, one)
    # The next copy takes what is new, and what was said of it.
    saved(ours, copy)
    subprocess.run(["rm", "-rf", new], check=True)
    again.stop()
    done, new = restored(ours, copy, tmp_path)
    assert done.returncode == 0, done


def test_a_copy_that_lacks_a_file_is_found_out(hub, hubd, tmp_path):
    h = hubd(hub, args=NOW)
    ours, copy = Repo(h, "admin/one", h.admin_token), tmp_path / "copy"
    bring(ours, "one.bin", noise(300_000))
    saved(ours, copy)
    next(p for p in (copy / "own/blobs").glob("*/*") if p.stat().st_size == 300_000).unlink()
    done, _ = restored(ours, copy, tmp_path)
    assert done.returncode != 0 and "missing" in done.stdout + done.stderr, done


def test_the_list_of_the_admin_api_is_the_hubs_own(hub, hubd):
    h = hubd(hub)
    told = h.ask("/api/admin/v1/openapi.json", token=h.admin_token).json["paths"]
    listed = re.findall(r"^\| `([A-Z]+) (/\S+)` \| (.*) \|$", (DEPLOY.parent.parent / "docs" / "protocol.md").read_text(), re.M)
    assert listed == [(how.upper(), path, what["summary"]) for path, ways in told.items() for how, what in ways.items()]
