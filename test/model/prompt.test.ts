/** Conversations as ids, against LLaDA-V's own functions (test/goldens/lladaText.py), and what our own prompt promises. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  askAbout,
  captionPrompt,
  chatPrompt,
  fillConversations,
  labelledConversation,
  llavaPrompt,
  systemSentence,
  type Turn,
} from "../../src/model/prompt.ts";
import { IMAGE } from "../../src/model/sequence.ts";
import { loadTokenizer } from "../../src/model/tokenizer.ts";

type Turns = readonly (readonly [Turn["role"], string])[];
interface Golden {
  readonly system: string;
  readonly tokenizer: object;
  readonly labelled: readonly { turns: Turns; ids: number[]; labels: number[] }[];
  /** `ids` by a tokenizer that puts nothing before a text, `led` by one that puts a start there. */
  readonly prompts: readonly { turns: Turns; ids: number[]; led: number[] }[];
}

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const golden = JSON.parse(read("../goldens/lladaText.json")) as Golden;
const llada = loadTokenizer(golden.tokenizer);
const shippedJson = read("../../data/tokenizer/tokenizer.json");
const shipped = loadTokenizer(shippedJson);
const conversation = (turns: Turns): Turn[] => turns.map(([role, text]) => ({ role, text }));

test("labels are those of preprocess_llada: several turns, images anywhere, text that begins and ends in spaces", () => {
  assert.equal(golden.system, systemSentence);
  for (const { turns, ids, labels } of golden.labelled)
    assert.deepEqual(labelledConversation(llada, conversation(turns)), { ids, labels });
});

test("a batch is filled with end of text, which is labelled", () => {
  const rows = golden.labelled.map(({ turns }) => labelledConversation(llada, conversation(turns)));
  const filled = fillConversations(llada, rows);
  const longest = Math.max(...rows.map(({ ids }) => ids.length));
  filled.forEach(({ ids, labels }, i) => {
    const own = rows[i]!.ids.length;
    assert.deepEqual([ids.length, labels.length], [longest, longest]);
    assert.deepEqual(ids.slice(0, own), rows[i]!.ids);
    assert.deepEqual(labels.slice(0, own), rows[i]!.labels);
    for (const tail of [ids, labels]) assert.ok(tail.slice(own).every((id) => id === llada.idOf("<|endoftext|>")));
  });
});

test("prompts of the preset reference are those of tokenizer_image_token, with both kinds of tokenizer", () => {
  const start = { SpecialToken: { id: "<|startoftext|>", type_id: 0 } };
  const led = loadTokenizer({
    ...golden.tokenizer,
    post_processor: {
      type: "TemplateProcessing",
      single: [start, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<|startoftext|>": { id: "<|startoftext|>", ids: [330], tokens: ["<|startoftext|>"] } },
    },
  });
  for (const { turns, ids, led: withLead } of golden.prompts) {
    const all: Turn[] = [{ role: "system", text: systemSentence }, ...conversation(turns)];
    assert.deepEqual(chatPrompt(llada, all, "reference"), ids);
    assert.deepEqual(chatPrompt(led, all, "reference"), withLead);
    assert.equal(chatPrompt(llada, all).length, ids.length + ids.filter((id) => id === IMAGE).length);
  }
});

test("our prompt: LLaDA's order, the image's place, few tokens", () => {
  const ids = captionPrompt(shipped);
  assert.equal(
    ids.map((id) => (id === IMAGE ? "[image]" : shipped.piece(id))).join(""),
    "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\n[image]\n" +
      "Please describe the image in detail.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
  );
  assert.ok(ids.length <= 21, `${ids.length} tokens`);
});

test("a question about several pictures: a place for each, on a line of its own or where it says", () => {
  assert.equal(askAbout(2, "Which?").text, "<image>\n<image>\nWhich?");
  assert.equal(askAbout(2, "Is <image> in <image>?").text, "Is <image> in <image>?");
  assert.throws(() => askAbout(1, "Is <image> in <image>?"), /one <image> for each picture, or none; it has 2 for 1/);
  const beside = llavaPrompt(shipped, askAbout(2, "<image><image>"), "reference");
  assert.equal(beside.filter((id) => id === IMAGE).length, 2, "nothing is cut off between images that touch");
});

test("special tokens written in a text are letters, except <image> in a user's", () => {
  const text = "<|eot_id|><|mdm_mask|><image>";
  const special = (role: "user" | "assistant") =>
    labelledConversation(shipped, [
      { role: "user", text: "?" },
      { role, text },
    ]).ids.filter((id) => id === IMAGE || id >= 1017);
  const asked = special("user");
  assert.equal(asked.filter((id) => id === IMAGE).length, 1);
  assert.ok(!special("assistant").includes(IMAGE));
  for (const ids of [asked, special("assistant")]) {
    assert.equal(ids.filter((id) => id === shipped.idOf("<|eot_id|>")).length, 3);
    assert.ok(!ids.includes(shipped.idOf("<|mdm_mask|>")));
  }
});

test("a tokenizer without the structural tokens, and a conversation that asks nothing, are refused", () => {
  const json = JSON.parse(shippedJson) as { added_tokens: { content: string }[] };
  const without = (gone: string): ReturnType<typeof loadTokenizer> =>
    loadTokenizer({ ...json, added_tokens: json.added_tokens.filter((token) => token.content !== gone) });
  assert.deepEqual(captionPrompt(without("<image>")), captionPrompt(shipped), "LLaDA's file has no <image>");
  assert.throws(() => captionPrompt(without("<|eot_id|>")), {
    name: "TokenizerError",
    message: /<\|eot_id\|> must be among/,
  });
  assert.throws(() => chatPrompt(shipped, [{ role: "assistant", text: "." }]), /must be theirs; it is of assistant/);
  assert.throws(() => chatPrompt(shipped, []), /there is none/);
});
