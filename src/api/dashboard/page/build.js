// Bundles the page into a folder: `node build.js FOLDER`. One script, one style sheet and one document; nothing is fetched when
// the page is shown.
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const into = process.argv[2] ?? join(here, "built");

await mkdir(into, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { dashboard: "src/main.ts" },
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome109", "firefox115", "safari16"],
  legalComments: "inline",
  outdir: into,
});
for (const file of ["index.html", "icon.svg"]) await copyFile(join(here, file), join(into, file));
