import type { Fact } from '../../block/types.js'
import { isImageError, printable } from '../../errors.js'
import type { OpenContext } from '../driver.js'
import { blobContent, encrypted } from './blob.js'
import { isJsonObject } from '../../binary/json-object.js'

const manifestName = 'index.json.blob'
const longestManifest = 4 * 1024 * 1024

/**
 * What the backup says of itself, in a file beside the index that need not be there.
 * @throws ImageError unsupported E_ENCRYPTED where it says that the disk is encrypted.
 */
export function backupFacts({ self }: OpenContext, name: string): Fact[] {
  const manifest = readManifest(self)
  if (manifest === undefined) return []
  const files = Array.isArray(manifest['files']) ? (manifest['files'] as unknown[]) : []
  const own = files.find((file) => (file as { filename?: unknown } | null)?.filename === self.name)
  const mode = (own as { 'crypt-mode'?: unknown } | undefined)?.['crypt-mode']
  if (mode === 'encrypt') throw encrypted(name)
  const shown = ['backup-type', 'backup-id'].map((key) => manifest[key]).filter((value) => typeof value === 'string')
  return shown.length === 0 ? [] : [{ name: 'backup', value: printable(shown.join('/')).slice(0, 200) }]
}

/** Undefined where it is not there, or cannot be read: nothing of the disk depends on it. */
function readManifest(self: OpenContext['self']): Readonly<Record<string, unknown>> | undefined {
  const place = self.sibling(manifestName)
  if (place === undefined || place.behind !== undefined) return undefined
  try {
    using store = place.store()
    if (store.size > longestManifest) return undefined
    const bytes = new Uint8Array(store.size)
    store.read(0, bytes)
    const value = JSON.parse(Buffer.from(blobContent(bytes, store.name, longestManifest)).toString('utf8')) as unknown
    return isJsonObject(value) ? value : undefined
  } catch (error) {
    if (isImageError(error) || error instanceof SyntaxError) return undefined
    throw error
  }
}
