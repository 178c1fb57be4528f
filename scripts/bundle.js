#!/usr/bin/env node
// Makes dist/bundle from dist/src: the same modules in few files, so that a command starts quickly. Whatever is an
// entry of its own (the library, each command, each worker and server) keeps its name; what several of them share lies
// in chunks, so that all of them, and plug-ins that import `vdisk`, see the same classes.
//
// The files are CommonJS: Node reads those at once and in turn, which takes half the time of its loader for ES modules.
//
//   node scripts/bundle.js           build
//   node scripts/bundle.js --stale   build only when dist/src has changed since
import fs from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = path.join(root, 'dist/src')
const target = path.join(root, 'dist/bundle')
const commonChunk = 'common.js'
const stamp = path.join(target, '.made-from')

const javascriptFiles = (folder) =>
  fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => path.join(folder, name))

/** What the bundle is made from, as text: it has changed when this has. */
function state() {
  const files = [...javascriptFiles(sources), fileURLToPath(import.meta.url), path.join(root, 'package-lock.json')]
  return files
    .sort()
    .map((file) => `${path.relative(root, file)} ${fs.statSync(file).mtimeMs}\n`)
    .join('')
}

/** Modules that others start by their address (threads, servers), found where the address is made. */
function startedByAddress(files) {
  return files.flatMap((file) =>
    [...fs.readFileSync(file, 'utf8').matchAll(/new URL\('([^']+\.js)', import\.meta\.url\)/g)].map(([, address]) =>
      path.resolve(path.dirname(file), address),
    ),
  )
}

/**
 * Imports that most commands never use, by the file that has them: each is loaded at the first call of one of its
 * functions. What a format consists of is loaded when an image of it is opened or made. What one line names is one
 * group of each file, so that a format becomes one file.
 */
const lazyImports = [
  [/^formats\/\w+\/index\.js$/, /^\.\/(?:\w+\/)?(?:reader|opening|acquisition|segments)\.js$/],
  [/^formats\/\w+\/index\.js$/, /^\.\/(?:\w+\/)?writer\.js$/],
  [/^formats\/\w+\/index\.js$/, /^\.\/(?:\w+\/)?(?:repair|writable)\.js$/],
  [/^formats\/vma\/index\.js$/, /^\.\/(?:disk|extents|header|machine)\.js$/],
  [
    /^formats\/(?:ovf|compressed)\/\w+\.js$/,
    /^(?:\.\/package|.*\/codec\/lzop|.*\/codec\/stream\/(?!marks)\w[\w-]*)\.js$/,
  ],
  [/^codec\/(?:stream-units|whole-streams|lzop|tar-sums|container)\.js$/, /^\.\/(?:stream\/.*|lzo|xz-encode)\.js$/],
  [/^codec\/lzfse\.js$/, /^\.\/lz.*\.js$/],
  [/^formats\/member-file\.js$/, /^\.\.\/codec\/stream\/(?:forward-store|thread)\.js$/],
  [/^location\/nbd\.js$/, /^\.\.\/mount\/nbd\/export-store\.js$/],
  [/^device\/index\.js$/, /^\.\/darwin\.js$/],
  [/^device\/index\.js$/, /^\.\/win32\.js$/],
  [/^operations\/open\/\w[\w-]*\.js$/, /^\.\.\/\.\.\/(?:filesystem|partition)\/index\.js$/],
  [/^operations\/open\/\w[\w-]*\.js$/, /^\.\.\/backup\/links\.js$/],
  [/^operations\/transfer\/used-only\.js$/, /^\.\.\/\.\.\/(?:filesystem|partition)\/index\.js$/],
  [/^operations\/transfer\/used-only\.js$/, /^\.\.\/\.\.\/filesystem\/run-union\.js$/],
  [/^operations\/transfer\/content\.js$/, /^\.\/used-only\.js$/],
  [/^operations\/transfer\/content\.js$/, /^\.\/parent\.js$/],
  [/^operations\/transfer\/content\.js$/, /^\.\.\/partition\/resized-volume\.js$/],
  [/^operations\/transfer\/convert\.js$/, /^\.\/for-platform\.js$/],
  [/^operations\/transfer\/target-output\.js$/, /^\.\/sink-compressed\.js$/],
  [/^operations\/transfer\/target-output\.js$/, /^\.\/sink-export\.js$/],
  [/^operations\/transfer\/convert\.js$/, /^(?:\.\.\/resume\/\w[\w-]*|\.\/made-record)\.js$/],
  [
    /^operations\/transfer\/(?:target|stream)-output\.js$/,
    /^\.\/(?:sink-stream|packed-stream|sink-ova|sink-upload)\.js$/,
  ],
  [/^operations\/partition\/resized-volume\.js$/, /^\.\.\/\.\.\/filesystem\/index\.js$/],
]

/**
 * The text of a module with its lazy imports as functions: dynamic imports, at which esbuild begins a file, and which
 * {@link toCommonJs} makes plain ones.
 */
function withLazyImports(name, text) {
  const rows = lazyImports.filter(([importer]) => importer.test(name)).map(([, source]) => source)
  const groups = new Map()
  const importPattern = /^import \{([^}]*)\} from '([^'\n]+)';\n/gm
  const body = text.replaceAll(importPattern, '')
  const own = text.replace(importPattern, (whole, list, source) => {
    const row = rows.findIndex((each) => each.test(source))
    if (row < 0) return whole
    const names = list
      .trim()
      .split(/\s*,\s*/)
      .filter((each) => each !== '')
    groups.set(row, `${groups.get(row) ?? ''}export { ${names.join(', ')} } from '${source}'\n`)
    return names.map((each) => lazyFunction(name, source, each, body, `lazyGroup${row}`)).join('')
  })
  const loaders = [...groups.keys()].map((row) => `const lazyGroup${row} = () => import('lazy-group:${name}?${row}')\n`)
  return { text: loaders.join('') + own, groups: [...groups].map(([row, group]) => [`${name}?${row}`, group]) }
}

/** A function that loads the group it is in; where it is used as a class it makes an object of it. */
function lazyFunction(file, source, name, body, group) {
  if (/ as /.test(name)) throw new Error(`${file}: ${name} is loaded when it is needed, which this cannot rename`)
  const makes = new RegExp(`\\bnew ${name}\\b`).test(body) ? 'new ' : ''
  const declared = declarationOf(path.resolve(sources, path.dirname(file), source), name)
  const others = new RegExp(`\\b(?:extends|instanceof) ${name}\\b|(?<![.#\\w])${name}\\.`).exec(body)
  if (declared === undefined || others !== null)
    throw new Error(`${file}: ${others?.[0] ?? name} is not only called, and cannot be loaded when it is needed`)
  return `function ${name}(...values) { return ${makes}(${group}().${name})(...values) }\n`
}

/** What declares a function or class that a file exports, itself or from another; undefined for anything else. */
function declarationOf(file, name) {
  const text = fs.readFileSync(file, 'utf8')
  const own = new RegExp(`^export (?:async )?(?:function\\*? |class )${name}\\b.*`, 'm').exec(text)
  if (own !== null) return own[0]
  for (const [, names, from] of text.matchAll(/^export (?:\*|\{([^}]*)\}) from '(\.[^'\n]+)';/gm))
    if (names === undefined || names.split(',').some((each) => each.trim() === name)) {
      const found = declarationOf(path.resolve(path.dirname(file), from), name)
      if (found !== undefined) return found
    }
  return undefined
}

/** A module still finds its neighbours by `import.meta.url`: it gets the address it would have outside of chunks. */
const ownAddresses = {
  name: 'own-addresses',
  setup(bundler) {
    const groups = new Map()
    bundler.onResolve({ filter: /^lazy-group:/ }, ({ path: name }) => ({ path: name, namespace: 'lazy-group' }))
    bundler.onLoad({ filter: /.*/, namespace: 'lazy-group' }, ({ path: name }) => groups.get(name))
    bundler.onLoad({ filter: /dist[/\\]src[/\\].*\.js$/ }, ({ path: file }) => {
      const own = path.relative(sources, file).split(path.sep).join('/')
      const source = fs.readFileSync(file, 'utf8')
      const { text, groups: ownGroups } = withLazyImports(own, source)
      for (const [key, contents] of ownGroups)
        groups.set(`lazy-group:${key}`, { contents, resolveDir: path.dirname(file), loader: 'js' })
      const name = JSON.stringify(own)
      const contents = text
        .replaceAll('import.meta.url', `new URL(${name}, bundleFolder).href`)
        .replaceAll(/\bimport\((?=[a-zA-Z])/g, 'bundleImport(')
      return contents === source ? undefined : { contents, loader: 'js' }
    })
  },
}

/**
 * oclif's modules require one another when they are loaded, 120 of them for a command that uses 30. TypeScript has
 * compiled them to a form in which an import is used as `name_1.member` only, so each can be had at its first use. What
 * finds plug-ins and prints help stays in node_modules: when it is needed, bin/run.js starts oclif itself.
 */
const lazyOclif = {
  name: 'lazy-oclif',
  setup(bundler) {
    bundler.onLoad({ filter: /@oclif[/\\]core[/\\]lib[/\\].*\.js$/ }, ({ path: file }) => {
      const imports = /^(?:const|var) (\w+) = ((?:__import\w+\()?require\("([^"]+)"\)\)?);$/gm
      let text = fs.readFileSync(file, 'utf8')
      const found = [...text.matchAll(imports)]
      text = text.replace(imports, '')
      for (const [, name] of found)
        text = text
          .replaceAll(new RegExp(`\\bnew (${name}(?:\\.\\w+)+)`, 'g'), 'new ($1)')
          .replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `${name}()`)
      const lazy = found.map(
        ([, name, call]) => `var ${name}$; function ${name}() { return (${name}$ ??= ${call}); }\n`,
      )
      return { contents: text + lazy.join(''), loader: 'js' }
    })
    const external = { config: 'config', help: 'help', 'errors/handle': 'handle' }
    // The package `debug` prints what oclif does; with DEBUG set bin/run.js starts oclif itself, outside of the bundle.
    bundler.onResolve({ filter: /^debug$/ }, () => ({ path: 'debug', namespace: 'silent' }))
    bundler.onLoad({ filter: /.*/, namespace: 'silent' }, () => ({
      contents:
        'const silent = () => Object.assign(() => undefined, { enabled: false, extend: silent })\n' +
        'module.exports = silent',
    }))
    bundler.onResolve({ filter: /^\.\.?\// }, ({ path: name, importer }) => {
      if (!/@oclif[/\\]core[/\\]lib[/\\]/.test(importer)) return undefined
      const file = path.join(path.dirname(importer), name).split(path.sep).join('/').split('@oclif/core/lib/')[1]
      return file in external ? { path: `@oclif/core/${external[file]}`, external: true } : undefined
    })
  },
}

/**
 * Modules of Node that cost milliseconds to load and of which only functions are used: each is loaded at its first
 * call.
 */
const lazyFunctions = new Set([
  'node:crypto',
  'node:v8',
  'node:child_process',
  'node:stream',
  'node:timers/promises',
  'node:tty',
  'node:worker_threads',
  'node:zlib',
])

/** Of those, what is not called but made an object of; modules that use anything else load theirs at once. */
const lazyClasses = new Set(['Worker', 'Duplex'])

/** Modules of Node that are imported as a whole, and loaded when something of them is first used. */
const lazyDefaults = new Set(['node:zlib', 'node:stream'])

/** Packages that few commands use, loaded at the first use of a member. */
const lazyPackages = ['tmp']

function withLazyPackages(text) {
  return lazyPackages.reduce((whole, name) => {
    const own = `import_${name}`
    const load = new RegExp(`^var ${own} = (__toESM\\(require_${name}\\(\\), 1\\));$`, 'm')
    if (!load.test(whole)) return whole
    return whole
      .replaceAll(`${own}.default`, `${own}().default`)
      .replace(load, `let ${own}$;\nconst ${own} = () => (${own}$ ??= $1);`)
  }, text)
}

/**
 * An ES module that esbuild wrote, as CommonJS. Names stay constants: esbuild's own CommonJS looks each up at every
 * use. `imports` is what esbuild says the file imports; it has to be what was found here.
 */
function toCommonJs(name, text, imports) {
  const found = []
  const head = []
  const tail = []
  const list = (names) => names.trim().split(/\s*,\s*/)
  const body = withLazyPackages(text)
    .replace(
      /^import (?:(?:(\w+)|\* as (\w+)|\{([^}]*)\}) from )?"([^"\n]+)";\n/gm,
      (_, byDefault, all, names, source) => {
        found.push(source)
        const wanted = names === undefined ? undefined : list(names).map((each) => each.replace(' as ', ': '))
        const one = byDefault ?? all ?? (wanted === undefined ? undefined : `{ ${wanted.join(', ')} }`)
        if (byDefault !== undefined && !source.startsWith('node:')) throw new Error(`${name}: default of ${source}`)
        const isLazy = (each) => /^[a-z]\w+$/.test(each) || lazyClasses.has(each.split(': ')[0])
        const values = ['parentPort', 'workerData']
        if (lazyFunctions.has(source) && wanted?.some((each) => values.includes(each.split(': ')[0])) === false) {
          const kept = `module${head.length}$`
          head.push(`let ${kept};\n`)
          for (const each of wanted) {
            const [own, as = own] = each.split(': ')
            if (!isLazy(own)) throw new Error(`${name}: ${own} of ${source} is no function`)
            const makes = lazyClasses.has(own) ? 'new ' : ''
            head.push(
              `function ${as}(...values) { return ${makes}((${kept} ??= require("${source}")).${own})(...values); }\n`,
            )
          }
          return ''
        }
        if (byDefault !== undefined && lazyDefaults.has(source)) {
          const traps = `get: (_, key) => require("${source}")[key], has: (_, key) => key in require("${source}")`
          head.push(`const ${byDefault} = new Proxy({}, { ${traps} });\n`)
          return ''
        }
        // A module does nothing when it is loaded but make what it exports: what nobody wants of it is not loaded.
        if (one !== undefined) head.push(`const ${one} = require("${source}");\n`)
        return ''
      },
    )
    .replace(/^export \{([^}]*)\};\n/gm, (_, names) => {
      const given = list(names).map((each) => each.split(' as '))
      tail.push(`module.exports = { ${given.map(([own, as = own]) => `${as}: ${own}`).join(', ')} };\n`)
      return ''
    })
    .replace(/^export default (.*);\n/gm, (_, value) => {
      tail.push(`module.exports = { default: ${value} };\n`)
      return ''
    })
    .replace(/(lazyGroup\w* = \(\) => )import\("(\.[^"\n]+)"\)/g, (_, start, source) => {
      found.push(source)
      return `${start}require("${source}")`
    })
    .replace(/\bimport\("(\.[^"\n]+)"\)/g, (_, source) => {
      found.push(source)
      return `Promise.resolve().then(() => require("${source}"))`
    })
    // A script that comes from V8's code cache may not import: oclif is CommonJS, and the rest goes by bundleImport.
    .replace(/\bimport\("(@oclif\/[^"\n]+)"\)/g, (_, source) => `Promise.resolve().then(() => require("${source}"))`)
  const written = imports
    .filter(({ external, kind }) => !(external && kind !== 'import-statement'))
    .map(({ path: file, external }) => (external ? file : path.resolve(root, file)))
  const read = found.map((source) =>
    source.startsWith('.') ? path.resolve(target, path.dirname(name), source) : source,
  )
  if (written.sort().join('\n') !== read.sort().join('\n'))
    throw new Error(`${name} imports\n${written.join('\n')}\nand here were found\n${read.join('\n')}`)
  if (tail.length > 1) throw new Error(`${name} exports more than once`)
  const whole = waitsOutside(body) && tail.length === 0 ? `(async () => {\n${body}})();\n` : body
  if (waitsOutside(whole)) throw new Error(`${name} waits outside of a function, and others wait for what it exports`)
  return ['"use strict";\n', ...head, prelude(name, body), whole, ...tail].join('')
}

/** Whether a module has an `await` outside of a function, as only an ES module may. */
function waitsOutside(body) {
  try {
    new vm.Script(`(function(){${body}})`)
    return false
  } catch {
    return true
  }
}

/** What {@link ownAddresses} and modules that were ES modules use, as far as a file uses it. */
function prelude(name, body) {
  const above = '../'.repeat(name.split('/').length - 1)
  const folder = `const bundleFolder = new URL("./${above}", require("node:url").pathToFileURL(__filename));\n`
  const load =
    'const bundleImport = (address) => address.startsWith(bundleFolder.href) ? ' +
    'Promise.resolve(require(require("node:url").fileURLToPath(address))) : ' +
    '(require.importModule ?? ((other) => import(other)))(address);\n'
  return (/\bbundle(Folder|Import)\b/.test(body) ? folder : '') + (/\bbundleImport\b/.test(body) ? load : '')
}

/** The same code without other characters: V8 takes it as it lies in the file, instead of decoding all of it. */
function asciiOnly(text) {
  return text.replace(/[^\0-\x7f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Tests of several processes may find the bundle stale at the same time: each file is exchanged as a whole. */
function writeWhole(file, contents) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  const partial = `${file}.${process.pid}`
  fs.writeFileSync(partial, contents)
  fs.renameSync(partial, file)
}

/**
 * Small chunks that many files want become one file, in which each is a function that runs when it is first wanted:
 * what opening a file costs would else be more than what is in it.
 */
function packSmallChunks(modules, outputs, name) {
  const wanted = new Map()
  for (const { imports } of outputs.values())
    for (const { path: file } of imports.filter(({ external }) => !external))
      wanted.set(name(file), (wanted.get(name(file)) ?? 0) + 1)
  const packed = [...modules.keys()]
    .filter((file) => file.startsWith('chunks/') && modules.get(file).length < 12_000 && wanted.get(file) >= 8)
    .sort()
  const key = (file) => file.replace(/^.*\//, '')
  const keys = new Set(packed.map(key))
  const redirected = (text) =>
    text.replace(/\brequire\("((?:\.\.?\/)+(?:chunks\/)?)([\w-]+\.js)"\)/g, (call, folder, file) =>
      keys.has(file) ? `require("${folder}${commonChunk}")("${file}")` : call,
    )
  const parts = packed.map((file) => `"${key(file)}": (module) => {\n${redirected(modules.get(file))}},\n`)
  const common =
    '"use strict";\nconst made = new Map();\nconst common = module.exports = (name) => {\n' +
    '  const known = made.get(name);\n  if (known !== undefined) return known.exports;\n' +
    '  const module = { exports: {} };\n  parts[name](module);\n  made.set(name, module);\n' +
    `  return module.exports;\n};\ncommon.made = made;\nconst parts = {\n${parts.join('')}};\n`
  return new Map([
    ...[...modules].filter(([file]) => !packed.includes(file)).map(([file, text]) => [file, redirected(text)]),
    [`chunks/${commonChunk}`, common],
  ])
}

/** The licences of the packages that are in the bundle: they may be used where their notice is kept. */
function licences(inputs) {
  const packages = new Set(inputs.flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []))
  const parts = [...packages].sort().map((folder) => {
    const { name, version, license } = JSON.parse(fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8'))
    const file = fs.readdirSync(path.join(root, folder)).find((each) => /^licen[cs]e/i.test(each))
    if (file === undefined) throw new Error(`${name} has no licence that the bundle could carry`)
    const text = fs.readFileSync(path.join(root, folder, file), 'utf8').trim()
    return `${name} ${version} (${license})\n\n${text}\n`
  })
  return `The files in this folder hold parts of these packages.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`
}

async function make() {
  const { build, transform } = await import('esbuild')
  const files = javascriptFiles(sources)
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: [
      path.join(sources, 'index.js'),
      path.join(sources, 'cli/program.js'),
      path.join(sources, 'cli/plugin-registry.js'),
      path.join(sources, 'cli/command-not-found.js'),
      ...files.filter((file) => file.startsWith(path.join(sources, 'commands') + path.sep)),
      ...startedByAddress(files),
    ],
    outdir: target,
    outbase: sources,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external: [
      'koffi',
      '@toondepauw/node-zstd',
      '@bokuweb/zstd-wasm',
      '@oclif/core/run',
      '@oclif/core/config',
      '@oclif/core/handle',
    ],
    plugins: [ownAddresses, lazyOclif],
    minifySyntax: true,
    legalComments: 'none',
    metafile: true,
    write: false,
  })
  const name = (file) => path.relative(target, path.resolve(root, file)).split(path.sep).join('/')
  const texts = new Map(outputFiles.map(({ path: file, text }) => [name(file), text]))
  const outputs = new Map(Object.entries(metafile.outputs).map(([file, output]) => [name(file), output]))
  const modules = new Map([...texts].map(([file, text]) => [file, toCommonJs(file, text, outputs.get(file).imports)]))
  const packed = packSmallChunks(modules, outputs, name)
  for (const [file, text] of packed) {
    // V8 takes in all of a file's text; without blanks it is a quarter less. Lines stay short enough for a stack trace.
    const { code } = await transform(text, { minifyWhitespace: true, lineLimit: 120, legalComments: 'none' })
    writeWhole(path.join(target, file), asciiOnly(code))
  }
  const written = new Set([...packed.keys()].map((file) => path.join(target, file)))
  // The library is imported by ES modules too; they see the same.
  writeWhole(
    path.join(target, 'index.mjs'),
    `import library from './index.js'\nexport const { ${outputs.get('index.js').exports.join(', ')} } = library\n`,
  )
  writeWhole(path.join(target, 'licences.txt'), licences(Object.keys(metafile.inputs)))
  // Which modules are in which file: the files do not say it themselves.
  const contents = [...outputs].map(([file, { inputs }]) => [file, Object.keys(inputs)])
  writeWhole(path.join(target, 'contents.json'), JSON.stringify(Object.fromEntries(contents)))
  writeWhole(path.join(target, 'package.json'), '{ "type": "commonjs" }\n')
  return { metafile, files: written }
}

const current = state()
const stale = !fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== current
if (stale || !process.argv.includes('--stale')) {
  const { metafile, files } = await make()
  // A program that runs right now may still want old chunks, so tests leave them.
  if (!process.argv.includes('--stale'))
    for (const file of javascriptFiles(target)) if (!files.has(file)) fs.rmSync(file)
  if (process.argv.includes('--metafile')) fs.writeFileSync(path.join(target, 'meta.json'), JSON.stringify(metafile))
  fs.writeFileSync(stamp, current)
}
