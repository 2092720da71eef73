"""What tools/bench measures: the rows of docs/benchmarks.md, in order. Run by it, in the project's root.

Each part is a function that prints rows; it measures our side and the yardstick in turns, so that a noisy machine is
noisy for both, and compares medians.
"""
import os
import shutil
import subprocess
import sys

import bench_catalogue
import bench_commit
import bench_hub
import bench_listing
import bench_nfs
import bench_random
import bench_recorded
import bench_stream
import bench_xet
from bench_lib import DIR, RUNS, SIZE, Broken, clean_up, end_by_signals, measure, rows, unmount

PARTS = {"second": bench_stream.second, "first": bench_stream.first, "memory": bench_stream.memory, "rclone": bench_stream.rclone,
         "first-byte": bench_random.first_byte, "random": bench_random.random, "load": bench_recorded.load,
         "recorded": bench_recorded.recorded, "listing": bench_listing.listing, "nfs": bench_nfs.nfs, "hub": bench_hub.hub, "commit": bench_commit.commit,
         "catalogue": bench_catalogue.catalogue, "xet": bench_xet.xet,
         "xet-large": bench_xet.large}


def print_markdown():
    print("\n| what | ratio | of the best | figures | target | |\n|---|---|---|---|---|---|")
    for what, ratio, best_ratio, figures, aim, mark in rows:
        print(f"| {what.strip()} | {ratio} | {best_ratio} | {figures} | {aim} | {mark} |")


def main():
    words = [w for w in sys.argv[1:] if w != "--markdown"]
    if unknown := [w for w in words if w not in PARTS]:
        raise SystemExit(f"bench: there is no part {' or '.join(unknown)}; there are {', '.join(PARTS)}")
    if shutil.disk_usage(DIR).free < 9 * SIZE + (1 << 30):
        raise SystemExit(f"bench: too little room on the disk of {DIR}: SIZE=BYTES makes the file smaller")
    end_by_signals()
    for left in DIR.iterdir():          # by a run that was killed
        unmount(left)
        if left.name not in ("read", "load", "nfs"):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    try:
        measure([PARTS[word] for word in words or PARTS], f"; file of {SIZE / (1 << 20):.0f} MiB; medians of {RUNS}")
        if "--markdown" in sys.argv[1:]:
            print_markdown()
    except (Broken, AssertionError, OSError, subprocess.TimeoutExpired) as error:
        for log in "matrixfs.log", "hub.out", "nginx.out", "rclone.log":
            if (DIR / log).exists() and (text := (DIR / log).read_text().strip()):
                print(f"-- the last lines of {log}\n" + "\n".join(text.splitlines()[-5:]), file=sys.stderr)
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
