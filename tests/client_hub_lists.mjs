// What the JavaScript client finds: node client_hub_lists.mjs HUB_URL OWNER prints it as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [hubUrl, owner] = process.argv.slice(2);
const require = createRequire(`${process.env.JS_CLIENT}/package.json`);
const hub = await import(pathToFileURL(require.resolve("@huggingface/hub")));

async function names(list) {
	const found = [];
	for await (const item of list) found.push(item.name);
	return found;
}
const models = (search, more = {}) => names(hub.listModels({ hubUrl, search, ...more }));
const info = await hub.modelInfo({ hubUrl, name: `${owner}/alpha`, additionalFields: ["safetensors", "tags", "cardData", "library_name"] });
console.log(JSON.stringify({
	all: await models({}),
	owner: await models({ owner }),
	query: await models({ query: "alp" }),
	task: await models({ task: "text-generation" }),
	tags: await models({ tags: ["license:mit", "moe"] }),
	sorted: await models({}, { sort: "downloads", limit: 1 }),
	datasets: await names(hub.listDatasets({ hubUrl, search: { tags: ["language:en"] } })),
	spaces: await names(hub.listSpaces({ hubUrl, search: { query: "spa" } })),
	info,
}));
