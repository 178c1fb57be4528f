'use strict'
// Loads the files of dist/bundle with V8's code cache: what an earlier run has compiled is not compiled again, which
// is the larger part of starting. A file is looked for at the one place where it can be, and stands in `require.cache`,
// so that a plug-in that requires `vdisk` gets the same modules.
//
// The cache is made by `npm run build`, and by the first run of another version of Node where the owner of the
// installation runs it; it lies beside the code and is trusted as the code is. Without it everything works, slower.
// VDISK_CODE_CACHE=off neither reads nor writes it; `renew` writes what this run has compiled besides.
const fs = require('node:fs')
const Module = require('node:module')
const path = require('node:path')
const vm = require('node:vm')

const bundle = path.join(__dirname, '../dist/bundle')
const folder = path.join(bundle, 'code-cache')
const command = process.argv[2] ?? ''
// Of each command its own: what others have compiled besides would only take time to read.
const known =
  /^[a-z]+$/.test(command) && ['', '.js'].some((end) => fs.existsSync(path.join(bundle, 'commands', command + end)))
const blob = path.join(folder, `${process.version}-${process.arch}-${known ? command : 'other'}.bin`)
const mode = process.env.VDISK_CODE_CACHE
const headLength = 65536
const [head, tail] = Module.wrapper
let scratch = Buffer.allocUnsafeSlow(524288)

/** What was compiled in this run, by its file: the script, and what tells whether the file is still the same. */
const compiled = new Map()
let renews = mode === 'renew'
/** The cache's descriptor and its index: file → [position, length, size and time of the file]. */
let cache = mode === 'off' ? { entries: {} } : openCache()

/** The exports of a file of dist/bundle, by its name there. */
function load(name) {
  process.once('exit', writeCache)
  return loadFile(path.join(bundle, name))
}

function loadFile(file) {
  const known = require.cache[file]
  if (known !== undefined) return known.exports
  const module = new Module(file, null)
  module.filename = file
  require.cache[file] = module
  try {
    const own = path.dirname(file)
    let others
    const requireFrom = (name) =>
      name.endsWith('.js') && (name.startsWith('.') || name.startsWith(bundle + path.sep))
        ? loadFile(beside(own, name))
        : Module.isBuiltin(name)
          ? require(name)
          : (others ??= Module.createRequire(file))(name)
    // What comes from the cache may not import by itself.
    requireFrom.importModule = (address) => import(address)
    compile(file).call(module.exports, module.exports, requireFrom, module, file, own)
    module.loaded = true
  } catch (error) {
    delete require.cache[file]
    throw error
  }
  return module.exports
}

/** The file that a name of the bundle's own leads to: as `path.resolve`, which takes longer. */
function beside(folder, name) {
  if (!name.startsWith('.')) return name
  let [at, rest] = [folder, name.startsWith('./') ? name.slice(2) : name]
  for (; rest.startsWith('../'); rest = rest.slice(3)) at = path.dirname(at)
  return path.join(at, rest)
}

function compile(file) {
  const { text, state } = wrapped(file)
  const name = path.relative(bundle, file)
  const cachedData = cachedFor(name, state)
  const script = new vm.Script(text, { filename: file, cachedData })
  compiled.set(name, { script, state })
  // Data that V8 refuses (other flags) is left to the runs that can use it.
  if (cachedData === undefined) renews = renews || mode !== 'off'
  return script.runInThisContext()
}

/** A file's text as one flat string in its wrapper: to put it there afterwards would copy it once more. */
function wrapped(file) {
  const descriptor = fs.openSync(file, 'r')
  try {
    const { size, mtimeMs } = fs.fstatSync(descriptor)
    const end = head.length + size
    if (scratch.length < end + tail.length) scratch = Buffer.allocUnsafeSlow(2 * end)
    scratch.write(head, 0, 'latin1')
    const length = fs.readSync(descriptor, scratch, head.length, size, 0)
    if (length !== size) throw new Error(`${file} changes while it is read`)
    scratch.write(tail, end, 'latin1')
    // scripts/bundle.js writes ASCII only.
    return { text: scratch.latin1Slice(0, end + tail.length), state: [size, mtimeMs] }
  } finally {
    fs.closeSync(descriptor)
  }
}

function openCache() {
  try {
    const descriptor = fs.openSync(blob, 'r')
    const index = Buffer.allocUnsafe(headLength)
    const length = fs.readSync(descriptor, index, 0, headLength, 0)
    return { descriptor, entries: JSON.parse(index.toString('utf8', 0, length)) }
  } catch {
    // Not made yet, or by nobody who may: the program is compiled as it is needed.
    return { entries: {} }
  }
}

function cachedFor(name, [size, time]) {
  const [position, length, ...state] = cache.entries[name] ?? []
  if (state[0] !== size || state[1] !== time) return undefined
  const data = Buffer.allocUnsafeSlow(length)
  return fs.readSync(cache.descriptor, data, 0, length, position) === length ? data : undefined
}

/** Writes the cache anew with what this run has compiled, if there is something to add and it is ours to write. */
function writeCache() {
  if (!renews) return
  renews = false
  const partial = `${blob}.${process.pid}`
  let made = false
  try {
    if (process.geteuid !== undefined && fs.statSync(bundle).uid !== process.geteuid()) return
    fs.mkdirSync(folder, { recursive: true })
    // Another run may have added something meanwhile.
    cache = openCache()
    const parts = new Map()
    for (const [name, [, , ...state]] of Object.entries(cache.entries)) {
      const data = cachedFor(name, state)
      if (data !== undefined && fs.existsSync(path.join(bundle, name))) parts.set(name, { data, state })
    }
    for (const [name, { script, state }] of compiled) parts.set(name, { data: script.createCachedData(), state })
    let position = headLength
    const entries = {}
    for (const [name, { data, state }] of parts) {
      entries[name] = [position, data.length, ...state]
      position += data.length
    }
    const index = Buffer.alloc(headLength, ' ')
    if (index.write(JSON.stringify(entries)) === headLength) return
    const descriptor = fs.openSync(partial, 'wx')
    made = true
    try {
      fs.writevSync(descriptor, [index, ...[...parts.values()].map(({ data }) => data)])
      // V8 believes what it reads: no power cut may leave half of it under its name.
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(partial, blob)
  } catch {
    // No room, or no permission: the next run compiles as this one did.
    if (made) fs.rmSync(partial, { force: true })
  }
}

module.exports = { load }
