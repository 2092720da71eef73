from flow_peers import *
import os, time
def test_n(shared, model, tmp_path):
    n=int(os.environ.get("N","8"))
    t=time.time()
    with Cluster(tmp_path, shared, n) as cluster:
        print("started", time.time()-t)
        t=time.time()
        loads = cluster.load(REPO, model)
        print("loaded", time.time()-t, max(l['seconds'] for l in loads))
        print("up", cluster.upstream_bytes()/size_of(model), [round(x/size_of(model),2) for x in sorted(cluster.sent().values())])
        print(max(l["VmHWM"] for l in loads))
        assert right(loads, model)
        t=time.time()
    import glob
    os.system(f"rm -rf /tmp/plogs; mkdir /tmp/plogs; cp -r {tmp_path}/*log* /tmp/plogs 2>/dev/null; find {tmp_path} -maxdepth 2 -name \"*log*\" | head -3")
    print("stopped", time.time()-t)
