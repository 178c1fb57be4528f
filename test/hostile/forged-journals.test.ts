import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { convert } from '../../src/index.js'
import { testFolder } from '../support/folder.js'
import { randomOf, variedDisk } from '../support/killed.js'

const mebibyte = 1048576
const headLength = 48
const recordHead = 20
const uuid = '8b8e9f3c-6f0a-4c39-9d63-3f1f5a0c2b11'
const options = { resume: true, uuid, time: 1_700_000_000, threads: 0 }

interface Journal {
  readonly facts: Record<string, unknown>
  readonly records: Uint8Array[]
}

function readJournal(bytes: Buffer): Journal {
  const length = bytes.readUInt32LE(12)
  const records: Uint8Array[] = []
  for (let at = headLength + length; at < bytes.length;) {
    const size = bytes.readUInt32LE(at)
    records.push(bytes.subarray(at + recordHead, at + recordHead + size))
    at += recordHead + size
  }
  const facts = JSON.parse(bytes.subarray(headLength, headLength + length).toString()) as Record<string, unknown>
  return { facts, records }
}

const digest = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest().subarray(0, 16)

/** A journal whose checks are right, whatever it says. */
function journalOf({ facts, records }: Journal): Buffer {
  const text = Buffer.from(JSON.stringify(facts))
  const head = Buffer.alloc(headLength)
  head.write('VDISKJNL')
  head.writeUInt32LE(1, 8)
  head.writeUInt32LE(text.length, 12)
  createHash('sha256').update(text).digest().copy(head, 16)
  const parts: Uint8Array[] = [head, text]
  let check = digest(head, text)
  for (const payload of records) {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(payload.length)
    check = digest(check, length, payload)
    parts.push(length, check, Buffer.from(payload))
  }
  return Buffer.concat(parts)
}

const withFacts = (change: Record<string, unknown>) => (journal: Journal) =>
  journalOf({ ...journal, facts: { ...journal.facts, ...change } })
const withRecords = (change: (records: Uint8Array[]) => Uint8Array[]) => (journal: Journal) =>
  journalOf({ ...journal, records: change([...journal.records]) })
/** Puts another byte into the first record, and makes the checks right again. */
const withByte = (at: number, value: number) =>
  withRecords(([first = new Uint8Array(0), ...rest]) => {
    const changed = Uint8Array.from(first)
    changed[at] = value
    return [changed, ...rest]
  })
const cutAt = (part: number) => (_journal: Journal, bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length * part))
const flipped = (at: number) => (_journal: Journal, bytes: Buffer) => {
  const changed = Buffer.from(bytes)
  const place = at < 0 ? bytes.length + at : at
  changed[place] = (changed[place] ?? 0) ^ 0x40
  return changed
}

const forgeries: Readonly<Record<string, (journal: Journal, bytes: Buffer) => Uint8Array>> = {
  'an empty file': () => new Uint8Array(0),
  'one byte': () => new Uint8Array(1),
  zeros: (_journal, bytes) => new Uint8Array(bytes.length),
  'another magic': flipped(0),
  'another version': flipped(8),
  'an impossible length of the facts': flipped(15),
  'a shorter length of the facts': flipped(12),
  'facts that do not fit their digest': flipped(60),
  'a digest that does not fit the facts': flipped(20),
  'a torn head': (_journal, bytes) => bytes.subarray(0, 40),
  'torn facts': (_journal, bytes) => bytes.subarray(0, 100),
  'a third': cutAt(0.34),
  'two thirds': cutAt(0.67),
  'all but a byte': (_journal, bytes) => bytes.subarray(0, bytes.length - 1),
  'a byte too many': (_journal, bytes) => Buffer.concat([bytes, Buffer.of(1)]),
  'a tail of noise': (_journal, bytes) => Buffer.concat([bytes, digest(bytes), digest(bytes), digest(bytes)]),
  'the last byte changed': flipped(-1),
  'a byte of the last record changed': flipped(-40),
  'a byte in the middle changed': (journal, bytes) => flipped(Math.floor(bytes.length / 2))(journal, bytes),
  'twice itself': (_journal, bytes) => Buffer.concat([bytes, bytes]),
  'the first record twice': withRecords(([first = new Uint8Array(0), ...rest]) => [first, first, ...rest]),
  'the records the other way round': withRecords((records) => records.reverse()),
  'the first record left out': withRecords((records) => records.slice(1)),
  'the first record alone': withRecords((records) => records.slice(0, 1)),
  'no records': withRecords(() => []),
  'a record of an unknown item': withRecords((records) => [...records, Uint8Array.of(99)]),
  'a record that ends in a number': withRecords((records) => [...records, Uint8Array.of(0, 255)]),
  'a number without an end': withRecords((records) => [...records, new Uint8Array(64).fill(255)]),
  'a chunk of no length': withRecords((records) => [...records, Uint8Array.of(0, 0, 0, 0, 0, 0, 0)]),
  'a chunk far behind the disk': withRecords((r) => [
    ...r,
    Uint8Array.of(0, 255, 255, 255, 255, 255, 1, 0, 1, 1, 0, 0),
  ]),
  'a chunk that goes back': withRecords((records) => [...records, Uint8Array.of(0, 0, 128, 128, 64, 1, 1, 0, 0)]),
  'a run that leaves its disk': withRecords((r) => [
    ...r,
    Uint8Array.of(0, 0, 0, 1, 1, 1, 0, 255, 255, 255, 255, 63, 1),
  ]),
  'a run of an unknown kind': withRecords((records) => [...records, Uint8Array.of(0, 0, 0, 1, 1, 1, 9, 0, 1, 0)]),
  'more digests than bytes': withRecords((records) => [...records, Uint8Array.of(0, 0, 0, 1, 1, 0, 255, 255, 3)]),
  'a sample of no length': withRecords((records) => [...records, Uint8Array.of(2, 0, 0, 0)]),
  'a sample of a file that is not there': withRecords((r) => [
    ...r,
    Uint8Array.from([2, 9, 0, 1, ...new Uint8Array(16)]),
  ]),
  'a first chunk elsewhere': withByte(1, 64),
  'a first chunk of another length': withByte(3, 1),
  'a sample that is another': (journal) =>
    withRecords((records) =>
      records.map((record) => Uint8Array.from(record, (byte, at) => (at === record.length - 1 ? byte ^ 1 : byte))),
    )(journal),
  'a placing that names another file': withRecords((records) => {
    const text = Buffer.from(JSON.stringify([{ name: '../source.raw', inode: '1', size: '1' }]))
    return [...records, Uint8Array.from([4, text.length, ...text])]
  }),
  'a placing that is no list': withRecords((records) => [...records, Uint8Array.from([4, 1, 0x31])]),
  'facts that are a list': (journal) => journalOf({ ...journal, facts: [] as unknown as Record<string, unknown> }),
  'facts of another schema': withFacts({ schema: 'vdisk.convert' }),
  'facts of another target': withFacts({ target: 'other.qcow2' }),
  'an id that leaves the folder': withFacts({ id: '../../../../tmp/x' }),
  'an id of another file': withFacts({ id: 'aaaaaaaaaaaa' }),
  'facts without a source': withFacts({ source: undefined }),
  'a source that is no list': withFacts({ source: { capacity: 72 * mebibyte, files: 'all' } }),
  'a source of another size': withFacts({ source: { capacity: 1, files: [] } }),
  'options that are a list': withFacts({ options: [] }),
  'options that are no text': withFacts({ options: { to: { a: 1 } } }),
  'other options': withFacts({ options: { to: 'qcow2', option: 'something' } }),
  'another id of the disk': withFacts({
    identity: { uuid: '00000000-0000-4000-8000-000000000001', time: 1_700_000_000 },
  }),
  'a time that is no number': withFacts({ identity: { uuid, time: 'now' } }),
  'another version of vdisk': withFacts({ version: '999' }),
}

/** Stops a conversion when a part of it is recorded, and gives what it left. */
async function unfinished(folder: string): Promise<{ readonly journal: string; readonly partial: string }> {
  const stop = new AbortController()
  await assert.rejects(
    convert(join(folder, 'source.raw'), join(folder, 'disk.qcow2'), {
      ...options,
      signal: stop.signal,
      onProgress: ({ done }) => {
        if (done > 60 * mebibyte) stop.abort()
      },
    }),
    { code: 'E_ABORTED', message: /interrupted/ },
  )
  const journal = fs.readdirSync(folder).find((name) => name.endsWith('.journal')) ?? ''
  return { journal: join(folder, journal), partial: join(folder, journal.slice(0, -'.journal'.length)) }
}

test('forged and damaged journals never make a wrong target', async (t) => {
  const folder = testFolder(t)
  variedDisk(join(folder, 'source.raw'), 1, 72)
  const whole = join(folder, 'whole.qcow2')
  await convert(join(folder, 'source.raw'), whole, { ...options, resume: false })
  const expected = fs.readFileSync(whole)
  const { journal, partial } = await unfinished(folder)
  const bytes = fs.readFileSync(journal)
  const kept = fs.readFileSync(partial)
  const read = readJournal(bytes)
  assert.ok(read.records.length >= 2)
  assert.deepEqual(journalOf(read), bytes, 'the test makes journals as vdisk does')
  const target = join(folder, 'disk.qcow2')
  const outcomes = new Map<string, number>()
  const restore = (): void => {
    for (const name of fs.readdirSync(folder)) if (/disk\.qcow2/.test(name)) fs.rmSync(join(folder, name))
    fs.writeFileSync(partial, kept)
  }
  for (const [name, forge] of Object.entries(forgeries)) {
    restore()
    fs.writeFileSync(journal, forge(read, bytes))
    let outcome: string
    try {
      const { resumed, notes } = await convert(join(folder, 'source.raw'), target, options)
      assert.ok(fs.readFileSync(target).equals(expected), `${name}: the target is wrong`)
      const codes = notes.map(({ code }) => code).filter((code) => /^W_(?:STARTED_AGAIN|JOURNAL_CUT)$/.test(code))
      outcome = resumed === 0 ? (codes[0] ?? 'began anew') : (codes[0] ?? 'went on')
    } catch (error) {
      const { kind, code, message } = error as { kind?: string; code?: string; message: string }
      assert.equal(kind, 'refused', `${name}: ${message}`)
      assert.ok(!fs.existsSync(target), name)
      outcome = code ?? ''
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    assert.ok(fs.existsSync(join(folder, 'source.raw')))
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)))
  assert.ok(Object.keys(forgeries).length >= 40)
})

test('a partial file that is not what its journal says is begun anew, by name', async (t) => {
  const folder = testFolder(t)
  variedDisk(join(folder, 'source.raw'), 1, 72)
  const whole = join(folder, 'whole.qcow2')
  await convert(join(folder, 'source.raw'), whole, { ...options, resume: false })
  const { journal, partial } = await unfinished(folder)
  const kept = [fs.readFileSync(journal), fs.readFileSync(partial)] as const
  const random = randomOf(7)
  const noise = Buffer.alloc(kept[1].length)
  for (let at = 0; at < noise.length; at++) noise[at] = Math.floor(random() * 256)
  for (const damage of [
    () => fs.truncateSync(partial, 1000),
    () => fs.writeFileSync(partial, ''),
    () => fs.writeFileSync(partial, Buffer.alloc(kept[1].length)),
    () => fs.writeFileSync(partial, noise),
    () => fs.rmSync(partial),
  ]) {
    fs.writeFileSync(journal, kept[0])
    fs.writeFileSync(partial, kept[1])
    damage()
    const { resumed, notes } = await convert(join(folder, 'source.raw'), join(folder, 'disk.qcow2'), options)
    assert.equal(resumed, 0)
    if (notes.length > 0) assert.match(notes[0]?.code ?? '', /W_STARTED_AGAIN/)
    assert.ok(fs.readFileSync(join(folder, 'disk.qcow2')).equals(fs.readFileSync(whole)))
    fs.rmSync(join(folder, 'disk.qcow2'))
  }
})

test('a source that changed, and other options, are refused by name; what is left stays', async (t) => {
  const folder = testFolder(t)
  const source = join(folder, 'source.raw')
  variedDisk(source, 1, 72)
  const { partial, journal } = await unfinished(folder)
  const target = join(folder, 'disk.qcow2')
  for (const [changed, code, named] of [
    [{ options: { compress: 'zstd' } }, 'E_RESUME_OPTIONS', /option|compressor/],
    [{ options: { 'cluster-size': '128K' } }, 'E_RESUME_OPTIONS', /cluster-size/],
    [{ to: 'vhdx' }, 'E_RESUME_OPTIONS', /to was qcow2, and is vhdx/],
    [{ size: 256 * mebibyte }, 'E_RESUME_OPTIONS', /size/],
    [{ uuid: '00000000-0000-4000-8000-000000000001' }, 'E_RESUME_OPTIONS', /uuid/],
    [{ time: 1 }, 'E_RESUME_OPTIONS', /time/],
    [{ toolVersion: '99' }, 'E_RESUME_OPTIONS', /version/],
  ] as const)
    await assert.rejects(convert(source, target, { ...options, ...changed }), { kind: 'refused', code, message: named })
  // Written to, with the old time put back: the system's own time of the change shows it.
  const { atime, mtime } = fs.statSync(source)
  const file = fs.openSync(source, 'r+')
  fs.writeSync(file, 'X', 3 * mebibyte)
  fs.closeSync(file)
  await assert.rejects(convert(source, target, options), { code: 'E_RESUME_SOURCE', message: /written to/ })
  fs.utimesSync(source, atime, mtime)
  await assert.rejects(convert(source, target, options), { kind: 'refused', code: 'E_RESUME_SOURCE' })
  fs.appendFileSync(source, 'more')
  await assert.rejects(convert(source, target, options), { code: 'E_RESUME_SOURCE', message: /bytes/ })
  assert.ok(fs.existsSync(partial) && fs.existsSync(journal) && !fs.existsSync(target))
})
