import type { ListedCommand } from '../command-list.js'
import { firstRows, moreLine, type View } from './view.js'

/** The label of commands that have no topic. */
const alone = 'vdisk …'

/** The names by topic; what each does, where a word was asked for or everything is wanted. */
export const view: View<{ readonly commands: readonly ListedCommand[]; readonly word?: string }> = {
  async text({ commands, word }, render) {
    if (render.verbose)
      return await render.table(
        ['command', 'what it does', 'from'],
        commands.map(({ name, summary, plugin }) => [name, summary, plugin]),
      )
    if (word !== undefined) {
      const rows = commands.map(({ name, summary }) => [name, summary])
      return await firstRows(render, ['command', 'what it does'], rows, 17)
    }
    const byTopic = new Map<string, string[]>([[alone, []]])
    for (const [first = '', ...rest] of commands.map(({ name }) => name.split(' '))) {
      const topic = rest.length === 0 ? alone : first
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), rest.length === 0 ? first : rest.join(' ')])
    }
    return [
      render.facts([...byTopic].map(([topic, names]) => [topic, names.join(' ')])),
      '',
      moreLine(render, 'what each does, and where it is from'),
    ].join('\n')
  },
}
