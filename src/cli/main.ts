#!/usr/bin/env node
/** `rediff <command>`: finds the command and answers errors. */
import { answering, UsageError } from "./usage.ts";

interface Command {
  readonly summary: string;
  readonly load: () => Promise<{ run: (args: readonly string[]) => Promise<void> }>;
}

const commands: Readonly<Record<string, Command>> = {
  caption: { summary: "describe a picture", load: () => import("./caption.ts") },
  demo: { summary: "caption three real flags with both decoders, side by side", load: () => import("./demo.ts") },
  train: { summary: "train one stage, or all of them from nothing", load: () => import("./train.ts") },
  draft: { summary: "caption training flags for an expert to revise", load: () => import("./draft.ts") },
  revise: { summary: "let an expert find what is wrong in drafts", load: () => import("./revise.ts") },
  eval: { summary: "score a checkpoint on hold-out flags whose facts are known", load: () => import("./eval.ts") },
  export: { summary: "write a checkpoint as PyTorch implementations read it", load: () => import("./export.ts") },
  tune: { summary: "measure which kernels are fastest on this adapter", load: () => import("./tune.ts") },
  doctor: { summary: "what WebGPU sees on this machine, and how fast it is", load: () => import("./doctor.ts") },
};

const help = `rediff <command> [options]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`)
  .join("\n")}

\`rediff <command> --help\` lists its options.`;

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (name === undefined || name === "--help" || name === "-h" || name === "help") return console.log(help);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new UsageError(`There is no command ${name}; there are ${Object.keys(commands).join(", ")}.`);
  const { run } = await command.load();
  await run(args);
}

await answering("rediff", () => main(process.argv.slice(2)));
