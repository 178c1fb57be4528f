import { custom as customArgument } from '@oclif/core/args'
import { boolean, custom, option, string } from '@oclif/core/flags'
import { parseSize } from '../formats/options.js'
import { parseParentMapping, type ParentMapping } from '../location/parent-map.js'
import type { OptionValues } from '../formats/driver.js'
import { printable, usage } from '../errors.js'

/** A size in bytes, as people type it: 64K, 1.5G. */
export const size = custom<number>({ helpValue: 'SIZE', parse: (text) => Promise.resolve(parseSize(text)) })

/** A size as an argument. */
export const sizeArgument = customArgument<number>({ parse: (text) => Promise.resolve(parseSize(text)) })

/** A whole number of things. */
export const count = custom<number>({
  helpValue: 'N',
  parse: (text) => {
    if (!/^\d{1,4}$/.test(text)) throw usage('E_COUNT', `${printable(text)} is no whole number from 0 to 9999`)
    return Promise.resolve(Number(text))
  },
})

/** Partitions by their numbers: 1,3. */
export const partNumbers = custom<number[]>({
  helpValue: 'N,N…',
  parse: (text) => {
    if (!/^[1-9]\d{0,3}(,[1-9]\d{0,3})*$/.test(text))
      throw usage('E_PARTS', `${printable(text)} is no list of partition numbers; write for example 1,3`)
    return Promise.resolve([...new Set(text.split(',').map(Number))])
  },
})

/** A part of a disk: OFFSET:LENGTH, both sizes. */
export const range = custom<{ readonly offset: number; readonly length: number }>({
  helpValue: 'OFFSET:LENGTH',
  parse: (text) => {
    const [offset, length, ...more] = text.split(':')
    if (offset === undefined || length === undefined || more.length > 0)
      throw usage('E_RANGE', `${printable(text)} is no part of a disk; write OFFSET:LENGTH, for example 1M:64M`)
    return Promise.resolve({ offset: parseSize(offset), length: parseSize(length) })
  },
})

/** Where to listen: PORT, or HOST:PORT; the host is this machine alone when left out. */
export const tcpEndpoint = custom<{ readonly kind: 'tcp'; readonly host: string; readonly port: number }>({
  helpValue: '[HOST:]PORT',
  parse: (text) => {
    const [, bracketed, plain, port = ''] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? []
    if (port === '' || Number(port) > 65535)
      throw usage('E_PORT', `${printable(text)} is no port; write PORT or HOST:PORT`)
    return Promise.resolve({ kind: 'tcp', host: bracketed ?? plain ?? '127.0.0.1', port: Number(port) })
  },
})

/** A TCP port of this machine. */
export const tcpPort = custom<number>({
  helpValue: 'PORT',
  parse: (text) => {
    if (!/^\d{1,5}$/.test(text) || Number(text) > 65535)
      throw usage('E_PORT', `${printable(text)} is no port; write a number from 0 to 65535`)
    return Promise.resolve(Number(text))
  },
})

const parentMapping = custom<ParentMapping>({
  helpValue: 'OLD=NEW',
  parse: (text) => Promise.resolve(parseParentMapping(text)),
})

/** Flags of every command that opens an image with its chain. */
export const chainFlags = {
  'allow-reference': string({
    helpValue: 'PATH',
    multiple: true,
    multipleNonGreedy: true,
    summary: "a file outside the image's folder (or a folder of them) that images may name as parent or data file",
  }),
  search: string({
    helpValue: 'DIR',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'a folder in which parents are looked for that are not where their children say',
  }),
  'parent-map': parentMapping({
    multiple: true,
    multipleNonGreedy: true,
    summary:
      'where a parent lies now: OLD is its name as the child stores it, the beginning of that name, or its last part',
  }),
  'parent-format': string({
    helpValue: 'FORMAT',
    summary: 'format of parents whose children record none; auto takes what their content says',
  }),
  'allow-in-use': allowInUse(),
}

/** Flags of every command that opens an image. */
export const openFlags = {
  from: string({ helpValue: 'FORMAT', summary: 'format of the source; found from its content when left out' }),
  'from-option': string({
    helpValue: 'NAME=VALUE',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'an option for reading the source (see vdisk formats)',
  }),
  snapshot: string({ helpValue: 'ID|NAME', summary: 'read this internal snapshot of the source' }),
  ...chainFlags,
}

/** Flags of commands that work on an image as a whole, whichever of its disks is read. */
export const imageFlags = { from: openFlags.from, 'from-option': openFlags['from-option'], ...chainFlags }

/** What those flags say. @throws ImageError usage E_OPTION */
export function imageValues(
  flags: ChainFlags & { readonly from: string | undefined; readonly 'from-option': string[] | undefined },
) {
  return { from: flags.from, fromOptions: optionValues(flags['from-option']), ...chainValues(flags) }
}

/** The override of the guard against what else uses a file. */
export function allowInUse() {
  return boolean({
    summary:
      'read a file without a warning although another program writes to it; change or replace one that a loop device ' +
      'or a server shows to others',
    helpGroup: 'GUARD OVERRIDE',
  })
}

/** The override of the guard for images that have a file as their parent. */
export function allowOtherChildren() {
  return boolean({
    summary:
      'change or replace a file although other images have it as their parent; they may be worth nothing afterwards',
    helpGroup: 'GUARD OVERRIDE',
  })
}

interface ChainFlags {
  readonly 'allow-in-use': boolean
  /** Of commands that change or replace files. */
  readonly 'allow-other-children'?: boolean
  readonly 'allow-reference': string[] | undefined
  readonly search: string[] | undefined
  readonly 'parent-map': ParentMapping[] | undefined
  readonly 'parent-format': string | undefined
}

/** What the flags of `chainFlags` say, as options of an operation. */
export function chainValues(flags: ChainFlags) {
  return {
    allowReferences: flags['allow-reference'],
    search: flags.search,
    parentMap: flags['parent-map'],
    parentFormat: flags['parent-format'],
    allowInUse: flags['allow-in-use'],
    allowOtherChildren: flags['allow-other-children'],
  }
}

/** What the flags of `openFlags` say, as options of an operation. @throws ImageError usage E_OPTION */
export function openValues(
  flags: ChainFlags & {
    readonly from: string | undefined
    readonly 'from-option': string[] | undefined
    readonly snapshot: string | undefined
  },
) {
  return {
    from: flags.from,
    fromOptions: optionValues(flags['from-option']),
    snapshot: flags.snapshot,
    ...chainValues(flags),
  }
}

export const parentFlag = {
  parent: string({
    helpValue: 'FILE',
    summary: 'make the target a child of this image: only what differs is stored in it',
  }),
}

/** Flags of every command that writes an image. */
export const writeFlags = {
  uuid: string({
    helpValue: 'UUID',
    summary: 'id of the target; with SOURCE_DATE_EPOCH set the same input gives the same bytes',
  }),
  force: boolean({ char: 'f', summary: 'replace an existing target, once the new one is complete' }),
  'dry-run': boolean({ summary: 'check everything, write nothing' }),
  'allow-other-children': allowOtherChildren(),
}

/** Flags of check alone. */
export const checkFlags = {
  deep: boolean({ summary: 'also read everything that is stored, and decode what is compressed' }),
  limit: count({
    summary: 'findings shown of each code and image, the rest is counted; 20 when left out, 100 with --json',
  }),
}

/** Flags of every command that can leave out what filesystems do not use. */
export const usedOnlyFlags = {
  'used-only': boolean({
    summary: 'leave out what the filesystems on the disk do not use: it reads as zero in the target',
  }),
  'if-dirty': option({
    options: ['refuse', 'whole', 'trust'] as const,
    dependsOn: ['used-only'],
    summary:
      'with --used-only, a filesystem that was not left in order: stop (the default), copy it whole, or trust ' +
      'its record of free space',
  })(),
  'drop-swap': boolean({
    dependsOn: ['used-only'],
    summary: 'with --used-only, leave out the content of swap areas too; their label and UUID stay',
  }),
}

/** What those flags say; undefined: everything is wanted. */
export function usedOnlyValues(flags: {
  readonly 'used-only': boolean
  readonly 'if-dirty': 'refuse' | 'whole' | 'trust' | undefined
  readonly 'drop-swap': boolean
}) {
  if (!flags['used-only']) return undefined
  return { dropSwap: flags['drop-swap'], ifDirty: flags['if-dirty'] }
}

/** Flags that say where the changes of a mounted image go, and what of it is mounted. */
export const mountFlags = {
  all: boolean({ summary: 'mount every partition, on folders below DIR that have its number' }),
  overlay: string({
    helpValue: 'FILE',
    exclusive: ['write', 'throwaway'],
    summary:
      'keep changes in this child of the image, made if it is not there (.qcow2; .vhd and .vhdx over their own kind)',
  }),
  write: boolean({
    exclusive: ['overlay', 'throwaway'],
    summary: 'write changes into the image itself, which is locked meanwhile',
  }),
  'allow-table-loss': boolean({
    summary: 'write to a partition in which a part of the partition table lies, which may be lost then',
  }),
  'allow-other-children': allowOtherChildren(),
  throwaway: boolean({
    exclusive: ['overlay', 'write'],
    summary: 'without DIR: let the files be changed, and forget the changes at the end',
  }),
  tmp: string({
    helpValue: 'DIR',
    summary: "where changes that are thrown away are kept meanwhile; the image's folder when left out",
  }),
}

/** Flags of repair alone. */
export const repairFlags = {
  output: string({
    helpValue: 'FILE',
    exclusive: ['in-place'],
    summary: 'make the repair in a copy, which gets this name when it is complete',
  }),
  'in-place': boolean({
    exclusive: ['output'],
    summary: 'make the repair in the image itself, of which there may be no other copy',
  }),
  'dry-run': boolean({ summary: 'show what would be done, write nothing' }),
  force: boolean({ char: 'f', summary: 'replace an existing FILE, once the copy is complete' }),
  from: string({ helpValue: 'FORMAT', summary: 'format of the image; found from its content when left out' }),
  'from-option': string({
    helpValue: 'NAME=VALUE',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'an option for reading the image (see vdisk formats)',
  }),
  limit: count({ summary: 'actions, and findings of each code, that are shown; 20 when left out, 100 with --json' }),
  'allow-in-use': allowInUse(),
  'allow-other-children': allowOtherChildren(),
}

/** Most bytes of a disk that are moved a second. */
const rate = custom<number>({
  helpValue: 'LIMIT',
  summary: 'move at most this many bytes of the disk a second: 50M',
  parse: (text) => {
    const value = parseSize(text)
    if (value < 1024)
      throw usage('E_RATE', `${printable(text)} is no rate: give bytes a second, from 1K, for example 50M`)
    return Promise.resolve(value)
  },
})

/** Keeps a disk and its medium free for others. */
export const rateFlag = { rate: rate() }

/** Flags of every command that moves a whole disk. */
export const pacingFlags = {
  ...rateFlag,
  resume: boolean({
    summary: 'keep a journal of what is done, and go on with what an earlier run of the same command left',
  }),
}

/** Flags of every command that writes a disk or partition. Each override is one guard's, and no other's. */
export const deviceFlags = {
  yes: boolean({ char: 'y', summary: 'go on without asking; only together with --confirm' }),
  confirm: string({ helpValue: 'SERIAL|SIZE', summary: 'the serial, or the size, of the disk that is meant' }),
  verify: boolean({ default: true, allowNo: true, summary: 'read back everything from the medium and compare it' }),
  'dry-run': boolean({ summary: 'show the plan: guards, steps and bytes; write nothing' }),
  fit: boolean({ summary: 'take a smaller target, when all partitions end before its end' }),
  grow: boolean({
    summary: 'enlarge the last partition to the end of the disk, with its filesystem when it is ext or swap space',
  }),
  'new-ids': boolean({ summary: 'give the disk and its partitions new ids' }),
  uuid: string({
    helpValue: 'UUID',
    dependsOn: ['new-ids'],
    summary: 'what the new ids are made of; random when left out',
  }),
  eject: boolean({ summary: 'eject the target at the end' }),
  unmount: boolean({ summary: 'unmount what is mounted of the target first', helpGroup: 'GUARD OVERRIDE' }),
  'allow-system-disk': boolean({
    summary: 'write a disk that the running system needs; its serial is to be confirmed',
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-held': boolean({
    summary: 'write a disk that something above it holds, if the system gives it away',
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-swap': boolean({
    summary: 'write swap space in use, if the system gives it away',
    helpGroup: 'GUARD OVERRIDE',
  }),
  'clear-read-only': boolean({
    summary: "take away the system's mark that the target is read-only",
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-source-on-target': boolean({
    summary: 'write the disk that what is read lies on',
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-sector-size': boolean({
    summary: "write a partition table that counts in other sectors than the target's",
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-no-table': boolean({
    summary: 'write a partition or filesystem onto a whole disk',
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-misplaced-metadata': boolean({
    summary: 'write a member (RAID, dynamic disk) whose metadata lies at its end to another size, where it is none',
    helpGroup: 'GUARD OVERRIDE',
  }),
  'allow-table-loss': boolean({
    summary: 'write a partition in which a part of the partition table lies',
    helpGroup: 'GUARD OVERRIDE',
  }),
  threads: count({ summary: 'worker threads for decompression; 0: none' }),
  ...pacingFlags,
  journal: string({
    helpValue: 'FILE',
    dependsOn: ['resume'],
    summary: 'where --resume keeps its journal, never on the target (default: a file in /var/lib/vdisk/resume)',
  }),
}

type DeviceFlag =
  | 'yes'
  | 'verify'
  | 'dry-run'
  | 'fit'
  | 'grow'
  | 'new-ids'
  | 'eject'
  | 'unmount'
  | 'allow-system-disk'
  | 'allow-held'
  | 'allow-swap'
  | 'clear-read-only'
  | 'allow-source-on-target'
  | 'allow-sector-size'
  | 'allow-no-table'
  | 'allow-misplaced-metadata'
  | 'allow-table-loss'

/** What those flags say, as options of an operation. */
export function deviceValues(
  flags: Readonly<Record<DeviceFlag, boolean>> & {
    readonly confirm: string | undefined
    readonly uuid: string | undefined
    readonly threads: number | undefined
    readonly rate: number | undefined
    readonly resume: boolean
    readonly journal: string | undefined
  },
) {
  const { yes, confirm, verify, fit, grow, eject, unmount, uuid, threads, rate, resume, journal } = flags
  return {
    yes,
    confirm,
    verify,
    fit,
    grow,
    eject,
    unmount,
    uuid,
    threads,
    rate,
    resume,
    journal,
    dryRun: flags['dry-run'],
    newIds: flags['new-ids'],
    allowSystemDisk: flags['allow-system-disk'],
    allowHeld: flags['allow-held'],
    allowSwap: flags['allow-swap'],
    clearReadOnly: flags['clear-read-only'],
    allowSourceOnTarget: flags['allow-source-on-target'],
    allowSectorSize: flags['allow-sector-size'],
    allowNoTable: flags['allow-no-table'],
    allowTableLoss: flags['allow-table-loss'],
    allowMisplacedMetadata: flags['allow-misplaced-metadata'],
  }
}

export const progressFlag = {
  progress: option({
    options: ['bar', 'json', 'none'] as const,
    summary:
      'how to show progress on standard error: a bar (the default on a terminal), one JSON object a line, or nothing',
  })(),
}

/** `name=value` texts as an object. @throws ImageError usage E_OPTION when one has no `=` or a name comes twice. */
export function optionValues(
  texts: readonly string[] | undefined,
  named: Readonly<Record<string, string | undefined>> = {},
): OptionValues {
  const values: Record<string, string> = {}
  const add = (name: string, value: string): void => {
    if (Object.hasOwn(values, name)) throw usage('E_OPTION', `the option ${printable(name)} was given twice`)
    values[name] = value
  }
  for (const [name, value] of Object.entries(named)) if (value !== undefined) add(name, value)
  for (const text of texts ?? []) {
    const sign = text.indexOf('=')
    if (sign <= 0) throw usage('E_OPTION', `${printable(text)} is no option; write NAME=VALUE`)
    add(text.slice(0, sign), text.slice(sign + 1))
  }
  return values
}

/** A size, or a change of one: `100G`, `+20G`, `-512M`. @throws ImageError usage E_SIZE. */
export function sizeChange(text: string): { readonly capacity: number } | { readonly by: number } {
  const [, sign, size = ''] = /^([+-]?)(.*)$/s.exec(text) ?? []
  const bytes = parseSize(size)
  if (sign === '') return { capacity: bytes }
  return { by: sign === '-' ? -bytes : bytes }
}
