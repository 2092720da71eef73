"""The ways to write to a hub that are more than a call or two, run by the tests under each client's own Python:

    python client_pushes.py WAY REPO [FOLDER]

prints as JSON what came of it. The hub, the token and the home are in the environment.
"""
import json
import pathlib
import sys


def large(repo, folder):
    """What `hf upload-large-folder` does, and since version 2 each upload of a folder: several commits, and it can go on."""
    from huggingface_hub import HfApi
    api = HfApi()
    if hasattr(api, "upload_large_folder"):
        api.upload_large_folder(repo_id=repo, folder_path=folder, repo_type="model", private=True, num_workers=2, print_report=False)
    else:
        api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder)


def scheduled(repo, folder):
    """A file that grows while somebody commits it now and then."""
    from huggingface_hub import CommitScheduler
    log = pathlib.Path(folder) / "log.txt"
    with CommitScheduler(repo_id=repo, folder_path=folder, path_in_repo="logs", every=60, private=True) as scheduler:
        scheduler.trigger().result()                    # the one at its start is over
        told = []
        for text in "one\n", "two\n":
            with scheduler.lock, log.open("a") as f:
                f.write(text)
            told.append(scheduler.trigger().result().oid)
        return {"oids": told, "unchanged": scheduler.trigger().result()}


def filesystem(repo, folder):
    from huggingface_hub import HfApi, HfFileSystem
    HfApi().create_repo(repo)
    fs = HfFileSystem()
    with fs.open(f"{repo}/deep/a.txt", "w") as f:
        f.write("written")
    fs.put(f"{folder}/w.bin", f"{repo}/w.bin")
    fs.cp_file(f"{repo}/w.bin", f"{repo}/copy.bin")
    fs.mv(f"{repo}/deep/a.txt", f"{repo}/b.txt")
    fs.rm(f"{repo}/w.bin")
    found = sorted(p.removeprefix(f"{repo}/") for p in fs.find(repo))
    return {"found": found, "text": fs.read_text(f"{repo}/b.txt"), "bytes": len(fs.read_bytes(f"{repo}/copy.bin"))}


def transformers(repo, folder):
    """A configuration and a tokenizer: saved, pushed, and loaded again from where they were pushed."""
    from transformers import AutoConfig, AutoTokenizer
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    config.save_pretrained(f"{folder}/saved", push_to_hub=True, repo_id=repo, private=True)
    tokenizer.push_to_hub(repo)
    again = AutoTokenizer.from_pretrained(repo)
    text = "One fetch per cluster"
    return {"same": again(text)["input_ids"] == tokenizer(text)["input_ids"], "hidden": AutoConfig.from_pretrained(repo).hidden_size,
            "wanted": config.hidden_size}


def datasets(repo, folder):
    from datasets import Dataset, load_dataset
    rows = {"n": list(range(1000)), "text": [f"row {n}" for n in range(1000)]}
    Dataset.from_dict(rows).push_to_hub(repo, private=True)
    Dataset.from_dict({"n": [7], "text": ["seven"]}).push_to_hub(repo, split="test")
    train, test = load_dataset(repo, split="train"), load_dataset(repo, split="test")
    return {"train": train.to_dict() == rows, "test": test[0]}


WAYS = {f.__name__: f for f in (large, scheduled, filesystem, transformers, datasets)}

if __name__ == "__main__":
    way, *words = sys.argv[1:]
    print(json.dumps(WAYS[way](*words)))
