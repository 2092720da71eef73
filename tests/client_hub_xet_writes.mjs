// How the JavaScript client writes by Xet, in its default settings: node client_hub_xet_writes.mjs HUB_URL REPO TOKEN FILE PATH
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [hubUrl, repo, accessToken, file, path] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));
await hub.uploadFile({ repo, accessToken, hubUrl, file: { path, content: new Blob([readFileSync(file)]) } });
