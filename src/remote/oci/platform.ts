import { printable, usage, type Label } from '../../errors.js'
import type { IndexEntry } from './manifest.js'

/** Node's names of processors, where containers have others. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  mipsel: 'mipsle',
  ppc64: 'ppc64le',
}
/** The platform of this computer's processor, as containers name it. */
export function ownPlatform(processor: string): string {
  return `linux/${architectures[processor] ?? processor}`
}

/** Attestations stand beside the images, and are none. */
const isImage = ({ platform }: IndexEntry): boolean => platform?.startsWith('unknown/') !== true

/**
 * The image that is meant of several: that of the wanted platform; without one, that of this computer's processor, or
 * linux/amd64, or the only one. @throws ImageError usage E_OCI_PLATFORM.
 */
export function chooseImage(
  entries: readonly IndexEntry[],
  { label, wanted, processor = process.arch }: { label: Label; wanted: string | undefined; processor?: string },
): IndexEntry {
  const images = entries.filter(isImage)
  const own = ownPlatform(processor)
  const candidates = wanted === undefined ? [own, 'linux/amd64'] : [wanted]
  for (const platform of candidates) {
    const exact = images.filter((entry) => entry.platform === platform)
    const found = exact.length > 0 ? exact : images.filter((entry) => entry.platform?.startsWith(`${platform}/`))
    const [only, ...others] = found
    if (only !== undefined && others.length === 0) return only
    if (only !== undefined) throw which(label, `several images for ${platform}`, found)
  }
  const [only, ...others] = images
  if (only !== undefined && others.length === 0 && wanted === undefined) return only
  if (only === undefined) throw usage('E_OCI_PLATFORM', `${label} lists no image`)
  throw which(label, `no image for ${candidates[0] ?? own}`, images)
}

function which(label: Label, what: string, images: readonly IndexEntry[]): Error {
  const shown = images.slice(0, 10).map(({ platform, digest, annotations }) => {
    const kind = annotations['disktype']
    return `${platform ?? 'no platform'}${kind === undefined ? '' : ` (${kind})`} @${digest}`
  })
  const more = images.length > shown.length ? ` and ${images.length - shown.length} more` : ''
  return usage('E_OCI_PLATFORM', `${label} has ${what}; it lists ${printable(shown.join(', '))}${more}`, {
    hint: 'Set VDISK_OCI_PLATFORM, such as linux/arm64, or give the digest in place of the tag: …@sha256:….',
  })
}
