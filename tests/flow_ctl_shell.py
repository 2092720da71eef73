"""matrixctl in a shell: lines are completed by bash as by hand, and what it tells clients to export is all they need."""
import json
import os
import pathlib
import pty
import select
import shutil
import subprocess
import time

import pytest

import models
from flow_hub_ctl import CTL, commands
from flow_ctl_mount import node, run
from mountlib import DEADLINE

ROOT = pathlib.Path(__file__).parent.parent
BIG = models.big_file((1 << 20) + 7, seed=421)
FILES = {"config.json": b'{"model_type": "bert"}', "w.safetensors": BIG}
REPO = "org/tiny"
ENV = {"PATH": f"{CTL.parent}:{os.environ['PATH']}"}


# ---- completion ----

def completed(line, breaks=" \t\n\"'><=;|&(:"):
    """What bash offers where the line ends."""
    script = f"""eval "$(matrixctl completion bash)"; COMP_WORDBREAKS=$1; COMP_LINE=$2; COMP_POINT=${{#COMP_LINE}}
                 _matrixctl; printf '%s\\n' "${{COMPREPLY[@]}}"; complete -p matrixctl"""
    done = subprocess.run(["bash", "--norc", "-uc", script, "bash", breaks, line], env=ENV, capture_output=True, text=True, timeout=DEADLINE)
    *words, spec = done.stdout.splitlines()
    assert done.returncode == 0 and not done.stderr and spec == "complete -o default -F _matrixctl matrixctl", done
    return [w for w in words if w]


@pytest.mark.parametrize("line, words", [
    ("matrixctl use", ["user"]), ("matrixctl org member ", ["add", "list", "remove"]), ("matrixctl pull x --no-", ["--no-wait"]),
    ("matrixctl pull --type=da", ["dataset"]), ("matrixctl none ", [])])
def test_bash_completes_a_line(line, words):
    assert completed(line) == words


def test_bash_completes_a_value_as_it_parts_words():
    """Where "=" is no break between words, the whole word is offered."""
    assert completed("matrixctl pull --type=da", breaks=" \t\n") == ["--type=dataset"]


def test_no_command_is_left_out_by_completion():
    first = {c.split()[0] for c in commands()}
    assert set(completed("matrixctl ")) == first
    assert run("completion", "words", "matrixctl org member ")[1].split() == ["add", "list", "remove"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh_takes_the_script():
    script = 'autoload -U compinit; compinit -D; eval "$(matrixctl completion zsh)"; print $_comps[matrixctl]'
    done = subprocess.run(["zsh", "-fc", script], env=ENV, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "_matrixctl\n", "")


def typed_in_zsh(home, line, until):
    """What a zsh that has the script shows, from its prompt on, when `line` is typed: to `until`, if that comes."""
    (home / ".zshrc").write_text('PS1="ready>"; autoload -U compinit; compinit -D; eval "$(matrixctl completion zsh)"\n')
    (home / ".zshenv").write_text("unsetopt GLOBAL_RCS\n")
    master, slave = pty.openpty()
    shell = subprocess.Popen(["zsh", "-i"], stdin=slave, stdout=slave, stderr=slave, env=ENV | {"TERM": "dumb", "ZDOTDIR": str(home)},
                             start_new_session=True)
    os.close(slave)

    def shown(text):
        seen, deadline = "", time.monotonic() + DEADLINE
        while text not in seen and (left := deadline - time.monotonic()) > 0:
            if select.select([master], [], [], left)[0]:
                seen += os.read(master, 4096).decode()
        return seen
    try:
        assert "ready>" in shown("ready>")
        os.write(master, line.encode())
        return shown(until)
    finally:
        shell.kill()
        shell.wait(DEADLINE)
        os.close(master)


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
@pytest.mark.parametrize("line, rest", [("matrixctl use\t", "r "), ("matrixctl pull --type=da\t", "taset "), ("matrixctl org member r\t", "emove ")])
def test_zsh_completes_a_line(tmp_path, line, rest):
    """The twin has no tab: what is typed next stands right behind."""
    assert line.rstrip("\t") + rest in typed_in_zsh(tmp_path, line, rest)
    assert line.rstrip("\t") + "#" in typed_in_zsh(tmp_path, line.rstrip("\t") + "#", "#")


# ---- env ----

def client(lines, code):
    """A client in a shell that took these lines."""
    python = ROOT / "build/venv/hub-1.24/bin/python"
    if not python.exists():
        pytest.skip(f"{python} is missing: run tools/deps")
    return subprocess.run(["bash", "-uc", 'eval "$1"; exec "$2" -c "$3"', "bash", lines, python, code], env=ENV, capture_output=True,
                          text=True, timeout=DEADLINE)


def test_a_client_reads_from_the_mount_by_what_it_is_told(tiny, mount):
    """It asks nobody: its hub does not exist. The twin has not been told, and fails."""
    m = mount(tiny)
    status, lines, err = run(node(m), "env")
    assert status == 0 and not err and f"export HF_HUB_CACHE={m.root}/hub\n" in lines
    code = f"import huggingface_hub as h; print(len(open(h.hf_hub_download('{REPO}', 'w.safetensors'), 'rb').read()))"
    done = client("export HF_ENDPOINT=http://127.0.0.1:1\n" + lines, code)
    assert done.returncode == 0 and done.stdout == f"{len(BIG)}\n", done.stderr
    assert client(f"export HF_ENDPOINT=http://127.0.0.1:1 HF_HUB_CACHE=/nonexistent", code).returncode != 0


def test_a_mount_point_that_is_more_than_a_line_is_told_no_shell(tiny, mount, tmp_path):
    """The twin is one with blanks and quotes."""
    for name, status in ("a b'$(touch x)", 0), ("a\ntouch x", 1):
        (tmp_path / name).mkdir()
        m = mount(tiny, root=tmp_path / name)
        told = run(node(m), "env", "--engine=llama.cpp")
        assert told[0] == status and ("touch" in told[1]) == (status == 0), told
        assert json.loads(run(node(m), "env", "--json")[1])["set"]["HF_HUB_CACHE"] == f"{m.root}/hub"
        m.stop()


def test_each_engine_is_told_what_is_its_own(tiny, mount):
    m = mount(tiny)
    told = {e: json.loads(run(node(m), "env", f"--engine={e}", "--json")[1])
            for e in ("transformers", "vllm", "sglang", "llama.cpp", "sentence-transformers", "tgi")}
    for engine, answer in told.items():
        assert answer["engine"] == engine and answer["by"] == "mount" and answer["set"]["HF_HUB_CACHE"] == f"{m.root}/hub"
    assert "--safetensors-load-strategy=prefetch" in told["vllm"]["notes"][1]
    assert f"-m {m.root}/files/ORG/NAME/FILE.gguf" in told["llama.cpp"]["notes"][1]
    assert told["tgi"]["set"]["HUGGINGFACE_HUB_CACHE"] == f"{m.root}/hub" and "HUGGINGFACE_HUB_CACHE" not in told["vllm"]["set"]
    assert told["sentence-transformers"]["unset"] == ["SENTENCE_TRANSFORMERS_HOME"]
    assert run(node(m), "env", "--engine=none")[0] == 2


def test_of_a_hub_clients_are_told_its_address(tiny, hubd):
    h = hubd(tiny)
    status, lines, _ = run(f"--hub={h.url}", "env", "--engine=vllm")
    assert status == 0 and f"export HF_ENDPOINT={h.url}\n" in lines and "HF_HUB_CACHE" not in lines and "unset HF_HUB_OFFLINE\n" in lines
    done = client(lines + "export HF_HUB_CACHE=/dev/null/none\n", f"import huggingface_hub as h; print(h.model_info('{REPO}').id)")
    assert done.stdout == REPO + "\n", done.stderr
