// Bundles src/entries/* into one module each: a level's page, for all hosts, and what a live page and a notebook begin with.
// `node build.mjs [FOLDER]`; the same sources give the same bytes.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build, transform } from "esbuild";
import { minify } from "terser";

const folder = process.argv[2] ?? "../src/whygrad/render/assets";

/** A style sheet is imported as its text, minified. */
const sheets = {
  name: "sheets",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target: "chrome123" });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

const common = {
  outdir: folder,
  write: false,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  tsconfigRaw: {}, // its JSX setting is the type checker's
  legalComments: "none",
  logLevel: "warning",
  jsx: "transform",
  plugins: [sheets],
};
const levels = {
  ...common,
  entryPoints: ["neuron", "network", "run"].map((level) => `src/entries/${level}.ts`),
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: ["src/h.ts"],
  define: { "process.env.NODE_ENV": '"production"' },
};
const hosts = { ...common, jsxFactory: "kit.h", entryPoints: ["live", "notebook"].map((host) => `src/entries/${host}.ts`) };

await mkdir(folder, { recursive: true });
for (const { path, text } of [...(await build(levels)).outputFiles, ...(await build(hosts)).outputFiles]) {
  // A second minifier finds what the first does not look for: 3 % of the gzipped size.
  const { code } = await minify(text, { module: true, ecma: 2022, compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true } });
  await writeFile(join(folder, basename(path)), code);
}
