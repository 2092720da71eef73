// What the JavaScript client writes to a hub: node client_hub_writes.mjs HUB_URL REPO TOKEN prints what it is told as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [hubUrl, repo, accessToken] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));
const at = { repo, accessToken, hubUrl };

async function all(list) {
	const found = [];
	for await (const item of list) found.push(item.path ?? item.title);
	return found;
}
async function failure(call) {
	try {
		await call();
		return null;
	} catch (error) {
		return [error.statusCode, error.message];
	}
}
const made = await hub.createRepo({ ...at, private: false });
const twice = await failure(() => hub.createRepo({ ...at }));
const up = await hub.uploadFiles({ ...at, commitTitle: "three", useXet: false, files: [
	{ path: "a/one.txt", content: new Blob(["one"]) }, { path: "two.txt", content: new Blob(["two"]) },
	{ path: "w.bin", content: new Blob([new Uint8Array(300000).fill(7)]) },
] });
const next = await hub.commit({ ...at, title: "less", parentCommit: up.commit.oid, useXet: false, operations: [
	{ operation: "delete", path: "two.txt" }, { operation: "addOrUpdate", path: "a/one.txt", content: new Blob(["1"]) },
] });
const late = await failure(() => hub.commit({ ...at, title: "late", parentCommit: up.commit.oid, useXet: false, operations: [
	{ operation: "addOrUpdate", path: "late.txt", content: new Blob(["l"]) },
] }));
await hub.createBranch({ ...at, branch: "dev" });
await hub.createBranch({ ...at, branch: "bare", empty: true });
await hub.deleteFile({ ...at, path: "a/one.txt", branch: "dev" });
const told = {
	url: made.repoUrl, id: made.id?.length, twice, urls: [up.commit.url, next.commit.url], oids: [up.commit.oid, next.commit.oid], late,
	files: (await all(hub.listFiles({ ...at, recursive: true }))).sort(), dev: (await all(hub.listFiles({ ...at, revision: "dev" }))).sort(),
	bare: await all(hub.listFiles({ ...at, revision: "bare" })), titles: await all(hub.listCommits(at)), count: await hub.countCommits(at),
	text: await (await hub.downloadFile({ ...at, path: "a/one.txt", xet: false })).text(),
	bytes: (await (await hub.downloadFile({ ...at, path: "w.bin", xet: false })).arrayBuffer()).byteLength,
	deleted: await failure(() => hub.deleteBranch({ ...at, branch: "dev" })), exists: await hub.repoExists(at),
};
await hub.deleteRepo(at);
console.log(JSON.stringify({ ...told, gone: await hub.repoExists(at) }));
