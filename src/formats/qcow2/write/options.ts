import { isPowerOfTwo, roundUp } from '../../../binary/integers.js'
import { usage, type ImageError } from '../../../errors.js'
import { subformatOption, unitOption, type DiskShape, type OptionSpec, type OptionValues } from '../../driver.js'
import {
  geometryOf,
  l1EntriesFor,
  maximumClusterBits,
  maximumL1Bytes,
  maximumNameBytes,
  minimumClusterBits,
  minimumExtendedClusterBits,
  type Geometry,
} from '../format/layout.js'
import { nameBytes } from '../../../sys/host-fs.js'

/** Create options of QCOW2. */
export const optionSpecs: readonly OptionSpec[] = [
  // Two words for one thing, so neither has a default that could contradict the other.
  subformatOption({
    choices: ['v3', 'v2'],
    summary: 'v3 (default), or v2 for programs before 2013',
  }),
  {
    name: 'compat',
    type: 'choice',
    choices: ['1.1', '0.10', 'v3', 'v2'],
    summary: 'the same in the words of qemu-img: 1.1 (v3) or 0.10 (v2)',
    flag: { value: 'VERSION', summary: 'version of the target' },
  },
  unitOption('cluster-size', {
    default: 65536,
    summary: 'allocation unit, a power of two from 512 to 2M',
  }),
  { name: 'refcount-bits', type: 'integer', default: 16, summary: 'width of a refcount: 1, 2, 4, 8, 16, 32 or 64' },
  {
    name: 'compress',
    type: 'string',
    default: 'none',
    summary: 'none, zlib[:1-9] or zstd[:1-22] (usually zstd:2)',
    flag: { value: 'zlib|zstd[:LEVEL]', summary: 'compress the data of the target' },
  },
  { name: 'extended-l2', type: 'boolean', default: false, summary: 'subclusters, 32 a cluster' },
  {
    name: 'lazy-refcounts',
    type: 'boolean',
    default: false,
    summary: 'allow programs that write to the image to postpone refcounts',
  },
  {
    name: 'preallocation',
    type: 'choice',
    choices: ['off', 'metadata', 'falloc', 'full'],
    default: 'off',
    summary: 'tables only, reserved space, or zeros written',
    flag: { value: 'MODE', summary: 'how much of the target is allocated from the start' },
  },
  { name: 'data-file', type: 'string', summary: 'keep the content in this file beside the image' },
  {
    name: 'data-file-raw',
    type: 'boolean',
    default: false,
    summary: 'the data file is a raw image of the disk at all times',
  },
]

export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full'

/** The options of an image to be made, judged and complete. */
export interface CreateSettings {
  readonly version: 2 | 3
  readonly capacity: number
  readonly geometry: Geometry
  readonly refcountOrder: number
  readonly l1Entries: number
  readonly compression: { readonly type: 'zlib' | 'zstd'; readonly level: number | undefined } | undefined
  readonly extendedL2: boolean
  readonly lazyRefcounts: boolean
  readonly preallocation: Preallocation
  readonly dataFile: string | undefined
  readonly rawDataFile: boolean
}

const defaultClusterSize = 65536

/** @throws ImageError usage E_OPTION for values out of range and options that do not go together, E_CAPACITY. */
export function readSettings(shape: DiskShape, options: OptionValues): CreateSettings {
  const version = readVersion(options)
  const extendedL2 = options['extended-l2'] === true
  const clusterSize = readClusterSize(options['cluster-size'], extendedL2)
  const refcountBits = readRefcountBits(options['refcount-bits'])
  const rawDataFile = options['data-file-raw'] === true
  const wanted = readPreallocation(options['preallocation'])
  const geometry = geometryOf(Math.log2(clusterSize), extendedL2)
  const capacity = roundUp(shape.capacity, 512)
  const settings: CreateSettings = {
    version,
    capacity,
    geometry,
    refcountOrder: Math.log2(refcountBits),
    l1Entries: Math.max(1, l1EntriesFor(capacity, geometry)),
    compression: readCompression(options['compress']),
    extendedL2,
    lazyRefcounts: options['lazy-refcounts'] === true,
    // A raw data file must give the same content with and without the tables: they then map all of it (qemu does the
    // same).
    preallocation: rawDataFile && wanted === 'off' ? 'metadata' : wanted,
    dataFile: readDataFile(options['data-file']),
    rawDataFile,
  }
  if (version === 2) refuseLater(settings)
  refuseTogether(settings, shape.parent !== undefined)
  if (settings.l1Entries * 8 > maximumL1Bytes) {
    throw usage(
      'E_CAPACITY',
      `qcow2: a disk of ${capacity} bytes is too large for a cluster size of ${clusterSize}: at most ` +
        `${(maximumL1Bytes / 8) * geometry.tableCoverage} bytes`,
      { hint: 'Use a larger cluster-size.' },
    )
  }
  return settings
}

function bad(message: string): ImageError {
  return usage('E_OPTION', `qcow2: ${message}`)
}

/** Version 2 lacks some features. */
function refuseLater({ extendedL2, lazyRefcounts, refcountOrder, dataFile, compression }: CreateSettings): void {
  const later = [
    extendedL2 ? 'extended-l2' : '',
    lazyRefcounts ? 'lazy-refcounts' : '',
    refcountOrder === 4 ? '' : 'refcount-bits',
    dataFile === undefined ? '' : 'data-file',
    compression?.type === 'zstd' ? 'zstd compression' : '',
  ].filter((name) => name !== '')
  if (later.length > 0) throw bad(`${later.join(' and ')} ${later.length > 1 ? 'need' : 'needs'} compat 1.1`)
}

/** Options that contradict each other. */
function refuseTogether(settings: CreateSettings, hasParent: boolean): void {
  const { compression, dataFile, rawDataFile, preallocation } = settings
  const contradictions: readonly (readonly [boolean, string])[] = [
    [rawDataFile && dataFile === undefined, 'data-file-raw needs data-file'],
    [rawDataFile && hasParent, 'a raw data file holds the whole disk and cannot have a parent'],
    [compression !== undefined && dataFile !== undefined, 'compress and data-file do not go together'],
    [compression !== undefined && preallocation !== 'off', 'compress and preallocation do not go together'],
    [hasParent && preallocation !== 'off', 'preallocation would hide the parent'],
  ]
  for (const [isSo, message] of contradictions) if (isSo) throw bad(message)
}

function readClusterSize(value: OptionValues[string], extendedL2: boolean): number {
  const size = value === undefined ? defaultClusterSize : Number(value)
  if (!isPowerOfTwo(size) || size < 2 ** minimumClusterBits || size > 2 ** maximumClusterBits) {
    throw bad(
      `cluster-size is ${String(value)}, expected a power of two from ` +
        `${2 ** minimumClusterBits} to ${2 ** maximumClusterBits}`,
    )
  }
  if (extendedL2 && size < 2 ** minimumExtendedClusterBits)
    throw bad(`extended-l2 needs a cluster-size of at least ${2 ** minimumExtendedClusterBits}`)
  return size
}

function readRefcountBits(value: OptionValues[string]): number {
  const bits = value === undefined ? 16 : Number(value)
  if (!isPowerOfTwo(bits) || bits > 64)
    throw bad(`refcount-bits is ${String(value)}, expected 1, 2, 4, 8, 16, 32 or 64`)
  return bits
}

function readVersion(options: OptionValues): 2 | 3 {
  const versions = { '1.1': 3, v3: 3, '0.10': 2, v2: 2 } as const
  const asked = [options['compat'], options['subformat']].filter((value) => value !== undefined).map(String)
  const found = asked.map((text) =>
    Object.hasOwn(versions, text) ? versions[text as keyof typeof versions] : undefined,
  )
  const unknown = found.indexOf(undefined)
  if (unknown >= 0) throw bad(`version ${asked[unknown] ?? ''} is not known, expected 1.1 (v3) or 0.10 (v2)`)
  if (found.length === 2 && found[0] !== found[1])
    throw bad(`compat ${asked[0] ?? ''} and subformat ${asked[1] ?? ''} contradict each other`)
  return found[0] ?? 3
}

const highestLevels = { zlib: 9, zstd: 22 } as const
/**
 * Where none is asked for. zlib: the codec's own. zstd: clusters of 64 KiB take a quarter less time than at level 3,
 * and get 1 to 4 % larger.
 */
const usualLevels = { zlib: undefined, zstd: 2 } as const

function readCompression(value: OptionValues[string]): CreateSettings['compression'] {
  if (value === undefined || value === 'none' || value === false) return undefined
  const [, type, digits] = /^(zlib|zstd)(?::(\d{1,2}))?$/.exec(String(value)) ?? []
  if (type !== 'zlib' && type !== 'zstd')
    throw bad(`compress is "${String(value)}", expected none, zlib[:level] or zstd[:level]`)
  const level = digits === undefined ? usualLevels[type] : Number(digits)
  if (level !== undefined && (level < 1 || level > highestLevels[type]))
    throw bad(`the level of ${type} is ${level}, expected 1 to ${highestLevels[type]}`)
  return { type, level }
}

function readPreallocation(value: OptionValues[string]): Preallocation {
  switch (value) {
    case undefined:
      return 'off'
    case 'off':
    case 'metadata':
    case 'falloc':
    case 'full':
      return value
    default:
      throw bad(`preallocation is "${String(value)}", expected off, metadata, falloc or full`)
  }
}

function readDataFile(value: OptionValues[string]): string | undefined {
  if (value === undefined) return undefined
  const name = String(value)
  if (name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name))
    throw bad(`data-file is "${name}", expected the plain name of a file beside the image`)
  if (nameBytes(name).length > maximumNameBytes) throw bad(`data-file may have ${maximumNameBytes} bytes`)
  // With a protocol prefix other programs would look for something else than a file.
  if (name.includes(':')) throw bad(`data-file is "${name}": a name with a colon would be taken for a protocol`)
  return name
}
