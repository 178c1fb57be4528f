import type { InstalledPlugin } from '../../operations/plugins/installed.js'
import type { View } from './view.js'

export const view: View<{ readonly folder: string; readonly plugins: readonly InstalledPlugin[] }> = {
  warnings: ({ plugins }) =>
    plugins.flatMap(({ name, folder, problem }) =>
      problem === undefined ? [] : [`${name} cannot be loaded from ${folder}: ${problem}`],
    ),
  async text({ folder, plugins }, render) {
    if (plugins.length === 0)
      return [
        `No plug-in is installed in ${render.plain(folder)}.`,
        '"vdisk plugins install PACKAGE" installs one.',
      ].join('\n')
    const rows = plugins.map((plugin) => [
      plugin.name,
      plugin.version ?? '',
      plugin.type === 'link' ? `linked to ${plugin.folder}` : plugin.folder,
    ])
    return await render.table(['plug-in', 'version', 'where'], rows)
  },
}
