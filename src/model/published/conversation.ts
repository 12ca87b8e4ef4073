/** How a published folder is talked to: whether as LLaDA-V, and whether its chat template is the one that prompt.ts writes. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../files.ts";
import { CheckpointError } from "../safetensors.ts";
import { isPublished } from "./config.ts";

/**
 * LLaDA's template in parts, without white space: the turns, each after its header, the start before the first of them, and the
 * header of the answer, which some versions write only when asked to.
 */
const TEMPLATE = new RegExp(
  [
    String.raw`^{%setloop_messages=messages%}{%formessageinloop_messages%}`,
    String.raw`{%setcontent='<\|start_header_id\|>'\+message\['role'\]\+'<\|end_header_id\|>\\n\\n'\+message\['content'\]\|trim\+'<\|eot_id\|>'%}`,
    String.raw`{%ifloop.index0==0%}{%setcontent=bos_token\+content%}{%endif%}{{content}}{%endfor%}`,
    String.raw`({%ifadd_generation_prompt%})?{{'<\|start_header_id\|>assistant<\|end_header_id\|>\\n\\n'}}({%endif%})?$`,
  ].join(""),
);

/**
 * Whether the model of a folder answers LLaDA-V's prompts: it is published, and not an export of ours, whose config.json says how
 * long its `canvas` is. Throws CheckpointError where the folder has a chat template that is not LLaDA's.
 */
export function speaksLlava(folder: string): boolean {
  const given = readJson(join(folder, "config.json"));
  if (!isPublished(given) || "canvas" in given) return false;
  const found = chatTemplate(folder);
  if (found !== undefined && !TEMPLATE.test(squeezed(found.template)))
    throw new CheckpointError(
      `${found.path} has a chat template that is not LLaDA's, and only LLaDA's is known here: the prompt would not be what the model was trained with.`,
      found,
    );
  return true;
}

/** A template without white space, with line ends within strings written out. */
const squeezed = (template: string): string =>
  template.replaceAll(/'[^']*'/g, (text) => text.replaceAll("\n", "\\n")).replaceAll(/\s/g, "");

/** The template of a folder, from the file that older or newer versions of transformers write. */
function chatTemplate(folder: string): { path: string; template: string } | undefined {
  const own = join(folder, "chat_template.jinja");
  if (existsSync(own)) return { path: own, template: readFileSync(own, "utf8") };
  const path = join(folder, "tokenizer_config.json");
  const template = existsSync(path) ? (readJson(path) as { chat_template?: unknown } | null)?.chat_template : undefined;
  return typeof template === "string" ? { path, template } : undefined;
}
