import type { ServeReady, ServeResult } from '../../operations/serve/serve.js'
import { sizeText, sourceText } from '../render.js'
import type { View } from './view.js'

/** What is printed once clients can connect. */
export const view: View<ServeReady & { readonly persistent: boolean }> = {
  text({ exports, tls, overlay, persistent }, render) {
    const into = overlay === undefined ? 'the image' : `${overlay.path}${overlay.made ? ', made now' : ''}`
    const lines = exports.flatMap(({ name, uri, capacity, sectorSize, writable, ...source }) => [
      render.heading(`Serving ${render.plain(source.path)}`),
      render.facts([
        ['image', sourceText(source)],
        ['export', name === '' ? undefined : name],
        ['disk', `${sizeText(capacity)}, sectors of ${sectorSize} bytes`],
        ['changes', writable ? `go into ${into}` : 'are refused'],
        ['uri', uri],
      ]),
    ])
    lines.push(
      `Ready${tls ? ', for clients with TLS only' : ''}. ` +
        (persistent ? 'Ctrl-C ends it.' : 'Ends with the last client, or Ctrl-C.'),
    )
    return lines.join('\n')
  },
}

export function endText({ clients, ended }: ServeResult): string {
  return (
    `Ended ${ended === 'interrupted' ? 'on request' : 'with the last client'}; ${clients} ` +
    `${clients === 1 ? 'connection' : 'connections'} served, everything is written and closed.`
  )
}
