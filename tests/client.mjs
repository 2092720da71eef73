// The JavaScript client on a mount: node client.mjs CACHE_DIR HUB_URL REPO prints what came of it as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFile } from "node:fs/promises";

const [cacheDir, hubUrl, repo] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));

console.debug = () => {};
const snapshot = await hub.snapshotDownload({ repo, cacheDir, hubUrl });
const file = await hub.downloadFileToCacheDir({ repo, path: "config.json", cacheDir, hubUrl });
const scan = await hub.scanCacheDir(cacheDir);
const found = scan.repos.find((r) => r.id.name === repo);
console.log(JSON.stringify({
	snapshot,
	file: await readFile(file, "utf8"),
	warnings: scan.warnings.map(String),
	size: found.size,
	refs: found.revisions.flatMap((r) => r.refs),
	files: found.revisions.flatMap((r) => r.files.map((f) => f.path)),
}));
