import type { BlockSource } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import type { Appliance, Finding, Wrapped, WrappedFile } from '../driver.js'
import { parseEnvelope, type Envelope, type ReferencedFile } from './envelope.js'
import { Parents } from './parents.js'
import { checkDigests, checkManifest, digestNotes, type DigestedFile, type Manifest } from './manifest.js'
import { percentText } from '../../sys/percent.js'

/** Where the files of a package are: members of an archive, or files beside the description. */
export interface PackageFiles {
  /** What messages call the description. */
  readonly label: string
  /** What the manifest calls it. */
  readonly name: string
  readonly description: Uint8Array
  readonly manifest?: Manifest
  readonly signed: boolean
  /** The file that the description names: how it is opened as a member. */
  readonly memberOf: (file: ReferencedFile) => Omit<WrappedFile, 'id' | 'capacity' | 'parent' | 'isBase'>
  /** Files to hold against the manifest, the description first; opened while it is checked. */
  readonly digested: (envelope: Envelope) => Iterable<DigestedFile & Partial<Disposable>>
  /** What is wrong with the package besides. */
  readonly findings?: readonly Finding[]
}

/** A package by its description: the disks, the machines, what its manifest says. @throws ImageError corrupt E_OVF. */
export function openPackage(files: PackageFiles): Wrapped {
  const { label, name, description, manifest, signed } = files
  const envelope = parseEnvelope(description, label)
  const parents = new Parents(envelope.disks, label)
  const members = envelope.disks.flatMap((disk): WrappedFile[] => {
    const { id, capacity, reference } = disk
    if (reference === undefined) return []
    return [{ ...files.memberOf(reference), id, capacity, ...parents.factsOf(disk) } as WrappedFile]
  })
  return {
    members,
    notes: manifest === undefined ? [] : digestNotes(manifest, name, description),
    appliance: { ...shown(envelope), signed, manifest: manifest === undefined ? undefined : algorithmOf(manifest) },
    check: ({ deep }) => checkPackage(files, envelope, deep),
    verify: manifest === undefined ? undefined : ({ name: file = '' }) => verifyFile(files, envelope, manifest, file),
  }
}

function shown({ machines, disks }: Envelope): Pick<Appliance, 'machines' | 'disks'> {
  return {
    machines,
    disks: disks.map(({ id, file, capacity, controller, parent }) => ({ id, file, capacity, controller, parent })),
  }
}

function algorithmOf({ digests }: Manifest): string | undefined {
  return [...new Set([...digests.values()].map(({ algorithm }) => algorithm))].join(', ') || undefined
}

function* checkPackage(files: PackageFiles, envelope: Envelope, deep: boolean): Work<void, Finding> {
  yield* files.findings ?? []
  const opened = [...files.digested(envelope)]
  try {
    yield* sizeFindings(envelope, opened)
    if (files.manifest !== undefined) yield* checkManifest(files.manifest, opened, { deep })
  } finally {
    for (const file of opened) file[Symbol.dispose]?.()
  }
}

/** The digests of the file of a disk, or of its pieces. */
function* verifyFile(files: PackageFiles, envelope: Envelope, manifest: Manifest, file: string): Work<void, Finding> {
  const opened = [...files.digested(envelope)]
  try {
    const isWanted = ({ name }: DigestedFile): boolean =>
      name === file || name === percentText(file) || (name.startsWith(`${file}.`) && /\.\d{9}$/.test(name))
    yield* checkDigests(manifest, opened.filter(isWanted))
  } finally {
    for (const one of opened) one[Symbol.dispose]?.()
  }
}

function* sizeFindings({ files }: Envelope, opened: readonly DigestedFile[]): Generator<Finding, void> {
  for (const { href, size, chunkSize } of files) {
    const source: BlockSource | undefined = opened.find(({ name }) => name === href)?.source
    if (source === undefined || size === undefined || chunkSize !== undefined || size === source.capacity) continue
    yield {
      code: 'W_OVF_SIZE',
      severity: 'warning',
      structure: `file ${JSON.stringify(href)}`,
      message: `the description says that it has ${size} bytes, and it has ${source.capacity}`,
    }
  }
}
