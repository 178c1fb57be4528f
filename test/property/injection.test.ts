// Before anything of src/.
import { withFaults, type Fault } from '../support/failing-fs.js'

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { gunzipSync } from 'node:zlib'
import {
  check,
  commitChain,
  convert,
  convertPartitionTable,
  create,
  createSnapshot,
  deleteSnapshot,
  extractPartition,
  fixTable,
  flattenChain,
  hash,
  injectPartition,
  isImageError,
  rebaseChain,
  relinkChain,
  repair,
} from '../../src/index.js'
import { compact } from '../../src/operations/change/compact.js'
import { resize } from '../../src/operations/change/resize.js'
import { openExposed } from '../../src/operations/serve/exposed-disk.js'
import { root } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'

/** One operation that writes, on files of its own. */
interface Case {
  readonly name: string
  /** Makes what is there before. */
  readonly before: (at: (name: string) => string) => Promise<void>
  readonly run: (at: (name: string) => string) => Promise<unknown>
  /** Files that are new, or replaced as a whole: the old one, or none, is there after a failure. */
  readonly made?: readonly string[]
  /** Images changed in place: afterwards each is what it was or what it is to be, and sound. */
  readonly changed?: readonly string[]
  /** Content that may be of both (a partition that is written over). */
  readonly mixed?: boolean
  /** Findings that a stop may leave. */
  readonly allowed?: readonly string[]
}

const size = 1048576
const content = diskLike(size, 7)
const raw = (at: (name: string) => string): void => fs.writeFileSync(at('a.raw'), content)
const image =
  (name: string, options: Record<string, string | number> = {}) =>
  async (at: (name: string) => string): Promise<void> => {
    raw(at)
    await convert(at('a.raw'), at(name), { options })
    fs.rmSync(at('a.raw'))
  }
const blocks: Readonly<Record<string, Record<string, string | number>>> = {
  'i.vhd': { 'block-size': 65536 },
  'i.vhdx': {},
  'i.vdi': { 'block-size': 65536 },
  'i.qcow2': {},
  'i.raw': {},
  'f.vhd': { subformat: 'fixed' },
}
const fixture =
  (path: string, name: string) =>
  (at: (name: string) => string): Promise<void> => {
    fs.writeFileSync(at(name), gunzipSync(fs.readFileSync(join(root, 'fixtures', path))))
    return Promise.resolve()
  }
const chain = async (at: (name: string) => string): Promise<void> => {
  raw(at)
  await convert(at('a.raw'), at('base.qcow2'))
  await create(at('child.qcow2'), { parent: at('base.qcow2') })
  const exposed = openExposed(at('child.qcow2'), { mode: 'write' })
  exposed.disk.write(4096, Buffer.alloc(200_000, 'child '))
  exposed[Symbol.dispose]()
  fs.rmSync(at('a.raw'))
}
const partitioned = async (at: (name: string) => string): Promise<void> => {
  await convert(join(root, 'fixtures/partitioned-disk.vhdx'), at('i.raw'))
}

const cases: Case[] = [
  ...['b.raw', 'b.qcow2', 'b.vhdx', 'b.vhd', 'b.vdi'].flatMap((target): Case[] => [
    {
      name: `convert to ${target}`,
      before: (at) => Promise.resolve().then(() => raw(at)),
      run: (at) => convert(at('a.raw'), at(target), { threads: 0 }),
      made: [target],
    },
    {
      name: `convert --force --verify over ${target}`,
      before: (at) => {
        raw(at)
        fs.writeFileSync(at(target), 'the old one')
        return Promise.resolve()
      },
      run: (at) => convert(at('a.raw'), at(target), { threads: 0, force: true, verify: true }),
      made: [target],
    },
    {
      name: `create ${target}`,
      before: () => Promise.resolve(),
      run: (at) => create(at(target), { size }),
      made: [target],
    },
  ]),
  {
    name: 'convert compressed',
    before: (at) => Promise.resolve().then(() => raw(at)),
    run: (at) => convert(at('a.raw'), at('b.qcow2'), { threads: 0, options: { compress: 'zlib' } }),
    made: ['b.qcow2'],
  },
  ...Object.keys(blocks).flatMap((name): Case[] => {
    const allowed = name === 'i.vhd' ? ['E_FOOTERS_DIFFER'] : []
    const mixed = name === 'f.vhd'
    const before = image(name, blocks[name])
    return [
      {
        name: `resize ${name}, larger`,
        before,
        run: (at) => resize(at(name), { capacity: 5 * size }),
        changed: [name],
        allowed,
        mixed,
      },
      {
        name: `resize ${name}, --shrink`,
        before,
        run: (at) => resize(at(name), { capacity: size / 2 + 512 }, { shrink: true }),
        changed: [name],
        allowed,
        mixed,
      },
      {
        name: `serve and mount --write of ${name}`,
        before,
        run: async (at) => {
          using exposed = openExposed(at(name), { mode: 'write' })
          exposed.disk.write(100_000, Buffer.alloc(70_000, 'new '))
          exposed.disk.flush()
          exposed.disk.zero(300_000, 200_000)
          await Promise.resolve()
        },
        changed: [name],
        mixed: true,
      },
    ]
  }),
  ...['i.vhd', 'i.vhdx', 'i.qcow2', 'i.vdi'].flatMap((name): Case[] => {
    const before = async (at: (name: string) => string): Promise<void> => {
      await image(name, blocks[name])(at)
      using exposed = openExposed(at(name), { mode: 'write' })
      exposed.disk.write(131072, Buffer.alloc(262144))
    }
    return [
      {
        name: `compact --in-place of ${name}`,
        before,
        run: (at) => compact(at(name), { inPlace: true }),
        changed: [name],
      },
      {
        name: `compact --output of ${name}`,
        before,
        run: (at) => compact(at(name), { output: at(`small-${name}`) }),
        made: [`small-${name}`],
      },
    ]
  }),
  ...(
    [
      ['vhd/dynamic-damaged-copy.vhd.gz', 'd.vhd'],
      ['vhdx/damaged-header.vhdx.gz', 'd.vhdx'],
    ] as const
  ).flatMap(([path, name]): Case[] => [
    {
      name: `repair --in-place of ${name}`,
      before: fixture(path, name),
      run: (at) => repair(at(name), { inPlace: true }),
      changed: [name],
      allowed: ['*'],
    },
    {
      name: `repair --output of ${name}`,
      before: fixture(path, name),
      run: (at) => repair(at(name), { output: at(`m-${name}`) }),
      made: [`m-${name}`],
    },
  ]),
  { name: 'chain commit', before: chain, run: (at) => commitChain(at('child.qcow2')), changed: ['child.qcow2'] },
  {
    name: 'chain rebase --no-parent',
    before: chain,
    run: (at) => rebaseChain(at('child.qcow2'), undefined),
    changed: ['child.qcow2'],
  },
  {
    name: 'chain relink',
    before: async (at) => {
      await chain(at)
      fs.copyFileSync(at('base.qcow2'), at('moved.qcow2'))
    },
    run: (at) => Promise.resolve().then(() => relinkChain(at('child.qcow2'), at('moved.qcow2'))),
    changed: ['child.qcow2'],
  },
  {
    name: 'chain flatten',
    before: chain,
    run: (at) => flattenChain(at('child.qcow2'), at('flat.qcow2')),
    made: ['flat.qcow2'],
  },
  {
    name: 'snapshot create',
    before: image('i.qcow2'),
    run: (at) => createSnapshot(at('i.qcow2'), 'one'),
    changed: ['i.qcow2'],
  },
  {
    name: 'snapshot delete',
    before: async (at) => {
      await image('i.qcow2')(at)
      await createSnapshot(at('i.qcow2'), 'one')
    },
    run: (at) => deleteSnapshot(at('i.qcow2'), 'one'),
    changed: ['i.qcow2'],
  },
  {
    name: 'partition fix --in-place',
    before: partitioned,
    run: (at) => fixTable(at('i.raw'), { inPlace: true, newIds: true, uuid: '01234567-89ab-cdef-0123-456789abcdef' }),
    changed: ['i.raw'],
    mixed: true,
  },
  {
    name: 'partition extract',
    before: partitioned,
    run: (at) => extractPartition(`${at('i.raw')}@1`, at('p1.raw')),
    made: ['p1.raw'],
  },
  {
    name: 'partition convert',
    before: partitioned,
    run: (at) => convertPartitionTable(at('i.raw'), at('p.raw'), { sectorSize: 4096, roundEnds: true }),
    made: ['p.raw'],
  },
  {
    name: 'partition inject --in-place',
    before: async (at) => {
      await partitioned(at)
      fs.writeFileSync(at('new.img'), content.subarray(0, 65536))
    },
    run: (at) => injectPartition(`${at('i.raw')}@1`, at('new.img'), { inPlace: true }),
    changed: ['i.raw'],
    mixed: true,
  },
]

interface Seen {
  readonly names: readonly string[]
  readonly made: readonly (string | undefined)[]
  readonly disks: readonly string[]
}

async function look(folder: string, { made = [], changed = [] }: Case): Promise<Seen> {
  const disks: string[] = []
  for (const name of changed)
    disks.push((await hash(join(folder, name), { algorithm: 'tree', threads: 0 })).digests[0]?.digest ?? '')
  return {
    names: fs.readdirSync(folder).sort(),
    made: made.map((name) => {
      const path = join(folder, name)
      return fs.existsSync(path) ? fs.readFileSync(path).toString('latin1') : undefined
    }),
    disks,
  }
}

async function findingsOf(path: string, allowed: readonly string[]): Promise<string[]> {
  const { layers } = await check(path)
  return layers.flatMap(({ findings }) =>
    findings
      .filter(({ severity, code }) => severity === 'error' && !allowed.includes(code) && !allowed.includes('*'))
      .map(({ code, message }) => `${code}: ${message}`),
  )
}

let injected = 0

/** A case with one fault. @returns how many calls it made. */
async function tried(
  one: Case,
  folder: string,
  start: string,
  known: { readonly before: Seen; readonly end: Seen } | undefined,
  fault: { at: number; code: Fault; mode: 'once' | 'on' | 'stop' },
): Promise<number> {
  fs.rmSync(folder, { recursive: true, force: true })
  fs.cpSync(start, folder, { recursive: true, preserveTimestamps: true })
  const at = (name: string): string => join(folder, name)
  const { calls, hit, error } = await withFaults({ folder, ...fault }, () => one.run(at))
  if (known === undefined || !hit) return calls
  const { before, end } = known
  injected++
  const what = `${one.name}: ${fault.code} ${fault.mode} at call ${fault.at} of ${calls}`
  const after = await look(folder, one)
  if (error !== undefined) {
    assert.ok(isImageError(error), `${what}: ${(error as Error).stack ?? ''}`)
    assert.equal(error.kind, 'target', `${what}: ${error.code} ${error.message}`)
    const codes: Readonly<Record<Fault, string>> = {
      ENOSPC: 'E_NO_SPACE',
      EDQUOT: 'E_NO_SPACE',
      EFBIG: 'E_FILE_TOO_BIG',
      EIO: 'E_WRITE',
    }
    assert.equal(error.code, codes[fault.code], `${what}: ${error.message}`)
    assert.doesNotMatch(`${error.message} ${error.hint ?? ''}`, /this is a bug/i)
    if (fault.mode !== 'stop' && !/complete and in place/.test(error.hint ?? '')) {
      assert.deepEqual(after.names, before.names, `${what}: what is left over`)
      assert.deepEqual(
        after.made.map((text) => text?.length),
        before.made.map((text) => text?.length),
        what,
      )
    }
    if ((one.changed ?? []).length > 0 && !one.name.startsWith('serve'))
      assert.match(error.hint ?? '', /\b(?:image is|child|table is|partition may|stays done)\b/, `${what}: the state`)
  }
  for (const [index, text] of after.made.entries())
    assert.ok(
      [before.made[index], end.made[index]].some((whole) => whole?.length === text?.length),
      `${what}: a target in part`,
    )
  for (const [index, digest] of after.disks.entries()) {
    if (one.mixed !== true) assert.ok([before.disks[index], end.disks[index]].includes(digest), `${what}: another disk`)
    assert.deepEqual(await findingsOf(at(one.changed?.[index] ?? ''), one.allowed ?? []), [], what)
  }
  return calls
}

for (const one of cases) {
  test(`${one.name}: a fault at every write and flush`, async (t) => {
    const home = testFolder(t)
    const [start, folder] = [join(home, 'start'), join(home, 'run')]
    fs.mkdirSync(start)
    await one.before((name) => join(start, name))
    const calls = await tried(one, folder, start, undefined, { at: 0, code: 'EIO', mode: 'once' })
    assert.ok(calls > 0, 'nothing was written')
    const known = { before: await look(start, one), end: await look(folder, one) }
    const step = Math.max(1, Math.floor(calls / 12))
    for (let at = 1; at <= calls; at += at > 4 && at < calls - 4 ? step : 1) {
      await tried(one, folder, start, known, { at, code: 'ENOSPC', mode: 'on' })
      // Every second call: one fault alone; the others: nothing more is done, as when the process is killed.
      if (at % 2 === 0 || at === calls)
        await tried(one, folder, start, known, {
          at,
          code: (['EIO', 'EDQUOT', 'EFBIG'] as const)[at % 3] ?? 'EIO',
          mode: 'once',
        })
      if (at % 2 === 1) await tried(one, folder, start, known, { at, code: 'EIO', mode: 'stop' })
    }
    t.diagnostic(`${calls} calls`)
  })
}

test('enough was tried', (t) => {
  t.diagnostic(`${injected} faults in ${cases.length} operations`)
  assert.ok(injected > 400, String(injected))
})
