'use strict'
// Loads the files of dist/bundle with V8's code cache: what an earlier run has compiled is not compiled again, which
// is the larger part of starting. A file is looked for at the one place where it can be, and stands in `require.cache`,
// so that a plug-in that requires `vdisk` gets the same modules.
//
// The cache is made by `npm run build`, and by the first two runs of another version of Node where the owner of the
// installation runs it; it lies beside the code and is trusted as the code is. Without it everything works, slower.
// VDISK_CODE_CACHE=off neither reads nor writes it; `renew` writes what this run has compiled besides.
//
// The files that a command begins with also lie there as one, its pack: one script with one piece of compiled code.
// Thirty of each take longer to open, to read and to hand to V8.
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
const packFile = known ? path.join(folder, `${command}.js`) : undefined
const mode = process.env.VDISK_CODE_CACHE
const headLength = 65536
const [head, tail] = Module.wrapper
/** Node copies a shorter text into V8's heap, which has to be cleaned sooner then. */
const longText = 1048576
/** A pack is made anew where it has less than this part of the files of a run. */
const enough = 0.75
/** What stands around the texts of a pack: an object of functions, behind a line that lists them. */
const packBegin = '\n({'
const packedHead = (name) => `${JSON.stringify(name)}:${head.slice(1)}`
const packedTail = '\n},\n'
let scratch = Buffer.allocUnsafeSlow(524288)

/** What was compiled in this run, by its file: the script, and what shows whether the file is still the same. */
const compiled = new Map()
let renews = mode === 'renew'
/**
 * The cache's descriptor and its index. `entries`: file → [position, length, size and time of the file]; `parts`: the
 * same without place, of the files that the pack was found to be made of.
 */
let cache = mode === 'off' ? { entries: {}, parts: {} } : openCache()
/** What was loaded, in its order. */
const loaded = []
/** Of the pack: the function that each file is, and what shows whether the file is still the same. */
const { functions, parts } = openPack() ?? {}

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
  const name = nameOf(file)
  loaded.push(name)
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
    const run = functions?.[name] ?? compile(file)
    run.call(module.exports, module.exports, requireFrom, module, file, own)
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
  return at + path.sep + (path.sep === '/' ? rest : rest.replaceAll('/', path.sep))
}

/** A file's name in the bundle, with `/` on every system. */
function nameOf(file) {
  const name = file.slice(bundle.length + 1)
  return path.sep === '/' ? name : name.replaceAll(path.sep, '/')
}

function compile(file, around = [head, tail]) {
  const { text, state } = wrapped(file, around)
  const name = nameOf(file)
  const cachedData = cachedFor(name, state)
  const script = new vm.Script(text, { filename: file, cachedData })
  compiled.set(name, { script, state })
  // Data that V8 refuses (other flags) is left to the runs that can use it.
  if (cachedData === undefined) renews = renews || mode !== 'off'
  return script.runInThisContext()
}

/** A file's text as one flat string in its wrapper: to put it there afterwards would copy it once more. */
function wrapped(file, [head, tail]) {
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
    const { entries, parts } = JSON.parse(index.toString('utf8', 0, length))
    return { descriptor, entries: { ...entries }, parts: { ...parts } }
  } catch {
    // Not made yet, or by nobody who may: the program is compiled as it is needed.
    return { entries: {}, parts: {} }
  }
}

/** The pack of this command; undefined where there is none, or its files are others by now. */
function openPack() {
  if (mode === 'off' || packFile === undefined) return undefined
  try {
    const parts = samePack() ? cache.parts : sameText()
    if (parts !== undefined) return { parts, functions: compile(packFile, ['', '']) }
  } catch {
    // Not made yet, or damaged.
  }
  // Each file is loaded by itself, and the pack made anew.
  renews = true
  return undefined
}

/** Whether the pack and all of its files are those that an earlier run has compared. */
function samePack() {
  const names = Object.keys(cache.parts)
  return names.length > 0 && names.every((name) => isSame(stateOf(path.join(bundle, name)), cache.parts[name]))
}

/** What a pack was made of, where it has the very text of these files. */
function sameText() {
  const bytes = fs.readFileSync(packFile)
  const parts = {}
  const end = bytes.indexOf('\n')
  let at = end + packBegin.length
  for (const [name, length] of JSON.parse(bytes.toString('latin1', 2, end))) {
    const file = path.join(bundle, name)
    at += packedHead(name).length
    if (!fs.readFileSync(file).equals(bytes.subarray(at, at + length))) return undefined
    at += length + packedTail.length
    parts[name] = stateOf(file)
  }
  parts[nameOf(packFile)] = stateOf(packFile)
  return parts
}

function stateOf(file) {
  const { size, mtimeMs } = fs.statSync(file)
  return [size, mtimeMs]
}

function isSame([size, time], [knownSize, knownTime]) {
  return size === knownSize && time === knownTime
}

/** Puts the files of this run into one, where there is none that has most of them. */
function writePack() {
  const packed = parts === undefined ? [] : loaded.filter((name) => name in functions)
  if (packed.length >= enough * loaded.length) return
  const texts = loaded.map((name) => fs.readFileSync(path.join(bundle, name), 'latin1'))
  const list = JSON.stringify(loaded.map((name, index) => [name, texts[index].length]))
  const own = texts.map((each, index) => packedHead(loaded[index]) + each + packedTail)
  const text = `//${list}${packBegin}${own.join('')}})`
  writeDurably(packFile, [Buffer.from(text.padEnd(longText), 'latin1')])
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
  try {
    if (process.geteuid !== undefined && fs.statSync(bundle).uid !== process.geteuid()) return
    fs.mkdirSync(folder, { recursive: true })
    if (packFile !== undefined) writePack()
    // Another run may have added something meanwhile.
    cache = openCache()
    const pieces = new Map()
    for (const [name, [, , ...state]] of Object.entries(cache.entries)) {
      const data = parts?.[name] === undefined ? cachedFor(name, state) : undefined
      if (data !== undefined && fs.existsSync(path.join(bundle, name))) pieces.set(name, { data, state })
    }
    for (const [name, { script, state }] of compiled) pieces.set(name, { data: script.createCachedData(), state })
    let position = headLength
    const entries = {}
    for (const [name, { data, state }] of pieces) {
      entries[name] = [position, data.length, ...state]
      position += data.length
    }
    const index = Buffer.alloc(headLength, ' ')
    if (index.write(JSON.stringify({ entries, parts: parts ?? cache.parts })) === headLength) return
    writeDurably(blob, [index, ...[...pieces.values()].map(({ data }) => data)])
  } catch {
    // No room, or no permission: the next run compiles as this one did.
  }
}

/** V8 believes what it reads: no power cut may leave half of it under its name. */
function writeDurably(file, pieces) {
  const partial = `${file}.${process.pid}`
  const descriptor = fs.openSync(partial, 'wx')
  try {
    try {
      for (const piece of pieces) for (let done = 0; done < piece.length;) done += fs.writeSync(descriptor, piece, done)
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(partial, file)
  } catch (error) {
    fs.rmSync(partial, { force: true })
    throw error
  }
}

module.exports = { load }
