import { readFileSync } from 'node:fs'
import zlib from 'node:zlib'
import { builtinWrappers } from '../../src/formats/registry.js'
import type { WrapperDriver } from '../../src/formats/driver.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { fixture } from '../support/fixtures.js'
import { manifestText, ovfText, tarBytes } from '../support/ova-bytes.js'
import { isInstalled } from '../support/tools.js'
import { vmaBytes } from '../support/vma-bytes.js'
import { xvaBytes } from '../support/xva-bytes.js'
import { BufferStore } from './buffer-store.js'
import type { SeedImage, Word } from './seeds.js'

/** The wrapper of an id; undefined where a format has it. */
export function wrapperOf(id: string): WrapperDriver | undefined {
  return builtinWrappers.find((driver) => driver.id === id)
}

const disk = Buffer.concat([diskLike(200_000, 1), Buffer.alloc(65536), diskLike(100_000, 2)])
const text = Buffer.from(
  ovfText([
    { id: 'd', href: 'd.vmdk' },
    { id: 'e', href: 'e.raw.gz', attributes: '' },
  ]),
)

function appliance(): Buffer {
  const files = [
    { name: 'vm.ovf', bytes: text },
    { name: 'd.vmdk', bytes: readFileSync(fixture('vmdk/stream.vmdk')) },
    { name: 'e.raw.gz', bytes: zlib.gzipSync(disk) },
  ]
  return tarBytes([...files, { name: 'vm.mf', bytes: Buffer.from(manifestText(files)) }])
}

/** A chain: a change of the description changes what lies over what. */
function chainAppliance(): Buffer {
  const disk = readFileSync(fixture('vmdk/stream.vmdk'))
  const disks = Array.from({ length: 6 }, (_, index) => ({
    id: `d${index}`,
    href: `d${index}.vmdk`,
    attributes: index === 0 ? '' : `ovf:parentRef="d${index - 1}"`,
  }))
  return tarBytes([
    { name: 'vm.ovf', bytes: Buffer.from(ovfText(disks)) },
    ...disks.map(({ href }) => ({ name: href, bytes: disk })),
  ])
}

/** A compressor of the system, where it is installed. */
const made = (program: string, ...args: readonly string[]): readonly (() => Buffer)[] =>
  isInstalled(program) ? [() => by(program, args, disk)] : []

/** What cases of each wrapper start from; made anew, since no file of theirs is kept. */
const recipes: Readonly<Record<string, readonly (() => Buffer)[]>> = {
  ova: [appliance, chainAppliance],
  vma: [() => vmaBytes({ disks: { 'drive-scsi0': disk, 'drive-scsi1': Buffer.from(diskLike(131_072, 9)) } })],
  xva: [() => xvaBytes({ disks: { root: disk, data: Buffer.from(diskLike(4096, 3)) } })],
  gzip: [
    () => zlib.gzipSync(disk),
    () =>
      Buffer.concat([zlib.gzipSync(disk.subarray(0, 9999)), zlib.gzipSync(disk, { strategy: 4 }), Buffer.alloc(99)]),
  ],
  bzip2: [...made('bzip2', '-1c'), ...made('bzip2', '-9c')],
  xz: [...made('xz', '-0c'), ...made('xz', '-0c', '--block-size=100000', '-C', 'sha256')],
  lzma: made('xz', '--format=lzma', '-0c'),
  zstd: [...made('zstd', '-qc'), ...made('zstd', '-qc', '--stream-size=365536')],
  lz4: [...made('lz4', '-qc'), ...made('lz4', '-qlc')],
  lzop: made('lzop', '-qc'),
  zip: [...made('zip', '-q', '-', '-'), ...made('zip', '-q', '-Z', 'bzip2', '-', '-')],
}

export const fuzzedWrappers = Object.keys(recipes).filter((id) => recipes[id]?.length !== 0)

export function wrappedSeeds(id: string): SeedImage[] {
  return (recipes[id] ?? []).map((make, index) => {
    const bytes = make()
    const path = `${id} ${index}`
    return { path, store: new BufferStore(path, bytes), words: wordsOf(bytes) }
  })
}

/** Words of both ends, of the blocks of a tar archive, and of places all over the file. */
function wordsOf(bytes: Buffer): Word[] {
  const places = new Set<number>()
  const add = (start: number, length: number): void => {
    for (let at = Math.max(0, start); at < Math.min(start + length, bytes.length - 8); at += 4) places.add(at)
  }
  add(0, 2048)
  add(bytes.length - 2048, 2048)
  for (let at = 0; at < bytes.length; at += 512)
    if (bytes.toString('latin1', at + 257, at + 262) === 'ustar') add(at, 512)
  for (let at = bytes.indexOf('VMAE'); at >= 0; at = bytes.indexOf('VMAE', at + 512)) add(at, 512)
  for (let step = 1; step < 64; step++) add(Math.floor((bytes.length * step) / 64), 32)
  return [...places].flatMap((position) => [
    { position, length: 4 },
    { position, length: 1 },
  ])
}
