"""Where the list of members comes from, and what it says of them: names, a hub; and weights."""
import os
import subprocess

import pytest

from mountlib import eventually
from hubd import Hubd
from peers import Cluster, why_not
from sharing import MIB, REPO, by_source, make_model, model, publish, right, shared, size_of     # noqa: F401

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
MODEL_BYTES = 16 * MIB
SPARE = "127.0.0.1:9"


def write_list(cluster, words):
    """The file of members, {node: what is said of it}, renamed into place; --peers for it."""
    path = cluster.tmp / "members"
    path.with_suffix(".part").write_text("# of a test\n" + "".join(f"{node.address} {text}\n" for node, text in words.items()))
    path.with_suffix(".part").rename(path)
    return f"file:{path}"


def knows(node, nodes):
    return set(node.peers()) == {n.address for n in nodes} | {node.address}


# ---- lists ----

def has_private_mounts():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not has_private_mounts(), reason="no mount namespaces here")
@pytest.mark.parametrize("name", ["cluster.test", "another.test"])
def test_members_that_a_name_has(shared, model, tmp_path, name):
    """The name's records stand in a hosts file that only the nodes see. The twin: of another name nothing is known."""
    with Cluster(tmp_path, shared, 4, start=False) as cluster:
        hosts = tmp_path / "hosts"
        hosts.write_text("".join(f"{n.host} cluster.test\n" for n in cluster.nodes))
        cluster.members = f"dns:{name}:{cluster.port}"
        for node in cluster.nodes:
            node.wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, model), model)
        if name == "cluster.test":
            assert all(knows(node, cluster.nodes) for node in cluster.nodes)
            assert cluster.upstream_bytes() <= 1.02 * size_of(model)
        else:
            assert all(knows(node, []) for node in cluster.nodes)
            assert cluster.upstream_bytes() == 4 * size_of(model)


@pytest.mark.parametrize("keyed", [True, False])
def test_members_that_their_hub_has(shared, model, tmp_path, keyed):
    """By a real matrixhubd, which has the model from upstream. The twin: a hub without the key lists nobody."""
    cluster = Cluster(tmp_path, shared, 4, members="hub", start=False)
    hubd = Hubd(tmp_path, shared, args=[f"--cluster-key-file={cluster.key_file}"] if keyed else [])
    try:
        cluster.relay.pair("hubd", f"127.3.0.2:{cluster.port}", f"127.0.0.1:{hubd.port}", 0, 0, 0)
        cluster.hub_url = f"http://127.3.0.2:{cluster.port}"
        with cluster:
            cluster.start(*cluster.nodes)
            if keyed:
                assert eventually(lambda: all(knows(node, cluster.nodes) for node in cluster.nodes), 40)
            assert right(cluster.load(REPO, model), model)
            from_hub = sum(by_source(node)[0] for node in cluster.nodes)
            assert from_hub <= 1.02 * size_of(model) if keyed else from_hub == 4 * size_of(model)
            assert shared.bytes_sent(path_re="/resolve/") <= 1.02 * size_of(model)
    finally:
        hubd.stop()


# ---- weights ----

def between_zones(zones):
    """Bytes that nodes got from members of another zone."""
    addresses = [{n.address for n in zone} for zone in zones]
    return sum(m["bytes_in"] for own, zone in zip(addresses, zones) for node in zone
               for address, m in node.peers().items() if address not in own)


@pytest.mark.parametrize("weight", [3, 1])
def test_who_has_three_times_the_weight_brings_three_times_as_much(hub, tmp_path, weight):
    """Of many small files, that each have an owner."""
    directory = tmp_path / "many"
    directory.mkdir()
    make_model(directory, 120 * 96 * 1024, 120)
    publish(hub, directory)
    with Cluster(tmp_path, hub, 4, start=False) as cluster:
        heavy, *others = cluster.nodes
        cluster.members = write_list(cluster, {n: f"weight={weight if n is heavy else 1}" for n in cluster.nodes})
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, directory), directory)
        assert cluster.upstream_bytes() <= 1.02 * size_of(directory)
        usual = sum(by_source(node)[0] for node in others) / len(others)
        times = by_source(heavy)[0] / usual
        assert 1.8 <= times <= 5 if weight == 3 else times <= 1.8, times


# ---- who comes anew ----

@pytest.mark.parametrize("new", [True, False])
def test_who_is_new_in_the_list_takes_nothing_from_upstream(hub, tmp_path, new):
    """What it owns from then on others have: it asks them. The twin was in the list before."""
    directory = tmp_path / "large"
    directory.mkdir()
    publish(hub, make_model(directory, 64 * MIB, 1))
    with Cluster(tmp_path, hub, 5, start=False, timeout=20) as cluster:
        first, last = cluster.nodes[:3], cluster.nodes[3:]
        cluster.members = write_list(cluster, dict.fromkeys(first if new else cluster.nodes, ""))
        cluster.start(*cluster.nodes)
        assert right(cluster.load(REPO, directory, first), directory)
        before = cluster.upstream_bytes()
        write_list(cluster, dict.fromkeys(cluster.nodes, ""))
        assert eventually(lambda: all(knows(node, cluster.nodes) for node in cluster.nodes), 20)
        assert right(cluster.load(REPO, directory, last, step=16 * MIB), directory)
        assert cluster.upstream_bytes() - before <= 0.02 * size_of(directory), (cluster.upstream_bytes() - before) / MIB
