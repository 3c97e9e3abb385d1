// Compiles solidity/*.sol into artifacts/*.json: what each contract's ABI and deployment code are,
// and in lock.json what they were made of. The artifacts are checked in, so that only those who
// change a contract need node.
//
//   node build.mjs           writes the artifacts
//   node build.mjs --check   writes nothing; names every difference and exits with 1 if there is one

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import solc from "solc";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const SOURCES = join(HERE, "solidity");
const ARTIFACTS = join(HERE, "artifacts");

const SETTINGS = {
  // Cancun is what slower chains have reached too; nothing newer is needed.
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  // No metadata: then equal sources give equal code, wherever they are compiled.
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

function sha256(content) {
  return createHash("sha256").update(content).digest("hex");
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

function text(value) {
  return `${JSON.stringify(sorted(value), null, 2)}\n`;
}

function ownSources() {
  const names = readdirSync(SOURCES).filter((name) => name.endsWith(".sol")).sort();
  return new Map(names.map((name) => [name, readFileSync(join(SOURCES, name), "utf8")]));
}

/** Returns what the compiler made of the sources, and every source it read, by name. */
function compile(own) {
  const read = new Map(own);
  const input = {
    language: "Solidity",
    sources: Object.fromEntries([...own].map(([name, content]) => [name, { content }])),
    settings: {
      ...SETTINGS,
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const readImport = (name) => {
    if (!name.startsWith("@openzeppelin/")) return { error: `${name} is not a source of ours` };
    const contents = readFileSync(join(HERE, "node_modules", name), "utf8");
    read.set(name, contents);
    return { contents };
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  // A warning about our own text fails the build: nobody reads the second one. Warnings about the
  // library's text are for its authors (its guard clears the transient storage solc warns of).
  const complaints = (output.errors ?? [])
    .filter((error) => error.severity === "error" || own.has(error.sourceLocation?.file))
    .map((error) => error.formattedMessage);
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
  return { contracts: output.contracts, read };
}

/** Returns the text of every file that belongs into artifacts/, by file name. */
function build() {
  const own = ownSources();
  const { contracts, read } = compile(own);
  const files = new Map();
  const bytecode = {};
  for (const source of own.keys()) {
    const name = source.replace(/\.sol$/, "");
    const contract = contracts[source][name];
    if (contract === undefined) throw new Error(`${source} does not define a contract ${name}`);
    const code = contract.evm.bytecode.object;
    bytecode[name] = sha256(Buffer.from(code, "hex"));
    files.set(`${name}.json`, text({ abi: contract.abi, bytecode: `0x${code}` }));
  }
  const sources = Object.fromEntries([...read].map(([name, content]) => [name, sha256(content)]));
  files.set("lock.json", text({ compiler: solc.version(), settings: SETTINGS, sources, bytecode }));
  return files;
}

function write(files) {
  mkdirSync(ARTIFACTS, { recursive: true });
  for (const name of readdirSync(ARTIFACTS)) if (!files.has(name)) rmSync(join(ARTIFACTS, name));
  for (const [name, content] of files) writeFileSync(join(ARTIFACTS, name), content);
}

function lockDifferences(before, after) {
  const found = [];
  for (const part of Object.keys({ ...before, ...after })) {
    const [old, now] = [before[part], after[part]];
    if (JSON.stringify(old) === JSON.stringify(now)) continue;
    if (part === "compiler") found.push(`compiler: ${old} made the artifacts, here is ${now}`);
    else
      for (const name of Object.keys({ ...old, ...now }))
        if (JSON.stringify(old?.[name]) !== JSON.stringify(now?.[name]))
          found.push(`${part}: ${name} is not what the artifacts were made of`);
  }
  return found;
}

function differences(files) {
  const present = new Set(readdirSync(ARTIFACTS));
  const found = [...present]
    .filter((name) => !files.has(name))
    .map((name) => `artifacts/${name} belongs to no source`);
  for (const [name, content] of files) {
    if (!present.has(name)) found.push(`artifacts/${name} is missing`);
    else {
      const before = readFileSync(join(ARTIFACTS, name), "utf8");
      if (before === content) continue;
      found.push(`artifacts/${name} is not what its source compiles to`);
      if (name === "lock.json")
        found.push(...lockDifferences(JSON.parse(before), JSON.parse(content)));
    }
  }
  return found;
}

const [argument, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (argument !== undefined && argument !== "--check")) {
  console.error("usage: node build.mjs [--check]");
  process.exit(2);
}
const files = build();
if (argument === "--check") {
  const found = differences(files);
  for (const difference of found) console.error(difference);
  if (found.length > 0) {
    console.error("run `node build.mjs` in contracts/ and commit what it writes");
    process.exit(1);
  }
  console.log(`${files.size} artifacts are what their sources compile to`);
} else {
  write(files);
  console.log(`wrote ${[...files.keys()].join(", ")}`);
}
