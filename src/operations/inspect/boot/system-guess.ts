import type { PartitionTable } from '../../../partition/index.js'
import { latin1 } from './code.js'
import { efiProgram } from './loaders.js'
import type { OpenVolume } from './diagnosis.js'
import type { VolumeFiles } from '../../files/volume-files.js'

/** An operating system that seems to be installed. */
export interface SystemGuess {
  /** `Debian GNU/Linux 12 (bookworm)`, `Windows`, `FreeBSD`: text from the disk, to be escaped. */
  readonly name: string
  readonly family: 'linux' | 'windows' | 'macos' | 'bsd' | 'dos' | 'other'
  /** Undefined: it lies in the volume at the disk's first byte. */
  readonly partition?: number
  /** `files`: files of it were found. `type`: a partition has its type, nothing else is known. */
  readonly by: 'files' | 'type'
  /** The file, or the type of the partition. */
  readonly evidence: string
  /** `debian`, and `12`: ID and VERSION_ID of os-release. */
  readonly id?: string
  readonly version?: string
  /** What its kernel is made for, where that was seen. */
  readonly cpu?: string
}

export interface OperatingSystem {
  /** The guesses in one phrase; undefined: nothing was found. */
  readonly looksLike?: string
  readonly found: readonly SystemGuess[]
}

type Found = Omit<SystemGuess, 'partition' | 'by'>

/** Types of partitions that one family of systems uses, by id. */
const types: readonly {
  readonly name: string
  readonly family: SystemGuess['family']
  readonly ids: readonly string[]
}[] = [
  {
    name: 'macOS',
    family: 'macos',
    ids: [
      '7c3457ef-0000-11aa-aa11-00306543ecac',
      '48465300-0000-11aa-aa11-00306543ecac',
      '53746f72-6167-11aa-aa11-00306543ecac',
      '0xaf',
      'Apple_HFS',
      'Apple_HFSX',
      'Apple_APFS',
    ],
  },
  {
    name: 'FreeBSD',
    family: 'bsd',
    ids: ['516e7cb6-6ecf-11d6-8ff8-00022d09712b', '516e7cba-6ecf-11d6-8ff8-00022d09712b', '0xa5'],
  },
  { name: 'OpenBSD', family: 'bsd', ids: ['824cc7a0-36a8-11e3-890a-952519ad3f61', '0xa6'] },
  { name: 'NetBSD', family: 'bsd', ids: ['49f48d5a-b10e-11dc-b99b-0019d1879648', '0xa9'] },
  { name: 'ChromeOS', family: 'linux', ids: ['fe3a2a5d-4f32-41a7-b725-accc3285a309'] },
  { name: 'VMware ESXi', family: 'other', ids: ['9d275380-40ad-11db-bf97-000c2911d1b8'] },
  {
    name: 'Linux',
    family: 'linux',
    ids: [
      '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
      '44479540-f297-41b2-9af7-d131d5f0458a',
      'b921b045-1df0-41c3-af44-4c6f280d3fae',
      '69dad710-2ce4-4e3c-b16c-21a1d49abed3',
      '72ec70a6-cf74-40e6-bd49-4bda08e8f224',
    ],
  },
]

const longestText = 200

/**
 * Which operating systems seem to be on a disk: by their files, and where no files say so, by the types of partitions.
 */
export function guessSystems({ partitions }: PartitionTable, volumes: readonly OpenVolume[]): OperatingSystem {
  const found: SystemGuess[] = volumes.flatMap(({ volume, files }) => {
    const { partition } = volume
    return files.readable
      ? byFiles(files).map((one) => ({ ...one, by: 'files' as const, partition: partition?.number }))
      : []
  })
  for (const { name, family, ids } of types) {
    const partition = partitions.find(({ type }) => ids.includes(type.id))
    if (partition === undefined || found.some((other) => other.family === family)) continue
    found.push({
      name,
      family,
      by: 'type',
      partition: partition.number,
      evidence: `the type of partition ${partition.number}: ${partition.type.name}`,
    })
  }
  const names = [...new Set(found.map(({ name }) => name))]
  return { found, looksLike: names.length === 0 ? undefined : names.join(', ') }
}

function byFiles(files: VolumeFiles): Found[] {
  return [linux(files), windows(files), dos(files)].filter((found) => found !== undefined)
}

function linux(files: VolumeFiles): Found | undefined {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    const head = files.head(path, 65536)
    if (head === undefined) continue
    const values = osRelease(Buffer.from(head).toString('utf8'))
    const name = values.get('PRETTY_NAME') ?? values.get('NAME')
    if (name === undefined) continue
    return {
      name,
      family: bsdOrLinux(values.get('ID')),
      evidence: path,
      id: values.get('ID'),
      version: values.get('VERSION_ID'),
    }
  }
  for (const path of ['/etc/redhat-release', '/etc/SuSE-release']) {
    const [line = ''] = Buffer.from(files.head(path, longestText) ?? [])
      .toString('utf8')
      .split('\n')
    if (line.trim() !== '') return { name: line.trim(), family: 'linux', evidence: path }
  }
  const debian = Buffer.from(files.head('/etc/debian_version', 64) ?? [])
    .toString('utf8')
    .trim()
  return debian === '' ? undefined : { name: `Debian ${debian}`, family: 'linux', evidence: '/etc/debian_version' }
}

function bsdOrLinux(id: string | undefined): 'bsd' | 'linux' {
  return id !== undefined && id.endsWith('bsd') ? 'bsd' : 'linux'
}

function windows(files: VolumeFiles): Found | undefined {
  const kernel = '/Windows/System32/ntoskrnl.exe'
  const head = files.head(kernel, 4096)
  if (head !== undefined) {
    const { cpu } = efiProgram(head)
    return { name: 'Windows', family: 'windows', evidence: kernel, cpu }
  }
  const hive = '/Windows/System32/config/SOFTWARE'
  const registry = files.head(hive, 4)
  if (registry !== undefined && latin1(registry) === 'regf')
    return { name: 'Windows', family: 'windows', evidence: hive }
  const medium = ['/sources/install.wim', '/sources/install.esd', '/sources/boot.wim'].find(
    (path) => files.file(path) !== undefined,
  )
  return medium === undefined
    ? undefined
    : { name: 'a Windows installation medium', family: 'windows', evidence: medium }
}

function dos(files: VolumeFiles): Found | undefined {
  if (files.file('/COMMAND.COM') === undefined) return undefined
  if (files.file('/KERNEL.SYS') !== undefined) return { name: 'FreeDOS', family: 'dos', evidence: '/KERNEL.SYS' }
  return files.file('/IO.SYS') === undefined ? undefined : { name: 'MS-DOS', family: 'dos', evidence: '/IO.SYS' }
}

/** The assignments of an os-release file (os-release(5)): shell syntax, without expansion. */
export function osRelease(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = /^\s*([A-Z0-9_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"'#]*))\s*$/.exec(line)
    if (match === null) continue
    const [, name = '', double, single, bare] = match
    const value = (double?.replace(/\\(.)/g, '$1') ?? single ?? bare ?? '').slice(0, longestText).trim()
    if (value !== '') values.set(name, value)
  }
  return values
}
