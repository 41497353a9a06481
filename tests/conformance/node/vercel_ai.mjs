// The Vercel AI SDK over its two OpenAI providers: node vercel_ai.mjs URL KEY STORE (a store that has documents)

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, embedMany, generateText, jsonSchema, streamText, tool } from "ai";
import { all, doing } from "./report.mjs";

const [url, apiKey, storeName, storeId] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8"));
const compatible = createOpenAICompatible({ name: "ragpod", baseURL: `${url}/v1`, apiKey, includeUsage: true });
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const prompt = "배송은 며칠 걸리나요?";
const options = { prompt, maxRetries: 0 };
const step = (check, act) => doing(`vercel ai ${version}`, check, act);
let text;

await step("openai-compatible: generateText", async () => {
  const told = await generateText({ model: compatible(`ragpod:${storeName}`), ...options });
  text = told.text;
  assert(text.includes("이틀"));
  assert.equal(told.finishReason, "stop");
  assert(told.usage.inputTokens > 0);
});

await step("openai-compatible: streamText", async () => {
  const told = streamText({ model: compatible(`ragpod:${storeName}`), ...options });
  const pieces = await all(told.textStream);
  assert.equal(pieces.join(""), text);
  assert.equal(await told.finishReason, "stop");
  assert((await told.usage).inputTokens > 0);
});

await step("openai-compatible: embed", async () => {
  const { embedding, usage } = await embed({ model: compatible.embeddingModel("ragpod"), value: prompt, maxRetries: 0 });
  const { embeddings } = await embedMany({ model: compatible.embeddingModel("ragpod"), values: [prompt, "a"], maxRetries: 0 });
  assert.equal(embedding.length, embeddings[0].length);
  assert(usage.tokens > 0);
});

await step("openai-compatible: tools", async () => {
  const inputSchema = jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] });
  const told = await generateText({
    model: compatible(`ragpod:${storeName}`), prompt: "What is the weather in Seoul?", maxRetries: 0,
    tools: { get_weather: tool({ inputSchema }) }, toolChoice: "required",
  });
  assert.equal(told.toolCalls[0].toolName, "get_weather");
});

await step("openai.chat: streamText", async () => {
  const told = streamText({ model: openai.chat(`ragpod:${storeName}`), ...options });
  assert.equal(await told.text, text);
});

await step("openai.responses: generateText with file_search", async () => {
  const told = await generateText({
    model: openai.responses("ragpod"), ...options,
    tools: { file_search: openai.tools.fileSearch({ vectorStoreIds: [storeId], maxNumResults: 3 }) },
  });
  assert(told.text.length > 0);
  assert(told.sources.length > 0, "no sources");
});

await step("openai.responses: streamText", async () => {
  const told = streamText({
    model: openai.responses("ragpod"), ...options,
    tools: { file_search: openai.tools.fileSearch({ vectorStoreIds: [storeId] }) },
  });
  const parts = await all(told.fullStream);
  assert.deepEqual(parts.filter((part) => part.type === "error"), []);
  assert((await told.text).length > 0);
});
