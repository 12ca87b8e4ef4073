/** The language model as an expert, against a server that misbehaves in every way that we could think of. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { decodeImage } from "../../src/data/image.ts";
import { BudgetError, ExpertError, ExpertUnavailableError } from "../../src/expert/errors.ts";
import type { Draft, RejectionReason, Revision } from "../../src/expert/expert.ts";
import { flagDraft } from "../../src/expert/flagDraft.ts";
import { type OpenaiExpert, openaiExpert, type OpenaiOptions } from "../../src/expert/openai.ts";
import { readAnswer } from "../../src/expert/prompt.ts";
import { type Outcome, reviseAll } from "../../src/expert/reviseAll.ts";
import { type Behaviour, type ChatServer, chatServer, type Seen } from "./chatServer.ts";

const scratch = mkdtempSync(join(tmpdir(), "rediff-expert-"));
after(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const newFolder = (): string => join(scratch, String(folders++));

const text = "a red field with a red star and two suns and a red star on the fly side.";
const draft: Draft = { id: "d", question: "What is it?", text, groundTruth: "a blue field with two suns." };
const fixes = (...pairs: readonly (readonly [string, string])[]): string =>
  JSON.stringify(pairs.map(([org, target]) => ({ org, target })));
const right = { segments: [], corrected: text, rejected: {} };

type Script = Parameters<typeof chatServer>[0];

/** Runs with a server of this behaviour and an expert that asks it, impatiently. */
async function withServer<T>(
  behave: Script,
  use: (expert: OpenaiExpert, server: ChatServer) => Promise<T>,
  options: Partial<OpenaiOptions> = {},
  serverOptions: Parameters<typeof chatServer>[1] = {},
): Promise<T> {
  const server = await chatServer(behave, serverOptions);
  try {
    const { baseUrl } = server;
    return await use(
      openaiExpert({ model: "m", baseUrl, key: "sk-secret", backoffMs: 2, timeoutMs: 10_000, ...options }),
      server,
    );
  } finally {
    await server.close();
  }
}

const ask = (behave: Script, options: Partial<OpenaiOptions> = {}): Promise<Revision> =>
  withServer(behave, (expert) => expert.revise(draft), options);

describe("what is asked", () => {
  test("model, prompt, question, ground truth, draft and picture, with the key in the header only", async () => {
    await withServer(["right"], async (expert, { seen }) => {
      const flag = flagDraft({ id: "f", question: "What is it?", text, seed: 3, index: 4 }, 48);
      await expert.revise(flag);
      const [{ path, authorization, body }] = seen as [Seen];
      assert.equal(path, "/v1/chat/completions");
      assert.equal(authorization, "Bearer sk-secret");
      assert.ok(!body.includes("sk-secret"));
      const { model, messages } = JSON.parse(body) as {
        model: string;
        messages: [{ content: string }, { content: [{ image_url: { url: string } }, { text: string }] }];
      };
      assert.equal(model, "m");
      assert.match(messages[0].content, /exactly once/);
      const [{ image_url }, { text: asked }] = messages[1].content;
      for (const part of [flag.question, flag.groundTruth, flag.text]) assert.ok(asked.includes(part));
      const [, data] = /^data:image\/png;base64,(.+)$/.exec(image_url.url) as unknown as [string, string];
      assert.equal((await decodeImage(Buffer.from(data, "base64"), "picture")).width, 48);
    });
  });

  test("that lengths be equal is asked only where it matters", async () => {
    for (const [lengths, pattern] of [
      [{ lengths: "equal", tokens: (text: string) => text.length }, /as many tokens/],
      [{ lengths: "any" }, /^(?![^]*as many tokens)/],
    ] as const)
      await withServer(
        ["right"],
        async (expert, { seen }) => {
          await expert.revise(draft);
          assert.match((JSON.parse(seen[0]!.body) as { messages: [{ content: string }] }).messages[0].content, pattern);
        },
        { lengths },
      );
  });

  test("a picture that is none is refused before anything is sent", async () => {
    await withServer(["right"], async (expert, { seen }) => {
      await assert.rejects(
        expert.revise({ ...draft, image: join(scratch, "none.png") }),
        /picture of draft d cannot be read/,
      );
      await assert.rejects(expert.revise({ ...draft, image: new Uint8Array([1, 2, 3]) }), /neither PNG, JPEG nor WebP/);
      assert.equal(seen.length, 0);
    });
  });
});

describe("what is answered", () => {
  const segment = { wrong: "two suns", right: "three suns", start: 32, end: 40 };
  const good = fixes(["two suns", "three suns"]);
  const corrected = text.replace("two suns", "three suns");

  test("right, in whatever dress", async () => {
    for (const answer of ["right", "Right.", ' "right"\n', "**right**", "[]"])
      assert.deepEqual(await ask([answer]), right);
  });

  test("a list, bare, fenced or between words", async () => {
    for (const answer of [
      good,
      `\`\`\`json\n${good}\n\`\`\``,
      `I see [1] two mistakes:\n${good}\nThat is all.`,
      `{"corrections": ${good}}`,
    ])
      assert.deepEqual(await ask([answer]), { segments: [segment], corrected, rejected: {} }, answer);
  });

  test("what cannot be used is counted by its reason, and the rest is kept", async () => {
    const cases: readonly [string, RejectionReason, number][] = [
      ['[{"org": "two suns", "tar', "malformed", 0],
      ["The draft is mostly right.", "malformed", 0],
      ["", "malformed", 0],
      ['{"org": "two suns", "target": "three suns"}', "malformed", 0],
      [`[{"org": "two suns", "target": 3}, ${good.slice(1)}`, "malformed", 1],
      [`["two suns", ${good.slice(1)}`, "malformed", 1],
      [fixes(["", "x"], ["two suns", "three suns"]), "malformed", 1],
      [fixes(["a green field", "a red field"], ["two suns", "three suns"]), "not found", 1],
      // "tar" stands in "star" twice, but not as a word.
      [fixes(["tar", "x"], ["two suns", "three suns"]), "not found", 1],
      [fixes(["red star", "blue star"], ["two suns", "three suns"]), "ambiguous", 1],
      [fixes(["two suns", "three suns"], ["suns and", "moons and"]), "overlapping", 1],
      [fixes(["fly side", "fly side"], ["two suns", "three suns"]), "unchanged", 1],
    ];
    for (const [answer, reason, kept] of cases)
      assert.deepEqual(
        await ask([answer]),
        { segments: kept ? [segment] : [], corrected: kept ? corrected : text, rejected: { [reason]: 1 } },
        answer,
      );
  });

  test("segments come in the order of the draft, whatever that of the answer", () => {
    const answer = fixes(["fly side", "hoist side"], ["a red field", "a blue field"]);
    return ask([answer]).then(({ segments, corrected }) => {
      assert.deepEqual(
        segments.map(({ start }) => start),
        [0, 63],
      );
      assert.equal(corrected, "a blue field with a red star and two suns and a red star on the hoist side.");
    });
  });

  test("unequal lengths are kept under any, left out and counted under equal", async () => {
    const answer = fixes(["two suns", "three big suns"], ["fly side", "hoist side"]);
    assert.deepEqual(
      (await ask([answer])).segments.map(({ right }) => right),
      ["three big suns", "hoist side"],
    );
    const tokens = (text: string): number => text.split(" ").length;
    const { segments, rejected } = await ask([answer], { lengths: { lengths: "equal", tokens } });
    assert.deepEqual(
      segments.map(({ right }) => right),
      ["hoist side"],
    );
    assert.deepEqual(rejected, { "unequal length": 1 });
  });

  test("words may begin and end with anything, and be in any script", () => {
    const draft = "Ein grüner Stern (groß), kein „Mond“.";
    const { segments } = readAnswer(fixes(["(groß)", "(klein)"], ["grüner", "roter"], ["„Mond“", "„Stern“"]), draft);
    assert.deepEqual(
      segments.map(({ wrong }) => wrong),
      ["(groß)", "grüner", "„Mond“"],
    );
    assert.deepEqual(readAnswer(fixes(["gr", "x"]), draft).rejected, { "not found": 1 });
  });
});

describe("a server in trouble", () => {
  const troubles: { readonly [name: string]: Behaviour } = {
    "500": { status: 500 },
    "502 with a page": { status: 502, raw: "<html>bad gateway</html>" },
    "429": { status: 429, raw: '{"error": "slow down"}' },
    "a reset before the reply": { fault: "reset" },
    "a reset in its middle": { fault: "cut" },
    "a reply cut short": { raw: '{"choices": [{"mess' },
    "a reply of another form": { raw: '{"error": "overloaded"}' },
  };
  for (const [name, behaviour] of Object.entries(troubles))
    test(`${name}: is asked again`, async () => {
      await withServer([behaviour, behaviour, "right"], async (expert, { seen }) => {
        assert.deepEqual(await expert.revise(draft), right);
        assert.equal(seen.length, 3);
        assert.equal(expert.spent.requests, 3);
      });
    });

  test("silence: is asked again after the time-out", async () => {
    await withServer(
      [{ fault: "hang" }, "right"],
      async (expert, { seen }) => {
        const started = performance.now();
        assert.deepEqual(await expert.revise(draft), right);
        // Not from when the server saw the first request: on a busy machine that is long after it was sent.
        const ms = performance.now() - started;
        assert.ok(ms >= 290, `asked again after ${ms} ms`);
        assert.equal(seen.length, 2);
      },
      { timeoutMs: 300 },
    );
  });

  test("Retry-After is honoured, as seconds and as a date, up to the longest wait", async () => {
    for (const [after, least, maxWaitMs] of [
      ["0.3", 290, 5000],
      [() => new Date(Date.now() + 1500).toUTCString(), 300, 5000],
      ["3600", 190, 200],
    ] as const)
      await withServer(
        (_, n) =>
          n ? "right" : { status: 429, headers: { "retry-after": typeof after === "string" ? after : after() } },
        async (expert, { seen }) => {
          await expert.revise(draft);
          assert.ok(seen[1]!.at >= least, `asked again after ${seen[1]!.at} ms`);
        },
        { maxWaitMs },
      );
  });

  test("waits double", async () => {
    await withServer(
      [{ status: 500 }, { status: 500 }, { status: 500 }, { status: 500 }, "right"],
      async (expert, { seen }) => {
        await expert.revise(draft);
        // Half of 20, 40, 80 and 160 ms at least.
        for (const [i, least] of [10, 20, 40, 80].entries()) assert.ok(seen[i + 1]!.at - seen[i]!.at >= least - 2);
      },
      { backoffMs: 20 },
    );
  });

  test("gives up after so many attempts, and says what it saw last", async () => {
    await withServer(
      [{ status: 503, raw: "no\n capacity for sk-secret" }],
      async (expert, { seen }) => {
        await assert.rejects(expert.revise(draft), (error: Error) => {
          assert.ok(error instanceof ExpertUnavailableError);
          assert.match(error.message, /did not answer in 4 attempts. The last: HTTP 503: no capacity for \[key\]$/);
          return true;
        });
        assert.equal(seen.length, 4);
      },
      { attempts: 4 },
    );
  });

  test("a wrong key, a wrong model and a wrong address are told at once", async () => {
    for (const [status, pattern] of [
      [401, /refused the request. HTTP 401: bad key \[key\] Check the key/],
      [404, /HTTP 404/],
      [400, /HTTP 400/],
    ] as const)
      await withServer([{ status, raw: "bad key sk-secret" }], async (expert, { seen }) => {
        await assert.rejects(expert.revise(draft), (error: Error) => {
          assert.ok(error instanceof ExpertError && !(error instanceof ExpertUnavailableError));
          assert.match(error.message, pattern);
          assert.ok(!JSON.stringify([error.message, error.facts, error.stack]).includes("sk-secret"));
          return true;
        });
        assert.equal(seen.length, 1);
      });
    assert.throws(() => openaiExpert({ model: "m", baseUrl: "localhost:8000" }), /A base URL looks like/);
  });

  test("nobody there", async () => {
    const server = await chatServer(["right"]);
    await server.close();
    const expert = openaiExpert({ model: "m", baseUrl: server.baseUrl, attempts: 2, backoffMs: 1 });
    await assert.rejects(expert.revise(draft), /did not answer in 2 attempts.*ECONNREFUSED/);
  });
});

describe("many drafts", () => {
  const drafts = (n: number): Draft[] =>
    Array.from({ length: n }, (_, i) => ({ ...draft, id: String(i), text: `a field with ${i} stars.` }));
  const collect = async (
    expert: OpenaiExpert,
    n: number,
    concurrency: number,
  ): Promise<Outcome & { readonly ids: string[] }> => {
    const ids: string[] = [];
    const outcome = await reviseAll(expert, drafts(n), { concurrency, onRevision: ({ id }) => ids.push(id) });
    return { ...outcome, ids };
  };

  test("no more at once than allowed, and that many", async () => {
    await withServer(
      ["right"],
      async (expert, server) => {
        const { revised, ids } = await collect(expert, 12, 3);
        assert.equal(revised, 12);
        assert.equal(new Set(ids).size, 12);
        assert.equal(server.peak(), 3);
      },
      {},
      { delayMs: 20 },
    );
  });

  test("the budget stops it cleanly, and with what was cached another run goes on", async () => {
    const cache = newFolder();
    const server = await chatServer(["right"]);
    const runs = [
      { budget: { requests: 4 }, asked: 4, message: "The budget of 4 requests is spent." },
      { budget: { tokens: 35 }, asked: 4, message: "The budget of 35 tokens is spent." },
      { budget: {}, asked: 2, message: undefined },
      { budget: {}, asked: 0, message: undefined },
    ];
    for (const { budget, asked, message } of runs) {
      const expert = openaiExpert({ model: "m", baseUrl: server.baseUrl, cache, budget });
      const { stopped, revised, failed } = await collect(expert, 10, 1);
      assert.deepEqual(expert.spent, { requests: asked, tokens: 10 * asked });
      assert.equal(stopped?.message, message);
      assert.ok(stopped === undefined || stopped instanceof BudgetError);
      assert.deepEqual(failed, []);
      if (message === undefined) assert.equal(revised, 10);
    }
    assert.equal(server.seen.length, 10);
    await server.close();
  });

  test("equal drafts under way at once are one request", async () => {
    await withServer(
      ["right"],
      async (expert, { seen }) => {
        await Promise.all([expert.revise(draft), expert.revise({ ...draft, id: "e" })]);
        assert.equal(seen.length, 1);
      },
      { cache: newFolder() },
    );
  });

  test("the cache holds whole answers, and distinguishes models", async () => {
    const cache = newFolder();
    await withServer(["right"], async (expert, { seen, baseUrl }) => {
      const other = openaiExpert({ model: "n", baseUrl, cache });
      const cached = openaiExpert({ model: "m", baseUrl, cache });
      await expert.revise(draft);
      await cached.revise(draft);
      assert.equal(seen.length, 2);
      await cached.revise(draft);
      await other.revise(draft);
      assert.equal(seen.length, 3);
      const files = readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      assert.equal(files.length, 2);
      assert.ok(files.every(({ name }) => /^[0-9a-f]{64}\.txt$/.test(name)));
    });
  });

  test("one that fails does not keep the others; many in a row do; a refusal at once", async () => {
    const failing =
      (of: (i: number) => boolean, status: number): ((seen: Seen) => Behaviour) =>
      ({ body }) =>
        of(Number(/with (\d+) stars/.exec(body)![1])) ? { status } : "right";
    await withServer(
      failing((i) => i === 3, 500),
      async (expert) => {
        const { revised, failed, stopped } = await collect(expert, 8, 2);
        assert.deepEqual([revised, failed.map(({ id }) => id), stopped], [7, ["3"], undefined]);
      },
    );
    await withServer(
      failing((i) => i >= 3, 500),
      async (expert) => {
        const { revised, failed, stopped } = await collect(expert, 30, 1);
        assert.deepEqual([revised, failed.length], [3, 5]);
        assert.ok(stopped instanceof ExpertUnavailableError);
      },
    );
    await withServer(
      failing((i) => i >= 3, 401),
      async (expert, { seen }) => {
        const { revised, stopped } = await collect(expert, 30, 1);
        assert.deepEqual([revised, seen.length], [3, 4]);
        assert.match(stopped!.message, /HTTP 401/);
      },
    );
  });

  test("an error of the caller is thrown", async () => {
    await withServer(["right"], async (expert) => {
      const onRevision = (): never => {
        throw new Error("disk full");
      };
      await assert.rejects(reviseAll(expert, drafts(3), { concurrency: 2, onRevision }), /disk full/);
    });
  });
});
