// The same request for a program. Pure.

function pretty(body: Record<string, unknown>): string {
  return JSON.stringify(body, null, 2);
}

/** For sh: in single quotes, where only the quote itself means something. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curl(origin: string, body: Record<string, unknown>): string {
  return `curl ${origin}/v1/chat/completions \\\n  -H "Authorization: Bearer $GANTRY_API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(pretty(body))}\n`;
}

// JSON is Python but for three words, none of which stands outside a string elsewhere.
function pythonValue(value: unknown): string {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value as object).map(([key, one]) => `${JSON.stringify(key)}: ${pythonValue(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}

export function python(origin: string, body: Record<string, unknown>): string {
  const words = Object.entries(body).map(([name, value]) => `    ${name}=${pythonValue(value)},`);
  return `import os\nfrom openai import OpenAI  # pip install openai\n\nclient = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key=os.environ["GANTRY_API_KEY"])\nanswer = client.chat.completions.create(\n${words.join("\n")}\n)\nprint(answer.choices[0].message.content)\n`;
}

export function node(origin: string, body: Record<string, unknown>): string {
  return `import OpenAI from "openai"; // npm install openai\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(`${origin}/v1`)}, apiKey: process.env.GANTRY_API_KEY });\nconst answer = await client.chat.completions.create(${pretty(body)});\nconsole.log(answer.choices[0].message.content);\n`;
}
