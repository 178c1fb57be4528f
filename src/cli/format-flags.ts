import { boolean, custom, option, string } from '@oclif/core/flags'
import { printable, usage } from '../errors.js'
import type { OptionSpec } from '../formats/driver.js'
import { builtinDrivers } from '../formats/registry.js'
import { count, optionValues, parentFlag, size, writeFlags } from './flags.js'

const sectorSize = custom<512 | 4096>({
  helpValue: '512|4096',
  parse: (text) => {
    if (text === '512') return Promise.resolve(512)
    if (text === '4096') return Promise.resolve(4096)
    throw usage('E_SECTOR_SIZE', `${printable(text)} is no sector size; it is 512 or 4096`)
  },
})

interface FlagOption {
  readonly flag: NonNullable<OptionSpec['flag']>
  readonly formats: string[]
}

/** Options of the formats built in that have a flag of their own, and which formats have them. */
const flagOptions = new Map<string, FlagOption>()
for (const { id, options } of builtinDrivers)
  for (const { name, flag } of options) {
    if (flag === undefined) continue
    const known = flagOptions.get(name)
    if (known === undefined) flagOptions.set(name, { flag, formats: [id] })
    else known.formats.push(id)
  }

function optionFlag({ flag, formats }: FlagOption) {
  return string({ helpValue: flag.value, summary: `${flag.summary} (${formats.join(', ')})` })
}

/** Compression has its place among the flags of copying: images without content have none. */
const { compress: compressOption, ...others } = Object.fromEntries(flagOptions)
if (compressOption === undefined) throw new TypeError('no format compresses')
const optionFlags: object = Object.fromEntries(
  Object.entries(others).map(([name, option]) => [name, optionFlag(option)]),
)

/** Flags that say what an image to be made is like; those of options come from the formats themselves. */
export const formatFlags = {
  to: string({ helpValue: 'FORMAT', summary: 'format of the target; by its extension when left out' }),
  option: string({
    char: 'o',
    helpValue: 'NAME=VALUE',
    multiple: true,
    multipleNonGreedy: true,
    summary: "an option of the target's format (see vdisk formats)",
  }),
  // Their names are not known to the compiler: formatValues finds their values.
  ...optionFlags,
  'sector-size': sectorSize({ summary: "logical sector size of the target; the source's when left out" }),
}

/** Flags of every command that makes an image of its own. */
export const createFlags = { ...formatFlags, ...parentFlag, ...writeFlags }

/** The flag of every command that makes an image for a platform. */
export const platformFlag = {
  for: string({
    helpValue: 'PLATFORM',
    summary: 'make what this cloud or hypervisor takes: format, options, size, partition table (see vdisk platforms)',
  }),
}

interface FormatFlags {
  readonly to: string | undefined
  readonly option: string[] | undefined
  readonly 'sector-size': 512 | 4096 | undefined
}

/**
 * What the flags of `formatFlags` (and `--compress`) say, as options of an operation. @throws ImageError usage E_OPTION
 */
export function formatValues(flags: FormatFlags) {
  const given = new Map<string, unknown>(Object.entries(flags))
  const named = [...flagOptions.keys()].map((name) => [name, given.get(name)] as const)
  return {
    to: flags.to,
    options: optionValues(flags.option, Object.fromEntries(named.filter(isText))),
    sectorSize: flags['sector-size'],
  }
}

/**
 * What the flags of a command that makes an image say: `formatFlags`, `writeFlags`, and those of `copyFlags` that it
 * has. The time is SOURCE_DATE_EPOCH. @throws ImageError usage E_OPTION, E_TIME.
 */
export function targetValues(
  flags: FormatFlags & {
    readonly force: boolean
    readonly 'dry-run': boolean
    readonly uuid: string | undefined
    readonly 'allow-other-children': boolean
    readonly flush?: boolean
    readonly verify?: boolean
    readonly threads?: number | undefined
    readonly sparse?: number | undefined
    readonly parent?: string | undefined
    readonly size?: number | undefined
    readonly for?: string | undefined
    readonly rate?: number | undefined
    readonly resume?: boolean
  },
) {
  return {
    ...formatValues(flags),
    force: flags.force,
    dryRun: flags['dry-run'],
    allowOtherChildren: flags['allow-other-children'],
    uuid: flags.uuid,
    time: buildTime(),
    flush: flags.flush,
    verify: flags.verify,
    threads: flags.threads,
    sparse: flags.sparse,
    parent: flags.parent,
    size: flags.size,
    for: flags.for,
    rate: flags.rate,
    resume: flags.resume,
  }
}

/** The time to record in new images: SOURCE_DATE_EPOCH, in seconds. @throws ImageError usage E_TIME. */
export function buildTime(): number | undefined {
  const text = process.env['SOURCE_DATE_EPOCH']
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,15}$/.test(text))
    throw usage('E_TIME', `SOURCE_DATE_EPOCH is ${printable(text)}, which is no time in whole seconds since 1970`)
  return Number(text)
}

function isText(entry: readonly [string, unknown]): entry is readonly [string, string] {
  return typeof entry[1] === 'string'
}

/** Flags of a machine that an OVA describes. */
export const machineFlags = {
  'add-disk': string({
    helpValue: 'IMAGE',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'a further disk of the machine; may be given several times',
    helpGroup: 'OVA',
  }),
  name: string({ helpValue: 'NAME', summary: "name of the machine; the target's when left out", helpGroup: 'OVA' }),
  cpus: count({ summary: 'virtual CPUs of the machine; 1 when left out', helpGroup: 'OVA' }),
  memory: size({ summary: 'memory of the machine; 2G when left out', helpGroup: 'OVA' }),
  firmware: option({
    options: ['bios', 'uefi'] as const,
    summary: 'firmware of the machine; what the disk starts with when left out',
    helpGroup: 'OVA',
  })(),
  os: string({
    helpValue: 'NAME',
    summary: 'operating system of the machine: debian12, ubuntu, windows11 …',
    helpGroup: 'OVA',
  }),
  network: string({
    helpValue: 'NAME',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'a network that the machine has an adapter for; may be given several times',
    helpGroup: 'OVA',
  }),
}

/** What those flags say; both undefined where none was given. */
export function machineValues(flags: {
  readonly 'add-disk': string[] | undefined
  readonly name: string | undefined
  readonly cpus: number | undefined
  readonly memory: number | undefined
  readonly firmware: 'bios' | 'uefi' | undefined
  readonly os: string | undefined
  readonly network: string[] | undefined
}) {
  const { name, cpus, memory, firmware, os, network: networks } = flags
  const appliance = { name, cpus, memory, firmware, os, networks }
  return {
    appliance: Object.values(appliance).some((value) => value !== undefined) ? appliance : undefined,
    addDisks: flags['add-disk'],
  }
}

/** Flags of convert alone. */
export const copyFlags = {
  compress: optionFlag(compressOption),
  size: size({ summary: 'capacity of the target: larger is zero at the end, smaller may cut off zeros only' }),
  flush: boolean({
    default: true,
    allowNo: true,
    summary: 'wait until the medium has everything, so that the target survives a power cut; --no-flush is faster',
  }),
  verify: boolean({ summary: 'open the target afresh and compare every byte of the disk with the source' }),
  threads: count({ summary: 'worker threads for compression and decompression; 0: none' }),
  sparse: size({ summary: 'runs of zeros shorter than this are written as data; 0: all zeros are' }),
  tmp: string({
    helpValue: 'DIR',
    env: 'TMPDIR',
    noCacheDefault: true,
    summary: "where standard input is kept while it is read; the target's folder when left out",
  }),
}

const { compress, flush, verify, threads, sparse } = copyFlags

/** Flags of commands that write a disk they change, cut or put together as a new image. */
export const newImageFlags = { ...formatFlags, ...writeFlags, compress, flush, verify, threads, sparse }
