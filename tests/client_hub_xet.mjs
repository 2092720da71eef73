// How the JavaScript client reads by Xet: node client_hub_xet.mjs HUB_URL REPO TOKEN [FROM TO] prints what it got as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [hubUrl, repo, accessToken, from, to] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));
let got = await hub.downloadFile({ repo, accessToken, hubUrl, path: "w.bin" });
if (to) got = got.slice(Number(from), Number(to));
const sum = await crypto.subtle.digest("SHA-256", await got.arrayBuffer());
console.log(JSON.stringify({ kind: got.constructor.name, sha256: Buffer.from(sum).toString("hex") }));
