// Whether GitHub's own parser accepts every workflow and every action of the given directory.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";

register("./json.mjs", import.meta.url);
const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } = await import("@actions/workflow-parser");
const { parseAction } = await import("@actions/workflow-parser/actions/action-parser");

const root = process.argv[2];
const trace = new NoOperationTraceWriter();
const file = (name) => ({ name, content: readFileSync(join(root, name), "utf8") });
const messages = (parsed) => parsed.context.errors.getErrors().map((error) => error.message);

async function workflow(name) {
  const parsed = parseWorkflow(file(name), trace);
  const errors = messages(parsed);
  if (!parsed.value) return errors;
  // The model checks what the schema cannot, such as the order of jobs. 1: go on after an error.
  const model = await convertWorkflowTemplate(parsed.context, parsed.value, undefined, { errorPolicy: 1 });
  return errors.concat((model.errors ?? []).map((error) => error.Message));
}

const isYaml = (name) => /\.ya?ml$/.test(name);
const directories = [".github/workflows", "examples"].filter((directory) => existsSync(join(root, directory)));
const workflows = directories.flatMap((directory) => readdirSync(join(root, directory)).map((name) => `${directory}/${name}`)).filter(isYaml);
const actions = readdirSync(join(root, "actions")).map((directory) => `actions/${directory}/action.yml`);
const rejected = new Set();
for (const name of workflows) for (const error of await workflow(name)) rejected.add(error);
const existing = actions.filter((name) => existsSync(join(root, name)));
for (const name of existing) for (const error of messages(parseAction(file(name), trace))) rejected.add(error);

for (const error of rejected) console.error(error);
console.log(`${workflows.length} workflows and ${existing.length} actions read`);
process.exit(rejected.size === 0 && workflows.length > 0 && existing.length > 0 ? 0 : 1);
