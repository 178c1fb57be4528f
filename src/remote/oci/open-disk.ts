import { createHash } from 'node:crypto'
import type { Note } from '../../block/types.js'
import { corrupt, printable, type Label } from '../../errors.js'
import type { FarReader } from '../far-thread.js'
import { RangeReader } from '../http/range-reader.js'
import { noteOf, recordAnnotation } from '../image-note.js'
import { DigestedReader } from './digested-reader.js'
import type { OciOptions } from './environment.js'
import { chooseLayer } from './layer-choice.js'
import { mostManifestBytes, manifestTypes, parseOciManifest, type OciManifest } from './manifest.js'
import { chooseImage } from './platform.js'
import { wantedManifest, type OciReference } from './reference.js'
import { bodyOf, RegistrySession } from './session.js'

/** Lists in lists are not met outside attacks. */
const deepestIndex = 2

/**
 * Opens the layer of an image that holds the disk, to be read by ranges.
 * @param head gets its beginning. @throws ImageError usage E_OCI_PLATFORM, E_OCI_LOGIN, E_WHICH_MEMBER, E_NO_MEMBER,
 * E_NOT_FOUND, E_PERMISSION and those of RangeReader.open; corrupt E_OCI_MANIFEST, E_OCI_DIGEST; unsupported.
 */
export async function openRegistryDisk(
  reference: OciReference,
  head: Uint8Array,
  options: OciOptions,
): Promise<FarReader> {
  const { label, member: wanted } = reference
  const session = new RegistrySession(reference, options, 'pull')
  try {
    const { image, notes } = await imageOf(session, reference, options)
    const { layer, member } = await chooseLayer(image.layers, {
      label,
      wanted,
      open: async ({ digest }, read) => await session.get({ path: `blobs/${digest}` }, false, read),
    })
    const url = new URL(`blobs/${layer.digest}`, session.base).href
    const reader = await RangeReader.open({ url, label }, head, { ...options.http, signer: session })
    const { facts } = reader
    return new DigestedReader(reader, layer, {
      label,
      head: head.subarray(0, facts.headLength),
      member,
      note: noteOf(image.annotations[recordAnnotation]),
      // A digest names its bytes for good, whatever else a server says of them.
      notes: [...notes, ...facts.notes.filter(({ code }) => code !== 'W_HTTP_VERSION')],
    })
  } catch (error) {
    session[Symbol.dispose]()
    throw error
  }
}

async function imageOf(
  session: RegistrySession,
  reference: OciReference,
  { platform }: OciOptions,
): Promise<{ readonly image: Extract<OciManifest, { kind: 'image' }>; readonly notes: readonly Note[] }> {
  const { label } = reference
  const notes: Note[] = []
  let wanted = wantedManifest(reference)
  for (let depth = 0; depth <= deepestIndex; depth++) {
    const manifest = parseOciManifest(await fetchManifest(session, wanted), label)
    if (manifest.kind === 'image') return { image: manifest, notes }
    const chosen = chooseImage(manifest.entries, { label, wanted: platform })
    if (manifest.entries.length > 1)
      notes.push({
        code: 'W_OCI_PLATFORM',
        message: `${label} lists several images: that for ${printable(chosen.platform ?? 'no platform')} is read`,
      })
    wanted = chosen.digest
  }
  throw corrupt('E_OCI_MANIFEST', `${label} lists lists of images, and no image`)
}

/** A manifest, whose digest is right where one is known. @param wanted a tag or a digest. */
async function fetchManifest(session: RegistrySession, wanted: string): Promise<Buffer> {
  const { label } = session
  const headers = { Accept: manifestTypes.join(', ') }
  return await session.get({ path: `manifests/${wanted}`, headers }, true, async (answer) => {
    const bytes = await bodyOf(answer, mostManifestBytes, label)
    const named = wanted.includes(':') ? wanted : answer.headers['docker-content-digest']
    assertDigest(bytes, typeof named === 'string' ? named : undefined, label)
    return bytes
  })
}

function assertDigest(bytes: Uint8Array, expected: string | undefined, label: Label): void {
  const [algorithm = '', hex] = expected?.split(':') ?? []
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return
  if (createHash(algorithm).update(bytes).digest('hex') === hex) return
  throw corrupt('E_OCI_DIGEST', `${label}: the registry sends another manifest than ${printable(expected ?? '')}`, {
    hint: 'Nothing of it can be trusted: ask who keeps the registry, or fetch it from another one.',
  })
}
