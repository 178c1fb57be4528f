import type { View } from './view.js'

export const view: View<{
  readonly command: string
  readonly plugin: string
  readonly version?: string
  readonly folder?: string
  readonly summary: string
}> = {
  text: ({ command, plugin, version, folder, summary }, render) =>
    [
      render.heading(`${command}: ${summary}`),
      render.facts([
        ['from', `${plugin} ${version ?? ''}`.trimEnd()],
        ['folder', folder],
      ]),
    ].join('\n'),
}
