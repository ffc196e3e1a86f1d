// The parser imports its schemas as plain JSON, which Node takes only with an import attribute.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export async function load(url, context, next) {
  if (!url.endsWith(".json")) return next(url, context);
  const source = `export default ${readFileSync(fileURLToPath(url), "utf8")}`;
  return { format: "module", shortCircuit: true, source };
}
