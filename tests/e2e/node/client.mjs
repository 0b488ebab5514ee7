// The OpenAI Node client against /v1. Prints a line of JSON for each case; test_openai_node.py judges them.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const url = process.env.GANTRY_URL;
const key = process.env.GANTRY_KEY;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 120_000 });

const model = 'smollm2';
const messages = [{ role: 'user', content: 'Complete the sentence: The capital of France is' }];
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city',
    strict: true,
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 20 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
};
const question = [{ role: 'user', content: 'How is the weather in Rome?' }];

async function inFlight() {
  const text = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } })).text();
  return Number(/^gantry_gateway_requests_in_flight (\S+)/m.exec(text)[1]);
}

async function until(condition, what, withinMs = 2000) {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    if (await condition()) return;
  }
  assert.fail(`not within ${withinMs} ms: ${what}`);
}

// What the SDK throws, looked at as its users do.
async function refused(promise, type, status, fields) {
  const error = await promise.then(() => assert.fail('it was not refused'), (thrown) => thrown);
  assert.ok(error instanceof type, `${error}`);
  assert.equal(error.status, status);
  for (const [name, value] of Object.entries(fields)) assert.equal(error[name], value, name);
  assert.ok(error.requestID, 'the answer has x-request-id');
}

const cases = {
  async chat() {
    const answer = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 24 });
    assert.match(answer.choices[0].message.content, /Paris/);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id);
  },

  async stream() {
    const stream = await client.chat.completions.create({
      model, messages, temperature: 0, max_tokens: 24, stream: true, stream_options: { include_usage: true } });
    let text = '', finish = null, usage = null;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        text += choice.delta.content ?? '';
        finish = choice.finish_reason ?? finish;
      }
    }
    assert.match(text, /Paris/);
    assert.ok(['stop', 'length'].includes(finish));
    assert.ok(usage.completion_tokens > 0);
  },

  async stream_helper() {
    const stream = client.chat.completions.stream({ model, messages, temperature: 0, max_tokens: 24 });
    let heard = '';
    stream.on('content', (delta) => { heard += delta; });
    assert.equal(await stream.finalContent(), heard);
    assert.match(heard, /Paris/);
  },

  async completions() {
    const answer = await client.completions.create({ model, prompt: 'The capital of France is', temperature: 0, max_tokens: 8 });
    assert.match(answer.choices[0].text, /Paris/);
  },

  async tools() {
    const first = await client.chat.completions.create({
      model: 'tools', messages: question, tools: [weather], tool_choice: { type: 'function', function: { name: 'weather' } },
      max_tokens: 200 });
    const { message, finish_reason } = first.choices[0];
    assert.equal(finish_reason, 'tool_calls');
    const call = message.tool_calls[0];
    const given = JSON.parse(call.function.arguments);
    assert.deepEqual(Object.keys(given).sort(), ['city', 'days']);
    const second = await client.chat.completions.create({
      model: 'tools', messages: [...question, message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }],
      tools: [weather], tool_choice: 'none', max_tokens: 16 });
    assert.ok(second.choices[0].message.content);
  },

  async tools_streamed() {
    const stream = client.chat.completions.stream({
      model: 'tools', messages: question, tools: [weather], tool_choice: 'required', max_tokens: 200 });
    let pieces = 0, done = null;
    stream.on('tool_calls.function.arguments.delta', () => { ++pieces; });
    stream.on('tool_calls.function.arguments.done', (event) => { done = event; });
    const message = await stream.finalMessage();
    assert.ok(pieces > 2, 'as it is written');
    assert.equal(done.name, 'weather');
    assert.equal(JSON.parse(done.arguments).days, JSON.parse(message.tool_calls[0].function.arguments).days);
  },

  async json_schema() {
    const schema = {
      type: 'object',
      properties: { city: { enum: ['Paris', 'Rome'] }, people: { type: 'integer', minimum: 1, maximum: 99 } },
      required: ['city', 'people'],
      additionalProperties: false,
    };
    const answer = await client.chat.completions.parse({
      model, messages, max_tokens: 100, response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema } } });
    assert.equal(answer.choices[0].finish_reason, 'stop');
    const value = JSON.parse(answer.choices[0].message.content);
    assert.ok(['Paris', 'Rome'].includes(value.city) && value.people >= 1 && value.people <= 99);
  },

  async embeddings() {
    const byDefault = await client.embeddings.create({ model: 'minilm', input: ['a cat', 'a dog'] });   // asks for base64
    const floats = await client.embeddings.create({ model: 'minilm', input: ['a cat', 'a dog'], encoding_format: 'float' });
    assert.equal(byDefault.data.length, 2);
    for (const i of [0, 1]) {
      const a = Array.from(byDefault.data[i].embedding), b = floats.data[i].embedding;
      assert.equal(a.length, 384);
      assert.ok(a.every((x, k) => Math.abs(x - b[k]) < 1e-3));
    }
  },

  async rerank() {   // the SDK has no method for it; this is its way to call other paths
    const answer = await client.post('/rerank', { body: {
      model: 'minilm', query: 'What is the capital of France?', top_n: 1,
      documents: ['Cats sleep a lot.', 'Paris is the capital of France.'] } });
    assert.equal(answer.results[0].index, 1);
  },

  async models() {
    const ids = [];
    for await (const entry of client.models.list()) ids.push(entry.id);
    assert.ok(ids.includes(model));
    assert.equal((await client.models.retrieve(model)).owned_by, 'gantry');
  },

  async unknown_model() {
    await refused(client.chat.completions.create({ model: 'nope', messages }), OpenAI.NotFoundError, 404,
      { code: 'model_not_found', type: 'not_found_error' });
    await refused(client.models.retrieve('no/such'), OpenAI.NotFoundError, 404, { code: 'model_not_found' });
  },

  async bad_key() {
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'gtk_wrong', maxRetries: 0 });
    await refused(stranger.models.list(), OpenAI.AuthenticationError, 401, { code: 'invalid_api_key' });
  },

  async bad_value() {
    await refused(client.chat.completions.create({ model, messages, temperature: 3 }), OpenAI.BadRequestError, 400,
      { param: 'temperature', type: 'invalid_request_error' });
    await refused(client.chat.completions.create({ model, messages: [], stream: true }), OpenAI.BadRequestError, 400,
      { param: 'messages' });
  },

  async cancel() {
    const stream = await client.chat.completions.create({
      model, messages, max_tokens: 4000, stream: true, ignore_eos: true });
    for await (const chunk of stream) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      assert.equal(await inFlight(), 1);
      break;   // which aborts the request
    }
    await until(async () => await inFlight() === 0, 'the request is gone');
  },
};

for (const [name, run] of Object.entries(cases)) {
  let error = null;
  try {
    await run();
  } catch (thrown) {
    error = String(thrown?.stack ?? thrown);
  }
  console.log(JSON.stringify({ case: name, error }));
}
