/** Hives and logs of the registry in the fuzzer: changed, and walked as far as they go. */
import { BcdStore, mountedDevice, openHive, type HiveKey } from '../../src/hive/index.js'
import {
  dirty,
  dword,
  hiveBytes,
  newLog,
  newLogEntry,
  oldLog,
  sealBase,
  sealEntry,
  text,
  texts,
  type KeySpec,
} from '../support/hive-bytes.js'
import { fileOf } from '../support/hive-facts.js'
import { bootStore, systemHive, windowsSpec } from '../support/windows-guest.js'
import { BufferStore } from './buffer-store.js'
import type { SeedImage, Word } from './seeds.js'

export const hiveSubject = 'registry'

const spec: KeySpec = {
  values: [
    ['', 1, text('value')],
    ['number', 4, dword(7)],
    ['texts', 7, texts('a', 'b')],
    ['long', 3, Buffer.alloc(33000, 7)],
  ],
  keys: Object.fromEntries(
    Array.from({ length: 12 }, (_unused, index) => [`key ${index}`, { className: 'a class', keys: { below: {} } }]),
  ),
}
const before = hiveBytes(spec)
const after = hiveBytes({ ...spec, values: [['number', 4, dword(8)]] })
/** What logs in the seeds belong to. */
const left = dirty(before)

/** Logs are seeds of their own; the hive is `left` then. */
const isLog = (path: string): boolean => path.includes('log')

export function hiveSeeds(): SeedImage[] {
  const seeds: readonly (readonly [string, Buffer])[] = [
    ['hashed lists', before],
    ['lists of lists', hiveBytes(spec, { lists: 'ri', wide: true })],
    ['fast lists', hiveBytes(spec, { lists: 'lf', minor: 3 })],
    ['SYSTEM', hiveBytes(systemHive(windowsSpec('mbr')))],
    ['BCD', hiveBytes(bootStore(windowsSpec('gpt').store))],
    ['old log', oldLog(before, after)],
    ['new log', newLog(before, 2, [newLogEntry(before, after, 2), newLogEntry(after, before, 3)])],
  ]
  return seeds.map(([path, bytes]) => ({ path, store: new BufferStore(path, bytes), words: wordsOf(bytes) }))
}

/** Every word of the base block, and of the heads of bins, cells and entries: the first 96 bytes of each. */
function wordsOf(bytes: Buffer): Word[] {
  const words: Word[] = []
  const add = (start: number, end: number): void => {
    for (let at = start; at + 4 <= Math.min(end, bytes.length); at += 2)
      words.push({ position: at, length: at % 4 === 0 ? 4 : 2 })
  }
  add(0, 48)
  for (let at = 512; at < bytes.length; at += 512) add(at, at + 96)
  for (let at = 4096 + 32; at + 4 <= bytes.length && words.length < 20000;) {
    const size = Math.abs(bytes.readInt32LE(at))
    add(at, Math.min(at + size, at + 96))
    at += Math.max(8, size)
    if (at % 4096 === 0) at += 32
  }
  return words
}

/** Right checksums and hashes over what was changed. */
export function sealHive(store: BufferStore): void {
  if (store.size < 512) return
  const bytes = Buffer.from(store.bytes)
  sealBase(bytes)
  for (let at = 512; at + 40 <= bytes.length;) {
    const size = bytes.readUInt32LE(at + 4)
    if (bytes.toString('latin1', at, at + 4) !== 'HvLE' || size < 40 || at + size > bytes.length) break
    sealEntry(bytes.subarray(at, at + size))
    at += size
  }
  store.write(0, bytes)
}

/** Opens and walks a hive. @throws ImageError, and nothing else. */
export function exerciseHive(path: string, store: BufferStore): void {
  const hive = isLog(path) ? openHive(fileOf(left), [store], path) : openHive(store, [], path)
  const walk = (key: HiveKey): void => {
    for (const value of key.values()) {
      mountedDevice(value.data())
      if (value.text === undefined && value.texts === undefined && value.number === undefined)
        value.patches(0, value.data())
    }
    if (key.className !== '') for (const below of key.subkeys()) walk(below)
  }
  hive.root.at('ControlSet001\\Services\\vmbus')?.value('Start')
  for (const object of new BcdStore(hive).objects) object.devices()
  walk(hive.root)
  hive.checkBins()
}
