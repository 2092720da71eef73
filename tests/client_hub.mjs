// What the JavaScript client is told by a hub: node client_hub.mjs HUB_URL REPO SEARCH prints it as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [hubUrl, repo, search] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));

async function all(list) {
	const found = [];
	for await (const item of list) found.push(item.path ?? item.name ?? item.oid);
	return found.sort();
}
const file = await hub.downloadFile({ repo, path: "model.safetensors", hubUrl, xet: false });
const bytes = Buffer.from(await file.arrayBuffer());
const part = Buffer.from(await file.slice(1000, 1010).arrayBuffer());
const info = await hub.fileDownloadInfo({ repo, path: "model.safetensors", hubUrl });
console.log(JSON.stringify({
	files: await all(hub.listFiles({ repo, recursive: true, hubUrl })),
	below: await all(hub.listFiles({ repo, path: "onnx", hubUrl, revision: "refs/pr/1" })),
	paths: (await hub.pathsInfo({ repo, paths: ["config.json", "none", "onnx"], hubUrl })).map((i) => i.path),
	exists: [await hub.fileExists({ repo, path: "config.json", hubUrl }), await hub.fileExists({ repo, path: "none", hubUrl })],
	repoExists: [await hub.repoExists({ repo, hubUrl }), await hub.repoExists({ repo: "org/none", hubUrl })],
	commits: await all(hub.listCommits({ repo, hubUrl })),
	count: await hub.countCommits({ repo, hubUrl }),
	sha: (await hub.modelInfo({ name: repo, hubUrl, additionalFields: ["sha"] })).sha,
	models: await all(hub.listModels({ hubUrl, search: { query: search } })),
	size: [info.size, file.size, bytes.length],
	part: part.toString("hex"),
}));
