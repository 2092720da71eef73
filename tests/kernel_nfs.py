"""A real Linux kernel's NFS client, in a machine of its own, and the export: what old nodes do with it."""
import contextlib
import hashlib
import json
import re
import time

import pytest

import models
from hub import Hub
from machine import HOST, Machine, why_not
from mountlib import eventually
from nfs_wire import Export

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
MIB = 1 << 20
SMALL = b'{"model_type": "bert"}'
# No larger than the stories need: the machine computes thirty times slower than this one.
MIDDLE, ODD = models.big_file(6 * MIB, seed=11), models.big_file(2 * MIB + 12_345, seed=12)
LARGE = models.big_file(16 * MIB, seed=13)
FILES = {"config.json": SMALL, "empty.txt": b"", "model-00001-of-00002.safetensors": MIDDLE, "model-00002-of-00002.safetensors": ODD,
         "sub/dir/deep.json": b"{}", **{f"many/{n:03}.txt": b"%d" % n for n in range(250)}}
DATE = "2024-05-06T07:08:09.000Z"
TINY = "/mnt/files/org/tiny"


@pytest.fixture(scope="module")
def vm(tmp_path_factory):
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Hub() as hub:
        hub.commit_there = hub.repo("org/tiny").commit(FILES, date=DATE)
        with Export(tmp_path_factory.mktemp("kernel"), hub, timeout=10) as export:
            export.hub_there = hub
            yield export


class Mounted:
    """with Mounted(vm, export): it is at /mnt of the machine."""

    def __init__(self, vm, export, path="/", options="ro"):
        self.vm = vm
        self.words = f"vers=3,proto=tcp,nolock,port={export.port},mountport={export.port},addr={HOST},{options}"
        self.command = f"mount -i -t nfs -o {self.words} {HOST}:{path} /mnt"

    def __enter__(self):
        self.vm.sh(self.command, 30)
        return self.vm

    def __exit__(self, kind, *_):
        if not kind:
            self.vm.sh("umount /mnt", 30)
            return
        self.vm.run("umount -f /mnt; umount -l /mnt", 30)


@pytest.fixture
def mnt(vm, served):
    with Mounted(vm, served):
        yield vm


def md5(data):
    """What the machine digests fastest: it computes each instruction by many of ours."""
    return hashlib.md5(data).hexdigest()


def drop(vm):
    vm.sh("echo 3 > /proc/sys/vm/drop_caches")


# ---- what it sees ----

def test_it_is_mounted_as_asked(mnt, served):
    line = mnt.sh("grep ' /mnt ' /proc/mounts")
    assert line.startswith(f"{HOST}:/ /mnt nfs ro,") and f"rsize={MIB}" in line and "vers=3" in line, line
    print(f"booted in {mnt.boot_seconds:.1f} s: {line}")


def test_it_walks_all_of_it(mnt, served):
    listed = mnt.sh(f"cd {TINY} && find . -type f | sort").split()
    assert listed == sorted(f"./{p}" for p in FILES)
    assert mnt.sh(f"ls -1 {TINY}").split() == ["config.json", "empty.txt", "many", "model-00001-of-00002.safetensors",
                                            "model-00002-of-00002.safetensors", "sub"]
    snapshot = f"/mnt/hub/models--org--tiny/snapshots/{served.hub_there.commit_there}"
    assert mnt.sh(f"cat {snapshot}/config.json") == SMALL.decode()
    assert mnt.sh(f"readlink {snapshot}/config.json").startswith("../../blobs/")
    assert mnt.sh("cat /mnt/hub/models--org--tiny/refs/main") == served.hub_there.commit_there
    assert mnt.sh(f"stat -c '%F %a %s %Y' {TINY}/config.json") == f"regular file 444 {len(SMALL)} 1714979289"
    assert "No such file" in mnt.run(f"cat {TINY}/none").text and "No such file" in mnt.run("ls /mnt/files/org/none").text


def test_it_finds_the_right_bytes_in_every_file(mnt):
    for _ in "cold", "from the server's cache":
        drop(mnt)
        sums = mnt.sh(f"cd {TINY} && find . -type f -exec md5sum {{}} +", 120)
        assert dict(reversed(line.split()) for line in sums.splitlines()) == {f"./{p}": md5(data) for p, data in FILES.items()}


@pytest.mark.parametrize("way", ["map", "private", "direct", "readahead"])
def test_it_finds_them_in_every_way(mnt, way):
    for path in "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json":
        drop(mnt)
        assert mnt.sh(f"guest_read {way} {TINY}/{path} | md5sum").split()[0] == md5(FILES[path])


def test_pieces_of_a_file(mnt):
    drop(mnt)
    for block, skip, count in ((1, len(ODD) - 3, 10), (4096, 300, 7), (65536, 31, 3), (1000, 1234, 5), (MIB, 2, 1)):
        piece = ODD[block * skip:block * (skip + count)]
        got = mnt.sh(f"dd if={TINY}/model-00002-of-00002.safetensors bs={block} skip={skip} count={count} 2> /dev/null | md5sum")
        assert got.split()[0] == md5(piece), (block, skip, count)


@pytest.mark.parametrize("path, file", [("/hub", "models--org--tiny/refs/main"), ("/files", "org/tiny/sub/dir/deep.json"),
                                        ("/files/org/tiny", "config.json"), ("/files/org/tiny/sub", "dir/deep.json")])
def test_a_directory_of_it_is_mounted_alone(vm, served, path, file):
    with Mounted(vm, served, path):
        assert len(vm.sh(f"cat /mnt/{file}")) in (40, 2, len(SMALL))


def test_what_is_not_there_is_not_mounted(vm, served):
    assert vm.run(Mounted(vm, served, "/files/org/none").command, 30).status != 0
    assert vm.run(Mounted(vm, served, "/files/org/tiny/config.json").command, 30).status != 0


# ---- what it may not do ----

WRITES = ["touch {}/new", "echo x > {}/new", "echo x >> {}/config.json", "rm {}/config.json", "mkdir {}/new", "rmdir {}/sub",
          "mv {}/config.json {}/new", "ln -s to {}/new", "ln {}/config.json {}/new", "chmod 600 {}/config.json",
          "truncate -s 0 {}/config.json", "chown 5 {}/config.json"]


@pytest.mark.parametrize("options", ["ro", "rw"])
def test_it_changes_nothing(vm, served, options):
    """Mounted ro its own kernel says so; mounted rw the server, but for opens to write, about which it is asked by ACCESS, which
    has no such word."""
    with Mounted(vm, served, options=options):
        for command in WRITES:
            done = vm.run(command.replace("{}", TINY))
            opens = options == "rw" and command.startswith(("echo x >>", "truncate"))
            assert done.status != 0 and ("Permission denied" if opens else "Read-only file system") in done.text, (command, done.text)
        assert vm.sh(f"cat {TINY}/config.json") == SMALL.decode()


def test_metadata_is_written_below_the_hub_and_not_beside_it(vm, served):
    """Mounted rw: HF_HUB_CACHE may lie there, HF_HOME may not."""
    with Mounted(vm, served, options="rw"):
        # Its kernel has looked nothing up yet, and does so for no name that it is to make.
        vm.sh("mkdir -p /mnt/hub/.locks/models--org--tiny")
        assert "File exists" in vm.run("mkdir /mnt/files").text
        assert sorted(vm.sh("ls -A /mnt").split()) == ["files", "hub"]
        for command in "touch /mnt/token", "mkdir /mnt/modules", "ln -s hub /mnt/models", "mv /mnt/hub /mnt/cache", "rmdir /mnt/hub":
            done = vm.run(command)
            assert done.status != 0 and "Read-only file system" in done.text, (command, done.text)
        locks = "/mnt/hub/.locks/models--org--tiny"
        assert vm.sh(f"mkdir -p {locks} && echo held > {locks}/x.lock && cat {locks}/x.lock && ls {locks}").split() == ["held", "x.lock"]
        for command in f"mv {locks} /mnt/hub/elsewhere", f"rm {locks}/x.lock && rmdir {locks}", "mv /mnt/hub/.locks /mnt/hub/elsewhere":
            done = vm.run(command)
            assert done.status != 0 and "Read-only file system" in done.text, (command, done.text)
        assert vm.sh(f"mkdir {locks}/d && touch {locks}/d/f && mv {locks}/d {locks}/e && ls {locks}/e && rm -r {locks}/e && ls {locks}") == "f"


# ---- when the server goes, and comes back ----

@pytest.mark.parametrize("cached", [False, True])
def test_the_server_is_killed_in_the_middle_of_a_read(vm, tmp_path, cached):
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(Hub())
        hub.repo("org/large").commit({"w.safetensors": LARGE})
        first = Export(tmp_path, hub, cache=tmp_path / "cache", timeout=10)
        stack.callback(first.kill)
        if cached:
            with first.client() as nfs:
                assert nfs.content(nfs.walk("files", "org", "large", "w.safetensors")) == LARGE
        servers = stack.enter_context(contextlib.ExitStack())       # the second is there when it is unmounted
        stack.enter_context(Mounted(vm, first, options="ro,timeo=20"))
        slow = stack.enter_context(contextlib.ExitStack())
        slow.enter_context(hub.fault("GET .*/resolve/", "slow", rate=1_500_000))
        vm.sh("rm -f /tmp/done /tmp/go; touch /tmp/got")
        # It does not go on from here before the server is gone.
        gate = f"( dd bs=4096 count={4 * MIB // 4096}; while [ ! -e /tmp/go ]; do sleep 0.1; done; cat ) > /tmp/got"
        vm.begin(f"guest_read direct /mnt/files/org/large/w.safetensors | {gate}; echo $? > /tmp/done")
        assert eventually(lambda: int(vm.run("wc -c < /tmp/got").text or 0) > 3 * MIB, 30)
        first.crash()
        vm.sh("touch /tmp/go")
        time.sleep(2)
        assert vm.run("cat /tmp/done").status != 0, "it needed no server"
        slow.close()
        servers.enter_context(Export(tmp_path, hub, cache=tmp_path / "cache", port=first.port, timeout=10))
        assert eventually(lambda: vm.run("cat /tmp/done").status == 0, 90, 0.5), vm.kernel()
        assert vm.sh("cat /tmp/done") == "0"
        assert vm.sh("md5sum < /tmp/got; rm /tmp/got", 120).split()[0] == md5(LARGE)


def test_a_hub_that_is_away_is_an_error_and_no_wait(vm, export_of):
    hub, export = export_of
    with Mounted(vm, export):
        vm.sh("ls /mnt/files/org/tiny")
        with hub.fault(".*", "status", code=503):
            done = vm.run("cat /mnt/files/org/tiny/w.safetensors > /dev/null", 60)
            assert done.status != 0 and "Input/output error" in done.text and done.seconds < 40, done
        assert eventually(lambda: vm.run("md5sum < /mnt/files/org/tiny/w.safetensors").text.split()[0] == md5(ODD), 40)


@pytest.fixture
def export_of(tmp_path):
    with Hub() as hub:
        hub.repo("org/tiny").commit({"w.safetensors": ODD, "config.json": SMALL})
        with Export(tmp_path, hub) as export:
            yield hub, export


# ---- huggingface_hub, in there ----

def client(vm, hub, words, *actions):
    """What tests/client.py says, run there by the Python of tests/requirements/hub-1.24.txt."""
    url = hub.url.replace("127.0.0.1", HOST)
    text = vm.sh(f"HF_HOME=/tmp/home HF_HUB_CACHE=/mnt/hub HF_ENDPOINT={url} HF_HUB_DISABLE_PROGRESS_BARS=1 {words} "
                 f"python3 /site/client.py '{json.dumps(actions)}'", 200)
    answers = json.loads(text.splitlines()[-1])
    assert all("error" not in answer and not answer["log"] and not answer["warnings"] for answer in answers), answers
    return [answer["value"] for answer in answers]


@pytest.mark.parametrize("options, words", [("ro", "HF_HUB_OFFLINE=1"), ("rw", "")], ids=["offline", "online"])
def test_huggingface_hub_loads_a_model(vm, tmp_path, options, words):
    """Offline it finds what it needs in the mount alone. Online it asks the hub first, and writes what it writes into a cache."""
    model = models.tiny_model()
    with Hub() as hub:
        commit = hub.repo("org/model").commit(model)
        with Export(tmp_path, hub, timeout=10) as export, Mounted(vm, export, options=options):
            found, path = client(vm, hub, words, ["snapshot", {"repo": "org/model"}], ["cached", {"repo": "org/model", "name": "none.json"}])
            assert found["path"] == f"/mnt/hub/models--org--model/snapshots/{commit}"
            assert found["files"] == {path: hashlib.sha256(data).hexdigest() for path, data in model.items()}
            assert path == "absent"


# ---- how fast ----

def test_how_fast_it_reads(mnt):
    """A figure, not a judgement: the machine's own processor is emulated."""
    path = f"{TINY}/model-00001-of-00002.safetensors"
    mnt.sh(f"cat {path} > /dev/null", 120)
    drop(mnt)
    took = mnt.run(f"cat {path} > /dev/null").seconds
    print(f"kernel client, cached by the server: {len(MIDDLE) / took / 1e6:.0f} MB/s")
    counts = mnt.sh("cat /proc/self/mountstats")
    assert re.search(r"READ: (\d+)", counts), counts
    assert len(MIDDLE) / took > MIB
