/**
 * The words of flag descriptions, as far as a scene graph needs to know them. What stands in no list is a noun: descriptions
 * name many things, with few verbs and few adjectives around them. The lists were made from data/flags and our own grammar.
 */
const words = (text: string, ...more: readonly string[]): ReadonlySet<string> =>
  new Set([...text.split(/\s+/).filter(Boolean), ...more]);

/** Words that mean one thing; the first stands for all. Of more than one word: they are joined before anything is read. */
const groups: readonly (readonly string[])[] = [
  ["yellow", "gold", "golden", "golden-yellow"],
  ["light blue", "sky blue", "azure", "cerulean", "turquoise-blue", "aquamarine"],
  ["gray", "grey", "silver"],
  ["maroon", "mahogany", "dark red"],
  ["orange", "saffron"],
  ["band", "stripe", "bar"],
  ["disk", "disc", "roundel", "solid circle"],
  ["ring", "hollow circle"],
  ["crescent", "crescent moon", "moon"],
  ["diamond", "rhombus", "lozenge"],
  ["diagonal cross", "saltire", "x-shaped cross"],
  ["canton", "quadrant", "rectangle", "quarter"],
  ["sun", "radiant sun", "sunburst", "sun with rays"],
  ["emblem", "coat of arms", "arms", "seal", "crest"],
  ["field", "background", "ground"],
  ["star", "hexagram", "pentagram"],
  ["border", "edging", "fimbriation"],
  ["palm", "palm tree"],
  ["center", "middle"],
  ["hoist", "hoist side", "hoist-side", "left"],
  ["fly", "fly side", "fly-side", "right"],
  ["upper hoist", "upper hoist side", "upper hoist-side"],
  ["upper fly", "upper fly side", "upper fly-side"],
  ["lower hoist", "lower hoist side", "lower hoist-side"],
  ["lower fly", "lower fly side", "lower fly-side"],
  ["central", "centred"],
  ["large", "big"],
  ["double", "double-width", "double width"],
];

/** What stands for a word among those that mean the same. */
export const canonical: ReadonlyMap<string, string> = new Map(
  groups.flatMap(([first, ...others]) => others.map((other) => [other, first!] as const)),
);

/** Phrases that are read as one word, longest first. */
export const phrases: readonly (readonly string[])[] = groups
  .flat()
  .filter((text) => text.includes(" "))
  .map((text) => text.split(" "))
  .sort((a, b) => b.length - a.length);

/** Nouns that only say where: they end relations but are no objects. As the published metric has its list of stop words. */
export const places: ReadonlySet<string> = words(
  `center hoist fly top bottom side corner edge end half part portion hoist fly front background flag banner image picture width
   height length remainder outside section middle one other upper lower`,
  "upper hoist",
  "upper fly",
  "lower hoist",
  "lower fly",
);

export const attributes: ReadonlySet<string> = words(
  `red white blue green yellow black orange maroon purple gray brown pink crimson copper-colored colored two-color tricolor
   horizontal vertical diagonal equal unequal wide narrow broad thin small smaller medium large larger great bold long linear
   double triple quadruple half-width top-most isosceles equilateral inverted quartered plain solid uniform single national
   royal imperial stylized crossed wavy rising nordic closed open triangular circular rectangular square elliptical serrated
   symbolic central outer main dark light bright full flying crowned winged repeated standing rampant passant radiating x-shaped
   equal-armed couped scandinavian entire whole dividing two-headed double-headed hollow
   one two three four five six seven eight nine ten eleven twelve`,
  "light blue",
);

/** Words without content between the others. Verbs stand in all lists as plurals are made singular: "bear" for "bears". */
export const articles: ReadonlySet<string> = words(
  `a an the this that these those its his her their each all both which it they there is are was be of or as either another some
   same so than then while also other further any kind sort slightly almost partially partly somewhat nearly do not twice made up
   first second third fourth fifth latter onto known consist wider adjacent`,
);

/** Words that lead from one object to the next, and the relation they make; with `inverse`, seen from the second object. */
export const relations: ReadonlyMap<string, { readonly name: string; readonly inverse?: boolean }> = new Map(
  Object.entries({
    on: "in on at centered within inside into superimposed placed located positioned appear stand set against shown",
    near: "near toward towards beside along",
    above: "above surmounting over",
    below: "below beneath under",
    between: "between",
    around: "around encircling enclosing surrounding embracing enclose embrace",
    across: "across through",
    from: "from extending extend based",
    to: "to",
    by: "by",
  }).flatMap(([name, list]) => list.split(" ").map((word) => [word, { name }] as const)),
);

/** "a band bearing a star" is "a star on a band". */
export const bearing: ReadonlySet<string> = words(
  `with bearing bear charged carry carrying containing contain displaying display feature featuring having has show showing depict
   depicting including include holding hold`,
);

/** What follows these is not there. */
export const negations: ReadonlySet<string> = words(`no without`);

/** Endings of words that are neither objects nor attributes: verbs and adverbs that no list has. */
export const otherwise = /(?:ed|ing|ly)$/;

/** Nouns that look like those. */
export const nounsAnyway: ReadonlySet<string> = words(
  `shield field wing wings king ring rings building opening umbrella lily`,
);
