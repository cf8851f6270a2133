// Runs the JavaScript of docs/UPLOAD.md against an API, right and wrong.
// Usage: node tests/upload.mjs API
import { readFileSync } from "node:fs";

const text = readFileSync(new URL("../docs/UPLOAD.md", import.meta.url), "utf8");
const blocks = [...text.matchAll(/^```js\n(.*?)^```$/gms)];
if (blocks.length !== 1) throw new Error(`docs/UPLOAD.md has ${blocks.length} blocks of js`);
const upload = new Function(`${blocks[0][1]}; return upload;`)();

const api = process.argv[2];
const bytes = new Uint8Array(300_000).fill(7);
const confirmed = await upload(api, new File([bytes], "photo.jpg", { type: "image/jpeg" }));
if (confirmed.status !== "UPLOADED") throw new Error(JSON.stringify(confirmed));

// Other bytes than were declared are refused, and fetch hears it while it still sends.
const wrong = new File([bytes], "photo.jpg", { type: "image/jpeg" });
wrong.arrayBuffer = async () => new ArrayBuffer(1);
const refused = await upload(api, wrong).then(() => "taken", (error) => error.message);
if (!refused.startsWith("400: ")) throw new Error(refused);
console.log("an upload by JavaScript: UPLOADED; other bytes than declared: refused");
