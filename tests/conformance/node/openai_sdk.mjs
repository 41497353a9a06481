// The tour with the official Node SDK: node openai_sdk.mjs URL KEY

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI, { toFile } from "openai";
import { all, doing } from "./report.mjs";

const [url, apiKey] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync("node_modules/openai/package.json", "utf8"));
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 120_000 });
const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
const stop = (check, act) => doing(`openai-node ${version}`, check, act);

const DELIVERY = "# 배송\n\n배송은 결제 후 이틀 안에 도착합니다. 제주도는 나흘이 걸립니다.\n";
const RETURNS = "# 반품\n\n반품은 물건을 받은 날부터 7일 안에 신청할 수 있습니다. 반품 배송비는 3000원입니다.\n";
const QUESTION = "배송은 며칠 걸리나요?";
const messages = [{ role: "user", content: QUESTION }];
const weather = {
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
let file, store, text, response;

await stop("models", async () => {
  const cards = await all(client.models.list());
  assert(cards.some((card) => card.id === "ragpod"));
  assert(cards.some((card) => card.owned_by === "engine"));
});

await stop("files", async () => {
  file = await client.files.create({ file: await toFile(Buffer.from(DELIVERY), "delivery.md"), purpose: "assistants" });
  assert.equal(file.bytes, Buffer.byteLength(DELIVERY));
  assert.equal((await client.files.retrieve(file.id)).filename, "delivery.md");
  assert.equal(await (await client.files.content(file.id)).text(), DELIVERY);
  assert((await all(client.files.list({ limit: 1 }))).some((each) => each.id === file.id));
});

await stop("stores", async () => {
  store = await client.vectorStores.create({ name: "node-tour", metadata: { made_by: "tour" } });
  const added = await client.vectorStores.files.createAndPoll(store.id, { file_id: file.id, attributes: { topic: "delivery" } });
  assert.equal(added.status, "completed");
  const batch = await client.vectorStores.fileBatches.uploadAndPoll(store.id, {
    files: [await toFile(Buffer.from(RETURNS), "returns.md")],
  });
  assert.deepEqual([batch.status, batch.file_counts.completed], ["completed", 1]);
  assert.equal((await client.vectorStores.retrieve(store.id)).file_counts.completed, 2);
  assert.equal((await all(client.vectorStores.files.list(store.id))).length, 2);
});

await stop("search", async () => {
  const found = await all(
    client.vectorStores.search(store.id, { query: QUESTION, filters: { type: "eq", key: "topic", value: "delivery" } }),
  );
  assert.equal(found[0].file_id, file.id);
  assert(found[0].content[0].text.includes("이틀"));
});

await stop("chat", async () => {
  const answer = await client.chat.completions.create({ model: "ragpod:node-tour", messages });
  text = answer.choices[0].message.content;
  assert(text.includes("이틀"));
  assert.equal(answer.choices[0].message.context.citations[0].filepath, "delivery.md");
  assert(answer.usage.total_tokens > 0);
});

await stop("chat stream", async () => {
  const stream = await client.chat.completions.create({
    model: "ragpod:node-tour", messages, stream: true, stream_options: { include_usage: true },
  });
  const chunks = await all(stream);
  const last = chunks.pop();
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), text);
  assert.deepEqual([last.choices, last.usage.total_tokens > 0], [[], true]);
});

await stop("chat stream helper", async () => {
  const stream = client.chat.completions.stream({ model: "ragpod:node-tour", messages });
  assert.equal(await stream.finalContent(), text);
});

await stop("leaving a stream", async () => {
  const stream = await client.chat.completions.create({ model: "ragpod:node-tour", messages, stream: true });
  for await (const _ of stream) break;
});

await stop("tools", async () => {
  const answer = await client.chat.completions.create({
    model: "ragpod:node-tour", messages: [{ role: "user", content: "What is the weather in Seoul?" }],
    tools: [{ type: "function", function: weather }], tool_choice: "required",
  });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert("city" in JSON.parse(call.function.arguments));
});

await stop("embeddings", async () => {
  const both = await client.embeddings.create({ model: "ragpod", input: [QUESTION, "password"] });
  const floats = await client.embeddings.create({ model: "ragpod", input: [QUESTION], encoding_format: "float" });
  assert.equal(both.data.length, 2);
  const dot = both.data[0].embedding.reduce((sum, value, i) => sum + value * floats.data[0].embedding[i], 0);
  assert(dot > 0.99, `cosine ${dot}`);
});

const fileSearch = () => ({ model: "ragpod", input: QUESTION, tools: [{ type: "file_search", vector_store_ids: [store.id] }] });

await stop("responses", async () => {
  response = await client.responses.create({ ...fileSearch(), include: ["file_search_call.results"] });
  assert.equal(response.status, "completed");
  const call = response.output.find((item) => item.type === "file_search_call");
  assert.equal(call.results[0].file_id, file.id);
  const notes = response.output.filter((item) => item.type === "message").flatMap((item) => item.content[0].annotations);
  assert(notes.some((note) => note.type === "file_citation" && note.file_id === file.id));
  assert.equal((await client.responses.retrieve(response.id)).output_text, response.output_text);
});

await stop("responses stream", async () => {
  const events = await all(await client.responses.create({ ...fileSearch(), stream: true }));
  assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, i) => i));
  assert.deepEqual([events[0].type, events.at(-1).type], ["response.created", "response.completed"]);
  const told = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
  assert.equal(told, response.output_text);
  assert.equal((await client.responses.stream(fileSearch()).finalResponse()).output_text, told);
});

await stop("responses conversation", async () => {
  const told = await client.responses.create({ model: "ragpod", input: "제주도는요?", previous_response_id: response.id });
  assert.equal(told.previous_response_id, response.id);
  await client.responses.delete(told.id);
  await assert.rejects(client.responses.retrieve(told.id), OpenAI.NotFoundError);
});

await stop("errors", async () => {
  const create = (more) => client.chat.completions.create({ model: "ragpod", messages, ...more });
  await assert.rejects(create({ messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(create({ model: "gpt-4o" }), (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(client.vectorStores.retrieve("vs_nobodys"), OpenAI.NotFoundError);
  const big = await toFile(Buffer.alloc(300_000, "x"), "big.txt");
  await assert.rejects(client.files.create({ file: big, purpose: "assistants" }), (error) => error.status === 413);
});

await stop("deletes", async () => {
  const files = await all(client.vectorStores.files.list(store.id));
  assert((await client.vectorStores.delete(store.id)).deleted);
  for (const each of files) assert((await client.files.delete(each.id)).deleted);
  await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
});
