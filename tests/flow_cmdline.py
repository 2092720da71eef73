"""The program as people and mount(8) start it: options, texts, exit codes, tokens, background, without root."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import models
import mountlib
from holding import children
from hub import Hub
from mountlib import DEADLINE, PROGRAM, daemons_of, eventually, fails, lazy_umount, mounts_below, names, read, stat, xattr

SMALL = b'{"model_type": "bert"}'
DATA = models.big_file(3_000_000, seed=55)
TOKEN = "hf_" + "Secret" * 6
ROOT = pathlib.Path(__file__).parent.parent


def program(*args, env=None, **kw):
    words = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | (env or {})
    return subprocess.run([PROGRAM, *map(str, args)], env=words, capture_output=True, text=True, timeout=DEADLINE, **kw)


def fill(hub, id="org/tiny", **kw):
    hub.repo(id, **kw).commit({"config.json": SMALL, "w.safetensors": DATA})


# ---- texts ----

def test_help_and_version():
    for flag in ("--help", "-h"):
        done = program(flag)
        assert done.returncode == 0 and done.stdout.startswith("Usage: matrixfs [OPTION]... MOUNTPOINT") and not done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80
    for flag in ("--version", "-V"):
        assert re.fullmatch(r"matrixfs \d+\.\d+\.\d+\n", program(flag).stdout)
    assert program("--config-markdown").stdout == (ROOT / "docs/config.md").read_text()
    assert program("--config-man").stdout == (ROOT / "docs/matrixfs.conf.5").read_text()
    manual = (ROOT / "docs/matrixfs.1").read_text().replace("\\-", "-")
    for option in re.findall(r"--([a-z-]+)", program("--help").stdout):
        assert option in manual, option


@pytest.mark.parametrize("args, words", [
    ([], ["mount point is missing", "MOUNTPOINT"]),
    (["--nonsense", "MP"], ["nonsense"]),
    (["--nonsense=1", "MP"], ["nonsense"]),
    (["-Z", "MP"], ["-Z", "--help"]),
    (["a", "b", "c"], ["c", "one argument too many"]),
    (["--ref-ttl=fast", "MP"], ["ref-ttl", "fast", "60"]),
    (["--ref-ttl=2d", "MP"], ["ref-ttl", "1d"]),
    (["--timeout=0", "MP"], ["timeout", "1"]),
    (["--cache-size=lots", "MP"], ["cache-size", "lots", "GiB"]),
    (["--cache-size=-1", "MP"], ["cache-size", "-1"]),
    (["--scratch-size=1KiB", "MP"], ["scratch-size", "1MiB"]),
    (["--log-level=loud", "MP"], ["log-level", "loud", "error", "warn", "info", "debug"]),
    (["--offline=perhaps", "MP"], ["offline", "perhaps", "yes", "no"]),
    (["--hub=ftp://x", "MP"], ["ftp://x", "http"]),
    (["--hub=", "MP"], ["hub"]),
    (["--hub", "http://x"], ["mount point is missing"]),
    (["--cache", ], ["--cache", "value"]),
    (["-o", "nonsense=1", "MP"], ["nonsense"]),
    (["-o", "ref_ttl=never", "MP"], ["ref-ttl", "never"]),
    (["--config=/nonexistent/file", "MP"], ["/nonexistent/file"]),
    (["--token-file=/nonexistent/token", "MP"], ["/nonexistent/token"]),
    (["--token=" + TOKEN, "MP"], ["--token-file"]),
    (["--token", TOKEN, "MP"], ["--token-file"]),
    (["-o", "token=" + TOKEN, "MP"], ["token-file"]),
    (["--hub=http://user:pass@x", "MP"], ["hub"]),
    (["--hub=http://x", "--hub=HTTP://X/", "MP"], ["http://x", "twice"]),
    (["-o", "hub=http://x,hub=http://x", "MP"], ["http://x", "twice"]),
    (["--control-listen=127.0.0.1", "MP"], ["control-listen", "127.0.0.1", "ADDRESS:PORT"]),
    # Secrets in the wrong place.
    (["--token-file=" + TOKEN, "MP"], ["token file", "not repeated"]),
    (["--token-file=" + TOKEN[3:], "MP"], ["token file", "not repeated"]),
    (["-o", "token_file=" + TOKEN, "MP"], ["token file"]),
    (["--hub=https://host/?token=" + TOKEN[3:], "MP"], ["https://host/", "without ?"]),
    (["--hub=https://host#" + TOKEN[3:], "MP"], ["https://host"]),
    ([f"--hub=https://user:{TOKEN[3:]}@host", "MP"], ["hub", "--token-file"]),
    ([f"--hub=https://{TOKEN}@host", "MP"], ["hub", "--token-file"]),
    (["--hub=" + TOKEN, "MP"], ["hub"]),
    ([TOKEN, "MP"], ["SOURCE"]),
    (["-o", TOKEN, "MP"], ["There is no parameter"]),
    (["--" + TOKEN, "MP"], ["There is no parameter"]),
    (["--control-listen=" + TOKEN, "MP"], ["control-listen"]),
    (["--config=" + TOKEN, "MP"], ["configuration file"]),
])
def test_bad_usage_is_told_and_nothing_is_mounted(tmp_path, args, words):
    (tmp_path / "models").mkdir()
    done = program(*[a if a != "MP" else tmp_path / "models" for a in args], env={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr, (word, done.stderr)
    assert done.stderr.startswith("matrixfs: ") and TOKEN[3:] not in done.stderr and "pass@" not in done.stderr
    assert not mounts_below(tmp_path) and os.listdir(tmp_path) == ["models"]


@pytest.mark.parametrize("text, words", [
    ("hub = http://x\nspeed = 9\n", [":2", "speed"]),
    ("\n# words\nref-ttl = soon\n", [":3", "ref-ttl", "soon"]),
    ("offline = perhaps\n", [":1", "offline", "yes", "no"]),
    ("log-level = loud\n", [":1", "log-level", "debug"]),
    ("just words\n", [":1"]),
    ("hub = http://x\nhub = gopher://y\n", [":2", "gopher://y"]),
    ("cache-size = 3 bananas\n", [":1", "cache-size", "bananas"]),
    ("config = /etc/other\n", ["config"]),
    ("ref-ttl = 5\0\n", [":1"]),
])
def test_a_bad_configuration_file_names_line_and_key(tmp_path, text, words):
    (tmp_path / "models").mkdir()
    conf = tmp_path / "my.conf"
    conf.write_text(text)
    done = program(f"--config={conf}", f"--cache={tmp_path}/cache", tmp_path / "models")
    assert done.returncode == 2, done.stderr
    for word in [str(conf), *words]:
        assert word in done.stderr, (word, done.stderr)
    assert not mounts_below(tmp_path) and not (tmp_path / "cache").exists()


def test_a_good_configuration_file(hub, mount, tmp_path):
    fill(hub)
    conf = tmp_path / "my.conf"
    conf.write_text(f"# where from\nhub = {hub.url}\nhub=http://127.0.0.1:9/ \n\nref-ttl = 5min\ncache-size = 1GiB # plenty\npassthrough = no\n")
    m = mount([], args=[f"--config={conf}"])
    assert read(m.file("org/tiny", "w.safetensors")) == DATA
    assert f"hub={hub.url} " in m.logged("mounted") and m.logged("passthrough=no")


@pytest.mark.parametrize("given, wins", [
    ({"env"}, "env"), ({"env", "file"}, "file"), ({"file", "-o"}, "-o"), ({"env", "file", "-o", "--hub"}, "--hub"), ({"-o", "--hub"}, "--hub"),
    ({"env", "--hub"}, "--hub"), ({"env", "-o"}, "-o")])
def test_precedence(mount, tmp_path, given, wins):
    url = {name: f"http://127.0.0.1:{port}" for port, name in enumerate(("env", "file", "-o", "--hub"), 11)}
    args = ["--hub=" + url["--hub"]] * ("--hub" in given)        # before -o: the order on the line does not matter
    if "file" in given:
        (tmp_path / "my.conf").write_text(f"hub = {url['file']}\n")
        args.append(f"--config={tmp_path / 'my.conf'}")
    if "-o" in given:
        args.append("-ohub=" + url["-o"])
    m = mount([], args=args, env={"HF_ENDPOINT": url["env"]} if "env" in given else {})
    assert f"hub={url[wins]} " in m.logged("mounted")


def test_hf_endpoint(hub, mount):
    fill(hub)
    m = mount([], env={"HF_ENDPOINT": hub.url + "/"})
    assert read(m.file("org/tiny", "config.json")) == SMALL


# ---- what cannot be mounted ----

def test_mount_points_that_cannot_be(hub, mount, tmp_path):
    (tmp_path / "file").write_text("")
    for root, word in ((tmp_path / "none", "mkdir"), (tmp_path / "file", "not a directory")):
        m = mount(hub, root=root, expect_fail=True)
        assert m.status == 1 and m.logged(word), m.log_text()
    busy = mount(hub, root=None)
    m = mount(hub, root=busy.root, expect_fail=True)
    assert m.status == 1 and m.logged("in use") and m.logged("umount") and names(busy.root)
    # In the background the message and the status come back, too.
    done = program(f"--hub={hub.url}", f"--cache={busy.cache}", "--background", tmp_path / "none")
    assert done.returncode == 1 and "mkdir" in done.stderr


def test_a_mount_point_with_odd_characters(hub, mount, tmp_path):
    fill(hub)
    root = tmp_path / "my models \t\\040\n,x=y"
    root.mkdir()
    m = mount(hub, root=root)
    assert read(m.file("org/tiny", "config.json")) == SMALL
    other = mount(hub, root=root, expect_fail=True)
    assert other.status == 1 and other.logged("in use")
    m.crash()
    m = mount(hub, root=root)
    assert read(m.file("org/tiny", "config.json")) == SMALL


def test_a_cache_in_use_is_refused_and_its_user_named(hub, mount, tmp_path):
    fill(hub)
    first = mount(hub, cache=tmp_path / "cache")
    second = mount(hub, cache=tmp_path / "cache", expect_fail=True)
    assert second.status == 1 and second.logged(str(first.pid)) and second.logged(re.escape(str(first.root)))
    assert not mounts_below(second.root) and read(first.file("org/tiny", "config.json")) == SMALL


# ---- what the mount is ----

def test_the_kernel_s_view(hub, mount):
    fill(hub)
    m = mount(hub, args=["-o", "nodev,nosuid,noexec,noatime"])
    line = next(x for x in open("/proc/mounts") if x.split()[1] == str(m.root)).split()
    assert line[0] == "matrixfs" and line[2] == "fuse.matrixfs"
    assert {"rw", "nodev", "nosuid", "noexec", "noatime", "allow_other"} <= set(line[3].split(","))
    device = stat(m.root).st_dev
    bdi = pathlib.Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    assert int(bdi.read_text()) >= 8192
    m = mount(hub, args=["--strict-ro", "--allow-other=no"])
    line = next(x for x in open("/proc/mounts") if x.split()[1] == str(m.root)).split()
    assert "ro" in line[3].split(",") and "allow_other" not in line[3]


def test_background(hub, tmp_path):
    fill(hub)
    root, cache = tmp_path / "models", tmp_path / "cache"
    root.mkdir()
    done = program(f"--hub={hub.url}", "--cache=cache", "--cache-min-free=0", "--background", root, cwd=tmp_path)
    pids = daemons_of(tmp_path)
    try:
        assert done.returncode == 0, done.stderr
        holder = next(pid for pid in pids if not any(pid in children(other) for other in pids))
        daemon, = children(holder)
        assert mounts_below(root) == [str(root)]
        assert read(root / "files/org/tiny/w.safetensors") == DATA
        log = cache / "matrixfs.log"
        assert f"mounted mountpoint={root}" in log.read_text() and log.stat().st_mode & 0o077 == 0
        assert all(os.readlink(f"/proc/{pid}/fd/0") == "/dev/null" and os.getsid(pid) != os.getsid(0) for pid in pids)
        os.kill(daemon, signal.SIGKILL)
        assert read(root / "files/org/tiny/config.json") == SMALL and eventually(lambda: "took over" in log.read_text())
        assert eventually(lambda: children(holder)) != [daemon]
        os.kill(holder, signal.SIGTERM)
        assert eventually(lambda: not daemons_of(tmp_path) and not mounts_below(root))
        assert "unmounting" in log.read_text()
    finally:
        for pid in daemons_of(tmp_path):
            os.kill(pid, signal.SIGKILL)
        for path in mounts_below(root):
            lazy_umount(path)


IN_NAMESPACE = r"""
set -e
mount --make-rprivate /
mkdir "$T/sbin"
ln -s "$PROGRAM" "$T/sbin/mount.fuse.matrixfs"
mount --bind "$T/sbin" /usr/sbin
[ /sbin -ef /usr/sbin ] || mount --bind "$T/sbin" /sbin
trap 'umount "$T/models" 2>/dev/null || umount -l "$T/models" 2>/dev/null || true' EXIT
%s
grep " $T/models " /proc/mounts
cat "$T/models/files/org/tiny/config.json"
umount "$T/models"
for n in $(seq 200); do grep -q unmounting "$T/cache/matrixfs.log" && break; sleep 0.1; done
cat "$T/cache/matrixfs.log"
"""


@pytest.mark.parametrize("how", ["mount -t", "fstab", "bad option"])
def test_mount_and_fstab(hub, tmp_path, how):
    """mount(8) in a mount namespace of its own, where the helper is in the one place it looks."""
    fill(hub)
    (tmp_path / "models").mkdir()
    options = f"cache={tmp_path}/cache,cache-min-free=0,ref_ttl=5,_netdev,nofail,noatime,x-systemd.automount"
    if how == "fstab":
        (tmp_path / "fstab").write_text(f"{hub.url} {tmp_path}/models fuse.matrixfs {options} 0 0\n")
        command = 'mount -T "$T/fstab" "$T/models"'
    else:
        command = f'mount -t fuse.matrixfs -o {options}{",speed=9" * (how == "bad option")} {hub.url} "$T/models"'
    done = subprocess.run(["unshare", "-m", "bash", "-c", IN_NAMESPACE % command], capture_output=True, text=True, timeout=DEADLINE,
                          env={"PATH": os.environ["PATH"], "T": str(tmp_path), "PROGRAM": str(PROGRAM), "HOME": "/nonexistent"})
    if how == "bad option":
        assert done.returncode != 0 and "speed" in done.stderr and not (tmp_path / "cache").exists()
        return
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"matrixfs {tmp_path}/models fuse.matrixfs rw," in done.stdout and "noatime" in done.stdout
    assert SMALL.decode() in done.stdout and f"hub={hub.url} " in done.stdout and "unmounting" in done.stdout
    assert not mounts_below(tmp_path)


# ---- tokens ----

@pytest.mark.parametrize("how", ["--token-file", "token-file in lines", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME/token"])
def test_tokens_reach_their_hub_and_nobody_else(mount, tmp_path, how):
    (tmp_path / "token").write_text(f"# mine\n{TOKEN}\n" if how == "--token-file" else TOKEN + "\n")
    with Hub(cdn=True) as hub, Hub() as second:
        hub.token(TOKEN)
        fill(hub, private=True)
        fill(second, "org/public")
        if how == "token-file in lines":
            (tmp_path / "token").write_text(f"# two hubs\nhttp://other.example hf_{'x' * 34}\n{hub.url} {TOKEN}\n")
        os.chmod(tmp_path / "token", 0o600)
        (tmp_path / "home").mkdir()
        shutil.copy(tmp_path / "token", tmp_path / "home/token")
        args = [f"--token-file={tmp_path}/token"] if "file" in how else []
        env = {"HF_TOKEN": {"HF_TOKEN": TOKEN}, "HF_TOKEN_PATH": {"HF_TOKEN_PATH": f"{tmp_path}/token"},
               "HF_HOME/token": {"HF_HOME": f"{tmp_path}/home"}}.get(how, {})
        m = mount([hub, second], args=[*args, "--log-level=debug"], env=env, timeout=10)
        assert read(m.file("org/tiny", "w.safetensors")) == DATA
        assert read(m.file("org/public", "config.json")) == SMALL
        assert all(q.has_auth for q in hub.requests(on="hub")) and hub.requests(on="hub")
        assert hub.requests(on="cdn") and not any(q.has_auth for q in hub.requests(on="cdn"))
        assert second.requests() and not any(q.has_auth for q in second.requests())
        assert TOKEN.encode() not in pathlib.Path(f"/proc/{m.pid}/cmdline").read_bytes()
        assert TOKEN not in m.log_text()
        m.stop()
        assert not [f for f in m.cache.rglob("*") if f.is_file() and TOKEN.encode() in f.read_bytes()]
        # The twin: without it the private repo is not there.
        m = mount([hub, second], timeout=10)
        assert fails(read, m.file("org/tiny", "config.json")) in ("ENOENT", "EACCES") and read(m.file("org/public", "config.json")) == SMALL


# ---- without root ----

def nobody(*command):
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *map(str, command)]


def test_not_root_works_without_passthrough_or_says_why(hub):
    fill(hub)
    base = pathlib.Path(tempfile.mkdtemp(prefix="matrixfs-nobody-", dir="/tmp"))
    os.chmod(base, 0o755)
    binary = shutil.copy(PROGRAM, base / "matrixfs")
    home, root = base / "home", base / "home/models"
    root.mkdir(parents=True)
    for path in (home, root):
        os.chown(path, 65534, 65534)
    process = subprocess.Popen(nobody(binary, f"--hub={hub.url}", "--cache-min-free=0", root), stderr=subprocess.PIPE, text=True,
                               env={"PATH": os.environ["PATH"], "HOME": str(home)})
    try:
        mounted = eventually(lambda: process.poll() is not None or mounts_below(root), DEADLINE) and process.poll() is None
        if mounted:
            for path in ("files/org/tiny/w.safetensors", "files/org/tiny/w.safetensors", "files/org/tiny/config.json"):
                done = subprocess.run(nobody("cat", root / path), capture_output=True, timeout=DEADLINE)
                assert done.stdout == (DATA if "w.safe" in path else SMALL), done.stderr
            assert (home / ".cache/matrixfs/blobs").is_dir() and os.stat(home / ".cache/matrixfs").st_uid == 65534
            if fails(os.listdir, root):                       # others stay out, root among them
                assert fails(os.listdir, root) == "EACCES"
            process.terminate()
            assert process.wait(DEADLINE) == 0 and not mounts_below(root)
        log = process.stderr.read()
        assert mounted or (process.wait(DEADLINE) == 1 and re.search("fusermount3|/dev/fuse", log)), log
        assert not mounted or re.search("passthrough", log), log
    finally:
        process.kill()
        process.wait(DEADLINE)
        process.stderr.close()
        for path in mounts_below(base):
            lazy_umount(path)
        shutil.rmtree(base, ignore_errors=True)


# ---- the other libfuse ----

def test_built_with_debian_s_own_libfuse(hub, mount, monkeypatch):
    """make FUSE=system: no passthrough, else the same."""
    binary = ROOT / "build/release-system/matrixfs"
    if subprocess.run(["pkg-config", "--exists", "fuse3"]).returncode:
        pytest.skip("Debian's libfuse3-dev is not installed")
    try:
        done = subprocess.run(["make", "-s", "-C", ROOT, "FUSE=system", "-j2", binary.relative_to(ROOT)], capture_output=True, text=True, timeout=150)
    except subprocess.TimeoutExpired:
        pytest.skip("the build takes too long here")
    assert done.returncode == 0, done.stderr[-3000:]
    monkeypatch.setattr(mountlib, "PROGRAM", binary)
    fill(hub)
    m = mount(hub)
    path = m.file("org/tiny", "w.safetensors")
    assert read(path) == DATA and eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1") and read(path) == DATA
    assert "passthrough=no" in m.logged("mounted") and m.logged("FUSE library")
