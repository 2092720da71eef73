"""Rows about repositories of very many files."""
from bench_lib import DIR, MNT, RUNS, Mount, Origin, median, row, timed

PAGE = 1000         # entries of a tree page


def listing():
    many, most = 10000, 50000
    with Origin(nginx=False, type="datasets/", many=str(many)) as origin:
        pages, first, asked, again = ([] for _ in range(4))
        for _ in range(RUNS):
            before = origin.requests("/tree/")
            with Mount(origin) as mount:
                home = MNT / "hub/datasets--bench--many"
                first.append(timed("sh", "-c", f"ls -lR {home}/snapshots/$(cat {home}/refs/main)"))
                pages.append(origin.requests("/tree/") - before)
                before, seen = origin.requests(), mount.snapshot("many")
                again.append(timed("ls", "-lR", seen))
                asked.append(origin.requests() - before)
    row(f"tree pages of a first ls -lR, {many} files", median(pages), unit="requests", at_most=-(-many // PAGE),
        commands=(f"ls -lR {home}/snapshots/$(cat {home}/refs/main)",))
    row("  its time", median(first), unit="s", at_most=2)
    row("requests of a second ls -lR", median(asked), unit="requests", at_most=0, commands=(["ls -lR", seen],))
    row("  its time", median(again), unit="s", at_most=0.5)
    with Origin(nginx=False, type="datasets/", most=str(most)) as origin, Mount(origin, "--timeout=60") as mount:
        timed("ls", "-lR", mount.snapshot("most"))
        row(f"peak memory, ls -lR of {most} files", mount.memory("VmHWM") / 1e6, unit="MB", at_most=60,
            commands=["VmHWM in /proc/PID/status"])
        timed("ls", "-lLR", mount.snapshot("most"))
        row("  and of ls -lLR, which looks up all blobs, too", mount.memory("VmHWM") / 1e6, unit="MB", at_most=60)
