import { printable } from '../../errors.js'
import type { HashResult } from '../../operations/inspect/hash.js'
import type { View } from './view.js'

/** The lines of sha256sum. `path` is as it was typed; `ranges`: whether parts were asked for. */
export const view: View<HashResult & { readonly path: string; readonly ranges: boolean }> = {
  text({ algorithm, digests, path, ranges }) {
    const prefix = algorithm === 'sha256' ? '' : `${algorithm}:`
    return digests
      .map(({ offset, length, digest, partition, label }) => {
        const name = label === undefined ? '' : ` (${printable(label)})`
        const range = ranges ? ` (${length} bytes from offset ${offset})` : ''
        return `${prefix}${digest}  ${printable(path)}${partition === undefined ? range : `@${partition}${name}`}`
      })
      .join('\n')
  },
}
