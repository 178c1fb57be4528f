import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'

export default class PluginsLink extends BaseCommand {
  static readonly listsCommands = true
  static override summary = 'Use a plug-in from the folder in which it is developed.'
  static override description =
    'Nothing is copied: what is changed in the folder is there at the next run. Needs no npm. ' +
    '"vdisk plugins uninstall NAME" ends it, and leaves the folder alone.'
  static override examples = [
    { description: 'A plug-in that is being written', command: '<%= config.bin %> <%= command.id %> ./my-plugin' },
  ]
  static override args = { folder: string({ required: true, description: 'the folder with its package.json' }) }

  async run(): Promise<void> {
    const { args } = await this.parse(PluginsLink)
    const { linkPlugin } = await import('../../operations/plugins/change.js')
    await this.show({
      schema: 'vdisk.plugins-change',
      result: { changes: [linkPlugin(this.config.dataDir, args.folder)] },
      view: () => import('../../cli/view/plugins-change.js'),
    })
  }
}
