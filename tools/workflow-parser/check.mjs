// Whether GitHub's own parser accepts every workflow and every action of the folder that is given.
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
  const found = messages(parsed);
  if (!parsed.value) return found;
  // The model checks what the schema cannot, such as the order of jobs. 1: go on after an error.
  const model = await convertWorkflowTemplate(parsed.context, parsed.value, undefined, { errorPolicy: 1 });
  return found.concat((model.errors ?? []).map((error) => error.Message));
}

const isYaml = (name) => /\.ya?ml$/.test(name);
const folders = [".github/workflows", "examples"].filter((folder) => existsSync(join(root, folder)));
const workflows = folders.flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)).filter(isYaml);
const actions = readdirSync(join(root, "actions")).map((folder) => `actions/${folder}/action.yml`);
const refused = new Set();
for (const name of workflows) for (const error of await workflow(name)) refused.add(error);
const found = actions.filter((name) => existsSync(join(root, name)));
for (const name of found) for (const error of messages(parseAction(file(name), trace))) refused.add(error);

for (const error of refused) console.error(error);
console.log(`${workflows.length} workflows and ${found.length} actions read`);
process.exit(refused.size === 0 && workflows.length > 0 && found.length > 0 ? 0 : 1);
