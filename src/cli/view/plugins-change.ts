import type { PluginChange } from '../../operations/plugins/change.js'
import type { View } from './view.js'

export const view: View<{ readonly changes: readonly PluginChange[] }> = {
  text({ changes }, render) {
    if (changes.length === 0) return 'No plug-in is installed.'
    const added = changes.some(({ action }) => action === 'installed' || action === 'linked')
    const lines = changes.map(({ name, action, version, before }) => {
      const old = action === 'updated' && before !== undefined ? ` (was ${before})` : ''
      const shown = version === undefined ? name : `${name} ${version}`
      return render.plain(`${action.charAt(0).toUpperCase()}${action.slice(1)}: ${shown}${old}`)
    })
    return [...lines, ...(added ? ['', 'What it adds: vdisk formats --verbose, vdisk --help'] : [])].join('\n')
  },
}
