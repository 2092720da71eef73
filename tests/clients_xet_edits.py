"""A file that a real client sends again and again, with edits anywhere in it: what is inserted goes over the line, and little else,
wherever it is, and whatever else is taken out or moved. The seed is printed; XET_EDITS=200 for that many uploads (make torture does),
XET_SEED for one series again. The twin is the first upload, which is all of the file."""
import math
import os
import random

from between import Line
from clients_hubd import Client
from clients_xet import MIB, upload
from hubd import Hubd
from registry import Repo

UPLOADS = int(os.environ.get("XET_EDITS", 2))
SEED = int(os.environ.get("XET_SEED", random.randrange(1 << 32)))
MOST = 3                                                # edits of an upload: at each border a chunk or two are new
SERIES = 8                                              # of a file in many pieces clients send chunks again that are there


def edit(rng, data):
    """The data after an edit, and how many bytes are new in it."""
    at, size = rng.randrange(len(data)), int(math.exp(rng.uniform(0, math.log(3 * MIB))))
    kind = rng.choice(["insert", "delete", "move"])
    if kind == "insert" or len(data) < 12 * MIB:        # clients send smaller files another way
        return data[:at] + rng.randbytes(size) + data[at:], size
    part, rest = data[at:at + size], data[:at] + data[at + size:]
    if kind == "delete":
        return rest, 0
    to = rng.randrange(len(rest))
    return rest[:to] + part + rest[to:], 0


def test_what_is_sent_is_what_is_new(tmp_path):
    print(f"XET_SEED={SEED}")
    rng = random.Random(SEED)
    h = Hubd(tmp_path, [], timeout=20, args=["--offline"])
    line, repo, worst = Line(h.port, tmp_path / "line.log"), Repo(h, "admin/edits", h.admin_token), 0
    client = Client(tmp_path, "2.4", line.url, h.admin_token)
    for round in range(UPLOADS + 1):
        before, first, new = line.sent(), round % SERIES == 0, 0
        if first:
            data = rng.randbytes(16 * MIB)
            new = len(data)
        for _ in range(0 if first else rng.randint(1, MOST)):
            data, inserted = edit(rng, data)
            new += inserted
        (tmp_path / "w.bin").write_bytes(data)
        upload(client, repo, tmp_path / "w.bin", "w.bin")
        sent = line.sent() - before
        assert repo.read("w.bin") == data
        assert sent <= 1.3 * new + MIB, f"XET_SEED={SEED} upload={round} sent={sent} new={new}"
        assert not first or sent >= new, "it went another way"
        worst = max(worst, (sent - 1.3 * new) / MIB)
    print(f"of the MiB that may go besides at most {worst:.2f} did")
    line.close()
    h.stop()
