import type { View } from './view.js'

/** The JSON document of `vdisk version`. */
interface VersionFacts {
  /** What --version prints. */
  readonly line: string
  readonly bin: string
  readonly version: string
  readonly node: string
  readonly system: string
  readonly folder: string
  readonly dataFolder: string
  readonly plugins: readonly { readonly name: string; readonly version?: string }[]
}

export const view: View<VersionFacts> = {
  text: ({ line, system, folder, dataFolder, plugins }, render) =>
    render.verbose
      ? [
          render.heading(line),
          render.facts([
            ['system', system],
            ['folder', folder],
            ['data folder', dataFolder],
            ['plug-ins', plugins.map(({ name, version = '' }) => `${name} ${version}`.trimEnd()).join(', ') || 'none'],
          ]),
        ].join('\n')
      : render.plain(line),
}
