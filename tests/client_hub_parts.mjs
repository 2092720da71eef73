// How the JavaScript client sends a large file in parts: node client_hub_parts.mjs HUB_URL REPO TOKEN FILE prints what it is told as JSON.
import { openAsBlob } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [hubUrl, repo, accessToken, path] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));
const at = { repo, accessToken, hubUrl };
const seen = new Set();

await hub.createRepo({ ...at, private: true });
const files = [{ path: "w.bin", content: await openAsBlob(path) }, { path: "a.txt", content: new Blob(["a"]) }];
for await (const event of hub.uploadFilesWithProgress({ ...at, useXet: false, files })) seen.add(event.event === "phase" ? event.phase : event.state);
const got = await hub.downloadFile({ ...at, path: "w.bin", xet: false });
const sum = await crypto.subtle.digest("SHA-256", await got.arrayBuffer());
console.log(JSON.stringify({ seen: [...seen], sha256: Buffer.from(sum).toString("hex") }));
