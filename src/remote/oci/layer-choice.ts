import zlib from 'node:zlib'
import type { IncomingMessage } from 'node:http'
import type { Transform } from 'node:stream'
import { corrupt, printable, unsupported, usage, type Label } from '../../errors.js'
import { PassingFailure } from '../http/request.js'
import { LayerNames } from './layer-names.js'
import type { BlobDescriptor } from './manifest.js'

/** The part of an image that holds the disk. */
export interface ChosenLayer {
  readonly layer: BlobDescriptor
  /** The file in it that is meant, where several layers were looked through. */
  readonly member?: string
}

/** Opens a layer as a stream, for its names. */
export type ReadLayer = <Result>(
  layer: BlobDescriptor,
  read: (answer: IncomingMessage) => Promise<Result>,
) => Promise<Result>

const title = 'org.opencontainers.image.title'
const diskNames = /\.(?:img|raw|dd|iso|qcow2?|vhdx?|vmdk|vdi)(?:\.(?:gz|xz|zst|bz2))?$/i
/** Where the disk of a container's disk lies. */
const diskFolder = 'disk/'
const emptyType = 'application/vnd.oci.empty.v1+json'

/**
 * The layer with the disk: the only one there is; among archives that with a file in the folder `disk`, as KubeVirt
 * wants it, where it is not hidden by a layer above; among other files that which is named as a disk.
 * @param wanted the disk that was asked for. @throws ImageError usage E_WHICH_MEMBER, E_NO_MEMBER; unsupported.
 */
export async function chooseLayer(
  layers: readonly BlobDescriptor[],
  { label, wanted, open }: { readonly label: Label; readonly wanted: string | undefined; readonly open: ReadLayer },
): Promise<ChosenLayer> {
  const parts = layers.filter(({ mediaType, size }) => mediaType !== emptyType && size > 0)
  const own = parts.filter(({ isForeign }) => !isForeign)
  const [first, ...further] = own
  if (first === undefined && parts.length > 0)
    throw unsupported(
      'E_UNSUPPORTED_FORMAT',
      `${label}: its layers lie elsewhere, and such addresses are not followed`,
      {
        hint: 'Copy it into a registry as a whole: skopeo copy.',
      },
    )
  if (first === undefined) throw usage('E_WHICH_MEMBER', `${label} holds no file with a disk in it`)
  if (further.length === 0) return isArchive(first) ? { layer: first, member: wanted } : chooseFile(own, label, wanted)
  const archives = own.filter(isArchive)
  return archives.length === 0 ? chooseFile(own, label, wanted) : await chooseArchive(archives, label, wanted, open)
}

/** Of files that are layers themselves (artifacts). */
function chooseFile(files: readonly BlobDescriptor[], label: Label, wanted: string | undefined): ChosenLayer {
  const nameOf = ({ annotations, digest }: BlobDescriptor): string => annotations[title] ?? digest
  const named = files.filter((file) => diskNames.test(nameOf(file)))
  const found =
    wanted !== undefined ? files.filter((file) => nameOf(file) === wanted) : files.length === 1 ? files : named
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return { layer: only }
  throw whichDisk(label, files.map(nameOf), wanted)
}

async function chooseArchive(
  layers: readonly BlobDescriptor[],
  label: Label,
  wanted: string | undefined,
  open: ReadLayer,
): Promise<ChosenLayer> {
  const found: { layer: BlobDescriptor; member: string }[] = []
  const hidden = new Set<string>()
  // What is above comes last, and hides what is below.
  for (const layer of layers.toReversed()) {
    const { files, hides } = await disksIn(layer, label, open)
    for (const member of files) if (!hidden.has(member) && !hidden.has(diskFolder)) found.push({ layer, member })
    for (const name of [...files, ...hides]) hidden.add(name)
  }
  const meant = wanted === undefined ? found : found.filter(({ member }) => [member, baseOf(member)].includes(wanted))
  const [only, ...others] = meant
  if (only !== undefined && others.length === 0) return only
  if (found.length === 0)
    throw usage('E_WHICH_MEMBER', `${label} has no file in its folder ${diskFolder}, where the disk of a VM would be`, {
      hint: 'It is an image of a container, or keeps the disk elsewhere.',
    })
  throw whichDisk(
    label,
    found.map(({ member }) => baseOf(member)),
    wanted,
  )
}

const baseOf = (member: string): string => member.slice(diskFolder.length)

/** Files in the folder of disks, and what a layer takes away of those below (OCI Image, "Whiteouts"). */
async function disksIn(
  layer: BlobDescriptor,
  label: Label,
  open: ReadLayer,
): Promise<{ readonly files: readonly string[]; readonly hides: readonly string[] }> {
  return await open(layer, async (answer) => {
    const files = new Set<string>()
    const hides = new Set<string>()
    const names = new LayerNames((stored, isFile) => {
      const name = stored.replace(/^(?:\.?\/+)+/, '')
      const [, folder, base = ''] = /^(disk\/)?([^/]+)$/.exec(name) ?? []
      if (base === '.wh.disk' || (folder !== undefined && base === '.wh..wh..opq')) hides.add(diskFolder)
      else if (folder !== undefined && base.startsWith('.wh.')) hides.add(diskFolder + base.slice('.wh.'.length))
      else if (folder !== undefined && isFile) files.add(name)
    })
    try {
      for await (const bytes of unpacked(layer, answer, label)) {
        names.take(bytes as Buffer)
        if (names.ended) break
      }
    } catch (error) {
      if (!(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code?.startsWith('Z_') !== true)
        throw new PassingFailure(error instanceof Error ? error.message : String(error))
      throw corrupt('E_TAR', `${label}: the layer ${layer.digest} is no archive of the kind that its manifest says`, {
        cause: error,
      })
    } finally {
      answer.destroy()
    }
    return { files: [...files], hides: [...hides] }
  })
}

function unpacked(
  { mediaType, digest }: BlobDescriptor,
  answer: IncomingMessage,
  label: Label,
): AsyncIterable<unknown> {
  if (/gzip$/.test(mediaType)) return piped(answer, zlib.createGunzip())
  if (!/zstd$/.test(mediaType)) return answer
  // Since Node 22.15.
  const { createZstdDecompress } = zlib as { readonly createZstdDecompress?: () => Transform }
  if (createZstdDecompress === undefined)
    throw unsupported(
      'E_UNSUPPORTED_FORMAT',
      `${label}: which of its layers has the disk cannot be seen: ${digest} is ` +
        'compressed with Zstandard, which this Node does not unpack as a stream',
      {
        hint: 'Use Node 22.15 or newer, or an image of one layer.',
      },
    )
  return piped(answer, createZstdDecompress())
}

function piped(answer: IncomingMessage, through: Transform): AsyncIterable<unknown> {
  answer.on('error', (error) => through.destroy(error))
  answer.on('aborted', () => through.destroy(new Error('the connection was closed')))
  return answer.pipe(through)
}

/** Whether a layer is a tar archive, compressed or not. */
function isArchive({ mediaType }: BlobDescriptor): boolean {
  return /\.tar(?:\+|\.|$)/.test(mediaType)
}

function whichDisk(label: Label, names: readonly string[], wanted: string | undefined): Error {
  const shown = names.slice(0, 10).map((name) => printable(name))
  const all = shown.join(', ') + (names.length > shown.length ? ` and ${names.length - shown.length} more` : '')
  if (wanted !== undefined)
    return usage('E_NO_MEMBER', `${label} holds no disk ${printable(wanted)}`, { hint: `It holds ${all}.` })
  return usage('E_WHICH_MEMBER', `${label} holds several files: ${all}`, {
    hint: `Say which one: ${label}@disk=${shown[0] ?? 'NAME'}`,
  })
}
